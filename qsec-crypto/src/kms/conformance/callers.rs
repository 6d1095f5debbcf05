//! The rows that show a provider as its callers have it: on many threads, and through the limits and retries of a
//! [`Keyring`](crate::Keyring) when it fails.

use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::threads;
use super::{Check, Failure, Sample, Suite, context, no_hook, text};
use crate::conformance::{Outcome, ensure};
use crate::kdf;
use crate::keyring::{Asked, Guard, KmsKey, TOTAL, Timer, WrappedKey, within};
use crate::kms::{Kms, KmsError, WrappingContext};
use crate::secret::SecretKey;

/// How many threads wrap and unwrap at once.
const THREADS: u8 = 64;

/// How much later than the time that all tries may take an answer still counts as in time.
const SLACK: Duration = Duration::from_secs(1);

impl Suite<'_> {
    pub(super) async fn threads(&self) -> Outcome {
        let sample = match self.sample().await {
            Ok(sample) => sample,
            Err(what) => return Outcome::Failed(what),
        };
        threads::together(THREADS, || {
            let answer = Mutex::new(Err("it was not run to its end".to_owned()));
            self.factory.block_on(Box::pin(async {
                let check = self.wraps_and_unwraps(&sample).await;
                *answer.lock().unwrap_or_else(PoisonError::into_inner) = check;
            }));
            answer.into_inner().unwrap_or_else(PoisonError::into_inner)
        })
        .into()
    }

    /// Another key under the same KMS key: no two threads have the same.
    async fn wraps_and_unwraps(&self, sample: &Sample) -> Check {
        let key = SecretKey::generate().map_err(|error| error.to_string())?;
        let mut own = Sample { key, ..sample.copy() };
        own.blob = self.wrap(&own).await.map_err(text("wrapping"))?;
        self.unwraps(&own).await?;
        self.unwraps(sample).await
    }

    pub(super) async fn unreachable(&self) -> Outcome {
        self.is_unavailable(Failure::Unreachable).await
    }

    pub(super) async fn hanging(&self) -> Outcome {
        self.is_unavailable(Failure::Hanging).await
    }

    async fn is_unavailable(&self, failure: Failure) -> Outcome {
        let check = |answer: Result<SecretKey, KmsError>| match answer {
            Err(KmsError::Unavailable(_)) => Ok(()),
            other => Err(format!("answered {other:?}, not `kms_unavailable`")),
        };
        self.under(failure, check).await
    }

    pub(super) async fn throttled_twice(&self) -> Outcome {
        let check = |answer: Result<SecretKey, KmsError>| answer.map(|_| ()).map_err(text("the third try"));
        self.under(Failure::ThrottledTwice, check).await
    }

    pub(super) async fn gives_no_key(&self, failure: Failure) -> Outcome {
        let check = |answer: Result<SecretKey, KmsError>| match answer {
            Err(KmsError::WrongKey { .. } | KmsError::Rejected { .. } | KmsError::Unavailable(_)) => Ok(()),
            other => Err(format!("answered {other:?}, not `kms_wrong_key`")),
        };
        self.under(failure, check).await
    }

    pub(super) async fn other_lengths(&self) -> Outcome {
        let short = self.gives_no_key(Failure::ShortPlaintext).await;
        if short == Outcome::Passed { self.gives_no_key(Failure::LongPlaintext).await } else { short }
    }

    /// Unwraps as a keyring does while the provider fails, and looks at the answer.
    async fn under(&self, failure: Failure, check: impl Fn(Result<SecretKey, KmsError>) -> Check) -> Outcome {
        let Some(timer) = self.factory.timer() else { return no_hook("timer") };
        let sample = match self.sample().await {
            Ok(sample) => sample,
            Err(what) => return Outcome::Failed(what),
        };
        let Some(kms) = self.factory.failing(failure) else { return no_hook(&format!("failing({failure:?})")) };
        match within(Some(&timer), TOTAL.saturating_add(SLACK), self.guarded(kms.as_ref(), &timer, &sample)).await {
            None => Outcome::Failed(format!("no answer within {} s", TOTAL.as_secs())),
            Some(answer) => check(answer).into(),
        }
    }

    async fn guarded(&self, kms: &dyn Kms, timer: &Arc<dyn Timer>, sample: &Sample) -> Result<SecretKey, KmsError> {
        let (Sample { key_id, key, context, blob }, calls) = (sample, AtomicU64::new(0));
        let key_check = kdf::key_check(key, context.tenant(), context.purpose(), context.version())?;
        let endpoint = kms.endpoint().map(str::to_owned);
        let asked = KmsKey { provider: kms.provider().to_owned(), endpoint, key_id: key_id.clone() };
        let asked = Asked { kms, key: &asked, calls: &calls };
        let wrapped = WrappedKey { blob, context, key_check: &key_check };
        let guard = &Guard::new(Some(Arc::clone(timer)), Arc::new(()));
        guard.retrying(|| Box::pin(guard.unwrap(asked, wrapped, self.now))).await
    }

    pub(super) async fn recorded_pairs(&self) -> Outcome {
        if self.factory.recorded_pairs().is_none() {
            return no_hook("recorded_pairs");
        }
        let check = async {
            let sample = self.sample().await?;
            self.recorded(&sample.context, "wrapping")?;
            let other = Sample { context: context("acmf", "date", 33)?, ..sample.copy() };
            let other = Sample { blob: self.wrap(&other).await.map_err(text("wrapping"))?, ..other };
            self.unwraps(&other).await?;
            self.recorded(&other.context, "unwrapping")
        };
        check.await.into()
    }

    fn recorded(&self, context: &WrappingContext, doing: &str) -> Check {
        let expected = context.pairs().map(|(key, value)| (key.to_owned(), value));
        let recorded = self.factory.recorded_pairs();
        ensure(recorded.as_deref() == Some(&expected), || format!("{doing}: the provider was told {recorded:?}"))
    }

    /// Within the time of one keyring's call, if there is a timer: what is locked would be locked for good.
    pub(super) async fn still_works(&self, sample: &Sample) -> Check {
        let work = self.wraps_and_unwraps(sample);
        let answer = within(self.factory.timer().as_ref(), TOTAL, pin!(work)).await;
        answer.unwrap_or_else(|| Err(format!("no answer within {} s", TOTAL.as_secs())))
    }
}
