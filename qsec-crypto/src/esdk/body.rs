//! The key of a message, and the frames under it.

#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::header::{Content, EsdkSuite, MessageHeader, TAG_BYTES};
use super::{MAX_BLOCK_BYTES, MessageContext};
use crate::backend::{Aead, Chosen, NONCE_BYTES};
use crate::kdf::{Broken, ExpandKey};
use crate::refusal::Refusal;
use crate::secret::SecretKey;

/// Marks the last frame where another has its number: so a message has at most 2³² − 1 frames.
const FINAL: [u8; 4] = [0xFF; 4];
/// Most frames of a message.
pub(super) const MAX_FRAMES: u32 = u32::MAX;
/// Bytes before the ciphertext of a frame: number and nonce.
pub(super) const FRAME_PREFIX_BYTES: usize = 16;
/// Bytes before the ciphertext of the last frame: mark, number, nonce, length.
pub(super) const FINAL_PREFIX_BYTES: usize = 24;
/// Bytes before the ciphertext of one block: nonce and length.
const BLOCK_PREFIX_BYTES: usize = 20;

/// What a piece of the body is. The text is authenticated with it, so that none passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Final,
    Block,
}

impl Kind {
    fn text(self) -> &'static [u8] {
        match self {
            Self::Regular => b"AWSKMSEncryptionClient Frame",
            Self::Final => b"AWSKMSEncryptionClient Final Frame",
            Self::Block => b"AWSKMSEncryptionClient Single Block",
        }
    }
}

/// A piece of the body, as it lies in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    number: u32,
    nonce: [u8; NONCE_BYTES],
    /// Where the ciphertext lies; the tag follows.
    pub(super) ciphertext: Range<usize>,
    /// Where the next frame starts.
    pub(super) end: usize,
}

/// What can be said of the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes are needed, from the start of the frame.
    Needs(usize),
    /// The frame is there.
    Whole(Frame),
}

/// Looks at the start of a frame that should have this number. What it announces is judged before it is waited for.
pub(super) fn measure(bytes: &[u8], content: Content, number: u32) -> Result<Step, Refusal> {
    let (kind, start, nonce, length) = match content {
        Content::Framed { frame_length } if bytes.starts_with(&FINAL) => {
            let Some(prefix) = bytes.first_chunk::<FINAL_PREFIX_BYTES>() else {
                return Ok(Step::Needs(FINAL_PREFIX_BYTES));
            };
            let length = u32::from_be_bytes(field(prefix, 20)?);
            if length > frame_length {
                return Err(Refusal::Frame);
            }
            (Kind::Final, FINAL_PREFIX_BYTES, in_order(prefix, 4, number)?, length.into())
        }
        Content::Framed { frame_length } => {
            let Some(prefix) = bytes.first_chunk::<FRAME_PREFIX_BYTES>() else {
                return Ok(Step::Needs(if bytes.len() < 4 { 4 } else { FRAME_PREFIX_BYTES }));
            };
            (Kind::Regular, FRAME_PREFIX_BYTES, in_order(prefix, 0, number)?, frame_length.into())
        }
        Content::OneBlock => {
            let Some(prefix) = bytes.first_chunk::<BLOCK_PREFIX_BYTES>() else {
                return Ok(Step::Needs(BLOCK_PREFIX_BYTES));
            };
            let length = u64::from_be_bytes(field(prefix, 12)?);
            if length > MAX_BLOCK_BYTES {
                return Err(Refusal::Block);
            }
            (Kind::Block, BLOCK_PREFIX_BYTES, field(prefix, 0)?, length)
        }
    };
    let length = usize::try_from(length).map_err(|_| Refusal::Broken)?;
    let ciphertext = start..start.saturating_add(length);
    let end = ciphertext.end.saturating_add(TAG_BYTES);
    if bytes.len() < end {
        return Ok(Step::Needs(end));
    }
    Ok(Step::Whole(Frame { kind, number, nonce, ciphertext, end }))
}

/// The nonce of a frame, which must be its number, which must be the one whose turn it is.
fn in_order(prefix: &[u8], at: usize, number: u32) -> Result<[u8; NONCE_BYTES], Refusal> {
    let nonce = field(prefix, at.saturating_add(4))?;
    let in_order = field(prefix, at)? == number.to_be_bytes() && nonce == nonce_of(number);
    if in_order { Ok(nonce) } else { Err(Refusal::Frame) }
}

fn field<const N: usize>(prefix: &[u8], at: usize) -> Result<[u8; N], Broken> {
    prefix.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Broken)
}

fn nonce_of(number: u32) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    if let Some(last) = nonce.last_chunk_mut() {
        *last = number.to_be_bytes();
    }
    nonce
}

