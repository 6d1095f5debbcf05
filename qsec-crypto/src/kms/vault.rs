//! Keys in the transit engine of `HashiCorp` Vault, and of what speaks as it does.
//!
//! A KMS key is a transit key, named by its name. It must be made with `derived=true`: Vault then derives the key of each
//! wrapping from the wrapping context, which binds it. One that is not derived, or that may be exported, is refused.
//!
//! # How Vault is called
//!
//! - Over HTTPS with the roots that the caller names, TLS 1.2 or 1.3 on `ring`; plain HTTP to loopback alone. Nothing is
//!   read from the environment, and no redirect is followed, for it would carry the token elsewhere: give the address of
//!   the active node, or of a load balancer that knows it.
//! - **On a tokio runtime**: its sockets are tokio's. Calls have no time limit of their own but for connecting; a
//!   [`Keyring`](crate::Keyring) with a timer gives them one.
//! - A wrap reads the key first, because `encrypt` would make a key that is not there. The token's policy needs `read` on
//!   `transit/keys/<name>` and `update` on `transit/encrypt/<name>` and `transit/decrypt/<name>`, and no more.
//! - Keys are **stopped by their owner** at Vault: by the policy, which is `kms_access_denied`, or by deletion, which is
//!   `key_not_found`. A rotated key opens what its older versions wrapped, down to `min_decryption_version`.
//! - **Secrets.** What is sent and received is erased here; the buffers of HTTP and TLS below are not.

use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use zeroize::Zeroizing;

use crate::kms::{KeyId, Kms, KmsError, KmsKeyDescription, KmsKeyState, Unwrapped, Wrapped, WrappingContext};
use crate::secret::{Secret, SecretKey};
use crate::store::BoxFuture;

mod address;
mod ciphertext;
mod error;
mod factory;
mod http;
mod messages;

use address::Address;
use http::{Answer, Http};
use messages::{Ciphertext, Deletion, Encryption, KeyMaking, KeyOfVault, Plaintext};

/// Where Vault's transit engine is unless told otherwise.
const DEFAULT_MOUNT: &str = "transit";

/// Longest name of a transit key or mount that is taken, in bytes; Vault has no limit of its own.
const MAX_NAME_BYTES: usize = 255;

/// Whom to believe that a server is the Vault that was meant.
///
/// ```
/// use qsec_crypto::Secret;
/// use qsec_crypto::kms::vault::{VaultKms, VaultRoots};
///
/// let token = || Secret::copy_from(b"hvs.example");
/// assert!(VaultKms::connect("https://vault.example:8200", token(), &VaultRoots::WebPki).is_ok());
/// let no_certificates = VaultRoots::Pem(b"-----BEGIN".to_vec());
/// assert!(VaultKms::connect("https://vault.example:8200", token(), &no_certificates).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaultRoots {
    /// The public certificate authorities that Mozilla lists.
    WebPki,
    /// The certificates of one's own authorities, as PEM.
    Pem(Vec<u8>),
}

/// KMS keys in Vault's transit engine. The id of a key is its name.
///
/// ```no_run
/// use qsec_crypto::Secret;
/// use qsec_crypto::kms::vault::{VaultKms, VaultRoots};
///
/// # async fn example(pem: Vec<u8>) -> Result<(), qsec_crypto::kms::KmsError> {
/// let token = Secret::copy_from(b"hvs.example");
/// let kms = VaultKms::connect("https://vault.example:8200", token, &VaultRoots::Pem(pem))?.with_mount("transit-eu")?;
/// let key_id = kms.create_key("tenant-acme").await?;
/// # Ok(())
/// # }
/// ```
pub struct VaultKms {
    http: Http,
    address: Address,
    mount: String,
    endpoint: String,
}

