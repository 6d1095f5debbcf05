//! Where policies are kept: the border to a database.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

pub mod conformance;
mod memory;

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

/// What an entry of a tenant's policy is about. The ids are those of the policy file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EntryKind {
    /// The tenant's own settings: status, model, user default, personas. Its id is empty.
    Tenant,
    /// A custom role.
    Role,
    /// A group and its roles.
    Group,
    /// A user.
    User,
    /// A space and its members.
    Space,
    /// A resource.
    Resource,
    /// A security rule; the id is its position, ten digits, so that order is kept.
    Rule,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Tenant, Self::Role, Self::Group, Self::User, Self::Space, Self::Resource, Self::Rule];

    /// The name that a store writes: stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Role => "role",
            Self::Group => "group",
            Self::User => "user",
            Self::Space => "space",
            Self::Resource => "resource",
            Self::Rule => "rule",
        }
    }
}

/// One entry of a tenant's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds entries from its columns")]
pub struct PolicyEntry {
    /// What it is about.
    pub kind: EntryKind,
    /// Unique within tenant and kind. At most 300 bytes.
    pub id: String,
    /// The value as the policy file has it, JSON. At most 1 MiB.
    pub body: String,
}

/// A change of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyChange {
    /// The entry is new, or replaces the one of its kind and id.
    Put(PolicyEntry),
    /// The entry goes; one that does not exist is no error.
    Remove {
        /// What it is about.
        kind: EntryKind,
        /// Its id.
        id: String,
    },
}

/// A tenant's policy as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds policies from its rows")]
pub struct StoredPolicy {
    /// One more with each change; 0 if nothing was ever stored.
    pub version: u64,
    /// In the order of kind and id.
    pub entries: Vec<PolicyEntry>,
}

/// Keeps the policies of tenants, with versions.
///
/// # Contract
/// - `apply` is atomic and durable when the future resolves; it changes something only if the stored version is
///   `expected`, otherwise the answer is [`StoreError::Conflict`].
/// - `load` MUST return entries and version as of one instant.
pub trait PolicyStore: Send + Sync + fmt::Debug {
    /// The whole policy of a tenant.
    fn load<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<StoredPolicy, StoreError>>;

    /// The version alone: how a node learns cheaply whether its snapshot is current.
    fn version<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Applies changes in their order and returns the new version, `expected + 1`.
    fn apply<'a>(
        &'a self,
        tenant: &'a str,
        expected: u64,
        changes: &'a [PolicyChange],
    ) -> BoxFuture<'a, Result<u64, StoreError>>;
}
