//! The signature algorithms of JWS that are supported.

use std::fmt;

use ring::{hmac, signature};

/// A JWS algorithm (RFC 7518 section 3, RFC 8037, RFC 9864).
///
/// `none`, ES512, ES256K and Ed448 do not exist here. [`Algorithm::EdDsa`] and [`Algorithm::Ed25519`] name the same
/// algorithm for a key, but a policy lists the spelling that it accepts in a token.
///
/// ```
/// use qsec_identity::Algorithm;
///
/// assert_eq!(Algorithm::parse("ES256"), Some(Algorithm::Es256));
/// assert_eq!(Algorithm::parse("es256"), None);
/// assert_eq!(Algorithm::parse("none"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519 under its older name.
    EdDsa,
    /// Ed25519 under its fully specified name.
    Ed25519,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256 and a salt of 32 octets.
    Ps256,
    /// RSASSA-PSS with SHA-384 and a salt of 48 octets.
    Ps384,
    /// RSASSA-PSS with SHA-512 and a salt of 64 octets.
    Ps512,
    /// HMAC with SHA-256: only where a policy says `danger`.
    Hs256,
    /// HMAC with SHA-384: only where a policy says `danger`.
    Hs384,
    /// HMAC with SHA-512: only where a policy says `danger`.
    Hs512,
}

/// The kind of key that an algorithm works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    P256,
    P384,
    Ed25519,
    Rsa,
    Hmac,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 13] = [
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Ed25519,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// The algorithm of that name, compared octet by octet.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The name in a header or key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    pub(crate) fn family(self) -> Family {
        match self {
            Self::Es256 => Family::P256,
            Self::Es384 => Family::P384,
            Self::EdDsa | Self::Ed25519 => Family::Ed25519,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => Family::Rsa,
            Self::Hs256 | Self::Hs384 | Self::Hs512 => Family::Hmac,
        }
    }

    pub(crate) fn is_symmetric(self) -> bool {
        self.family() == Family::Hmac
    }

    /// Whether both names mean one algorithm of one key.
    pub(crate) fn same_as(self, other: Self) -> bool {
        self == other || (self.family() == Family::Ed25519 && other.family() == Family::Ed25519)
    }

    /// How an EC or Ed25519 signature is verified; `None` for the other families.
    pub(crate) fn curve_verification(self) -> Option<&'static dyn signature::VerificationAlgorithm> {
        match self {
            Self::Es256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
            Self::EdDsa | Self::Ed25519 => Some(&signature::ED25519),
            Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512
            | Self::Hs256
            | Self::Hs384
            | Self::Hs512 => None,
        }
    }

    pub(crate) fn rsa_verification(self) -> Option<&'static signature::RsaParameters> {
        match self {
            Self::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::EdDsa | Self::Ed25519 | Self::Hs256 | Self::Hs384 | Self::Hs512 => None,
        }
    }

    pub(crate) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::Hs256 => Some(hmac::HMAC_SHA256),
            Self::Hs384 => Some(hmac::HMAC_SHA384),
            Self::Hs512 => Some(hmac::HMAC_SHA512),
            Self::Es256
            | Self::Es384
            | Self::EdDsa
            | Self::Ed25519
            | Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512 => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_exactly() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        }
        for name in ["none", "NONE", "", "es256", "ES512", "ES256K", "Ed448", "RSA1_5", "HS256 ", "EDDSA"] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }

    #[test]
    fn each_algorithm_has_exactly_one_way_to_be_verified() {
        for algorithm in Algorithm::ALL {
            let ways = [
                algorithm.curve_verification().is_some(),
                algorithm.rsa_verification().is_some(),
                algorithm.hmac().is_some(),
            ];
            assert_eq!(ways.into_iter().filter(|way| *way).count(), 1, "{algorithm}");
        }
    }
}
