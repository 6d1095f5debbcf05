//! The disaster drill: can every key version be unwrapped when only one region is left?

use std::time::SystemTime;

use crate::keyring::migration::is_living;
use crate::keyring::record::KmsKey;
use crate::keyring::{KeyError, Keyring, policy};
use crate::kms::KeyId;
use crate::tenant::Purpose;

/// What a drill found. Made by [`Keyring::drill`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drill {
    /// The KMS keys that were asked, and no others.
    pub key_ids: Vec<KeyId>,
    /// What came of each key version, under each of these KMS keys.
    pub versions: Vec<DrilledVersion>,
}

impl Drill {
    /// Whether every key version opened through each of these KMS keys.
    pub fn is_passed(&self) -> bool {
        self.versions.iter().all(|version| version.outcome == DrillOutcome::Opened)
    }
}

/// One key version in a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrilledVersion {
    /// What it is for.
    pub purpose: Purpose,
    /// Its number.
    pub version: u32,
    /// The KMS key that was asked.
    pub key_id: KeyId,
    /// What came of it.
    pub outcome: DrillOutcome,
}

/// What came of one key version under one KMS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DrillOutcome {
    /// It was unwrapped, and is the key that was wrapped.
    Opened,
    /// It is not under this KMS key: [`Keyring::rewrap`] fills the gap.
    Missing,
    /// The KMS did not unwrap it; the code of the error.
    Refused(&'static str),
}

impl Keyring {
    /// Unwraps each key version through one region only, or through the one KMS key of that id, and tells what came of it:
    /// what a loss of all other regions would leave. One KMS call for each version and KMS key there. Nothing is changed
    /// and no key is kept, whatever the KMS answers.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use qsec_crypto::kms::{LocalKms, RootKey};
    /// # use qsec_crypto::{KeyRecords, Keyring, MemoryStore, Purpose, TenantId};
    /// # pollster::block_on(async {
    /// # let now = std::time::SystemTime::UNIX_EPOCH;
    /// # let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?);
    /// # let [primary, replica] = [kms.create_key(now).await?, kms.create_key(now).await?];
    /// # let keys = Keyring::new(TenantId::new("acme")?, kms, KeyRecords::in_memory()?);
    /// # keys.create(&[primary, replica.clone()], &[Purpose::data()], now).await?;
    /// let drill = keys.drill(replica.as_str(), now).await?; // or a region, as `eu-west-1`
    /// assert!(drill.is_passed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`KeyError::Usage`] if none of the tenant's KMS keys is there; [`KeyError::Stopped`] by the state of the tenant's
    /// own key; [`KeyError::Store`] if the store fails. What a KMS answers is in the drill.
    pub async fn drill(&self, through: &str, now: SystemTime) -> Result<Drill, KeyError> {
        let records = self.core.changeable(now).await?;
        let is_there = |key: &KmsKey| key.key_id.as_str() == through || policy::region(&key.key_id) == Some(through);
        let keys: Vec<KmsKey> = records.binding.keys().iter().filter(is_there).collect();
        if keys.is_empty() {
            return Err(KeyError::Usage { what: format!("no KMS key of the tenant is in, or is called, `{through}`") });
        }
        let mut versions = Vec::new();
        for record in records.versions.values().filter(|record| is_living(record)) {
            for key in &keys {
                let outcome = match record.wrapping(key) {
                    None => DrillOutcome::Missing,
                    Some(wrapping) => match self.core.unwrap_one(wrapping, record, now).await {
                        Ok(_) => DrillOutcome::Opened,
                        Err(error) => DrillOutcome::Refused(error.code()),
                    },
                };
                let (purpose, version, key_id) = (record.purpose.clone(), record.version, key.key_id.clone());
                versions.push(DrilledVersion { purpose, version, key_id, outcome });
            }
        }
        Ok(Drill { key_ids: keys.into_iter().map(|key| key.key_id).collect(), versions })
    }
}