/// What stands before the ciphertext of a regular frame.
pub(super) fn regular_prefix(number: u32) -> [u8; FRAME_PREFIX_BYTES] {
    let mut prefix = [0; FRAME_PREFIX_BYTES];
    let fields = number.to_be_bytes().into_iter().chain(nonce_of(number));
    prefix.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
    prefix
}

/// What stands before the ciphertext of the last frame.
pub(super) fn final_prefix(number: u32, length: u32) -> [u8; FINAL_PREFIX_BYTES] {
    let mut prefix = [0; FINAL_PREFIX_BYTES];
    let fields = FINAL.into_iter().chain(regular_prefix(number)).chain(length.to_be_bytes());
    prefix.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
    prefix
}

/// The key of one message.
pub(super) struct BodyKey<A = Chosen> {
    aead: A,
    message_id: [u8; 32],
}

impl<A: Aead> BodyKey<A> {
    /// Derives the key of a message, and the commitment to it, from its data key.
    pub(super) fn derive(
        suite: EsdkSuite,
        message_id: &[u8; 32],
        data_key: &SecretKey,
    ) -> Result<(Self, [u8; 32]), Broken> {
        let extracted = ExpandKey::extract(message_id, data_key);
        let key = SecretKey::filled_by(|out| extracted.expand(&[&suite.bytes(), b"DERIVEKEY"], out))?;
        let mut commitment = [0; 32];
        extracted.expand(&[b"COMMITKEY"], &mut commitment)?;
        Ok((Self { aead: A::new(key.expose_secret())?, message_id: *message_id }, commitment))
    }

    /// The key of a message that was read: if it holds what its reader demands, commits to this data key, and has the
    /// header that was sealed. The order is that of the specification: commitment, tag, body.
    pub(super) fn check(
        header: &MessageHeader,
        data_key: &SecretKey,
        demanded: &MessageContext,
    ) -> Result<Self, Refusal> {
        if !demanded.pairs().all(|(key, value)| header.pair(key) == Some(value)) {
            return Err(Refusal::ContextPair);
        }
        let (key, commitment) = Self::derive(header.suite(), &header.message_id, data_key)?;
        if !bool::from(commitment.as_slice().ct_eq(&header.commitment)) {
            return Err(Refusal::Commitment);
        }
        key.aead.open([0; NONCE_BYTES], &header.bytes, &mut [], header.tag).map_err(|_| Refusal::HeaderTag)?;
        Ok(key)
    }

    /// The tag of the header, which has nonce 0: the one header that there ever is under this key.
    pub(super) fn header_tag(&self, header: &[u8]) -> Result<[u8; TAG_BYTES], Broken> {
        self.aead.seal([0; NONCE_BYTES], header, &mut [])
    }

    /// Seals a frame in place and returns its tag.
    pub(super) fn seal_frame(&self, kind: Kind, number: u32, frame: &mut [u8]) -> Result<[u8; TAG_BYTES], Broken> {
        let aad = self.frame_aad(kind, number, frame.len())?;
        self.aead.seal(nonce_of(number), &aad, frame)
    }

    /// Opens a frame in place. If the tag is wrong it holds no plaintext afterwards.
    pub(super) fn open_frame(&self, frame: &Frame, text: &mut [u8], tag: [u8; TAG_BYTES]) -> Result<(), Refusal> {
        let aad = self.frame_aad(frame.kind, frame.number, text.len())?;
        self.aead.open(frame.nonce, &aad, text, tag).map_err(|_| {
            text.zeroize();
            Refusal::Frame
        })
    }

    fn frame_aad(&self, kind: Kind, number: u32, length: usize) -> Result<Vec<u8>, Broken> {
        let length = u64::try_from(length).map_err(|_| Broken)?.to_be_bytes();
        Ok([&self.message_id[..], kind.text(), &number.to_be_bytes(), &length].concat())
    }
}

/// Opens a whole body, which must end where its last frame ends.
pub(super) fn open<A: Aead>(key: &BodyKey<A>, content: Content, mut body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut plaintext = Zeroizing::new(Vec::with_capacity(body.len()));
    let mut number: u32 = 1;
    loop {
        let (frame, rest) = next(body, content, number)?;
        let start = plaintext.len();
        plaintext.extend_from_slice(body.get(frame.ciphertext.clone()).ok_or(Refusal::Broken)?);
        let tag = field(body, frame.ciphertext.end)?;
        key.open_frame(&frame, plaintext.get_mut(start..).ok_or(Refusal::Broken)?, tag)?;
        match (frame.kind, rest) {
            (Kind::Regular, rest) => body = rest,
            (Kind::Final | Kind::Block, []) => return Ok(std::mem::take(&mut *plaintext)),
            (Kind::Final | Kind::Block, _) => return Err(Refusal::End),
        }
        number = number.checked_add(1).ok_or(Refusal::Frame)?;
    }
}

