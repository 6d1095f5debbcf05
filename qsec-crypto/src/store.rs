//! Where key records are kept: the borders to a database, with no meaning of their own.
//!
//! A store sees rows: names, generations and bytes. What the bytes say, and whether they may be believed, is decided in
//! [`crate::keyring`]; so a store can be written in an afternoon and can do no harm but lose rows.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::TenantId;

pub mod conformance;

/// A future that a store or a KMS returns: boxed, so that the traits can be used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A row has another generation than the writer assumed: read again, decide again.
    #[error("the record was changed by someone else meanwhile")]
    Conflict,
    /// The record cannot be kept as it is: too long, or a NUL in a name. The caller's fault, not the store's.
    #[error("the record cannot be stored: {what}")]
    Refused {
        /// What is wrong with it.
        what: String,
    },
    /// The store cannot be reached now; the call can be repeated.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The store holds something that it cannot have written.
    #[error("the store holds a damaged record: {what}")]
    Damaged {
        /// Which record, and what is wrong with it.
        what: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// One row of a tenant's keys: its binding, or one key version.
///
/// The row is public but for availability: it holds nothing that opens a byte without a KMS.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds rows from its columns")]
pub struct KeyRow {
    /// `binding`, or `<purpose>/<version>`. At most 300 bytes.
    pub name: String,
    /// 1 for a new row, then one more with each write.
    pub generation: u64,
    /// The record as canonical JSON. At most 128 KiB.
    pub body: Vec<u8>,
    /// HMAC-SHA256 over tenant and body; checked by the reader at each load.
    pub mac: [u8; 32],
}

impl fmt::Debug for KeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRow").field("name", &self.name).field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// Keeps the key records of tenants.
///
/// # Contract
/// - A write is atomic over all its rows, and durable when the future resolves.
/// - A row is written only if the stored generation is exactly `row.generation - 1` (0: no such row); otherwise nothing
///   of the call is written and the answer is [`StoreError::Conflict`].
/// - `load` MUST return all rows of the tenant as of one instant, in the order of their names.
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// All rows of a tenant; empty if there is none.
    fn load<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<KeyRow>, StoreError>>;

    /// Writes rows, all or none.
    fn write<'a>(&'a self, tenant: &'a TenantId, rows: &'a [KeyRow]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes all rows of a tenant for good: overwritten first, then deleted.
    fn erase<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// One key of the internal KMS, its material wrapped by the root key.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds rows from its columns")]
pub struct LocalKeyRow {
    /// The key's random id.
    pub id: [u8; 16],
    /// 1 for a new row, then one more with each write.
    pub generation: u64,
    /// State and wrapped material as canonical JSON. At most 128 KiB.
    pub body: Vec<u8>,
}

impl fmt::Debug for LocalKeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKeyRow")
            .field("id", &self.id)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Keeps the keys of the internal KMS. The contract is that of [`KeyStore`], row by row.
pub trait LocalKeyStore: Send + Sync + fmt::Debug {
    /// The row of one key.
    fn load<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<Option<LocalKeyRow>, StoreError>>;

    /// Every row, in the order of ids.
    fn list(&self) -> BoxFuture<'_, Result<Vec<LocalKeyRow>, StoreError>>;

    /// Writes one row if the stored generation is exactly `row.generation - 1`.
    fn write<'a>(&'a self, row: &'a LocalKeyRow) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Overwrites the wrapped material, commits, then deletes the row. An unknown id is no error.
    fn erase<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<(), StoreError>>;
}
