//! Keys on a PKCS#11 token: a hardware security module, a smart card, or their like in software.
//!
//! A KMS key is an AES key on the token, named by its label (`CKA_LABEL`). It never leaves the token: it is made
//! sensitive and not extractable, and a key that is not so is refused for wrapping. A tenant key is wrapped by
//! `CKM_AES_KEY_WRAP` (RFC 3394), together with a digest of what it is bound to, for key wrap takes no context:
//!
//! `tenant key (32) || SHA-256("qsec/v1/pkcs11" || wrapping context)`, wrapped to 72 bytes.
//!
//! AES key wrap has no nonce, so there is no limit to how many keys one KMS key wraps; two wrappings of one key under one
//! context are equal.
//!
//! # How a token is used
//!
//! - **One thread.** PKCS#11 blocks, so each [`Pkcs11Kms`] has a thread of its own with its own session, and its futures
//!   need no runtime. A caller that gives up leaves nothing locked: what it asked is done or skipped, and the answer is
//!   dropped. A token that hangs holds that thread; callers are freed by the time limits of the
//!   [`Keyring`](crate::Keyring).
//! - **One module for the process.** A module may be initialized once in a process. Which are loaded is the one thing
//!   that this crate remembers for the whole process, by path; a module stays loaded to the end of the process.
//! - **Login is of the process**, not of a session: where the process has logged in to the token already, a PIN is not
//!   looked at.
//! - **A session does not survive a fork.** In the child every call fails; open the token there anew.
//! - Keys are **stopped by their owner** on the token: a key with `CKA_WRAP` and `CKA_UNWRAP` switched off is disabled, one
//!   that was removed is not found. A token knows no scheduled deletion and no rotation: rotate by a key of another
//!   label, and [`Keyring::rewrap`](crate::Keyring::rewrap).
//! - **Secrets.** A tenant key passes through the token as a session object that is destroyed at once. `cryptoki` and the
//!   module copy it on the way; their copies are theirs to erase.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::kms::{KeyId, Kms, KmsError, KmsKeyDescription, KmsKeyState, Unwrapped, Wrapped, WrappingContext};
use crate::secret::{Secret, SecretKey};
use crate::store::BoxFuture;

mod answer;
mod binding;
mod error;
mod factory;
mod modules;
mod token;
mod worker;

use token::Token;
use worker::Worker;

/// Most bytes of a token's label: its field in PKCS#11 is that long.
const MAX_TOKEN_LABEL_BYTES: usize = 32;

/// KMS keys on a PKCS#11 token.
///
/// The id of a key is its label; the place of the token, as records keep it, is `pkcs11:token=` and the token's label
/// (RFC 7512).
///
/// ```no_run
/// use qsec_crypto::Secret;
/// use qsec_crypto::kms::pkcs11::Pkcs11Kms;
///
/// # async fn example() -> Result<(), qsec_crypto::kms::KmsError> {
/// let module = "/usr/lib/softhsm/libsofthsm2.so";
/// let kms = Pkcs11Kms::open(module, "production", Secret::copy_from(b"1234")).await?;
/// let key_id = kms.create_key("tenant-acme").await?;
/// # Ok(())
/// # }
/// ```
pub struct Pkcs11Kms {
    worker: Worker,
    module: PathBuf,
    endpoint: String,
}

impl Pkcs11Kms {
    /// Loads a module, finds the token by its label, and logs in as its user.
    ///
    /// # Errors
    /// [`KmsError::Usage`] if the path is no PKCS#11 module, the label is empty or longer than 32 bytes, two tokens have
    /// it, or the PIN is not UTF-8; [`KmsError::AccessDenied`] if the token refuses the PIN; [`KmsError::Unavailable`]
    /// if there is no such token now.
    pub async fn open(module: impl AsRef<Path>, token_label: &str, pin: Secret) -> Result<Self, KmsError> {
        if token_label.is_empty() || token_label.len() > MAX_TOKEN_LABEL_BYTES {
            let what = format!("a token's label has 1 to {MAX_TOKEN_LABEL_BYTES} bytes, not {}", token_label.len());
            return Err(KmsError::Usage { what });
        }
        let (module, endpoint) = (module.as_ref().to_path_buf(), place_of(token_label));
        let worker = Worker::start(module.clone(), token_label.to_owned(), pin, endpoint.clone()).await?;
        Ok(Self { worker, module, endpoint })
    }

