//! Headers of segments.

use super::Fields;
use super::meta::LogMeta;
use crate::merkle::Hash;

/// Bytes of a segment header.
pub(crate) const HEADER: usize = 128;
const MAGIC: [u8; 8] = *b"QSECWAL1";
const VERSION: u16 = 1;
const HEADER_LENGTH: u32 = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) log_id: [u8; 16],
    pub(crate) number: u64,
    pub(crate) first_commit: u64,
    pub(crate) created: u64,
    pub(crate) chain: Hash,
    pub(crate) meta: Hash,
}

impl SegmentHeader {
    pub(crate) fn new(meta: &LogMeta, number: u64, first_commit: u64, created: u64, chain: Hash) -> Self {
        Self { log_id: meta.log_id, number, first_commit, created, chain, meta: meta.digest() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&0u16.to_be_bytes());
        bytes.extend_from_slice(&HEADER_LENGTH.to_be_bytes());
        bytes.extend_from_slice(&self.log_id);
        for number in [self.number, self.first_commit, self.created] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&self.meta);
        bytes.extend_from_slice(&0u32.to_be_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// There is one encoding: what is read is written again and compared.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let mut fields = Fields(header.get(16..)?);
        let parsed = Self {
            log_id: fields.array()?,
            number: fields.u64()?,
            first_commit: fields.u64()?,
            created: fields.u64()?,
            chain: fields.array()?,
            meta: fields.array()?,
        };
        (parsed.encode() == header).then_some(parsed)
    }

    /// `00000000000000000000.qwal`.
    pub(crate) fn file_name(number: u64) -> String {
        format!("{number:020}.qwal")
    }

    pub(crate) fn number_of(file_name: &str) -> Option<u64> {
        let digits = file_name.strip_suffix(".qwal").filter(|digits| digits.len() == 20)?;
        digits.parse().ok().filter(|number| Self::file_name(*number) == file_name)
    }
}
