//! The 6 bytes before every native object, and telling the formats apart by their first bytes.

#![deny(clippy::arithmetic_side_effects)]

use crate::error::OpenError;

/// Bytes of a native header.
pub(crate) const HEADER_BYTES: usize = 6;

/// First byte of every native object: magic and version of the header. It never occurs in UTF-8 text.
pub(crate) const MAGIC: u8 = 0xF5;

/// Suite byte of the internal KMS's wrappings, which [`Header::parse`] never accepts.
pub(crate) const LOCAL_KMS_SUITE: u8 = 0x10;

/// How bytes were sealed.
///
/// ```
/// use qsec_crypto::Suite;
///
/// assert_eq!(Suite::Cobblestone256.name(), "cobblestone-256");
/// assert!(Suite::Cobblestone256.is_committing() && !Suite::Xaes256Gcm.is_committing());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// C2SP chunked encryption with AES-256-GCM and SHA-512: streaming, seekable, committing. The default.
    Cobblestone256,
    /// C2SP XAES-256-GCM: compact, not committing.
    Xaes256Gcm,
}

impl Suite {
    /// Its name as answers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cobblestone256 => "cobblestone-256",
            Self::Xaes256Gcm => "xaes-256-gcm",
        }
    }

    /// Whether one ciphertext opens under one key only.
    pub fn is_committing(self) -> bool {
        matches!(self, Self::Cobblestone256)
    }

    /// Its byte in the header.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Cobblestone256 => 1,
            Self::Xaes256Gcm => 2,
        }
    }
}

/// A native header. Nothing in it is believed: it is bound into the key, so a changed bit does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) suite: Suite,
    pub(crate) version: u32,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let [a, b, c, d] = self.version.to_be_bytes();
        [MAGIC, self.suite.byte(), a, b, c, d]
    }

    /// Reads the header at the start of sealed bytes.
    pub(crate) fn parse(sealed: &[u8]) -> Result<Self, OpenError> {
        match sealed {
            [MAGIC, suite, rest @ ..] => {
                let suite = match suite {
                    1 => Suite::Cobblestone256,
                    2 => Suite::Xaes256Gcm,
                    _ => return Err(OpenError::Malformed { offset: 1, expected: "a suite, 01 or 02," }),
                };
                let version = rest.first_chunk().copied().ok_or_else(|| cut_off(sealed))?;
                Ok(Self { suite, version: u32::from_be_bytes(version) })
            }
            [MAGIC] => Err(cut_off(sealed)),
            [0x01, ..] => Err(OpenError::UnsupportedSuite { suite: "AWS Encryption SDK message 1" }),
            [0x02, ..] => Err(OpenError::UnsupportedSuite { suite: "AWS Encryption SDK message 2" }),
            _ => Err(OpenError::Malformed { offset: 0, expected: "F5, the first byte of sealed bytes," }),
        }
    }
}

fn cut_off(sealed: &[u8]) -> OpenError {
    let offset = u64::try_from(sealed.len()).unwrap_or(u64::MAX);
    OpenError::Malformed { offset, expected: "a header of 6 bytes" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header { suite: Suite::Cobblestone256, version: 3 };
        assert_eq!(hex::encode(header.encode()), "f50100000003");
        for version in [0, 1, 0x0102_0304, u32::MAX] {
            for suite in [Suite::Cobblestone256, Suite::Xaes256Gcm] {
                let header = Header { suite, version };
                assert_eq!(Header::parse(&header.encode()).unwrap(), header);
            }
        }
    }

    #[test]
    fn every_first_byte_is_a_format_or_refused_by_name() {
        for first in 0..=u8::MAX {
            let error = Header::parse(&[first, 0xFF, 0, 0, 0, 0]).unwrap_err();
            match (first, &error) {
                (1 | 2, OpenError::UnsupportedSuite { .. })
                | (MAGIC, OpenError::Malformed { offset: 1, .. })
                | (_, OpenError::Malformed { offset: 0, .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn every_other_suite_byte_is_malformed_also_that_of_a_wrapping() {
        for suite in (0..=u8::MAX).filter(|suite| ![1, 2].contains(suite)) {
            let error = Header::parse(&[MAGIC, suite, 0, 0, 0, 1]).unwrap_err();
            assert!(matches!(error, OpenError::Malformed { offset: 1, .. }), "{suite}");
        }
    }

    #[test]
    fn an_incomplete_header_is_malformed_where_it_ends() {
        let header = Header { suite: Suite::Cobblestone256, version: 7 }.encode();
        for length in 0..HEADER_BYTES {
            let error = Header::parse(&header[..length]).unwrap_err();
            assert!(matches!(error, OpenError::Malformed { offset, .. } if offset == length as u64), "{error}");
        }
    }
}
