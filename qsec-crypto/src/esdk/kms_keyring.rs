//! Data keys wrapped by AWS KMS.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use super::header::{MessageHeader, WrappedKey};
use super::{DataKey, EsdkOpener, EsdkSealer, FrameLength, MAX_DATA_KEYS, MessageContext, UnopenedMessage, message};
use crate::context::{Context, ContextError};
use crate::error::{OpenError, SealError};
use crate::join::join_all;
use crate::kms::aws::{AwsKms, Moment, Pairs};
use crate::kms::{KeyId, KmsError};
use crate::observer::{Event, Observer};
use crate::refusal::{Refusal, Reporter};
use crate::secret::SecretKey;
use crate::store::BoxFuture;
use crate::tenant::{Purpose, TenantId};

/// Why a message was not sealed or not opened with keys of AWS KMS.
///
/// ```
/// use qsec_crypto::OpenError;
/// use qsec_crypto::esdk::KmsMessageError;
///
/// let error = KmsMessageError::from(OpenError::NotOpened);
/// assert_eq!((error.code(), error.is_retryable()), ("not_opened", false));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KmsMessageError {
    /// The message cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The message cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// KMS did not wrap or unwrap the data key.
    #[error(transparent)]
    Kms(#[from] KmsError),
}

impl KmsMessageError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Seal(error) => error.code(),
            Self::Open(error) => error.code(),
            Self::Kms(error) => error.code(),
        }
    }

    /// Whether the same call may succeed later without anyone doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Seal(error) => error.is_retryable(),
            Self::Open(error) => error.is_retryable(),
            Self::Kms(error) => error.is_retryable(),
        }
    }
}

/// Seals messages that each of its keys in AWS KMS opens, and opens those that one of its keys opens: here, and with the
/// official SDK by whoever may use the key.
///
/// ```no_run
/// use std::sync::Arc;
/// use qsec_crypto::esdk::KmsKeyring;
/// use qsec_crypto::kms::{KeyId, aws::{AwsCredentials, AwsKms}};
/// use qsec_crypto::{Context, Purpose, Secret, TenantId};
///
/// # async fn example(now: std::time::SystemTime) -> Result<(), Box<dyn std::error::Error>> {
/// let kms = Arc::new(AwsKms::new(AwsCredentials::new("AKIDEXAMPLE", Secret::copy_from(b"secret"))));
/// // One key in two regions: either opens the message when the other is down.
/// let frankfurt = KeyId::new("arn:aws:kms:eu-central-1:111122223333:key/mrk-1234")?;
/// let virginia = KeyId::new("arn:aws:kms:us-east-1:111122223333:key/mrk-1234")?;
/// let keyring = KmsKeyring::new(kms, [frankfurt, virginia])?.for_tenant(TenantId::new("acme")?, Purpose::data());
///
/// let context = Context::from([("table", "orders"), ("row", "17")]);
/// let sealed = keyring.seal(b"4,200 EUR", &context, now).await?;
/// assert_eq!(keyring.open(&sealed, &context, now).await?, b"4,200 EUR");
/// # Ok(())
/// # }
/// ```
///
/// # How it calls KMS
///
/// The data key is made here and wrapped by `Encrypt` under every key, at the same time. `GenerateDataKey` would save no
/// call, would let KMS choose the key of the message, and would need a fourth action in the policy of the key. KMS is
/// given the **whole context of the message**, as the format demands: what is in it stands in the logs of KMS.
///
/// Sealing needs every key, for a message cannot be given another reader later. Opening asks its keys in their order, and
/// goes on to the next only where one is unavailable: the owner of a key who disabled it has said no, and no other key
/// answers for it. At most one call is made for each key, whatever the message holds, and none before the message has
/// shown the pairs that its reader demands. There is one call for each message: a [`TenantKey`](crate::TenantKey) is for
/// many small ones.
///
/// It remembers nothing from one message to the next: there is no breaker, no second try and no limit on calls at once, and
/// a call ends after the 5 s of [`AwsKms`]. Those are for the keys of a [`Keyring`](crate::Keyring), where one call serves
/// many messages; here who has a message to seal or to open asks [`KmsMessageError::is_retryable`] and decides.
pub struct KmsKeyring {
    kms: Arc<AwsKms>,
    keys: Vec<KeyId>,
    owner: Option<(TenantId, Purpose)>,
    observer: Arc<dyn Observer>,
}

