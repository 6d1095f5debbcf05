//! Many threads at once, each with a future of its own: the one row that a single task cannot show.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Runs work on so many threads and awaits all of them. Answers the first that failed.
pub(super) fn together(threads: u8, work: impl Fn() -> Result<(), String> + Sync) -> Result<(), String> {
    let first = std::sync::Mutex::new(Ok(()));
    thread::scope(|scope| {
        for _ in 0..threads {
            let (work, first) = (&work, &first);
            scope.spawn(move || {
                let answer = work();
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                if first.is_ok() {
                    *first = answer;
                }
            });
        }
    });
    first.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a future on this thread, which sleeps while there is nothing to do.
pub(super) fn block_on<T>(mut future: Pin<&mut (dyn Future<Output = T> + Send + '_)>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[test]
    fn every_thread_works_and_a_failure_is_told() {
        let worked = AtomicU8::new(0);
        let answer = together(64, || {
            let turn = worked.fetch_add(1, Ordering::Relaxed);
            if turn == 7 { Err("the seventh".to_owned()) } else { Ok(()) }
        });
        assert_eq!((worked.into_inner(), answer), (64, Err("the seventh".to_owned())));
    }
}