impl VaultKms {
    /// Takes an address, `https://host:port`, and a token. Connects with the first call.
    ///
    /// # Errors
    /// [`KmsError::Usage`] if the address has another scheme (HTTP is for loopback alone), a path or a password in it, if
    /// the token is no header, or if there is no certificate in the PEM.
    pub fn connect(address: &str, token: Secret, roots: &VaultRoots) -> Result<Self, KmsError> {
        let address = Address::parse(address)?;
        let http = Http::new(token, roots)?;
        let kms = Self { http, address, mount: String::new(), endpoint: String::new() };
        kms.with_mount(DEFAULT_MOUNT)
    }

    /// Uses a transit engine at another place than `transit`.
    ///
    /// # Errors
    /// [`KmsError::Usage`] if the place is empty or holds other characters than letters, digits and `-._/`.
    pub fn with_mount(self, mount: &str) -> Result<Self, KmsError> {
        if !mount.split('/').all(is_name) {
            return Err(usage(format!("`{mount}` is no place of a transit engine")));
        }
        let endpoint = format!("{}/v1/{mount}", self.address);
        Ok(Self { mount: mount.to_owned(), endpoint, ..self })
    }

    /// Uses a namespace of Vault Enterprise.
    ///
    /// # Errors
    /// [`KmsError::Usage`] if it is empty or holds other characters than letters, digits and `-._/`.
    pub fn with_namespace(mut self, namespace: &str) -> Result<Self, KmsError> {
        if !namespace.split('/').all(is_name) {
            return Err(usage(format!("`{namespace}` is no namespace")));
        }
        self.endpoint = format!("{}/v1/{namespace}/{}", self.address, self.mount);
        self.http.set_namespace(namespace)?;
        Ok(self)
    }

    /// Calls with another token from now on: Vault's tokens end, and renewing them is the caller's.
    ///
    /// # Errors
    /// [`KmsError::Usage`] if it is no header.
    pub fn replace_token(&self, token: Secret) -> Result<(), KmsError> {
        self.http.replace_token(token)
    }

    /// Makes a key that wraps: `aes256-gcm96`, derived, not exportable. The token's policy must allow it.
    ///
    /// # Errors
    /// As [`Kms::wrap`]; [`KmsError::Usage`] if the name is no name of a key.
    pub async fn create_key(&self, name: &str) -> Result<KeyId, KmsError> {
        let key_id = KeyId::new(name).map_err(|error| usage(error.to_string()))?;
        let answer = self.ask(Method::POST, "keys", &key_id, "", &KeyMaking::new()).await?;
        answer.ok("create", &key_id)?;
        Ok(key_id)
    }

    /// Gives a key new material. What older material wrapped still unwraps.
    ///
    /// # Errors
    /// As [`Kms::wrap`].
    pub async fn rotate(&self, key_id: &KeyId) -> Result<(), KmsError> {
        let answer = self.ask(Method::POST, "keys", key_id, "/rotate", &()).await?;
        answer.ok("rotate", key_id).map(drop)
    }

    /// Deletes a key, now and for good. What it wrapped opens no more.
    ///
    /// # Errors
    /// As [`Kms::wrap`].
    pub async fn destroy(&self, key_id: &KeyId) -> Result<(), KmsError> {
        let answer = self.ask(Method::POST, "keys", key_id, "/config", &Deletion::allowed()).await?;
        answer.ok("destroy", key_id)?;
        let answer = self.ask(Method::DELETE, "keys", key_id, "", &()).await?;
        answer.ok("destroy", key_id).map(drop)
    }

    /// The key as Vault knows it, if it is one that may wrap tenant keys.
    async fn read_key(&self, key_id: &KeyId) -> Result<KeyOfVault, KmsError> {
        let answer = self.ask(Method::GET, "keys", key_id, "", &()).await?;
        let key = messages::parse::<KeyOfVault>(&answer.ok("describe", key_id)?)?;
        match key.unfit() {
            Some(why) => Err(usage(format!("transit key `{key_id}` {why}"))),
            None => Ok(key),
        }
    }

