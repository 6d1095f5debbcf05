//! What the conformance suite may do with a token. The keys that it makes stay there, labelled `qsec-conformance-…`.

use std::time::SystemTime;

use super::Pkcs11Kms;
use crate::kms::conformance::Factory;
use crate::kms::{KeyId, Kms, KmsError, Unwrapped, WrappingContext};
use crate::secret::random;
use crate::store::BoxFuture;

impl Factory for Pkcs11Kms {
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

    fn is_deterministic(&self) -> bool {
        true
    }

    fn disable<'a>(&'a self, key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.disable(key_id)))
    }

    fn enable<'a>(&'a self, key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.enable(key_id)))
    }

    fn destroy<'a>(&'a self, key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.destroy(key_id)))
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
