//! A root key that another KMS holds: wrapped there, and kept as one line of JSON beside the store.

use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::RootKey;
use crate::kdf;
use crate::kms::{KeyId, Kms, KmsError, MAX_BLOB_BYTES, WrappingContext};
use crate::secret::SecretKey;
use crate::tenant::{Purpose, TenantId};

/// The names that a root key is bound to in place of a tenant's. A tenant of that name loses nothing: the purpose is not
/// one that seals.
const ROOT_TENANT: &str = "qsec";
const ROOT_PURPOSE: &str = "local-root";

/// Most bytes of the line: the longest blob in base64, the longest key id with every character escaped, and the rest.
const MAX_LINE_BYTES: usize = 32 * 1024;

/// A root key wrapped by another KMS. Not a secret: without that KMS it opens nothing.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_crypto::MemoryStore;
/// use qsec_crypto::kms::{LocalKms, RootKey, WrappedRootKey};
///
/// # pollster::block_on(async {
/// # let now = SystemTime::UNIX_EPOCH;
/// # let token = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?;
/// # let key_id = token.create_key(now).await?;
/// // `token` is any other KMS, for instance a PKCS#11 token.
/// let line = RootKey::generate()?.wrap_for(&token, &key_id, now).await?.to_string();
///
/// let wrapped = WrappedRootKey::parse(&line)?;
/// let kms = LocalKms::open(RootKey::unwrap_from(&token, &wrapped, now).await?, MemoryStore::new())?;
/// # Ok::<(), qsec_crypto::kms::KmsError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedRootKey {
    provider: String,
    key_id: KeyId,
    key_check: [u8; 32],
    blob: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    provider: String,
    key_id: String,
    key_check: String,
    blob: String,
}

impl WrappedRootKey {
    /// Reads what `to_string` writes.
    ///
    /// # Errors
    /// [`KmsError::Usage`] for anything else.
    pub fn parse(line: &str) -> Result<Self, KmsError> {
        let parsed = if line.len() > MAX_LINE_BYTES { None } else { read(line) };
        parsed.ok_or_else(|| KmsError::Usage { what: "this is no wrapped root key".to_owned() })
    }

    /// The provider that wrapped it.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The key that wrapped it.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }
}

fn read(line: &str) -> Option<WrappedRootKey> {
    let Line { provider, key_id, key_check, blob } = serde_json::from_str(line).ok()?;
    let wrapped = WrappedRootKey {
        provider,
        key_id: KeyId::new(key_id).ok()?,
        key_check: STANDARD_NO_PAD.decode(key_check).ok()?.try_into().ok()?,
        blob: STANDARD_NO_PAD.decode(blob).ok()?,
    };
    (1..=MAX_BLOB_BYTES).contains(&wrapped.blob.len()).then_some(wrapped)
}