    /// Makes an AES-256 key on the token: sensitive, not extractable, for wrapping and unwrapping alone.
    ///
    /// # Errors
    /// [`KmsError::Usage`] if the label is no [`KeyId`] or taken; else as [`Kms::wrap`].
    pub async fn create_key(&self, label: &str) -> Result<KeyId, KmsError> {
        let key_id = KeyId::new(label).map_err(|error| KmsError::Usage { what: error.to_string() })?;
        self.worker.ask("create", &key_id, Token::create_kek).await?;
        Ok(key_id)
    }

    /// Locks a key until it is enabled: the token neither wraps nor unwraps with it.
    ///
    /// # Errors
    /// As [`Kms::wrap`], but for a key that is disabled already.
    pub async fn disable(&self, key_id: &KeyId) -> Result<(), KmsError> {
        self.worker.ask("disable", key_id, |token, label| token.let_wrap(label, false)).await
    }

    /// Unlocks a disabled key.
    ///
    /// # Errors
    /// As [`Kms::wrap`], but for a key that is disabled.
    pub async fn enable(&self, key_id: &KeyId) -> Result<(), KmsError> {
        self.worker.ask("enable", key_id, |token, label| token.let_wrap(label, true)).await
    }

    /// Removes a key from the token, now and for good. What it wrapped opens no more.
    ///
    /// # Errors
    /// As [`Kms::wrap`]. A key that is gone is not found.
    pub async fn destroy(&self, key_id: &KeyId) -> Result<(), KmsError> {
        self.worker.ask("destroy", key_id, Token::destroy_kek).await
    }

    async fn unwrap_bound_to(&self, key_id: &KeyId, blob: &[u8], context: &[u8]) -> Result<Unwrapped, KmsError> {
        let rejected = || KmsError::Rejected { key_id: key_id.clone() };
        let wrapped = blob.to_vec();
        let bound = self.worker.ask("unwrap", key_id, move |token, label| token.unwrap(label, &wrapped)).await?;
        let secret = binding::unbind(&bound, context).ok_or_else(rejected)?;
        Ok(Unwrapped::new(key_id.clone(), secret))
    }
}

impl Kms for Pkcs11Kms {
    fn provider(&self) -> &'static str {
        "pkcs11"
    }

    fn endpoint(&self) -> Option<&str> {
        Some(&self.endpoint)
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move {
            let bound = binding::bind(key, &context.encode());
            let blob = self.worker.ask("wrap", key_id, move |token, label| token.wrap(label, &bound)).await?;
            Ok(Wrapped::new(key_id.clone(), blob))
        })
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        Box::pin(async move { self.unwrap_bound_to(key_id, blob, &context.encode()).await })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        Box::pin(async move {
            let kek = self.worker.ask("describe", key_id, Token::find_kek).await?;
            let state = if kek.unwraps { KmsKeyState::Enabled } else { KmsKeyState::Disabled };
            let description = KmsKeyDescription::new(key_id.clone(), state);
            // A locked key keeps its usage; one that may be carried off, or only unwraps, is not for new keys.
            let wraps = kek.stays_inside && (kek.wraps || !kek.unwraps);
            Ok(if wraps { description } else { description.not_for_wrapping() })
        })
    }
}

impl fmt::Debug for Pkcs11Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module, endpoint, worker: _ } = self;
        f.debug_struct("Pkcs11Kms").field("module", module).field("endpoint", endpoint).finish_non_exhaustive()
    }
}

/// A token as RFC 7512 writes it. Section 2.3: what is not unreserved is percent-encoded.
fn place_of(label: &str) -> String {
    let encoded = label.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("pkcs11:token={}", encoded.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_token_is_a_pkcs11_uri() {
        assert_eq!(place_of("qsec-test"), "pkcs11:token=qsec-test");
        assert_eq!(place_of("a b;ü"), "pkcs11:token=a%20b%3B%C3%BC");
    }

    #[test]
    fn labels_that_no_token_can_have_and_paths_without_a_module_are_misuse() {
        let open = |module: &str, label: &str| {
            let error = pollster::block_on(Pkcs11Kms::open(module, label, Secret::copy_from(b"1"))).unwrap_err();
            error.code()
        };
        assert_eq!(open("/module.so", ""), "usage");
        assert_eq!(open("/module.so", &"x".repeat(33)), "usage");
        assert_eq!(open("/there/is/no/module.so", "label"), "usage");
        assert_eq!(open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "label"), "usage");
    }
}
