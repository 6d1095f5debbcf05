//! The keys of one tenant: their records, their KMS, and which of them may be used now.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::header::Header;
use crate::kms::{Kms, KmsError, MAX_DELETION_DAYS, MIN_DELETION_DAYS};
use crate::observer::{Event, Observer};
use crate::secret::SecretKey;
use crate::stopped::{Stopped, StoppedBy, StoppedState};
use crate::tenant::{Purpose, TenantId};
use crate::tenant_key::{KeyName, TenantKey};

mod cache;
mod description;
mod error;
mod lifecycle;
mod record;
mod records;
mod wrapping;

use cache::{Cache, DEFAULT_BOUND, Epoch, MAX_BOUND};
pub use description::{KeyringDescription, KmsKeyAnswer, VersionDescription, WrappingDescription};
pub use error::KeyError;
pub use lifecycle::Rotation;
use record::{Binding, VersionRecord};
pub use record::{TenantKeyState, VersionState, WrappingRole};
pub use records::KeyRecords;
use records::Snapshot;

/// How often a load that was overtaken by a change begins again before the caller is told.
const MAX_LOADS: u32 = 3;

/// The keys of one tenant.
///
/// Asking for a key may wait for the store and, when the key is cold, for the KMS; using it never does. Clones are made
/// by sharing an `Arc`; all callers of a tenant should use one keyring, for it is the keyring that remembers keys.
///
/// ```
/// use std::sync::Arc;
/// use std::time::SystemTime;
/// use qsec_crypto::kms::{LocalKms, RootKey};
/// use qsec_crypto::{Context, KeyRecords, Keyring, MemoryStore, Purpose, TenantId};
///
/// # pollster::block_on(async {
/// # let now = SystemTime::UNIX_EPOCH;
/// let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?);
/// let key_id = kms.create_key(now).await?;
/// let keys = Keyring::new(TenantId::new("acme")?, kms, KeyRecords::in_memory()?);
/// keys.create(&[key_id], &[Purpose::data()], now).await?;
///
/// let context = Context::from([("table", "orders"), ("row", "17")]);
/// let key = keys.current(&Purpose::data(), now).await?; // a KMS call only when cold
/// let sealed = key.seal(b"4,200 EUR", &context)?;
///
/// let key = keys.for_sealed(&sealed, &Purpose::data(), now).await?;
/// assert_eq!(key.open(&sealed, &context)?, b"4,200 EUR");
///
/// keys.disable(now).await?;
/// assert_eq!(keys.current(&Purpose::data(), now).await.unwrap_err().code(), "key_disabled");
/// assert_eq!(key.open(&sealed, &context).unwrap_err().code(), "key_disabled");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Keyring {
    tenant: TenantId,
    kms: Arc<dyn Kms>,
    records: KeyRecords,
    cache: Cache,
    observer: Arc<dyn Observer>,
}

/// Whether a key may be ordered deleted after so many days: 7 to 30.
///
/// # Errors
/// [`KeyError::Usage`] for any other number.
pub fn check_deletion_days(days: u32) -> Result<(), KeyError> {
    if (MIN_DELETION_DAYS..=MAX_DELETION_DAYS).contains(&days) {
        return Ok(());
    }
    let what = format!("a key is deleted after {MIN_DELETION_DAYS} to {MAX_DELETION_DAYS} days, not {days}");
    Err(KeyError::Usage { what })
}

impl Keyring {
    /// The keyring of a tenant. The KMS must be of the provider that the tenant's keys are bound to.
    pub fn new(tenant: TenantId, kms: Arc<dyn Kms>, records: KeyRecords) -> Self {
        Self { tenant, kms, records, cache: Cache::new(DEFAULT_BOUND), observer: Arc::new(()) }
    }

