//! What a keyring remembers between calls, and for how long.
//!
//! ```text
//! Empty ──miss──▶ loading ──ok──▶ Fresh ──age > soft──▶ Stale: used, and refreshed ahead
//!                    └─ no ▶ Locked (5 s), unavailable ▶ Down (1 s)
//! Fresh, Stale ──unconfirmed > bound──▶ loading ──ok──▶ Fresh
//!                                           ├─ no ▶ Locked, the key erased at once
//!                                           └─ unavailable ▶ Down, or used on within the grace
//! ```
//!
//! A key is confirmed by being unwrapped afresh, which replaces it. So its age and the time since the KMS last said yes
//! are one number, and every rule here is about that number. Every stop empties the cache, and reaches the keys that are
//! out already.
//!
//! **Time** is the caller's `now`. Ages are kept against the greatest `now` seen; a clock that goes back further than
//! callers can overtake one another empties the cache, so going back never lengthens a life.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::keyring::capacity::{Capacity, Seat};
use crate::keyring::record::VersionState;
use crate::keyring::records::Snapshot;
use crate::kms::KmsError;
use crate::secret::random;
use crate::stopped::Stopped;
use crate::tenant::Purpose;
use crate::tenant_key::{Lock, TenantKey};

/// The revocation bound unless another is chosen.
pub(super) const DEFAULT_BOUND: Duration = Duration::from_mins(1);

/// The longest revocation bound: what a customer who disables a key may have to wait, at most.
pub(super) const MAX_BOUND: Duration = Duration::from_mins(5);

/// After how long a key is unwrapped afresh while it is still used, unless the bound asks for that sooner. A random
/// fifth more or less, so that keys loaded together are not refreshed together.
const SOFT_LIFE: Duration = Duration::from_mins(5);

/// How long a key is used at most, whatever the grace.
pub(super) const HARD_LIFE: Duration = Duration::from_mins(15);

/// A key that is older than that.
const EXPIRED: Dropped = Dropped { cause: "expired", keys: 1 };

/// How long a no of the KMS is repeated without asking.
const LOCKED: Duration = Duration::from_secs(5);

/// How long a KMS that is unavailable is not asked again.
const DOWN: Duration = Duration::from_secs(1);

/// How long records are believed without reading them again, so that a change made on another node holds here within
/// 5 s even if no notification comes.
const RECORDS_AGE: Duration = Duration::from_secs(5);

/// How often keys that nobody asks for are looked through for those that have expired.
const SWEEP: Duration = Duration::from_mins(1);

/// How far apart the `now` of two callers at the same moment may be.
const OVERTAKING: Duration = Duration::from_secs(1);

/// Which key version: the cache is of one tenant.
pub(super) type Place = (Purpose, u32);

/// Counts the stops. A load that began before a stop must not put its key into the cache after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch(u64);

#[derive(Debug)]
pub(super) struct Cache {
    bound: Duration,
    grace: Duration,
    /// How long an unconfirmed key is used while the KMS is unavailable: the bound and the grace, never the hard life.
    usable: Duration,
    capacity: Arc<Capacity>,
    state: Mutex<State>,
}

/// When something was last used: by the greatest `now` of then, which caches can compare, and in uses of this cache.
pub(super) type Used = (Option<SystemTime>, u64);

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    greatest_now: Option<SystemTime>,
    records: Option<(Arc<Snapshot>, SystemTime)>,
    /// By purpose and then by version, so that looking takes no owned name.
    entries: BTreeMap<Purpose, BTreeMap<u32, Entry>>,
    uses: u64,
    /// The locks of all keys that were given out since the last stop.
    locks: BTreeMap<Place, Arc<Lock>>,
    /// Keys that were dropped in passing, and why; told when the caller asks for it.
    dropped: Vec<Dropped>,
    swept: Option<SystemTime>,
}

/// Keys that were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) cause: &'static str,
    pub(super) keys: usize,
}

