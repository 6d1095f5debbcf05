//! A message whose header has been read, and whose key is still to be found.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use super::body::{self, BodyKey};
use super::header::MessageHeader;
use super::{EsdkOpener, MAX_SIGNED_BYTES, MessageContext, signature};
use crate::backend::Chosen;
use crate::error::OpenError;
use crate::observer::Observer;
use crate::refusal::{Refusal, Reporter};
use crate::secret::SecretKey;
use crate::stream::Lifetime;

/// A message whose header has been read. It waits for its data key, which somebody else unwraps: a KMS, say.
///
/// ```
/// use std::io::Read;
/// use qsec_crypto::esdk::{DataKey, FrameLength, MessageContext, UnopenedMessage};
/// use qsec_crypto::{Context, SecretKey, kms::KeyId};
///
/// # let kms = std::cell::RefCell::new(Vec::new());
/// # let encrypt_by_kms = |key: &[u8; 32]| { kms.replace(key.to_vec()); vec![7; 184] };
/// # let decrypt_by_kms = |_: &KeyId, _: &[u8], _: &[(&str, &str)]| SecretKey::try_from_slice(&kms.borrow());
/// let ours = KeyId::new("arn:aws:kms:eu-central-1:111122223333:key/mrk-1234")?;
/// # let mut data_key = DataKey::generate(MessageContext::new(&Context::from([("table", "orders")]))?)?;
/// # data_key.add_kms(&ours, encrypt_by_kms(data_key.expose_secret()))?;
/// # let sealed = data_key.seal(b"4,200 EUR", FrameLength::default())?;
/// let message = UnopenedMessage::read(sealed.as_slice())?;
/// let wrapped = message.header().kms_data_keys(&ours).next().ok_or("not for us")?;
/// let pairs: Vec<_> = message.header().context().collect();
/// let data_key = decrypt_by_kms(&ours, wrapped.ciphertext(), &pairs).ok_or("the KMS refused")?;
///
/// let mut opened = String::new();
/// let demanded = MessageContext::new(&Context::from([("table", "orders")]))?;
/// message.open(&data_key, &demanded)?.read_to_string(&mut opened)?;
/// assert_eq!(opened, "4,200 EUR");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// One data key is tried: whatever fails with it ends the message, which [`UnopenedMessage::open`] therefore takes.
pub struct UnopenedMessage<R: Read> {
    header: MessageHeader,
    reader: R,
    observer: Arc<dyn Observer>,
}

impl<R: Read> UnopenedMessage<R> {
    /// Reads a header, and nothing behind it.
    ///
    /// # Errors
    /// [`OpenError::Malformed`], [`OpenError::UnsupportedSuite`] and [`OpenError::BudgetExceeded`] by what it says;
    /// [`OpenError::Read`] if the reader fails.
    pub fn read(mut reader: R) -> Result<Self, OpenError> {
        let header = MessageHeader::read(&mut reader)?;
        Ok(Self { header, reader, observer: Arc::new(()) })
    }

    /// Tells this observer of refusals, with their exact reasons.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// What the header says.
    pub fn header(&self) -> &MessageHeader {
        &self.header
    }

    /// Opens the body, with the data key that was unwrapped and the pairs that the message must hold.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] if the data key or a pair is another, or if the header or a signature does not verify;
    /// [`OpenError::BudgetExceeded`] if a message must be read whole and is too long for that; [`OpenError::Read`] if
    /// the reader fails.
    pub fn open(self, data_key: &SecretKey, demanded: &MessageContext) -> Result<EsdkOpener<R>, OpenError> {
        let lifetime = Lifetime::unlimited(Arc::clone(&self.observer));
        self.open_for(data_key, demanded, lifetime)
    }

    pub(super) fn open_for(
        self,
        data_key: &SecretKey,
        demanded: &MessageContext,
        lifetime: Lifetime,
    ) -> Result<EsdkOpener<R>, OpenError> {
        let Self { header, reader, .. } = self;
        let reporter = lifetime.reporter();
        let key = BodyKey::check(&header, data_key, demanded).map_err(|refusal| reporter.refused(refusal))?;
        if header.suite().is_signed() {
            let body = read_signed(&header, reader, reporter)?;
            return Ok(EsdkOpener::of_verified_body(header, key, body, lifetime));
        }
        Ok(EsdkOpener::start(header, key, reader, lifetime))
    }
}

impl<R: Read> fmt::Debug for UnopenedMessage<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnopenedMessage").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Reads a signed message to its end, still sealed, and gives back its body if the signature verifies. Nothing of it has
/// been opened before. The memory grows with what comes, not with what is announced.
fn read_signed(header: &MessageHeader, reader: impl Read, reporter: &Reporter) -> Result<Vec<u8>, OpenError> {
    let mut message = [header.bytes.as_slice(), &header.tag].concat();
    let room = MAX_SIGNED_BYTES.saturating_sub(message.len());
    let room_and_one = u64::try_from(room).unwrap_or(u64::MAX).saturating_add(1);
    let read = reader.take(room_and_one).read_to_end(&mut message).map_err(OpenError::Read)?;
    if read > room {
        return Err(OpenError::budget("bytes and a signature", MAX_SIGNED_BYTES));
    }
    let body = signature::verified_body(header, &message).map_err(|refusal| reporter.refused(refusal))?.len();
    message.drain(..header.body_start());
    message.truncate(body);
    Ok(message)
}

/// Opens a whole message in memory.
pub(super) fn open(
    sealed: &[u8],
    demanded: &MessageContext,
    reporter: &Reporter,
    unwrap: impl FnOnce(&MessageHeader) -> Result<SecretKey, Refusal>,
) -> Result<Vec<u8>, OpenError> {
    let header = MessageHeader::read(&mut &*sealed)?;
    let opened = unwrap(&header).and_then(|data_key| {
        let key = BodyKey::<Chosen>::check(&header, &data_key, demanded)?;
        let body = if header.suite().is_signed() {
            signature::verified_body(&header, sealed)?
        } else {
            sealed.get(header.body_start()..).unwrap_or_default()
        };
        body::open(&key, header.content(), body)
    });
    opened.map_err(|refusal| reporter.refused(refusal))
}