    async fn unwrap_bound_to(&self, key_id: &KeyId, blob: &[u8], context: &[u8]) -> Result<Unwrapped, KmsError> {
        let rejected = || KmsError::Rejected { key_id: key_id.clone() };
        let ciphertext = ciphertext::parse(blob).ok_or_else(rejected)?;
        let request = Ciphertext { ciphertext, context: &STANDARD.encode(context) };
        let answer = self.ask(Method::POST, "decrypt", key_id, "", &request).await?;
        let body = answer.ok("unwrap", key_id)?;
        let secret = messages::parse::<Plaintext<'_>>(&body)?.decode()?;
        Ok(Unwrapped::new(key_id.clone(), secret))
    }

    /// One call: `<place>/<of>/<name><rest>`.
    async fn ask(
        &self,
        method: Method,
        of: &str,
        key_id: &KeyId,
        rest: &str,
        body: &impl serde::Serialize,
    ) -> Result<Answer, KmsError> {
        // A name is a part of a path: `../sys/seal` must not become one.
        if !is_name(key_id.as_str()) {
            return Err(usage(format!("`{key_id}` is no name of a transit key")));
        }
        let url = format!("{}/v1/{}/{of}/{key_id}{rest}", self.address, self.mount);
        self.http.call(method, &url, body).await
    }
}

impl Kms for VaultKms {
    fn provider(&self) -> &'static str {
        "vault"
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
            self.read_key(key_id).await?;
            let plaintext = Zeroizing::new(STANDARD.encode(key.expose_secret()));
            let request = Encryption { plaintext: &plaintext, context: &STANDARD.encode(context.encode()) };
            let answer = self.ask(Method::POST, "encrypt", key_id, "", &request).await?;
            let blob = messages::parse::<messages::Encrypted>(&answer.ok("wrap", key_id)?)?.into_blob()?;
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
            let key = self.read_key(key_id).await?;
            let state = if key.is_soft_deleted() { KmsKeyState::Disabled } else { KmsKeyState::Enabled };
            Ok(KmsKeyDescription::new(key_id.clone(), state))
        })
    }
}

impl fmt::Debug for VaultKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKms").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// One step of a path that means itself.
fn is_name(name: &str) -> bool {
    let spelled = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(spelled) && !name.starts_with('.')
}

fn usage(what: String) -> KmsError {
    KmsError::Usage { what }
}

fn unavailable(what: &'static str) -> KmsError {
    KmsError::Unavailable(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kms() -> VaultKms {
        VaultKms::connect("https://vault.example", Secret::copy_from(b"hvs.secret"), &VaultRoots::WebPki).unwrap()
    }

    #[test]
    fn the_place_is_address_namespace_and_mount() {
        assert_eq!(kms().endpoint(), Some("https://vault.example/v1/transit"));
        let kms = kms().with_mount("eu/transit").unwrap().with_namespace("team-a").unwrap();
        assert_eq!(kms.endpoint(), Some("https://vault.example/v1/team-a/eu/transit"));
        assert!(!format!("{kms:?}").contains("hvs"));
    }

    #[test]
    fn names_cannot_leave_their_place_in_the_path() {
        for name in ["", ".", "..", "../sys", "a/b", "a?b", "a#b", "a%2fb", "a b", "ä", &"x".repeat(256)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("tenant-acme_1.v2"));
        for mount in ["", "/transit", "transit/", "a//b", "../sys"] {
            assert_eq!(kms().with_mount(mount).unwrap_err().code(), "usage", "{mount}");
            assert_eq!(kms().with_namespace(mount).unwrap_err().code(), "usage", "{mount}");
        }
        let error = pollster::block_on(kms().describe(&KeyId::new("../sys").unwrap(), SystemTime::UNIX_EPOCH));
        assert_eq!(error.unwrap_err().code(), "usage");
    }

    #[test]
    fn a_token_that_is_no_header_is_misuse() {
        let connect = |token: &[u8]| {
            VaultKms::connect("https://vault.example", Secret::copy_from(token), &VaultRoots::WebPki).unwrap_err()
        };
        assert_eq!(connect(b"a\nb").code(), "usage");
        assert_eq!(connect(b"").code(), "usage");
        assert_eq!(kms().replace_token(Secret::copy_from(b"a\r\nX: y")).unwrap_err().code(), "usage");
    }
}