#[derive(Debug)]
struct Entry {
    held: Option<Held>,
    /// What the KMS last answered in place of a key, and when.
    refused: Option<(Arc<KmsError>, SystemTime)>,
    /// When it was last looked at.
    used: Used,
    _seat: Seat,
}

#[derive(Debug)]
struct Held {
    key: TenantKey,
    confirmed: SystemTime,
    soft: Duration,
}

/// What there is at a place.
#[derive(Debug)]
pub(super) enum Look {
    /// A key to use.
    Fresh(TenantKey),
    /// A key to use, and to refresh.
    Stale(TenantKey),
    /// What the KMS just said.
    Refused(Arc<KmsError>),
    /// Nothing: the KMS must be asked.
    Unknown,
}

/// What an error of the KMS leaves of a key.
#[derive(Debug)]
pub(super) enum Left {
    /// The key, within the grace.
    Usable(TenantKey),
    /// Nothing. Whether there was a key before.
    Nothing {
        /// Whether a key was dropped.
        dropped: bool,
    },
}

impl Cache {
    pub(super) fn new(bound: Duration, grace: Duration, capacity: &Arc<Capacity>) -> Arc<Self> {
        let usable = if bound.is_zero() { bound } else { bound.saturating_add(grace).min(HARD_LIFE) };
        let cache = Arc::new(Self { bound, grace, usable, capacity: Arc::clone(capacity), state: Mutex::default() });
        capacity.join(&cache);
        cache
    }

    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    pub(super) fn grace(&self) -> Duration {
        self.grace
    }

