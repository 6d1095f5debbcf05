//! Group commit without a thread: the first who waits writes for all who wait.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::cache::Cache;
use super::drops::Drops;
use super::places::{Place, Places};
use super::round::{Round, Signed};
use super::seen::{Window, escaped, fingerprint};
use super::writer::Writer;
use super::{LogKeys, RecordError, Recovery};
use crate::event::{Class, Event, EventId, Ids, Prepared};
use crate::fs::{FileSystem, Held};
use crate::head::Head;
use crate::keyed::KeyedMap;
use crate::merkle::{Edge, Hash, Tile, leaf_hash};
use crate::name::Tree;
use crate::note::Checkpoint;
use crate::wal::frame::{FrameBuilder, MAX_FRAME, MAX_RECORDS, NewRecord};
use crate::wal::meta::{LogMeta, hex};
use crate::wal::micros;

/// How long an event of class block waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// Records of a frame that are kept for a round: 1,000 checkpoints, the drops of 64 trees, and what the log says of itself.
const ROUND_RECORDS: usize = 1_096;
/// Bytes of a frame that are kept for a round.
const ROUND_BYTES: usize = 2 * 1024 * 1024;

/// What does not change while the log is open.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    pub(super) meta: LogMeta,
    pub(super) source: String,
    pub(super) keys: LogKeys,
    pub(super) recovered: Vec<Recovery>,
    pub(super) _lock: Box<dyn Held>,
}

/// An open log.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) fixed: Fixed,
    core: Mutex<Core>,
    changed: Condvar,
    ids: Mutex<Ids>,
    /// Only who makes a round takes it.
    cache: Mutex<Cache>,
}

/// What changes with every event.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) trees: KeyedMap<Tree, Growing>,
    pub(super) filling: Filling,
    /// The memory of the frame before.
    spare: Option<FrameBuilder>,
    pub(super) writer: Option<Writer>,
    in_flight: bool,
    pub(super) rounding: bool,
    /// The last durable commit, and the chain value after it.
    durable: u64,
    chain: Hash,
    pub(super) trees_root: Hash,
    failed: Option<RecordError>,
    closed: bool,
    seen: Window,
    pub(super) drops: Drops,
    pub(super) last_round: SystemTime,
    pub(super) since_round: u64,
    last_time: u64,
}

/// A tree of an open log.
#[derive(Debug, Default)]
pub(super) struct Growing {
    number: u32,
    pub(super) edge: Edge,
    /// The newest checkpoint and when it was made; it may be on its way to the disk.
    pub(super) newest: Option<(Checkpoint, SystemTime)>,
    /// The newest that is durable.
    pub(super) signed: Option<Signed>,
    pub(super) places: Places,
    /// The last commit with a leaf of it.
    commit: u64,
    /// Since when leaves wait for a checkpoint.
    pub(super) waiting: Option<SystemTime>,
    /// Full tiles that are not on disk yet.
    pub(super) tiles: Vec<Tile>,
}

/// The frame that is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    pub(super) frame: FrameBuilder,
    pub(super) commit: u64,
    now: SystemTime,
    /// The first leaf of each tree in it.
    firsts: Vec<(Tree, u64)>,
}

impl Filling {
    fn new(commit: u64, frame: FrameBuilder) -> Self {
        Self { frame, commit, now: UNIX_EPOCH, firsts: Vec::new() }
    }

    fn has_room(&self, records: usize, bytes: usize) -> bool {
        self.frame.records().saturating_add(records) <= MAX_RECORDS.saturating_sub(ROUND_RECORDS)
            && self.frame.len().saturating_add(bytes) <= MAX_FRAME.saturating_sub(ROUND_BYTES)
    }
}

/// An event that has its place, or was counted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(super) id: EventId,
    pub(super) tree: Tree,
    /// Leaf index and commit.
    pub(super) place: Option<(u64, u64)>,
}

/// A leaf on its way into a tree.
struct NewLeaf {
    tree: Tree,
    id: EventId,
    bytes: String,
    hash: Hash,
    print: [u8; 16],
}

/// What an event becomes.
struct Leaves {
    first: NewLeaf,
    copy: Option<NewLeaf>,
}

impl Leaves {
    fn each(&self) -> impl Iterator<Item = &NewLeaf> {
        std::iter::once(&self.first).chain(&self.copy)
    }

    fn len(&self) -> usize {
        self.each().count()
    }
}

/// A tree as it was found.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) tree: Tree,
    pub(super) edge: Edge,
    pub(super) signed: Option<Signed>,
    pub(super) recent: Vec<super::seen::Recent>,
    pub(super) places: Places,
}

/// What `open` hands over.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) trees: Vec<Restored>,
    pub(super) writer: Writer,
    pub(super) next_commit: u64,
    pub(super) chain: Hash,
    pub(super) trees_root: Hash,
    pub(super) last_time: u64,
}

