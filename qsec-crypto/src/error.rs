//! Why bytes were not sealed or not opened.

use std::io;

use crate::context::ContextError;
use crate::kdf::Broken;
use crate::secret::RandomError;
use crate::stopped::Stopped;

/// Why bytes were not sealed.
///
/// ```
/// use qsec_crypto::{Context, RawKey, SecretKey};
///
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let error = key.seal(b"x", &Context::from([("", "no key")])).unwrap_err();
/// assert_eq!((error.code(), error.is_retryable()), ("context_invalid", false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The context given is none.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The message is longer than the format allows.
    #[error("a sealed message has at most {limit} bytes")]
    MessageTooLong {
        /// The most bytes that can be sealed at once.
        limit: u64,
    },
    /// The message is longer than the compact format allows; the default format takes it.
    #[error("a compact sealed message has at most {limit} bytes; the default format takes longer ones")]
    TooLargeForCompact {
        /// The most bytes that can be sealed so.
        limit: u64,
    },
    /// The key must not be used now.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A newer version of the key seals now; this one only opens.
    #[error("key version {version} is retired and only opens; ask the keyring for the current one")]
    Retired {
        /// The version that was used.
        version: u32,
    },
    /// A message of the AWS Encryption SDK has no data key, or more than it may hold.
    #[error("a message holds 1 to {limit} data keys, this one would hold {count}")]
    DataKeys {
        /// How many it would hold.
        count: usize,
        /// How many it may hold.
        limit: usize,
    },
    /// A wrapped data key is longer than a KMS makes it.
    #[error("a wrapped data key has at most {limit} bytes, this one has {bytes}")]
    DataKeyTooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The most bytes it may have.
        limit: usize,
    },
    /// The sealed bytes cannot be written.
    #[error("cannot write the sealed bytes")]
    Write(#[source] io::Error),
    /// The kernel gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Our own invariant broke.
    #[error("an invariant of sealing does not hold")]
    Internal,
}

impl SealError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Context(error) => error.code(),
            Self::MessageTooLong { .. } => "message_too_long",
            Self::TooLargeForCompact { .. } => "too_large_for_compact",
            Self::Stopped(stopped) => stopped.code(),
            Self::Retired { .. } | Self::DataKeys { .. } | Self::DataKeyTooLong { .. } => "usage",
            Self::Write(_) => "write_failed",
            Self::Random(error) => error.code(),
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without anyone doing anything: never, for sealing asks nobody.
    pub fn is_retryable(&self) -> bool {
        false
    }
}

impl From<Broken> for SealError {
    fn from(_: Broken) -> Self {
        Self::Internal
    }
}

/// Why bytes were not opened.
///
/// Whatever fails in the cryptography is [`OpenError::NotOpened`], which holds nothing: which check failed would help
/// the one who forged the bytes. The exact reason goes to the [`Observer`](crate::Observer) only.
///
/// ```
/// use qsec_crypto::{Context, OpenError, RawKey, SecretKey};
///
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let mut sealed = key.seal(b"4,200 EUR", &Context::empty())?;
/// sealed[70] ^= 1;
/// assert!(matches!(key.open(&sealed, &Context::empty()), Err(OpenError::NotOpened)));
/// assert_eq!(key.open(b"plain text", &Context::empty()).unwrap_err().code(), "malformed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Key, tenant, purpose, context, order, end or any bit is not what was sealed.
    #[error("these bytes do not open with this key, tenant and context")]
    NotOpened,
    /// The bytes cannot be a sealed object.
    #[error("not a sealed object: at byte {offset}, {expected} was expected")]
    Malformed {
        /// Where the first wrong byte is, or should be.
        offset: u64,
        /// What should be there.
        expected: &'static str,
    },
    /// The bytes are of a format or suite that is refused.
    #[error("sealed with `{suite}`, which is not opened here")]
    UnsupportedSuite {
        /// The format or suite.
        suite: &'static str,
    },
    /// The message announces more than is taken from a stranger.
    #[error("a message with more than {limit} {what} is not opened here")]
    BudgetExceeded {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// The context given is none.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The key must not be used now.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The sealed bytes cannot be read.
    #[error("cannot read the sealed bytes")]
    Read(#[source] io::Error),
    /// Our own invariant broke.
    #[error("an invariant of opening does not hold")]
    Internal,
}

impl OpenError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOpened => "not_opened",
            Self::Malformed { .. } => "malformed",
            Self::UnsupportedSuite { .. } => "unsupported_suite",
            Self::BudgetExceeded { .. } => "budget_exceeded",
            Self::Context(error) => error.code(),
            Self::Stopped(stopped) => stopped.code(),
            Self::Read(_) => "read_failed",
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without anyone doing anything: never, for opening asks nobody.
    pub fn is_retryable(&self) -> bool {
        false
    }
}

#[cfg(feature = "esdk")]
impl OpenError {
    pub(crate) fn budget(what: &'static str, limit: impl TryInto<u64>) -> Self {
        Self::BudgetExceeded { what, limit: limit.try_into().unwrap_or(u64::MAX) }
    }
}

impl From<Broken> for OpenError {
    fn from(_: Broken) -> Self {
        Self::Internal
    }
}

impl From<OpenError> for io::Error {
    /// An error of the input stays what it was; every other is of kind `InvalidData` and holds the [`OpenError`].
    fn from(error: OpenError) -> Self {
        if let OpenError::Read(error) = error { error } else { Self::new(io::ErrorKind::InvalidData, error) }
    }
}

impl From<SealError> for io::Error {
    /// An error of the output stays what it was; every other is of kind `Other` and holds the [`SealError`].
    fn from(error: SealError) -> Self {
        if let SealError::Write(error) = error { error } else { Self::other(error) }
    }
}
