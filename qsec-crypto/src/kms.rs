//! Key management systems: who wraps tenant keys, and what every one of them must do.
//!
//! [`Kms`] is the border. [`LocalKms`] is the internal one, `aws` (behind its feature) is AWS KMS; [`conformance`] is the suite for all of them, also for one
//! that you write.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::secret::{Secret, SecretKey};
use crate::store::BoxFuture;

#[cfg(feature = "aws-kms")]
pub mod aws;
pub mod conformance;
mod context;
mod error;
mod faulty;
mod key_id;
mod local;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
#[cfg(feature = "vault")]
pub mod vault;

pub use context::WrappingContext;
pub use error::KmsError;
pub(crate) use error::{UnknownAnswer, store_code};
pub use faulty::{Fault, FaultyKms};
pub use key_id::{KeyId, KeyIdError, MAX_KEY_ID_BYTES};
pub(crate) use local::deletion_date;
pub use local::{
    LocalKms, MAX_DELETION_DAYS, MIN_DELETION_DAYS, PassphraseParameters, RootKey, RootKeyError, WrappedRootKey,
};

/// Most bytes of a wrapped key that a record keeps: the longest `CiphertextBlob` of AWS KMS.
pub const MAX_BLOB_BYTES: usize = 6_144;

/// Wraps and unwraps tenant keys under KMS keys that never leave it.
///
/// # Contract
/// - The key id is the caller's, never one that a blob names. A blob made under another key MUST be refused.
/// - The three pairs of the [`WrappingContext`] MUST be bound: a blob unwraps under exactly the context it was wrapped
///   under.
/// - The answer MUST carry the id of the key that was used; the keyring compares it.
/// - A disabled, deleted or denied key MUST fail with the variant that says so, and never with
///   [`KmsError::Unavailable`], on which callers try a replica.
/// - Dropping a future at any point MUST leave nothing locked.
///
/// [`conformance::run`] checks all of it.
pub trait Kms: Send + Sync + fmt::Debug {
    /// The name of the provider as records write it: `internal`, `aws`, `pkcs11`, `vault`, or your own.
    fn provider(&self) -> &'static str;

    /// Where the provider is reached, if not at its usual place. Recorded with what is wrapped, so that keys of one
    /// provider at two places are told apart.
    fn endpoint(&self) -> Option<&str> {
        None
    }

    /// Wraps a tenant key.
    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>>;

    /// Unwraps a tenant key.
    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>>;

    /// Says what the KMS knows of a key. A key that is stopped is described, not refused.
    fn describe<'a>(&'a self, key_id: &'a KeyId, now: SystemTime)
    -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>>;
}

impl<K: Kms + ?Sized> Kms for Arc<K> {
    fn provider(&self) -> &'static str {
        (**self).provider()
    }

    fn endpoint(&self) -> Option<&str> {
        (**self).endpoint()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        (**self).wrap(key_id, key, context, now)
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        (**self).unwrap(key_id, blob, context, now)
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        (**self).describe(key_id, now)
    }
}

impl<K: Kms + ?Sized> Kms for &K {
    fn provider(&self) -> &'static str {
        (**self).provider()
    }

    fn endpoint(&self) -> Option<&str> {
        (**self).endpoint()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        (**self).wrap(key_id, key, context, now)
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        (**self).unwrap(key_id, blob, context, now)
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        (**self).describe(key_id, now)
    }
}

/// A wrapped key, and the id of the key that wrapped it.
///
/// ```
/// use qsec_crypto::kms::{KeyId, Wrapped};
///
/// let wrapped = Wrapped::new(KeyId::new("k")?, vec![1, 2, 3]);
/// assert_eq!((wrapped.key_id().as_str(), wrapped.blob()), ("k", &[1, 2, 3][..]));
/// # Ok::<(), qsec_crypto::kms::KeyIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    key_id: KeyId,
    blob: Vec<u8>,
}