type Guard<'a> = MutexGuard<'a, Core>;

impl Shared {
    pub(super) fn new(fixed: Fixed, start: Start, now: SystemTime) -> Self {
        let mut core = Core {
            trees: KeyedMap::default(),
            filling: Filling::new(start.next_commit, FrameBuilder::new()),
            spare: None,
            writer: Some(start.writer),
            in_flight: false,
            rounding: false,
            durable: start.next_commit.saturating_sub(1),
            chain: start.chain,
            trees_root: start.trees_root,
            failed: None,
            closed: false,
            seen: Window::default(),
            drops: Drops::default(),
            last_round: now,
            since_round: 0,
            last_time: start.last_time,
        };
        let mut recent = Vec::new();
        for restored in start.trees {
            let Restored { tree, edge, signed, places, .. } = restored;
            let number = core.next_number();
            recent.extend(restored.recent.into_iter().map(|event| (number, event)));
            let waiting = (signed.as_ref().map_or(0, Signed::size) < edge.len()).then_some(UNIX_EPOCH);
            let newest = signed.as_ref().map(|signed| (signed.checkpoint.clone(), UNIX_EPOCH));
            core.trees.insert(tree, Growing { number, edge, newest, signed, places, waiting, ..Growing::default() });
        }
        recent.sort_unstable_by_key(|(_, (_, _, commit, _))| *commit);
        for (number, event) in recent {
            core.seen.push(number, event);
        }
        let (ids, cache) = (Mutex::default(), Mutex::default());
        Self { fixed, core: Mutex::new(core), changed: Condvar::new(), ids, cache }
    }

