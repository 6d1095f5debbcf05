//! A ledger that forgets when the process ends: for tests and for tools without a store.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{BoxFuture, CertificateState, Ledger, LedgerRow, StoreError};

/// A ledger in memory.
///
/// ```
/// use qsec_pki::{Ledger, MemoryLedger};
///
/// let ledger = MemoryLedger::new();
/// assert_eq!(pollster::block_on(ledger.list())?, []);
/// # Ok::<(), qsec_pki::StoreError>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryLedger {
    rows: Mutex<BTreeMap<String, LedgerRow>>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` on the rows. Every change below is one insertion or assignment, so a poisoned lock still guards whole rows.
    fn locked<T>(&self, work: impl FnOnce(&mut BTreeMap<String, LedgerRow>) -> T) -> T {
        work(&mut self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ledger for MemoryLedger {
    fn reserve<'a>(&'a self, row: &'a LedgerRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.locked(|rows| {
                if rows.contains_key(&row.serial) {
                    return Err(StoreError::Conflict);
                }
                rows.insert(row.serial.clone(), row.clone());
                Ok(())
            })
        })
    }

    fn advance<'a>(&'a self, row: &'a LedgerRow, from: CertificateState) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.locked(|rows| match rows.get_mut(&row.serial) {
                Some(kept) if kept.state == from => {
                    kept.state = row.state;
                    kept.body.clone_from(&row.body);
                    Ok(())
                }
                _ => Err(StoreError::Conflict),
            })
        })
    }

    fn get<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, Result<Option<LedgerRow>, StoreError>> {
        Box::pin(async move { Ok(self.locked(|rows| rows.get(serial).cloned())) })
    }

    fn knows_key<'a>(&'a self, spki_sha256: &'a [u8; 32]) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.locked(|rows| rows.values().any(|row| row.spki_sha256 == *spki_sha256))) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LedgerRow>, StoreError>> {
        Box::pin(async move { Ok(self.locked(|rows| rows.values().cloned().collect())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::conformance;

    #[test]
    fn memory_ledger_keeps_the_contract() {
        pollster::block_on(conformance::check(&MemoryLedger::new())).unwrap();
    }
}
