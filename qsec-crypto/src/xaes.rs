//! XAES-256-GCM (c2sp.org/XAES-256-GCM): small messages with few bytes of overhead, which do **not** commit to their key.
//!
//! A message is `nonce(24) || ciphertext || tag(16)`. Somebody who knows two keys can make one message that opens under
//! both, to two plaintexts; so nobody here ever tries a second key on one.

#![deny(clippy::arithmetic_side_effects)]

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};
use zeroize::{Zeroize, Zeroizing};

use crate::backend::{Aead, Chosen, NONCE_BYTES};
use crate::header::HEADER_BYTES;
use crate::kdf::Broken;
use crate::refusal::Refusal;
use crate::secret::SecretKey;

/// Most plaintext bytes of a compact message, 1 MiB: it is opened whole, so it must fit in memory many times over; 2¹⁶
/// blocks of the 2³² that GCM allows.
pub const MAX_COMPACT_BYTES: usize = 1 << 20;

/// Bytes of the nonce, fresh for each message: 2⁸⁰ messages under one key collide with probability 2⁻³³.
pub(crate) const XAES_NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// Bytes that the format adds to a plaintext: header, nonce and tag.
const OVERHEAD_BYTES: usize = HEADER_BYTES + XAES_NONCE_BYTES + TAG_BYTES;

/// "K1 … is computed by encrypting the all-zero block and doubling it": the subkeys of CMAC, of which one is needed.
pub(crate) struct XaesKey {
    cipher: Aes256,
    k1: Zeroizing<[u8; 16]>,
}

impl XaesKey {
    pub(crate) fn new(key: &SecretKey) -> Self {
        let cipher = Aes256::new(key.expose_secret().into());
        let mut block = Block::default();
        cipher.encrypt_block(&mut block);
        let l = u128::from_be_bytes(block.into());
        block.as_mut_slice().zeroize();
        // Without a branch: the top bit of L is a secret.
        let reduction = 0x87 & 0_u128.wrapping_sub(l >> 127);
        let k1 = Zeroizing::new(((l << 1) ^ reduction).to_be_bytes());
        Self { cipher, k1 }
    }

    /// Derives the key and the nonce that AES-256-GCM is given: the first 12 bytes of the nonce make the key.
    fn derive(&self, nonce: &[u8; XAES_NONCE_BYTES]) -> Result<(Zeroizing<[u8; 32]>, [u8; NONCE_BYTES]), Broken> {
        let (first, last) = nonce.split_first_chunk::<12>().ok_or(Broken)?;
        let mut key = Zeroizing::new([0; 32]);
        for (half, counter) in key.chunks_mut(16).zip([1, 2]) {
            let mut block = Block::default();
            let input = [0, counter, b'X', 0].into_iter().chain(*first);
            for ((byte, input), k1) in block.iter_mut().zip(input).zip(self.k1.iter()) {
                *byte = input ^ k1;
            }
            self.cipher.encrypt_block(&mut block);
            half.copy_from_slice(&block);
            block.as_mut_slice().zeroize();
        }
        Ok((key, *last.first_chunk().ok_or(Broken)?))
    }

    fn message_key<A: Aead>(&self, nonce: &[u8; XAES_NONCE_BYTES]) -> Result<(A, [u8; NONCE_BYTES]), Broken> {
        let (key, nonce) = self.derive(nonce)?;
        Ok((A::new(&key)?, nonce))
    }

    /// Seals a whole message behind `header`, in one allocation.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; XAES_NONCE_BYTES],
        header: &[u8],
        binding: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Broken> {
        self.seal_by::<Chosen>(nonce, header, binding, plaintext)
    }

