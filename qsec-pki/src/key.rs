//! Keys of authorities and members: ECDSA on P-256 (the default) or P-384.

mod field;
mod private;
mod public;

pub use private::PrivateKey;
pub use public::{Curve, PublicKey};
pub(crate) use public::{KeyRefusal, sha256};

/// Why a key was refused, or not made.
///
/// ```
/// use qsec_pki::PrivateKey;
///
/// assert_eq!(PrivateKey::from_pkcs8(b"not a key").unwrap_err().code(), "key_malformed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key is of another kind than P-256 and P-384, or its point is not on the curve.
    #[error("key is not a point on P-256 or P-384 in the uncompressed form")]
    NotAllowed,
    /// The bytes are not a key.
    #[error("bytes are not a key in strict DER")]
    Malformed,
    /// The operating system gave no random bytes; the call can be repeated.
    #[error("the operating system gave no random bytes")]
    RandomnessUnavailable,
}

impl KeyError {
    /// The stable code: `key_not_allowed`, `key_malformed`, `randomness_unavailable`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed => "key_not_allowed",
            Self::Malformed => "key_malformed",
            Self::RandomnessUnavailable => "randomness_unavailable",
        }
    }
}
