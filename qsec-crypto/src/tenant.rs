//! Whose key, and for what: the two names that every binding holds.

use std::fmt;

/// Most bytes of a tenant id or a purpose: the length prefix of the binding allows more, KMS contexts do not.
pub const MAX_NAME_BYTES: usize = 255;

/// A tenant id or a purpose is empty or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant id or purpose has 1 to {MAX_NAME_BYTES} bytes, this one has {bytes}")]
#[non_exhaustive]
pub struct NameError {
    /// Its length in bytes.
    pub bytes: usize,
}

/// The tenant that owns sealed bytes: 1 to 255 bytes of UTF-8, compared byte by byte.
///
/// ```
/// use qsec_crypto::TenantId;
///
/// assert_eq!(TenantId::new("acme")?.as_str(), "acme");
/// assert!(TenantId::new("").is_err());
/// # Ok::<(), qsec_crypto::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(String);

impl TenantId {
    /// Takes a tenant id as it is.
    ///
    /// # Errors
    /// [`NameError`] if it is empty or longer than 255 bytes.
    pub fn new(id: impl Into<String>) -> Result<Self, NameError> {
        checked(id.into()).map(Self)
    }

    /// The tenant of raw keys, unless another is named.
    pub(crate) fn raw() -> Self {
        Self("raw".to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key is for: 1 to 255 bytes of UTF-8. Keys of different purposes never open each other's bytes.
///
/// ```
/// use qsec_crypto::Purpose;
///
/// assert_eq!(Purpose::data().as_str(), "data");
/// assert_eq!(Purpose::new("files")?.as_str(), "files");
/// # Ok::<(), qsec_crypto::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Purpose(String);

impl Purpose {
    /// The default purpose, `data`.
    pub fn data() -> Self {
        Self("data".to_owned())
    }

    /// Takes a purpose as it is.
    ///
    /// # Errors
    /// [`NameError`] if it is empty or longer than 255 bytes.
    pub fn new(purpose: impl Into<String>) -> Result<Self, NameError> {
        checked(purpose.into()).map(Self)
    }

    /// The purpose as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn checked(name: String) -> Result<String, NameError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES { Err(NameError { bytes: name.len() }) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_1_to_255_bytes() {
        for length in [0, 256, 70_000] {
            assert_eq!(TenantId::new("x".repeat(length)), Err(NameError { bytes: length }));
            assert_eq!(Purpose::new("x".repeat(length)), Err(NameError { bytes: length }));
        }
        assert!(TenantId::new("x".repeat(255)).is_ok());
    }
}