/// Where a body ends, by its own account.
pub(super) fn end(content: Content, body: &[u8]) -> Result<usize, Refusal> {
    let (mut rest, mut number) = (body, 1_u32);
    loop {
        let (frame, after) = next(rest, content, number)?;
        rest = after;
        if frame.kind != Kind::Regular {
            return Ok(body.len().saturating_sub(rest.len()));
        }
        number = number.checked_add(1).ok_or(Refusal::Frame)?;
    }
}

fn next(body: &[u8], content: Content, number: u32) -> Result<(Frame, &[u8]), Refusal> {
    match measure(body, content, number)? {
        Step::Needs(_) => Err(Refusal::End),
        Step::Whole(frame) => {
            let rest = body.get(frame.end..).ok_or(Refusal::Broken)?;
            Ok((frame, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: Content = Content::Framed { frame_length: 100 };

    #[test]
    fn what_a_frame_announces_is_judged_before_it_is_waited_for() {
        assert_eq!(measure(b"", FRAMES, 1), Ok(Step::Needs(4)));
        assert_eq!(measure(&regular_prefix(1)[..4], FRAMES, 1), Ok(Step::Needs(16)));
        assert_eq!(measure(&regular_prefix(1), FRAMES, 1), Ok(Step::Needs(16 + 100 + 16)));
        assert_eq!(measure(&final_prefix(1, 100), FRAMES, 1), Ok(Step::Needs(24 + 100 + 16)));
        assert_eq!(measure(&final_prefix(1, 101), FRAMES, 1), Err(Refusal::Frame));
        assert_eq!(measure(&final_prefix(1, u32::MAX), FRAMES, 1), Err(Refusal::Frame));
        let block = |length: u64| [&[0; 12][..], &length.to_be_bytes()].concat();
        assert_eq!(measure(&block(MAX_BLOCK_BYTES), Content::OneBlock, 1), Ok(Step::Needs(20 + (64 << 20) + 16)));
        assert_eq!(measure(&block(MAX_BLOCK_BYTES + 1), Content::OneBlock, 1), Err(Refusal::Block));
        assert_eq!(measure(&block(u64::MAX), Content::OneBlock, 1), Err(Refusal::Block));
    }

    #[test]
    fn numbers_and_nonces_rise_by_one() {
        for number in [0, 2, u32::MAX - 1] {
            assert_eq!(measure(&regular_prefix(number), FRAMES, 1), Err(Refusal::Frame), "{number}");
            assert_eq!(measure(&final_prefix(number, 0), FRAMES, 1), Err(Refusal::Frame), "{number}");
        }
        let mut other_nonce = regular_prefix(1);
        other_nonce[4] = 1;
        assert_eq!(measure(&other_nonce, FRAMES, 1), Err(Refusal::Frame));
        assert!(measure(&final_prefix(u32::MAX, 0), FRAMES, u32::MAX).is_ok());
    }

    /// What the official SDKs write, and we only read: a final frame that is empty though the one before is full, and one
    /// block.
    #[test]
    fn an_empty_final_frame_and_one_block_open() {
        let (key, _) =
            BodyKey::<Chosen>::derive(EsdkSuite::Committing, &[1; 32], &SecretKey::copy_from(&[2; 32])).unwrap();
        let sealed = |kind, number, prefix: &[u8], text: &[u8]| {
            let mut text = text.to_vec();
            let tag = key.seal_frame(kind, number, &mut text).unwrap();
            [prefix, &text, &tag].concat()
        };
        let full = sealed(Kind::Regular, 1, &regular_prefix(1), &[7; 100]);
        let empty = sealed(Kind::Final, 2, &final_prefix(2, 0), b"");
        assert_eq!(open(&key, FRAMES, &[&full[..], &empty].concat()), Ok(vec![7; 100]));
        assert_eq!(open(&key, FRAMES, &full), Err(Refusal::End));
        // The same bytes as a regular and as a final frame differ in what is authenticated.
        let disguised = [&final_prefix(1, 100)[..], &full[16..]].concat();
        assert_eq!(open(&key, FRAMES, &disguised), Err(Refusal::Frame));

        let prefix = [&nonce_of(1)[..], &5_u64.to_be_bytes()].concat();
        let block = sealed(Kind::Block, 1, &prefix, b"hello");
        assert_eq!(open(&key, Content::OneBlock, &block), Ok(b"hello".to_vec()));
        assert_eq!(open(&key, Content::OneBlock, &block[..block.len() - 1]), Err(Refusal::End));
        assert_eq!(open(&key, Content::OneBlock, &[&block[..], b"!"].concat()), Err(Refusal::End));
    }
}