    /// Each change below is complete before the lock is released, so a panic elsewhere leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.state().epoch)
    }

    pub(super) fn records(&self, now: SystemTime) -> Option<Arc<Snapshot>> {
        let mut state = self.state();
        let now = state.tick(now);
        let (records, read) = state.records.as_ref()?;
        is_younger(*read, now, RECORDS_AGE.min(self.bound)).then(|| Arc::clone(records))
    }

    /// Drops the records unless they were read just now, and answers whether it did.
    pub(super) fn forget_records(&self, now: SystemTime) -> bool {
        let mut state = self.state();
        let now = state.tick(now);
        state.records.take_if(|(_, read)| !is_younger(*read, now, OVERTAKING)).is_some()
    }

    /// Keeps records that were asked for at `now`, unless something stopped meanwhile.
    pub(super) fn keep_records(&self, epoch: Epoch, records: &Arc<Snapshot>, now: SystemTime) {
        let mut state = self.state();
        let now = state.tick(now);
        if state.epoch == epoch.0 {
            state.records = Some((Arc::clone(records), now));
        }
    }

    /// The key that is used almost always: fresh, under records that are young and stop nothing.
    pub(super) fn fresh(&self, purpose: &Purpose, version: Option<u32>, now: SystemTime) -> Option<TenantKey> {
        let mut state = self.state();
        let now = state.tick(now);
        let (records, read) = state.records.as_ref()?;
        if !is_younger(*read, now, RECORDS_AGE.min(self.bound)) || records.binding.stopped().is_some() {
            return None;
        }
        let version = match version {
            Some(version) => version,
            None => records.binding.newest(purpose)?,
        };
        match state.look(purpose, version, now, self) {
            Look::Fresh(key) => Some(key),
            Look::Stale(_) | Look::Refused(_) | Look::Unknown => None,
        }
    }

    /// What there is at a place.
    pub(super) fn look(&self, place: &Place, now: SystemTime) -> Look {
        let mut state = self.state();
        let now = state.tick(now);
        state.look(&place.0, place.1, now, self)
    }

    /// Keeps a key that was unwrapped, confirmed as of a time. Answers whether it may be used: not if something stopped
    /// meanwhile, and not if the version was destroyed on another node since its load began.
    pub(super) fn keep_key(&self, epoch: Epoch, place: &Place, key: &TenantKey, confirmed: SystemTime) -> bool {
        let mut state = self.state();
        let confirmed = state.greatest_now.unwrap_or(confirmed).min(confirmed);
        if state.epoch != epoch.0 || state.recorded(place) == Some(VersionState::Destroyed) {
            return false;
        }
        if self.bound.is_zero() {
            return true;
        }
        let held = Held { key: key.clone(), confirmed, soft: jittered(SOFT_LIFE) };
        let (used, seat) = (state.next_use(), Seat::take(&self.capacity));
        let version = state.entries.entry(place.0.clone()).or_default();
        version.insert(place.1, Entry { held: Some(held), refused: None, used, _seat: seat });
        state.sweep_now_and_then();
        drop(state);
        self.capacity.make_room();
        true
    }

    /// Keeps what the KMS answered in place of a key, unless something was changed meanwhile.
    pub(super) fn keep_refusal(&self, epoch: Epoch, place: &Place, error: &Arc<KmsError>, now: SystemTime) -> Left {
        let mut state = self.state();
        let now = state.tick(now);
        if state.epoch != epoch.0 || self.bound.is_zero() {
            return Left::Nothing { dropped: false };
        }
        let used = state.next_use();
        let versions = state.entries.entry(place.0.clone()).or_default();
        let entry = versions.entry(place.1).or_insert_with(|| Entry {
            held: None,
            refused: None,
            used,
            _seat: Seat::take(&self.capacity),
        });
        entry.refused = Some((Arc::clone(error), now));
        entry.used = used;
        let left = match &entry.held {
            Some(held) if error.is_retryable() && is_younger(held.confirmed, now, self.usable) => {
                Left::Usable(held.key.clone())
            }
            _ => Left::Nothing { dropped: entry.held.take().is_some() },
        };
        drop(state);
        self.capacity.make_room();
        left
    }

    /// When what was used longest ago was used.
    pub(super) fn oldest(&self) -> Option<Used> {
        self.state().oldest().map(|(used, _)| used)
    }

    /// Drops what was used longest ago, to make room.
    pub(super) fn drop_oldest(&self) {
        let mut state = self.state();
        let Some((_, (purpose, version))) = state.oldest() else { return };
        let gone = state.entries.get_mut(&purpose).and_then(|versions| versions.remove(&version));
        state.drop_in_passing("capacity", usize::from(gone.is_some_and(|entry| entry.held.is_some())));
    }

    /// The lock that a key at this place is given out with.
    pub(super) fn lock(&self, epoch: Epoch, place: &Place) -> Arc<Lock> {
        let mut state = self.state();
        if state.epoch != epoch.0 {
            // Never reachable by the next stop, and its key is discarded by `keep_key`.
            return Arc::default();
        }
        let is_retired = state.recorded(place) == Some(VersionState::Retired);
        let lock = state.locks.entry(place.clone()).or_default();
        if is_retired {
            lock.retire();
        }
        Arc::clone(lock)
    }

    /// Forgets everything, and stops every key that is out. Answers how many keys were held.
    pub(super) fn stop(&self, stopped: &Stopped) -> usize {
        self.state().stop(stopped)
    }

    /// The same, for records that say so, which are kept: who asks for a key that is stopped costs no read each time.
    pub(super) fn stop_as_recorded(
        &self,
        epoch: Epoch,
        records: &Arc<Snapshot>,
        stopped: &Stopped,
        now: SystemTime,
    ) -> usize {
        let mut state = self.state();
        let now = state.tick(now);
        let is_current = state.epoch == epoch.0;
        let held = state.stop(stopped);
        if is_current {
            state.records = Some((Arc::clone(records), now));
        }
        held
    }

    /// Forgets one version, and stops its keys that are out.
    pub(super) fn stop_version(&self, place: &Place, stopped: &Stopped) -> usize {
        let mut state = self.state();
        if let Some(lock) = state.locks.remove(place) {
            lock.stop(stopped.clone());
        }
        state.clear()
    }

    /// Keeps the keys of a version that are out from sealing; forgets the records that call it active.
    pub(super) fn retire(&self, place: &Place) {
        let mut state = self.state();
        if let Some(lock) = state.locks.get(place) {
            lock.retire();
        }
        state.records = None;
        state.epoch = state.epoch.wrapping_add(1);
    }

    /// The records were changed in a way that stops no key: loads under way begin again.
    pub(super) fn renew_records(&self) {
        let mut state = self.state();
        state.records = None;
        state.epoch = state.epoch.wrapping_add(1);
    }

    /// The records say that a version is retired: keeps its keys that are out from sealing.
    pub(super) fn follow_retired(&self, place: &Place) {
        if let Some(lock) = self.state().locks.get(place) {
            lock.retire();
        }
    }

    /// The records say that a version is destroyed: drops its key, and stops those that are out.
    pub(super) fn follow_destroyed(&self, place: &Place, stopped: &Stopped) {
        let mut state = self.state();
        let gone = state.entries.get_mut(&place.0).and_then(|versions| versions.remove(&place.1));
        state.drop_in_passing(stopped.code(), usize::from(gone.is_some_and(|entry| entry.held.is_some())));
        if let Some(lock) = state.locks.remove(place) {
            lock.stop(stopped.clone());
        }
    }

    /// Forgets everything; keys that are out stay usable. Answers how many keys were held.
    pub(super) fn clear(&self) -> usize {
        self.state().clear()
    }

    /// Drops the keys that nobody may use any more.
    pub(super) fn sweep(&self, now: SystemTime) {
        let mut state = self.state();
        let now = state.tick(now);
        state.sweep(now);
    }

    /// What was dropped in passing since this was last asked.
    pub(super) fn take_dropped(&self) -> Vec<Dropped> {
        std::mem::take(&mut self.state().dropped)
    }
}

