//! ring: AES-256-GCM and nothing else. The floor: whoever seals with AES-256-GCM on this machine pays at least that.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{ASSOCIATED_DATA, Sealer, SealerError, flip_last, random_key};

/// One AES-256-GCM call over the whole message, under one key, with nonces from a counter: no format, no commitment, no key
/// derivation, and no bound on how much one key seals.
#[derive(Debug)]
pub struct Ring {
    key: LessSafeKey,
    nonces: AtomicU64,
}

impl Ring {
    /// A key of this run.
    ///
    /// # Errors
    /// No random bytes.
    pub fn new() -> Result<Self, SealerError> {
        let key = UnboundKey::new(&AES_256_GCM, &random_key()?).map_err(|_| "no key of AES-256-GCM")?;
        Ok(Self { key: LessSafeKey::new(key), nonces: AtomicU64::new(0) })
    }
}

impl Sealer for Ring {
    const NAME: &'static str = "ring";
    type Plaintext = Vec<u8>;
    type Sealed = Vec<u8>;

    fn plaintext(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn bytes(plaintext: &Vec<u8>) -> &[u8] {
        plaintext
    }

    fn damage(sealed: &mut Vec<u8>) {
        flip_last(sealed);
    }

    fn seal(&self, plaintext: &Vec<u8>) -> Result<Vec<u8>, SealerError> {
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&self.nonces.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let (aad, nonce) = (Aad::from(ASSOCIATED_DATA), Nonce::assume_unique_for_key(nonce));
        let tag = self.key.seal_in_place_separate_tag(nonce, aad, &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(tag.map_err(|_| "not sealed")?.as_ref());
        Ok(sealed)
    }

    fn open(&self, mut sealed: Vec<u8>) -> Result<Vec<u8>, SealerError> {
        let (nonce, body) = sealed.split_first_chunk_mut::<NONCE_LEN>().ok_or("no nonce")?;
        let (aad, nonce) = (Aad::from(ASSOCIATED_DATA), Nonce::assume_unique_for_key(*nonce));
        let plaintext = self.key.open_in_place(nonce, aad, body).map_err(|_| "not opened")?;
        Ok(plaintext.to_vec())
    }
}
