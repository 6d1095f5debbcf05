//! Keys that sign and verify notes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::is_key_name;
use crate::merkle::sha256;

/// Type byte of Ed25519 in C2SP signed-note.
const ED25519_TYPE: u8 = 0x01;

/// Why bytes or a line are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not an Ed25519 private key in PKCS#8.
    #[error("not an Ed25519 private key in PKCS#8")]
    Pkcs8,
    /// Not a verifier key line `name+id+base64`.
    #[error("not a verifier key line")]
    VerifierKey,
    /// The kernel gave no random bytes.
    #[error("the kernel gave no random bytes")]
    Random,
}

impl KeyError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Pkcs8 => "signing_key_malformed",
            Self::VerifierKey => "verifier_key_malformed",
            Self::Random => "random_unavailable",
        }
    }
}

/// The Ed25519 key of a node; it signs the checkpoints of all its trees.
///
/// Its bytes are zeroized when it goes; it is neither shown nor copied.
///
/// ```
/// use qsec_audit::SigningKey;
///
/// let key = SigningKey::generate()?;
/// assert_eq!(format!("{key:?}"), "SigningKey(..)");
/// assert!(key.verifier_key("qsec.example/n1/acme").to_string().starts_with("qsec.example/n1/acme+"));
/// # Ok::<(), qsec_audit::KeyError>(())
/// ```
pub struct SigningKey {
    seed: Box<Zeroizing<[u8; 32]>>,
    public: [u8; 32],
}

impl SigningKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`KeyError::Random`] if the kernel gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Box::new(Zeroizing::new([0; 32]));
        ring::rand::SecureRandom::fill(&SystemRandom::new(), seed.as_mut_slice()).map_err(|_| KeyError::Random)?;
        Self::from_boxed(seed)
    }

    /// The key of a 32-byte seed (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// None for any seed; the signature keeps room for keys that are held elsewhere.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let mut held = Box::new(Zeroizing::new([0; 32]));
        held.copy_from_slice(seed);
        Self::from_boxed(held)
    }

    /// The key of a PKCS#8 document (RFC 8410), version 1 or 2.
    ///
    /// # Errors
    /// [`KeyError::Pkcs8`] if it is not an Ed25519 key.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, KeyError> {
        /// RFC 8410 section 7: version, algorithm 1.3.101.112, and the seed as an OCTET STRING in an OCTET STRING.
        const BEFORE_SEED: [&[u8]; 2] = [
            b"\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
            b"\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
        ];
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map_err(|_| KeyError::Pkcs8)?;
        let inner = document.get(2..).ok_or(KeyError::Pkcs8)?;
        let seed =
            BEFORE_SEED.iter().find_map(|before| inner.strip_prefix(*before)).and_then(<[u8]>::first_chunk::<32>);
        Self::from_seed(seed.ok_or(KeyError::Pkcs8)?)
    }

    fn from_boxed(seed: Box<Zeroizing<[u8; 32]>>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyError::Pkcs8)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Pkcs8)?;
        Ok(Self { seed, public })
    }

    /// The verifier key for notes that this key signs under `name`: the origin of a tree.
    #[must_use]
    pub fn verifier_key(&self, name: &str) -> VerifierKey {
        VerifierKey::new(name, self.public)
    }

    /// The 32-byte seed, to be wrapped.
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Signs a note text under `name`; the answer is its signature line.
    pub(crate) fn sign(&self, name: &str, text: &str) -> Result<String, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.seed.as_slice()).map_err(|_| KeyError::Pkcs8)?;
        let mut bytes = self.verifier_key(name).id().to_vec();
        bytes.extend_from_slice(pair.sign(text.as_bytes()).as_ref());
        Ok(format!("\u{2014} {name} {}\n", STANDARD.encode(bytes)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// What verifies notes of one name: the line `name+id+base64` (C2SP signed-note, "vkey").
///
/// ```
/// use qsec_audit::VerifierKey;
///
/// let line = "qsec.example/n1/acme+cbb89b36+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
/// let key = VerifierKey::parse(line)?;
/// assert_eq!(key.name(), "qsec.example/n1/acme");
/// assert_eq!(key.to_string(), line);
/// # Ok::<(), qsec_audit::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifierKey {
    fn new(name: &str, public: [u8; 32]) -> Self {
        let digest = sha256(&[name.as_bytes(), b"\n", &[ED25519_TYPE], &public]);
        let id = digest.first_chunk::<4>().copied().unwrap_or_default();
        Self { name: name.to_owned(), id, public }
    }

    /// Reads a verifier key line, without newline.
    ///
    /// # Errors
    /// [`KeyError::VerifierKey`] if it is not `name+id+base64` of an Ed25519 key, or its id is not the one of name and key.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        let refused = KeyError::VerifierKey;
        let (name, rest) = line.split_once('+').ok_or(refused)?;
        let (id, encoded) = rest.split_once('+').ok_or(refused)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| refused)?;
        let (ED25519_TYPE, public) = bytes.split_first().map(|(kind, rest)| (*kind, rest)).ok_or(refused)? else {
            return Err(refused);
        };
        let key = Self::new(name, public.try_into().map_err(|_| refused)?);
        if is_key_name(name) && id == key.hex_id() { Ok(key) } else { Err(refused) }
    }

    /// The name of the key: the origin of the tree it verifies.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of `H(name || 0x0A || 0x01 || public key)`.
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The same key under the name of another tree: one key signs all trees of a node.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self::new(name, self.public)
    }

    fn hex_id(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id))
    }

    pub(crate) fn accepts(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(text, signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519_TYPE];
        bytes.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, self.hex_id(), STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pkcs8_and_seed_give_the_same_key() {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = SigningKey::from_pkcs8(document.as_ref()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        assert_eq!(key.public, pair.public_key().as_ref());
        assert_eq!(SigningKey::from_seed(key.expose_secret()).unwrap().public, key.public);
        assert_eq!(SigningKey::from_pkcs8(&document.as_ref()[1..]).unwrap_err().code(), "signing_key_malformed");
    }

    #[test]
    fn verifier_key_line_with_another_id_name_or_type_is_refused() {
        let line = "qsec.example/n1/acme+cbb89b36+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
        for bad in [
            line.replace("cbb89b36", "cbb89b37"),
            line.replace("cbb89b36", "CBB89B36"),
            line.replace("acme", "acm"),
            line.replace("+AQ", "+BA"),
            line.replace("TG4", "TG5"),
            format!("{line}\n"),
            String::from("a+b"),
        ] {
            assert_eq!(VerifierKey::parse(&bad).unwrap_err().code(), "verifier_key_malformed", "{bad}");
        }
    }
}
