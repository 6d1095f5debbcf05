//! A JWK Set: read whole, refused whole or usable key by key (RFC 7517 section 5).

use std::fmt;
use std::sync::Arc;

use super::algorithm::Algorithm;
use super::json::{self, JsonError, Limits, Object, Value};
use super::key::{KeyFault, MAX_KID, VerifyingKey, is_plain, kid_of};
use crate::rejection::Reason;

/// Keys in a set: a provider that rotates has 2 or 3, the largest published sets about 20.
pub(crate) const MAX_KEYS: usize = 64;
/// Bytes of a set: 64 RSA keys of 8192 bits with a certificate each.
pub(crate) const MAX_KEY_SET_BYTES: usize = 256 * 1024;
/// Values in a set: 64 keys with 16 members, and certificate chains.
const LIMITS: Limits = Limits { depth: json::MAX_DEPTH, values: 4096 };

/// Why a key set, or a single key, was refused. Code: `keyset_invalid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// More than 256 KiB.
    #[error("the key set has more than {MAX_KEY_SET_BYTES} bytes")]
    TooLarge,
    /// Not strict JSON.
    #[error("the key set cannot be read: {what}")]
    Json {
        /// What is wrong, and at which byte.
        what: String,
    },
    /// Not an object with an array `keys` of objects.
    #[error("the key set is not an object with an array `keys` of objects")]
    Shape,
    /// More than 64 keys.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// Two keys meant for signatures share a `kid`: which one is meant would depend on the reader.
    #[error("two keys share the kid `{kid}`")]
    DuplicateKid {
        /// The shared name.
        kid: String,
    },
    /// Usable symmetric and usable asymmetric keys side by side.
    #[error("symmetric and asymmetric keys stand side by side")]
    MixedKeys,
    /// A single key that cannot be used.
    #[error("the key cannot be used: {0}")]
    Unusable(KeyFault),
}

impl KeySetError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        "keyset_invalid"
    }

    pub(crate) fn syntax(error: JsonError) -> Self {
        Self::Json { what: error.to_string() }
    }
}

/// A key that stays in its set as a refusal, so that a token that names it is told apart from one that names nothing.
#[derive(Debug)]
pub struct UnusableKey {
    kid: Option<String>,
    fault: KeyFault,
    meant_for_signatures: bool,
}

impl UnusableKey {
    /// The name of the key, if it has one that can be shown.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What is wrong with it.
    pub fn why(&self) -> KeyFault {
        self.fault
    }
}

/// The keys of one issuer.
///
/// ```
/// use qsec_identity::{Algorithm, KeySet, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::Es256)?;
/// let set = KeySet::of([key.verifying_key()])?;
/// let again = KeySet::parse(set.to_json())?;
/// assert_eq!(again.usable().next().and_then(|key| key.kid()), Some(key.kid()));
///
/// assert!(KeySet::parse(r#"{"keys":[],"keys":[]}"#).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeySet {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    usable: Vec<VerifyingKey>,
    unusable: Vec<UnusableKey>,
}

impl KeySet {
    /// Reads a JWK Set. Unknown members are ignored; a key that is unusable by itself stays as a refusal.
    ///
    /// # Errors
    /// [`KeySetError`] when the set as a whole cannot be trusted to mean one thing.
    pub fn parse(json: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let text = json.as_ref();
        if text.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let set = json::parse_object(text, LIMITS).map_err(KeySetError::syntax)?;
        Self::from_object(&set)
    }

    pub(crate) fn from_object(set: &Object<'_>) -> Result<Self, KeySetError> {
        let Some(Value::Array(keys)) = set.get("keys") else { return Err(KeySetError::Shape) };
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut inner = Inner::default();
        for key in keys {
            let Value::Object(key) = key else { return Err(KeySetError::Shape) };
            match VerifyingKey::from_object(key) {
                Ok(key) => inner.usable.push(key),
                Err(fault) => inner.unusable.push(UnusableKey {
                    kid: kid_of(key).ok().flatten(),
                    fault,
                    meant_for_signatures: key.get("use").is_none_or(|purpose| purpose.as_str() == Some("sig")),
                }),
            }
        }
        Self::checked(inner)
    }

