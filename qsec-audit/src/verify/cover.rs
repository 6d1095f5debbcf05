//! Every file under the log folder is covered by something, or is a finding.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::before::{Before, STATE, read_optional};
use super::finding::Place;
use super::scan::Scanned;
use crate::fs::{FileSystem, UNFINISHED};
use crate::merkle::{Tile, sha256};
use crate::name::Tree;
use crate::note::Checkpoint;
use crate::wal::meta::hex;
use crate::wal::segment::SegmentHeader;
use crate::wal::state::MacState;

/// A quarantined file that no event names yet.
#[derive(Debug, Clone)]
pub(crate) struct Quarantined {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn quarantine_name(segment: u64, offset: u64) -> String {
    format!("quarantine/{segment}-{offset}.torn")
}

fn parse_quarantine_name(file: &str) -> Option<(u64, u64)> {
    let (segment, offset) = file.strip_prefix("quarantine/")?.strip_suffix(".torn")?.split_once('-')?;
    let (segment, offset) = (segment.parse().ok()?, offset.parse().ok()?);
    (quarantine_name(segment, offset) == file).then_some((segment, offset))
}

pub(super) fn check(scanned: &mut Scanned, fs: &dyn FileSystem, dir: &Path, before: &Before) -> io::Result<()> {
    let files = &before.files;
    let mut expected = ExpectedFiles { before, covered: BTreeSet::new() };
    for name in ["log.meta", STATE, "wal/", "trees/", "quarantine/"] {
        expected.covered.insert(name.to_owned());
    }
    expected.lock(scanned, fs, dir)?;
    expected.covered.extend(files.iter().filter(|file| is_segment(file)).cloned());
    expected.covered.extend(std::mem::take(&mut scanned.tiles));
    expected.tree_files(scanned);
    expected.quarantine(scanned, fs, dir)?;
    for file in files {
        // An empty folder of a tree has no byte to cover; an interrupted round leaves one.
        let empty = scanned.is_open() && file.starts_with("trees/") && file.ends_with('/');
        if empty || expected.covered.contains(file) {
            continue;
        }
        if file.ends_with(UNFINISHED) && (scanned.is_open() || is_opening(scanned, fs, dir, file)?) {
            scanned.unfinished.push(dir.join(file));
            scanned.findings.note("torn_tail", "a file that was being replaced", Place::file(file.clone()));
        } else {
            scanned.findings.tampered("unexpected_file", "nothing covers this file", Place::file(file.clone()));
        }
    }
    Ok(())
}

/// Compares the tiles that became full with their files. A tile never changes again, so it does not matter when it is read.
pub(super) fn check_tiles(scanned: &mut Scanned, fs: &dyn FileSystem, dir: &Path) -> io::Result<()> {
    let is_open = scanned.is_open();
    for (position, tile) in std::mem::take(&mut scanned.trees.full) {
        let Some(grown) = scanned.trees.list.get(position) else { continue };
        let file = format!("trees/{}/{}", grown.tree, Tile::path(tile.level, tile.index));
        let place = || Place::file(file.clone()).tree(&grown.tree);
        match read_optional(fs, &dir.join(&file))? {
            Some(bytes) if bytes == tile.bytes => {}
            Some(bytes) if is_open && is_cut(&bytes, &tile.bytes) => {
                scanned.missing_cache = scanned.missing_cache.saturating_add(1);
            }
            None if is_open => scanned.missing_cache = scanned.missing_cache.saturating_add(1),
            Some(_) => scanned.findings.tampered("cache_damaged", "the tile differs from the log", place()),
            None => scanned.findings.tampered("cache_damaged", "a full tile is missing", place()),
        }
        scanned.tiles.push(file);
    }
    Ok(())
}

/// What a process leaves that was stopped while it opened a closed log: the beginning of the state that says *open*.
fn is_opening(scanned: &Scanned, fs: &dyn FileSystem, dir: &Path, file: &str) -> io::Result<bool> {
    let Some(state) = scanned.state.as_ref().filter(|_| file == "mac.state.new") else { return Ok(false) };
    let Some(bytes) = read_optional(fs, &dir.join(file))? else { return Ok(false) };
    let (next_commit, sealed) = (state.next_commit, state.sealed.clone());
    let opening = MacState { open: true, next_commit, sealed }.encode();
    let fixed = opening.iter().zip(&bytes).take(MacState::FIXED).all(|(wanted, found)| wanted == found);
    let whole = MacState::parse(&bytes).is_some_and(|found| found.open && found.next_commit == next_commit);
    Ok(fixed && (whole || bytes.len() < opening.len()))
}

fn is_segment(file: &str) -> bool {
    file.strip_prefix("wal/").and_then(SegmentHeader::number_of).is_some()
}

struct ExpectedFiles<'a> {
    before: &'a Before,
    covered: BTreeSet<String>,
}

