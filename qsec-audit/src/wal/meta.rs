//! `log.meta`: which log this is.

use std::time::SystemTime;

use crate::event::encode_time;
use crate::merkle::{Hash, sha256};
use crate::name::Origin;

/// Longest `log.meta`: four short lines.
pub(crate) const MAX_META: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogMeta {
    pub(crate) log_id: [u8; 16],
    pub(crate) origin: Origin,
    text: String,
}

impl LogMeta {
    pub(crate) fn new(log_id: [u8; 16], origin: Origin, created: SystemTime) -> Self {
        let id = hex(&log_id);
        let text = format!("qsec-audit-log v1\nlog {id}\norigin {origin}\ncreated {}\n", encode_time(created));
        Self { log_id, origin, text }
    }

    /// There is one spelling: what is read is written again and compared.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_META)?;
        let mut lines = text.lines().skip(1);
        let log_id = parse_hex(lines.next()?.strip_prefix("log ")?)?;
        let origin = Origin::parse(lines.next()?.strip_prefix("origin ")?).ok()?;
        let created = lines.next()?.strip_prefix("created ")?.parse::<jiff::Timestamp>().ok()?;
        let meta = Self::new(log_id, origin, created.into());
        (meta.text == text).then_some(meta)
    }

    pub(crate) fn encode(&self) -> &str {
        &self.text
    }

    pub(crate) fn digest(&self) -> Hash {
        sha256(&[self.text.as_bytes()])
    }

    pub(crate) fn hex_id(&self) -> String {
        hex(&self.log_id)
    }

    /// `source` of every event: `//<deployment>/<node>`.
    pub(crate) fn source(&self) -> String {
        format!("//{}", self.origin)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Lower-case hexadecimal digits, exactly as many as the array takes.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    bytes?.try_into().ok()
}
