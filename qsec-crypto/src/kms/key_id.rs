//! The name of a KMS key.

use std::fmt;

/// Most bytes of a key id: the longest that AWS KMS takes.
pub const MAX_KEY_ID_BYTES: usize = 2_048;

/// A key id is empty, too long, or holds a control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id has 1 to {MAX_KEY_ID_BYTES} bytes and no control characters, this one has {bytes} bytes")]
#[non_exhaustive]
pub struct KeyIdError {
    /// Its length in bytes.
    pub bytes: usize,
}

/// Names one KMS key: `local:` and 32 hex digits, a key ARN, a token's label. Always explicit, never taken from a blob.
///
/// ```
/// use qsec_crypto::kms::KeyId;
///
/// assert_eq!(KeyId::new("local:000102030405060708090a0b0c0d0e0f")?.as_str().len(), 38);
/// assert!(KeyId::new("").is_err());
/// # Ok::<(), qsec_crypto::kms::KeyIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Takes a key id as it is.
    ///
    /// # Errors
    /// [`KeyIdError`] if it is empty, longer than 2,048 bytes, or holds a control character.
    pub fn new(id: impl Into<String>) -> Result<Self, KeyIdError> {
        let id = id.into();
        let bytes = id.len();
        if bytes == 0 || bytes > MAX_KEY_ID_BYTES || id.chars().any(char::is_control) {
            return Err(KeyIdError { bytes });
        }
        Ok(Self(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_have_1_to_2048_bytes_and_no_control_characters() {
        for id in ["", "a\nb", "a\u{7f}", &"x".repeat(2_049)] {
            assert_eq!(KeyId::new(id), Err(KeyIdError { bytes: id.len() }));
        }
        assert!(KeyId::new("x".repeat(2_048)).is_ok());
    }
}
