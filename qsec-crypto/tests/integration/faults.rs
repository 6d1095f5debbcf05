//! A KMS that counts its calls and fails as it is told, before a real one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use qsec_crypto::Secret;
use qsec_crypto::SecretKey;
use qsec_crypto::kms::{KeyId, Kms, KmsError, KmsKeyDescription, LocalKms, Unwrapped, Wrapped, WrappingContext};
use qsec_crypto::store::BoxFuture;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Unavailable,
    Throttled,
    Denied,
    /// Answers with a key of its own.
    OtherPlaintext,
    /// Names another key than was asked.
    OtherKeyId,
    Short,
    Long,
    Empty,
    /// Wraps something else than it was given.
    OtherWrapped,
}

#[derive(Debug)]
pub(crate) struct FaultyKms {
    kms: Arc<LocalKms>,
    calls: AtomicU32,
    /// The key that fails (or all), and how.
    fault: Mutex<Option<(Option<KeyId>, Fault)>>,
}

impl FaultyKms {
    pub(crate) fn over(kms: Arc<LocalKms>) -> Self {
        Self { kms, calls: AtomicU32::new(0), fault: Mutex::new(None) }
    }

    /// How many wraps and unwraps there were since the last question.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn fail(&self, key_id: Option<&KeyId>, fault: Fault) {
        *self.fault.lock().unwrap() = Some((key_id.cloned(), fault));
    }

    pub(crate) fn heal(&self) {
        *self.fault.lock().unwrap() = None;
    }

    fn fault(&self, key_id: &KeyId) -> Option<Fault> {
        let fault = self.fault.lock().unwrap();
        fault.as_ref().filter(|(key, _)| key.as_ref().is_none_or(|key| key == key_id)).map(|(_, fault)| *fault)
    }

    fn refuse(&self, key_id: &KeyId, operation: &'static str) -> Result<Option<Fault>, KmsError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.fault(key_id) {
            Some(Fault::Unavailable) => Err(KmsError::Unavailable("connection refused".into())),
            Some(Fault::Throttled) => Err(KmsError::Throttled { retry_after: None }),
            Some(Fault::Denied) => Err(KmsError::AccessDenied { key_id: key_id.clone(), operation }),
            other => Ok(other),
        }
    }
}

impl Kms for FaultyKms {
    fn provider(&self) -> &'static str {
        self.kms.provider()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move {
            let fault = self.refuse(key_id, "wrap")?;
            let other = SecretKey::copy_from(&[0x66; 32]);
            let key = if fault == Some(Fault::OtherWrapped) { &other } else { key };
            self.kms.wrap(key_id, key, context, now).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        Box::pin(async move {
            let fault = self.refuse(key_id, "unwrap")?;
            let unwrapped = self.kms.unwrap(key_id, blob, context, now).await?;
            let secret = unwrapped.secret().expose_secret();
            Ok(match fault {
                Some(Fault::OtherPlaintext) => Unwrapped::new(key_id.clone(), Secret::copy_from(&[0x66; 32])),
                Some(Fault::OtherKeyId) => Unwrapped::new(KeyId::new("other").unwrap(), Secret::copy_from(secret)),
                Some(Fault::Short) => Unwrapped::new(key_id.clone(), Secret::copy_from(&secret[..31])),
                Some(Fault::Long) => Unwrapped::new(key_id.clone(), Secret::copy_from(&[secret, &[0]].concat())),
                Some(Fault::Empty) => Unwrapped::new(key_id.clone(), Secret::copy_from(&[])),
                _ => unwrapped,
            })
        })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        Box::pin(async move {
            if self.fault(key_id) == Some(Fault::Unavailable) {
                return Err(KmsError::Unavailable("connection refused".into()));
            }
            self.kms.describe(key_id, now).await
        })
    }
}
