//! A key that must not be used now: in which state it is, and who can undo it.

use std::fmt;
use std::time::SystemTime;

use crate::kms::KeyId;

/// The states that stop a key; each wins over those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StoppedState {
    /// The KMS denies us its use. Only a key that is out already says so: whoever asks the keyring is told the KMS's own
    /// error.
    Denied,
    /// The KMS does not have it any more. Said as [`Self::Denied`] is.
    NotFound,
    /// Locked until someone enables it.
    Disabled,
    /// Locked, and to be destroyed when the wait is over.
    PendingDeletion,
    /// Gone for good.
    Destroyed,
}

impl StoppedState {
    /// The state as records and answers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Disabled => "disabled",
            Self::PendingDeletion => "pending_deletion",
            Self::Destroyed => "destroyed",
        }
    }

    /// The stable error code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Denied => "kms_access_denied",
            Self::NotFound => "key_not_found",
            Self::Disabled => "key_disabled",
            Self::PendingDeletion => "key_pending_deletion",
            Self::Destroyed => "key_destroyed",
        }
    }
}

/// Who stopped a key. Both must let it go: enabling one does not enable the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoppedBy {
    /// The tenant's own state in the store: an administrator's verb.
    Tenant,
    /// The state of the KMS key: its owner's verb.
    Kms,
}

impl StoppedBy {
    /// `tenant` or `kms`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Kms => "kms",
        }
    }
}

/// A key that must not be used now.
///
/// ```
/// use qsec_crypto::{Stopped, StoppedBy, StoppedState};
///
/// let stopped = Stopped::new(StoppedState::Disabled, StoppedBy::Tenant);
/// assert_eq!(stopped.code(), "key_disabled");
/// assert_eq!(stopped.to_string(), "the tenant's key is disabled; an administrator of the tenant can enable it");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// The state.
    pub state: StoppedState,
    /// Whose state it is.
    pub by: StoppedBy,
    /// The KMS key, if it is that one's state.
    pub key_id: Option<KeyId>,
    /// When it will be destroyed, if that is known.
    pub deletion_date: Option<SystemTime>,
}

impl Stopped {
    /// A stop without a key id and a date.
    pub fn new(state: StoppedState, by: StoppedBy) -> Self {
        Self { state, by, key_id: None, deletion_date: None }
    }

    /// The stable error code: `key_disabled`, `key_pending_deletion`, `key_destroyed`, `kms_access_denied` or
    /// `key_not_found`.
    pub fn code(&self) -> &'static str {
        self.state.code()
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key_id, self.by) {
            (Some(key_id), _) => write!(f, "KMS key `{key_id}` ")?,
            (None, StoppedBy::Kms) => f.write_str("the tenant's KMS key ")?,
            (None, StoppedBy::Tenant) => f.write_str("the tenant's key ")?,
        }
        let owner = if self.by == StoppedBy::Kms { "its owner" } else { "an administrator of the tenant" };
        match self.state {
            StoppedState::Denied => write!(f, "is denied to us; {owner} can grant it again"),
            StoppedState::NotFound => f.write_str("is not there any more"),
            StoppedState::Disabled => write!(f, "is disabled; {owner} can enable it"),
            StoppedState::PendingDeletion => write!(f, "is to be deleted; {owner} can cancel that"),
            StoppedState::Destroyed => f.write_str("is destroyed; nobody can undo that"),
        }
    }
}

impl std::error::Error for Stopped {}
