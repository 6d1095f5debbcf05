//! Making a log, opening one, and what recovery may repair.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::cache::Cache;
use super::commit::{Fixed, Restored, Shared, Start};
use super::round::Signed;
use super::writer::Writer;
use super::{Log, LogKeys, OpenLogError};
use crate::catalogue::{AuditLogOpened, AuditLogRecovered};
use crate::event::Actor;
use crate::fs::{self, FileSystem, Held};
use crate::head::Head;
use crate::merkle::{Edge, Tile, sha256};
use crate::name::{Origin, Tree};
use crate::verify::scan::{Evidence, Scanned};
use crate::verify::{Quarantined, quarantine_name};
use crate::wal::frame::{Frame, Kind};
use crate::wal::mac::MacKey;
use crate::wal::meta::{LogMeta, hex};
use crate::wal::segment::SegmentHeader;
use crate::wal::state::MacState;
use crate::wal::{chain, micros};

/// Something that was repaired when the log was opened; an event `audit.log.recovered` says the same.
///
/// ```
/// # use qsec_audit::{Log, LogKeys, MacKey, Origin, SigningKey, danger};
/// # let now = std::time::UNIX_EPOCH;
/// # let folder = tempfile::tempdir()?;
/// # let keys = LogKeys::new(SigningKey::generate()?, danger::plain_sealer());
/// let log = Log::create(folder.path(), &Origin::parse("qsec.example/n1")?, keys, &MacKey::generate()?, now)?;
/// assert!(log.recovered().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    segment: u64,
    offset: u64,
    bytes: u64,
    digest: String,
    rebuilt: u64,
}

impl Recovery {
    /// The segment whose tail was taken off.
    pub const fn segment(&self) -> u64 {
        self.segment
    }

    /// Where it was cut.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes were taken off; 0 if only files of trees were rebuilt.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files of trees were rebuilt.
    pub const fn rebuilt(&self) -> u64 {
        self.rebuilt
    }
}

fn unavailable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> OpenLogError {
    let path = path.into();
    move |error| OpenLogError::Unavailable { path, source: Arc::new(error) }
}

/// Takes the folder: nobody else may write to it, and no other process has it.
fn take(files: &dyn FileSystem, dir: &Path) -> Result<Box<dyn Held>, OpenLogError> {
    if files.is_writable_by_others(dir).map_err(unavailable(dir))? {
        return Err(OpenLogError::Permissions(dir.to_owned()));
    }
    let lock = dir.join("lock");
    files.lock(&lock).map_err(unavailable(lock))?.ok_or_else(|| OpenLogError::Busy(dir.to_owned()))
}

fn has_meta(files: &dyn FileSystem, dir: &Path) -> Result<bool, OpenLogError> {
    let entries = files.list(dir).map_err(unavailable(dir))?;
    Ok(entries.iter().any(|entry| entry.name == "log.meta"))
}

pub(super) fn create(
    files: Arc<dyn FileSystem>,
    dir: &Path,
    origin: &Origin,
    keys: LogKeys,
    first: &MacKey,
    now: SystemTime,
) -> Result<Log, OpenLogError> {
    files.create_folder(dir).map_err(unavailable(dir))?;
    let held = take(files.as_ref(), dir)?;
    if has_meta(files.as_ref(), dir)? {
        return Err(OpenLogError::Exists(dir.to_owned()));
    }
    let mut log_id = [0; 16];
    SystemRandom::new().fill(&mut log_id).map_err(|_| OpenLogError::Record(super::RecordError::Random))?;
    let meta = LogMeta::new(log_id, origin.clone(), now);
    for folder in ["wal", "trees", "quarantine"] {
        let path = dir.join(folder);
        files.create_folder(&path).map_err(unavailable(path))?;
    }
    let start = chain::log_start(&log_id, &meta.digest());
    let header = SegmentHeader::new(&meta, 0, 1, micros(now), start).encode();
    let sealed = keys.sealer().seal(&first.next())?;
    let state = MacState { open: false, next_commit: 1, sealed }.encode();
    // `log.meta` comes last: until it is there, there is no log, and creation can be repeated.
    for (file, bytes) in [
        (dir.join("wal").join(SegmentHeader::file_name(0)), header.as_slice()),
        (dir.join("mac.state"), state.as_slice()),
        (dir.join("log.meta"), meta.encode().as_bytes()),
    ] {
        fs::replace(files.as_ref(), &file, bytes).map_err(unavailable(file))?;
    }
    start_log(files, dir, keys, None, held, now)
}

