//! Sealing under a key that the caller holds, without a KMS and without a store.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::{OpenError, SealError};
use crate::header::Header;
use crate::kdf::Broken;
use crate::key_file::{self, Access, KeyFileError};
use crate::observer::Observer;
use crate::secret::SecretKey;
use crate::tenant::{Purpose, TenantId};
use crate::tenant_key::{KeyName, TenantKey};

/// A tenant key in the caller's own hands. Tenant and purpose are bound as always; they are `raw` and `data` unless
/// named.
///
/// ```
/// use qsec_crypto::{Context, Purpose, RawKey, TenantId};
///
/// let raw = RawKey::parse(b"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")?
///     .for_tenant(TenantId::new("acme")?)
///     .for_purpose(Purpose::new("files")?);
/// let sealed = raw.at_version(7)?.seal(b"hello", &Context::empty())?;
///
/// let key = raw.for_sealed(&sealed)?;
/// assert_eq!(key.version(), 7);
/// assert_eq!(key.open(&sealed, &Context::empty())?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RawKey {
    key: SecretKey,
    tenant: TenantId,
    purpose: Purpose,
    observer: Arc<dyn Observer>,
}

impl RawKey {
    /// Takes a key.
    pub fn new(key: SecretKey) -> Self {
        Self { key, tenant: TenantId::raw(), purpose: Purpose::data(), observer: Arc::new(()) }
    }

    /// Reads a key written as 64 hex digits or as base64; white space may follow it.
    ///
    /// # Errors
    /// [`KeyFileError`] for any other text.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        SecretKey::parse(text).map(Self::new)
    }

    /// Reads a key file of such text. Who else can read the file is for the caller to judge.
    ///
    /// # Errors
    /// [`KeyFileError`] if there is no such file, or another text in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        key_file::read(path.as_ref(), Access::Any).map(Self::new)
    }

    /// Binds to this tenant instead of `raw`.
    #[must_use]
    pub fn for_tenant(self, tenant: TenantId) -> Self {
        Self { tenant, ..self }
    }

    /// Binds to this purpose instead of `data`.
    #[must_use]
    pub fn for_purpose(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
    }

    /// Tells this observer of refusals, with their exact reasons.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// The key under this version number, which is written on seal and must be in the header on open. 0 if there are no
    /// versions.
    ///
    /// # Errors
    /// [`SealError::Internal`], which no input causes.
    pub fn at_version(&self, version: u32) -> Result<TenantKey, SealError> {
        Ok(self.versioned(version)?)
    }

    /// The key under the version number that the sealed bytes name; their first 6 bytes are enough.
    ///
    /// # Errors
    /// [`OpenError::Malformed`] and [`OpenError::UnsupportedSuite`] if they are no native sealed bytes.
    pub fn for_sealed(&self, sealed: &[u8]) -> Result<TenantKey, OpenError> {
        Ok(self.versioned(Header::parse(sealed)?.version)?)
    }

    fn versioned(&self, version: u32) -> Result<TenantKey, Broken> {
        let name = KeyName { tenant: self.tenant.clone(), purpose: self.purpose.clone(), version };
        TenantKey::new(name, &self.key, Arc::default(), Arc::clone(&self.observer))
    }
}

impl fmt::Debug for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawKey").field("tenant", &self.tenant).field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;

    #[test]
    fn version_is_taken_from_the_header_unless_it_is_named() {
        let raw = RawKey::new(SecretKey::copy_from(&[1; 32]));
        let sealed = raw.at_version(0).unwrap().seal(b"x", &Context::empty()).unwrap();
        assert_eq!(raw.for_sealed(&sealed[..6]).unwrap().version(), 0);
        assert!(matches!(raw.at_version(1).unwrap().open(&sealed, &Context::empty()), Err(OpenError::NotOpened)));
        assert_eq!(raw.for_sealed(&sealed[..5]).unwrap_err().code(), "malformed");
    }

    #[test]
    fn tenant_raw_and_purpose_data_are_bound_by_default() {
        let raw = || RawKey::new(SecretKey::copy_from(&[1; 32]));
        let sealed = raw().at_version(0).unwrap().seal(b"x", &Context::empty()).unwrap();
        let named = raw().for_tenant(TenantId::new("raw").unwrap()).for_purpose(Purpose::data());
        assert_eq!(named.at_version(0).unwrap().open(&sealed, &Context::empty()).unwrap(), b"x");
        let other = raw().for_tenant(TenantId::new("acme").unwrap());
        assert!(matches!(
            other.for_sealed(&sealed).unwrap().open(&sealed, &Context::empty()),
            Err(OpenError::NotOpened)
        ));
    }
}
