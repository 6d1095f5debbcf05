//! Rounds: checkpoints in the log, then the state of the MAC chain, then the files that are made of them.

use std::sync::MutexGuard;
use std::time::{Duration, SystemTime};

use super::RecordError;
use super::commit::{Core, Growing, Shared};
use super::writer::unavailable;
use crate::catalogue::{AuditHeadsRecorded, AuditLogClosed};
use crate::event::Actor;
use crate::fs;
use crate::merkle::{Hash, Tile, leaf_hash};
use crate::name::{Origin, Tree};
use crate::note::{Checkpoint, SigningKey, encode_base64};
use crate::verify::scan_root;
use crate::wal::frame::{FrameBuilder, NewRecord};
use crate::wal::mac::MacKey;
use crate::wal::state::MacState;

/// A round is due after this time.
const INTERVAL: Duration = Duration::from_secs(1);
/// Or after this many events.
const MAX_EVENTS: u64 = 65_536;
/// A tenant's tree is signed at most this often, unless it is asked for.
const TENANT_INTERVAL: Duration = Duration::from_mins(1);
/// Most signatures in a round.
const MAX_SIGNATURES: usize = 1_000;

/// A checkpoint of a tree, signed and durable.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: String,
}

impl Signed {
    pub(super) const fn size(&self) -> u64 {
        self.checkpoint.size()
    }
}

/// A round that was begun: its events are in the frame, its checkpoints are still to be signed, in the frame and in files.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) trees_root: Hash,
    /// The next commit and its key.
    pub(super) stand: Option<(u64, MacKey)>,
    checkpoints: Vec<(Tree, Checkpoint)>,
    signed: Vec<(Tree, Signed)>,
    tiles: Vec<(Tree, Tile)>,
}

impl Round {
    /// Signs the checkpoints into the frame. This takes no lock: a signature costs as much as twenty events.
    pub(super) fn sign(&mut self, frame: &mut FrameBuilder, key: &SigningKey) -> Result<(), RecordError> {
        for (tree, checkpoint) in self.checkpoints.drain(..) {
            let note = checkpoint.sign(key)?;
            frame.push(&NewRecord::checkpoint(&tree, &note));
            self.signed.push((tree, Signed { checkpoint, note }));
        }
        Ok(())
    }
}

type Guard<'a> = MutexGuard<'a, Core>;

impl Core {
    pub(super) fn is_round_due(&self) -> bool {
        let passed = self.filling_now().duration_since(self.last_round).unwrap_or_default();
        self.since_round > 0 && (passed >= INTERVAL || self.since_round >= MAX_EVENTS)
    }

    /// Tenants' trees whose checkpoint is due, longest waiting first.
    fn due(&self, asked: Option<&Tree>, all: bool) -> Vec<Tree> {
        let now = self.filling_now();
        let mut due: Vec<(SystemTime, &Tree)> = self
            .trees
            .iter()
            .filter(|(tree, growing)| {
                let rested = growing
                    .newest
                    .as_ref()
                    .is_none_or(|(_, at)| now.duration_since(*at).unwrap_or_default() >= TENANT_INTERVAL);
                **tree != Tree::Deployment && (all || rested || asked == Some(*tree))
            })
            .filter_map(|(tree, growing)| Some((growing.waiting?, tree)))
            .collect();
        due.sort_unstable_by_key(|(since, tree)| (asked != Some(*tree), *since));
        due.into_iter().take(MAX_SIGNATURES.saturating_sub(1)).map(|(_, tree)| tree.clone()).collect()
    }

    fn root(&self, with_deployment: bool) -> Hash {
        let trees = self.trees.iter().filter(|(tree, _)| with_deployment || **tree != Tree::Deployment);
        let bodies = trees
            .filter_map(|(tree, growing)| Some((tree.name(), leaf_hash(growing.newest.as_ref()?.0.body().as_bytes()))));
        scan_root(bodies.collect())
    }

    /// The next checkpoint of a tree: all its leaves.
    fn checkpoint(&mut self, tree: &Tree, prefix: &Origin, now: SystemTime) -> Option<(Tree, Checkpoint)> {
        let growing = self.trees.get_mut(tree)?;
        let checkpoint = Checkpoint::new(&tree.origin(prefix), growing.edge.len(), growing.edge.root());
        growing.newest = Some((checkpoint.clone(), now));
        growing.waiting = None;
        Some((tree.clone(), checkpoint))
    }
}

impl Shared {
    /// A round now. `asked` is signed whether or not its minute is over.
    pub(super) fn round(&self, now: SystemTime, asked: Option<&Tree>, all: bool) -> Result<(), RecordError> {
        let mut core = self.quiet()?;
        core.advance(now);
        let wanted = asked.is_some_and(|tree| core.trees.get(tree).is_some_and(|growing| growing.waiting.is_some()));
        if core.since_round == 0 && core.drops.is_empty() && !wanted && !all {
            return Ok(());
        }
        let round = match self.begin_round(&mut core, asked, all) {
            Ok(round) => round,
            Err(error) => return self.finished(core, Err(error)).1,
        };
        let (core, round) = self.commit(core, Some(round));
        if let Some(round) = round {
            return self.finish(core, round).1;
        }
        drop(core);
        self.quiet().map(drop)
    }