    /// Tells this observer what happens to the keys.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// Sets how long a key is used before the KMS is asked again: how long a customer who disables the key at their KMS
    /// waits at most. 60 s by default; 0 asks the KMS for each key; at most 300 s.
    ///
    /// # Errors
    /// [`KeyError::Usage`] beyond 300 s.
    pub fn with_revocation_bound(self, bound: Duration) -> Result<Self, KeyError> {
        if bound > MAX_BOUND {
            return Err(KeyError::Usage { what: format!("the revocation bound is at most {} s", MAX_BOUND.as_secs()) });
        }
        Ok(Self { cache: Cache::new(bound), ..self })
    }

    /// Whose keys they are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The key that seals now.
    ///
    /// # Errors
    /// [`KeyError::Stopped`] by the state of the tenant's key or of the KMS key; [`KeyError::TenantNotFound`] and
    /// [`KeyError::VersionNotFound`] if there is no such key; [`KeyError::RecordForged`]; [`KeyError::Kms`] and
    /// [`KeyError::Store`] if they fail.
    pub async fn current(&self, purpose: &Purpose, now: SystemTime) -> Result<TenantKey, KeyError> {
        self.key(purpose, None, now).await
    }

    /// One version of a key. A retired version only opens.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub async fn version(&self, purpose: &Purpose, version: u32, now: SystemTime) -> Result<TenantKey, KeyError> {
        self.key(purpose, Some(version), now).await
    }

    /// The key that these sealed bytes name; their first 6 bytes are enough. The tenant is this keyring's, never one that
    /// the bytes name.
    ///
    /// # Errors
    /// As [`Self::current`]; [`KeyError::Open`] if they are no native sealed bytes.
    pub async fn for_sealed(&self, sealed: &[u8], purpose: &Purpose, now: SystemTime) -> Result<TenantKey, KeyError> {
        let header = Header::parse(sealed)?;
        self.version(purpose, header.version, now).await
    }

    /// Drops every key and record that is remembered. Call it when another node has changed the tenant's keys; the next
    /// call then reads them again, and stops the keys that are out if that is what was changed.
    pub fn forget(&self) {
        let held = self.cache.clear();
        self.evicted(held, "forget");
    }

    async fn key(&self, purpose: &Purpose, version: Option<u32>, now: SystemTime) -> Result<TenantKey, KeyError> {
        for _ in 0..MAX_LOADS {
            let epoch = self.cache.epoch();
            let records = self.usable_records(now).await?;
            let version = choose(&records, purpose, version)?;
            let place = (purpose.clone(), version.version);
            if let Some(key) = self.cache.key(&place, now) {
                return Ok(key);
            }
            let secret = self.unwrap(&records.binding, version, now).await?;
            if let Some(key) = self.keep(epoch, version, &secret, now)? {
                return Ok(key);
            }
        }
        Err(KeyError::Conflict { what: "the tenant's keys are being changed; try again".to_owned() })
    }

    /// Makes the key and keeps it; `None` if something stopped since its load began.
    fn keep(
        &self,
        epoch: Epoch,
        record: &VersionRecord,
        secret: &SecretKey,
        now: SystemTime,
    ) -> Result<Option<TenantKey>, KeyError> {
        let place = (record.purpose.clone(), record.version);
        let name = KeyName { tenant: self.tenant.clone(), purpose: record.purpose.clone(), version: record.version };
        let lock = self.cache.lock(epoch, &place);
        if record.state == VersionState::Retired {
            lock.retire();
        }
        let key = TenantKey::new(name, secret, lock, Arc::clone(&self.observer))?;
        Ok(self.cache.keep_key(epoch, place, &key, now).then_some(key))
    }

    /// Unwraps a key version. If the KMS says no, every key that is held or out is under the same KMS key, and stops.
    async fn unwrap(&self, binding: &Binding, version: &VersionRecord, now: SystemTime) -> Result<SecretKey, KeyError> {
        let unwrapped = self.unwrap_any(binding, version, now).await;
        match unwrapped.map_err(KeyError::from) {
            Err(KeyError::Stopped(stopped)) => {
                self.observer.observe(&Event::new("key.probe_failed").tenant(&self.tenant).cause(stopped.code()));
                if stopped.state == StoppedState::PendingDeletion {
                    self.observer.observe(&Event {
                        key_id: stopped.key_id.as_ref(),
                        deletion_date: stopped.deletion_date,
                        ..Event::new("key.pending_deletion").tenant(&self.tenant).cause("kms")
                    });
                }
                self.stop(&stopped);
                Err(KeyError::Stopped(stopped))
            }
            Err(error @ KeyError::Kms(KmsError::AccessDenied { .. } | KmsError::KeyNotFound { .. })) => {
                self.observer.observe(&Event::new("key.denied").tenant(&self.tenant).cause(error.code()));
                let held = self.cache.clear();
                self.evicted(held, error.code());
                Err(error)
            }
            other => other,
        }
    }

    /// The records, if the tenant's own state allows their use.
    async fn usable_records(&self, now: SystemTime) -> Result<Arc<Snapshot>, KeyError> {
        let records = match self.cache.records(now) {
            Some(records) => records,
            None => self.load(now).await?,
        };
        match records.binding.stopped() {
            None => Ok(records),
            Some(stopped) => {
                self.stop(&stopped);
                Err(stopped.into())
            }
        }
    }

    /// The records as they are in the store now. What was changed by another node takes effect here.
    async fn load(&self, now: SystemTime) -> Result<Arc<Snapshot>, KeyError> {
        let epoch = self.cache.epoch();
        let records = match self.records.load(&self.tenant).await {
            Ok(records) => records,
            Err(error) => {
                if let KeyError::RecordForged { .. } = error {
                    self.observer.observe(&Event::new("key.record_forged").tenant(&self.tenant).cause(error.code()));
                    self.cache.clear();
                }
                return Err(error);
            }
        };
        let records = records.ok_or_else(|| KeyError::TenantNotFound { tenant: self.tenant.clone() })?;
        if records.binding.provider != self.kms.provider() {
            let (bound, given) = (&records.binding.provider, self.kms.provider());
            return Err(KeyError::Usage {
                what: format!("the tenant's keys are bound to `{bound}`, not to `{given}`"),
            });
        }
        // Whoever first sees that the wait is over destroys, so that a clock that goes back brings nothing to life.
        let records = if records.binding.is_due(now) { self.destroy_all(records).await? } else { records };
        self.follow(&records);
        let records = Arc::new(records);
        self.cache.keep_records(epoch, &records, now);
        Ok(records)
    }

    /// Stops the keys that are out as the records say.
    fn follow(&self, records: &Snapshot) {
        for (place, version) in &records.versions {
            match version.state {
                VersionState::Active => {}
                VersionState::Retired => self.cache.follow_retired(place),
                VersionState::Destroyed => self.cache.follow_destroyed(place, &version_destroyed()),
            }
        }
    }

    fn stop(&self, stopped: &Stopped) {
        let held = self.cache.stop(stopped);
        self.evicted(held, stopped.code());
    }

    fn evicted(&self, held: usize, cause: &'static str) {
        if held > 0 {
            self.observer.observe(&Event::new("key.cache_evicted").tenant(&self.tenant).cause(cause));
        }
    }

    fn event(&self, name: &'static str) -> Event<'_> {
        Event::new(name).tenant(&self.tenant)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("tenant", &self.tenant).field("kms", &self.kms).finish_non_exhaustive()
    }
}

/// The record of a version that can be used: the one asked for, else the active one.
fn choose<'a>(records: &'a Snapshot, purpose: &Purpose, version: Option<u32>) -> Result<&'a VersionRecord, KeyError> {
    let newest = records.binding.newest(purpose).unwrap_or(0);
    let version = version.unwrap_or(newest);
    let record = records.versions.get(&(purpose.clone(), version));
    let record = record.ok_or_else(|| KeyError::VersionNotFound { purpose: purpose.clone(), version })?;
    if record.state == VersionState::Destroyed { Err(version_destroyed().into()) } else { Ok(record) }
}

fn version_destroyed() -> Stopped {
    Stopped::new(StoppedState::Destroyed, StoppedBy::Tenant)
}
