//! Frames: one group commit, one write, one sync.

use super::mac::MacKey;
use super::{Fields, chain};
use crate::event::MAX_LEAF;
use crate::event::leaf::MIN_LEAF;
use crate::merkle::{Hash, leaf_hash, sha256};
use crate::name::{Tree, is_tenant_id};

/// Longest frame: 8 MiB.
pub(crate) const MAX_FRAME: usize = 8 * 1024 * 1024;
/// Most records in a frame.
pub(crate) const MAX_RECORDS: usize = 4_096;
/// Longest checkpoint note of a record: 16 KiB.
pub(crate) const MAX_CHECKPOINT: usize = 16_384;
/// Longest sealed personal part.
pub(crate) const MAX_PERSONAL: usize = 4_352;

pub(crate) const FRAME_HEADER: usize = 32;
const TRAILER: usize = 72;
const RECORD_HEAD: usize = 16;
const MAGIC: [u8; 4] = *b"QFRM";
const END: [u8; 4] = *b"MRFQ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Event = 1,
    Checkpoint = 2,
    Personal = 3,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Event => 1,
            Self::Checkpoint => 2,
            Self::Personal => 3,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Event),
            2 => Some(Self::Checkpoint),
            3 => Some(Self::Personal),
            _ => None,
        }
    }

    const fn lengths(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Event => MIN_LEAF..=MAX_LEAF,
            Self::Checkpoint => 32..=MAX_CHECKPOINT,
            Self::Personal => 32..=MAX_PERSONAL,
        }
    }
}

/// A record that is about to be written.
#[derive(Debug)]
pub(crate) struct NewRecord<'a> {
    pub(crate) kind: Kind,
    pub(crate) tree: &'a Tree,
    pub(crate) subject: &'a str,
    pub(crate) index: u64,
    pub(crate) payload: &'a [u8],
    pub(crate) digest: Hash,
}

impl<'a> NewRecord<'a> {
    pub(crate) const fn event(tree: &'a Tree, index: u64, payload: &'a [u8], digest: Hash) -> Self {
        Self { kind: Kind::Event, tree, subject: "", index, payload, digest }
    }

    pub(crate) fn checkpoint(tree: &'a Tree, note: &'a str) -> Self {
        let payload = note.as_bytes();
        Self { kind: Kind::Checkpoint, tree, subject: "", index: 0, payload, digest: sha256(&[payload]) }
    }
}

/// A frame that is being filled.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    bytes: Vec<u8>,
    /// What the chain covers of the records: each payload is hashed once, as its digest.
    chained: Vec<u8>,
    records: usize,
}

impl FrameBuilder {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; FRAME_HEADER], chained: Vec::new(), records: 0 }
    }

    pub(crate) const fn records(&self) -> usize {
        self.records
    }

    /// Empty again, with the memory it had: a frame of megabytes is not fetched page by page each time.
    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(FRAME_HEADER);
        self.chained.clear();
        self.records = 0;
    }

    /// The frame: whole when it was sealed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length of the frame when it is sealed.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len().saturating_add(TRAILER)
    }

    pub(crate) fn push(&mut self, record: &NewRecord<'_>) {
        let tenant = record.tree.record_id().as_bytes();
        let mut head = [0; RECORD_HEAD];
        let ids = [tenant.len(), record.subject.len()].map(|length| u8::try_from(length).unwrap_or(u8::MAX));
        let length = u32::try_from(record.payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let parts = [record.kind.byte(), 0].into_iter().chain(ids).chain(length).chain(record.index.to_be_bytes());
        head.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        for out in [&mut self.bytes, &mut self.chained] {
            out.extend_from_slice(&head);
            out.extend_from_slice(tenant);
            out.extend_from_slice(record.subject.as_bytes());
        }
        self.bytes.extend_from_slice(record.payload);
        self.chained.extend_from_slice(&record.digest);
        self.records = self.records.saturating_add(1);
    }

    /// Completes the frame; the answer is the chain value after it. `None` if it grew beyond what a frame may be.
    pub(crate) fn seal(
        &mut self,
        commit: u64,
        time: u64,
        chain: &Hash,
        key: &MacKey,
        log_id: &[u8; 16],
    ) -> Option<Hash> {
        let length = self.len();
        if length > MAX_FRAME || self.records > MAX_RECORDS {
            return None;
        }
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
        header.extend_from_slice(&commit.to_be_bytes());
        header.extend_from_slice(&time.to_be_bytes());
        header.extend_from_slice(&u32::try_from(self.records).ok()?.to_be_bytes());
        let chain = chain::frame(chain, &header, &self.chained);
        header.extend_from_slice(&crc32c::crc32c(&header).to_be_bytes());
        self.bytes.iter_mut().zip(header).for_each(|(to, from)| *to = from);
        self.bytes.extend_from_slice(&chain);
        self.bytes.extend_from_slice(&key.mac(log_id, commit, &chain));
        let crc = crc32c::crc32c(&self.bytes);
        self.bytes.extend_from_slice(&crc.to_be_bytes());
        self.bytes.extend_from_slice(&END);
        Some(chain)
    }
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameFault {
    /// They end before the frame does.
    Incomplete,
    /// Something in them is wrong.
    Damaged(&'static str),
}

/// The fixed part of a frame, its CRC checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameHeader {
    pub(crate) length: usize,
    pub(crate) commit: u64,
    time: u64,
    records: usize,
}

impl FrameHeader {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FrameFault> {
        let header = bytes.get(..FRAME_HEADER).ok_or(FrameFault::Incomplete)?;
        Self::fields(header).ok_or(FrameFault::Damaged("the frame header fails its CRC"))
    }

    fn fields(header: &[u8]) -> Option<Self> {
        let mut fields = Fields(header);
        let magic: [u8; 4] = fields.array()?;
        let length = usize::try_from(fields.u32()?).ok()?;
        let (commit, time) = (fields.u64()?, fields.u64()?);
        let records = usize::try_from(fields.u32()?).ok()?;
        let sound = fields.u32()? == crc32c::crc32c(header.get(..28)?);
        let least = FRAME_HEADER.checked_add(TRAILER)?;
        let bounded = (least..=MAX_FRAME).contains(&length) && records <= MAX_RECORDS;
        (sound && magic == MAGIC && bounded).then_some(Self { length, commit, time, records })
    }
}

/// A record as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) erased: bool,
    /// Empty: the deployment's tree.
    pub(crate) tenant: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) index: u64,
    pub(crate) payload: &'a [u8],
    head: [u8; RECORD_HEAD],
    /// Where it begins in the frame.
    pub(crate) at: usize,
}

