//! A store in memory: for tests, examples, and policies that live no longer than their process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{BoxFuture, EntryKind, PolicyChange, PolicyEntry, PolicyStore, StoreError, StoredPolicy};

#[derive(Debug, Default)]
struct Shelf {
    version: u64,
    entries: BTreeMap<(EntryKind, String), String>,
}

/// Keeps policies in memory. Nothing outlives it.
///
/// ```
/// use qsec_authz::{EntryKind, MemoryStore, PolicyChange, PolicyEntry, PolicyStore};
/// # pollster::block_on(async {
/// let store = MemoryStore::new();
/// let ana = PolicyEntry { kind: EntryKind::User, id: "ana".into(), body: "{}".into() };
/// let version = store.apply("acme", 0, &[PolicyChange::Put(ana.clone())]).await?;
/// assert_eq!(version, 1);
/// assert_eq!(store.load("acme").await?.entries, [ana]);
/// # Ok::<(), qsec_authz::StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    tenants: Mutex<HashMap<String, Shelf>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shelf>> {
        // A writer that panicked has changed either everything or nothing: see `write`.
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, tenant: &str) -> StoredPolicy {
        let tenants = self.lock();
        let Some(shelf) = tenants.get(tenant) else { return StoredPolicy { version: 0, entries: Vec::new() } };
        let entries = shelf
            .entries
            .iter()
            .map(|((kind, id), body)| PolicyEntry { kind: *kind, id: id.clone(), body: body.clone() })
            .collect();
        StoredPolicy { version: shelf.version, entries }
    }

    fn write(&self, tenant: &str, expected: u64, changes: &[PolicyChange]) -> Result<u64, StoreError> {
        let mut tenants = self.lock();
        let stored = tenants.get(tenant).map_or(0, |shelf| shelf.version);
        if stored != expected {
            return Err(StoreError::Conflict);
        }
        let version = expected
            .checked_add(1)
            .ok_or_else(|| StoreError::Damaged { what: format!("the policy of `{tenant}` has no next version") })?;
        let shelf = tenants.entry(tenant.to_owned()).or_default();
        for change in changes {
            match change {
                PolicyChange::Put(entry) => {
                    shelf.entries.insert((entry.kind, entry.id.clone()), entry.body.clone());
                }
                PolicyChange::Remove { kind, id } => {
                    shelf.entries.remove(&(*kind, id.clone()));
                }
            }
        }
        shelf.version = version;
        Ok(version)
    }
}

impl PolicyStore for MemoryStore {
    fn load<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<StoredPolicy, StoreError>> {
        Box::pin(async move { Ok(self.read(tenant)) })
    }

    fn version<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.lock().get(tenant).map_or(0, |shelf| shelf.version)) })
    }

    fn apply<'a>(
        &'a self,
        tenant: &'a str,
        expected: u64,
        changes: &'a [PolicyChange],
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { self.write(tenant, expected, changes) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn memory_keeps_the_contract_of_a_store() {
        pollster::block_on(conformance::all(&MemoryStore::new(), "memory")).expect("contract");
    }
}
