//! A store in memory: for tests, examples, and programs that keep nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{BoxFuture, Collection, IdentityStore, ReplayStore, Row, StoreError};

/// Live replay entries of one tenant: 100,000 tokens of one hour are 27 logins a second, more than one tenant has.
const MAX_REPLAY_ENTRIES: usize = 100_000;

type RowKey = (String, Collection, String);

/// Keeps rows and replay entries until it is dropped.
///
/// ```
/// use qsec_identity::store::{Collection, IdentityStore, MemoryStore, Row};
///
/// let store = MemoryStore::new();
/// let row = Row { id: "c_1".into(), generation: 1, body: b"{}".to_vec() };
/// pollster::block_on(store.write("acme", Collection::Client, &row))?;
/// assert_eq!(pollster::block_on(store.get("acme", Collection::Client, "c_1"))?, Some(row));
/// assert_eq!(pollster::block_on(store.get("other", Collection::Client, "c_1"))?, None);
/// # Ok::<(), qsec_identity::store::StoreError>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Mutex<BTreeMap<RowKey, Row>>,
    replay: Mutex<BTreeMap<String, BTreeMap<[u8; 32], SystemTime>>>,
}

impl MemoryStore {
    /// A store without rows.
    pub fn new() -> Self {
        Self::default()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<RowKey, Row>> {
        // No code panics while it holds the lock, and every change is one insert or remove.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, tenant: &str, collection: Collection, row: &Row) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let key = (tenant.to_owned(), collection, row.id.clone());
        let stored = rows.get(&key).map_or(0, |stored| stored.generation);
        if row.generation.checked_sub(1) != Some(stored) {
            return Err(StoreError::Conflict);
        }
        rows.insert(key, row.clone());
        Ok(())
    }

    fn remove(&self, tenant: &str, collection: Collection, id: &str, generation: u64) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let key = (tenant.to_owned(), collection, id.to_owned());
        match rows.get(&key) {
            Some(stored) if stored.generation == generation => {
                rows.remove(&key);
                Ok(())
            }
            Some(_) | None => Err(StoreError::Conflict),
        }
    }

    fn remember(
        &self,
        tenant: &str,
        key: [u8; 32],
        keep_until: SystemTime,
        now: SystemTime,
    ) -> Result<bool, StoreError> {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = replay.entry(tenant.to_owned()).or_default();
        if entries.get(&key).is_some_and(|until| *until >= now) {
            return Ok(false);
        }
        if entries.len() >= MAX_REPLAY_ENTRIES {
            entries.retain(|_, until| *until >= now);
        }
        if entries.len() >= MAX_REPLAY_ENTRIES {
            // Evicting a live entry would let its token in a second time; refusing new ones is the safe side.
            return Err(StoreError::Unavailable("the replay store is full".into()));
        }
        entries.insert(key, keep_until);
        Ok(true)
    }
}

impl IdentityStore for MemoryStore {
    fn get<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Row>, StoreError>> {
        Box::pin(async move { Ok(self.rows().get(&(tenant.to_owned(), collection, id.to_owned())).cloned()) })
    }

    fn list<'a>(&'a self, tenant: &'a str, collection: Collection) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async move {
            let rows = self.rows();
            let of_tenant = rows.iter().filter(|((owner, kind, _), _)| owner == tenant && *kind == collection);
            Ok(of_tenant.map(|(_, row)| row.clone()).collect())
        })
    }

    fn write<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        row: &'a Row,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.replace(tenant, collection, row) })
    }

    fn delete<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        id: &'a str,
        generation: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.remove(tenant, collection, id, generation) })
    }
}

impl ReplayStore for MemoryStore {
    fn insert<'a>(
        &'a self,
        tenant: &'a str,
        key: &'a [u8; 32],
        keep_until: SystemTime,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { self.remember(tenant, *key, keep_until, now) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::store::conformance;

    #[test]
    fn memory_store_keeps_the_contract_of_an_identity_store() {
        pollster::block_on(conformance::identity_store(&MemoryStore::new())).unwrap();
    }

    #[test]
    fn memory_store_keeps_the_contract_of_a_replay_store() {
        pollster::block_on(conformance::replay_store(&MemoryStore::new())).unwrap();
    }

    #[test]
    fn of_64_threads_with_one_key_exactly_one_wins() {
        let store = MemoryStore::new();
        let wins = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let until = UNIX_EPOCH + Duration::from_secs(100);
                    if pollster::block_on(store.insert("t", &[7; 32], until, UNIX_EPOCH)).unwrap() {
                        wins.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(wins.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn full_replay_store_refuses_new_keys_of_that_tenant_and_evicts_no_live_entry() {
        let store = MemoryStore::new();
        let until = UNIX_EPOCH + Duration::from_secs(100);
        let key = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            key
        };
        for n in 0..MAX_REPLAY_ENTRIES {
            assert!(store.remember("t", key(n), until, UNIX_EPOCH).unwrap());
        }
        assert!(matches!(store.remember("t", [9; 32], until, UNIX_EPOCH), Err(StoreError::Unavailable(_))));
        assert!(!store.remember("t", key(0), until, UNIX_EPOCH).unwrap());
        assert!(store.remember("other", [9; 32], until, UNIX_EPOCH).unwrap());
        let later = until + Duration::from_secs(1);
        assert!(store.remember("t", [9; 32], later, later).unwrap());
    }
}
