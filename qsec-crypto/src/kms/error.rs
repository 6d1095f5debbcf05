//! Why a KMS did not do what it was asked.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::kms::KeyId;
use crate::secret::RandomError;
use crate::stopped::{Stopped, StoppedBy, StoppedState};
use crate::store::StoreError;

/// Why a KMS did not do what it was asked.
///
/// The first group is terminal: the KMS, or the owner of the key, has said no, and asking again or asking a replica
/// would be wrong. The second may pass. The third is the caller's mistake or ours.
///
/// ```
/// use qsec_crypto::kms::{KeyId, KmsError};
///
/// let error = KmsError::KeyDisabled { key_id: KeyId::new("k")? };
/// assert_eq!((error.code(), error.is_retryable()), ("key_disabled", false));
/// # Ok::<(), qsec_crypto::kms::KeyIdError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KmsError {
    /// The owner of the key locked it.
    #[error("KMS key `{key_id}` is disabled; its owner can enable it")]
    KeyDisabled {
        /// The key.
        key_id: KeyId,
    },
    /// The key waits to be destroyed.
    #[error("KMS key `{key_id}` is to be deleted; its owner can cancel that")]
    KeyPendingDeletion {
        /// The key.
        key_id: KeyId,
        /// When it will be destroyed, if the KMS says so.
        deletion_date: Option<SystemTime>,
    },
    /// The key is gone for good.
    #[error("KMS key `{key_id}` is destroyed")]
    KeyDestroyed {
        /// The key.
        key_id: KeyId,
    },
    /// The KMS knows no such key.
    #[error("there is no KMS key `{key_id}`")]
    KeyNotFound {
        /// The key.
        key_id: KeyId,
    },
    /// The KMS refuses this caller.
    #[error("the KMS denies `{operation}` with key `{key_id}`")]
    AccessDenied {
        /// The key.
        key_id: KeyId,
        /// What was denied.
        operation: &'static str,
    },
    /// Another key, another plaintext, or a blob of another key.
    #[error("the answer does not belong to KMS key `{key_id}`")]
    WrongKey {
        /// The key that was asked for.
        key_id: KeyId,
    },
    /// The key is under another root key than the one that was given.
    #[error("KMS key `{key_id}` is under another root key")]
    WrongRootKey {
        /// The key.
        key_id: KeyId,
    },
    /// The record of a key was not written by this KMS, or an older one was put back.
    #[error("the record of KMS key `{key_id}` is not the one that was written")]
    RecordForged {
        /// The key.
        key_id: KeyId,
    },
    /// The KMS calls the wrapped key or its context invalid.
    #[error("KMS key `{key_id}` rejects the wrapped key or its context")]
    Rejected {
        /// The key.
        key_id: KeyId,
    },

    /// The KMS cannot be reached, or cannot answer now.
    #[error("the KMS is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The KMS asks for fewer calls.
    #[error("the KMS throttles this caller")]
    Throttled {
        /// How long to wait, if the KMS says so.
        retry_after: Option<Duration>,
    },
    /// Too many calls of this tenant are in flight.
    #[error("too many KMS calls of this tenant are in flight")]
    Busy {
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// The store of the internal KMS did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// The caller asked for what cannot be.
    #[error("{what}")]
    Usage {
        /// What was wrong, and how to put it right.
        what: String,
    },
    /// Our own invariant broke.
    #[error("an invariant of the KMS does not hold: {what}")]
    Internal {
        /// Which one.
        what: &'static str,
    },
}

