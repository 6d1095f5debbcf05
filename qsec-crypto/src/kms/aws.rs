//! AWS KMS: keys that a customer owns.
//!
//! ```no_run
//! use std::sync::Arc;
//! use qsec_crypto::kms::aws::{AwsCredentials, AwsKms};
//! use qsec_crypto::{KeyRecords, Keyring, Purpose, Secret, TenantId};
//!
//! # async fn example(id: &str, secret: &[u8], now: std::time::SystemTime) -> Result<(), Box<dyn std::error::Error>> {
//! let kms = Arc::new(AwsKms::new(AwsCredentials::new(id, Secret::copy_from(secret))));
//! // Once, when the key is configured: an alias can be pointed elsewhere later, the ARN cannot.
//! let key_id = kms.resolve("eu-central-1", "alias/acme-qsec", now).await?;
//!
//! let keys = Keyring::new(TenantId::new("acme")?, kms, KeyRecords::in_memory()?);
//! keys.create(&[key_id], &[Purpose::data()], now).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What the customer grants
//!
//! Three actions, and these only for the tenant whose key it is. The platform's principal needs nothing else: it neither
//! makes nor changes keys, and it must not be able to disable one, delete one, or grant it on.
//!
//! ```json
//! {
//!   "Version": "2012-10-17",
//!   "Statement": [
//!     {
//!       "Sid": "QsecWrapsTenantKeys",
//!       "Effect": "Allow",
//!       "Principal": { "AWS": "arn:aws:iam::111122223333:role/platform" },
//!       "Action": ["kms:Encrypt", "kms:Decrypt"],
//!       "Resource": "*",
//!       "Condition": { "StringEquals": { "kms:EncryptionContext:qsec:tenant": "acme" } }
//!     },
//!     {
//!       "Sid": "QsecDescribesTheKey",
//!       "Effect": "Allow",
//!       "Principal": { "AWS": "arn:aws:iam::111122223333:role/platform" },
//!       "Action": "kms:DescribeKey",
//!       "Resource": "*"
//!     }
//!   ]
//! }
//! ```
//!
//! It is a key policy, where `"Resource": "*"` is the key it stands on. `DescribeKey` has no encryption context and
//! therefore a statement of its own.
//!
//! # What is checked
//!
//! - The key is named by its **ARN**, which tells the region. An alias, a bare key id and the ARN of an alias are refused
//!   everywhere but in [`AwsKms::resolve`].
//! - **Every answer names the key** that was asked, or is [`KmsError::WrongKey`]; so is an unwrapped key that has not 32
//!   bytes. The keyring also compares the key itself with what was wrapped.
//! - The encryption context is the three pairs of the [`WrappingContext`], and nothing else.
//! - `Encrypt` and `Decrypt` ask for `SYMMETRIC_DEFAULT`; a key for something else is described as one that does not wrap.
//! - `KMSInvalidStateException` says no more than its name, so the key is then described once, for the state that it is in.
//! - Expired credentials are refreshed once for a call ([`CredentialsSource::refresh`]); after that the call is denied.
//! - TLS by rustls on ring, with the roots that the operating system trusts (where `SSL_CERT_FILE` names others, those). In
//!   the clear only to a loopback address. No proxy is used, and none is looked up.
//!
//! # What it needs, and what it does not do
//!
//! - **A tokio runtime** with its network and time drivers: poll the futures inside one.
//! - **Nothing from the environment**: no profile, no variable, no metadata service. Credentials are handed in.
//! - **No retries**: the keyring has its own, with a breaker and a limit on calls. A call that does not connect within a
//!   second fails; one that has no answer within 5 s ends, also without a keyring's timer.
//! - **The clock** of signatures is the system's, read by the SDK; AWS refuses one that is 5 minutes off.
//! - **The SDK's buffers** hold what is wrapped and unwrapped, in the JSON that it sends and reads, and are not erased.
//!   What this crate holds of it is.
//!
//! An emulator is not the service. LocalStack checks no signature and no policy, and takes the encryption context
//! `{a: bc}` for `{ab: c}`; the three fixed names of our pairs leave no room for that. It deletes no key when the wait is
//! over.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::{Builder, Credentials};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{EncryptionAlgorithmSpec, KeyMetadata};
use zeroize::Zeroize;

use crate::kms::{
    KeyId, Kms, KmsError, KmsKeyDescription, KmsKeyState, MAX_BLOB_BYTES, Unwrapped, Wrapped, WrappingContext,
};
use crate::secret::{Secret, SecretKey};
use crate::store::BoxFuture;

mod arn;
mod clients;
mod credentials;
mod description;
mod endpoint;
mod failure;

use arn::KeyArn;
use clients::Clients;
use credentials::Fixed;
pub use credentials::{AwsCredentials, CredentialsError, CredentialsSource};
use endpoint::Endpoint;
use failure::{Failure, Moment};

