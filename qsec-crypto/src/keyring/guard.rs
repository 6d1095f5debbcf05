//! How a tenant's KMS is called: bounded in time and number, tried again where that helps, spared where it does not
//! answer, and never believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use subtle::ConstantTimeEq;

use crate::kdf;
use crate::keyring::breaker::{Admitted, BreakerOpen, Breakers, Change};
use crate::keyring::bulkhead::{Bulkhead, Place};
use crate::keyring::record::KmsKey;
use crate::keyring::timer::{Timer, within};
use crate::kms::{Kms, KmsError, KmsKeyDescription, MAX_BLOB_BYTES, UnknownAnswer, Unwrapped, WrappingContext};
use crate::observer::{Event, Observer};
use crate::secret::{SecretKey, random};
use crate::store::BoxFuture;
use crate::tenant::TenantId;

/// How long one KMS call may take.
pub(crate) const CALL: Duration = Duration::from_secs(2);

/// How long all tries of one operation may take, their pauses included.
pub(crate) const TOTAL: Duration = Duration::from_secs(5);

/// Most tries of one operation.
const TRIES: u32 = 3;

/// The longest pause before the second try; doubled for the third. Each pause is a random part of it.
const BACKOFF: Duration = Duration::from_millis(50);

/// A KMS took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("it did not answer within {} s", .limit.as_secs())]
struct TimedOut {
    limit: Duration,
}

/// Calls the KMS of one tenant.
#[derive(Debug)]
pub(crate) struct Guard {
    timer: Option<Arc<dyn Timer>>,
    observer: Arc<dyn Observer>,
    bulkhead: Bulkhead,
    breakers: Breakers,
}

/// The KMS key that is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) kms: &'a dyn Kms,
    pub(crate) key: &'a KmsKey,
    /// Counts the calls that are made.
    pub(crate) calls: &'a AtomicU64,
}

/// One wrapped key, and how to know it again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrappedKey<'a> {
    pub(crate) blob: &'a [u8],
    pub(crate) context: &'a WrappingContext,
    pub(crate) key_check: &'a [u8],
}

impl Guard {
    pub(crate) fn new(timer: Option<Arc<dyn Timer>>, observer: Arc<dyn Observer>) -> Self {
        Self { timer, observer, bulkhead: Bulkhead::default(), breakers: Breakers::default() }
    }

    pub(super) fn timer(&self) -> Option<Arc<dyn Timer>> {
        self.timer.clone()
    }

    pub(super) fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// Wraps a key and answers the blob, which is not believed until it was unwrapped again.
    pub(crate) async fn wrap(
        &self,
        asked: Asked<'_>,
        secret: &SecretKey,
        context: &WrappingContext,
        now: SystemTime,
    ) -> Result<Vec<u8>, KmsError> {
        let Asked { kms, key, .. } = asked;
        let wrap = kms.wrap(&key.key_id, secret, context, now);
        let (wrapped, took) = self.call(asked, context.tenant(), now, wrap).await;
        let wrapped = wrapped.and_then(|wrapped| {
            let right = *wrapped.key_id() == key.key_id && (1..=MAX_BLOB_BYTES).contains(&wrapped.blob().len());
            if right { Ok(wrapped.into_blob()) } else { Err(KmsError::WrongKey { key_id: key.key_id.clone() }) }
        });
        self.called("key.wrapped", "wrap", key, context, wrapped.as_ref().err(), took);
        wrapped
    }

    /// Unwraps a key, and believes the KMS only if it is the one that was wrapped.
    pub(crate) async fn unwrap(
        &self,
        asked: Asked<'_>,
        wrapped: WrappedKey<'_>,
        now: SystemTime,
    ) -> Result<SecretKey, KmsError> {
        let (Asked { kms, key, .. }, WrappedKey { blob, context, .. }) = (asked, wrapped);
        let unwrap = kms.unwrap(&key.key_id, blob, context, now);
        let (unwrapped, took) = self.call(asked, context.tenant(), now, unwrap).await;
        let secret = unwrapped.and_then(|unwrapped| {
            verify(&unwrapped, key, wrapped).ok_or_else(|| KmsError::WrongKey { key_id: key.key_id.clone() })
        });
        self.called("key.unwrapped", "unwrap", key, context, secret.as_ref().err(), took);
        secret
    }

    /// Asks what the KMS knows of a key.
    pub(crate) async fn describe(
        &self,
        asked: Asked<'_>,
        tenant: &TenantId,
        now: SystemTime,
    ) -> Result<KmsKeyDescription, KmsError> {
        let Asked { kms, key, .. } = asked;
        let described = self.call(asked, tenant, now, kms.describe(&key.key_id, now)).await.0?;
        let right = *described.key_id() == key.key_id;
        if right { Ok(described) } else { Err(KmsError::WrongKey { key_id: key.key_id.clone() }) }
    }

    /// One call: only if the breaker lets it pass and the tenant has a place for it, and for as long as one may take. Also
    /// answers how long it took.
    async fn call<T>(
        &self,
        asked: Asked<'_>,
        tenant: &TenantId,
        now: SystemTime,
        call: BoxFuture<'_, Result<T, KmsError>>,
    ) -> (Result<T, KmsError>, Option<Duration>) {
        let key = asked.key;
        let (admitted, place) = match self.enter(key, now).await {
            Ok(entered) => entered,
            Err(error) => return (Err(error), None),
        };
        asked.calls.fetch_add(1, Ordering::Relaxed);
        let since_start = || self.timer.as_ref().and_then(|timer| timer.since_start());
        let began = since_start();
        let answer = within(self.timer.as_ref(), CALL, call).await.unwrap_or_else(|| Err(timed_out(CALL)));
        let took = began.and_then(|began| since_start()?.checked_sub(began));
        drop(place);
        let change = match &answer {
            Err(error) if error.is_retryable() => self.breakers.unavailable(key, &admitted, now),
            _ => self.breakers.answered(key),
        };
        let event = |name| Event { key_id: Some(&key.key_id), ..Event::new(name).tenant(tenant) };
        match change {
            Change::None => {}
            Change::Opened => self.observer.observe(&event("key.breaker_opened").cause("kms_unavailable")),
            Change::Closed => self.observer.observe(&event("key.breaker_closed")),
        }
        (answer, took)
    }

