//! Reading leaves in order, as they were stored.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Place, ReadLogError};
use crate::fs::{Disk, FileSystem};
use crate::name::Tree;
use crate::wal::frame::{Frame, FrameFault, Kind};
use crate::wal::segment::{HEADER, SegmentHeader};

/// A leaf as it is stored.
///
/// ```
/// # use qsec_audit::{Log, LogKeys, MacKey, Origin, SigningKey, Tree, danger, tail};
/// # let now = std::time::UNIX_EPOCH;
/// # let folder = tempfile::tempdir()?;
/// # let keys = LogKeys::new(SigningKey::generate()?, danger::plain_sealer());
/// # let log = Log::create(folder.path(), &Origin::parse("qsec.example/n1")?, keys, &MacKey::generate()?, now)?;
/// let first = tail(folder.path(), &Tree::Deployment, 0).next().ok_or("an empty log")??;
/// assert!(first.text().ends_with(r#""type":"audit.log.opened"}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    index: u64,
    commit: u64,
    bytes: Vec<u8>,
    erased: bool,
}

impl Entry {
    /// Its leaf index.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The commit it became durable with.
    pub const fn commit(&self) -> u64 {
        self.commit
    }

    /// Its exact bytes; of an erased one, its leaf hash and zeros.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether its bytes are gone.
    pub const fn is_erased(&self) -> bool {
        self.erased
    }

    /// Its bytes as text; an erased one has none.
    pub fn text(&self) -> &str {
        if self.erased { "" } else { std::str::from_utf8(&self.bytes).unwrap_or_default() }
    }
}

/// The leaves of one tree, from an index on, in leaf order. It ends at the last whole frame.
///
/// ```no_run
/// use qsec_audit::{Tree, tail};
///
/// for entry in tail("audit", &Tree::tenant("acme")?, 0) {
///     println!("{}", entry?.text());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tail {
    files: Arc<dyn FileSystem>,
    wal: PathBuf,
    tree: Tree,
    from: u64,
    /// Nothing of a later commit is durable.
    until: u64,
    segment: u64,
    bytes: Vec<u8>,
    at: usize,
    ready: VecDeque<Entry>,
    ended: bool,
}

/// Reads the leaves of a tree from its log folder. It takes no lock.
///
/// A frame that is being written while another process appends may be seen before it is durable; within the appending process,
/// [`Log::tail`](super::Log::tail) never shows it.
pub fn tail(dir: impl AsRef<Path>, tree: &Tree, from: u64) -> Tail {
    Tail::new(Arc::new(Disk), dir.as_ref(), tree, from, u64::MAX, Place::default())
}

impl super::Log {
    /// Reads the leaves of a tree that are durable now.
    pub fn tail(&self, tree: &Tree, from: u64) -> Tail {
        let fixed = &self.shared.fixed;
        let (until, place) = self.shared.durable(tree, from);
        Tail::new(Arc::clone(&fixed.fs), &fixed.dir, tree, from, until, place)
    }
}

impl Tail {
    fn new(files: Arc<dyn FileSystem>, dir: &Path, tree: &Tree, from: u64, until: u64, place: Place) -> Self {
        Self {
            files,
            wal: dir.join("wal"),
            tree: tree.clone(),
            from,
            until,
            segment: place.segment,
            bytes: Vec::new(),
            at: usize::try_from(place.offset).unwrap_or_default().max(HEADER),
            ready: VecDeque::new(),
            ended: false,
        }
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.wal.join(SegmentHeader::file_name(segment))
    }

    /// Whether a segment is there, and how long it is now.
    fn length(&self, segment: u64) -> Result<Option<usize>, ReadLogError> {
        let path = self.path(segment);
        match self.files.length(&path) {
            Ok(length) => Ok(Some(usize::try_from(length).unwrap_or(usize::MAX))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReadLogError::Unreadable { path, source }),
        }
    }

    /// Goes on to the next frame; `false` at the end.
    fn advance(&mut self) -> Result<bool, ReadLogError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let frame = match Frame::parse(rest) {
            Ok(frame) => frame,
            Err(FrameFault::Incomplete) => return self.read_on(),
            Err(FrameFault::Damaged(_)) => {
                return Err(ReadLogError::Damaged { path: self.path(self.segment), offset: self.at });
            }
        };
        if frame.commit > self.until {
            return Ok(false);
        }
        let of_tree = |record: &&crate::wal::frame::Record<'_>| {
            record.kind == Kind::Event && record.index >= self.from && record.is_of(&self.tree)
        };
        for record in frame.records.iter().filter(of_tree) {
            let (index, commit, bytes) = (record.index, frame.commit, record.payload.to_vec());
            self.ready.push_back(Entry { index, commit, bytes, erased: record.erased });
        }
        self.at = self.at.saturating_add(frame.length);
        Ok(true)
    }

    /// What has been read is used up, but for a frame that was being written. `false` if there is no more.
    fn read_on(&mut self) -> Result<bool, ReadLogError> {
        // Asked in this order: when the next segment is there, this one is whole.
        let next = self.segment.saturating_add(1);
        let has_next = self.length(next)?.is_some();
        let path = self.path(self.segment);
        if self.length(self.segment)?.is_none_or(|length| length > self.bytes.len()) {
            let read = self.files.read_into(&path, &mut self.bytes);
            return read.map(|()| true).map_err(|source| ReadLogError::Unreadable { path, source });
        }
        if self.at < self.bytes.len() && has_next {
            return Err(ReadLogError::Damaged { path, offset: self.at });
        }
        if has_next {
            (self.segment, self.at) = (next, HEADER);
            self.bytes.clear();
        }
        Ok(has_next)
    }
}

impl Iterator for Tail {
    type Item = Result<Entry, ReadLogError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            match self.advance() {
                Ok(more) => self.ended = !more,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