impl fmt::Display for WrappedRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Line {
            provider: self.provider.clone(),
            key_id: self.key_id.as_str().to_owned(),
            key_check: STANDARD_NO_PAD.encode(self.key_check),
            blob: STANDARD_NO_PAD.encode(&self.blob),
        };
        f.write_str(&serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

impl RootKey {
    /// A new root key, from the kernel.
    ///
    /// # Errors
    /// [`KmsError::Internal`] if the kernel gives none.
    pub fn generate() -> Result<Self, KmsError> {
        Ok(Self::new(SecretKey::generate()?))
    }

    /// Wraps the root key under a key of another KMS, and sees that it opens before it answers.
    ///
    /// # Errors
    /// As [`Kms::wrap`] and [`Kms::unwrap`]; [`KmsError::WrongKey`] if another key comes back.
    pub async fn wrap_for(&self, kms: &dyn Kms, key_id: &KeyId, now: SystemTime) -> Result<WrappedRootKey, KmsError> {
        let context = context()?;
        let wrapped = kms.wrap(key_id, self.key(), &context, now).await?;
        if wrapped.key_id() != key_id || !(1..=MAX_BLOB_BYTES).contains(&wrapped.blob().len()) {
            return Err(KmsError::WrongKey { key_id: key_id.clone() });
        }
        let wrapped = WrappedRootKey {
            provider: kms.provider().to_owned(),
            key_id: key_id.clone(),
            key_check: key_check(self.key(), &context)?,
            blob: wrapped.into_blob(),
        };
        Self::unwrap_from(kms, &wrapped, now).await?;
        Ok(wrapped)
    }

    /// Has the KMS that wrapped a root key unwrap it. The answer is believed only if it is the key that was wrapped.
    ///
    /// # Errors
    /// As [`Kms::unwrap`]; [`KmsError::Usage`] if another provider wrapped it; [`KmsError::WrongKey`] if another key
    /// comes back.
    pub async fn unwrap_from(kms: &dyn Kms, wrapped: &WrappedRootKey, now: SystemTime) -> Result<Self, KmsError> {
        let WrappedRootKey { provider, key_id, key_check: expected, blob } = wrapped;
        if kms.provider() != provider {
            let what = format!("`{provider}` wrapped the root key, and `{}` was asked to unwrap it", kms.provider());
            return Err(KmsError::Usage { what });
        }
        let context = context()?;
        let unwrapped = kms.unwrap(key_id, blob, &context, now).await?;
        let wrong_key = || KmsError::WrongKey { key_id: key_id.clone() };
        let key = SecretKey::try_from_slice(unwrapped.secret().expose_secret()).ok_or_else(wrong_key)?;
        let same = bool::from(key_check(&key, &context)?.as_slice().ct_eq(expected));
        if same && unwrapped.key_id() == key_id { Ok(Self::new(key)) } else { Err(wrong_key()) }
    }
}

fn context() -> Result<WrappingContext, KmsError> {
    let names = TenantId::new(ROOT_TENANT).and_then(|tenant| Ok((tenant, Purpose::new(ROOT_PURPOSE)?)));
    let (tenant, purpose) = names.map_err(|_| KmsError::Internal { what: "the names of the root key are names" })?;
    Ok(WrappingContext::new(tenant, purpose, 1))
}

fn key_check(key: &SecretKey, context: &WrappingContext) -> Result<[u8; 32], KmsError> {
    Ok(kdf::key_check(key, context.tenant(), context.purpose(), context.version())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;
    use crate::kms::{Fault, FaultyKms, LocalKms};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    async fn token() -> (FaultyKms<LocalKms>, KeyId) {
        let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap();
        let key_id = kms.create_key(NOW).await.unwrap();
        (FaultyKms::over(kms).as_provider("pkcs11"), key_id)
    }

    #[test]
    fn a_root_key_comes_back_from_the_kms_that_wrapped_it() {
        pollster::block_on(async {
            let (token, key_id) = token().await;
            let root = RootKey::generate().unwrap();
            let wrapped = root.wrap_for(&token, &key_id, NOW).await.unwrap();
            let read = WrappedRootKey::parse(&wrapped.to_string()).unwrap();
            assert_eq!((read.provider(), read.key_id()), ("pkcs11", &key_id));
            assert!(RootKey::unwrap_from(&token, &read, NOW).await.unwrap().key().ct_eq(root.key()));
            let other = FaultyKms::over(token).as_provider("vault");
            assert_eq!(RootKey::unwrap_from(&other, &read, NOW).await.unwrap_err().code(), "usage");
        });
    }

    #[test]
    fn a_kms_that_answers_with_another_key_is_not_believed() {
        pollster::block_on(async {
            let (token, key_id) = token().await;
            let root = RootKey::from_bytes(&[9; 32]);
            let wrapped = root.wrap_for(&token, &key_id, NOW).await.unwrap();
            for fault in [Fault::OtherPlaintext, Fault::OtherKeyId, Fault::Short, Fault::Long, Fault::Empty] {
                token.fail(None, fault);
                let error = RootKey::unwrap_from(&token, &wrapped, NOW).await.unwrap_err();
                assert_eq!(error.code(), "kms_wrong_key", "{fault:?}");
            }
            token.fail(None, Fault::OtherWrapped);
            assert_eq!(root.wrap_for(&token, &key_id, NOW).await.unwrap_err().code(), "kms_wrong_key");
            token.fail(None, Fault::Unavailable);
            assert!(RootKey::unwrap_from(&token, &wrapped, NOW).await.unwrap_err().is_retryable());
        });
    }

    #[test]
    fn lines_of_another_shape_are_refused() {
        let check = "A".repeat(43);
        let line = |blob: &str| format!(r#"{{"provider":"p","key_id":"k","key_check":"{check}","blob":"{blob}"}}"#);
        assert!(WrappedRootKey::parse(&line("AAAA")).is_ok());
        for line in [
            String::new(),
            line(""),
            line("AAA="),
            line(&"A".repeat(8_196)),
            line("AAAA").replace("\"k\"", "\"\""),
            line("AAAA").replace(&check, "AAAA"),
            line("AAAA").replace("\"blob\"", "\"more\":1,\"blob\""),
            " ".repeat(MAX_LINE_BYTES) + &line("AAAA"),
        ] {
            assert_eq!(WrappedRootKey::parse(&line).unwrap_err().code(), "usage", "{line}");
        }
    }
}
