//! How long a running stream goes on after its key was stopped.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::observer::Event;
use crate::refusal::Reporter;
use crate::stopped::Stopped;
use crate::tenant_key::{KeyName, Lock};

/// How long a stream may run under a key that is stopped meanwhile: 15 minutes from its start.
pub const MAX_STREAM_LIFETIME: Duration = Duration::from_mins(15);

/// Tells the time to a stream, which is asked for bytes and not for the time. Handed in, for this crate reads no clock.
///
/// ```
/// use std::io::Write;
/// use std::sync::Arc;
/// use std::time::SystemTime;
/// use qsec_crypto::{Clock, Context, RawKey, SecretKey};
///
/// #[derive(Debug)]
/// struct TimeOfDay;
///
/// impl Clock for TimeOfDay {
///     fn now(&self) -> SystemTime {
///         SystemTime::now()
///     }
/// }
///
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let mut sealer = key.sealer(Vec::new(), &Context::empty())?.with_clock(Arc::new(TimeOfDay));
/// sealer.write_all(b"4,200 EUR")?;
/// # sealer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// What may end a stream before its end: the lock of the key it was made with, and the time.
///
/// It does not hold the key itself: a stream keeps the key of its message, and nothing above it.
pub(crate) struct Lifetime {
    lock: Option<Arc<Lock>>,
    clock: Option<(Arc<dyn Clock>, SystemTime)>,
    reporter: Reporter,
}

impl Lifetime {
    pub(crate) fn of_key(lock: Arc<Lock>, reporter: Reporter) -> Self {
        Self { lock: Some(lock), clock: None, reporter }
    }

    /// Of a stream under a key that nobody can stop.
    #[cfg(any(test, feature = "esdk"))]
    pub(crate) fn unlimited(observer: Arc<dyn crate::observer::Observer>) -> Self {
        Self { lock: None, clock: None, reporter: Reporter { name: None, observer } }
    }

    pub(crate) fn start(&mut self, clock: Arc<dyn Clock>) {
        let now = clock.now();
        self.clock = Some((clock, now));
    }

    pub(crate) fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Asked before each piece: whether the stream must end here. `refused` is the event that says so.
    pub(crate) fn check(&self, refused: &'static str) -> Result<(), Stopped> {
        let stopped = self.lock.as_ref().and_then(|lock| lock.stopped());
        let (Some(stopped), Some((clock, started))) = (stopped, &self.clock) else { return Ok(()) };
        // A clock that went back behind the start tells no age: for a stopped key that is the end too.
        if clock.now().duration_since(*started).is_ok_and(|age| age < MAX_STREAM_LIFETIME) {
            return Ok(());
        }
        let mut event = Event::new(refused).cause(stopped.code());
        if let Some(KeyName { tenant, purpose, version }) = self.reporter.name.as_deref() {
            event = event.tenant(tenant).version(purpose, *version);
        }
        self.reporter.observer.observe(&event);
        Err(stopped.clone())
    }
}