/// Bytes of a tenant key, and of the data key of a message.
const KEY_BYTES: usize = 32;

/// AWS KMS, in every region that its keys are in.
///
/// ```
/// use qsec_crypto::Secret;
/// use qsec_crypto::kms::Kms;
/// use qsec_crypto::kms::aws::{AwsCredentials, AwsKms};
///
/// let kms = AwsKms::new(AwsCredentials::new("AKIDEXAMPLE", Secret::copy_from(b"secret")));
/// assert_eq!((kms.provider(), kms.endpoint()), ("aws", None));
///
/// let kms = kms.with_endpoint("http://[::1]:4566")?;
/// assert_eq!(kms.endpoint(), Some("http://[::1]:4566"));
/// # Ok::<(), qsec_crypto::kms::KmsError>(())
/// ```
pub struct AwsKms {
    credentials: Arc<dyn CredentialsSource>,
    /// The one that records name.
    endpoint: Option<String>,
    clients: Clients,
}

impl AwsKms {
    /// Signs with these credentials, for as long as they are good.
    pub fn new(credentials: AwsCredentials) -> Self {
        Self::with_credentials_from(Arc::new(Fixed::from(credentials)))
    }

    /// Signs with the credentials that this source has at the time of each call.
    pub fn with_credentials_from(source: Arc<dyn CredentialsSource>) -> Self {
        Self { credentials: source, endpoint: None, clients: Clients::default() }
    }

    /// Reaches every region at this place. [`Kms::endpoint`] tells it, and records keep it.
    ///
    /// # Errors
    /// [`KmsError::Usage`] if it is no `https` URL of a host alone. `http` is for loopback.
    pub fn with_endpoint(mut self, url: &str) -> Result<Self, KmsError> {
        self.clients.set_endpoint(Endpoint::parse(url)?);
        self.endpoint = Some(url.to_owned());
        Ok(self)
    }

    /// Reaches one region at this place: at an interface endpoint of its network, say. This is a way to the same keys,
    /// not another place of keys, so records do not keep it.
    ///
    /// # Errors
    /// As [`Self::with_endpoint`]; also if the region cannot be one.
    pub fn with_region_endpoint(mut self, region: &str, url: &str) -> Result<Self, KmsError> {
        arn::check_region(region)?;
        self.clients.set_region_endpoint(region, Endpoint::parse(url)?);
        Ok(self)
    }

    /// The ARN of a key that is known by an alias, `alias/…`. For configuration: what it answers is kept, and never asked
    /// again, because whoever can change the alias could otherwise change the key.
    ///
    /// # Errors
    /// [`KmsError::KeyNotFound`] if there is none; [`KmsError::Usage`] if it is no name of a key or of an alias in that
    /// region; those of the call.
    pub async fn resolve(&self, region: &str, alias: &str, _now: SystemTime) -> Result<KeyId, KmsError> {
        arn::check_region(region)?;
        let name = KeyId::new(alias).map_err(|error| KmsError::Usage { what: error.to_string() })?;
        let metadata = self.metadata(region, &name).await;
        let metadata = metadata.map_err(|failure| failure.into_error(&name, "describe", Moment::Configuring))?;
        let key_id = KeyId::new(metadata.arn().unwrap_or_default()).ok();
        let of_region = |key_id: &KeyId| KeyArn::parse(key_id).is_ok_and(|arn| arn.region() == region);
        key_id.filter(of_region).ok_or(KmsError::WrongKey { key_id: name })
    }

