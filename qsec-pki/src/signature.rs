//! ECDSA signatures, by the two algorithms that a zone knows.

use ring::digest;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, UnparsedPublicKey,
};

use crate::key::{Curve, PublicKey};

/// How certificates, requests and revocation lists are signed.
///
/// ```
/// use qsec_pki::SignatureAlgorithm;
///
/// assert_eq!(SignatureAlgorithm::EcdsaSha256.as_str(), "ecdsa-with-SHA256");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA over SHA-256: what P-256 keys sign with.
    EcdsaSha256,
    /// ECDSA over SHA-384: what P-384 keys sign with.
    EcdsaSha384,
}

/// `AlgorithmIdentifier` with absent parameters (RFC 5758 section 3.2).
const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];

impl SignatureAlgorithm {
    /// The name by RFC 5758.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
        }
    }

    pub(crate) fn of_curve(curve: Curve) -> Self {
        match curve {
            Curve::P256 => Self::EcdsaSha256,
            Curve::P384 => Self::EcdsaSha384,
        }
    }

    /// The DER `AlgorithmIdentifier`.
    pub(crate) fn encoded(self) -> &'static [u8] {
        match self {
            Self::EcdsaSha256 => ECDSA_SHA256,
            Self::EcdsaSha384 => ECDSA_SHA384,
        }
    }

    /// The algorithm of a DER `AlgorithmIdentifier`: these two encodings, nothing else.
    pub(crate) fn from_encoded(identifier: &[u8]) -> Option<Self> {
        [Self::EcdsaSha256, Self::EcdsaSha384].into_iter().find(|known| known.encoded() == identifier)
    }

    /// The digest of a message, for a signer that takes digests.
    pub(crate) fn digest(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::EcdsaSha256 => &digest::SHA256,
            Self::EcdsaSha384 => &digest::SHA384,
        };
        digest::digest(algorithm, message).as_ref().to_vec()
    }

    /// Whether `signature`, DER, is that of `key` over `message`.
    pub(crate) fn verifies(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        let algorithm = match (key.curve(), self) {
            (Curve::P256, Self::EcdsaSha256) => &ECDSA_P256_SHA256_ASN1,
            (Curve::P256, Self::EcdsaSha384) => &ECDSA_P256_SHA384_ASN1,
            (Curve::P384, Self::EcdsaSha256) => &ECDSA_P384_SHA256_ASN1,
            (Curve::P384, Self::EcdsaSha384) => &ECDSA_P384_SHA384_ASN1,
        };
        UnparsedPublicKey::new(algorithm, key.point()).verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;
    use crate::der::{Writer, check_encoding};

    #[test]
    fn identifiers_are_what_the_writer_writes() {
        // The arcs of ecdsa-with-SHA256 and ecdsa-with-SHA384 below 1.2.840.10045.4.3.
        for (algorithm, arc) in [(SignatureAlgorithm::EcdsaSha256, 2), (SignatureAlgorithm::EcdsaSha384, 3)] {
            let mut writer = Writer::new();
            writer.sequence(|w| w.oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, arc]));
            assert_eq!(writer.into_vec(), algorithm.encoded());
            assert!(check_encoding(algorithm.encoded()).is_ok());
            assert_eq!(SignatureAlgorithm::from_encoded(algorithm.encoded()), Some(algorithm));
        }
    }

    #[test]
    fn signature_is_bound_to_key_message_and_algorithm() {
        for curve in [Curve::P256, Curve::P384] {
            let (key, other) = (PrivateKey::generate_on(curve).unwrap(), PrivateKey::generate_on(curve).unwrap());
            let algorithm = key.signature_algorithm();
            let signature = key.sign(b"message").unwrap();
            assert!(algorithm.verifies(key.public_key(), b"message", &signature));
            assert!(!algorithm.verifies(key.public_key(), b"massage", &signature));
            assert!(!algorithm.verifies(other.public_key(), b"message", &signature));
            let another =
                if curve == Curve::P256 { SignatureAlgorithm::EcdsaSha384 } else { SignatureAlgorithm::EcdsaSha256 };
            assert!(!another.verifies(key.public_key(), b"message", &signature));
        }
    }
}
