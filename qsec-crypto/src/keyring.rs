//! The keys of one tenant: their records, their KMS, and which of them may be used now.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use crate::header::Header;
use crate::kdf::Broken;
use crate::kms::{Kms, KmsError, MAX_DELETION_DAYS, MIN_DELETION_DAYS};
use crate::observer::{Event, Observer};
use crate::stopped::{Stopped, StoppedBy, StoppedState};
use crate::store::{BoxFuture, StoreError};
use crate::tenant::{Purpose, TenantId};
use crate::tenant_key::{KeyName, TenantKey};

mod binding;
mod breaker;
mod bulkhead;
mod cache;
mod capacity;
mod description;
mod drill;
mod error;
mod flight;
mod guard;
mod lifecycle;
mod migration;
mod policy;
mod providers;
mod record;
mod records;
mod rewrap;
mod shred;
mod timer;
mod wrapping;

pub use binding::KeyBinding;
use cache::{Cache, DEFAULT_BOUND, Epoch, HARD_LIFE, Left, Look, MAX_BOUND, Place};
pub use description::{KeyringDescription, KmsKeyAnswer, VersionDescription, WrappingDescription};
pub use drill::{Drill, DrillOutcome, DrilledVersion};
pub use error::KeyError;
use flight::Flights;
pub(crate) use guard::{Asked, Guard, TOTAL, WrappedKey};
pub use lifecycle::Rotation;
pub use migration::Migration;
use policy::INTERNAL;
pub(crate) use policy::region;
pub use policy::{KeyPolicy, KeyWarning};
use providers::Providers;
pub(crate) use record::KmsKey;
use record::VersionRecord;
pub use record::{MigrationState, TenantKeyState, VersionState, WrappingRole};
pub use records::KeyRecords;
use records::Snapshot;
pub use rewrap::{Rewrap, RewrapPlan};
pub use shred::{Remains, ShredPlan, Shredded};
pub use timer::Timer;
pub(crate) use timer::within;
use wrapping::Unwrapped;

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
    core: Core,
    /// The loads that are under way. They hold a core and no keyring, so a load that stands still keeps nothing alive.
    flights: Flights<Landing>,
}

/// What the loads share with the keyring.
#[derive(Clone)]
struct Core {
    tenant: TenantId,
    /// The KMS that new tenants are bound to.
    own_kms: Arc<dyn Kms>,
    providers: Arc<Providers>,
    records: KeyRecords,
    cache: Arc<Cache>,
    guard: Arc<Guard>,
    observer: Arc<dyn Observer>,
    failover_on_terminal: bool,
    /// The KMS calls made, for the verbs that tell their cost.
    calls: Arc<AtomicU64>,
}

