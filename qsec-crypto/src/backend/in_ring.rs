//! By ring: assembly for the processors that most servers have.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};

use super::{Aead, NONCE_BYTES, TAG_BYTES, WrongTag};
use crate::kdf::Broken;

pub(crate) struct Key(LessSafeKey);

impl Aead for Key {
    fn new(key: &[u8; 32]) -> Result<Self, Broken> {
        UnboundKey::new(&AES_256_GCM, key).map(|key| Self(LessSafeKey::new(key))).map_err(|_| Broken)
    }

    fn seal(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_BYTES], Broken> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text).map_err(|_| Broken)?;
        tag.as_ref().try_into().map_err(|_| Broken)
    }

    fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        text: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> Result<(), WrongTag> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(aad), Tag::from(tag), text, 0..);
        opened.map(|_| ()).map_err(|_| WrongTag)
    }
}
