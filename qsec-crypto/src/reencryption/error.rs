//! Why a re-encryption stopped.

use std::io;

use crate::error::SealError;
use crate::keyring::KeyError;

/// Why a re-encryption stopped. What was done is done, and the next one goes on behind it.
///
/// An object that does not open does not stop it: it is left as it is, and listed.
///
/// ```
/// use qsec_crypto::reencryption::ReencryptionError;
///
/// let error = ReencryptionError::Objects(std::io::Error::other("disk full"));
/// assert_eq!((error.code(), error.is_retryable()), ("objects_unavailable", true));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReencryptionError {
    /// The keyring gives no key: it is stopped, or a KMS or the store is unavailable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An object could not be sealed again.
    #[error(transparent)]
    Seal(SealError),
    /// The objects cannot be listed, read or written now.
    #[error("the objects cannot be listed, read or written")]
    Objects(#[source] io::Error),
    /// The cursor cannot be read or written now.
    #[error("the cursor cannot be read or written")]
    Cursor(#[source] io::Error),
    /// The cursor is not one of this re-encryption.
    #[error("the cursor is not one of this re-encryption: {what}")]
    CursorInvalid {
        /// What is wrong with it.
        what: String,
    },
    /// The caller asked for what cannot be.
    #[error("{what}")]
    Usage {
        /// What was wrong, and how to put it right.
        what: String,
    },
}

impl ReencryptionError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Key(error) => error.code(),
            Self::Seal(error) => error.code(),
            Self::Objects(_) => "objects_unavailable",
            Self::Cursor(_) => "cursor_unavailable",
            Self::CursorInvalid { .. } => "cursor_invalid",
            Self::Usage { .. } => "usage",
        }
    }

    /// Whether the same call may succeed later without anyone doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Key(error) => error.is_retryable(),
            Self::Objects(_) | Self::Cursor(_) => true,
            Self::Seal(_) | Self::CursorInvalid { .. } | Self::Usage { .. } => false,
        }
    }
}
