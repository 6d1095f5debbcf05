//! One pass over the write-ahead log: what `verify` reports and what `Log::open` starts from.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::before::{Before, STATE, read_optional};
use super::cover;
use super::finding::{Findings, Place};
use super::trees::{FramePlace, Trees};
use crate::fs::FileSystem;
use crate::head::Head;
use crate::merkle::Hash;
use crate::note::{Checkpoint, VerifierKey};
use crate::wal::chain;
use crate::wal::frame::{FRAME_HEADER, Frame, FrameFault, FrameHeader, Kind, MAX_FRAME};
use crate::wal::mac::MacKey;
use crate::wal::meta::LogMeta;
use crate::wal::segment::{HEADER, SegmentHeader};
use crate::wal::state::MacState;

/// What the verifier brings along.
#[derive(Debug, Default)]
pub(crate) struct Evidence<'a> {
    /// The key of a commit, from which later ones follow: `(1, next(K0))` with escrow, or what `mac.state` sealed.
    pub(crate) key: Option<(u64, MacKey)>,
    pub(crate) head: Option<&'a Head>,
    pub(crate) verifiers: &'a [VerifierKey],
    pub(crate) remembered: Option<&'a Checkpoint>,
    /// Who asks is about to append, and must know the last events.
    pub(crate) appending: bool,
}

/// What the log holds, and what speaks against it.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) meta: Option<LogMeta>,
    pub(crate) findings: Findings,
    pub(crate) trees: Trees,
    pub(crate) segments: u64,
    pub(crate) commits: u64,
    pub(crate) last: Last,
    pub(crate) state: Option<MacState>,
    /// The key of the commit after the last one.
    pub(crate) key: Option<MacKey>,
    pub(crate) tail: Option<Tail>,
    /// Quarantined files that no event names yet.
    pub(crate) unnamed_quarantine: Vec<cover::Quarantined>,
    pub(crate) unfinished: Vec<PathBuf>,
    pub(crate) missing_cache: u64,
    /// Names of the tiles that were compared.
    pub(crate) tiles: Vec<String>,
    /// Its state changed while it was read: somebody appends.
    in_use: bool,
}

/// The end of what was committed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Last {
    pub(crate) commit: u64,
    pub(crate) time: u64,
    pub(crate) chain: Hash,
    pub(crate) segment: u64,
    pub(crate) segment_created: u64,
    /// Length of the good part of the last segment.
    pub(crate) length: u64,
    /// Length of its last frame.
    pub(crate) frame: u64,
}

/// Bytes after the last good frame that recovery may take off.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(crate) bytes: Vec<u8>,
}

/// Names of segment files, relative to the log folder.
fn segment_file(number: u64) -> String {
    format!("wal/{}", SegmentHeader::file_name(number))
}

impl Scanned {
    /// Reads only, takes no lock, and calls nothing a finding that is being written.
    pub(crate) fn new(fs: &dyn FileSystem, dir: &Path, evidence: &Evidence<'_>) -> io::Result<Self> {
        let before = Before::read(fs, dir)?;
        let scanned = Self::once(fs, dir, evidence, &before, false)?;
        if scanned.is_open() || !scanned.findings.is_tampered() || read_optional(fs, &dir.join(STATE))? == before.state
        {
            return Ok(scanned);
        }
        // It was closed when reading began, and somebody opened it since. Who changes the state of a closed log to come here
        // gains what writing *open* into it gives anyone: an unfinished last frame is a note.
        Self::once(fs, dir, evidence, &Before::read(fs, dir)?, true)
    }

    fn once(
        fs: &dyn FileSystem,
        dir: &Path,
        evidence: &Evidence<'_>,
        before: &Before,
        in_use: bool,
    ) -> io::Result<Self> {
        let mut scanned = Self { in_use, ..Self::empty() };
        let Some(meta) = scanned.read_meta(fs, dir)? else { return Ok(scanned) };
        scanned.state = scanned.read_state(before);
        scanned.trees = Trees::new(&meta.origin, evidence.verifiers, evidence.remembered, evidence.appending);
        let mut replay = Replay {
            meta: &meta,
            head: evidence.head,
            key: evidence.key.as_ref().map(|(commit, key)| (*commit, key.copy())),
            head_seen: false,
            expected: 1,
            mac_reported: false,
            digests: Vec::new(),
        };
        scanned.last.chain = chain::log_start(&meta.log_id, &meta.digest());
        let numbers = scanned.segment_numbers(&before.files);
        let mut bytes = Vec::new();
        for (position, number) in numbers.iter().enumerate() {
            fs.read_into(&dir.join(segment_file(*number)), &mut bytes)?;
            let is_last = position.saturating_add(1) == numbers.len();
            scanned.segment(&mut replay, *number, &bytes, is_last);
            cover::check_tiles(&mut scanned, fs, dir)?;
        }
        scanned.check_ends(&mut replay);
        scanned.key = replay.key.filter(|(commit, _)| *commit == replay.expected).map(|(_, key)| key);
        cover::check(&mut scanned, fs, dir, before)?;
        let is_open = scanned.is_open();
        scanned.trees.finish(&mut scanned.findings, is_open);
        scanned.meta = Some(meta);
        Ok(scanned)
    }

