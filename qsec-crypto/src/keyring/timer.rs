//! Waiting, which only whoever has a runtime can do.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::store::BoxFuture;

/// Waits. Handed to a [`Keyring`](crate::Keyring) by whoever has a runtime, for this crate has none.
///
/// It measures the time that passes, which is not the time of day: with tokio it is one line, `tokio::time::sleep`.
///
/// ```
/// use std::time::Duration;
/// use qsec_crypto::Timer;
/// use qsec_crypto::store::BoxFuture;
///
/// /// For a program that waits nowhere else: the thread sleeps.
/// #[derive(Debug)]
/// struct Blocking;
///
/// impl Timer for Blocking {
///     fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
///         Box::pin(async move { std::thread::sleep(duration) })
///     }
/// }
///
/// pollster::block_on(Blocking.sleep(Duration::from_millis(1)));
/// ```
pub trait Timer: Send + Sync + fmt::Debug {
    /// Resolves when the duration has passed, never before. Dropping the future ends the wait.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// How much time has passed since this timer was made, or since any moment that it keeps. By it events say how long a
    /// call of a KMS took; a timer that does not tell leaves that out.
    fn since_start(&self) -> Option<Duration> {
        None
    }
}

/// Runs a future for as long as allowed. `None` if it has not answered by then. Without a timer it may take for ever.
pub(crate) async fn within<F: Future>(timer: Option<&Arc<dyn Timer>>, limit: Duration, future: F) -> Option<F::Output> {
    let Some(timer) = timer else { return Some(future.await) };
    let (mut future, mut limit) = (pin!(future), timer.sleep(limit));
    // The answer first: one that is there when the time is over counts.
    poll_fn(|task| match future.as_mut().poll(task) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => limit.as_mut().poll(task).map(|()| None),
    })
    .await
}
