//! Data keys wrapped under AES keys that the caller holds.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use super::header::{AWS_KMS, MessageHeader, TAG_BYTES, WrappedKey};
use super::{DataKey, EsdkOpener, EsdkSealer, FrameLength, MAX_DATA_KEYS, MAX_KEY_NAME_BYTES, MessageContext};
use super::{UnopenedMessage, message};
use crate::backend::{Aead, Chosen, NONCE_BYTES};
use crate::context::Context;
use crate::error::{OpenError, SealError};
use crate::kdf::Broken;
use crate::observer::Observer;
use crate::refusal::{Refusal, Reporter};
use crate::secret::{SecretKey, random};

/// The lengths of tag and nonce in bits and bytes, as the info of each data key tells them.
const LENGTHS: [u8; 8] = [0, 0, 0, 128, 0, 0, 0, 12];

/// The namespace or the name of a raw AES key cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RawAesKeyError {
    /// It is empty or longer than [`MAX_KEY_NAME_BYTES`].
    #[error("a {what} has 1 to {MAX_KEY_NAME_BYTES} bytes, this one has {bytes}")]
    Length {
        /// `namespace` or `name`.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// The namespace is that of AWS KMS.
    #[error("namespaces that begin `aws-kms` are those of AWS KMS")]
    Reserved,
}

impl RawAesKeyError {
    /// The stable name of this error, `usage`.
    pub fn code(&self) -> &'static str {
        "usage"
    }
}

/// An AES-256 key that wraps data keys, under the names by which messages know it.
///
/// Replace it before it has wrapped 2³² data keys, which nobody counts: its nonces are 96 random bits, and at that number
/// two of them are equal with probability 2⁻³³.
///
/// ```
/// use qsec_crypto::{SecretKey, esdk::RawAesKey};
///
/// let key = RawAesKey::new("acme", "2030", SecretKey::generate()?)?;
/// assert_eq!((key.namespace(), key.name()), ("acme", "2030"));
/// assert!(RawAesKey::new("aws-kms", "2030", SecretKey::generate()?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RawAesKey {
    namespace: String,
    name: String,
    key: SecretKey,
}

impl RawAesKey {
    /// Takes a key and its names.
    ///
    /// # Errors
    /// [`RawAesKeyError`] if a name is empty or too long, or if the namespace is that of AWS KMS.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, key: SecretKey) -> Result<Self, RawAesKeyError> {
        let (namespace, name) = (namespace.into(), name.into());
        for (what, text) in [("namespace", &namespace), ("name", &name)] {
            if text.is_empty() || text.len() > MAX_KEY_NAME_BYTES {
                return Err(RawAesKeyError::Length { what, bytes: text.len() });
            }
        }
        if namespace.starts_with(AWS_KMS) {
            return Err(RawAesKeyError::Reserved);
        }
        Ok(Self { namespace, name, key })
    }

    /// A name that is known to be one.
    pub(super) fn of_tenant(namespace: &str, name: String, key: SecretKey) -> Self {
        Self { namespace: namespace.to_owned(), name, key }
    }

    /// The namespace: whose keys they are.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name: which of them it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn wrap(&self, data_key: &SecretKey, context: &MessageContext) -> Result<WrappedKey, SealError> {
        Ok(self.wrap_with(random()?, data_key, context)?)
    }

    pub(super) fn wrap_with(
        &self,
        nonce: [u8; NONCE_BYTES],
        data_key: &SecretKey,
        context: &MessageContext,
    ) -> Result<WrappedKey, Broken> {
        let mut ciphertext = Vec::with_capacity(32 + TAG_BYTES);
        ciphertext.extend_from_slice(data_key.expose_secret());
        let tag = self.aead()?.seal(nonce, context.encoded(), &mut ciphertext)?;
        ciphertext.extend_from_slice(&tag);
        let info = [self.name.as_bytes(), &LENGTHS, &nonce].concat();
        Ok(WrappedKey { provider: self.namespace.clone(), info, ciphertext })
    }

    /// The data key, if it was wrapped under this very key and name, with this context.
    pub(super) fn unwrap(&self, data_key: &WrappedKey, context: &[u8]) -> Result<Option<SecretKey>, Broken> {
        let nonce = data_key.info.strip_prefix(self.name.as_bytes()).and_then(|rest| rest.strip_prefix(&LENGTHS));
        let Some(nonce) = nonce.and_then(|nonce| nonce.try_into().ok()) else { return Ok(None) };
        let ciphertext = data_key.ciphertext.split_last_chunk::<TAG_BYTES>();
        let Some((ciphertext, tag)) = ciphertext.and_then(|(text, tag)| Some((SecretKey::try_from_slice(text)?, tag)))
        else {
            return Ok(None);
        };
        if self.namespace != data_key.provider {
            return Ok(None);
        }
        let aead = self.aead()?;
        let opened = SecretKey::filled_by(|key| {
            key.copy_from_slice(ciphertext.expose_secret());
            aead.open(nonce, context, key, *tag)
        });
        Ok(opened.ok())
    }

    fn aead(&self) -> Result<Chosen, Broken> {
        Chosen::new(self.key.expose_secret())
    }
}