    /// Puts the events of a round into the filling frame. From here on no other round begins.
    ///
    /// The roots are taken here, while nothing can be added; the frame goes before anything else is.
    pub(super) fn begin_round(&self, core: &mut Core, asked: Option<&Tree>, all: bool) -> Result<Round, RecordError> {
        let (now, prefix) = (core.filling_now(), &self.fixed.meta.origin);
        core.rounding = true;
        for (tree, event) in core.drops.take() {
            self.push_own(core, event, &tree, now)?;
        }
        let due = core.due(asked, all);
        let mut checkpoints: Vec<_> = due.iter().filter_map(|tree| core.checkpoint(tree, prefix, now)).collect();
        let with_checkpoint =
            |(tree, growing): &(&Tree, &Growing)| **tree != Tree::Deployment && growing.newest.is_some();
        let trees = core.trees.iter().filter(with_checkpoint).count();
        let root = encode_base64(&core.root(false));
        let event = AuditHeadsRecorded::new().trees(i64::try_from(trees).unwrap_or(i64::MAX)).root(root);
        self.push_own(core, event.by(Actor::system()), &Tree::Deployment, now)?;
        checkpoints.extend(core.checkpoint(&Tree::Deployment, prefix, now));
        core.since_round = 0;
        core.last_round = now;
        let trees_root = core.root(true);
        let tiles =
            core.trees.iter().flat_map(|(tree, growing)| growing.tiles.iter().map(|tile| (tree.clone(), tile.clone())));
        let tiles = tiles.collect();
        Ok(Round { trees_root, stand: None, checkpoints, signed: Vec::new(), tiles })
    }

    /// `mac.state`, then tiles and checkpoint files. Receipts were given before: these follow from what is durable.
    pub(super) fn finish<'a>(&'a self, core: Guard<'a>, round: Round) -> (Guard<'a>, Result<(), RecordError>) {
        drop(core);
        let outcome = self.write_finish(&round);
        let mut core = self.lock();
        if outcome.is_ok() {
            for (tree, written) in &round.tiles {
                if let Some(growing) = core.trees.get_mut(tree) {
                    growing.tiles.retain(|tile| (tile.level, tile.index) != (written.level, written.index));
                }
            }
            for (tree, signed) in round.signed {
                if let Some(growing) = core.trees.get_mut(&tree) {
                    growing.signed = Some(signed);
                }
            }
        }
        self.finished(core, outcome)
    }

    fn write_finish(&self, round: &Round) -> Result<(), RecordError> {
        if let Some((next_commit, key)) = &round.stand {
            self.write_state(true, *next_commit, key)?;
        }
        let (files, dir) = (self.fixed.fs.as_ref(), &self.fixed.dir);
        let mut cache = self.cache();
        for (tree, tile) in &round.tiles {
            cache.write(files, dir, tree, &Tile::path(tile.level, tile.index), &tile.bytes)?;
        }
        let signed = &round.signed;
        signed.iter().try_for_each(|(tree, signed)| cache.write(files, dir, tree, "checkpoint", signed.note.as_bytes()))
    }

    pub(super) fn write_state(&self, open: bool, next_commit: u64, key: &MacKey) -> Result<(), RecordError> {
        let sealed = self.fixed.keys.sealer().seal(key)?;
        let path = self.fixed.dir.join("mac.state");
        let bytes = MacState { open, next_commit, sealed }.encode();
        fs::replace(self.fixed.fs.as_ref(), &path, &bytes).map_err(|error| unavailable(path, error))
    }

    /// The last rounds, the last words, and the state that says so.
    pub(super) fn close(&self, now: SystemTime) -> Result<(), RecordError> {
        let mut core = self.quiet()?;
        core.advance(now);
        let commit = core.filling.commit;
        let event =
            AuditLogClosed::new().log(self.fixed.meta.hex_id()).commit(i64::try_from(commit).unwrap_or(i64::MAX));
        self.push_own(&mut core, event.by(Actor::system()), &Tree::Deployment, now)?;
        drop(core);
        loop {
            self.round(now, None, true)?;
            let core = self.quiet()?;
            let waiting = core.trees.values().any(|growing| growing.waiting.is_some());
            if !waiting && core.drops.is_empty() && core.filling.frame.records() == 0 {
                if let Some(writer) = &core.writer {
                    let (next, key) = (core.filling.commit, writer.key.copy());
                    self.cache().sync(self.fixed.fs.as_ref())?;
                    self.write_state(false, next, &key)?;
                }
                self.mark_closed(core);
                return Ok(());
            }
        }
    }
}
