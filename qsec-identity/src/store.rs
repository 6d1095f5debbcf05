//! Where clients, identity providers and signing keys are kept, and which tokens were used: the borders to a database.
//!
//! A store sees rows: names, generations and bytes. What the bytes say is decided by the types that read them.

pub mod conformance;
mod memory;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

pub use memory::MemoryStore;

/// A future that a store returns: boxed, so that the trait can be used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The record has another generation than the writer assumed: read again, decide again.
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

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Collection {
    /// OAuth clients, by client id.
    Client,
    /// Identity providers, by provider id.
    Provider,
    /// Signing keys, by purpose: a row holds the whole ring, private parts only wrapped.
    SigningKey,
    /// Links from a user's account to the provider and subject through which they come, by user id.
    User,
}

impl Collection {
    /// Every collection.
    pub const ALL: [Self; 4] = [Self::Client, Self::Provider, Self::SigningKey, Self::User];

    /// The name that a store writes: stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Provider => "provider",
            Self::SigningKey => "signing_key",
            Self::User => "user",
        }
    }
}

/// One record of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds rows from its columns")]
pub struct Row {
    /// Unique within tenant and collection. At most 300 bytes.
    pub id: String,
    /// 1 for a new row, then one more with each write.
    pub generation: u64,
    /// The record as JSON. At most 1 MiB.
    pub body: Vec<u8>,
}

/// Keeps the records of the identity room.
///
/// # Contract
/// - A row is written only if the stored generation is exactly `row.generation - 1` (0: no such row), otherwise the
///   answer is [`StoreError::Conflict`]; it is durable when the future resolves.
/// - Nothing crosses a tenant: a row of another tenant does not exist.
pub trait IdentityStore: Send + Sync + fmt::Debug {
    /// The row of that id.
    fn get<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Row>, StoreError>>;

    /// Every row of the collection, in the order of ids.
    fn list<'a>(&'a self, tenant: &'a str, collection: Collection) -> BoxFuture<'a, Result<Vec<Row>, StoreError>>;

    /// Writes one row.
    fn write<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        row: &'a Row,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes a row if it still has that generation. An unknown id is a [`StoreError::Conflict`].
    fn delete<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        id: &'a str,
        generation: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// Remembers which single-use tokens were used.
///
/// # Contract
/// `insert` is one atomic operation: of any number of concurrent calls with one key exactly one gets `true`. A live
/// entry MUST NOT be evicted before `keep_until`.
pub trait ReplayStore: Send + Sync + fmt::Debug {
    /// Whether the key was new; it is remembered until `keep_until` at least. Entries that ended before `now` may go.
    fn insert<'a>(
        &'a self,
        tenant: &'a str,
        key: &'a [u8; 32],
        keep_until: SystemTime,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;
}
