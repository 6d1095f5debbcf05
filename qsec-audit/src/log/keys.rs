//! The keys a log is handed, and who keeps its state sealed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::note::SigningKey;
use crate::wal::mac::MacKey;

/// Why a sealer did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SealerError {
    /// The bytes were not sealed by this sealer, or were changed.
    #[error("the sealed key does not open")]
    Refused,
    /// What seals cannot be reached now; the call can be repeated.
    #[error("the sealer is unavailable")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
}

impl SealerError {
    /// What seals cannot be reached now, for this reason; it must not hold a secret.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self::Unavailable(Arc::from(Box::<dyn Error + Send + Sync>::from(reason.into())))
    }

    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused => "sealed_state_refused",
            Self::Unavailable(_) => "audit_unavailable",
        }
    }
}

/// Seals the next key of the MAC chain, so that it can lie in the log folder.
///
/// # Contract
/// `seal` MUST encrypt and authenticate under a key that is not in the log folder; `open` MUST refuse what `seal` did not make. The
/// sealed bytes MUST NOT be longer than 4,096. Both are called without an async runtime and may block.
pub trait StateSealer: Send + Sync + fmt::Debug {
    /// Seals a key.
    ///
    /// # Errors
    /// [`SealerError::Unavailable`] if that is not possible now.
    fn seal(&self, key: &MacKey) -> Result<Vec<u8>, SealerError>;

    /// Opens what [`StateSealer::seal`] made.
    ///
    /// # Errors
    /// [`SealerError::Refused`] for anything else.
    fn open(&self, sealed: &[u8]) -> Result<MacKey, SealerError>;
}

/// The keys of a log: what signs its checkpoints and what seals its state.
///
/// ```
/// use qsec_audit::{LogKeys, SigningKey, danger};
///
/// let keys = LogKeys::new(SigningKey::generate()?, danger::plain_sealer());
/// assert!(format!("{keys:?}").contains("SigningKey(..)"));
/// # Ok::<(), qsec_audit::KeyError>(())
/// ```
#[derive(Debug)]
pub struct LogKeys {
    signing: SigningKey,
    sealer: Arc<dyn StateSealer>,
}

impl LogKeys {
    /// These keys.
    #[must_use]
    pub fn new(signing: SigningKey, sealer: Arc<dyn StateSealer>) -> Self {
        Self { signing, sealer }
    }

    pub(crate) const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    pub(crate) fn sealer(&self) -> &dyn StateSealer {
        self.sealer.as_ref()
    }
}

/// What must not be used outside tests and examples.
pub mod danger {
    use super::{Arc, MacKey, SealerError, StateSealer};

    /// Does not seal at all: whoever reads the folder can make MACs from the last round on.
    #[derive(Debug)]
    struct Plain;

    impl StateSealer for Plain {
        fn seal(&self, key: &MacKey) -> Result<Vec<u8>, SealerError> {
            Ok(key.expose_secret().to_vec())
        }

        fn open(&self, sealed: &[u8]) -> Result<MacKey, SealerError> {
            sealed.try_into().map(|bytes| MacKey::from_bytes(&bytes)).map_err(|_| SealerError::Refused)
        }
    }

    /// A sealer that leaves the key in the clear, for examples and tests.
    #[must_use]
    pub fn plain_sealer() -> Arc<dyn StateSealer> {
        Arc::new(Plain)
    }
}
