//! The hash chain over everything that was committed.

use crate::merkle::{Hash, sha256};

pub(crate) fn log_start(log_id: &[u8; 16], meta: &Hash) -> Hash {
    sha256(&[b"qsec-audit/log/v1\0", log_id, meta])
}

pub(crate) fn segment(before: &Hash, header: &[u8]) -> Hash {
    sha256(&[b"qsec-audit/segment/v1\0", before, header])
}

/// `records` are the heads (state 0), ids and digests of the frame's records, one after the other.
pub(crate) fn frame(before: &Hash, header: &[u8], records: &[u8]) -> Hash {
    sha256(&[b"qsec-audit/frame/v1\0", before, header, records])
}
