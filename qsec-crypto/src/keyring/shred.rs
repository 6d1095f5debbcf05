//! Destroying one key version for good: planned, recorded by the caller, then done.

use std::fmt;
use std::time::SystemTime;

use crate::keyring::lifecycle::destroyed;
use crate::keyring::record::{VersionRecord, VersionState};
use crate::keyring::records::Snapshot;
use crate::keyring::{KeyError, Keyring, version_destroyed};
use crate::kms::KeyId;
use crate::tenant::{Purpose, TenantId};
use crate::timestamp;

/// What a shred will destroy. Made by [`Keyring::plan_shred`], used up by [`Keyring::run_shred`]; in between is the time to
/// record it where it lasts, for there is no way back.
///
/// ```
/// # use std::sync::Arc;
/// # use qsec_crypto::kms::{LocalKms, RootKey};
/// # use qsec_crypto::{KeyRecords, Keyring, MemoryStore, Purpose, TenantId};
/// # pollster::block_on(async {
/// # let now = std::time::SystemTime::UNIX_EPOCH;
/// # let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?);
/// # let key_id = kms.create_key(now).await?;
/// # let keys = Keyring::new(TenantId::new("acme")?, kms, KeyRecords::in_memory()?);
/// # keys.create(&[key_id], &[Purpose::data()], now).await?;
/// keys.rotate(&Purpose::data(), now).await?;
/// let plan = keys.plan_shred(&Purpose::data(), 1, now).await?;
/// println!("destroys {} wrappings of version {}", plan.wrappings(), plan.version()); // record it
/// let shredded = keys.run_shred(plan, now).await?;
/// assert_eq!(shredded.remains[0].to_string(), "backups older than 1970-01-01T00:00:00Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct ShredPlan {
    tenant: TenantId,
    purpose: Purpose,
    version: u32,
    wrappings: u32,
    /// Of the record that was looked at. A record that was changed since is not destroyed by this plan.
    generation: u64,
}

impl ShredPlan {
    /// Whose key version it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What the key version is for.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Which version it is.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// How many wrappings will be destroyed; 0 if the version is destroyed already. No KMS is called.
    pub fn wrappings(&self) -> u32 {
        self.wrappings
    }
}

/// What a shred destroyed, and what it could not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shredded {
    /// What the key version was for.
    pub purpose: Purpose,
    /// Which version it was.
    pub version: u32,
    /// How many wrappings were overwritten: 0 if it was destroyed before.
    pub wrappings_destroyed: u32,
    /// What is left elsewhere.
    pub remains: Vec<Remains>,
}

/// What a shred cannot reach.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remains {
    /// Backups of the store from before, with the wrappings in them. They open nothing without the KMS keys.
    Backups {
        /// When the version was destroyed.
        older_than: SystemTime,
    },
    /// A KMS key under which the version was: with it, such a backup could be opened.
    KmsKey {
        /// The KMS key.
        key_id: KeyId,
    },
}

impl Remains {
    /// The stable name of what is left.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Backups { .. } => "backups",
            Self::KmsKey { .. } => "kms_key",
        }
    }
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backups { older_than } => {
                write!(f, "backups older than {}", timestamp::encode(*older_than).unwrap_or_default())
            }
            Self::KmsKey { key_id } => write!(f, "KMS key `{key_id}`, which opens the wrapping in such a backup"),
        }
    }
}

impl Keyring {
    /// Plans to destroy one retired key version for good, and says what that will destroy. Nothing is changed.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if the version is active; [`KeyError::VersionNotFound`]; [`KeyError::Store`] if the store
    /// fails. A version that is destroyed already is no error.
    pub async fn plan_shred(&self, purpose: &Purpose, version: u32, now: SystemTime) -> Result<ShredPlan, KeyError> {
        let records = self.core.load(now).await?;
        let record = shreddable(&records, purpose, version)?;
        let plan = ShredPlan {
            tenant: self.core.tenant.clone(),
            purpose: purpose.clone(),
            version,
            wrappings: u32::try_from(record.wrappings.len()).unwrap_or(u32::MAX),
            generation: record.generation,
        };
        self.core.observer.observe(&self.core.event("key.shred_planned").version(purpose, version).cause("tenant"));
        Ok(plan)
    }

    /// Destroys what was planned: the wrappings are overwritten, keys that are out are stopped, and what the version
    /// sealed opens no more. The answer lists what remains elsewhere.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if the version was changed since the plan: plan anew; [`KeyError::Usage`] for the plan of
    /// another tenant; [`KeyError::Store`] if the store fails.
    pub async fn run_shred(&self, plan: ShredPlan, now: SystemTime) -> Result<Shredded, KeyError> {
        let ShredPlan { tenant, purpose, version, generation, .. } = plan;
        self.core.is_planned_here(&tenant)?;
        let records = self.core.load(now).await?;
        let record = shreddable(&records, &purpose, version)?;
        let mut remains = vec![Remains::Backups { older_than: now }];
        if record.state == VersionState::Destroyed {
            return Ok(Shredded { purpose, version, wrappings_destroyed: 0, remains });
        }
        if record.generation != generation {
            let what = format!("version {version} was changed since its destruction was planned; plan anew");
            return Err(KeyError::Conflict { what });
        }
        let wrappings_destroyed = u32::try_from(record.wrappings.len()).unwrap_or(u32::MAX);
        remains.extend(record.wrappings.iter().map(|wrapping| Remains::KmsKey { key_id: wrapping.key_id.clone() }));
        self.core.records.write(&self.core.tenant, None, &[destroyed(record.clone())?]).await?;
        let held = self.core.cache.stop_version(&(purpose.clone(), version), &version_destroyed());
        self.core.evicted(held, "shred");
        self.core.observer.observe(&self.core.event("key.destroyed").version(&purpose, version).cause("tenant"));
        Ok(Shredded { purpose, version, wrappings_destroyed, remains })
    }

    /// Plans and destroys at once, for a caller that has recorded it before.
    ///
    /// # Errors
    /// As [`Self::plan_shred`] and [`Self::run_shred`].
    pub async fn shred(&self, purpose: &Purpose, version: u32, now: SystemTime) -> Result<Shredded, KeyError> {
        let plan = self.plan_shred(purpose, version, now).await?;
        self.run_shred(plan, now).await
    }
}

/// A version that may be destroyed, or is.
fn shreddable<'a>(records: &'a Snapshot, purpose: &Purpose, version: u32) -> Result<&'a VersionRecord, KeyError> {
    let record = records.versions.get(&(purpose.clone(), version));
    let record = record.ok_or_else(|| KeyError::VersionNotFound { purpose: purpose.clone(), version })?;
    if record.state == VersionState::Active {
        return Err(KeyError::Conflict { what: format!("version {version} is active: rotate first") });
    }
    Ok(record)
}
