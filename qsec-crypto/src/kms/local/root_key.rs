//! The root key of the internal KMS, and where it comes from.

use std::fmt;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::key_file::{self, Access, KeyFileError};
use crate::secret::{RandomError, Secret, SecretKey, random};

/// Memory of Argon2id in KiB: 64 MiB, the second choice of RFC 9106 section 4.
const MEMORY_KIB: u32 = 65_536;
/// Passes of Argon2id, as that choice says.
const PASSES: u32 = 3;
/// Lanes of Argon2id: one, so that a small machine derives as fast as its memory.
const LANES: u32 = 1;
/// Most memory that stored parameters may ask for: 1 GiB, so that whoever writes them cannot exhaust the machine.
const MAX_MEMORY_KIB: u32 = 1_048_576;
/// Most passes that stored parameters may ask for.
const MAX_PASSES: u32 = 16;
/// Most bytes of written parameters.
const MAX_PARAMETERS_BYTES: usize = 128;

/// The root key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootKeyError {
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The passphrase is empty.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The text is no parameters, or asks for less work than the default, or for more than is sensible.
    #[error("not the parameters of a passphrase: `$argon2id$v=19$m=65536,t=3,p=1$` and a salt were expected")]
    Parameters,
    /// The kernel gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// There is not the memory to derive the key, or our own invariant broke.
    #[error("the key cannot be derived from the passphrase")]
    Derivation,
}

impl RootKeyError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyFile(error) => error.code(),
            Self::EmptyPassphrase | Self::Parameters => "usage",
            Self::Random(error) => error.code(),
            Self::Derivation => "internal",
        }
    }
}

/// How a passphrase becomes a key: Argon2id with its cost and its salt. Kept beside the store; not a secret.
///
/// ```
/// use qsec_crypto::kms::PassphraseParameters;
///
/// let parameters = PassphraseParameters::generate()?;
/// let written = parameters.to_string();
/// assert!(written.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"));
/// assert_eq!(PassphraseParameters::parse(&written)?, parameters);
/// # Ok::<(), qsec_crypto::kms::RootKeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassphraseParameters {
    memory_kib: u32,
    passes: u32,
    salt: [u8; 16],
}

impl PassphraseParameters {
    /// 64 MiB, 3 passes, 1 lane, and a new salt of 16 bytes.
    ///
    /// # Errors
    /// [`RootKeyError::Random`] if the kernel gives no salt.
    pub fn generate() -> Result<Self, RootKeyError> {
        Ok(Self { memory_kib: MEMORY_KIB, passes: PASSES, salt: random()? })
    }

    /// Reads what `to_string` writes. Less memory or fewer passes than the default are refused.
    ///
    /// # Errors
    /// [`RootKeyError::Parameters`] for anything else.
    pub fn parse(text: &str) -> Result<Self, RootKeyError> {
        let parsed = if text.len() > MAX_PARAMETERS_BYTES { None } else { Self::read(text) };
        let parsed = parsed.filter(|parameters| {
            (MEMORY_KIB..=MAX_MEMORY_KIB).contains(&parameters.memory_kib)
                && (PASSES..=MAX_PASSES).contains(&parameters.passes)
                && parameters.to_string() == text
        });
        parsed.ok_or(RootKeyError::Parameters)
    }

    fn read(text: &str) -> Option<Self> {
        let (memory, rest) = text.strip_prefix("$argon2id$v=19$m=")?.split_once(",t=")?;
        let (passes, salt) = rest.split_once(",p=1$")?;
        let salt = STANDARD_NO_PAD.decode(salt).ok()?.try_into().ok()?;
        Some(Self { memory_kib: memory.parse().ok()?, passes: passes.parse().ok()?, salt })
    }

    fn derive(&self, passphrase: &[u8]) -> Result<SecretKey, RootKeyError> {
        let params =
            Params::new(self.memory_kib, self.passes, LANES, Some(32)).map_err(|_| RootKeyError::Derivation)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        SecretKey::filled_by(|key| argon2.hash_password_into(passphrase, &self.salt, key))
            .map_err(|_| RootKeyError::Derivation)
    }
}

