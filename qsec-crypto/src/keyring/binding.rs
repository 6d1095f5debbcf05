//! Where a tenant's keys are bound, and the KMSes that a keyring in use is given later.

use std::sync::Arc;
use std::time::SystemTime;

use crate::keyring::description::{VersionDescription, describe_versions};
use crate::keyring::{KeyError, KeyPolicy, Keyring, Migration, TenantKeyState};
use crate::kms::{KeyId, Kms};

/// Where a tenant's keys are bound, as the store has it.
///
/// ```
/// use std::sync::Arc;
/// use std::time::SystemTime;
/// use qsec_crypto::kms::{FaultyKms, Fault, LocalKms, RootKey};
/// use qsec_crypto::{KeyRecords, Keyring, MemoryStore, Purpose, TenantId};
///
/// # pollster::block_on(async {
/// # let now = SystemTime::UNIX_EPOCH;
/// let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?;
/// let key_id = kms.create_key(now).await?;
/// let kms = Arc::new(FaultyKms::over(kms));
/// let keys = Keyring::new(TenantId::new("acme")?, kms.clone(), KeyRecords::in_memory()?);
/// keys.create(&[key_id.clone()], &[Purpose::data()], now).await?;
///
/// kms.fail(None, Fault::Unavailable); // nobody asks it
/// let binding = keys.binding(now).await?;
/// assert_eq!((binding.provider.as_str(), &binding.key_ids), ("internal", &vec![key_id]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyBinding {
    /// The tenant's own state: what the KMS says of its keys is not asked.
    pub state: TenantKeyState,
    /// The provider of the KMS keys.
    pub provider: String,
    /// The KMS keys: primary first, then replicas.
    pub key_ids: Vec<KeyId>,
    /// Where the KMS is reached, if not at its usual place.
    pub endpoint: Option<String>,
    /// The move to other KMS keys that is under way.
    pub migration: Option<Migration>,
    /// What the tenant demands of its KMS keys.
    pub policy: KeyPolicy,
    /// Every version of every purpose, by purpose and number.
    pub versions: Vec<VersionDescription>,
}

impl Keyring {
    /// Adds a KMS as [`Self::with_kms`] does, to a keyring that is in use.
    pub fn add_kms(&self, kms: Arc<dyn Kms>) {
        self.core.providers.add(kms);
    }

    /// Where the tenant's keys are bound, read from the store alone: no KMS is asked, so that it can be learnt which one
    /// will be needed.
    ///
    /// # Errors
    /// [`KeyError::TenantNotFound`], [`KeyError::RecordForged`], and [`KeyError::Store`] if the store fails.
    pub async fn binding(&self, now: SystemTime) -> Result<KeyBinding, KeyError> {
        let tenant = &self.core.tenant;
        let records = self.core.read_records().await?;
        let records = records.ok_or_else(|| KeyError::TenantNotFound { tenant: tenant.clone() })?;
        let binding = &records.binding;
        Ok(KeyBinding {
            // Whoever uses the keys next destroys what is due; here it is said only.
            state: if binding.is_due(now) { TenantKeyState::Destroyed } else { binding.state },
            provider: binding.provider.clone(),
            key_ids: binding.key_ids.clone(),
            endpoint: binding.endpoint.clone(),
            migration: Migration::of(&records),
            policy: binding.policy(),
            versions: describe_versions(&records),
        })
    }
}
