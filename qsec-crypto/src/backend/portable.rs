//! In Rust alone, for wherever ring's assembly does not go. Slower.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};

use super::{Aead, NONCE_BYTES, TAG_BYTES, WrongTag};
use crate::kdf::Broken;

pub(crate) struct Key(Aes256Gcm);

impl Aead for Key {
    fn new(key: &[u8; 32]) -> Result<Self, Broken> {
        Ok(Self(Aes256Gcm::new(key.into())))
    }

    fn seal(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_BYTES], Broken> {
        let tag = self.0.encrypt_inout_detached(&nonce.into(), aad, text.into()).map_err(|_| Broken)?;
        Ok(tag.into())
    }

    fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        text: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> Result<(), WrongTag> {
        self.0.decrypt_inout_detached(&nonce.into(), aad, text.into(), &tag.into()).map_err(|_| WrongTag)
    }
}
