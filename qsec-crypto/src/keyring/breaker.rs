//! What is known of each KMS key's health: a breaker that spares a KMS which does not answer, and the memory that its
//! calls went to a replica.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::keyring::cache::is_younger;
use crate::keyring::record::KmsKey;
use crate::kms::KeyId;

/// How many calls in a row go unanswered before the breaker opens.
const UNAVAILABLE_IN_A_ROW: u32 = 5;

/// How long it stays open at first. Each trial call that fails doubles that.
const FIRST_PERIOD: Duration = Duration::from_secs(10);

/// The longest it stays open before another trial call.
const MAX_PERIOD: Duration = Duration::from_mins(1);

/// How long a key that did not answer is asked after its replicas, not before.
const FAILOVER: Duration = Duration::from_secs(30);

/// The breaker is open: this KMS key did not answer lately and is not asked now.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it did not answer several times in a row, and is not asked for a while")]
pub(super) struct BreakerOpen;

#[derive(Debug, Default)]
pub(super) struct Breakers {
    keys: Mutex<BTreeMap<KmsKey, Health>>,
}

#[derive(Debug, Default)]
struct Health {
    asked: Option<SystemTime>,
    unavailable: u32,
    open: Option<Open>,
    failed_over: Option<FailedOver>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    since: SystemTime,
    period: Duration,
}

/// Another KMS key is asked in place of one.
#[derive(Debug, Clone)]
pub(super) struct FailedOver {
    since: SystemTime,
    /// The one that is, if there is one.
    pub(super) to: Option<KeyId>,
}

/// A call that may be made.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Whether it is the one that tries an open breaker.
    trial: bool,
}

/// What a call did to its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Opened,
    Closed,
}

impl Breakers {
    fn keys(&self) -> MutexGuard<'_, BTreeMap<KmsKey, Health>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether waiting for a place to ask the key is worth it now.
    pub(super) fn check(&self, key: &KmsKey, now: SystemTime) -> Result<(), BreakerOpen> {
        let keys = self.keys();
        let open = keys.get(key).and_then(|health| health.open);
        if open.is_some_and(|open| is_younger(open.since, now, open.period)) { Err(BreakerOpen) } else { Ok(()) }
    }

    /// Whether the key may be asked now, by a call that will ask it.
    pub(super) fn admit(&self, key: &KmsKey, now: SystemTime) -> Result<Admitted, BreakerOpen> {
        let mut keys = self.keys();
        let health = keys.entry(key.clone()).or_default();
        let trial = match &mut health.open {
            Some(open) if is_younger(open.since, now, open.period) => return Err(BreakerOpen),
            // Until this one is back, or lost for as long as the breaker was open, the others are refused.
            Some(open) => {
                open.since = now;
                true
            }
            None => false,
        };
        health.asked = Some(now);
        Ok(Admitted { trial })
    }

    /// The key answered, be it to say no.
    pub(super) fn answered(&self, key: &KmsKey) -> Change {
        let mut keys = self.keys();
        let health = keys.entry(key.clone()).or_default();
        health.unavailable = 0;
        if health.open.take().is_some() { Change::Closed } else { Change::None }
    }

    /// The key did not answer.
    pub(super) fn unavailable(&self, key: &KmsKey, admitted: &Admitted, now: SystemTime) -> Change {
        let mut keys = self.keys();
        let health = keys.entry(key.clone()).or_default();
        match &mut health.open {
            Some(open) if admitted.trial => {
                let period = open.period.saturating_mul(2).min(MAX_PERIOD);
                *open = Open { since: now, period };
                Change::None
            }
            // It was under way when the breaker opened.
            Some(_) => Change::None,
            None => {
                health.unavailable = health.unavailable.saturating_add(1);
                if health.unavailable < UNAVAILABLE_IN_A_ROW {
                    return Change::None;
                }
                health.open = Some(Open { since: now, period: FIRST_PERIOD });
                Change::Opened
            }
        }
    }

    /// When the key was last asked.
    pub(super) fn asked(&self, key: &KmsKey) -> Option<SystemTime> {
        self.keys().get(key).and_then(|health| health.asked)
    }