    fn empty() -> Self {
        Self {
            meta: None,
            findings: Findings::default(),
            trees: Trees::default(),
            segments: 0,
            commits: 0,
            last: Last::default(),
            state: None,
            key: None,
            tail: None,
            unnamed_quarantine: Vec::new(),
            unfinished: Vec::new(),
            missing_cache: 0,
            tiles: Vec::new(),
            in_use: false,
        }
    }

    /// Whether the log was left without an orderly stop, or is in use now.
    pub(crate) fn is_open(&self) -> bool {
        self.in_use || self.state.as_ref().is_some_and(|state| state.open)
    }

    fn read_meta(&mut self, fs: &dyn FileSystem, dir: &Path) -> io::Result<Option<LogMeta>> {
        let meta = read_optional(fs, &dir.join("log.meta"))?.as_deref().and_then(LogMeta::parse);
        if meta.is_none() {
            self.findings.tampered(
                "log_meta_damaged",
                "it is missing, or not a log's description",
                Place::file("log.meta"),
            );
        }
        Ok(meta)
    }

    fn read_state(&mut self, before: &Before) -> Option<MacState> {
        let state = before.state.as_deref().and_then(MacState::parse);
        if state.is_none() {
            self.findings.tampered("state_damaged", "it is missing, or its hash fails", Place::file(STATE));
        }
        state
    }

    fn segment_numbers(&mut self, files: &BTreeSet<String>) -> Vec<u64> {
        let numbers = files.iter().filter_map(|file| SegmentHeader::number_of(file.strip_prefix("wal/")?));
        let numbers: Vec<u64> = numbers.collect();
        let count = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        for missing in (0..count.max(1)).filter(|number| !numbers.contains(number)) {
            self.findings.tampered(
                "segment_missing",
                "its number stands in the sequence",
                Place::file(segment_file(missing)),
            );
        }
        numbers
    }

    fn segment(&mut self, replay: &mut Replay<'_>, number: u64, bytes: &[u8], is_last: bool) {
        let place = || Place::file(segment_file(number));
        self.segments = self.segments.saturating_add(1);
        let Some(header) = SegmentHeader::parse(bytes) else {
            self.findings.tampered("segment_damaged", "its header does not parse or fails its CRC", place().at(0));
            self.frames(replay, number, bytes, HEADER, is_last);
            return;
        };
        let of_log =
            header.log_id == replay.meta.log_id && header.meta == replay.meta.digest() && header.number == number;
        if !of_log {
            self.findings.tampered("segment_damaged", "its header is of another log or number", place().at(16));
        }
        if header.first_commit != replay.expected {
            let detail = format!("it begins with commit {}, expected {}", header.first_commit, replay.expected);
            self.findings.tampered("commit_gap", detail, place().at(40));
        }
        if header.chain != self.last.chain {
            self.findings.tampered("chain_broken", "the chain before it is another one", place().at(56));
        }
        self.last.chain = chain::segment(&self.last.chain, bytes.get(..HEADER).unwrap_or_default());
        self.last.segment = number;
        self.last.segment_created = header.created;
        self.last.frame = 0;
        self.frames(replay, number, bytes, HEADER, is_last);
    }