    pub(super) fn lock(&self) -> Guard<'_> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, core: Guard<'a>) -> Guard<'a> {
        self.changed.wait(core).unwrap_or_else(PoisonError::into_inner)
    }

    fn new_id(&self, time: SystemTime) -> Result<EventId, RecordError> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(time)
    }

    pub(super) fn record(&self, event: Event, now: SystemTime) -> Result<Accepted, RecordError> {
        let tree = event.tenant.clone().map_or(Tree::Deployment, Tree::Tenant);
        let class = event.class();
        if event.time.is_some_and(|time| time > now) {
            return Err(RecordError::TimeInFuture);
        }
        // An id that was just made is known to nobody.
        let is_retry = event.id.is_some();
        let leaves = self.leaves(event, &tree, now)?;
        let (id, bytes) = (leaves.first.id, leaves.each().map(|leaf| leaf.bytes.len().saturating_add(128)).sum());
        let mut core = self.lock();
        if is_retry && let Some(known) = core.known(&leaves.first)? {
            return Ok(Accepted { id, tree, place: Some(known) });
        }
        core = match class {
            Class::CountedDrop => match core.refusal() {
                Some(cause) if !matches!(cause, RecordError::Closed) => {
                    return Ok(core.dropped(id, tree, &leaves, "log_failed", now));
                }
                Some(closed) => return Err(closed),
                None if core.filling.has_room(leaves.len(), bytes) => core,
                None => return Ok(core.dropped(id, tree, &leaves, "no_room", now)),
            },
            Class::FailClosed | Class::Block => self.room(core, leaves.len(), bytes)?,
        };
        let place = core.push(&leaves.first, now);
        if let Some(copy) = &leaves.copy {
            core.push(copy, now);
        }
        Ok(Accepted { id, tree, place: Some(place) })
    }

    /// The leaves of an event: one, or for `tenant.*` of a tenant a second one in the deployment's tree, which survives a purge.
    fn leaves(&self, event: Event, tree: &Tree, now: SystemTime) -> Result<Leaves, RecordError> {
        let id = event.id.map_or_else(|| self.new_id(event.time.unwrap_or(now)), Ok)?;
        let twice = event.name().starts_with("tenant.") && *tree != Tree::Deployment;
        let prepared = Prepared::new(event, now);
        let copy = twice.then(|| self.leaf(&prepared, Tree::Deployment, id.of_copy()));
        Ok(Leaves { first: self.leaf(&prepared, tree.clone(), id), copy })
    }

    fn leaf(&self, prepared: &Prepared, tree: Tree, id: EventId) -> NewLeaf {
        let bytes = prepared.leaf(&tree, id, &self.fixed.source);
        let hash = leaf_hash(bytes.as_bytes());
        let subject = prepared.event().subject.as_deref().map(escaped);
        let print = fingerprint(prepared.event().name(), subject.as_deref(), prepared.data());
        NewLeaf { tree, id, bytes, hash, print }
    }

    /// An event of the log itself, which has room kept for it.
    pub(super) fn push_own(
        &self,
        core: &mut Core,
        event: Event,
        tree: &Tree,
        now: SystemTime,
    ) -> Result<(), RecordError> {
        let id = self.new_id(now)?;
        let leaf = self.leaf(&Prepared::new(event, now), tree.clone(), id);
        core.push(&leaf, now);
        Ok(())
    }

    /// Waits for room; writes if nobody does.
    fn room<'a>(&'a self, mut core: Guard<'a>, records: usize, bytes: usize) -> Result<Guard<'a>, RecordError> {
        loop {
            if let Some(refusal) = core.refusal() {
                return Err(refusal);
            }
            if core.filling.has_room(records, bytes) {
                return Ok(core);
            }
            if core.in_flight {
                let (guard, waited) = self.changed.wait_timeout(core, PATIENCE).unwrap_or_else(PoisonError::into_inner);
                core = guard;
                if waited.timed_out() && !core.filling.has_room(records, bytes) {
                    return Err(RecordError::NoRoom);
                }
            } else {
                core = self.lead(core);
            }
        }
    }

    /// Waits until a commit is durable; writes if nobody does.
    pub(super) fn wait_for(&self, commit: u64) -> Result<(), RecordError> {
        let mut core = self.lock();
        loop {
            if core.durable >= commit {
                return Ok(());
            }
            if let Some(error) = &core.failed {
                return Err(error.clone());
            }
            core = if core.in_flight { self.wait(core) } else { self.lead(core) };
        }
    }

    pub(super) fn flush(&self, now: SystemTime) -> Result<(), RecordError> {
        let mut core = self.lock();
        core.refusal().map_or(Ok(()), Err)?;
        core.filling.now = core.filling.now.max(now);
        if core.is_round_due() {
            drop(core);
            return self.round(now, None, false);
        }
        let commit = core.filling.commit;
        let filled = core.filling.frame.records() > 0;
        drop(core);
        self.wait_for(if filled { commit } else { commit.saturating_sub(1) })
    }

    /// Commits the filling frame, with a round if one is due. The caller saw that nobody else does.
    fn lead<'a>(&'a self, mut core: Guard<'a>) -> Guard<'a> {
        let round = if core.is_round_due() && !core.rounding {
            match self.begin_round(&mut core, None, false) {
                Ok(round) => Some(round),
                Err(error) => return self.fail(core, error),
            }
        } else {
            None
        };
        let (core, round) = self.commit(core, round);
        match round {
            Some(round) => self.finish(core, round).0,
            None => core,
        }
    }

    fn fail<'a>(&'a self, mut core: Guard<'a>, error: RecordError) -> Guard<'a> {
        core.failed.get_or_insert(error);
        core.rounding = false;
        self.changed.notify_all();
        core
    }

    /// Writes and syncs the filling frame, with the checkpoints of a round. While it is in flight the next one fills.
    pub(super) fn commit<'a>(&'a self, mut core: Guard<'a>, mut round: Option<Round>) -> (Guard<'a>, Option<Round>) {
        let Some(mut writer) = core.writer.take() else { return (core, None) };
        let next = core.filling.commit.saturating_add(1);
        let empty = core.spare.take().unwrap_or_else(FrameBuilder::new);
        let mut filled = std::mem::replace(&mut core.filling, Filling::new(next, empty));
        let time = micros(filled.now).max(core.last_time);
        core.last_time = time;
        core.in_flight = true;
        drop(core);
        let signed = round.as_mut().map_or(Ok(()), |round| round.sign(&mut filled.frame, self.fixed.keys.signing()));
        let outcome = signed.and_then(|()| writer.commit(&self.fixed, &mut filled.frame, filled.commit, time));
        let mut core = self.lock();
        core.in_flight = false;
        match outcome {
            Ok(written) => {
                core.durable = filled.commit;
                core.chain = written.chain;
                core.note_places(&filled.firsts, written.segment, written.offset);
                if let Some(round) = &mut round {
                    core.trees_root = round.trees_root;
                    round.stand = Some((next, writer.key.copy()));
                }
            }
            Err(error) => {
                core.failed = Some(error);
                core.rounding = false;
                round = None;
            }
        }
        core.writer = Some(writer);
        filled.frame.clear();
        core.spare = Some(filled.frame);
        self.changed.notify_all();
        (core, round)
    }

    /// Until no frame is in flight and no round is being finished.
    pub(super) fn quiet(&self) -> Result<Guard<'_>, RecordError> {
        let mut core = self.lock();
        loop {
            if let Some(refusal) = core.refusal() {
                return Err(refusal);
            }
            if !core.in_flight && !core.rounding {
                return Ok(core);
            }
            core = self.wait(core);
        }
    }

    pub(super) fn finished<'a>(
        &'a self,
        mut core: Guard<'a>,
        outcome: Result<(), RecordError>,
    ) -> (Guard<'a>, Result<(), RecordError>) {
        core.rounding = false;
        if let Err(error) = &outcome {
            core.failed.get_or_insert_with(|| error.clone());
        }
        self.changed.notify_all();
        (core, outcome)
    }

    pub(super) fn head(&self) -> Head {
        let core = self.lock();
        Head {
            origin: self.fixed.meta.origin.to_string(),
            log_id: hex(&self.fixed.meta.log_id),
            commit: core.durable,
            chain: core.chain,
            trees_root: core.trees_root,
        }
    }

    pub(super) fn tree_size(&self, tree: &Tree) -> Option<u64> {
        self.lock().trees.get(tree).map(|growing| growing.edge.len())
    }

    /// The last commit that is durable, and where to begin reading for a leaf.
    pub(super) fn durable(&self, tree: &Tree, leaf: u64) -> (u64, Place) {
        let core = self.lock();
        let place = core.trees.get(tree).map(|growing| growing.places.before(leaf));
        (core.durable, place.unwrap_or_default())
    }

    /// Where the event with an id is, if it is one of the last.
    pub(super) fn find(&self, tree: &Tree, id: EventId) -> Option<u64> {
        let mut core = self.lock();
        let number = core.trees.get(tree)?.number;
        core.seen.find(number, id).map(|seen| seen.index)
    }

    /// Whether a frame seems to be on its way to a disk that does not answer.
    #[cfg(test)]
    pub(super) fn hang(&self, hangs: bool) {
        self.lock().in_flight = hangs;
    }

    pub(super) fn mark_closed(&self, mut core: Guard<'_>) {
        core.closed = true;
        self.changed.notify_all();
    }
}

