//! The key of one message, before there is a message.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use super::body::{self, BodyKey, FINAL_PREFIX_BYTES, FRAME_PREFIX_BYTES, Kind, MAX_FRAMES};
use super::header::{AWS_KMS, EsdkSuite, FRAMED, TAG_BYTES, VERSION, WrappedKey};
use super::{EsdkSealer, FrameLength, MAX_DATA_KEY_BYTES, MAX_DATA_KEYS, MessageContext, RawAesKey};
use crate::backend::{Aead, Chosen};
use crate::error::SealError;
use crate::kdf::Broken;
use crate::kms::{KeyId, MAX_BLOB_BYTES};
use crate::secret::{RandomError, SecretKey, random};
use crate::stream::Lifetime;

/// Whatever AWS KMS answers can be read back.
const _: () = assert!(MAX_BLOB_BYTES <= MAX_DATA_KEY_BYTES);

/// A fresh data key, the context it is bound to, and its wrappings. It seals one message and is gone.
///
/// [`RawAesKeyring`](super::RawAesKeyring) does all of this at once; a data key is for whoever lets a KMS wrap it.
///
/// ```
/// use qsec_crypto::esdk::{DataKey, FrameLength, MessageContext, RawAesKey};
/// use qsec_crypto::{Context, SecretKey, kms::KeyId};
///
/// # fn encrypt_by_kms(_: &KeyId, _: &[u8; 32], _: &[(&str, &str)]) -> Vec<u8> { vec![7; 184] }
/// let arn = KeyId::new("arn:aws:kms:eu-central-1:111122223333:key/mrk-1234")?;
/// let mut data_key = DataKey::generate(MessageContext::new(&Context::from([("table", "orders")]))?)?;
///
/// // The format demands that the KMS is given the whole context.
/// let pairs: Vec<_> = data_key.context().pairs().collect();
/// let blob = encrypt_by_kms(&arn, data_key.expose_secret(), &pairs);
/// data_key.add_kms(&arn, blob)?;
/// data_key.wrap(&RawAesKey::new("acme", "escrow", SecretKey::generate()?)?)?;
///
/// let sealed = data_key.seal(b"4,200 EUR", FrameLength::default())?;
/// # assert!(!sealed.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a data key seals one message"]
pub struct DataKey {
    key: SecretKey,
    context: MessageContext,
    wrapped: Vec<WrappedKey>,
}

impl DataKey {
    /// 32 bytes from the kernel, for a message with this context.
    ///
    /// # Errors
    /// [`RandomError`] if the kernel gives none.
    pub fn generate(context: MessageContext) -> Result<Self, RandomError> {
        Ok(Self { key: SecretKey::generate()?, context, wrapped: Vec::new() })
    }

    /// The pairs of the message, which every wrapping is bound to.
    pub fn context(&self) -> &MessageContext {
        &self.context
    }

    /// The bytes, for a KMS to wrap.
    pub fn expose_secret(&self) -> &[u8; 32] {
        self.key.expose_secret()
    }

    /// Wraps it under a raw AES key.
    ///
    /// # Errors
    /// [`SealError::DataKeys`] if there are 8 wrappings already; [`SealError::Random`] if the kernel gives no nonce.
    pub fn wrap(&mut self, key: &RawAesKey) -> Result<(), SealError> {
        let wrapped = key.wrap(&self.key, &self.context)?;
        self.add(wrapped)
    }

    /// Adds what AWS KMS answered: the ARN of the key and the ciphertext of this data key under the whole context.
    ///
    /// # Errors
    /// [`SealError::DataKeys`] if there are 8 wrappings already; [`SealError::DataKeyTooLong`] if the ciphertext is longer
    /// than any that AWS KMS makes (6,144 bytes).
    pub fn add_kms(&mut self, key_id: &KeyId, blob: Vec<u8>) -> Result<(), SealError> {
        if blob.len() > MAX_BLOB_BYTES {
            return Err(SealError::DataKeyTooLong { bytes: blob.len(), limit: MAX_BLOB_BYTES });
        }
        let info = key_id.as_str().as_bytes().to_vec();
        self.add(WrappedKey { provider: AWS_KMS.to_owned(), info, ciphertext: blob })
    }

    fn add(&mut self, wrapped: WrappedKey) -> Result<(), SealError> {
        if self.wrapped.len() >= MAX_DATA_KEYS {
            return Err(SealError::DataKeys { count: MAX_DATA_KEYS.saturating_add(1), limit: MAX_DATA_KEYS });
        }
        self.wrapped.push(wrapped);
        Ok(())
    }

    /// Seals the one message of this key.
    ///
    /// # Errors
    /// [`SealError::DataKeys`] if nobody could open it; [`SealError::MessageTooLong`] beyond 2³² − 1 frames;
    /// [`SealError::Random`] if the kernel gives no message id.
    pub fn seal(self, plaintext: &[u8], frame_length: FrameLength) -> Result<Vec<u8>, SealError> {
        self.seal_as::<Chosen>(&random()?, plaintext, frame_length)
    }