    fn frames(&mut self, replay: &mut Replay<'_>, number: u64, bytes: &[u8], from: usize, is_last: bool) {
        let mut at = from;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match Frame::parse(rest) {
                Ok(frame) => {
                    self.frame(replay, number, at, &frame);
                    at = at.saturating_add(frame.length);
                    self.last.frame = u64::try_from(frame.length).unwrap_or_default();
                }
                Err(fault) => {
                    if is_last && self.is_torn(rest, fault) {
                        let reason = "the last frame was never completed";
                        self.tail = Some(Tail { bytes: rest.to_vec() });
                        self.findings.note("torn_tail", reason, Place::file(segment_file(number)).at(at));
                        break;
                    }
                    at = self.skip_damage(number, bytes, at, fault);
                }
            }
        }
        self.last.length = u64::try_from(at).unwrap_or_default();
    }

    /// Where reading goes on after bytes that are no frame: at the next good frame header, or nowhere.
    fn skip_damage(&mut self, number: u64, bytes: &[u8], at: usize, fault: FrameFault) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        let place = Place::file(segment_file(number)).at(at);
        let next = next_header(rest, self.last.commit);
        match fault {
            FrameFault::Incomplete if self.state.is_some() && !self.is_open() && next.is_none() => {
                self.findings.tampered("trailing_bytes", "bytes after the end of a closed log", place);
            }
            FrameFault::Incomplete => self.findings.tampered("frame_damaged", "it ends before its length", place),
            FrameFault::Damaged(detail) => self.findings.tampered("frame_damaged", detail, place),
        }
        next.and_then(|step| at.checked_add(step)).unwrap_or(bytes.len())
    }

    /// A prefix of a frame, or one frame that fails, at the end of an unclosed log, and no later frame after it.
    fn is_torn(&self, rest: &[u8], fault: FrameFault) -> bool {
        let alone = match FrameHeader::parse(rest) {
            Ok(header) => fault == FrameFault::Incomplete || header.length == rest.len(),
            Err(_) => true,
        };
        self.is_open() && alone && rest.len() <= MAX_FRAME && next_header(rest, self.last.commit).is_none()
    }

    fn frame(&mut self, replay: &mut Replay<'_>, number: u64, at: usize, frame: &Frame<'_>) {
        let place = || Place::file(segment_file(number)).at(at).commit(frame.commit);
        self.commits = self.commits.saturating_add(1);
        if frame.commit != replay.expected {
            let detail = format!("commit {}, expected {}", frame.commit, replay.expected);
            self.findings.tampered("commit_gap", detail, place());
        }
        if frame.time < self.last.time {
            self.findings.tampered("clock_backwards", "it is older than the frame before", place());
        }
        let offset = u64::try_from(at).unwrap_or_default();
        let here = FramePlace { commit: frame.commit, segment: number, offset };
        replay.digests.clear();
        for record in &frame.records {
            let digest = record.digest();
            replay.digests.push(digest);
            let place = || Place::file(segment_file(number)).at(at.saturating_add(record.at)).commit(frame.commit);
            match record.kind {
                Kind::Event => self.trees.event(record, digest, here, &mut self.findings, place),
                Kind::Checkpoint => self.trees.checkpoint(record, &mut self.findings, place),
                Kind::Personal => self.trees.personal(record, frame, &mut self.findings, place),
            }
        }
        let chain = frame.chain_after(&self.last.chain, &replay.digests);
        if chain != frame.chain {
            self.findings.tampered("chain_broken", "it is well-formed, but not what was committed", place());
        }
        // Going on with what the frame says keeps one change from being reported at every later frame.
        self.last.chain = frame.chain;
        self.last.commit = frame.commit;
        self.last.time = frame.time;
        if !replay.check_mac(frame) {
            self.findings.tampered("mac_invalid", "its MAC is not that of the key chain", place());
        }
        replay.expected = frame.commit.saturating_add(1);
        self.check_head(replay, frame, place());
    }

    fn check_head(&mut self, replay: &mut Replay<'_>, frame: &Frame<'_>, place: Place) {
        let Some(head) = replay.head.filter(|head| head.commit == frame.commit) else { return };
        replay.head_seen = true;
        if head.chain != frame.chain || head.trees_root != self.trees.root(true) {
            self.findings.tampered("forked", "the store remembers another history up to this commit", place);
        }
    }

    fn check_ends(&mut self, replay: &mut Replay<'_>) {
        if let Some(head) = replay.head {
            if head.log_id != replay.meta.hex_id() || head.origin != replay.meta.origin.as_str() {
                self.findings.tampered("forked", "the store remembers another log", Place::file("log.meta"));
            } else if !replay.head_seen {
                let detail =
                    format!("the store remembers commit {}, the log ends at {}", head.commit, self.last.commit);
                self.findings.tampered("rolled_back", detail, Place::default().commit(head.commit));
            }
        }
        let Some(state) = &self.state else { return };
        let place = Place::file(STATE).commit(state.next_commit);
        if state.next_commit > replay.expected {
            self.findings.tampered("log_truncated", "it knows of later commits than the log holds", place);
        } else if state.next_commit == 0 || (!self.is_open() && state.next_commit != replay.expected) {
            self.findings.tampered("state_damaged", "it was closed at another commit than the last", place);
        }
    }
}

/// What a replay carries from frame to frame.
struct Replay<'a> {
    meta: &'a LogMeta,
    head: Option<&'a Head>,
    head_seen: bool,
    key: Option<(u64, MacKey)>,
    expected: u64,
    mac_reported: bool,
    digests: Vec<Hash>,
}

impl Replay<'_> {
    /// Checks the MAC if the key of this commit is known; says no once, because every later frame fails with it.
    fn check_mac(&mut self, frame: &Frame<'_>) -> bool {
        let Some((commit, key)) = self.key.take() else { return true };
        if frame.commit < commit {
            self.key = Some((commit, key));
            return true;
        }
        if frame.commit > commit {
            // A gap is a finding already; without the frames between, no number of steps can be trusted.
            return true;
        }
        let good = key.accepts(&self.meta.log_id, frame.commit, &frame.chain, &frame.mac);
        self.key = Some((commit.saturating_add(1), key.next()));
        good || std::mem::replace(&mut self.mac_reported, true)
    }
}

/// Offset of the next good frame header of a later commit than `commit`, beyond the first byte.
fn next_header(rest: &[u8], commit: u64) -> Option<usize> {
    let candidates = rest.windows(FRAME_HEADER).enumerate().skip(1).filter(|(_, window)| window.starts_with(b"QFRM"));
    let mut good = candidates.filter_map(|(at, window)| Some((at, FrameHeader::parse(window).ok()?)));
    good.find(|(_, header)| header.commit > commit).map(|(at, _)| at)
}
