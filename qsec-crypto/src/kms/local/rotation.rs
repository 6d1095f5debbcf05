//! Another root key: the material of every key is sealed again under it, and no tenant key changes.
//!
//! A row is moved by one write that replaces it, and says which root it is under. So a rotation that ends anywhere leaves
//! rows under the one and rows under the other, each whole; whoever knows both roots uses them all, and goes on.

use std::sync::Arc;
use std::time::SystemTime;

use super::record::{LocalKey, Material, Sealing};
use super::{LocalKms, next};
use crate::kms::{KmsError, RootKey};
use crate::store::{LocalKeyRow, StoreError};

/// Most times that all rows are gone through: a further one is needed where another node makes keys meanwhile, and one
/// that never ends says that it was not told of the new root.
const MAX_PASSES: u32 = 8;

/// Most times that one row is tried: each failure is a change by another node.
const MAX_TRIES: u32 = 8;

/// What became of the rows when the root key was rotated.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_crypto::MemoryStore;
/// use qsec_crypto::kms::{LocalKms, RootKey};
///
/// # pollster::block_on(async {
/// # let now = SystemTime::UNIX_EPOCH;
/// let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?;
/// kms.create_key(now).await?;
/// let rotation = kms.rotate_root(RootKey::from_bytes(&[8; 32]), now).await?;
/// assert_eq!((rotation.moved(), rotation.already_there()), (1, 0));
/// # Ok::<(), qsec_crypto::kms::KmsError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootRotation {
    moved: u64,
    already_there: u64,
}

impl RootRotation {
    /// Rows that were put under the new root.
    pub fn moved(self) -> u64 {
        self.moved
    }

    /// Rows that were under it when this began: an earlier rotation that did not end has moved them.
    pub fn already_there(self) -> u64 {
        self.already_there
    }
}

impl LocalKms {
    /// Also uses keys that are under this root key: for as long as a rotation is under way, on every node.
    ///
    /// # Errors
    /// [`KmsError::Internal`], which no input causes.
    pub fn with_other_root(self, root: RootKey) -> Result<Self, KmsError> {
        self.roots.add(Arc::new(Sealing::new(&root.into_key())?));
        Ok(self)
    }

    /// Puts every key under a new root key, and forgets the old one when all are there. Tenant keys and what they
    /// sealed stay as they are, and keys can be used throughout.
    ///
    /// It may end at any point, by an error or with the process: **keep both root keys until it has answered.** Then
    /// open the KMS with the one, add the other by [`LocalKms::with_other_root`], and call it again with the new one.
    ///
    /// With several nodes on one store, first give each the new root as its other one; then rotate on one of them; then
    /// open all with the new root alone. Backups stay under the root key of their day.
    ///
    /// # Errors
    /// [`KmsError::Store`] if the store fails; [`KmsError::WrongRootKey`] and [`KmsError::RecordForged`] for a row that
    /// cannot be read: all others are moved all the same, and the old root is kept.
    pub async fn rotate_root(&self, new: RootKey, now: SystemTime) -> Result<RootRotation, KmsError> {
        let new = Arc::new(Sealing::new(&new.into_key())?);
        // Before the first look at the rows, so that what is made meanwhile is under the new one.
        self.roots.prefer(Arc::clone(&new));
        let first = self.move_rows(&new, now).await?;
        let (mut moved, mut pass) = (first.moved, first);
        for _ in 1..MAX_PASSES {
            if pass.moved == 0 {
                self.roots.keep_only(new);
                return Ok(RootRotation { moved, already_there: first.already_there });
            }
            pass = self.move_rows(&new, now).await?;
            moved = moved.saturating_add(pass.moved);
        }
        Err(StoreError::Conflict.into())
    }

    /// Goes once through all rows, and says what failed only then.
    async fn move_rows(&self, new: &Sealing, now: SystemTime) -> Result<RootRotation, KmsError> {
        let (mut rotation, mut failed) = (RootRotation { moved: 0, already_there: 0 }, None);
        for row in self.store.list().await? {
            match self.move_row(row, new, now).await {
                Ok(true) => rotation.moved = rotation.moved.saturating_add(1),
                Ok(false) => rotation.already_there = rotation.already_there.saturating_add(1),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(rotation), Err)
    }

    /// Puts one row under the new root. Whether it was not.
    async fn move_row(&self, mut row: LocalKeyRow, new: &Sealing, now: SystemTime) -> Result<bool, KmsError> {
        // The list was read a while ago, so it tells nothing of who put a row back.
        let mut before = 0;
        for _ in 0..MAX_TRIES {
            let key = self.roots.parse(&row)?;
            let is_newest = self.is_newest(&key, before)?;
            if is_newest && key.root == new.root_id() {
                return Ok(false);
            }
            if is_newest {
                let written = match self.under(key, new, now).await {
                    Ok(key) => self.write(&key).await,
                    Err(error) => Err(error),
                };
                match written {
                    Err(KmsError::Store(StoreError::Conflict)) => {}
                    answer => return answer.map(|()| true),
                }
            }
            before = self.seen(&row.id);
            match self.store.load(&row.id).await? {
                Some(changed) => row = changed,
                None => return Ok(false),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The key as it is to be written next, its material sealed by the new root.
    async fn under(&self, key: LocalKey, new: &Sealing, now: SystemTime) -> Result<LocalKey, KmsError> {
        // Its wait is over: what must be gone is not sealed again.
        let mut key = if key.is_due(now) { self.destroy_material(key).await? } else { key };
        let old = self.roots.of(&key)?;
        let material = key.material.iter().map(|material| {
            let opened = old.open_material(&key.id, material)?;
            let blob = new.seal_material(&key.id, material.version, &opened)?;
            Ok(Material { blob, ..material.clone() })
        });
        key.material = material.collect::<Result<_, KmsError>>()?;
        new.root_id().clone_into(&mut key.root);
        key.generation = next(key.generation)?;
        Ok(key)
    }
}