    /// Wraps a key under the whole context that is given.
    pub(crate) async fn encrypt(
        &self,
        key_id: &KeyId,
        key: &[u8; KEY_BYTES],
        pairs: &Pairs,
        moment: Moment,
    ) -> Result<Vec<u8>, KmsError> {
        let arn = KeyArn::parse(key_id)?;
        let answer = self.send(arn.region(), |client, signed| {
            let call = client.encrypt().key_id(key_id.as_str()).plaintext(Blob::new(key));
            let call = call.encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault);
            call.set_encryption_context(Some(pairs.0.clone())).customize().config_override(signed).send()
        });
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(failure) => return Err(self.refused(&arn, key_id, "wrap", moment, failure).await),
        };
        let is_ours = answer.key_id() == Some(key_id.as_str());
        let blob = answer.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        if is_ours && (1..=MAX_BLOB_BYTES).contains(&blob.len()) {
            Ok(blob)
        } else {
            Err(KmsError::WrongKey { key_id: key_id.clone() })
        }
    }

    /// Unwraps a key under the whole context that is given.
    pub(crate) async fn decrypt(
        &self,
        key_id: &KeyId,
        blob: &[u8],
        pairs: &Pairs,
        moment: Moment,
    ) -> Result<Secret, KmsError> {
        let arn = KeyArn::parse(key_id)?;
        if !(1..=MAX_BLOB_BYTES).contains(&blob.len()) {
            // KMS calls this a mistake of the caller. The caller only hands on what a record or a message says.
            return Err(KmsError::Rejected { key_id: key_id.clone() });
        }
        let answer = self.send(arn.region(), |client, signed| {
            let call = client.decrypt().key_id(key_id.as_str()).ciphertext_blob(Blob::new(blob));
            let call = call.encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault);
            call.set_encryption_context(Some(pairs.0.clone())).customize().config_override(signed).send()
        });
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(failure) => return Err(self.refused(&arn, key_id, "unwrap", moment, failure).await),
        };
        let is_ours = answer.key_id() == Some(key_id.as_str());
        let mut plaintext = answer.plaintext.map(Blob::into_inner).unwrap_or_default();
        let secret = Secret::copy_from(&plaintext);
        plaintext.zeroize();
        if is_ours && secret.len() == KEY_BYTES {
            Ok(secret)
        } else {
            Err(KmsError::WrongKey { key_id: key_id.clone() })
        }
    }

    async fn metadata(&self, region: &str, name: &KeyId) -> Result<KeyMetadata, Failure> {
        let answer = self.send(region, |client, signed| {
            client.describe_key().key_id(name.as_str()).customize().config_override(signed).send()
        });
        answer.await?.key_metadata.ok_or(Failure::not_understood())
    }

    /// The error that a failed call comes to. A key that is in no state for the call is asked which one it is in.
    async fn refused(
        &self,
        arn: &KeyArn<'_>,
        key_id: &KeyId,
        operation: &'static str,
        moment: Moment,
        failure: Failure,
    ) -> KmsError {
        if !failure.is_invalid_state() {
            return failure.into_error(key_id, operation, moment);
        }
        let key_id = key_id.clone();
        match self.metadata(arn.region(), &key_id).await {
            Ok(metadata) if metadata.arn() == Some(key_id.as_str()) => match description::state(&metadata) {
                KmsKeyState::Disabled | KmsKeyState::PendingImport => KmsError::KeyDisabled { key_id },
                KmsKeyState::PendingDeletion => {
                    let deletion_date = description::deletion_date(&metadata);
                    KmsError::KeyPendingDeletion { key_id, deletion_date }
                }
                KmsKeyState::Destroyed => KmsError::KeyDestroyed { key_id },
                KmsKeyState::Enabled | KmsKeyState::Unavailable => failure.into_unavailable(),
            },
            // It was there a moment ago, waiting to be deleted.
            Err(gone) if gone.is_not_found() => KmsError::KeyDestroyed { key_id },
            Ok(_) | Err(_) => failure.into_unavailable(),
        }
    }

    /// Makes a call, signed with what the source has; once more with fresh credentials if those had expired.
    async fn send<T, E, F>(&self, region: &str, call: impl Fn(Client, Builder) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata,
    {
        let client = self.clients.of(region);
        let credentials = self.credentials.current().await.map_err(Failure::no_credentials)?;
        let failure = match call(client.clone(), signed_with(&credentials)?).await {
            Ok(answer) => return Ok(answer),
            Err(error) => Failure::of(&error),
        };
        if !failure.is_expired() {
            return Err(failure);
        }
        let fresh = self.credentials.refresh(&credentials).await.map_err(Failure::no_credentials)?;
        let Some(fresh) = fresh else { return Err(failure) };
        call(client, signed_with(&fresh)?).await.map_err(|error| Failure::of(&error))
    }
}

impl Kms for AwsKms {
    fn provider(&self) -> &'static str {
        "aws"
    }

    fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move {
            let pairs = Pairs::of(context.pairs());
            let blob = self.encrypt(key_id, key.expose_secret(), &pairs, Moment::Working).await?;
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
        Box::pin(async move {
            let pairs = Pairs::of(context.pairs());
            let secret = self.decrypt(key_id, blob, &pairs, Moment::Working).await?;
            Ok(Unwrapped::new(key_id.clone(), secret))
        })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        Box::pin(async move {
            let arn = KeyArn::parse(key_id)?;
            let metadata = self.metadata(arn.region(), key_id).await;
            let metadata = metadata.map_err(|failure| failure.into_error(key_id, "describe", Moment::Configuring))?;
            if metadata.arn() == Some(key_id.as_str()) {
                Ok(description::describe(key_id, &arn, &metadata))
            } else {
                Err(KmsError::WrongKey { key_id: key_id.clone() })
            }
        })
    }
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKms").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An encryption context as KMS takes it.
pub(crate) struct Pairs(HashMap<String, String>);

impl Pairs {
    pub(crate) fn of(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// What one call differs in from the client's own settings: who signs it.
fn signed_with(credentials: &AwsCredentials) -> Result<Builder, Failure> {
    let (secret, token) = credentials.texts().map_err(Failure::no_credentials)?;
    let token = token.map(str::to_owned);
    let credentials = Credentials::new(credentials.access_key_id(), secret, token, None, "qsec");
    Ok(Builder::new().credentials_provider(credentials))
}