/// How a load ended, for all who wait for it.
#[derive(Debug, Clone)]
enum Landing {
    Key(TenantKey),
    /// Something stopped or was changed meanwhile: what was loaded is not used.
    Overtaken,
    Refused {
        error: Arc<KmsError>,
        /// The key that was there before, within the grace.
        left: Option<TenantKey>,
    },
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
        let core = Core {
            tenant,
            own_kms: Arc::clone(&kms),
            providers: Arc::new(Providers::new(kms)),
            cache: Cache::new(DEFAULT_BOUND, Duration::ZERO, records.capacity()),
            records,
            guard: Arc::new(Guard::new(None, Arc::new(()))),
            observer: Arc::new(()),
            failover_on_terminal: false,
            calls: Arc::default(),
        };
        Self { core, flights: Flights::new(guard::TOTAL.min(DEFAULT_BOUND)) }
    }

    /// Adds the KMS of another provider, or of another endpoint: of one that the tenant's keys may be bound to as well,
    /// or are moving to.
    #[must_use]
    pub fn with_kms(self, kms: Arc<dyn Kms>) -> Self {
        self.core.providers.add(kms);
        self
    }

    /// Tells this observer what happens to the keys.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.core.guard = Arc::new(Guard::new(self.core.guard.timer(), Arc::clone(&observer)));
        self.core.observer = observer;
        self
    }

    /// Waits with this timer. It bounds each KMS call by 2 s and an operation by 5 s, lets a call be tried thrice with
    /// pauses, and sends away after 2 s who waits for a place among the tenant's calls. Without a timer a call takes as
    /// long as the KMS does, and is tried once.
    #[must_use]
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.core.guard = Arc::new(Guard::new(Some(timer), Arc::clone(&self.core.observer)));
        self
    }

    /// Sets how long a key is used before the KMS is asked again: how long a customer who disables the key at their KMS
    /// waits at most. 60 s by default; 0 asks the KMS for each key; at most 300 s.
    ///
    /// # Errors
    /// [`KeyError::Usage`] beyond 300 s.
    pub fn with_revocation_bound(mut self, bound: Duration) -> Result<Self, KeyError> {
        if bound > MAX_BOUND {
            return Err(KeyError::Usage { what: format!("the revocation bound is at most {} s", MAX_BOUND.as_secs()) });
        }
        self.core.cache = Cache::new(bound, self.core.cache.grace(), self.core.records.capacity());
        self.flights = Flights::new(guard::TOTAL.min(bound));
        Ok(self)
    }

    /// Lets a key be used for so much longer than the revocation bound while the KMS is unavailable, and only then. None
    /// by default. However long, no key is used 15 minutes after the KMS last unwrapped it. With a bound of 0 there is
    /// no key to use longer.
    ///
    /// # Errors
    /// [`KeyError::Usage`] beyond 15 minutes.
    pub fn with_grace(mut self, grace: Duration) -> Result<Self, KeyError> {
        if grace > HARD_LIFE {
            return Err(KeyError::Usage { what: format!("the grace is at most {} s", HARD_LIFE.as_secs()) });
        }
        self.core.cache = Cache::new(self.core.cache.bound(), grace, self.core.records.capacity());
        Ok(self)
    }

    /// Lets a replica answer when the primary has **refused**: disabled, to be deleted, not found, denied. A customer who
    /// disables one of several KMS keys then locks nothing. Off by default, and for drills only.
    #[must_use]
    pub fn danger_failover_on_terminal(mut self) -> Self {
        self.core.failover_on_terminal = true;
        self
    }

    /// Whose keys they are.
    pub fn tenant(&self) -> &TenantId {
        &self.core.tenant
    }

    /// The key that seals now.
    ///
    /// # Errors
    /// [`KeyError::Stopped`] by the state of the tenant's key or of the KMS key; [`KeyError::TenantNotFound`] and
    /// [`KeyError::VersionNotFound`] if there is no such key; [`KeyError::RecordForged`]; [`KeyError::Kms`] and
    /// [`KeyError::Store`] if they fail, the latter also if the tenant's keys do not stop changing meanwhile.
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
        self.core.forgotten("forget");
    }

    /// Drops the keys that are older than 15 minutes. That happens by itself when keys are asked for; a housekeeper calls it
    /// for tenants that nobody asks for.
    pub fn forget_expired(&self, now: SystemTime) {
        self.core.cache.sweep(now);
        self.core.tell_dropped();
    }

    /// Who is told what happens to the keys.
    pub(crate) fn observer(&self) -> &dyn Observer {
        self.core.observer.as_ref()
    }

    /// The versions that only open.
    pub(crate) async fn retired(&self, purpose: &Purpose, now: SystemTime) -> Result<Vec<u32>, KeyError> {
        let records = self.core.load(now).await?;
        let retired = records.versions.values().filter(|record| record.purpose == *purpose);
        Ok(retired.filter(|record| record.state == VersionState::Retired).map(|record| record.version).collect())
    }

    async fn key(&self, purpose: &Purpose, version: Option<u32>, now: SystemTime) -> Result<TenantKey, KeyError> {
        if let Some(key) = self.core.cache.fresh(purpose, version, now) {
            return Ok(key);
        }
        // Boxed, so that the future of the usual case is small.
        let found = Box::pin(self.find(purpose, version, now)).await;
        self.core.tell_dropped();
        found
    }

    async fn find(&self, purpose: &Purpose, version: Option<u32>, now: SystemTime) -> Result<TenantKey, KeyError> {
        for _ in 0..MAX_LOADS {
            let epoch = self.core.cache.epoch();
            let records = self.core.usable_records(purpose, version, now).await?;
            let version = match choose(&records, purpose, version) {
                Ok(version) => version,
                // Another node may have made it since.
                Err(KeyError::VersionNotFound { .. }) if self.core.cache.forget_records(now) => continue,
                Err(error) => return Err(error),
            };
            let place = (purpose.clone(), version.version);
            match self.core.cache.look(&place, now) {
                Look::Fresh(key) => return Ok(key),
                Look::Stale(key) => {
                    if self.refresh(&place, epoch, &records, version, now) {
                        continue;
                    }
                    return Ok(key);
                }
                Look::Refused(error) => return Err(error.share().into()),
                Look::Unknown => self.core.tell_dropped(),
            }
            let flight = self.flights.join(&place, epoch, now, || self.core.load_key(epoch, &records, version, now));
            let landing = flight.wait().await;
            self.flights.landed(&place, &flight);
            match landing {
                Some(Landing::Key(key) | Landing::Refused { left: Some(key), .. }) => return Ok(key),
                Some(Landing::Refused { error, left: None }) => return Err(error.share().into()),
                Some(Landing::Overtaken) => {}
                None => return Err(KeyError::Internal { what: "a load ends without a panic" }),
            }
        }
        // The tenant's keys are being changed all the time.
        Err(StoreError::Conflict.into())
    }

    /// Begins to unwrap a key afresh, or drives on what was begun. Nobody waits for it. Answers whether it is done.
    fn refresh(
        &self,
        place: &Place,
        epoch: Epoch,
        records: &Arc<Snapshot>,
        version: &VersionRecord,
        now: SystemTime,
    ) -> bool {
        let flight = self.flights.join(place, epoch, now, || self.core.load_key(epoch, records, version, now));
        let landed = flight.nudge();
        if landed {
            self.flights.landed(place, &flight);
        }
        landed
    }
}

