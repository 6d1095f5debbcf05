//! The official AWS Encryption SDK: the message that our `Esdk` makes, made by those who wrote its specification.

use std::collections::HashMap;
use std::fmt;

use aws_esdk::client::Client;
use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{AesWrappingAlg, EsdkAlgorithmSuiteId};
use aws_esdk::types::aws_encryption_sdk_config::AwsEncryptionSdkConfig;

use super::{CONTEXT, ESDK_NAME, ESDK_NAMESPACE, Sealer, SealerError, flip_last};

/// The length of our frames. Theirs, if nothing is said, is 4,096 bytes: more frames, more work.
const FRAME_BYTES: i64 = 65_536;

/// `aws-esdk` with a raw AES keyring: a new data key for each message, wrapped under a raw AES key; suite 0x0478.
pub struct AwsEsdk {
    client: Client,
    keyring: KeyringRef,
    context: HashMap<String, String>,
}

impl fmt::Debug for AwsEsdk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AwsEsdk").finish_non_exhaustive()
    }
}

impl AwsEsdk {
    /// A client with this wrapping key.
    ///
    /// # Errors
    /// Whatever the SDK reports.
    pub fn new(key: &[u8; 32]) -> Result<Self, SealerError> {
        let providers = MaterialProviders::from_conf(MaterialProvidersConfig::builder().build()?)?;
        let keyring = providers
            .create_raw_aes_keyring()
            .key_namespace(ESDK_NAMESPACE)
            .key_name(ESDK_NAME)
            .wrapping_key(key.to_vec())
            .wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16);
        let context = CONTEXT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self {
            client: Client::from_conf(AwsEncryptionSdkConfig::builder().build()?)?,
            keyring: pollster::block_on(keyring.send())?,
            context: HashMap::from(context),
        })
    }
}

impl Sealer for AwsEsdk {
    const NAME: &'static str = "aws-esdk";
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
        let request = self
            .client
            .encrypt()
            .plaintext(plaintext.as_slice())
            .keyring(self.keyring.clone())
            .encryption_context(self.context.clone())
            .algorithm_suite_id(EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey)
            .frame_length(FRAME_BYTES);
        let sealed = pollster::block_on(request.send())?;
        Ok(sealed.ciphertext.ok_or("no message")?.into_inner())
    }

    fn open(&self, sealed: Vec<u8>) -> Result<Vec<u8>, SealerError> {
        let request = self
            .client
            .decrypt()
            .ciphertext(sealed)
            .keyring(self.keyring.clone())
            .encryption_context(self.context.clone());
        let opened = pollster::block_on(request.send())?;
        Ok(opened.plaintext.ok_or("no plaintext")?.into_inner())
    }
}