    fn seal_as<A: Aead>(
        self,
        message_id: &[u8; 32],
        plaintext: &[u8],
        frame_length: FrameLength,
    ) -> Result<Vec<u8>, SealError> {
        let bytes = usize::try_from(frame_length.bytes()).map_err(|_| SealError::Internal)?;
        // A plaintext that fills its frames ends in a full one; an empty one is an empty frame.
        let regular = plaintext.len().saturating_sub(1) / bytes;
        if u32::try_from(regular).map_or(true, |regular| regular == MAX_FRAMES) {
            return Err(frame_length.message_too_long());
        }
        let frames = regular.saturating_mul(FRAME_PREFIX_BYTES + TAG_BYTES);
        let body = plaintext.len().saturating_add(frames).saturating_add(FINAL_PREFIX_BYTES + TAG_BYTES);
        let (key, mut sealed) = self.begin::<A>(message_id, frame_length, body)?;
        let (full, last) = plaintext.split_at_checked(regular.saturating_mul(bytes)).ok_or(SealError::Internal)?;
        let mut number: u32 = 1;
        for frame in full.chunks(bytes) {
            sealed.extend_from_slice(&body::regular_prefix(number));
            append(&key, Kind::Regular, number, frame, &mut sealed)?;
            number = number.checked_add(1).ok_or(SealError::Internal)?;
        }
        let length = u32::try_from(last.len()).map_err(|_| SealError::Internal)?;
        sealed.extend_from_slice(&body::final_prefix(number, length));
        append(&key, Kind::Final, number, last, &mut sealed)?;
        Ok(sealed)
    }

    /// Seals the one message of this key as a stream. The writer is given the header at once.
    ///
    /// # Errors
    /// As [`Self::seal`]; [`SealError::Write`] if the writer fails.
    pub fn sealer<W: Write>(self, writer: W, frame_length: FrameLength) -> Result<EsdkSealer<W>, SealError> {
        self.sealer_for(writer, frame_length, Lifetime::unlimited(Arc::new(())))
    }

    pub(super) fn sealer_for<W: Write>(
        self,
        writer: W,
        frame_length: FrameLength,
        lifetime: Lifetime,
    ) -> Result<EsdkSealer<W>, SealError> {
        let (key, header) = self.begin(&random()?, frame_length, 0)?;
        EsdkSealer::start(writer, key, &header, frame_length, lifetime)
    }

    /// The key of the message, and its header with the tag and with room for the body. This is the only place where a
    /// header comes to be, and it takes the data key with it.
    fn begin<A: Aead>(
        self,
        message_id: &[u8; 32],
        frame_length: FrameLength,
        body: usize,
    ) -> Result<(BodyKey<A>, Vec<u8>), SealError> {
        if self.wrapped.is_empty() {
            return Err(SealError::DataKeys { count: 0, limit: MAX_DATA_KEYS });
        }
        let suite = EsdkSuite::Committing;
        let (key, commitment) = BodyKey::derive(suite, message_id, &self.key)?;
        let mut header = Vec::with_capacity(self.header_bytes().saturating_add(body));
        header.push(VERSION);
        header.extend(suite.bytes());
        header.extend(message_id);
        push_prefixed(&mut header, self.context.encoded())?;
        header.extend(u16::try_from(self.wrapped.len()).map_err(|_| SealError::Internal)?.to_be_bytes());
        for WrappedKey { provider, info, ciphertext } in &self.wrapped {
            push_prefixed(&mut header, provider.as_bytes())?;
            push_prefixed(&mut header, info)?;
            push_prefixed(&mut header, ciphertext)?;
        }
        header.push(FRAMED);
        header.extend(frame_length.bytes().to_be_bytes());
        header.extend(commitment);
        let tag = key.header_tag(&header)?;
        header.extend(tag);
        Ok((key, header))
    }

    /// The length of the header and its tag.
    fn header_bytes(&self) -> usize {
        let fixed = 1 + 2 + 32 + 2 + 2 + 1 + 4 + 32 + TAG_BYTES;
        let wrapped = self.wrapped.iter().map(|key| 6 + key.provider.len() + key.info.len() + key.ciphertext.len());
        fixed + self.context.encoded().len() + wrapped.sum::<usize>()
    }
}

fn append<A: Aead>(
    key: &BodyKey<A>,
    kind: Kind,
    number: u32,
    frame: &[u8],
    sealed: &mut Vec<u8>,
) -> Result<(), Broken> {
    let start = sealed.len();
    sealed.extend_from_slice(frame);
    let tag = key.seal_frame(kind, number, sealed.get_mut(start..).ok_or(Broken)?)?;
    sealed.extend_from_slice(&tag);
    Ok(())
}