impl State {
    /// The greatest `now` seen, this one included.
    fn tick(&mut self, now: SystemTime) -> SystemTime {
        let greatest = self.greatest_now.unwrap_or(now);
        let went_back = greatest.duration_since(now).is_ok_and(|back| back > OVERTAKING);
        if went_back {
            // Ages against the greatest time would stand still until the clock is there again.
            let held = self.clear();
            self.drop_in_passing("clock_went_back", held);
            self.swept = None;
        }
        let greatest = if went_back { now } else { greatest.max(now) };
        self.greatest_now = Some(greatest);
        greatest
    }

    /// What the newest records that were read say of a version. Loads under way may have begun under older ones.
    fn recorded(&self, place: &Place) -> Option<VersionState> {
        let (records, _) = self.records.as_ref()?;
        records.versions.get(place).map(|record| record.state)
    }

    fn stop(&mut self, stopped: &Stopped) -> usize {
        for lock in std::mem::take(&mut self.locks).into_values() {
            lock.stop(stopped.clone());
        }
        self.clear()
    }

    fn clear(&mut self) -> usize {
        let held = self.entries.values().flat_map(BTreeMap::values).filter(|entry| entry.held.is_some()).count();
        self.epoch = self.epoch.wrapping_add(1);
        self.records = None;
        self.entries.clear();
        held
    }

