//! Heads of logs, kept outside the log's folder: what tells a log that was rolled back as a whole.

pub mod conformance;
mod memory;

pub use memory::MemoryHeads;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

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

/// How far a node's log had come when it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds heads from its columns")]
pub struct Head {
    /// Origin prefix of the node's log.
    pub origin: String,
    /// The log's random id, lowercase hex.
    pub log_id: String,
    /// Number of the last commit.
    pub commit: u64,
    /// Chain value after that commit.
    pub chain: [u8; 32],
    /// RFC 6962 root over the checkpoint bodies of all trees, sorted by origin.
    pub trees_root: [u8; 32],
}

/// Keeps the newest head of each node.
///
/// # Contract
/// A head replaces the stored one of its origin only if its commit is not lower, or its log id is another one; a lower
/// commit of the same log is a [`StoreError::Conflict`].
pub trait HeadStore: Send + Sync + fmt::Debug {
    /// The newest head of that origin.
    fn load<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<Option<Head>, StoreError>>;

    /// Keeps a head; durable when the future resolves.
    fn save<'a>(&'a self, head: &'a Head) -> BoxFuture<'a, Result<(), StoreError>>;
}
