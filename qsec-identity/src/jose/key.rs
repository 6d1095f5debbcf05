//! One key of a set: usable for signatures, or refused by name (RFC 7517, RFC 7518 section 6, RFC 8037).

mod rsa;

use std::fmt;

use ring::agreement;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Family};
use super::base64url;
use super::json::{self, Limits, Object};
use super::key_set::KeySetError;

/// Length of a `kid` in octets: longer than a thumbprint, a URL-like name or a certificate digest needs.
pub(crate) const MAX_KID: usize = 256;
/// Values of `key_ops`: RFC 7517 defines eight.
const MAX_KEY_OPS: usize = 16;
/// Members that only a private key has, and the one that only a symmetric key has.
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key of a set verifies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyFault {
    /// `kty` is absent, or not one of `EC`, `OKP`, `RSA`, `oct`.
    KeyType,
    /// `crv` is absent, or a curve that is not supported.
    Curve,
    /// A parameter is absent, not canonical base64url, or of the wrong length.
    Parameter,
    /// `kid` is not a string of 1 to 256 octets without control characters.
    KeyId,
    /// `use` is there and not `sig`.
    Use,
    /// `key_ops` is there and does not hold `verify`, or repeats a value.
    KeyOperations,
    /// A private member of an asymmetric key was published: the key is compromised.
    PrivateMember,
    /// `alg` is not the name of a supported signature algorithm.
    AlgorithmUnknown,
    /// `alg` does not work with this kind of key.
    AlgorithmMismatch,
    /// A symmetric key without `alg`.
    AlgorithmMissing,
    /// The coordinates are not a point of the curve.
    PointNotOnCurve,
    /// The Ed25519 key is not reduced, or of small order: signatures under it prove nothing.
    SmallOrder,
    /// The RSA modulus is even, below 2048 or above 8192 bits.
    ModulusSize,
    /// The RSA exponent is even, below 3, or of more than 33 bits.
    Exponent,
    /// The RSA modulus bears the fingerprint of CVE-2017-15361 (ROCA): its factors can be found.
    Roca,
    /// The symmetric key is shorter than the hash.
    TooShort,
}

impl KeyFault {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeyType => "key_type",
            Self::Curve => "curve",
            Self::Parameter => "parameter",
            Self::KeyId => "key_id",
            Self::Use => "use",
            Self::KeyOperations => "key_operations",
            Self::PrivateMember => "private_member",
            Self::AlgorithmUnknown => "algorithm_unknown",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::AlgorithmMissing => "algorithm_missing",
            Self::PointNotOnCurve => "point_not_on_curve",
            Self::SmallOrder => "small_order",
            Self::ModulusSize => "modulus_size",
            Self::Exponent => "exponent",
            Self::Roca => "roca",
            Self::TooShort => "too_short",
        }
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key that signatures can be verified with.
///
/// ```
/// use qsec_identity::{Algorithm, SigningKey, VerifyingKey};
///
/// let signing = SigningKey::generate(Algorithm::Es256)?;
/// let jwk = signing.verifying_key().to_jwk().expect("an asymmetric key has a public form");
/// let key = VerifyingKey::parse(&jwk)?;
/// assert_eq!(key.kid(), Some(signing.kid()));
/// assert_eq!(key.algorithm(), Some(Algorithm::Es256));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct VerifyingKey {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

enum Material {
    /// Uncompressed point, of P-256 or P-384 by the family.
    Curve(Family, Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Hmac(Zeroizing<Vec<u8>>),
}

impl VerifyingKey {
    /// Reads one JWK.
    ///
    /// # Errors
    /// [`KeySetError`] if the text is not a strict JSON object, or the key cannot verify signatures.
    pub fn parse(jwk: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let object = json::parse_object(jwk.as_ref(), Limits::TOKEN).map_err(KeySetError::syntax)?;
        Self::from_object(&object).map_err(KeySetError::Unusable)
    }

    pub(crate) fn from_object(jwk: &Object<'_>) -> Result<Self, KeyFault> {
        let kid = kid_of(jwk)?;
        for_signatures(jwk)?;
        let material = Material::from_object(jwk)?;
        let algorithm = match jwk.get("alg") {
            None => material.only_algorithm(),
            Some(name) => {
                let algorithm = name.as_str().and_then(Algorithm::parse).ok_or(KeyFault::AlgorithmUnknown)?;
                if algorithm.family() != material.family() {
                    return Err(KeyFault::AlgorithmMismatch);
                }
                Some(algorithm)
            }
        };
        if let Material::Hmac(secret) = &material {
            let hash = algorithm.and_then(Algorithm::hmac).ok_or(KeyFault::AlgorithmMissing)?;
            if secret.len() < hash.digest_algorithm().output_len() {
                return Err(KeyFault::TooShort);
            }
        }
        Ok(Self { kid, algorithm, material })
    }