pub(super) fn open(
    files: Arc<dyn FileSystem>,
    dir: &Path,
    keys: LogKeys,
    expected_head: Option<&Head>,
    now: SystemTime,
) -> Result<Log, OpenLogError> {
    if !has_meta(files.as_ref(), dir)? {
        return Err(OpenLogError::NotALog(dir.to_owned()));
    }
    let held = take(files.as_ref(), dir)?;
    start_log(files, dir, keys, expected_head, held, now)
}

fn start_log(
    files: Arc<dyn FileSystem>,
    dir: &Path,
    keys: LogKeys,
    head: Option<&Head>,
    held: Box<dyn Held>,
    now: SystemTime,
) -> Result<Log, OpenLogError> {
    let state = files.read(&dir.join("mac.state")).ok().as_deref().and_then(MacState::parse);
    let key = state
        .map(|state| Ok::<_, OpenLogError>((state.next_commit, keys.sealer().open(&state.sealed)?)))
        .transpose()?;
    let verifiers = [keys.signing().verifier_key("_")];
    let evidence = Evidence { key, head, verifiers: &verifiers, remembered: None, appending: true };
    let scanned = Scanned::new(files.as_ref(), dir, &evidence).map_err(unavailable(dir))?;
    if scanned.findings.is_tampered() {
        return Err(OpenLogError::Tampered { path: dir.to_owned(), findings: scanned.findings.into_list() });
    }
    let (recovered, torn) = repair(files.as_ref(), dir, &scanned)?;
    let (Some(meta), Some(key)) = (scanned.meta, scanned.key) else {
        return Err(OpenLogError::Tampered { path: dir.to_owned(), findings: scanned.findings.into_list() });
    };
    let trees_root = scanned.trees.root(true);
    let trees = scanned.trees.list.into_iter().map(|grown| {
        let signed = grown.newest.map(|(checkpoint, note)| Signed { checkpoint, note });
        Restored { tree: grown.tree, edge: grown.edge, signed, recent: grown.recent, places: grown.places }
    });
    let last = scanned.last;
    let start = Start {
        trees: trees.collect(),
        writer: Writer {
            file: None,
            segment: last.segment,
            length: last.length,
            created: last.segment_created,
            chain: last.chain,
            key,
            roll: torn,
        },
        next_commit: last.commit.saturating_add(1),
        chain: last.chain,
        trees_root,
        last_time: last.time,
    };
    let source = meta.source();
    let fixed = Fixed { fs: files, dir: dir.to_owned(), meta, source, keys, recovered, _lock: held };
    begin(Shared::new(fixed, start, now), now)
}

/// The state says *open* before the first frame, and the first events say what happened.
fn begin(shared: Shared, now: SystemTime) -> Result<Log, OpenLogError> {
    let mut core = shared.quiet()?;
    let next = core.filling.commit;
    let key = core.writer.as_ref().map(|writer| writer.key.copy());
    if let Some(key) = key {
        shared.write_state(true, next, &key)?;
    }
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    for recovery in &shared.fixed.recovered {
        let event = AuditLogRecovered::new()
            .segment(number(recovery.segment))
            .offset(number(recovery.offset))
            .bytes(number(recovery.bytes))
            .digest(recovery.digest.as_str())
            .cause("unclean_stop")
            .rebuilt(number(recovery.rebuilt));
        shared.push_own(&mut core, event.by(Actor::system()), &Tree::Deployment, now)?;
    }
    let event = AuditLogOpened::new().log(shared.fixed.meta.hex_id()).commit(number(next));
    shared.push_own(&mut core, event.by(Actor::system()), &Tree::Deployment, now)?;
    drop(core);
    shared.wait_for(next)?;
    Ok(Log { shared: Arc::new(shared) })
}