    /// Waits for a place for a call that the breaker lets pass.
    async fn enter(&self, key: &KmsKey, now: SystemTime) -> Result<(Admitted, Place<'_>), KmsError> {
        let refused = |open: BreakerOpen| KmsError::Unavailable(open.into());
        self.breakers.check(key, now).map_err(refused)?;
        let place = self.bulkhead.enter(self.timer.as_ref()).await?;
        // Only now: who found no place has neither tried an open breaker nor asked the key.
        Ok((self.breakers.admit(key, now).map_err(refused)?, place))
    }

    /// Tries an operation again after errors that may pass: thrice in all, with pauses of random length, and not beyond
    /// the total time. Without a timer there can be no pauses, and one try is all.
    pub(crate) async fn retrying<'a, T>(
        &'a self,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, KmsError>>,
    ) -> Result<T, KmsError> {
        let tries = async {
            for pause in (1..TRIES).map(|tried| BACKOFF.saturating_mul(1 << tried.saturating_sub(1))) {
                let error = match attempt().await {
                    Err(error) if may_pass_soon(&error) => error,
                    answer => return answer,
                };
                let Some(timer) = &self.timer else { return Err(error) };
                timer.sleep(jittered(pause).max(error.retry_after().unwrap_or_default())).await;
            }
            attempt().await
        };
        within(self.timer.as_ref(), TOTAL, tries).await.unwrap_or_else(|| Err(timed_out(TOTAL)))
    }

    fn called(
        &self,
        name: &'static str,
        operation: &'static str,
        key: &KmsKey,
        context: &WrappingContext,
        error: Option<&KmsError>,
        took: Option<Duration>,
    ) {
        let event = |name| {
            let event = Event::new(name).tenant(context.tenant()).version(context.purpose(), context.version());
            event.called(operation, &key.key_id, error)
        };
        self.observer.observe(&Event { took, ..event(name) });
        if let Some(KmsError::WrongKey { .. }) = error {
            self.observer.observe(&event("key.wrong_key_returned"));
        }
    }
}

/// Believes a KMS only if the key has 32 bytes, was unwrapped by the key that was asked, and is the one that was
/// wrapped. A KMS, or a proxy before it, that answers with a key of its own would otherwise read all that is sealed
/// from then on.
fn verify(unwrapped: &Unwrapped, key: &KmsKey, wrapped: WrappedKey<'_>) -> Option<SecretKey> {
    let secret = SecretKey::try_from_slice(unwrapped.secret().expose_secret())?;
    let context = wrapped.context;
    let check = kdf::key_check(&secret, context.tenant(), context.purpose(), context.version()).ok()?;
    let right = bool::from(check.as_slice().ct_eq(wrapped.key_check)) && *unwrapped.key_id() == key.key_id;
    right.then_some(secret)
}

/// Whether the same call may do better in a moment. A full bulkhead and an open breaker say no at once, and mean it; an
/// answer that is not known will be the same.
fn may_pass_soon(error: &KmsError) -> bool {
    let is_final = if let KmsError::Unavailable(source) = error {
        source.is::<BreakerOpen>() || source.is::<UnknownAnswer>()
    } else {
        matches!(error, KmsError::Busy { .. })
    };
    error.is_retryable() && !is_final
}

/// A random part of a pause ("full jitter"), so that those who failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    // Without randomness the whole pause: later than needed, never sooner.
    let Ok(bytes) = random::<4>() else { return pause };
    pause.saturating_mul(u32::from_be_bytes(bytes) >> 16) / (1 << 16)
}

fn timed_out(limit: Duration) -> KmsError {
    KmsError::Unavailable(Box::new(TimedOut { limit }))
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::kms::{Fault, FaultyKms, KeyId, LocalKms, RootKey};
    use crate::memory::MemoryStore;

    #[test]
    fn a_key_for_which_there_was_no_place_was_not_asked() {
        let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap();
        let (kms, guard) = (FaultyKms::over(kms), Guard::new(None, Arc::new(())));
        kms.fail(None, Fault::Hang);
        let (tenant, calls) = (TenantId::new("acme").unwrap(), AtomicU64::new(0));
        let key = |number: u32| KmsKey {
            provider: "internal".to_owned(),
            endpoint: None,
            key_id: KeyId::new(format!("k{number}")).unwrap(),
        };
        let keys: Vec<KmsKey> = (0..81).map(key).collect();
        let asked = |key| Asked { kms: &kms, key, calls: &calls };
        let mut all: Vec<_> =
            keys.iter().map(|key| Box::pin(guard.describe(asked(key), &tenant, UNIX_EPOCH))).collect();
        let mut task = Context::from_waker(Waker::noop());
        let first: Vec<_> = all.iter_mut().map(|call| call.as_mut().poll(&mut task)).collect();
        assert!(first[..80].iter().all(Poll::is_pending), "16 are asked, 64 wait");
        assert!(matches!(first[80], Poll::Ready(Err(KmsError::Busy { .. }))));
        let was_asked = [0, 15, 16, 79, 80].map(|number: usize| guard.breakers().asked(&keys[number]).is_some());
        assert_eq!((was_asked, calls.load(Ordering::Relaxed)), ([true, true, false, false, false], 16));
    }
}
