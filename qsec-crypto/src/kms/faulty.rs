//! A KMS that fails as it is told, before a real one: for the tests of whoever depends on a KMS.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::keyring::Timer;
use crate::kms::{KeyId, Kms, KmsError, KmsKeyDescription, Unwrapped, Wrapped, WrappingContext};
use crate::secret::{Secret, SecretKey};
use crate::store::BoxFuture;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It cannot be reached.
    Unavailable,
    /// It asks for fewer calls.
    Throttled,
    /// It refuses this caller.
    Denied,
    /// It says that the key is disabled.
    Disabled,
    /// It never answers.
    Hang,
    /// It answers after so long; needs a timer.
    Late(Duration),
    /// It unwraps to a key of its own.
    OtherPlaintext,
    /// It names another key than was asked.
    OtherKeyId,
    /// Its answer lacks the last byte.
    Short,
    /// Its answer has a byte too many.
    Long,
    /// Its answer is empty.
    Empty,
    /// It wraps something else than it was given.
    OtherWrapped,
}

/// Passes calls on to a KMS, counts them, and fails them as it is told.
///
/// ```
/// use std::sync::Arc;
/// use std::time::SystemTime;
/// use qsec_crypto::kms::{Fault, FaultyKms, LocalKms, RootKey};
/// use qsec_crypto::{KeyRecords, Keyring, MemoryStore, Purpose, TenantId};
///
/// # pollster::block_on(async {
/// # let now = SystemTime::UNIX_EPOCH;
/// let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?;
/// let key_id = kms.create_key(now).await?;
/// let kms = Arc::new(FaultyKms::over(kms));
/// let keys = Keyring::new(TenantId::new("acme")?, kms.clone(), KeyRecords::in_memory()?);
/// keys.create(&[key_id], &[Purpose::data()], now).await?;
/// assert_eq!(kms.calls(), 2); // wrap, and unwrap to see that it opens
///
/// kms.fail(None, Fault::Unavailable);
/// assert_eq!(keys.current(&Purpose::data(), now).await.unwrap_err().code(), "kms_unavailable");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct FaultyKms<K> {
    kms: K,
    provider: Option<&'static str>,
    timer: Option<Arc<dyn Timer>>,
    calls: AtomicU32,
    armed: Mutex<Option<Armed>>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    /// The key that fails, or all.
    key_id: Option<KeyId>,
    /// How many calls pass before.
    passing: u32,
    /// How often yet, or until healed.
    times: Option<u32>,
}

impl<K: Kms> FaultyKms<K> {
    /// Does what this KMS does, until told otherwise.
    pub fn over(kms: K) -> Self {
        Self { kms, provider: None, timer: None, calls: AtomicU32::new(0), armed: Mutex::default() }
    }

    /// Goes by another provider's name.
    #[must_use]
    pub fn as_provider(self, provider: &'static str) -> Self {
        Self { provider: Some(provider), ..self }
    }

    /// Waits with this timer before a late answer.
    #[must_use]
    pub fn with_timer(self, timer: Arc<dyn Timer>) -> Self {
        Self { timer: Some(timer), ..self }
    }

    /// Fails every call with one key, or with any, until healed.
    pub fn fail(&self, key_id: Option<&KeyId>, fault: Fault) {
        *self.armed() = Some(Armed { fault, key_id: key_id.cloned(), passing: 0, times: None });
    }

    /// Fails the next calls, so many of them.
    pub fn fail_times(&self, times: u32, fault: Fault) {
        *self.armed() = Some(Armed { fault, key_id: None, passing: 0, times: Some(times) });
    }

    /// Lets the next calls pass, so many of them, and fails all others until healed.
    pub fn fail_after(&self, passing: u32, fault: Fault) {
        *self.armed() = Some(Armed { fault, key_id: None, passing, times: None });
    }

    /// Does again what the KMS does.
    pub fn heal(&self) {
        *self.armed() = None;
    }

    /// How many calls there were since this was last asked.
    pub fn calls(&self) -> u32 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    fn armed(&self) -> MutexGuard<'_, Option<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, key_id: &KeyId) -> Option<Fault> {
        let mut armed = self.armed();
        let of_key = armed.as_mut().filter(|armed| armed.key_id.as_ref().is_none_or(|key| key == key_id))?;
        if let Some(left) = of_key.passing.checked_sub(1) {
            of_key.passing = left;
            return None;
        }
        if let Some(times) = &mut of_key.times {
            *times = times.checked_sub(1)?;
        }
        Some(of_key.fault)
    }

    /// Fails the call, or says what is to become of its answer.
    async fn before(&self, key_id: &KeyId, operation: &'static str) -> Result<Option<Fault>, KmsError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let fault = self.fault(key_id);
        let key_id = key_id.clone();
        match fault {
            Some(Fault::Unavailable) => Err(KmsError::Unavailable("connection refused".into())),
            Some(Fault::Throttled) => Err(KmsError::Throttled { retry_after: None }),
            Some(Fault::Denied) => Err(KmsError::AccessDenied { key_id, operation }),
            Some(Fault::Disabled) => Err(KmsError::KeyDisabled { key_id }),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Late(time)) => {
                if let Some(timer) = &self.timer {
                    timer.sleep(time).await;
                }
                Ok(fault)
            }
            _ => Ok(fault),
        }
    }
}

impl<K: Kms> Kms for FaultyKms<K> {
    fn provider(&self) -> &'static str {
        self.provider.unwrap_or_else(|| self.kms.provider())
    }

    fn endpoint(&self) -> Option<&str> {
        self.kms.endpoint()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move {
            let fault = self.before(key_id, "wrap").await?;
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
            let fault = self.before(key_id, "unwrap").await?;
            let unwrapped = self.kms.unwrap(key_id, blob, context, now).await?;
            let secret = unwrapped.secret().expose_secret();
            let answer = |secret: &[u8]| Ok(Unwrapped::new(key_id.clone(), Secret::copy_from(secret)));
            match fault {
                Some(Fault::OtherPlaintext) => answer(&[0x66; 32]),
                Some(Fault::OtherKeyId) => {
                    let other = KeyId::new("other").map_err(|_| KmsError::Internal { what: "`other` is a key id" })?;
                    Ok(Unwrapped::new(other, Secret::copy_from(secret)))
                }
                Some(Fault::Short) => answer(secret.split_last().map_or(&[], |(_, rest)| rest)),
                Some(Fault::Long) => answer(&[secret, &[0]].concat()),
                Some(Fault::Empty) => answer(&[]),
                _ => Ok(unwrapped),
            }
        })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        Box::pin(async move {
            self.before(key_id, "describe").await?;
            self.kms.describe(key_id, now).await
        })
    }
}
