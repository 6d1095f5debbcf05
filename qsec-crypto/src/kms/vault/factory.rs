//! What the conformance suite may do with a transit engine. The keys that it makes stay there, named `qsec-conformance-…`.
//! Its futures need a tokio runtime: [`Factory::block_on`] is for the caller to give.

use std::time::SystemTime;

use super::{VaultKms, ciphertext};
use crate::kms::conformance::Factory;
use crate::kms::{KeyId, Kms, KmsError, Unwrapped, WrappingContext};
use crate::secret::random;
use crate::store::BoxFuture;

impl Factory for VaultKms {
    fn kms(&self) -> &dyn Kms {
        self
    }

    fn fresh_key(&self, _now: SystemTime) -> BoxFuture<'_, Result<KeyId, KmsError>> {
        Box::pin(async {
            let unique = u128::from_be_bytes(random()?);
            self.create_key(&format!("qsec-conformance-{unique:032x}")).await
        })
    }

    fn unknown_key(&self) -> Option<KeyId> {
        KeyId::new("qsec-conformance-unknown").ok()
    }

    fn destroy<'a>(&'a self, key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.destroy(key_id)))
    }

    fn rotate<'a>(&'a self, key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.rotate(key_id)))
    }

    fn material_version(&self, blob: &[u8]) -> Option<u32> {
        ciphertext::version(blob)
    }

    fn unwrap_pairs<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        pairs: &'a [(&'a str, &'a str)],
        _now: SystemTime,
    ) -> Option<BoxFuture<'a, Result<Unwrapped, KmsError>>> {
        let context = WrappingContext::encode_pairs(pairs);
        Some(Box::pin(async move { self.unwrap_bound_to(key_id, blob, &context).await }))
    }
}
