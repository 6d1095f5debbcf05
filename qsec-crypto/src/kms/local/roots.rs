//! The root keys that an internal KMS knows: the one for what it makes, and those that rows may still be under.

use std::sync::{Arc, PoisonError, RwLock};

use super::record::{self, LocalKey, Sealing};
use crate::kms::KmsError;
use crate::store::{LocalKeyRow, StoreError};

/// Never empty. The first is for new keys; a row names its own.
pub(super) struct Roots(RwLock<Vec<Arc<Sealing>>>);

impl Roots {
    pub(super) fn new(root: Sealing) -> Self {
        Self(RwLock::new(vec![Arc::new(root)]))
    }

    /// The one for new keys.
    pub(super) fn first(&self) -> Result<Arc<Sealing>, KmsError> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.first().map(Arc::clone).ok_or(KmsError::Internal { what: "there is a root key" })
    }

    /// The one that a key was read under.
    pub(super) fn of(&self, key: &LocalKey) -> Result<Arc<Sealing>, KmsError> {
        // Gone since the key was read: its row was moved to another root meanwhile, so what was read is old.
        self.find(&key.root).ok_or(KmsError::Store(StoreError::Conflict))
    }

    /// Reads a row under the root that it names.
    pub(super) fn parse(&self, row: &LocalKeyRow) -> Result<LocalKey, KmsError> {
        record::parse(row, |root| self.find(root))
    }

    /// Knows one more.
    pub(super) fn add(&self, root: Arc<Sealing>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|other| other.root_id() == root.root_id()) {
            known.push(root);
        }
    }

    /// Uses this one for new keys, and still knows the others.
    pub(super) fn prefer(&self, root: Arc<Sealing>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|other| other.root_id() != root.root_id());
        known.insert(0, root);
    }

    /// Forgets all but this one.
    pub(super) fn keep_only(&self, root: Arc<Sealing>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = vec![root];
    }

    fn find(&self, root_id: &str) -> Option<Arc<Sealing>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|root| root.root_id() == root_id).map(Arc::clone)
    }
}
