//! The write-ahead log: files, frames, records, and the two chains over them.
#![deny(clippy::arithmetic_side_effects)]

pub(crate) mod chain;
pub(crate) mod frame;
pub(crate) mod mac;
pub(crate) mod meta;
pub(crate) mod segment;
pub(crate) mod state;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A segment is closed when it would grow beyond this: 64 MiB.
pub(crate) const MAX_SEGMENT: u64 = 64 * 1024 * 1024;
/// A segment is closed at this age.
pub(crate) const MAX_SEGMENT_AGE: Duration = Duration::from_hours(24);

/// Unix microseconds: how time stands in files.
pub(crate) fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

pub(crate) fn from_micros(micros: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(UNIX_EPOCH)
}

/// Reads fixed fields one after the other; `None` when the bytes end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::frame::{Frame, FrameBuilder, Kind, NewRecord};
    use super::mac::MacKey;
    use super::meta::LogMeta;
    use super::segment::SegmentHeader;
    use super::*;
    use crate::merkle::{leaf_hash, sha256};
    use crate::name::{Origin, Tree};

    /// The worked example of the format: two events and a personal part in one frame.
    #[test]
    fn worked_example_is_reproduced_byte_for_byte() {
        let created = UNIX_EPOCH + Duration::from_hours(492_321);
        let log_id = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let meta = LogMeta::new(log_id, Origin::parse("qsec.example/n1").unwrap(), created);
        let start = chain::log_start(&log_id, &meta.digest());
        assert!(hex::encode(start).starts_with("6d7724c9") && hex::encode(start).ends_with("03ada93"));

        let header = SegmentHeader::new(&meta, 0, 1, micros(created), start).encode();
        assert_eq!(hex::encode(&header[124..]), "6dc8c2b1");
        let chained = chain::segment(&start, &header);
        assert!(hex::encode(chained).starts_with("c02c9d4c") && hex::encode(chained).ends_with("c72cbf"));

        let tree = Tree::tenant("acme").unwrap();
        let leaves = [include_str!("../tests/data/leaf0.json"), include_str!("../tests/data/leaf1.json")];
        let mut builder = FrameBuilder::new();
        for (index, leaf) in leaves.iter().enumerate() {
            let hash = leaf_hash(leaf.as_bytes());
            builder.push(&NewRecord::event(&tree, index as u64, leaf.as_bytes(), hash));
        }
        let part = [0xaa; 80];
        builder.push(&NewRecord {
            kind: Kind::Personal,
            tree: &tree,
            subject: "u-7",
            index: 1,
            payload: &part,
            digest: sha256(&[&part]),
        });
        let first = MacKey::from_bytes(&[0x42; 32]).next();
        let chained = builder.seal(1, micros(created) + 1_000_000, &chained, &first, &log_id).unwrap();
        let frame = builder.bytes();
        assert_eq!(frame.len(), 999);
        assert_eq!(hex::encode(chained), "2314f39711e6a814c9e2a3b7798daab7749e6ee1c0dad17a695388f3246cbee9");
        let read = Frame::parse(frame).unwrap();
        assert_eq!(hex::encode(read.mac), "8c1c3dd4eaf4d945f3e0f68829745775e8a37e5ef582ea90199db775df89c4fe");
        assert_eq!(hex::encode(&frame[991..995]), "ca9283a3");
        assert_eq!(hex::encode(sha256(&[frame])), "e837d002852db1a4c182a567158d3d93b7bf355fd484eb026188adc65ec23827");
        assert_eq!((read.commit, read.records.len(), read.records[2].subject), (1, 3, "u-7"));
    }
}
