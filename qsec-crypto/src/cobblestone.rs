//! Cobblestone-256: C2SP chunked encryption (c2sp.org/chunked-encryption, v1) with AES-256-GCM and SHA-512.
//!
//! A message is `salt(24) || commitment(32) || chunks`. This module knows keys, chunks and whole messages in memory; the
//! streams in [`crate::sealer`], [`crate::opener`] and [`crate::seek`] are built from the same chunks.

#![deny(clippy::arithmetic_side_effects)]

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::backend::{Aead, Chosen, NONCE_BYTES};
use crate::kdf::{Broken, ExpandKey};
use crate::refusal::Refusal;

pub(crate) mod layout;
#[cfg(test)]
pub(crate) mod vectors;

use layout::{CHUNK_BYTES, COMMITMENT_BYTES, PREFIX_BYTES, SALT_BYTES, TAG_BYTES};

/// "The info parameter … is the concatenation of the ASCII string …, a zero byte, the salt, and the context."
const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// What a message is bound to: the `context` of the specification, in pieces that are joined by the derivation.
pub(crate) type Binding<'a> = [&'a [u8]; 3];

/// A message is longer than chunks can be counted, or a primitive refused what we gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealRefusal {
    TooLong,
    Broken,
}

impl From<Broken> for SealRefusal {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

/// Key and base nonce of one message. Chunks are numbered from 0; that a number is a `u32` is the format's own cap of
/// 2³² chunks, far below the 2³⁸ of the specification.
pub(crate) struct MessageKey<A = Chosen> {
    aead: A,
    base: [u8; NONCE_BYTES],
}

impl<A: Aead> MessageKey<A> {
    /// Derives key, base nonce and commitment of a message from its salt and all that it is bound to.
    pub(crate) fn derive(
        key: &ExpandKey,
        salt: &[u8; SALT_BYTES],
        binding: &Binding<'_>,
    ) -> Result<(Self, [u8; COMMITMENT_BYTES]), Broken> {
        let [first, second, third] = *binding;
        let mut okm = Zeroizing::new([0; 32 + NONCE_BYTES + COMMITMENT_BYTES]);
        key.expand(&[LABEL, salt, first, second, third], okm.as_mut_slice())?;
        let (key, rest) = okm.split_first_chunk::<32>().ok_or(Broken)?;
        let (base, rest) = rest.split_first_chunk().ok_or(Broken)?;
        let commitment = rest.first_chunk().ok_or(Broken)?;
        Ok((Self { aead: A::new(key)?, base: *base }, *commitment))
    }

    /// Derives the key of a message that someone else sent: it is used only if the commitment is the one derived.
    ///
    /// The commitment is compared before any chunk is opened. Without it one ciphertext could be made that opens under
    /// two keys, and a reader that tries several keys would tell which of them are in use.
    pub(crate) fn check(
        key: &ExpandKey,
        salt_and_commitment: &[u8; PREFIX_BYTES],
        binding: &Binding<'_>,
    ) -> Result<Self, Refusal> {
        let (salt, found) = salt_and_commitment.split_first_chunk().ok_or(Refusal::Broken)?;
        let (key, expected) = Self::derive(key, salt, binding)?;
        if bool::from(expected.as_slice().ct_eq(found)) { Ok(key) } else { Err(Refusal::Commitment) }
    }

    /// "The nonce is the base nonce XOR the chunk counter as a 96-bit big-endian integer."
    fn nonce(&self, index: u32) -> [u8; NONCE_BYTES] {
        let mut nonce = self.base;
        for (byte, counter) in nonce.iter_mut().rev().zip(index.to_be_bytes().iter().rev()) {
            *byte ^= counter;
        }
        nonce
    }

    /// Seals a chunk in place and returns its tag.
    pub(crate) fn seal_chunk(&self, index: u32, chunk: &mut [u8]) -> Result<[u8; TAG_BYTES], Broken> {
        self.aead.seal(self.nonce(index), &[], chunk)
    }

