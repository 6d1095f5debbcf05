//! Times as rows and answers hold them: RFC 3339 in UTC, whole microseconds. And how the rooms wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use qsec_crypto::store::BoxFuture;
use serde::{Deserialize, Serialize};

pub(crate) const DAY_SECONDS: u64 = 86_400;

/// The clock of the machine. The only place of the library that reads it: everything that decides takes `now` from its
/// caller, and only what a room observes by itself has no caller to ask.
#[expect(
    clippy::disallowed_methods,
    reason = "events that a room observes by itself have no caller who knows the time"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// The clock of the machine, for streams under a tenant's key: one that is longer than the key was usable ends in time only
/// if it can tell the time.
///
/// ```
/// use std::io::Write;
/// use std::sync::Arc;
/// use qsec::SystemClock;
/// use qsec::crypto::{Context, RawKey, SecretKey};
///
/// # let key = RawKey::new(SecretKey::generate()?).at_version(0)?; // or `Tenant::sealing_key`
/// let mut sealer = key.sealer(Vec::new(), &Context::empty())?.with_clock(Arc::new(SystemClock));
/// sealer.write_all(b"4,200 EUR")?;
/// # sealer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "it is made by its name, and holds nothing")]
pub struct SystemClock;

impl qsec_crypto::Clock for SystemClock {
    fn now(&self) -> SystemTime {
        now()
    }
}

/// Waits by the runtime: what bounds the calls of a KMS and lets them be tried again.
#[derive(Debug)]
pub(crate) struct RuntimeTimer;

impl qsec_crypto::Timer for RuntimeTimer {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A point in time, cut to microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.0)
    }

    /// The second that it is in.
    pub(crate) fn whole_seconds(self) -> Self {
        Self(self.0 / 1_000_000 * 1_000_000)
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX / 2)))
    }
}

impl From<SystemTime> for Stamp {
    /// Times before 1970 become 1970: nothing of ours is older.
    fn from(time: SystemTime) -> Self {
        let micros = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        Self(u64::try_from(micros).unwrap_or(u64::MAX / 2))
    }
}

/// Seconds of a time, in RFC 3339 with `Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "9999-12-31T23:59:59Z".to_owned(), |timestamp| timestamp.to_string())
}