impl fmt::Debug for RawAesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAesKey")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Seals messages that each of its keys opens, and opens those that one of its keys opens.
///
/// ```
/// use std::io::{Read, Write};
/// use qsec_crypto::esdk::{FrameLength, RawAesKey, RawAesKeyring};
/// use qsec_crypto::{Context, SecretKey};
///
/// let keyring = RawAesKeyring::new([RawAesKey::new("acme", "2030", SecretKey::generate()?)?])?;
/// let context = Context::from([("table", "orders")]);
///
/// let mut sealer = keyring.sealer(Vec::new(), &context, FrameLength::default())?;
/// sealer.write_all(b"4,200 EUR")?;
/// let sealed = sealer.finish()?;
///
/// let mut opened = String::new();
/// keyring.opener(sealed.as_slice(), &context)?.read_to_string(&mut opened)?;
/// assert_eq!(opened, "4,200 EUR");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RawAesKeyring {
    keys: Vec<RawAesKey>,
    observer: Arc<dyn Observer>,
}

impl RawAesKeyring {
    /// Takes 1 to 8 keys.
    ///
    /// # Errors
    /// [`SealError::DataKeys`] for none, or for more.
    pub fn new(keys: impl IntoIterator<Item = RawAesKey>) -> Result<Self, SealError> {
        let keys: Vec<RawAesKey> = keys.into_iter().collect();
        if keys.is_empty() || keys.len() > MAX_DATA_KEYS {
            return Err(SealError::DataKeys { count: keys.len(), limit: MAX_DATA_KEYS });
        }
        Ok(Self { keys, observer: Arc::new(()) })
    }

    /// Tells this observer of refusals, with their exact reasons.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// Seals bytes, in frames of 64 KiB. The context is written into the message, where everyone can read it.
    ///
    /// # Errors
    /// [`SealError::Context`] if the context is none, or has a reserved key; [`SealError::MessageTooLong`] beyond
    /// 2³² − 1 frames.
    pub fn seal(&self, plaintext: &[u8], context: &Context) -> Result<Vec<u8>, SealError> {
        self.data_key(context)?.seal(plaintext, FrameLength::default())
    }

    /// Seals a stream, in frames of this length: each is held in memory, and no more.
    ///
    /// # Errors
    /// As [`Self::seal`]; [`SealError::Write`] if the writer fails.
    pub fn sealer<W: Write>(
        &self,
        writer: W,
        context: &Context,
        frame_length: FrameLength,
    ) -> Result<EsdkSealer<W>, SealError> {
        self.data_key(context)?.sealer(writer, frame_length)
    }

    /// Opens a message that holds at least the pairs of this context.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] if no key opens it, a pair is missing or another, or any bit is not what was sealed;
    /// [`OpenError::Malformed`], [`OpenError::UnsupportedSuite`] and [`OpenError::BudgetExceeded`] by what its header
    /// says; [`OpenError::Context`] if the context is none, or has a reserved key.
    pub fn open(&self, sealed: &[u8], context: &Context) -> Result<Vec<u8>, OpenError> {
        let context = MessageContext::new(context)?;
        message::open(sealed, &context, &self.reporter(), |header| self.unwrap(header))
    }

    /// Opens a stream. Each frame is given out when it has verified; a signed message, and one block, are read whole
    /// first.
    ///
    /// # Errors
    /// As [`Self::open`]; [`OpenError::Read`] if the reader fails.
    pub fn opener<R: Read>(&self, reader: R, context: &Context) -> Result<EsdkOpener<R>, OpenError> {
        let context = MessageContext::new(context)?;
        let message = UnopenedMessage::read(reader)?.observed_by(Arc::clone(&self.observer));
        let data_key = self.unwrap(message.header()).map_err(|refusal| self.reporter().refused(refusal))?;
        message.open(&data_key, &context)
    }

    fn data_key(&self, context: &Context) -> Result<DataKey, SealError> {
        let mut data_key = DataKey::generate(MessageContext::new(context)?)?;
        self.keys.iter().try_for_each(|key| data_key.wrap(key))?;
        Ok(data_key)
    }

    /// Tries each data key under the keys that it names, and no other.
    fn unwrap(&self, header: &MessageHeader) -> Result<SecretKey, Refusal> {
        for data_key in header.data_keys() {
            for key in &self.keys {
                if let Some(data_key) = key.unwrap(data_key, &header.encoded_context)? {
                    return Ok(data_key);
                }
            }
        }
        Err(Refusal::DataKey)
    }

    fn reporter(&self) -> Reporter {
        Reporter { name: None, observer: Arc::clone(&self.observer) }
    }
}

impl fmt::Debug for RawAesKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAesKeyring").field("keys", &self.keys).finish_non_exhaustive()
    }
}