impl KmsError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyDisabled { .. } => StoppedState::Disabled.code(),
            Self::KeyPendingDeletion { .. } => StoppedState::PendingDeletion.code(),
            Self::KeyDestroyed { .. } => StoppedState::Destroyed.code(),
            Self::KeyNotFound { .. } => "key_not_found",
            Self::AccessDenied { .. } => "kms_access_denied",
            Self::WrongKey { .. } | Self::WrongRootKey { .. } => "kms_wrong_key",
            Self::RecordForged { .. } => "key_record_forged",
            Self::Rejected { .. } => "kms_rejected",
            Self::Unavailable(_) => "kms_unavailable",
            Self::Throttled { .. } => "kms_throttled",
            Self::Busy { .. } => "kms_busy",
            Self::Store(error) => store_code(error),
            Self::Usage { .. } => "usage",
            Self::Internal { .. } => "internal",
        }
    }

    /// Whether the same call may succeed later without anyone doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Throttled { .. } | Self::Busy { .. } => true,
            Self::Store(error) => matches!(error, StoreError::Unavailable(_) | StoreError::Conflict),
            Self::KeyDisabled { .. }
            | Self::KeyPendingDeletion { .. }
            | Self::KeyDestroyed { .. }
            | Self::KeyNotFound { .. }
            | Self::AccessDenied { .. }
            | Self::WrongKey { .. }
            | Self::WrongRootKey { .. }
            | Self::RecordForged { .. }
            | Self::Rejected { .. }
            | Self::Usage { .. }
            | Self::Internal { .. } => false,
        }
    }

    /// How long to wait before asking again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Throttled { retry_after } | Self::Busy { retry_after } = self { *retry_after } else { None }
    }

    /// The stop that this error reports, if it is one.
    pub fn stopped(&self) -> Option<Stopped> {
        let (state, key_id, deletion_date) = match self {
            Self::KeyDisabled { key_id } => (StoppedState::Disabled, key_id, None),
            Self::KeyPendingDeletion { key_id, deletion_date } => {
                (StoppedState::PendingDeletion, key_id, *deletion_date)
            }
            Self::KeyDestroyed { key_id } => (StoppedState::Destroyed, key_id, None),
            Self::KeyNotFound { .. }
            | Self::AccessDenied { .. }
            | Self::WrongKey { .. }
            | Self::WrongRootKey { .. }
            | Self::RecordForged { .. }
            | Self::Rejected { .. }
            | Self::Unavailable(_)
            | Self::Throttled { .. }
            | Self::Busy { .. }
            | Self::Store(_)
            | Self::Usage { .. }
            | Self::Internal { .. } => return None,
        };
        Some(Stopped { state, by: StoppedBy::Kms, key_id: Some(key_id.clone()), deletion_date })
    }

    /// What the KMS called this error, if that is none that is known here.
    pub(crate) fn unknown(&self) -> Option<&str> {
        let Self::Unavailable(source) = self else { return None };
        source.downcast_ref::<UnknownAnswer>().map(|answer| answer.code.as_str())
    }

    /// How the keys that are out are stopped by a no that is no state of the KMS key: its owner took away the access, or
    /// the key itself.
    pub(crate) fn denied(&self) -> Option<Stopped> {
        let (state, key_id) = if let Self::AccessDenied { key_id, .. } = self {
            (StoppedState::Denied, key_id)
        } else if let Self::KeyNotFound { key_id } = self {
            (StoppedState::NotFound, key_id)
        } else {
            return None;
        };
        Some(Stopped { key_id: Some(key_id.clone()), ..Stopped::new(state, StoppedBy::Kms) })
    }
}

/// A KMS answered with an error that is not known here. Asking again would bring the same.
#[derive(Debug, thiserror::Error)]
#[error("it answered with the unknown error `{code}`")]
pub(crate) struct UnknownAnswer {
    pub(crate) code: String,
}

/// An error that several callers got, as the source of each one's own.
#[derive(Debug)]
struct Shared(Arc<KmsError>);

impl Shared {
    fn original(&self) -> Option<&(dyn Error + 'static)> {
        if let KmsError::Unavailable(source) | KmsError::Store(StoreError::Unavailable(source)) = &*self.0 {
            Some(source.as_ref())
        } else {
            None
        }
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.original().map_or(Ok(()), |source| fmt::Display::fmt(source, f))
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.original()?.source()
    }
}