    /// Remembers that another key is asked in place of this one. Answers whether that is new.
    pub(super) fn fail_over(&self, key: &KmsKey, to: Option<&KeyId>, now: SystemTime) -> bool {
        let failed_over = FailedOver { since: now, to: to.cloned() };
        self.keys().entry(key.clone()).or_default().failed_over.replace(failed_over).is_none()
    }

    /// The key is itself again. Answers what was asked in its place before, if something was.
    pub(super) fn fail_back(&self, key: &KmsKey) -> Option<FailedOver> {
        self.keys().get_mut(key).and_then(|health| health.failed_over.take())
    }

    /// Whether the replicas are asked before this key. When the time is over one caller is told no, to try it.
    pub(super) fn is_failed_over(&self, key: &KmsKey, now: SystemTime) -> bool {
        let mut keys = self.keys();
        let Some(failed_over) = keys.get_mut(key).and_then(|health| health.failed_over.as_mut()) else { return false };
        let remembered = is_younger(failed_over.since, now, FAILOVER);
        if !remembered {
            failed_over.since = now;
        }
        remembered
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn key() -> KmsKey {
        KmsKey { provider: "aws".to_owned(), endpoint: None, key_id: KeyId::new("k").unwrap() }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn fail(breakers: &Breakers, second: u64) -> Change {
        let admitted = breakers.admit(&key(), at(second)).unwrap();
        breakers.unavailable(&key(), &admitted, at(second))
    }

    #[test]
    fn five_failures_in_a_row_open_the_breaker_and_an_answer_in_between_starts_the_count_again() {
        let breakers = Breakers::default();
        for _ in 0..2 {
            for _ in 0..4 {
                assert_eq!(fail(&breakers, 0), Change::None);
            }
            assert_eq!(breakers.answered(&key()), Change::None);
        }
        assert!((0..4).all(|_| fail(&breakers, 0) == Change::None));
        assert_eq!(fail(&breakers, 0), Change::Opened);
        assert!(breakers.admit(&key(), at(9)).is_err());
    }

    #[test]
    fn trials_are_single_and_their_distance_doubles_from_10_to_60_seconds() {
        let breakers = Breakers::default();
        for _ in 0..5 {
            fail(&breakers, 0);
        }
        let mut trials = Vec::new();
        for second in 1..400 {
            if let Ok(trial) = breakers.admit(&key(), at(second)) {
                assert!(breakers.admit(&key(), at(second)).is_err(), "one trial at a time");
                breakers.unavailable(&key(), &trial, at(second));
                trials.push(second);
            }
        }
        assert_eq!(trials, [10, 30, 70, 130, 190, 250, 310, 370]);
        breakers.admit(&key(), at(430)).unwrap();
        assert_eq!(breakers.answered(&key()), Change::Closed);
        assert!(breakers.admit(&key(), at(430)).is_ok() && breakers.admit(&key(), at(430)).is_ok());
    }

    #[test]
    fn a_trial_that_is_lost_and_a_clock_that_goes_back_do_not_keep_the_breaker_open() {
        let breakers = Breakers::default();
        for _ in 0..5 {
            fail(&breakers, 100);
        }
        assert!(breakers.admit(&key(), at(110)).is_ok());
        assert!(breakers.admit(&key(), at(119)).is_err());
        assert!(breakers.admit(&key(), at(120)).is_ok());
        assert!(breakers.admit(&key(), at(50)).is_ok());
    }

    #[test]
    fn a_failed_over_key_is_tried_by_one_caller_after_30_seconds() {
        let breakers = Breakers::default();
        assert!(!breakers.is_failed_over(&key(), at(0)));
        let other = KeyId::new("other").unwrap();
        assert!(breakers.fail_over(&key(), None, at(0)) && !breakers.fail_over(&key(), Some(&other), at(0)));
        assert!(breakers.is_failed_over(&key(), at(29)));
        assert!(!breakers.is_failed_over(&key(), at(30)), "the one that tries");
        assert!(breakers.is_failed_over(&key(), at(30)), "the others do not");
        assert_eq!(breakers.fail_back(&key()).and_then(|failed_over| failed_over.to), Some(other));
        assert!(breakers.fail_back(&key()).is_none());
        assert!(!breakers.is_failed_over(&key(), at(31)));
    }
}