impl Core {
    /// Unwraps a key version and keeps it: what one load does for all who wait for it.
    fn load_key(
        &self,
        epoch: Epoch,
        records: &Arc<Snapshot>,
        version: &VersionRecord,
        now: SystemTime,
    ) -> BoxFuture<'static, Landing> {
        let (core, records, version) = (self.clone(), Arc::clone(records), version.clone());
        Box::pin(async move {
            let unwrapped = core.unwrap_any(&records.binding.keys(), &version, now).await;
            let kept = unwrapped.and_then(|unwrapped| Ok(core.keep(epoch, &version, &unwrapped)?));
            match kept {
                Ok(Some(key)) => Landing::Key(key),
                Ok(None) => Landing::Overtaken,
                Err(error) => core.refused(epoch, &version, error, now),
            }
        })
    }

    /// Makes the key and keeps it; `None` if something stopped since its load began.
    fn keep(&self, epoch: Epoch, record: &VersionRecord, unwrapped: &Unwrapped) -> Result<Option<TenantKey>, Broken> {
        let place = (record.purpose.clone(), record.version);
        let name = KeyName { tenant: self.tenant.clone(), purpose: record.purpose.clone(), version: record.version };
        let lock = self.cache.lock(epoch, &place);
        if record.state == VersionState::Retired {
            lock.retire();
        }
        let key = TenantKey::new(name, &unwrapped.secret, lock, Arc::clone(&self.observer))?;
        let is_current = self.cache.keep_key(epoch, &place, &key, unwrapped.as_of);
        self.tell_dropped();
        Ok(is_current.then_some(key))
    }

    /// The KMS did not unwrap. If it said no, every key that is held or out is under the same KMS key, and stops.
    fn refused(&self, epoch: Epoch, version: &VersionRecord, error: KmsError, now: SystemTime) -> Landing {
        let error = Arc::new(error);
        let is_current = self.cache.epoch() == epoch;
        self.stopped_by_kms(&error);
        let epoch = if is_current { self.cache.epoch() } else { epoch };
        let place = (version.purpose.clone(), version.version);
        let left = self.cache.keep_refusal(epoch, &place, &error, now);
        let left = match left {
            Left::Usable(key) => Some(key),
            Left::Nothing { dropped } => {
                self.evicted(usize::from(dropped), error.code());
                None
            }
        };
        Landing::Refused { error, left }
    }

    /// Stops what is held and out, if that is what the KMS said.
    fn stopped_by_kms(&self, error: &KmsError) {
        if let Some(stopped) = error.stopped() {
            self.observer.observe(&self.event("key.probe_failed").cause(stopped.code()));
            if stopped.state == StoppedState::PendingDeletion {
                self.observer.observe(&Event {
                    key_id: stopped.key_id.as_ref(),
                    deletion_date: stopped.deletion_date,
                    ..self.event("key.pending_deletion").cause("kms")
                });
            }
            self.stop(&stopped);
        } else if let Some(denied) = error.denied() {
            self.observer.observe(&self.event("key.denied").cause(error.code()));
            self.stop(&denied);
        }
    }

    /// The records, if the tenant's own state allows the use of this version, or of the one that seals.
    async fn usable_records(
        &self,
        purpose: &Purpose,
        version: Option<u32>,
        now: SystemTime,
    ) -> Result<Arc<Snapshot>, KeyError> {
        let records = match self.cache.records(now) {
            Some(records) => records,
            None => self.load(now).await?,
        };
        match records.binding.stopped() {
            None if records.binding.is_phi() && records.binding.provider == INTERNAL => {
                // No verb leads here: what is written here was not written by one.
                Err(KeyError::PhiRequiresCmk { tenant: self.tenant.clone() })
            }
            None => {
                self.reaches(&records)?;
                Ok(records)
            }
            // Of several stops the one that cannot be undone is told: nobody need unlock what is gone.
            Some(_) if is_destroyed(&records, purpose, version) => Err(version_destroyed().into()),
            Some(stopped) => Err(stopped.into()),
        }
    }

    /// Whether the KMS is known that the keys are bound to. Asked where keys are used, and before a change that needs it:
    /// a lock needs no key, so it must not wait for who owns them.
    fn reaches(&self, records: &Snapshot) -> Result<(), KmsError> {
        let binding = &records.binding;
        self.providers.find(&binding.provider, binding.endpoint.as_deref()).map(drop)
    }

    /// The records as they are in the store now. What was changed by another node takes effect here. No KMS is needed.
    async fn load(&self, now: SystemTime) -> Result<Arc<Snapshot>, KeyError> {
        let epoch = self.cache.epoch();
        let records = self.read_records().await?;
        let records = records.ok_or_else(|| KeyError::TenantNotFound { tenant: self.tenant.clone() })?;
        // Whoever first sees that the wait is over destroys, so that a clock that goes back brings nothing to life.
        let records = if records.binding.is_due(now) { self.destroy_all(records).await? } else { records };
        let records = Arc::new(records);
        if let Some(stopped) = records.binding.stopped() {
            let held = self.cache.stop_as_recorded(epoch, &records, &stopped, now);
            self.evicted(held, stopped.code());
        } else {
            // Kept first: a load that lands in between is judged by what they say.
            self.cache.keep_records(epoch, &records, now);
            self.follow(&records);
        }
        self.tell_dropped();
        Ok(records)
    }

    /// The records as they are in the store, if there are any; an alarm if they were not written by this deployment.
    async fn read_records(&self) -> Result<Option<Snapshot>, KeyError> {
        let read = self.records.load(&self.tenant).await;
        if let Err(error @ KeyError::RecordForged { .. }) = &read {
            self.observer.observe(&self.event("key.record_forged").cause(error.code()));
            self.forgotten(error.code());
        }
        read
    }

    /// Stops the keys of single versions that are out as the records say.
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

    /// Drops everything that is remembered; keys that are out stay usable.
    fn forgotten(&self, cause: &'static str) {
        let held = self.cache.clear();
        self.evicted(held, cause);
    }

    fn evicted(&self, held: usize, cause: &'static str) {
        if held > 0 {
            let keys = u64::try_from(held).unwrap_or(u64::MAX);
            self.observer.observe(&Event { records: Some(keys), ..self.event("key.cache_evicted").cause(cause) });
        }
    }

    fn tell_dropped(&self) {
        for dropped in self.cache.take_dropped() {
            self.evicted(dropped.keys, dropped.cause);
        }
    }

    fn event(&self, name: &'static str) -> Event<'_> {
        Event::new(name).tenant(&self.tenant)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("tenant", &self.core.tenant)
            .field("kms", &self.core.providers)
            .finish_non_exhaustive()
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

fn is_destroyed(records: &Snapshot, purpose: &Purpose, version: Option<u32>) -> bool {
    let record = version.and_then(|version| records.versions.get(&(purpose.clone(), version)));
    record.is_some_and(|record| record.state == VersionState::Destroyed)
}

fn version_destroyed() -> Stopped {
    Stopped::new(StoppedState::Destroyed, StoppedBy::Tenant)
}
