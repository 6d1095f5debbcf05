//! Why a change was not made.

use crate::decision::Denied;
use crate::policy::PolicyError;
use crate::store::StoreError;

/// Why a change was not planned, or not committed. In every case the stored policy is what it was.
///
/// ```
/// use qsec_authz::{Actor, Edit, ManageError, MemoryStore, Register, Subject};
/// # pollster::block_on(async {
/// let register = Register::load(&MemoryStore::new(), "acme").await?;
/// let edit = Edit::CreateGroup { name: "finance".into() };
/// let refused = register.plan(&Actor::new(&Subject::user("ana")), &edit).unwrap_err();
/// assert_eq!(refused.code(), "denied");
/// # Ok::<(), ManageError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// The actor is not granted the action: the denial says which and why.
    #[error("the change is not granted: {0}")]
    Denied(Box<Denied>),
    /// The change would give somebody more than the actor holds.
    #[error("nobody grants more than they hold, and the change gives {}", what.join(", "))]
    Exceeds {
        /// What the actor does not hold: `role:NAME`, `space:ROLE@SPACE`, `rule:NAME`, `group:NAME`, …
        what: Vec<String>,
    },
    /// Nobody would be left who administers the tenant.
    #[error("the tenant `{tenant}` would have no active administrator")]
    LastAdministrator {
        /// The tenant.
        tenant: String,
    },
    /// What is to be changed does not exist.
    #[error("there is no {what}")]
    NotFound {
        /// What is missing: `user ana`.
        what: String,
    },
    /// What is to be created exists.
    #[error("there is a {what} already")]
    Exists {
        /// What is there: `user ana`.
        what: String,
    },
    /// What is to be removed is still referred to.
    #[error("{what} is in use")]
    InUse {
        /// What is in use: `role Author`.
        what: String,
    },
    /// The change changes nothing.
    #[error("the change changes nothing")]
    Unchanged,
    /// The change names something that does not exist in the model: a permission, a space role, a type.
    #[error("{what}")]
    Refused {
        /// What is wrong with it.
        what: String,
    },
    /// The policy would be malformed, or is.
    #[error("the policy is not one: {0}")]
    Policy(#[source] PolicyError),
    /// Somebody else changed the policy meanwhile, or the store failed.
    #[error("the change was not stored: {0}")]
    Store(#[source] StoreError),
}

impl ManageError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Exceeds { .. } => "exceeds",
            Self::LastAdministrator { .. } => "last_administrator",
            Self::NotFound { .. } => "not_found",
            Self::Exists { .. } => "exists",
            Self::InUse { .. } => "in_use",
            Self::Unchanged => "unchanged",
            Self::Refused { .. } => "refused",
            Self::Policy(error) => error.code(),
            Self::Store(error) => match error {
                StoreError::Conflict => "conflict",
                StoreError::Refused { .. } => "refused",
                StoreError::Unavailable(_) => "unavailable",
                StoreError::Damaged { .. } => "damaged",
            },
        }
    }

    /// Whether the same change may succeed if it is planned again on what is stored now.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict | StoreError::Unavailable(_)))
    }

    pub(super) fn refused(what: impl Into<String>) -> Self {
        Self::Refused { what: what.into() }
    }
}

impl From<PolicyError> for ManageError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl From<StoreError> for ManageError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