    pub(crate) fn seal_by<A: Aead>(
        &self,
        nonce: &[u8; XAES_NONCE_BYTES],
        header: &[u8],
        binding: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Broken> {
        let (key, gcm_nonce) = self.message_key::<A>(nonce)?;
        let mut sealed = Vec::with_capacity(plaintext.len().saturating_add(OVERHEAD_BYTES));
        sealed.extend_from_slice(header);
        sealed.extend_from_slice(nonce);
        let start = sealed.len();
        sealed.extend_from_slice(plaintext);
        let tag = key.seal(gcm_nonce, binding, sealed.get_mut(start..).ok_or(Broken)?)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens a whole message, without its header.
    pub(crate) fn open(&self, binding: &[u8], message: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.open_by::<Chosen>(binding, message)
    }

    pub(crate) fn open_by<A: Aead>(&self, binding: &[u8], message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (nonce, rest) = message.split_first_chunk().ok_or(Refusal::Prefix)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(Refusal::End)?;
        if ciphertext.len() > MAX_COMPACT_BYTES {
            return Err(Refusal::End);
        }
        let (key, nonce) = self.message_key::<A>(nonce)?;
        let mut plaintext = ciphertext.to_vec();
        if key.open(nonce, binding, &mut plaintext, *tag).is_err() {
            plaintext.zeroize();
            return Err(Refusal::Tag);
        }
        Ok(plaintext)
    }
}

/// Length of the plaintext, for the whole length of compact sealed bytes. `None` for a length that sealing never makes.
pub(crate) fn plaintext_len(sealed: u64) -> Option<u64> {
    let plaintext = usize::try_from(sealed).ok()?.checked_sub(OVERHEAD_BYTES)?;
    if plaintext > MAX_COMPACT_BYTES { None } else { u64::try_from(plaintext).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &[u8; 24] = b"ABCDEFGHIJKLMNOPQRSTUVWX";

    /// The two known answers of the C2SP specification, one for each value of the top bit of L.
    #[test]
    fn messages_are_those_of_the_specification() {
        for (byte, binding, expected) in [
            (1, &b""[..], "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ] {
            let key = XaesKey::new(&SecretKey::copy_from(&[byte; 32]));
            let sealed = key.seal(NONCE, b"", binding, b"XAES-256-GCM").unwrap();
            assert_eq!(sealed[..24], NONCE[..]);
            assert_eq!(hex::encode(&sealed[24..]), expected);
            assert_eq!(key.open(binding, &sealed).unwrap(), b"XAES-256-GCM");
        }
    }

    #[test]
    fn message_key_is_that_of_the_worked_example() {
        let k = hex::decode("e2c5ed36ab0f03b20462e6e0d1574b80638a1cb6978b3ead55b75d102e709bdd").unwrap();
        let nonce = std::array::from_fn(|i| 0x40 + u8::try_from(i).unwrap());
        let (key, gcm_nonce) = XaesKey::new(&SecretKey::try_from_slice(&k).unwrap()).derive(&nonce).unwrap();
        assert_eq!(hex::encode(*key), "b424defb465659cc9bbfe96ecf140321b127bcde0c1d6806f6ffe9619e16213f");
        assert_eq!(gcm_nonce[..], nonce[12..]);
    }

    #[test]
    fn reasons_are_told_apart_inside() {
        let key = XaesKey::new(&SecretKey::copy_from(&[7; 32]));
        let sealed = key.seal(NONCE, b"", b"binding", b"hello").unwrap();
        assert_eq!(key.open(b"binding", &sealed[..23]), Err(Refusal::Prefix));
        assert_eq!(key.open(b"binding", &sealed[..39]), Err(Refusal::End));
        assert_eq!(key.open(b"binding", &sealed[..44]), Err(Refusal::Tag));
        assert_eq!(key.open(b"Binding", &sealed), Err(Refusal::Tag));
        assert_eq!(key.open(b"binding", &vec![0; MAX_COMPACT_BYTES + 41]), Err(Refusal::End));
    }

    #[test]
    fn lengths_end_at_a_mebibyte() {
        assert_eq!(
            [45, 46, 51, 1_048_622, 1_048_623].map(plaintext_len),
            [None, Some(0), Some(5), Some(1_048_576), None]
        );
    }
}
