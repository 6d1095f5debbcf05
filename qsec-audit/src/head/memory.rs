//! Heads in memory: for tests, and for a log whose rollback nobody could notice anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{BoxFuture, Head, HeadStore, StoreError};

/// Keeps heads for as long as the process lives.
///
/// A log that is restored as a whole is noticed only while this value lives: keep heads in a database.
///
/// ```
/// use qsec_audit::head::MemoryHeads;
/// use qsec_audit::{Head, HeadStore};
///
/// let heads = MemoryHeads::new();
/// let head = Head {
///     origin: "qsec.example/n1".into(),
///     log_id: "0".repeat(32),
///     commit: 1,
///     chain: [1; 32],
///     trees_root: [2; 32],
/// };
/// pollster::block_on(heads.save(&head))?;
/// assert_eq!(pollster::block_on(heads.load("qsec.example/n1"))?, Some(head));
/// # Ok::<(), qsec_audit::StoreError>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryHeads {
    heads: Mutex<HashMap<String, Head>>,
}

impl MemoryHeads {
    /// A store without heads.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn replace(&self, head: &Head) -> Result<(), StoreError> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if heads.get(&head.origin).is_some_and(|kept| kept.log_id == head.log_id && kept.commit > head.commit) {
            return Err(StoreError::Conflict);
        }
        heads.insert(head.origin.clone(), head.clone());
        Ok(())
    }
}

impl HeadStore for MemoryHeads {
    fn load<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<Option<Head>, StoreError>> {
        let found = self.heads.lock().unwrap_or_else(PoisonError::into_inner).get(origin).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn save<'a>(&'a self, head: &'a Head) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(self.replace(head)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn memory_passes_the_conformance_suite() {
        pollster::block_on(conformance::all(&MemoryHeads::new()));
    }

    /// Forgets the contract: what the suite must notice.
    #[derive(Debug, Default)]
    struct LastWins(MemoryHeads);

    impl HeadStore for LastWins {
        fn load<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<Option<Head>, StoreError>> {
            self.0.load(origin)
        }

        fn save<'a>(&'a self, head: &'a Head) -> BoxFuture<'a, Result<(), StoreError>> {
            self.0.heads.lock().unwrap().insert(head.origin.clone(), head.clone());
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[test]
    #[should_panic(expected = "a lower commit of the same log must be a conflict")]
    fn store_that_lets_a_head_go_back_fails_the_suite() {
        pollster::block_on(conformance::all(&LastWins::default()));
    }
}