    fn look(&mut self, purpose: &Purpose, version: u32, now: SystemTime, cache: &Cache) -> Look {
        let used = self.next_use();
        let Some(entry) = self.entries.get_mut(purpose).and_then(|versions| versions.get_mut(&version)) else {
            return Look::Unknown;
        };
        entry.used = used;
        if entry.held.take_if(|held| !is_younger(held.confirmed, now, HARD_LIFE)).is_some() {
            self.dropped.push(EXPIRED);
        }
        let refused = entry
            .refused
            .as_ref()
            .filter(|(error, since)| is_younger(*since, now, if error.is_retryable() { DOWN } else { LOCKED }));
        match (&entry.held, refused) {
            (Some(held), Some((error, _))) if error.is_retryable() && is_younger(held.confirmed, now, cache.usable) => {
                Look::Fresh(held.key.clone())
            }
            (_, Some((error, _))) => Look::Refused(Arc::clone(error)),
            (Some(held), None) if is_younger(held.confirmed, now, held.soft.min(cache.bound)) => {
                Look::Fresh(held.key.clone())
            }
            (Some(held), None) if is_younger(held.confirmed, now, cache.bound) => Look::Stale(held.key.clone()),
            (_, None) => Look::Unknown,
        }
    }

    fn next_use(&mut self) -> Used {
        self.uses = self.uses.wrapping_add(1);
        (self.greatest_now, self.uses)
    }

    fn sweep_now_and_then(&mut self) {
        let Some(now) = self.greatest_now else { return };
        if self.swept.is_none_or(|swept| !is_younger(swept, now, SWEEP)) {
            self.sweep(now);
        }
    }

    /// Drops what nobody may use any more, asked for or not: a key that is not needed does not stay in memory.
    fn sweep(&mut self, now: SystemTime) {
        let mut expired = 0_usize;
        for versions in self.entries.values_mut() {
            versions.retain(|_, entry| {
                let gone = entry.held.take_if(|held| !is_younger(held.confirmed, now, HARD_LIFE));
                expired = expired.saturating_add(usize::from(gone.is_some()));
                entry.refused.take_if(|(_, since)| !is_younger(*since, now, LOCKED));
                entry.held.is_some() || entry.refused.is_some()
            });
        }
        self.drop_in_passing(EXPIRED.cause, expired);
        self.swept = Some(now);
    }

    fn drop_in_passing(&mut self, cause: &'static str, keys: usize) {
        if keys > 0 {
            self.dropped.push(Dropped { cause, keys });
        }
    }

    fn oldest(&self) -> Option<(Used, Place)> {
        let places = self.entries.iter().flat_map(|(purpose, versions)| versions.iter().map(move |v| (purpose, v)));
        let oldest = places.min_by_key(|(_, (_, entry))| entry.used);
        oldest.map(|(purpose, (version, entry))| (entry.used, (purpose.clone(), *version)))
    }
}

/// A random fifth more or less.
fn jittered(life: Duration) -> Duration {
    let least = life.saturating_sub(life / 5);
    // Without randomness the shortest: sooner than needed, never later.
    let Ok([byte]) = random() else { return least };
    least.saturating_add(life.saturating_mul(2).saturating_mul(u32::from(byte)) / (5 * 255))
}