fn push_prefixed(header: &mut Vec<u8>, field: &[u8]) -> Result<(), Broken> {
    header.extend(u16::try_from(field.len()).map_err(|_| Broken)?.to_be_bytes());
    header.extend_from_slice(field);
    Ok(())
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("context", &self.context).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;

    fn count_up<const N: usize>(from: u8) -> [u8; N] {
        std::array::from_fn(|i| from + u8::try_from(i).unwrap())
    }

    /// The message of the worked example, sealed from its own parts.
    #[test]
    fn a_message_is_that_of_the_worked_example() {
        let context = MessageContext::new(&Context::from([("table", "orders")])).unwrap();
        let wrapping = RawAesKey::new("qsec-test", "name-0", SecretKey::copy_from(&count_up(0x20))).unwrap();
        let key = SecretKey::copy_from(&count_up(0x60));
        let wrapped = vec![wrapping.wrap_with(count_up(0xA0), &key, &context).unwrap()];
        let data_key = DataKey { key, context, wrapped };
        let sealed = data_key.seal_as::<Chosen>(&count_up(0x80), b"hello", FrameLength::new(4_096).unwrap()).unwrap();
        assert_eq!((sealed.len(), sealed.capacity()), (243, 243));
        assert_eq!(
            hex::encode(ring::digest::digest(&ring::digest::SHA256, &sealed)),
            "5c68cca30ec0a4c23d9a1ec8e5cc6e1c881192b09b84954be8a06e07a9a8beaf"
        );
        let keyring = crate::esdk::RawAesKeyring::new([wrapping]).unwrap();
        assert_eq!(keyring.open(&sealed, &Context::from([("table", "orders")])).unwrap(), b"hello");
    }

    #[cfg(all(feature = "aws-lc-rs", feature = "aes-gcm"))]
    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

        #[test]
        fn messages_are_equal_whatever_seals_them_and_open_everywhere(
            key: [u8; 32],
            message_id: [u8; 32],
            pairs in proptest::collection::btree_map("[a-z]{1,4}", ".{0,6}", 0..4),
            length in 0_usize..2_000,
            frame in 1_u32..700,
        ) {
            use crate::backend::{aws_lc, in_ring, portable};

            let context = MessageContext::new(&Context::new(&pairs).unwrap()).unwrap();
            let plaintext: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let frame = FrameLength::new(frame).unwrap();
            let wrapping = RawAesKey::new("n", "k", SecretKey::copy_from(&[7; 32])).unwrap();
            let data_key = || {
                let key = SecretKey::copy_from(&key);
                let wrapped = vec![wrapping.wrap_with([9; 12], &key, &context).unwrap()];
                DataKey { key, context: context.clone(), wrapped }
            };
            let sealed = data_key().seal_as::<in_ring::Key>(&message_id, &plaintext, frame).unwrap();
            assert!(data_key().seal_as::<aws_lc::Key>(&message_id, &plaintext, frame).unwrap() == sealed);
            assert!(data_key().seal_as::<portable::Key>(&message_id, &plaintext, frame).unwrap() == sealed);

            let header = crate::esdk::MessageHeader::read(&mut sealed.as_slice()).unwrap();
            let body = &sealed[header.body_start()..];
            let key = SecretKey::copy_from(&key);
            let by_ring = BodyKey::<in_ring::Key>::check(&header, &key, &context).unwrap();
            let by_aws_lc = BodyKey::<aws_lc::Key>::check(&header, &key, &context).unwrap();
            let by_rust = BodyKey::<portable::Key>::check(&header, &key, &context).unwrap();
            assert!(body::open(&by_ring, header.content(), body).unwrap() == plaintext);
            assert!(body::open(&by_aws_lc, header.content(), body).unwrap() == plaintext);
            assert!(body::open(&by_rust, header.content(), body).unwrap() == plaintext);
        }
    }

    #[test]
    fn a_message_has_1_to_8_data_keys() {
        let key = RawAesKey::new("n", "k", SecretKey::copy_from(&[7; 32])).unwrap();
        let fresh = || DataKey::generate(MessageContext::new(&Context::empty()).unwrap()).unwrap();
        let error = fresh().seal(b"", FrameLength::default()).unwrap_err();
        assert!(matches!(error, SealError::DataKeys { count: 0, limit: 8 }), "{error}");
        let mut full = fresh();
        (0..8).for_each(|_| full.wrap(&key).unwrap());
        let arn = KeyId::new("arn:aws:kms:eu-central-1:111122223333:key/12").unwrap();
        assert!(matches!(full.wrap(&key), Err(SealError::DataKeys { count: 9, limit: 8 })));
        assert_eq!(full.add_kms(&arn, vec![0; 100]).unwrap_err().code(), "usage");
        assert!(full.seal(b"", FrameLength::default()).is_ok());
        let error = fresh().add_kms(&arn, vec![0; 6_145]).unwrap_err();
        assert!(matches!(error, SealError::DataKeyTooLong { bytes: 6_145, limit: 6_144 }), "{error}");
    }
}