    /// Opens a chunk in place. If the tag is wrong the chunk holds no plaintext afterwards.
    pub(crate) fn open_chunk(&self, index: u32, chunk: &mut [u8], tag: [u8; TAG_BYTES]) -> Result<(), Refusal> {
        self.aead.open(self.nonce(index), &[], chunk, tag).map_err(|_| {
            chunk.zeroize();
            Refusal::Chunk
        })
    }
}

/// Seals a whole message behind `header`, in one allocation.
pub(crate) fn seal(
    key: &ExpandKey,
    salt: &[u8; SALT_BYTES],
    header: &[u8],
    binding: &Binding<'_>,
    plaintext: &[u8],
) -> Result<Vec<u8>, SealRefusal> {
    seal_by::<Chosen>(key, salt, header, binding, plaintext)
}

pub(crate) fn seal_by<A: Aead>(
    key: &ExpandKey,
    salt: &[u8; SALT_BYTES],
    header: &[u8],
    binding: &Binding<'_>,
    plaintext: &[u8],
) -> Result<Vec<u8>, SealRefusal> {
    let (message_key, commitment) = MessageKey::<A>::derive(key, salt, binding)?;
    let body = layout::body_len(plaintext.len()).ok_or(SealRefusal::TooLong)?;
    let length = header.len().checked_add(PREFIX_BYTES).and_then(|length| length.checked_add(body));
    let mut sealed = Vec::with_capacity(length.ok_or(SealRefusal::TooLong)?);
    sealed.extend_from_slice(header);
    sealed.extend_from_slice(salt);
    sealed.extend_from_slice(&commitment);

    let (full, last) = plaintext.as_chunks::<CHUNK_BYTES>();
    let chunks = full.iter().map(<[u8; CHUNK_BYTES]>::as_slice).chain([last]);
    let mut indices = 0..=u32::MAX;
    for chunk in chunks {
        let index = indices.next().ok_or(SealRefusal::TooLong)?;
        let start = sealed.len();
        sealed.extend_from_slice(chunk);
        let tag = message_key.seal_chunk(index, sealed.get_mut(start..).ok_or(Broken)?)?;
        sealed.extend_from_slice(&tag);
    }
    Ok(sealed)
}

/// Opens a whole message, without its header.
pub(crate) fn open(key: &ExpandKey, binding: &Binding<'_>, message: &[u8]) -> Result<Vec<u8>, Refusal> {
    open_by::<Chosen>(key, binding, message)
}

pub(crate) fn open_by<A: Aead>(key: &ExpandKey, binding: &Binding<'_>, message: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (prefix, body) = message.split_first_chunk().ok_or(Refusal::Prefix)?;
    let message_key = MessageKey::<A>::check(key, prefix, binding)?;
    let length = layout::opened_len(body.len()).ok_or(Refusal::End)?;
    let mut plaintext = Vec::with_capacity(length);
    open_chunks(&message_key, body, &mut plaintext).inspect_err(|_| plaintext.zeroize())?;
    Ok(plaintext)
}

fn open_chunks<A: Aead>(key: &MessageKey<A>, body: &[u8], plaintext: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut indices = 0..=u32::MAX;
    for chunk in body.chunks(layout::SEALED_CHUNK_BYTES) {
        let index = indices.next().ok_or(Refusal::End)?;
        let (chunk, tag) = chunk.split_last_chunk().ok_or(Refusal::End)?;
        let start = plaintext.len();
        plaintext.extend_from_slice(chunk);
        key.open_chunk(index, plaintext.get_mut(start..).ok_or(Refusal::Broken)?, *tag)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretKey;

    fn key() -> ExpandKey {
        ExpandKey::new(&SecretKey::copy_from(&[7; 32]))
    }

    const SALT: [u8; 24] = [9; 24];
    const BINDING: Binding<'static> = [b"one", b"two", b""];

    #[test]
    fn what_was_sealed_opens_at_every_length_around_a_chunk() {
        for length in [0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 49_152] {
            let plaintext: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let sealed = seal(&key(), &SALT, b"header", &BINDING, &plaintext).unwrap();
            assert_eq!(sealed.len(), sealed.capacity(), "one allocation of the right size");
            assert_eq!(layout::plaintext_len(sealed.len() as u64), Some(length as u64));
            assert_eq!(open(&key(), &BINDING, &sealed[6..]).unwrap(), plaintext);
        }
    }

    #[test]
    fn pieces_of_the_binding_are_joined_and_nothing_else() {
        let sealed = seal(&key(), &SALT, b"", &BINDING, b"x").unwrap();
        assert!(open(&key(), &[b"onetwo", b"", b""], &sealed).is_ok());
        assert_eq!(open(&key(), &[b"onetwo", b"", b"\0"], &sealed), Err(Refusal::Commitment));
    }

    #[test]
    fn chunk_counter_reaches_the_low_bytes_of_the_nonce_only() {
        let (key, _) = MessageKey::<Chosen>::derive(&key(), &SALT, &BINDING).unwrap();
        let nonce = |index| key.nonce(index);
        assert_eq!(nonce(0), key.base);
        let differs: Vec<usize> = (0..12).filter(|&i| nonce(u32::MAX)[i] != key.base[i]).collect();
        assert_eq!(differs, [8, 9, 10, 11]);
        assert_eq!(nonce(1)[11], key.base[11] ^ 1);
    }

    #[test]
    fn reasons_are_told_apart_inside() {
        let sealed = seal(&key(), &SALT, b"", &BINDING, &vec![5; 20_000]).unwrap();
        let changed = |at: usize| {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            open(&key(), &BINDING, &changed).unwrap_err()
        };
        assert_eq!(
            [changed(0), changed(24), changed(56), changed(20_000)],
            [Refusal::Commitment, Refusal::Commitment, Refusal::Chunk, Refusal::Chunk]
        );
        assert_eq!(open(&key(), &BINDING, &sealed[..55]), Err(Refusal::Prefix));
        assert_eq!(open(&key(), &BINDING, &sealed[..56]), Err(Refusal::End));
        assert_eq!(open(&key(), &BINDING, &sealed[..56 + 16_400]), Err(Refusal::End));
    }
}