    /// A public key that was just made: an uncompressed EC point or an Ed25519 public key.
    pub(crate) fn from_curve(algorithm: Algorithm, public: &[u8]) -> Self {
        let material = Material::Curve(algorithm.family(), public.to_vec());
        let mut key = Self { kid: None, algorithm: Some(algorithm), material };
        key.kid = key.thumbprint();
        key
    }

    /// A public RSA key: big-endian numbers without leading zeros.
    pub(crate) fn from_rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyFault> {
        let (modulus, exponent) = (modulus.to_vec(), exponent.to_vec());
        rsa::check(&modulus, &exponent)?;
        let mut key = Self { kid: None, algorithm: Some(algorithm), material: Material::Rsa { modulus, exponent } };
        key.kid = key.thumbprint();
        Ok(key)
    }

    /// The name that a token refers to.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm of this key, unless it is an RSA key that does not say.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// Whether the key is a shared secret.
    pub fn is_symmetric(&self) -> bool {
        matches!(self.material, Material::Hmac(_))
    }

    /// The algorithm under a policy: an RSA key that does not say takes the one RSA algorithm of the policy.
    pub(crate) fn algorithm_under(&self, permitted: &[Algorithm]) -> Option<Algorithm> {
        if self.algorithm.is_some() {
            return self.algorithm;
        }
        let mut rsa = permitted.iter().filter(|algorithm| algorithm.family() == Family::Rsa);
        match (rsa.next(), rsa.next()) {
            (Some(only), None) => Some(*only),
            (_, _) => None,
        }
    }

