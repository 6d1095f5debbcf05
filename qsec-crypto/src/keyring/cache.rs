//! What a keyring remembers between calls, and for how long.
//!
//! A key is used without asking the KMS for at most the revocation bound after the KMS last unwrapped it; then it is
//! unwrapped afresh, which confirms it and replaces it. So no key outlives the bound, and the bound's maximum keeps every
//! key below the hard lifetime of 15 minutes. Every stop empties the cache, and reaches the keys that are out already.
//!
//! **Time** is the caller's `now`. Ages are kept against the greatest `now` seen; a clock that goes back further than
//! callers can overtake one another empties the cache, so going back never lengthens a life.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::keyring::records::Snapshot;
use crate::stopped::Stopped;
use crate::tenant::Purpose;
use crate::tenant_key::{Lock, TenantKey};

/// The revocation bound unless another is chosen.
pub(super) const DEFAULT_BOUND: Duration = Duration::from_mins(1);

/// The longest revocation bound: what a customer who disables a key may have to wait, at most.
pub(super) const MAX_BOUND: Duration = Duration::from_mins(5);

/// How long records are believed without reading them again, so that a change made on another node holds here within
/// 5 s even if no notification comes.
const RECORDS_AGE: Duration = Duration::from_secs(5);

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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    greatest_now: Option<SystemTime>,
    records: Option<(Arc<Snapshot>, SystemTime)>,
    keys: BTreeMap<Place, (TenantKey, SystemTime)>,
    /// The locks of all keys that were given out since the last stop.
    locks: BTreeMap<Place, Arc<Lock>>,
}

impl Cache {
    pub(super) fn new(bound: Duration) -> Self {
        Self { bound, state: Mutex::default() }
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

    /// Keeps records that were asked for at `now`, unless something stopped meanwhile.
    pub(super) fn keep_records(&self, epoch: Epoch, records: &Arc<Snapshot>, now: SystemTime) {
        let mut state = self.state();
        let now = state.tick(now);
        if state.epoch == epoch.0 {
            state.records = Some((Arc::clone(records), now));
        }
    }

    /// A key that the KMS confirmed within the bound.
    pub(super) fn key(&self, place: &Place, now: SystemTime) -> Option<TenantKey> {
        let mut state = self.state();
        let now = state.tick(now);
        let (key, confirmed) = state.keys.get(place)?;
        is_younger(*confirmed, now, self.bound).then(|| key.clone())
    }

    /// Keeps a key whose unwrapping began at `now`. Answers whether it may be used: not if something stopped meanwhile.
    pub(super) fn keep_key(&self, epoch: Epoch, place: Place, key: &TenantKey, now: SystemTime) -> bool {
        let mut state = self.state();
        let now = state.tick(now);
        if state.epoch != epoch.0 {
            return false;
        }
        if !self.bound.is_zero() {
            state.keys.insert(place, (key.clone(), now));
        }
        true
    }

    /// The lock that a key at this place is given out with.
    pub(super) fn lock(&self, epoch: Epoch, place: &Place) -> Arc<Lock> {
        let mut state = self.state();
        // A lock of an older epoch is never reachable by the next stop, and its key is discarded by `keep_key`.
        if state.epoch == epoch.0 { Arc::clone(state.locks.entry(place.clone()).or_default()) } else { Arc::default() }
    }

    /// Forgets everything, and stops every key that is out. Answers how many keys were held.
    pub(super) fn stop(&self, stopped: &Stopped) -> usize {
        let mut state = self.state();
        for lock in std::mem::take(&mut state.locks).into_values() {
            lock.stop(stopped.clone());
        }
        state.clear()
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

    /// The records say that a version is retired: keeps its keys that are out from sealing.
    pub(super) fn follow_retired(&self, place: &Place) {
        if let Some(lock) = self.state().locks.get(place) {
            lock.retire();
        }
    }

    /// The records say that a version is destroyed: drops its key, and stops those that are out.
    pub(super) fn follow_destroyed(&self, place: &Place, stopped: &Stopped) {
        let mut state = self.state();
        state.keys.remove(place);
        if let Some(lock) = state.locks.remove(place) {
            lock.stop(stopped.clone());
        }
    }

    /// Forgets everything; keys that are out stay usable. Answers how many keys were held.
    pub(super) fn clear(&self) -> usize {
        self.state().clear()
    }
}

impl State {
    /// The greatest `now` seen, this one included.
    fn tick(&mut self, now: SystemTime) -> SystemTime {
        let greatest = self.greatest_now.unwrap_or(now);
        let went_back = greatest.duration_since(now).is_ok_and(|back| back > OVERTAKING);
        if went_back {
            // Ages against the greatest time would stand still until the clock is there again.
            self.clear();
        }
        let greatest = if went_back { now } else { greatest.max(now) };
        self.greatest_now = Some(greatest);
        greatest
    }

    fn clear(&mut self) -> usize {
        let held = self.keys.len();
        self.epoch = self.epoch.wrapping_add(1);
        self.records = None;
        self.keys.clear();
        held
    }
}

fn is_younger(since: SystemTime, now: SystemTime, limit: Duration) -> bool {
    now.duration_since(since).is_ok_and(|age| age < limit)
}
