//! Ours: the native format under a tenant's key, and messages of the AWS Encryption SDK under a raw AES key.

use qsec_crypto::esdk::{RawAesKey, RawAesKeyring};
use qsec_crypto::{Context, RawKey, SecretKey, TenantKey};

use super::{CONTEXT, ESDK_NAME, ESDK_NAMESPACE, Sealer, SealerError, flip_last};

/// `qsec-crypto`, its own format: `TenantKey::seal` with a key that is in memory, as it is after a keyring's first answer.
#[derive(Debug)]
pub struct Native {
    key: TenantKey,
    context: Context,
}

impl Native {
    /// A key of this run.
    ///
    /// # Errors
    /// No random bytes.
    pub fn new() -> Result<Self, SealerError> {
        let key = RawKey::new(SecretKey::generate()?).at_version(1)?;
        Ok(Self { key, context: Context::from(CONTEXT) })
    }
}

impl Sealer for Native {
    const NAME: &'static str = "qsec";
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
        Ok(self.key.seal(plaintext, &self.context)?)
    }

    fn open(&self, sealed: Vec<u8>) -> Result<Vec<u8>, SealerError> {
        Ok(self.key.open(&sealed, &self.context)?)
    }
}

/// `qsec-crypto`, messages of the AWS Encryption SDK: a new data key for each, wrapped under a raw AES key; suite 0x0478.
#[derive(Debug)]
pub struct Esdk {
    keyring: RawAesKeyring,
    context: Context,
}

impl Esdk {
    /// A keyring of this wrapping key.
    ///
    /// # Errors
    /// Whatever `qsec-crypto` reports.
    pub fn new(key: &[u8; 32]) -> Result<Self, SealerError> {
        let key = RawAesKey::new(ESDK_NAMESPACE, ESDK_NAME, SecretKey::copy_from(key))?;
        Ok(Self { keyring: RawAesKeyring::new([key])?, context: Context::from(CONTEXT) })
    }
}

impl Sealer for Esdk {
    const NAME: &'static str = "qsec-esdk";
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
        Ok(self.keyring.seal(plaintext, &self.context)?)
    }

    fn open(&self, sealed: Vec<u8>) -> Result<Vec<u8>, SealerError> {
        Ok(self.keyring.open(&sealed, &self.context)?)
    }
}