impl KmsError {
    /// The same error for one more caller: one load answers all who wait for it.
    pub(crate) fn share(self: &Arc<Self>) -> Self {
        match &**self {
            Self::KeyDisabled { key_id } => Self::KeyDisabled { key_id: key_id.clone() },
            Self::KeyPendingDeletion { key_id, deletion_date } => {
                Self::KeyPendingDeletion { key_id: key_id.clone(), deletion_date: *deletion_date }
            }
            Self::KeyDestroyed { key_id } => Self::KeyDestroyed { key_id: key_id.clone() },
            Self::KeyNotFound { key_id } => Self::KeyNotFound { key_id: key_id.clone() },
            Self::AccessDenied { key_id, operation } => Self::AccessDenied { key_id: key_id.clone(), operation },
            Self::WrongKey { key_id } => Self::WrongKey { key_id: key_id.clone() },
            Self::WrongRootKey { key_id } => Self::WrongRootKey { key_id: key_id.clone() },
            Self::RecordForged { key_id } => Self::RecordForged { key_id: key_id.clone() },
            Self::Rejected { key_id } => Self::Rejected { key_id: key_id.clone() },
            Self::Unavailable(_) => Self::Unavailable(Box::new(Shared(Arc::clone(self)))),
            Self::Throttled { retry_after } => Self::Throttled { retry_after: *retry_after },
            Self::Busy { retry_after } => Self::Busy { retry_after: *retry_after },
            Self::Store(error) => Self::Store(match error {
                StoreError::Conflict => StoreError::Conflict,
                StoreError::Refused { what } => StoreError::Refused { what: what.clone() },
                StoreError::Unavailable(_) => StoreError::Unavailable(Box::new(Shared(Arc::clone(self)))),
                StoreError::Damaged { what } => StoreError::Damaged { what: what.clone() },
            }),
            Self::Usage { what } => Self::Usage { what: what.clone() },
            Self::Internal { what } => Self::Internal { what },
        }
    }
}

impl From<RandomError> for KmsError {
    fn from(_: RandomError) -> Self {
        Self::Internal { what: "the kernel gives random bytes" }
    }
}

impl From<crate::kdf::Broken> for KmsError {
    fn from(_: crate::kdf::Broken) -> Self {
        Self::Internal { what: "key derivation takes our lengths" }
    }
}

/// The code of a store's error, wherever it surfaces.
pub(crate) fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Conflict => "conflict",
        StoreError::Refused { .. } => "usage",
        StoreError::Unavailable(_) => "store_unavailable",
        StoreError::Damaged { .. } => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_id() -> KeyId {
        KeyId::new("k").unwrap()
    }

    #[test]
    fn each_error_has_its_code_and_only_what_may_pass_is_retryable() {
        let unavailable = || "no route".into();
        for (error, code, retryable) in [
            (KmsError::KeyDisabled { key_id: key_id() }, "key_disabled", false),
            (KmsError::KeyPendingDeletion { key_id: key_id(), deletion_date: None }, "key_pending_deletion", false),
            (KmsError::KeyDestroyed { key_id: key_id() }, "key_destroyed", false),
            (KmsError::KeyNotFound { key_id: key_id() }, "key_not_found", false),
            (KmsError::AccessDenied { key_id: key_id(), operation: "unwrap" }, "kms_access_denied", false),
            (KmsError::WrongKey { key_id: key_id() }, "kms_wrong_key", false),
            (KmsError::WrongRootKey { key_id: key_id() }, "kms_wrong_key", false),
            (KmsError::RecordForged { key_id: key_id() }, "key_record_forged", false),
            (KmsError::Rejected { key_id: key_id() }, "kms_rejected", false),
            (KmsError::Unavailable(unavailable()), "kms_unavailable", true),
            (KmsError::Throttled { retry_after: None }, "kms_throttled", true),
            (KmsError::Busy { retry_after: None }, "kms_busy", true),
            (KmsError::Store(StoreError::Conflict), "conflict", true),
            (KmsError::Store(StoreError::Unavailable(unavailable())), "store_unavailable", true),
            (KmsError::Store(StoreError::Damaged { what: String::new() }), "internal", false),
            (KmsError::Usage { what: String::new() }, "usage", false),
            (KmsError::Internal { what: "" }, "internal", false),
        ] {
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{error:?}");
            let shown = (error.to_string(), error.source().map(ToString::to_string));
            let error = Arc::new(error).share();
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{error:?}");
            assert_eq!((error.to_string(), error.source().map(ToString::to_string)), shown, "shared");
            let is_state = ["key_disabled", "key_pending_deletion", "key_destroyed"].contains(&code);
            assert_eq!(error.stopped().map(|stopped| stopped.code()), is_state.then_some(code));
            let is_denial = ["kms_access_denied", "key_not_found"].contains(&code);
            assert_eq!(error.denied().map(|stopped| stopped.code()), is_denial.then_some(code));
        }
    }
}