impl<'a> Record<'a> {
    fn parse(fields: &mut Fields<'a>, at: usize) -> Option<Self> {
        let head = *fields.0.first_chunk::<RECORD_HEAD>()?;
        let kind = Kind::of(fields.u8()?)?;
        let erased = match fields.u8()? {
            0 => false,
            1 if kind != Kind::Checkpoint => true,
            _ => return None,
        };
        let (tenant, subject) = (usize::from(fields.u8()?), usize::from(fields.u8()?));
        let length = usize::try_from(fields.u32()?).ok()?;
        let index = fields.u64()?;
        let tenant = std::str::from_utf8(fields.bytes(tenant)?).ok()?;
        let subject = std::str::from_utf8(fields.bytes(subject)?).ok()?;
        let payload = fields.bytes(length)?;
        let record = Self { kind, erased, tenant, subject, index, payload, head, at };
        record.is_sound().then_some(record)
    }

    fn is_sound(&self) -> bool {
        let tenant = self.tenant.is_empty() || is_tenant_id(self.tenant);
        let subject = self.subject.is_empty() == (self.kind != Kind::Personal);
        let index = self.kind != Kind::Checkpoint || self.index == 0;
        let zeros = !self.erased || self.payload.iter().skip(32).all(|byte| *byte == 0);
        tenant && subject && index && zeros && self.kind.lengths().contains(&self.payload.len())
    }

    /// "its payload is the 32-byte digest followed by zeros".
    pub(crate) fn digest(&self) -> Hash {
        match self.kind {
            _ if self.erased => self.payload.first_chunk::<32>().copied().unwrap_or_default(),
            Kind::Event => leaf_hash(self.payload),
            Kind::Checkpoint | Kind::Personal => sha256(&[self.payload]),
        }
    }

    pub(crate) fn tree(&self) -> Option<Tree> {
        if self.tenant.is_empty() { Some(Tree::Deployment) } else { Tree::tenant(self.tenant).ok() }
    }

    pub(crate) fn is_of(&self, tree: &Tree) -> bool {
        self.tenant == tree.record_id()
    }

    /// What the chain covers: the head as it was before any erasure, ids, digest.
    fn chain_into(&self, digest: &Hash, out: &mut Vec<u8>) {
        let mut head = self.head;
        if let Some(state) = head.get_mut(1) {
            *state = 0;
        }
        out.extend_from_slice(&head);
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(self.subject.as_bytes());
        out.extend_from_slice(digest);
    }
}

/// A frame as it was written, its CRCs checked.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) length: usize,
    pub(crate) commit: u64,
    pub(crate) time: u64,
    pub(crate) records: Vec<Record<'a>>,
    pub(crate) chain: Hash,
    pub(crate) mac: Hash,
    header: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the frame at the beginning of `bytes`. No length is believed before it is compared with what is left.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FrameFault> {
        let header = FrameHeader::parse(bytes)?;
        let whole = bytes.get(..header.length).ok_or(FrameFault::Incomplete)?;
        Self::body(header, whole)
    }

    fn body(header: FrameHeader, whole: &'a [u8]) -> Result<Self, FrameFault> {
        let damaged = FrameFault::Damaged;
        let (body, end) = whole.split_last_chunk::<8>().ok_or(FrameFault::Incomplete)?;
        let mut fields = Fields(end);
        if fields.u32() != Some(crc32c::crc32c(body)) || fields.array() != Some(END) {
            return Err(damaged("the frame fails its CRC"));
        }
        let (body, mac) = body.split_last_chunk::<32>().ok_or(FrameFault::Incomplete)?;
        let (body, chain) = body.split_last_chunk::<32>().ok_or(FrameFault::Incomplete)?;
        let (head, body) = body.split_at_checked(FRAME_HEADER).ok_or(FrameFault::Incomplete)?;
        let mut fields = Fields(body);
        let mut records = Vec::with_capacity(header.records);
        for _ in 0..header.records {
            let at = whole.len().saturating_sub(fields.0.len()).saturating_sub(TRAILER);
            records.push(Record::parse(&mut fields, at).ok_or(damaged("a record is not well-formed"))?);
        }
        if !fields.0.is_empty() {
            return Err(damaged("bytes follow the last record"));
        }
        let header_bytes = head.get(..28).ok_or(FrameFault::Incomplete)?;
        let (commit, time) = (header.commit, header.time);
        Ok(Self { length: header.length, commit, time, records, chain: *chain, mac: *mac, header: header_bytes })
    }

    /// The chain value that this frame must carry, given the digests of its records.
    pub(crate) fn chain_after(&self, before: &Hash, digests: &[Hash]) -> Hash {
        let mut records = Vec::with_capacity(self.records.len().saturating_mul(96));
        for (record, digest) in self.records.iter().zip(digests) {
            record.chain_into(digest, &mut records);
        }
        chain::frame(before, self.header, &records)
    }
}
