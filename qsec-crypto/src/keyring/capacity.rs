//! How many key versions all keyrings of a node hold together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::keyring::cache::Cache;

/// Most key versions that are held on a node; the one used longest ago makes room, whosever it is.
pub(super) const MAX_HELD: usize = 10_000;

/// What keyrings that share their records share besides: the room for keys.
#[derive(Debug, Default)]
pub(crate) struct Capacity {
    held: AtomicUsize,
    caches: Mutex<Vec<Weak<Cache>>>,
}

/// The room that one key version takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Capacity>);

impl Seat {
    pub(super) fn take(capacity: &Arc<Capacity>) -> Self {
        capacity.held.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(capacity))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Capacity {
    /// From now on this cache makes room too.
    pub(super) fn join(&self, cache: &Arc<Cache>) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|known| known.strong_count() > 0);
        caches.push(Arc::downgrade(cache));
    }

    /// Drops what was used longest ago until no more is held than may be. No cache may be locked by the caller: they are
    /// looked through one after the other.
    pub(super) fn make_room(&self) {
        if self.held.load(Ordering::Relaxed) <= MAX_HELD {
            return;
        }
        // Held to the end: of two who make room for one, the second finds it made.
        let known = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let caches: Vec<Arc<Cache>> = known.iter().filter_map(Weak::upgrade).collect();
        while self.held.load(Ordering::Relaxed) > MAX_HELD {
            let oldest = caches.iter().filter_map(|cache| Some((cache.oldest()?, cache))).min_by_key(|(used, _)| *used);
            let Some((_, cache)) = oldest else { return };
            cache.drop_oldest();
        }
    }
}