/// Takes off what was never acknowledged, and makes anew what follows from the log. Says whether the last segment was cut.
fn repair(files: &dyn FileSystem, dir: &Path, scanned: &Scanned) -> Result<(Vec<Recovery>, bool), OpenLogError> {
    let mut recovered: Vec<Recovery> = scanned.unnamed_quarantine.iter().map(named).collect();
    for unfinished in &scanned.unfinished {
        files.remove(unfinished).map_err(unavailable(unfinished))?;
    }
    let last = scanned.last;
    let segment = dir.join("wal").join(SegmentHeader::file_name(last.segment));
    if let Some(tail) = &scanned.tail {
        let path = dir.join(quarantine_name(last.segment, last.length));
        fs::replace(files, &path, &tail.bytes).map_err(unavailable(path))?;
        let cut = files.open(&segment).and_then(|mut file| {
            file.cut(last.length)?;
            file.sync()
        });
        cut.map_err(unavailable(&segment))?;
        let taken = Quarantined { segment: last.segment, offset: last.length, bytes: tail.bytes.clone() };
        let taken = named(&taken);
        recovered.retain(|known| (known.segment, known.offset) != (taken.segment, taken.offset));
        recovered.push(taken);
    }
    if scanned.is_open() && last.frame > 0 {
        make_durable(files, &segment, last.length, last.frame).map_err(unavailable(&segment))?;
    }
    if scanned.missing_cache > 0 {
        rebuild(files, dir, scanned)?;
        let rebuilt = scanned.missing_cache;
        if let Some(recovery) = recovered.last_mut() {
            recovery.rebuilt = rebuilt;
        } else {
            let (segment, offset) = (last.segment, last.length);
            recovered.push(Recovery { segment, offset, bytes: 0, digest: hex(&sha256(&[])), rebuilt });
        }
    }
    Ok((recovered, scanned.tail.is_some() || !scanned.unnamed_quarantine.is_empty()))
}

fn named(taken: &Quarantined) -> Recovery {
    let bytes = u64::try_from(taken.bytes.len()).unwrap_or(u64::MAX);
    Recovery { segment: taken.segment, offset: taken.offset, bytes, digest: hex(&sha256(&[&taken.bytes])), rebuilt: 0 }
}

/// A good last frame of an unclean stop may be in the page cache alone: its sync may have failed, and a kernel that reported the
/// error once calls the pages clean. Written once more, the next sync is about them.
fn make_durable(files: &dyn FileSystem, segment: &Path, end: u64, length: u64) -> io::Result<()> {
    let bytes = files.read(segment)?;
    let start = end.saturating_sub(length);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let frame = range.and_then(|(start, end)| bytes.get(start..end)).unwrap_or_default();
    let mut file = files.open(segment)?;
    file.rewrite(start, frame)?;
    file.sync()
}

/// Checkpoint files and tiles, from the log.
fn rebuild(files: &dyn FileSystem, dir: &Path, scanned: &Scanned) -> Result<(), OpenLogError> {
    let mut cache = Cache::default();
    for grown in &scanned.trees.list {
        if let Some((_, note)) = &grown.newest {
            cache.write(files, dir, &grown.tree, "checkpoint", note.as_bytes())?;
        }
    }
    let mut edges: Vec<(&Tree, Edge)> = scanned.trees.list.iter().map(|grown| (&grown.tree, Edge::default())).collect();
    for number in 0..scanned.segments {
        let path = dir.join("wal").join(SegmentHeader::file_name(number));
        let bytes = files.read(&path).map_err(unavailable(&path))?;
        let mut rest = bytes.get(crate::wal::segment::HEADER..).unwrap_or_default();
        while let Ok(frame) = Frame::parse(rest) {
            rest = rest.get(frame.length..).unwrap_or_default();
            for record in frame.records.iter().filter(|record| record.kind == Kind::Event) {
                let Some((tree, edge)) = edges.iter_mut().find(|(tree, _)| record.is_of(tree)) else { continue };
                let mut full = Vec::new();
                edge.push(record.digest(), &mut |tile| full.push(tile));
                for tile in full {
                    cache.write(files, dir, tree, &Tile::path(tile.level, tile.index), &tile.bytes)?;
                }
            }
        }
    }
    Ok(cache.sync(files)?)
}
