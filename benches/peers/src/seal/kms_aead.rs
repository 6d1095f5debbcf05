//! kms-aead: its AEAD with a data key that is in memory. Without its key services there is no envelope, so none is timed.

use std::fmt;

use kms_aead::ring_encryption::RingAeadEncryption;
use kms_aead::{AeadEncryption, CipherText, DataEncryptionKey};
use ring::aead::AES_256_GCM;
use ring::rand::SystemRandom;
use secret_vault_value::SecretValue;

use super::{ASSOCIATED_DATA, Sealer, SealerError, flip_last};

/// `RingAeadEncryption` with AES-256-GCM in place of its default ChaCha20-Poly1305, to time the same cipher.
pub struct KmsAead {
    encryption: RingAeadEncryption,
    key: DataEncryptionKey,
}

impl fmt::Debug for KmsAead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KmsAead").finish_non_exhaustive()
    }
}

impl KmsAead {
    /// A key of this run.
    ///
    /// # Errors
    /// No random bytes.
    pub fn new() -> Result<Self, SealerError> {
        let encryption = RingAeadEncryption::with_algorithm(&AES_256_GCM, SystemRandom::new())?;
        let key = encryption.generate_data_encryption_key()?;
        Ok(Self { encryption, key })
    }
}

impl Sealer for KmsAead {
    const NAME: &'static str = "kms-aead";
    type Plaintext = SecretValue;
    type Sealed = CipherText;

    fn plaintext(bytes: &[u8]) -> SecretValue {
        SecretValue::new(bytes.to_vec())
    }

    fn bytes(plaintext: &SecretValue) -> &[u8] {
        plaintext.as_sensitive_bytes()
    }

    fn damage(sealed: &mut CipherText) {
        flip_last(&mut sealed.0);
    }

    fn seal(&self, plaintext: &SecretValue) -> Result<CipherText, SealerError> {
        Ok(pollster::block_on(self.encryption.encrypt_value(&ASSOCIATED_DATA, plaintext, &self.key))?)
    }

    fn open(&self, sealed: CipherText) -> Result<SecretValue, SealerError> {
        Ok(pollster::block_on(self.encryption.decrypt_value(&ASSOCIATED_DATA, &sealed, &self.key))?)
    }
}
