//! The stores of one process that forgets: for tests, examples, and programs whose keys need not outlive them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{BoxFuture, KeyRow, KeyStore, LocalKeyRow, LocalKeyStore, StoreError};
use crate::tenant::TenantId;

/// A [`KeyStore`] and [`LocalKeyStore`] in memory. Clones share their rows.
///
/// ```
/// use qsec_crypto::{KeyStore, MemoryStore, TenantId};
///
/// let store = MemoryStore::new();
/// let rows = pollster::block_on(KeyStore::load(&store, &TenantId::new("acme")?))?;
/// assert!(rows.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
}

#[derive(Default)]
struct Rows {
    keys: BTreeMap<TenantId, BTreeMap<String, KeyRow>>,
    local: BTreeMap<[u8; 16], LocalKeyRow>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere cannot leave a half-written row: every change is one assignment.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_keys(&self, tenant: &TenantId, rows: &[KeyRow]) -> Result<(), StoreError> {
        let mut all = self.rows();
        let mut of_tenant = all.keys.get(tenant).cloned().unwrap_or_default();
        for row in rows {
            follows(of_tenant.get(&row.name).map(|stored| stored.generation), row.generation)?;
            of_tenant.insert(row.name.clone(), row.clone());
        }
        all.keys.insert(tenant.clone(), of_tenant);
        Ok(())
    }

    fn write_local(&self, row: &LocalKeyRow) -> Result<(), StoreError> {
        match self.rows().local.entry(row.id) {
            Entry::Vacant(place) => {
                follows(None, row.generation)?;
                place.insert(row.clone());
            }
            Entry::Occupied(mut stored) => {
                follows(Some(stored.get().generation), row.generation)?;
                stored.insert(row.clone());
            }
        }
        Ok(())
    }
}

fn follows(stored: Option<u64>, written: u64) -> Result<(), StoreError> {
    if written.checked_sub(1) == Some(stored.unwrap_or(0)) { Ok(()) } else { Err(StoreError::Conflict) }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl KeyStore for MemoryStore {
    fn load<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<KeyRow>, StoreError>> {
        let rows = self.rows().keys.get(tenant).map(|rows| rows.values().cloned().collect());
        Box::pin(ready(Ok(rows.unwrap_or_default())))
    }

    fn write<'a>(&'a self, tenant: &'a TenantId, rows: &'a [KeyRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.write_keys(tenant, rows) })
    }

    fn erase<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.rows().keys.remove(tenant);
            Ok(())
        })
    }
}

impl LocalKeyStore for MemoryStore {
    fn load<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<Option<LocalKeyRow>, StoreError>> {
        Box::pin(async move { Ok(self.rows().local.get(id).cloned()) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LocalKeyRow>, StoreError>> {
        Box::pin(async move { Ok(self.rows().local.values().cloned().collect()) })
    }

    fn write<'a>(&'a self, row: &'a LocalKeyRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.write_local(row) })
    }

    fn erase<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.rows().local.remove(id);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[test]
    fn memory_store_keeps_the_contract_of_both_stores() {
        for report in [
            pollster::block_on(conformance::key_store(&MemoryStore::new())),
            pollster::block_on(conformance::local_key_store(&MemoryStore::new())),
        ] {
            assert!(report.is_passed(), "{report}");
            assert_eq!(report.not_run().count(), 0);
        }
    }
}