    /// One attempt. `algorithm` is the key's own, as [`Self::algorithm_under`] gave it.
    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Curve(_, public) => algorithm.curve_verification().is_some_and(|verification| {
                UnparsedPublicKey::new(verification, public).verify(message, signature).is_ok()
            }),
            Material::Rsa { modulus, exponent } => algorithm.rsa_verification().is_some_and(|parameters| {
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature).is_ok()
            }),
            Material::Hmac(secret) => algorithm.hmac().is_some_and(|hash| {
                let key = ring::hmac::Key::new(hash, secret);
                ring::hmac::verify(&key, message, signature).is_ok()
            }),
        }
    }

    /// The thumbprint of RFC 7638 with SHA-256, base64url; `None` for a shared secret, which must not be published even so.
    pub fn thumbprint(&self) -> Option<String> {
        let canonical = format!("{{{}}}", self.required_members()?);
        Some(base64url::encode(digest(&SHA256, canonical.as_bytes())))
    }

    /// The key as a public JWK; `None` for a shared secret.
    pub fn to_jwk(&self) -> Option<String> {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let kid = self.kid().map(|kid| format!(",\"kid\":{}", text(kid))).unwrap_or_default();
        let algorithm = self.algorithm.map(|algorithm| format!(",\"alg\":\"{algorithm}\"")).unwrap_or_default();
        Some(format!("{{{}{kid}{algorithm},\"use\":\"sig\"}}", self.required_members()?))
    }

    /// RFC 7638 section 3.2: the required members in lexicographic order, without white space.
    fn required_members(&self) -> Option<String> {
        match &self.material {
            Material::Curve(family, point) => match family {
                Family::P256 => Some(curve_members("P-256", point.get(1..33)?, point.get(33..65)?)),
                Family::P384 => Some(curve_members("P-384", point.get(1..49)?, point.get(49..97)?)),
                Family::Ed25519 => Some(format!(r#""crv":"Ed25519","kty":"OKP","x":"{}""#, base64url::encode(point))),
                Family::Rsa | Family::Hmac => None,
            },
            Material::Rsa { modulus, exponent } => Some(format!(
                r#""e":"{}","kty":"RSA","n":"{}""#,
                base64url::encode(exponent),
                base64url::encode(modulus)
            )),
            Material::Hmac(_) => None,
        }
    }
}

fn curve_members(curve: &str, x: &[u8], y: &[u8]) -> String {
    let (x, y) = (base64url::encode(x), base64url::encode(y));
    format!(r#""crv":"{curve}","kty":"EC","x":"{x}","y":"{y}""#)
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Whether a name can be a `kid` or another identifier: neither empty nor long, without control characters.
pub(crate) fn is_plain(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.bytes().any(|octet| octet.is_ascii_control())
}

/// The name of a key, whatever else is wrong with it.
pub(crate) fn kid_of(jwk: &Object<'_>) -> Result<Option<String>, KeyFault> {
    match jwk.get("kid") {
        None => Ok(None),
        Some(kid) => match kid.as_str() {
            Some(kid) if is_plain(kid, MAX_KID) => Ok(Some(kid.to_owned())),
            Some(_) | None => Err(KeyFault::KeyId),
        },
    }
}

fn for_signatures(jwk: &Object<'_>) -> Result<(), KeyFault> {
    if jwk.get("use").is_some_and(|purpose| purpose.as_str() != Some("sig")) {
        return Err(KeyFault::Use);
    }
    let Some(operations) = jwk.get("key_ops") else { return Ok(()) };
    let json::Value::Array(operations) = operations else { return Err(KeyFault::KeyOperations) };
    let mut names: Vec<&str> = operations.iter().filter_map(json::Value::as_str).collect();
    let verifies = names.contains(&"verify") && names.len() == operations.len() && names.len() <= MAX_KEY_OPS;
    names.sort_unstable();
    names.dedup();
    if verifies && names.len() == operations.len() { Ok(()) } else { Err(KeyFault::KeyOperations) }
}

impl Material {
    fn from_object(jwk: &Object<'_>) -> Result<Self, KeyFault> {
        let kty = jwk.get("kty").and_then(json::Value::as_str).ok_or(KeyFault::KeyType)?;
        if kty != "oct" && SECRET_MEMBERS.iter().any(|member| jwk.contains(member)) {
            return Err(KeyFault::PrivateMember);
        }
        match kty {
            "EC" => match curve(jwk)? {
                "P-256" => point::<32>(jwk, Family::P256, &agreement::ECDH_P256),
                "P-384" => point::<48>(jwk, Family::P384, &agreement::ECDH_P384),
                _ => Err(KeyFault::Curve),
            },
            "OKP" => match curve(jwk)? {
                "Ed25519" => edwards(jwk),
                _ => Err(KeyFault::Curve),
            },
            "RSA" => {
                let mut modulus = octets(jwk, "n")?;
                if modulus.len() > 1 && modulus.first() == Some(&0) {
                    // Some encoders write the sign octet of ASN.1; one is harmless, RFC 7518 section 6.3.1.1 warns of it.
                    modulus.remove(0);
                }
                let exponent = octets(jwk, "e")?;
                rsa::check(&modulus, &exponent)?;
                Ok(Self::Rsa { modulus, exponent })
            }
            "oct" => Ok(Self::Hmac(Zeroizing::new(octets(jwk, "k")?))),
            _ => Err(KeyFault::KeyType),
        }
    }

    fn family(&self) -> Family {
        match self {
            Self::Curve(family, _) => *family,
            Self::Rsa { .. } => Family::Rsa,
            Self::Hmac(_) => Family::Hmac,
        }
    }

    fn only_algorithm(&self) -> Option<Algorithm> {
        match self.family() {
            Family::P256 => Some(Algorithm::Es256),
            Family::P384 => Some(Algorithm::Es384),
            Family::Ed25519 => Some(Algorithm::EdDsa),
            Family::Rsa | Family::Hmac => None,
        }
    }
}

fn curve<'a>(jwk: &'a Object<'_>) -> Result<&'a str, KeyFault> {
    jwk.get("crv").and_then(json::Value::as_str).ok_or(KeyFault::Curve)
}

fn octets(jwk: &Object<'_>, member: &str) -> Result<Vec<u8>, KeyFault> {
    jwk.get(member).and_then(json::Value::as_str).and_then(base64url::decode).ok_or(KeyFault::Parameter)
}

fn point<const N: usize>(
    jwk: &Object<'_>,
    family: Family,
    curve: &'static agreement::Algorithm,
) -> Result<Material, KeyFault> {
    let x: [u8; N] = octets(jwk, "x")?.try_into().map_err(|_| KeyFault::Parameter)?;
    let y: [u8; N] = octets(jwk, "y")?.try_into().map_err(|_| KeyFault::Parameter)?;
    let mut point = vec![4];
    point.extend_from_slice(&x);
    point.extend_from_slice(&y);
    // The signature check would refuse such a key as well, but as a bad signature: whoever published it would not learn
    // that the key is at fault. Key agreement validates its peer's point before it multiplies.
    let ours = agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new());
    let peer = agreement::UnparsedPublicKey::new(curve, &point);
    let on_curve = ours.and_then(|ours| agreement::agree_ephemeral(ours, &peer, |_| ()));
    on_curve.map_err(|_| KeyFault::PointNotOnCurve)?;
    Ok(Material::Curve(family, point))
}

/// Encodings of y (sign bit cleared) of the points of order 1, 2, 4 and 8: a signature under such a key verifies for
/// messages that nobody signed.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = FIELD;
        minus_one[0] = 0xec;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// 2^255 - 19, little endian.
const FIELD: [u8; 32] = {
    let mut field = [0xff; 32];
    field[0] = 0xed;
    field[31] = 0x7f;
    field
};

fn edwards(jwk: &Object<'_>) -> Result<Material, KeyFault> {
    let public: [u8; 32] = octets(jwk, "x")?.try_into().map_err(|_| KeyFault::Parameter)?;
    let mut y = public;
    let [.., sign] = &mut y;
    *sign &= 0x7f;
    if !y.iter().rev().lt(FIELD.iter().rev()) || SMALL_ORDER.contains(&y) {
        return Err(KeyFault::SmallOrder);
    }
    Ok(Material::Curve(Family::Ed25519, public.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(jwk: &str) -> KeyFault {
        match VerifyingKey::parse(jwk) {
            Err(KeySetError::Unusable(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

    #[test]
    fn thumbprint_is_that_of_rfc_7638() {
        let jwk = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
        let key = VerifyingKey::parse(jwk).unwrap();
        assert_eq!(key.thumbprint().unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn published_form_reads_back_and_holds_no_private_member() {
        let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}","kid":"a\"b"}}"#);
        let key = VerifyingKey::parse(&jwk).unwrap();
        let public = key.to_jwk().unwrap();
        let again = VerifyingKey::parse(&public).unwrap();
        assert_eq!((again.kid(), again.thumbprint()), (Some("a\"b"), key.thumbprint()));
        let value: serde_json::Value = serde_json::from_str(&public).unwrap();
        assert!(SECRET_MEMBERS.iter().all(|member| value.get(member).is_none()));
    }

    #[test]
    fn each_way_to_be_unusable_has_its_name() {
        let ec = |members: &str| format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{members}}}"#);
        assert!(VerifyingKey::parse(ec("")).is_ok());
        assert!(VerifyingKey::parse(ec(r#","use":"sig","key_ops":["verify","sign"],"alg":"ES256""#)).is_ok());
        assert_eq!(fault("{}"), KeyFault::KeyType);
        assert_eq!(fault(r#"{"kty":"ec"}"#), KeyFault::KeyType);
        assert_eq!(fault(r#"{"kty":"EC","crv":"P-521"}"#), KeyFault::Curve);
        assert_eq!(fault(&ec(r#","use":"enc""#)), KeyFault::Use);
        assert_eq!(fault(&ec(r#","use":null"#)), KeyFault::Use);
        assert_eq!(fault(&ec(r#","key_ops":["sign"]"#)), KeyFault::KeyOperations);
        assert_eq!(fault(&ec(r#","key_ops":["verify","verify"]"#)), KeyFault::KeyOperations);
        assert_eq!(fault(&ec(r#","d":"AA""#)), KeyFault::PrivateMember);
        assert_eq!(fault(&ec(r#","d":null"#)), KeyFault::PrivateMember);
        assert_eq!(fault(&ec(r#","alg":"ES384""#)), KeyFault::AlgorithmMismatch);
        assert_eq!(fault(&ec(r#","alg":"ES521""#)), KeyFault::AlgorithmUnknown);
        assert_eq!(fault(&ec(r#","kid":7"#)), KeyFault::KeyId);
        assert_eq!(fault(&ec(r#","kid":"a\n""#)), KeyFault::KeyId);
        let swapped = format!(r#"{{"kty":"EC","crv":"P-256","x":"{Y}","y":"{X}"}}"#);
        assert_eq!(fault(&swapped), KeyFault::PointNotOnCurve);
        let short = format!(r#"{{"kty":"EC","crv":"P-256","x":"AAAA","y":"{Y}"}}"#);
        assert_eq!(fault(&short), KeyFault::Parameter);
        assert_eq!(fault(r#"{"kty":"oct","k":"AAAA"}"#), KeyFault::AlgorithmMissing);
        assert_eq!(fault(r#"{"kty":"oct","k":"AAAA","alg":"HS256"}"#), KeyFault::TooShort);
    }

    #[test]
    fn ed25519_keys_of_small_order_or_not_reduced_are_refused() {
        let okp = |public: &[u8]| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, base64url::encode(public));
        for mut y in SMALL_ORDER {
            assert_eq!(fault(&okp(&y)), KeyFault::SmallOrder);
            y[31] |= 0x80;
            assert_eq!(fault(&okp(&y)), KeyFault::SmallOrder);
        }
        assert_eq!(fault(&okp(&FIELD)), KeyFault::SmallOrder);
        assert_eq!(fault(&okp(&[0xff; 32])), KeyFault::SmallOrder);
        assert_eq!(fault(&okp(&[9; 31])), KeyFault::Parameter);
        // The public key of RFC 8032 section 7.1, test 1.
        assert!(
            VerifyingKey::parse(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)
                .is_ok()
        );
    }
}
