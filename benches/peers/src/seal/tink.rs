//! Tink, its port to Rust: the AEAD primitive with the AES-256-GCM template.

use std::fmt;

use tink_core::Aead;
use tink_core::keyset::Handle;

use super::{ASSOCIATED_DATA, Sealer, SealerError, flip_last};

/// A keyset of one AES-256-GCM key.
pub struct Tink(Box<dyn Aead>);

impl fmt::Debug for Tink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tink").finish_non_exhaustive()
    }
}

impl Tink {
    /// A keyset of this run.
    ///
    /// # Errors
    /// Whatever Tink reports.
    pub fn new() -> Result<Self, SealerError> {
        tink_aead::init();
        let keyset = Handle::new(&tink_aead::aes256_gcm_key_template())?;
        Ok(Self(tink_aead::new(&keyset)?))
    }
}

impl Sealer for Tink {
    const NAME: &'static str = "tink";
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
        Ok(self.0.encrypt(plaintext, ASSOCIATED_DATA.as_bytes())?)
    }

    fn open(&self, sealed: Vec<u8>) -> Result<Vec<u8>, SealerError> {
        Ok(self.0.decrypt(&sealed, ASSOCIATED_DATA.as_bytes())?)
    }
}
