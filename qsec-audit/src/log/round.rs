//! Rounds: checkpoints in the log, then the state of the MAC chain, then the files that are made of them.

use std::path::Path;
use std::sync::MutexGuard;
use std::time::{Duration, SystemTime};

use super::RecordError;
use super::commit::{Core, Shared};
use super::writer::unavailable;
use crate::catalogue::{AuditHeadsRecorded, AuditLogClosed};
use crate::event::Actor;
use crate::fs;
use crate::merkle::{Hash, Tile, leaf_hash};
use crate::name::Tree;
use crate::note::{Checkpoint, encode_base64};
use crate::verify::scan_root;
use crate::wal::frame::NewRecord;
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

/// The newest checkpoint of a tree.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: String,
    pub(super) at: SystemTime,
}

impl Signed {
    pub(super) const fn size(&self) -> u64 {
        self.checkpoint.size()
    }
}

/// What is left of a round after its frame is durable.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) trees_root: Hash,
    /// The next commit and its key.
    pub(super) stand: Option<(u64, MacKey)>,
    checkpoints: Vec<(Tree, String)>,
    tiles: Vec<(Tree, Tile)>,
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
                    .signed
                    .as_ref()
                    .is_none_or(|signed| now.duration_since(signed.at).unwrap_or_default() >= TENANT_INTERVAL);
                **tree != Tree::Deployment && (all || rested || asked == Some(*tree))
            })
            .filter_map(|(tree, growing)| Some((growing.waiting?, tree)))
            .collect();
        due.sort_unstable_by_key(|(since, tree)| (asked != Some(*tree), *since));
        due.into_iter().take(MAX_SIGNATURES.saturating_sub(1)).map(|(_, tree)| tree.clone()).collect()
    }

    fn root(&self, with_deployment: bool) -> Hash {
        let signed = self.trees.iter().filter(|(tree, _)| with_deployment || **tree != Tree::Deployment);
        let bodies = signed.filter_map(|(tree, growing)| {
            Some((tree.name(), leaf_hash(growing.signed.as_ref()?.checkpoint.body().as_bytes())))
        });
        scan_root(bodies.collect())
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
        let finish = match self.add_round(&mut core, asked, all) {
            Ok(finish) => finish,
            Err(error) => return self.finished(core, Err(error)).1,
        };
        let (core, finish) = self.commit(core, Some(finish));
        if let Some(finish) = finish {
            return self.finish(core, &finish).1;
        }
        drop(core);
        self.quiet().map(drop)
    }

    /// Puts the records of a round into the filling frame. From here on no other round begins.
    pub(super) fn add_round(&self, core: &mut Core, asked: Option<&Tree>, all: bool) -> Result<Finish, RecordError> {
        let now = core.filling_now();
        core.rounding = true;
        for (tree, event) in core.drops.take() {
            self.push_own(core, event, &tree, now)?;
        }
        let mut checkpoints = Vec::new();
        for tree in core.due(asked, all) {
            self.sign(core, &tree, now, &mut checkpoints)?;
        }
        let signed =
            core.trees.iter().filter(|(tree, growing)| **tree != Tree::Deployment && growing.signed.is_some()).count();
        let root = encode_base64(&core.root(false));
        let event = AuditHeadsRecorded::new().trees(i64::try_from(signed).unwrap_or(i64::MAX)).root(root);
        self.push_own(core, event.by(Actor::system()), &Tree::Deployment, now)?;
        self.sign(core, &Tree::Deployment, now, &mut checkpoints)?;
        core.since_round = 0;
        core.last_round = now;
        let trees_root = core.root(true);
        let with_tiles = core.trees.iter().filter(|(_, growing)| !growing.tiles.is_empty());
        let tiles = with_tiles
            .flat_map(|(tree, growing)| growing.tiles.iter().map(|tile| (tree.clone(), tile.clone())))
            .collect();
        Ok(Finish { trees_root, stand: None, checkpoints, tiles })
    }

    fn sign(
        &self,
        core: &mut Core,
        tree: &Tree,
        now: SystemTime,
        notes: &mut Vec<(Tree, String)>,
    ) -> Result<(), RecordError> {
        let Some(growing) = core.trees.get_mut(tree) else { return Ok(()) };
        let origin = tree.origin(&self.fixed.meta.origin);
        let checkpoint = Checkpoint::new(&origin, growing.edge.len(), growing.edge.root());
        let note = checkpoint.sign(self.fixed.keys.signing())?;
        core.filling.frame.push(&NewRecord::checkpoint(tree, &note));
        growing.signed = Some(Signed { checkpoint, note: note.clone(), at: now });
        growing.waiting = None;
        notes.push((tree.clone(), note));
        Ok(())
    }

    /// `mac.state`, then tiles and checkpoint files. Receipts were given before: these follow from what is durable.
    pub(super) fn finish<'a>(&'a self, core: Guard<'a>, finish: &Finish) -> (Guard<'a>, Result<(), RecordError>) {
        drop(core);
        let outcome = self.write_finish(finish);
        let mut core = self.lock();
        if outcome.is_ok() {
            for (tree, written) in &finish.tiles {
                if let Some(growing) = core.trees.get_mut(tree) {
                    growing.tiles.retain(|tile| (tile.level, tile.index) != (written.level, written.index));
                }
            }
        }
        self.finished(core, outcome)
    }

    fn write_finish(&self, finish: &Finish) -> Result<(), RecordError> {
        if let Some((next_commit, key)) = &finish.stand {
            self.write_state(true, *next_commit, key)?;
        }
        for (tree, tile) in &finish.tiles {
            self.write_tree_file(tree, &Tile::path(tile.level, tile.index), &tile.bytes)?;
        }
        finish.checkpoints.iter().try_for_each(|(tree, note)| self.write_tree_file(tree, "checkpoint", note.as_bytes()))
    }

    pub(super) fn write_state(&self, open: bool, next_commit: u64, key: &MacKey) -> Result<(), RecordError> {
        let sealed = self.fixed.keys.sealer().seal(key)?;
        let path = self.fixed.dir.join("mac.state");
        let bytes = MacState { open, next_commit, sealed }.encode();
        fs::replace(self.fixed.fs.as_ref(), &path, &bytes).map_err(|error| unavailable(path, error))
    }

    fn write_tree_file(&self, tree: &Tree, file: &str, bytes: &[u8]) -> Result<(), RecordError> {
        write_tree_file(self.fixed.fs.as_ref(), &self.fixed.dir, tree, file, bytes)
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
                    self.write_state(false, next, &key)?;
                }
                self.mark_closed(core);
                return Ok(());
            }
        }
    }
}

/// Writes a file below `trees/<tree>/`, and the folders on the way.
pub(super) fn write_tree_file(
    files: &dyn fs::FileSystem,
    dir: &Path,
    tree: &Tree,
    file: &str,
    bytes: &[u8],
) -> Result<(), RecordError> {
    let mut path = dir.join("trees").join(tree.name());
    let create = |path: &Path| files.create_folder(path).map_err(|error| unavailable(path, error));
    create(&path)?;
    let (folders, name) = file.rsplit_once('/').unwrap_or(("", file));
    for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
        path.push(folder);
        create(&path)?;
    }
    path.push(name);
    fs::replace(files, &path, bytes).map_err(|error| unavailable(path, error))
}