impl KmsKeyring {
    /// Takes 1 to 8 keys by their ARNs, in the order in which they are asked.
    ///
    /// # Errors
    /// [`SealError::DataKeys`] for none, or for more; [`KmsError::Usage`] if one is not the ARN of a key, or is there
    /// twice.
    pub fn new(kms: Arc<AwsKms>, keys: impl IntoIterator<Item = KeyId>) -> Result<Self, KmsMessageError> {
        let keys: Vec<KeyId> = keys.into_iter().take(MAX_DATA_KEYS.saturating_add(1)).collect();
        if keys.is_empty() || keys.len() > MAX_DATA_KEYS {
            return Err(SealError::DataKeys { count: keys.len(), limit: MAX_DATA_KEYS }.into());
        }
        for (at, key) in keys.iter().enumerate() {
            AwsKms::check_key_id(key)?;
            if keys.iter().take(at).any(|other| other == key) {
                return Err(KmsError::Usage { what: format!("KMS key `{key}` is named twice") }.into());
            }
        }
        Ok(Self { kms, keys, owner: None, observer: Arc::new(()) })
    }

    /// Seals messages of this tenant, and opens no other's: their context holds `qsec:tenant` and `qsec:purpose`.
    #[must_use]
    pub fn for_tenant(self, tenant: TenantId, purpose: Purpose) -> Self {
        Self { owner: Some((tenant, purpose)), ..self }
    }

    /// Tells this observer of calls of KMS, and of refusals with their exact reasons.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// Seals bytes, in frames of 64 KiB. The context is written into the message, where everyone can read it.
    ///
    /// # Errors
    /// [`KmsMessageError::Kms`] if one of the keys does not wrap; [`SealError::Context`] if the context is none, or has a
    /// reserved key; [`SealError::MessageTooLong`] beyond 2³² − 1 frames.
    pub async fn seal(&self, plaintext: &[u8], context: &Context, now: SystemTime) -> Result<Vec<u8>, KmsMessageError> {
        Ok(self.data_key(context, now).await?.seal(plaintext, FrameLength::default())?)
    }

    /// Seals a stream, in frames of this length. KMS is called before the first byte; writing never waits for it.
    ///
    /// # Errors
    /// As [`Self::seal`]; [`SealError::Write`] if the writer fails.
    pub async fn sealer<W: Write>(
        &self,
        writer: W,
        context: &Context,
        frame_length: FrameLength,
        now: SystemTime,
    ) -> Result<EsdkSealer<W>, KmsMessageError> {
        Ok(self.data_key(context, now).await?.sealer(writer, frame_length)?)
    }

    /// Opens a message that holds at least the pairs of this context, and those of the tenant.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] if the message has no data key under one of the keys, KMS calls it invalid, a pair is
    /// missing or another, or any bit is not what was sealed; [`OpenError::Malformed`], [`OpenError::UnsupportedSuite`]
    /// and [`OpenError::BudgetExceeded`] by what its header says; [`OpenError::Context`] if the context is none, or has a
    /// reserved key; [`KmsMessageError::Kms`] if a key says no, or none answers.
    pub async fn open(&self, sealed: &[u8], context: &Context, now: SystemTime) -> Result<Vec<u8>, KmsMessageError> {
        let demanded = self.message_context(context).map_err(OpenError::from)?;
        let header = MessageHeader::read(&mut &*sealed)?;
        let data_key = self.unwrap(&header, &demanded, now).await?;
        Ok(message::open(sealed, &demanded, &self.reporter(), |_| Ok(data_key))?)
    }

