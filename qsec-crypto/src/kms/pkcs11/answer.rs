//! An answer that one thread gives and one future awaits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Where a thread puts its answer. Dropped without one, it tells the future so.
pub(super) struct Reply<T>(Arc<Shared<T>>);

/// Resolves to the answer; to `None` if there will be none.
pub(super) struct Answer<T>(Arc<Shared<T>>);

struct Shared<T>(Mutex<State<T>>);

enum State<T> {
    Awaited(Option<Waker>),
    Given(T),
    /// One of the two has gone.
    Closed,
}

pub(super) fn channel<T>() -> (Reply<T>, Answer<T>) {
    let shared = Arc::new(Shared(Mutex::new(State::Awaited(None))));
    (Reply(Arc::clone(&shared)), Answer(shared))
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is still awaited, and wakes whoever awaits it.
    fn settle(&self, with: State<T>) {
        let mut state = self.state();
        if let State::Awaited(waker) = &mut *state {
            let waker = waker.take();
            *state = with;
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T> Reply<T> {
    /// Whether nobody awaits the answer any more, so that the work can be spared.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(*self.0.state(), State::Closed)
    }

    pub(super) fn give(self, answer: T) {
        self.0.settle(State::Given(answer));
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.0.settle(State::Closed);
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        // Also an answer that was given and not taken goes at once: it may be a key.
        *self.0.state() = State::Closed;
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.state();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Given(answer) => Poll::Ready(Some(answer)),
            State::Closed => Poll::Ready(None),
            State::Awaited(_) => {
                *state = State::Awaited(Some(task.waker().clone()));
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_thread_arrives() {
        let (reply, answer) = channel();
        std::thread::scope(|threads| {
            threads.spawn(|| reply.give(7));
            assert_eq!(pollster::block_on(answer), Some(7));
        });
    }

    #[test]
    fn a_reply_that_is_dropped_is_no_answer() {
        let (reply, answer) = channel::<u8>();
        std::thread::scope(|threads| {
            threads.spawn(|| drop(reply));
            assert_eq!(pollster::block_on(answer), None);
        });
    }

    #[test]
    fn who_gives_up_is_seen_to_have_gone() {
        let (reply, answer) = channel();
        assert!(!reply.is_abandoned());
        drop(answer);
        assert!(reply.is_abandoned());
        reply.give(7);
    }

    #[test]
    fn an_answer_that_nobody_took_goes_with_its_future() {
        let (reply, answer) = channel();
        let secret = Arc::new(());
        reply.give(Arc::clone(&secret));
        drop(answer);
        assert_eq!(Arc::strong_count(&secret), 1);
    }
}