pub(super) fn is_younger(since: SystemTime, now: SystemTime, limit: Duration) -> bool {
    now.duration_since(since).is_ok_and(|age| age < limit)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::keyring::capacity::MAX_HELD;
    use crate::secret::SecretKey;
    use crate::tenant::TenantId;
    use crate::tenant_key::KeyName;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(1_000) + Duration::from_secs(seconds)
    }

    fn key() -> TenantKey {
        let name = KeyName { tenant: TenantId::new("acme").unwrap(), purpose: Purpose::data(), version: 1 };
        TenantKey::new(name, &SecretKey::copy_from(&[7; 32]), Arc::default(), Arc::new(())).unwrap()
    }

    fn place(version: usize) -> Place {
        (Purpose::data(), u32::try_from(version).unwrap())
    }

    /// A cache that holds these versions since second 0.
    fn holding(versions: usize) -> Arc<Cache> {
        let (cache, key) = (Cache::new(DEFAULT_BOUND, Duration::ZERO, &Arc::default()), key());
        cache.look(&place(0), at(0));
        for version in 1..=versions {
            assert!(cache.keep_key(cache.epoch(), &place(version), &key, at(0)));
        }
        cache
    }

    fn is_held(cache: &Cache, version: usize, second: u64) -> bool {
        matches!(cache.look(&place(version), at(second)), Look::Fresh(_))
    }

    #[test]
    fn ten_thousand_are_held_and_the_one_used_longest_ago_makes_room() {
        let cache = holding(MAX_HELD);
        assert!(cache.take_dropped().is_empty());
        assert!(is_held(&cache, 1, 1), "used now, so 2 is the oldest");
        for version in [MAX_HELD + 1, MAX_HELD + 2] {
            assert!(cache.keep_key(cache.epoch(), &place(version), &key(), at(1)));
        }
        assert_eq!(cache.take_dropped(), [Dropped { cause: "capacity", keys: 1 }; 2]);
        let held = [1, 2, 3, 4, MAX_HELD, MAX_HELD + 2].map(|version| is_held(&cache, version, 1));
        assert_eq!(held, [true, false, false, true, true, true]);
    }

    #[test]
    fn the_room_is_of_the_node_and_the_key_used_longest_ago_goes_whosever_it_is() {
        let capacity = Arc::default();
        let [one, other] = [0; 2].map(|_| Cache::new(DEFAULT_BOUND, Duration::ZERO, &capacity));
        let keep = |cache: &Cache, version, second| {
            cache.look(&place(0), at(second));
            assert!(cache.keep_key(cache.epoch(), &place(version), &key(), at(second)));
        };
        keep(&one, 1, 0);
        (2..=MAX_HELD).for_each(|version| keep(&other, version, 1));
        assert!(is_held(&one, 1, 2), "there is room for all, and it is used again");
        keep(&one, MAX_HELD + 1, 3);
        assert_eq!(one.take_dropped(), []);
        assert_eq!(other.take_dropped(), [Dropped { cause: "capacity", keys: 1 }]);
        assert!(is_held(&one, 1, 3) && !is_held(&other, 2, 3) && is_held(&other, 3, 3));
        // What is dropped by any way makes room.
        drop(other);
        (2..=MAX_HELD).for_each(|version| keep(&one, version, 4));
        assert_eq!(one.take_dropped(), [Dropped { cause: "capacity", keys: 1 }]);
    }

    #[test]
    fn what_expires_is_dropped_and_told_asked_for_or_not() {
        let expired = |keys| [Dropped { cause: "expired", keys }];
        let cache = holding(3);
        assert!(matches!(cache.look(&place(1), at(900)), Look::Unknown));
        assert_eq!(cache.take_dropped(), expired(1), "looked at");
        cache.sweep(at(900));
        assert_eq!(cache.take_dropped(), expired(2), "swept");
        cache.sweep(at(900));
        assert!(cache.take_dropped().is_empty());

        let cache = holding(3);
        cache.look(&place(0), at(900));
        assert!(cache.keep_key(cache.epoch(), &place(4), &key(), at(900)));
        assert_eq!(cache.take_dropped(), expired(3), "a load sweeps");
        cache.sweep(at(1_799));
        assert!(cache.take_dropped().is_empty(), "a second too young");
    }

    #[test]
    fn a_clock_that_goes_back_and_a_version_that_is_gone_are_told() {
        let cache = holding(2);
        cache.look(&place(1), at(0) - Duration::from_secs(2));
        assert_eq!(cache.take_dropped(), [Dropped { cause: "clock_went_back", keys: 2 }]);

        let cache = holding(2);
        let stopped = Stopped::new(crate::StoppedState::Destroyed, crate::StoppedBy::Tenant);
        cache.follow_destroyed(&place(1), &stopped);
        cache.follow_destroyed(&place(1), &stopped);
        assert_eq!(cache.take_dropped(), [Dropped { cause: "key_destroyed", keys: 1 }]);
        assert!(!is_held(&cache, 1, 0) && is_held(&cache, 2, 0));
    }
}