    /// A set of keys that are at hand.
    ///
    /// # Errors
    /// [`KeySetError`] when two keys share a `kid`, or a shared secret stands among public keys.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> Result<Self, KeySetError> {
        let members: Vec<String> =
            keys.into_iter().map(VerifyingKey::to_jwk).collect::<Option<_>>().ok_or(KeySetError::MixedKeys)?;
        Self::parse(format!("{{\"keys\":[{}]}}", members.join(",")))
    }

    fn checked(inner: Inner) -> Result<Self, KeySetError> {
        let signing = inner.unusable.iter().filter(|key| key.meant_for_signatures).filter_map(UnusableKey::kid);
        let mut kids: Vec<&str> = inner.usable.iter().filter_map(VerifyingKey::kid).chain(signing).collect();
        kids.sort_unstable();
        if let Some([kid, _]) = kids.windows(2).find(|pair| matches!(pair, [first, second] if first == second)) {
            return Err(KeySetError::DuplicateKid { kid: (*kid).to_owned() });
        }
        let symmetric = inner.usable.iter().filter(|key| key.is_symmetric()).count();
        if symmetric != 0 && symmetric != inner.usable.len() {
            return Err(KeySetError::MixedKeys);
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The keys that can verify signatures, in the order of the set.
    pub fn usable(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.inner.usable.iter()
    }

    /// The keys that cannot, each with its reason.
    pub fn unusable(&self) -> impl Iterator<Item = &UnusableKey> {
        self.inner.unusable.iter()
    }

    /// The public JWK Set: shared secrets and unusable keys are left out.
    pub fn to_json(&self) -> String {
        let keys: Vec<String> = self.usable().filter_map(VerifyingKey::to_jwk).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    /// The one key that a token may be verified with, or why there is none. No second key is ever tried.
    pub(crate) fn select(
        &self,
        kid: Option<&str>,
        kid_required: bool,
        algorithm: Algorithm,
        permitted: &[Algorithm],
    ) -> Result<(&VerifyingKey, Algorithm), Reason> {
        let Some(kid) = kid else {
            return if kid_required { Err(Reason::KidMissing) } else { self.only(algorithm, permitted) };
        };
        if !is_plain(kid, MAX_KID) {
            return Err(Reason::KidInvalid);
        }
        let Some(key) = self.usable().find(|key| key.kid() == Some(kid)) else {
            let refused = self.unusable().any(|key| key.kid() == Some(kid));
            return Err(if refused { Reason::KeyUnusable } else { Reason::UnknownKey });
        };
        let of_key = key.algorithm_under(permitted).ok_or(Reason::KeyUnusable)?;
        if of_key.same_as(algorithm) { Ok((key, of_key)) } else { Err(Reason::AlgMismatch) }
    }

    fn only(&self, algorithm: Algorithm, permitted: &[Algorithm]) -> Result<(&VerifyingKey, Algorithm), Reason> {
        let mut fitting = self.usable().filter_map(|key| {
            key.algorithm_under(permitted).filter(|of_key| of_key.same_as(algorithm)).map(|of_key| (key, of_key))
        });
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(Reason::UnknownKey),
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(Reason::KidMissing),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("usable", &self.inner.usable).field("unusable", &self.inner.unusable).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    fn jwk(kid: &str, extra: &str) -> String {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let jwk = key.verifying_key().to_jwk().unwrap();
        jwk.replace(key.kid(), kid).replace(",\"use\":\"sig\"}", &format!("{extra}}}"))
    }

    fn set(keys: &[String]) -> Result<KeySet, KeySetError> {
        KeySet::parse(format!("{{\"keys\":[{}],\"other\":true}}", keys.join(",")))
    }

    const SECRET: &str = r#"{"kty":"oct","alg":"HS256","kid":"h","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;

    #[test]
    fn set_is_an_object_with_an_array_of_objects() {
        for text in [
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[1]}"#,
            r#"{"keys":null}"#,
            r#"{"keys":[]}x"#,
            "\u{feff}{\"keys\":[]}",
        ] {
            assert!(KeySet::parse(text).is_err(), "{text}");
        }
        assert_eq!(KeySet::parse(r#"{"keys":[]}"#).unwrap().usable().count(), 0);
    }

    #[test]
    fn shared_kid_is_refused_whether_the_keys_are_usable_or_not() {
        let duplicate = Some("keyset_invalid");
        let code = |keys: &[String]| set(keys).err().map(|error| error.code());
        assert_eq!(code(&[jwk("a", ""), jwk("a", "")]), duplicate);
        assert_eq!(code(&[jwk("a", ""), jwk("a", ",\"use\":\"sig\",\"key_ops\":[]")]), duplicate);
        assert_eq!(code(&[jwk("a", ",\"d\":\"AA\""), jwk("a", ",\"d\":\"AA\"")]), duplicate);
        assert_eq!(code(&[jwk("a", ""), jwk("b", "")]), None);
    }

    #[test]
    fn key_of_another_use_never_hides_a_signing_key() {
        let set = set(&[jwk("a", ",\"use\":\"enc\""), jwk("a", "")]).unwrap();
        assert!(set.select(Some("a"), true, Algorithm::Es256, &[]).is_ok());
    }

    #[test]
    fn symmetric_and_asymmetric_keys_do_not_mix_when_both_are_usable() {
        assert_eq!(set(&[jwk("a", ""), SECRET.to_owned()]).unwrap_err(), KeySetError::MixedKeys);
        assert!(set(&[jwk("a", ",\"use\":\"enc\""), SECRET.to_owned()]).is_ok());
        assert!(set(&[jwk("a", ""), SECRET.replace("HS256", "A256KW")]).is_ok());
    }

    #[test]
    fn size_and_number_of_keys_are_bounded() {
        let many: Vec<String> = (0..=MAX_KEYS).map(|n| format!("{{\"kid\":\"{n}\"}}")).collect();
        assert_eq!(set(&many).unwrap_err(), KeySetError::TooManyKeys);
        assert!(set(&many[1..]).is_ok());
        let large = format!("{{\"keys\":[]{}}}", " ".repeat(MAX_KEY_SET_BYTES));
        assert_eq!(KeySet::parse(large).unwrap_err(), KeySetError::TooLarge);
    }

    #[test]
    fn kid_selects_exactly_one_key_or_says_why_not() {
        let set = set(&[jwk("a", ""), jwk("b", ",\"use\":\"enc\""), jwk("c", "")]).unwrap();
        let select = |kid, required| set.select(kid, required, Algorithm::Es256, &[]).map(|(key, _)| key.kid());
        assert_eq!(select(Some("a"), true), Ok(Some("a")));
        assert_eq!(select(Some("b"), true), Err(Reason::KeyUnusable));
        assert_eq!(select(Some("A"), true), Err(Reason::UnknownKey));
        assert_eq!(select(Some(""), true), Err(Reason::KidInvalid));
        assert_eq!(select(Some("a\n"), true), Err(Reason::KidInvalid));
        let long = "a".repeat(257);
        assert_eq!(select(Some(&long), true), Err(Reason::KidInvalid));
        assert_eq!(select(None, true), Err(Reason::KidMissing));
        assert_eq!(select(None, false), Err(Reason::KidMissing));
        assert_eq!(set.select(Some("a"), true, Algorithm::EdDsa, &[]).unwrap_err(), Reason::AlgMismatch);
        assert_eq!(set.select(None, false, Algorithm::EdDsa, &[]).unwrap_err(), Reason::UnknownKey);
    }

    #[test]
    fn neither_text_nor_debug_form_shows_a_shared_secret() {
        let set = set(&[SECRET.to_owned()]).unwrap();
        assert_eq!(set.to_json(), r#"{"keys":[]}"#);
        let shown = format!("{set:?}");
        assert!(!shown.contains("AAEC") && !shown.contains("[0, 1, 2"), "{shown}");
    }
}
