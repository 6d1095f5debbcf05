//! The one who writes: frames into the last segment, and a new segment when it is full or old.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::RecordError;
use super::commit::Fixed;
use crate::fs::{self, Growing};
use crate::merkle::Hash;
use crate::wal::chain;
use crate::wal::frame::FrameBuilder;
use crate::wal::mac::MacKey;
use crate::wal::segment::{HEADER, SegmentHeader};
use crate::wal::{MAX_SEGMENT, MAX_SEGMENT_AGE};

/// Who holds this may write; there is one.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: Option<Box<dyn Growing>>,
    pub(super) segment: u64,
    pub(super) length: u64,
    pub(super) created: u64,
    pub(super) chain: Hash,
    pub(super) key: MacKey,
    /// The next frame begins a new segment whatever its length.
    pub(super) roll: bool,
}

/// Where a frame was written, and the chain value after it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) chain: Hash,
}

impl Writer {
    pub(super) fn path(&self, fixed: &Fixed) -> PathBuf {
        fixed.dir.join("wal").join(SegmentHeader::file_name(self.segment))
    }

    /// One frame: one write, one sync.
    pub(super) fn commit(
        &mut self,
        fixed: &Fixed,
        frame: &mut FrameBuilder,
        commit: u64,
        time: u64,
    ) -> Result<Written, RecordError> {
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        if self.is_due(length, time) {
            self.begin_segment(fixed, commit, time)?;
        }
        let sealed = frame.seal(commit, time, &self.chain, &self.key, &fixed.meta.log_id);
        let chain = sealed.ok_or(RecordError::FrameTooLarge)?;
        if let Err(error) = self.write(fixed, frame.bytes()) {
            let path = self.path(fixed);
            self.take_back(fixed);
            return Err(unavailable(path, error));
        }
        let offset = self.length;
        self.length = offset.saturating_add(length);
        self.chain = chain;
        self.key = self.key.next();
        Ok(Written { segment: self.segment, offset, chain })
    }

    fn is_due(&self, length: u64, time: u64) -> bool {
        let header = u64::try_from(HEADER).unwrap_or_default();
        let age = u64::try_from(MAX_SEGMENT_AGE.as_micros()).unwrap_or(u64::MAX);
        let full = self.length.saturating_add(length) > MAX_SEGMENT || time.saturating_sub(self.created) >= age;
        self.roll || (full && self.length > header)
    }

    fn begin_segment(&mut self, fixed: &Fixed, commit: u64, time: u64) -> Result<(), RecordError> {
        let number = self.segment.saturating_add(1);
        let header = SegmentHeader::new(&fixed.meta, number, commit, time, self.chain).encode();
        let path = fixed.dir.join("wal").join(SegmentHeader::file_name(number));
        fs::replace(fixed.fs.as_ref(), &path, &header).map_err(|error| unavailable(path, error))?;
        self.chain = chain::segment(&self.chain, &header);
        self.segment = number;
        self.length = u64::try_from(HEADER).unwrap_or_default();
        self.created = time;
        self.file = None;
        self.roll = false;
        Ok(())
    }

    fn write(&mut self, fixed: &Fixed, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.file.insert(fixed.fs.open(&fixed.dir.join("wal").join(SegmentHeader::file_name(self.segment)))?)
            }
        };
        file.append(bytes)?;
        file.sync()
    }

    /// Cuts the segment at its last acknowledged frame. The failed descriptor is never synced again: after an error the kernel may
    /// call pages clean that never reached the disk. If this fails too, recovery does it.
    fn take_back(&mut self, fixed: &Fixed) {
        self.file = None;
        let cut = fixed.fs.open(&self.path(fixed)).and_then(|mut file| {
            file.cut(self.length)?;
            file.sync()
        });
        drop(cut);
    }
}

pub(super) fn unavailable(path: impl Into<PathBuf>, error: io::Error) -> RecordError {
    RecordError::Unavailable { path: path.into(), source: Arc::new(error) }
}