impl fmt::Display for PassphraseParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_kib, passes, salt } = self;
        write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={LANES}${}", STANDARD_NO_PAD.encode(salt))
    }
}

/// The key above all keys of the internal KMS. It is never in the store: who has the store and not this key has nothing.
///
/// ```
/// use qsec_crypto::kms::{PassphraseParameters, RootKey};
/// use qsec_crypto::Secret;
///
/// let parameters = PassphraseParameters::generate()?;
/// let root = RootKey::from_passphrase(&Secret::copy_from(b"correct horse battery staple"), &parameters)?;
/// assert_eq!(format!("{root:?}"), "RootKey(..)");
/// # Ok::<(), qsec_crypto::kms::RootKeyError>(())
/// ```
pub struct RootKey {
    key: SecretKey,
}

impl RootKey {
    /// Takes a key that came from elsewhere.
    pub fn new(key: SecretKey) -> Self {
        Self { key }
    }

    /// Copies a key. The source is the caller's to erase.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self::new(SecretKey::copy_from(bytes))
    }

    /// Reads a key file: 64 hex digits or base64, readable by its owner alone (mode 0600 or less).
    ///
    /// # Errors
    /// [`RootKeyError::KeyFile`] if it cannot be read, holds anything else, or others may use it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, RootKeyError> {
        Ok(Self::new(key_file::read(path.as_ref(), Access::OwnerOnly)?))
    }

    /// Derives the key from a passphrase: Argon2id, which takes a good part of a second and 64 MiB.
    ///
    /// # Errors
    /// [`RootKeyError::EmptyPassphrase`]; [`RootKeyError::Derivation`] if there is not the memory.
    pub fn from_passphrase(passphrase: &Secret, parameters: &PassphraseParameters) -> Result<Self, RootKeyError> {
        if passphrase.is_empty() {
            return Err(RootKeyError::EmptyPassphrase);
        }
        parameters.derive(passphrase.expose_secret()).map(Self::new)
    }

    pub(super) fn key(&self) -> &SecretKey {
        &self.key
    }

    pub(super) fn into_key(self) -> SecretKey {
        self.key
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "$argon2id$v=19$m=65536,t=3,p=1$BwcHBwcHBwcHBwcHBwcHBw";

    #[test]
    fn passphrase_and_parameters_decide_the_key() {
        let derive = |passphrase: &[u8], written: &str| {
            let parameters = PassphraseParameters::parse(written).unwrap();
            RootKey::from_passphrase(&Secret::copy_from(passphrase), &parameters).unwrap().into_key()
        };
        let key = derive(b"passphrase", WRITTEN);
        assert!(key.ct_eq(&derive(b"passphrase", WRITTEN)));
        assert!(!key.ct_eq(&derive(b"passphrasf", WRITTEN)));
        assert!(!key.ct_eq(&derive(b"passphrase", &WRITTEN.replace("$BwcH", "$BwcI"))));
    }

    #[test]
    fn parameters_that_are_weaker_dearer_or_spelled_otherwise_are_refused() {
        assert!(PassphraseParameters::parse(WRITTEN).is_ok());
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("v=19", "v=16"),
            ("m=65536", "m=65535"),
            ("m=65536", "m=1048577"),
            ("m=65536", "m=065536"),
            ("t=3", "t=2"),
            ("t=3", "t=17"),
            ("p=1", "p=2"),
            ("$BwcH", "$Bwc"),
            ("BwcHBw", "BwcHBwcH"),
            ("HBw", "HBx"),
        ] {
            let text = WRITTEN.replace(from, to);
            assert!(matches!(PassphraseParameters::parse(&text), Err(RootKeyError::Parameters)), "{text}");
        }
        let parameters = PassphraseParameters::parse(WRITTEN).unwrap();
        let error = RootKey::from_passphrase(&Secret::copy_from(b""), &parameters).unwrap_err();
        assert_eq!(error.code(), "usage");
    }
}
