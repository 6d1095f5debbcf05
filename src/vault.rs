//! Service keys: what the deployment itself must keep secret, wrapped under the internal KMS.
//!
//! One key for each purpose. They never meet a tenant's keys: a customer who disables theirs must not blind the log,
//! nor stop the authority.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use qsec_audit::{MacKey, SealerError, StateSealer};
use qsec_crypto::kms::{KeyId, Kms, LocalKms, WrappingContext};
use qsec_crypto::{Context, Purpose, RawKey, SecretKey, TenantId, TenantKey};
use qsec_store::{SettingRow, SettingStore, Store};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Error;

/// The name under which service keys are bound: no tenant can be called so, for its id begins with a letter or digit.
const OWNER: &str = "_deployment";

/// What a service key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServicePurpose {
    /// Authenticates the rows of tenants' keys.
    KeyRecords,
    /// Seals the log's signing key.
    AuditSign,
    /// Seals the log's MAC state.
    AuditState,
    /// Seals the log's first MAC key, where it is not escrowed elsewhere.
    AuditEscrow,
    /// Seals the authority's key.
    Authority,
    /// Seals the keys that sign tokens.
    TokenSigning,
    /// Seals the policies of tenants.
    TenantPolicies,
}

impl ServicePurpose {
    pub(crate) const ALL: [Self; 7] = [
        Self::KeyRecords,
        Self::AuditSign,
        Self::AuditState,
        Self::AuditEscrow,
        Self::Authority,
        Self::TokenSigning,
        Self::TenantPolicies,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::KeyRecords => "key-records",
            Self::AuditSign => "audit-sign",
            Self::AuditState => "audit-state",
            Self::AuditEscrow => "audit-escrow",
            Self::Authority => "authority",
            Self::TokenSigning => "token-signing",
            Self::TenantPolicies => "tenant-policies",
        }
    }

    fn setting(self) -> String {
        format!("service-key/{}", self.as_str())
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceKeyRecord {
    key_id: String,
    version: u32,
    blob: String,
}

/// Makes service keys once and opens them at each start.
#[derive(Debug, Clone)]
pub(crate) struct Vault {
    kms: Arc<LocalKms>,
    store: Store,
}

impl Vault {
    pub(crate) fn new(kms: Arc<LocalKms>, store: Store) -> Self {
        Self { kms, store }
    }

    /// Makes the key of a purpose: an own key in the internal KMS, and 32 random bytes under it.
    pub(crate) async fn create(&self, purpose: ServicePurpose, now: SystemTime) -> Result<(), Error> {
        let secret = SecretKey::generate().map_err(|_| Error::internal("the kernel gave no randomness"))?;
        let key_id = self.kms.create_key(now).await?;
        let wrapped = self.kms.wrap(&key_id, &secret, &wrapping_context(purpose)?, now).await?;
        let record = ServiceKeyRecord {
            key_id: key_id.as_str().to_owned(),
            version: 1,
            blob: STANDARD_NO_PAD.encode(wrapped.blob()),
        };
        let body = serde_json::to_vec(&record).map_err(|error| Error::internal(error.to_string()))?;
        self.store.write(&SettingRow { name: purpose.setting(), generation: 1, body }).await?;
        Ok(())
    }

    /// The key itself: for what computes with it. Everything else takes [`Vault::sealing`].
    pub(crate) async fn secret(&self, purpose: ServicePurpose, now: SystemTime) -> Result<SecretKey, Error> {
        let missing = || Error::internal(format!("the service key `{}` is missing from the store", purpose.as_str()));
        let row = SettingStore::get(&self.store, &purpose.setting()).await?.ok_or_else(missing)?;
        let record: ServiceKeyRecord = serde_json::from_slice(&row.body).map_err(|_| missing())?;
        let key_id = KeyId::new(record.key_id).map_err(|_| missing())?;
        let blob = STANDARD_NO_PAD.decode(record.blob).map_err(|_| missing())?;
        let unwrapped = self.kms.unwrap(&key_id, &blob, &wrapping_context(purpose)?, now).await?;
        SecretKey::try_from_slice(unwrapped.secret().expose_secret()).ok_or_else(missing)
    }

    /// The key in the form that seals and opens records.
    pub(crate) async fn sealing(&self, purpose: ServicePurpose, now: SystemTime) -> Result<ServiceKey, Error> {
        let key = RawKey::new(self.secret(purpose, now).await?)
            .for_tenant(owner()?)
            .for_purpose(name(purpose)?)
            .at_version(1)?;
        Ok(ServiceKey(key))
    }
}

/// A service key that seals small records, each bound to its name.
#[derive(Debug, Clone)]
pub(crate) struct ServiceKey(TenantKey);

impl ServiceKey {
    pub(crate) fn seal(&self, record: &str, secret: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.seal(secret, &Context::from([("record", record)]))?)
    }

    pub(crate) fn open(&self, record: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(Zeroizing::new(self.0.open(sealed, &Context::from([("record", record)]))?))
    }

    /// Seals a secret and keeps it in the store.
    pub(crate) async fn keep(&self, store: &Store, record: &str, secret: &[u8]) -> Result<(), Error> {
        let row = SettingRow { name: sealed_name(record), generation: 1, body: self.seal(record, secret)? };
        Ok(store.write(&row).await?)
    }

    /// Reads such a secret again.
    pub(crate) async fn recall(&self, store: &Store, record: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let row = SettingStore::get(store, &sealed_name(record))
            .await?
            .ok_or_else(|| Error::internal(format!("the sealed record `{record}` is missing from the store")))?;
        self.open(record, &row.body)
    }
}

/// Seals the log's next MAC key, so that who copies the folder alone cannot go on with the chain.
#[derive(Debug)]
pub(crate) struct LogStateSealer(pub(crate) ServiceKey);

const LOG_STATE: &str = "log-state";

impl StateSealer for LogStateSealer {
    fn seal(&self, key: &MacKey) -> Result<Vec<u8>, SealerError> {
        self.0.seal(LOG_STATE, key.expose_secret()).map_err(|error| SealerError::new(error.to_string()))
    }

    fn open(&self, sealed: &[u8]) -> Result<MacKey, SealerError> {
        let secret = self.0.open(LOG_STATE, sealed).map_err(|error| SealerError::new(error.to_string()))?;
        let bytes: &[u8; 32] =
            secret.as_slice().try_into().map_err(|_| SealerError::new("the sealed state has another length"))?;
        Ok(MacKey::from_bytes(bytes))
    }
}

fn sealed_name(record: &str) -> String {
    format!("sealed/{record}")
}

fn owner() -> Result<TenantId, Error> {
    TenantId::new(OWNER).map_err(|error| Error::internal(error.to_string()))
}

fn name(purpose: ServicePurpose) -> Result<Purpose, Error> {
    Purpose::new(purpose.as_str()).map_err(|error| Error::internal(error.to_string()))
}

fn wrapping_context(purpose: ServicePurpose) -> Result<WrappingContext, Error> {
    Ok(WrappingContext::new(owner()?, name(purpose)?, 1))
}