impl Core {
    fn refusal(&self) -> Option<RecordError> {
        if self.closed { Some(RecordError::Closed) } else { self.failed.clone() }
    }

    fn next_number(&self) -> u32 {
        u32::try_from(self.trees.len()).unwrap_or(u32::MAX)
    }

    /// A retry gets the place of the first attempt; a known id on another event is refused.
    fn known(&mut self, leaf: &NewLeaf) -> Result<Option<(u64, u64)>, RecordError> {
        let Some(growing) = self.trees.get(&leaf.tree) else { return Ok(None) };
        match self.seen.find(growing.number, leaf.id) {
            Some(seen) if seen.is_same(&leaf.print) => Ok(Some((seen.index, seen.commit))),
            Some(_) => Err(RecordError::DuplicateEventId(leaf.id.to_string())),
            None => Ok(None),
        }
    }

    fn dropped(&mut self, id: EventId, tree: Tree, leaves: &Leaves, cause: &'static str, now: SystemTime) -> Accepted {
        for leaf in leaves.each() {
            let kind = crate::event::leaf::Leaf::parse(leaf.bytes.as_bytes()).ok();
            let kind = kind
                .and_then(|leaf| crate::catalogue::find(leaf.kind))
                .map_or("event.unnamed", crate::catalogue::EventType::name);
            self.drops.count(&leaf.tree, kind, cause, now);
        }
        Accepted { id, tree, place: None }
    }

    fn push(&mut self, leaf: &NewLeaf, now: SystemTime) -> (u64, u64) {
        let (number, commit) = (self.next_number(), self.filling.commit);
        let growing = if let Some(growing) = self.trees.get_mut(&leaf.tree) {
            growing
        } else {
            self.trees.entry(leaf.tree.clone()).or_insert(Growing { number, ..Growing::default() })
        };
        let index = growing.edge.len();
        if growing.commit != commit {
            growing.commit = commit;
            self.filling.firsts.push((leaf.tree.clone(), index));
        }
        let tiles = &mut growing.tiles;
        growing.edge.push(leaf.hash, &mut |tile| tiles.push(tile));
        growing.waiting.get_or_insert(now);
        self.filling.frame.push(&NewRecord::event(&leaf.tree, index, leaf.bytes.as_bytes(), leaf.hash));
        self.filling.now = self.filling.now.max(now);
        self.seen.push(growing.number, (leaf.id, index, commit, leaf.print));
        self.since_round = self.since_round.saturating_add(1);
        (index, commit)
    }

    /// Where the leaves of a frame are that was written.
    fn note_places(&mut self, firsts: &[(Tree, u64)], segment: u64, offset: u64) {
        for (tree, leaf) in firsts {
            if let Some(growing) = self.trees.get_mut(tree) {
                growing.places.note(Place { leaf: *leaf, segment, offset });
            }
        }
    }

    pub(super) fn filling_now(&self) -> SystemTime {
        self.filling.now
    }

    pub(super) fn advance(&mut self, now: SystemTime) {
        self.filling.now = self.filling.now.max(now);
    }
}