impl ExpectedFiles<'_> {
    fn lock(&mut self, scanned: &mut Scanned, fs: &dyn FileSystem, dir: &Path) -> io::Result<()> {
        self.covered.insert("lock".to_owned());
        match read_optional(fs, &dir.join("lock"))? {
            Some(bytes) if bytes.is_empty() => {}
            Some(_) => scanned.findings.tampered("unexpected_file", "the lock is empty", Place::file("lock")),
            None => scanned.findings.tampered("state_damaged", "the lock is missing", Place::file("lock")),
        }
        Ok(())
    }

    fn tree_files(&mut self, scanned: &mut Scanned) {
        let is_open = scanned.is_open();
        let mut missing = 0u64;
        let trees = std::mem::take(&mut scanned.trees.list);
        for grown in &trees {
            let folder = format!("trees/{}", grown.tree);
            let place = |file: &str| Place::file(file).tree(&grown.tree);
            if let Some((_, note)) = &grown.newest {
                let file = format!("{folder}/checkpoint");
                let bytes = self.before.checkpoints.get(&file).map(Vec::as_slice);
                let older = |bytes: &[u8]| {
                    is_open && (grown.notes.contains(&sha256(&[bytes])) || is_cut(bytes, note.as_bytes()))
                };
                match bytes {
                    Some(bytes) if bytes == note.as_bytes() => {}
                    Some(bytes) if older(bytes) => missing = missing.saturating_add(1),
                    None if is_open => missing = missing.saturating_add(1),
                    Some(bytes) => {
                        let (code, detail) = judge_checkpoint(bytes, grown.edge.len());
                        scanned.findings.tampered(code, detail, place(&file));
                    }
                    None => {
                        scanned.findings.tampered("cache_damaged", "the newest checkpoint is missing", place(&file));
                    }
                }
                self.covered.insert(file);
            }
        }
        scanned.trees.list = trees;
        scanned.missing_cache = scanned.missing_cache.saturating_add(missing);
        self.unknown_checkpoints(scanned);
    }

    /// A checkpoint of a tree that has none in the log: it knows more than the log does.
    fn unknown_checkpoints(&mut self, scanned: &mut Scanned) {
        let named = |file: &str| Tree::named(file.strip_prefix("trees/")?.strip_suffix("/checkpoint")?);
        for (file, bytes) in &self.before.checkpoints {
            let Some(tree) = named(file).filter(|_| !self.covered.contains(file)) else { continue };
            let size = scanned.trees.find(&tree).map_or(0, |grown| grown.edge.len());
            let (code, detail) = judge_checkpoint(bytes, size);
            scanned.findings.tampered(code, detail, Place::file(file.clone()).tree(&tree));
            self.covered.insert(file.clone());
        }
    }

    fn quarantine(&mut self, scanned: &mut Scanned, fs: &dyn FileSystem, dir: &Path) -> io::Result<()> {
        for (file, length, digest) in std::mem::take(&mut scanned.trees.recovered) {
            let bytes = read_optional(fs, &dir.join(&file))?.unwrap_or_default();
            let same = u64::try_from(bytes.len()) == Ok(length) && hex(&sha256(&[&bytes])) == digest;
            if !same {
                let detail = "it is not what recovery took off";
                scanned.findings.tampered("quarantine_mismatch", detail, Place::file(file.clone()));
            }
            self.covered.insert(file);
        }
        let unnamed = self
            .before
            .files
            .difference(&self.covered)
            .filter_map(|file| Some((file.clone(), parse_quarantine_name(file)?)));
        for (file, (segment, offset)) in unnamed.collect::<Vec<_>>() {
            let detail = "no recovery event names it";
            let place = Place::file(file.clone());
            if scanned.is_open() {
                let bytes = read_optional(fs, &dir.join(&file))?.unwrap_or_default();
                scanned.unnamed_quarantine.push(Quarantined { segment, offset, bytes });
                scanned.findings.note("quarantine_mismatch", detail, place);
            } else {
                scanned.findings.tampered("quarantine_mismatch", detail, place);
            }
            self.covered.insert(file);
        }
        Ok(())
    }
}

/// What an interrupted write leaves behind of a cache file: a beginning, and zeros where no byte arrived.
fn is_cut(bytes: &[u8], whole: &[u8]) -> bool {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    bytes.len() <= whole.len() && bytes.get(..written).is_some_and(|written| whole.starts_with(written))
}

fn judge_checkpoint(bytes: &[u8], size: u64) -> (&'static str, &'static str) {
    let read = std::str::from_utf8(bytes).ok().and_then(|note| Checkpoint::parse_unverified(note).ok());
    if read.is_some_and(|checkpoint| checkpoint.size() > size) {
        return ("log_truncated", "a checkpoint knows of more leaves than the log holds");
    }
    ("cache_damaged", "the checkpoint differs from the newest one in the log")
}