    /// Opens a stream. Each frame is given out when it has verified; a signed message, and one block, are read whole
    /// first. KMS is called before the first byte of the body is read.
    ///
    /// # Errors
    /// As [`Self::open`]; [`OpenError::Read`] if the reader fails.
    pub async fn opener<R: Read>(
        &self,
        reader: R,
        context: &Context,
        now: SystemTime,
    ) -> Result<EsdkOpener<R>, KmsMessageError> {
        let demanded = self.message_context(context).map_err(OpenError::from)?;
        let message = UnopenedMessage::read(reader)?;
        let data_key = self.unwrap(message.header(), &demanded, now).await?;
        Ok(message.observed_by(Arc::clone(&self.observer)).open(&data_key, &demanded)?)
    }

    fn message_context(&self, context: &Context) -> Result<MessageContext, ContextError> {
        match &self.owner {
            Some((tenant, purpose)) => MessageContext::of_tenant(tenant, purpose, context),
            None => MessageContext::new(context),
        }
    }

    /// A fresh data key, wrapped by every key.
    async fn data_key(&self, context: &Context, _now: SystemTime) -> Result<DataKey, KmsMessageError> {
        let context = self.message_context(context).map_err(SealError::from)?;
        let mut data_key = DataKey::generate(context).map_err(SealError::from)?;
        let pairs = Pairs::of(data_key.context().pairs());
        let wraps = self.keys.iter().map(|key| -> BoxFuture<'_, _> {
            Box::pin(self.kms.encrypt(key, data_key.expose_secret(), &pairs, Moment::Configuring))
        });
        let blobs = join_all(wraps.collect()).await;
        for (key, blob) in self.keys.iter().zip(blobs) {
            self.called("key.wrapped", "wrap", key, blob.as_ref().err());
            data_key.add_kms(key, blob?)?;
        }
        Ok(data_key)
    }

    /// The data key, by the first of our keys that answers. The keys are ours and never those that the message names.
    async fn unwrap(
        &self,
        header: &MessageHeader,
        demanded: &MessageContext,
        _now: SystemTime,
    ) -> Result<SecretKey, KmsMessageError> {
        // Before KMS is asked: nobody makes us call it, under pairs of their choice, with a message that is not for us.
        if !demanded.pairs().all(|(key, value)| header.pair(key) == Some(value)) {
            return Err(self.reporter().refused(Refusal::ContextPair).into());
        }
        let pairs = Pairs::of(header.context());
        let mut unavailable = None;
        for key in &self.keys {
            let Some(wrapped) = wrapped_under(header, key) else { continue };
            let secret = self.kms.decrypt(key, wrapped.ciphertext(), &pairs, Moment::Configuring).await;
            self.called("key.unwrapped", "unwrap", key, secret.as_ref().err());
            match secret {
                Ok(secret) => {
                    let secret = SecretKey::try_from_slice(secret.expose_secret());
                    return Ok(secret.ok_or(KmsError::WrongKey { key_id: key.clone() })?);
                }
                Err(KmsError::Rejected { .. }) => return Err(self.reporter().refused(Refusal::DataKey).into()),
                Err(error) if error.is_retryable() => {
                    unavailable.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(match unavailable {
            Some(error) => error.into(),
            None => self.reporter().refused(Refusal::DataKey).into(),
        })
    }

    fn called(&self, name: &'static str, operation: &'static str, key: &KeyId, error: Option<&KmsError>) {
        let event = |name| {
            let event = Event::new(name).called(operation, key, error);
            self.owner.as_ref().map_or(event, |(tenant, _)| event.tenant(tenant))
        };
        self.observer.observe(&event(name));
        if let Some(KmsError::WrongKey { .. }) = error {
            self.observer.observe(&event("key.wrong_key_returned"));
        }
    }

    fn reporter(&self) -> Reporter {
        Reporter { name: None, observer: Arc::clone(&self.observer) }
    }
}

/// The data key of the message that this key wrapped; else the one that it wrapped in another region.
fn wrapped_under<'a>(header: &'a MessageHeader, key: &KeyId) -> Option<&'a WrappedKey> {
    let here = header.kms_data_keys(key).find(|wrapped| wrapped.info == key.as_str().as_bytes());
    here.or_else(|| header.kms_data_keys(key).next())
}

impl fmt::Debug for KmsKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKeyring").field("keys", &self.keys).field("owner", &self.owner).finish_non_exhaustive()
    }
}
