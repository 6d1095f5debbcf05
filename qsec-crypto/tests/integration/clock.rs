//! A clock that stands still until everything waits for it, and the executor that goes with it.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use qsec_crypto::Timer;
use qsec_crypto::store::BoxFuture;

#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    elapsed: Duration,
    sleepers: Vec<(Duration, Waker)>,
}

impl Clock {
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().elapsed
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, duration: Duration) {
        let until = self.elapsed() + duration;
        while self.0.lock().unwrap().sleepers.iter().any(|(at, _)| *at <= until) {
            self.advance();
        }
        self.0.lock().unwrap().elapsed = until;
    }

    /// Runs a future to its end. Time passes when nothing else can happen, up to the next sleeper.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        struct Flag(AtomicBool);
        impl Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        let mut future = pin!(future);
        loop {
            while flag.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return output;
                }
            }
            assert!(self.advance(), "it waits for nothing that will come");
        }
    }

    /// On to the next sleeper. Whether there is one.
    fn advance(&self) -> bool {
        let mut inner = self.0.lock().unwrap();
        let Some(next) = inner.sleepers.iter().map(|(at, _)| *at).min() else { return false };
        inner.elapsed = inner.elapsed.max(next);
        let (due, later) = inner.sleepers.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= next);
        inner.sleepers = later;
        drop(inner);
        for (_, waker) in due {
            waker.wake();
        }
        true
    }
}

impl Timer for Clock {
    fn since_start(&self) -> Option<Duration> {
        Some(Clock::elapsed(self))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        let until = self.elapsed() + duration;
        Box::pin(std::future::poll_fn(move |task| {
            let mut inner = clock.0.lock().unwrap();
            if inner.elapsed >= until {
                return Poll::Ready(());
            }
            inner.sleepers.push((until, task.waker().clone()));
            Poll::Pending
        }))
    }
}