impl Wrapped {
    /// What a KMS answers to [`Kms::wrap`].
    pub fn new(key_id: KeyId, blob: Vec<u8>) -> Self {
        Self { key_id, blob }
    }

    /// The key that wrapped, as the KMS named it.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The wrapped key.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The wrapped key, without copying it.
    pub fn into_blob(self) -> Vec<u8> {
        self.blob
    }
}

/// What a KMS unwrapped, believed by nobody yet: its length, key id and key check are compared before it is used.
///
/// ```
/// use qsec_crypto::{Secret, kms::{KeyId, Unwrapped}};
///
/// let unwrapped = Unwrapped::new(KeyId::new("k")?, Secret::copy_from(&[7; 32]));
/// assert_eq!(unwrapped.secret().len(), 32);
/// # Ok::<(), qsec_crypto::kms::KeyIdError>(())
/// ```
#[derive(Debug)]
pub struct Unwrapped {
    key_id: KeyId,
    secret: Secret,
}

impl Unwrapped {
    /// What a KMS answers to [`Kms::unwrap`].
    pub fn new(key_id: KeyId, secret: Secret) -> Self {
        Self { key_id, secret }
    }

    /// The key that unwrapped, as the KMS named it.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// What was unwrapped.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// The state of a KMS key, as its KMS tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KmsKeyState {
    /// It wraps and unwraps.
    Enabled,
    /// Its owner locked it.
    Disabled,
    /// It waits to be destroyed.
    PendingDeletion,
    /// It is gone for good.
    Destroyed,
    /// It waits for its material.
    PendingImport,
    /// It cannot be used now, for any other reason.
    Unavailable,
}

/// What a KMS knows of one of its keys.
///
/// ```
/// use qsec_crypto::kms::{KeyId, KmsKeyDescription, KmsKeyState};
///
/// let key = KmsKeyDescription::new(KeyId::new("mrk-1")?, KmsKeyState::Enabled).in_regions(["eu-central-1"], true);
/// assert!(key.wraps() && key.is_multi_region());
/// # Ok::<(), qsec_crypto::kms::KeyIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKeyDescription {
    key_id: KeyId,
    state: KmsKeyState,
    wraps: bool,
    regions: Vec<String>,
    multi_region: bool,
    deletion_date: Option<SystemTime>,
}

impl KmsKeyDescription {
    /// A key that wraps and unwraps, with no regions.
    pub fn new(key_id: KeyId, state: KmsKeyState) -> Self {
        Self { key_id, state, wraps: true, regions: Vec::new(), multi_region: false, deletion_date: None }
    }

    /// Says where the key exists, and whether it is one key in several regions.
    #[must_use]
    pub fn in_regions(self, regions: impl IntoIterator<Item = impl Into<String>>, multi_region: bool) -> Self {
        Self { regions: regions.into_iter().map(Into::into).collect(), multi_region, ..self }
    }

    /// Says that the key is for something else than wrapping.
    #[must_use]
    pub fn not_for_wrapping(self) -> Self {
        Self { wraps: false, ..self }
    }

    /// Says when the key will be destroyed.
    #[must_use]
    pub fn deleted_at(self, date: SystemTime) -> Self {
        Self { deletion_date: Some(date), ..self }
    }

    /// The key that was asked for.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Its state.
    pub fn state(&self) -> KmsKeyState {
        self.state
    }

    /// Whether its usage is wrapping and unwrapping.
    pub fn wraps(&self) -> bool {
        self.wraps
    }

    /// The regions it exists in; none for a KMS without regions.
    pub fn regions(&self) -> &[String] {
        &self.regions
    }

    /// Whether one key with the same material exists in several regions.
    pub fn is_multi_region(&self) -> bool {
        self.multi_region
    }

    /// When it will be destroyed, if it waits for that.
    pub fn deletion_date(&self) -> Option<SystemTime> {
        self.deletion_date
    }
}
