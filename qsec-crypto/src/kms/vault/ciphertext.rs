//! The text that Vault wraps to: `vault:v<version>:` and base64. Anything else is not sent to it.

#![deny(clippy::arithmetic_side_effects)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::kms::MAX_BLOB_BYTES;

/// The text, if it is one: Vault's own reader passes over line breaks and loose bits, so that one wrapping would have
/// many spellings.
pub(super) fn parse(blob: &[u8]) -> Option<&str> {
    version(blob)?;
    std::str::from_utf8(blob).ok()
}

/// Which version of the key wrapped.
pub(super) fn version(blob: &[u8]) -> Option<u32> {
    if blob.len() > MAX_BLOB_BYTES {
        return None;
    }
    let (version, encoded) = std::str::from_utf8(blob).ok()?.strip_prefix("vault:v")?.split_once(':')?;
    let number: u32 = version.parse().ok()?;
    let one_spelling = number > 0 && number.to_string() == version;
    // Strict: padding, no white space, no bits left over.
    let decoded = STANDARD.decode(encoded).ok()?;
    (one_spelling && !decoded.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_a_ciphertext_is_taken() {
        assert_eq!(version(b"vault:v12:AAAA"), Some(12));
        assert_eq!(parse(b"vault:v1:AAA="), Some("vault:v1:AAA="));
        for blob in [
            &b""[..],
            b"vault:v1:",
            b"vault:v0:AAAA",
            b"vault:v01:AAAA",
            b"vault:v+1:AAAA",
            b"vault:v99999999999:AAAA",
            b"vault:v1:AAA",
            b"vault:v1:AAAA\n",
            b"vault:v1:AAB=",
            b"vault:v1:AA-A",
            b"vault:v1:AAAAvault:v1:AAAA",
            b"Vault:v1:AAAA",
            b"vault:v1:\xff",
        ] {
            assert_eq!(version(blob), None, "{}", String::from_utf8_lossy(blob));
        }
        assert_eq!(version(&[b"vault:v1:", &b"A".repeat(MAX_BLOB_BYTES)[..]].concat()), None);
    }
}
