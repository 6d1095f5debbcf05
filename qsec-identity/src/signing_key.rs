//! Private keys of ours: made, imported, and never shown by accident.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::jose::{Algorithm, VerifyingKey, base64url};

/// Why a private key was not made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// Keys for this algorithm are not made here: RSA keys are imported or held by a KMS, shared secrets do not exist.
    #[error("keys for `{0}` are not generated here")]
    NotGenerated(Algorithm),
    /// The octets are not a PKCS#8 key for the algorithm.
    #[error("the octets are not a private key for `{0}`")]
    NotAKey(Algorithm),
    /// The kernel gave no randomness: try again.
    #[error("the system has no randomness")]
    RandomnessUnavailable,
}

impl SigningKeyError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotGenerated(_) => "algorithm_not_generated",
            Self::NotAKey(_) => "signing_key_invalid",
            Self::RandomnessUnavailable => "randomness_unavailable",
        }
    }
}

/// The private part of a key as PKCS#8: erased when it goes, never shown.
///
/// ```
/// use qsec_identity::{Algorithm, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::Es256)?;
/// let to_be_wrapped: &[u8] = key.private_bytes().expose_secret();
/// assert_eq!(SigningKey::from_pkcs8(Algorithm::Es256, to_be_wrapped)?.kid(), key.kid());
/// assert_eq!(format!("{:?}", key.private_bytes()), "PrivateKeyBytes(..)");
/// # Ok::<(), qsec_identity::SigningKeyError>(())
/// ```
pub struct PrivateKeyBytes(Zeroizing<Vec<u8>>);

impl PrivateKeyBytes {
    /// The octets, to be wrapped or written to a file of mode 0600.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyBytes(..)")
    }
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// A private key and the one algorithm that it signs with. Its `kid` is the thumbprint of RFC 7638.
///
/// ```
/// use qsec_identity::{Algorithm, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::EdDsa)?;
/// assert_eq!(key.algorithm(), Algorithm::EdDsa);
/// assert_eq!(key.kid().len(), 43);
/// # Ok::<(), qsec_identity::SigningKeyError>(())
/// ```
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
    public: VerifyingKey,
    private: PrivateKeyBytes,
}

impl SigningKey {
    /// A new key for ES256, ES384 or `EdDSA`.
    ///
    /// # Errors
    /// [`SigningKeyError::NotGenerated`] for any other algorithm, [`SigningKeyError::RandomnessUnavailable`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningKeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            Algorithm::Es384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random),
            Algorithm::EdDsa | Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Hs256
            | Algorithm::Hs384
            | Algorithm::Hs512 => return Err(SigningKeyError::NotGenerated(algorithm)),
        };
        let document = document.map_err(|_| SigningKeyError::RandomnessUnavailable)?;
        Self::from_pkcs8(algorithm, document.as_ref())
    }

    /// Reads a PKCS#8 key: EC, Ed25519 (version 2, with its public key), or RSA of 2048 to 4096 bits.
    ///
    /// # Errors
    /// [`SigningKeyError::NotAKey`] if the octets are not a key for this algorithm.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, SigningKeyError> {
        let refused = || SigningKeyError::NotAKey(algorithm);
        let private = PrivateKeyBytes(Zeroizing::new(pkcs8.to_vec()));
        let (pair, public) = match algorithm {
            Algorithm::Es256 | Algorithm::Es384 => {
                let scheme = if algorithm == Algorithm::Es256 {
                    &ECDSA_P256_SHA256_FIXED_SIGNING
                } else {
                    &ECDSA_P384_SHA384_FIXED_SIGNING
                };
                let pair = EcdsaKeyPair::from_pkcs8(scheme, pkcs8, &SystemRandom::new()).map_err(|_| refused())?;
                let public = VerifyingKey::from_curve(algorithm, pair.public_key().as_ref());
                (Pair::Ecdsa(pair), public)
            }
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| refused())?;
                let public = VerifyingKey::from_curve(algorithm, pair.public_key().as_ref());
                (Pair::Ed25519(pair), public)
            }
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Hs256
            | Algorithm::Hs384
            | Algorithm::Hs512 => {
                let encoding = rsa_encoding(algorithm).ok_or_else(refused)?;
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| refused())?;
                let numbers = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                let public = VerifyingKey::from_rsa(algorithm, &numbers.n, &numbers.e).map_err(|_| refused())?;
                (Pair::Rsa(pair, encoding), public)
            }
        };
        Ok(Self { algorithm, pair, public, private })
    }

    /// The name of the key in headers and sets.
    pub fn kid(&self) -> &str {
        self.public.kid().unwrap_or_default()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public part.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The private part.
    pub fn private_bytes(&self) -> &PrivateKeyBytes {
        &self.private
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid())
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_SHA512),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::EdDsa
        | Algorithm::Ed25519
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => None,
    }
}

/// `N` random octets as base64url; `None` when the kernel has none.
pub(crate) fn random_text<const N: usize>() -> Option<String> {
    let mut octets = Zeroizing::new([0; N]);
    SystemRandom::new().fill(octets.as_mut()).ok()?;
    Some(base64url::encode(octets.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_for_elliptic_curves_only() {
        for algorithm in Algorithm::ALL {
            match SigningKey::generate(algorithm) {
                Ok(key) => {
                    let signature = key.sign(b"message").unwrap();
                    assert!(key.verifying_key().verify(algorithm, b"message", &signature), "{algorithm}");
                    assert!(!key.verifying_key().verify(algorithm, b"massage", &signature), "{algorithm}");
                }
                Err(error) => assert_eq!(error, SigningKeyError::NotGenerated(algorithm)),
            }
        }
        assert!(SigningKey::generate(Algorithm::Es384).is_ok());
        assert!(SigningKey::generate(Algorithm::Rs256).is_err());
    }

    #[test]
    fn key_of_another_algorithm_is_refused() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        for algorithm in [Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256] {
            let read = SigningKey::from_pkcs8(algorithm, key.private_bytes().expose_secret());
            assert_eq!(read.unwrap_err().code(), "signing_key_invalid");
        }
    }

    #[test]
    fn debug_form_shows_no_private_octets() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        assert!(format!("{key:?}").contains(key.kid()));
        assert!(!format!("{key:?}").contains("private"));
    }
}
