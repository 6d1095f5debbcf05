//! The bodies of Vault's transit calls.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{ciphertext, unavailable};
use crate::kms::KmsError;
use crate::secret::Secret;

/// The types of transit keys that wrap with 256 bits and can be derived.
const TYPES: [&str; 3] = ["aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"];

/// What `encrypt` takes.
#[derive(Serialize)]
pub(super) struct Encryption<'a> {
    pub(super) plaintext: &'a str,
    pub(super) context: &'a str,
}

/// What `decrypt` takes.
#[derive(Serialize)]
pub(super) struct Ciphertext<'a> {
    pub(super) ciphertext: &'a str,
    pub(super) context: &'a str,
}

/// What makes a key.
#[derive(Serialize)]
pub(super) struct KeyMaking {
    r#type: &'static str,
    derived: bool,
    exportable: bool,
}

impl KeyMaking {
    pub(super) fn new() -> Self {
        Self { r#type: "aes256-gcm96", derived: true, exportable: false }
    }
}

/// What lets a key be deleted.
#[derive(Serialize)]
pub(super) struct Deletion {
    deletion_allowed: bool,
}

impl Deletion {
    pub(super) fn allowed() -> Self {
        Self { deletion_allowed: true }
    }
}

/// What `encrypt` answers.
#[derive(Deserialize)]
pub(super) struct Encrypted {
    ciphertext: String,
}

impl Encrypted {
    pub(super) fn into_blob(self) -> Result<Vec<u8>, KmsError> {
        let blob = self.ciphertext.into_bytes();
        if ciphertext::parse(&blob).is_some() { Ok(blob) } else { Err(unavailable("Vault's answer is no ciphertext")) }
    }
}

/// What `decrypt` answers.
#[derive(Deserialize)]
pub(super) struct Plaintext<'a> {
    #[serde(borrow)]
    plaintext: Cow<'a, str>,
}

impl Plaintext<'_> {
    pub(super) fn decode(&self) -> Result<Secret, KmsError> {
        let decoded = STANDARD.decode(self.plaintext.as_bytes()).map(Zeroizing::new);
        decoded.map(|key| Secret::copy_from(&key)).map_err(|_| unavailable("Vault's answer is no base64"))
    }
}

/// A transit key.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members of Vault's answer")]
pub(super) struct KeyOfVault {
    r#type: String,
    #[serde(default)]
    derived: bool,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    allow_plaintext_backup: bool,
    #[serde(default)]
    soft_deleted: bool,
}

impl KeyOfVault {
    /// Why it must not wrap tenant keys.
    pub(super) fn unfit(&self) -> Option<&'static str> {
        if !TYPES.contains(&self.r#type.as_str()) {
            Some("is of another type than `aes256-gcm96`, `chacha20-poly1305` or `xchacha20-poly1305`")
        } else if !self.derived {
            Some("is not derived, so that nothing binds what it wraps: make it with `derived=true`")
        } else if self.exportable || self.allow_plaintext_backup {
            Some("may be exported: make one that may not")
        } else {
            None
        }
    }

    pub(super) fn is_soft_deleted(&self) -> bool {
        self.soft_deleted
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// What an answer holds in `data`.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, KmsError> {
    // The reader's error would quote the body.
    let envelope: Envelope<T> =
        serde_json::from_slice(body).map_err(|_| unavailable("Vault's answer is not what its interface describes"))?;
    Ok(envelope.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_derived_key_of_256_bits_that_stays_inside_is_fit() {
        let key = |more: &str| {
            let body = format!(r#"{{"data":{{"type":"aes256-gcm96","derived":true,"keys":{{"1":1}}{more}}}}}"#);
            parse::<KeyOfVault>(body.as_bytes()).unwrap()
        };
        assert!(key("").unfit().is_none());
        assert!(key(r#","soft_deleted":true"#).is_soft_deleted());
        assert!(key(r#","exportable":true"#).unfit().is_some());
        assert!(key(r#","allow_plaintext_backup":true"#).unfit().is_some());
        for body in [
            r#"{"data":{"type":"aes256-gcm96","derived":false}}"#,
            r#"{"data":{"type":"aes256-gcm96"}}"#,
            r#"{"data":{"type":"rsa-4096","derived":true}}"#,
        ] {
            assert!(parse::<KeyOfVault>(body.as_bytes()).unwrap().unfit().is_some(), "{body}");
        }
    }

    #[test]
    fn an_answer_of_another_shape_is_unavailable_and_not_quoted() {
        for body in [&b""[..], b"{}", b"[]", br#"{"data":{}}"#, br#"{"data":{"plaintext":7}}"#, br#"{"data":{"plaint"#]
        {
            let error = parse::<Plaintext<'_>>(body).err().unwrap();
            assert_eq!(error.code(), "kms_unavailable");
            assert!(!format!("{error:?}").contains("plaint\""));
        }
        let error = parse::<Plaintext<'_>>(br#"{"data":{"plaintext":"AA"}}"#).unwrap().decode().unwrap_err();
        assert_eq!(error.code(), "kms_unavailable");
        let plaintext = parse::<Plaintext<'_>>(br#"{"data":{"plaintext":"AA\u003d\u003d"}}"#).unwrap();
        assert_eq!(plaintext.decode().unwrap().expose_secret(), [0]);
    }
}
