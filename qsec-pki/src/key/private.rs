use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};
use zeroize::Zeroizing;

use super::{Curve, KeyError, PublicKey};
use crate::pem;
use crate::signature::SignatureAlgorithm;

/// A private key. Erased when it goes, never printed, never copied.
///
/// The PKCS#8 bytes are erased on drop. What `ring` keeps beside them to sign with, and what it writes a fresh key into, is freed
/// without being erased: `ring` offers no way to.
///
/// ```
/// use qsec_pki::PrivateKey;
///
/// let key = PrivateKey::generate()?;
/// let again = PrivateKey::from_pkcs8(key.expose_secret())?;
/// assert_eq!(again.public_key(), key.public_key());
/// # Ok::<(), qsec_pki::KeyError>(())
/// ```
///
/// There is no second copy of a key by accident:
///
/// ```compile_fail
/// let key = qsec_pki::PrivateKey::generate().unwrap();
/// let copy = key.clone();
/// ```
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl PrivateKey {
    /// A fresh key on P-256.
    ///
    /// # Errors
    /// [`KeyError::RandomnessUnavailable`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Self::generate_on(Curve::P256)
    }

    /// A fresh key on a curve of choice.
    ///
    /// # Errors
    /// [`KeyError::RandomnessUnavailable`] if the operating system gives no random bytes.
    pub fn generate_on(curve: Curve) -> Result<Self, KeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(algorithm(curve), &SystemRandom::new())
            .map_err(|_| KeyError::RandomnessUnavailable)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// Reads a DER PKCS#8 `PrivateKeyInfo` that holds its public key too, as OpenSSL writes it.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is none, or its two halves do not belong together.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let (curve, pair) = [Curve::P256, Curve::P384]
            .into_iter()
            .find_map(|curve| Some((curve, EcdsaKeyPair::from_pkcs8(algorithm(curve), der, &random).ok()?)))
            .ok_or(KeyError::Malformed)?;
        let public = PublicKey::of_point(curve, pair.public_key().as_ref());
        Ok(Self { pkcs8: Zeroizing::new(der.to_vec()), pair, public })
    }

    /// Reads a PEM text with exactly one `PRIVATE KEY` block.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if there is another number of blocks, or the key is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let blocks = pem::parse(pem::PRIVATE_KEY, text).map_err(|_| KeyError::Malformed)?;
        let blocks: Vec<_> = blocks.into_iter().map(Zeroizing::new).collect();
        match blocks.as_slice() {
            [der] => Self::from_pkcs8(der),
            _ => Err(KeyError::Malformed),
        }
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The PKCS#8 bytes, to be wrapped and stored.
    pub fn expose_secret(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The algorithm that this key signs with.
    pub(crate) fn signature_algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::of_curve(self.public.curve())
    }

    /// An ECDSA signature over a message, DER: with SHA-256 on P-256, with SHA-384 on P-384.
    ///
    /// # Errors
    /// [`KeyError::RandomnessUnavailable`] if the operating system gives no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::RandomnessUnavailable)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

fn algorithm(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_secret() {
        let key = PrivateKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey { public: PublicKey { curve: P256, .. }, .. }");
    }

    #[test]
    fn own_public_keys_are_read_back() {
        for curve in [Curve::P256, Curve::P384] {
            let key = PrivateKey::generate_on(curve).unwrap();
            assert_eq!(PublicKey::from_spki(key.public_key().spki_der()).unwrap(), *key.public_key());
        }
    }

    #[test]
    fn every_truncation_of_a_key_is_refused() {
        let key = PrivateKey::generate().unwrap();
        for end in 0..key.expose_secret().len() {
            assert_eq!(PrivateKey::from_pkcs8(&key.expose_secret()[..end]).unwrap_err(), KeyError::Malformed);
        }
    }

    #[test]
    fn pem_holds_one_key() {
        let key = PrivateKey::generate().unwrap();
        let text = pem::encode(pem::PRIVATE_KEY, key.expose_secret());
        assert_eq!(PrivateKey::from_pem(text.as_bytes()).unwrap().public_key(), key.public_key());
        assert!(PrivateKey::from_pem(text.repeat(2).as_bytes()).is_err());
        assert!(PrivateKey::from_pem(b"").is_err());
    }
}
