//! How many KMS calls of one tenant run at once, so that one tenant's KMS cannot keep the others waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::keyring::timer::{Timer, within};
use crate::kms::KmsError;

/// Most KMS calls of one tenant in flight on one node.
pub(super) const MAX_IN_FLIGHT: usize = 16;

/// Most KMS calls of one tenant that wait for a place.
pub(super) const MAX_WAITING: usize = 64;

/// How long a call waits for a place.
const MAX_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Bulkhead {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    next: u64,
    /// Who waits, in the order of coming.
    waiting: BTreeMap<u64, Option<Waker>>,
    /// Who was given a place and has not taken it yet. The place counts as in flight.
    given: BTreeSet<u64>,
}

impl Bulkhead {
    /// Waits for a place, and holds it until the answer is dropped.
    pub(super) async fn enter(&self, timer: Option<&Arc<dyn Timer>>) -> Result<Place<'_>, KmsError> {
        let busy = || KmsError::Busy { retry_after: Some(MAX_WAIT) };
        let id = {
            let mut state = self.state();
            if state.in_flight < MAX_IN_FLIGHT {
                state.in_flight = state.in_flight.saturating_add(1);
                return Ok(Place { bulkhead: self });
            }
            if state.waiting.len() >= MAX_WAITING {
                return Err(busy());
            }
            let id = state.next;
            state.next = state.next.wrapping_add(1);
            state.waiting.insert(id, None);
            id
        };
        within(timer, MAX_WAIT, Queued { bulkhead: self, id }).await.ok_or_else(busy)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a place that is free to whoever has waited longest.
    fn pass_on(&self) {
        let mut state = self.state();
        let Some((id, waker)) = state.waiting.pop_first() else {
            state.in_flight = state.in_flight.saturating_sub(1);
            return;
        };
        state.given.insert(id);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A place that is held.
#[derive(Debug)]
pub(super) struct Place<'a> {
    bulkhead: &'a Bulkhead,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.bulkhead.pass_on();
    }
}

/// A place in the queue. Who leaves it passes on what was given meanwhile.
struct Queued<'a> {
    bulkhead: &'a Bulkhead,
    id: u64,
}

impl<'a> Future for Queued<'a> {
    type Output = Place<'a>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Place<'a>> {
        let mut state = self.bulkhead.state();
        if state.given.remove(&self.id) {
            return Poll::Ready(Place { bulkhead: self.bulkhead });
        }
        state.waiting.insert(self.id, Some(task.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut state = self.bulkhead.state();
        state.waiting.remove(&self.id);
        if state.given.remove(&self.id) {
            drop(state);
            self.bulkhead.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn sixteen_are_in_flight_64_wait_and_the_next_is_told_to_come_back() {
        let bulkhead = Bulkhead::default();
        let enter = || Box::pin(bulkhead.enter(None));
        let mut inside: Vec<_> = (0..16).map(|_| pollster::block_on(bulkhead.enter(None)).unwrap()).collect();
        let mut waiting: Vec<_> = (0..64).map(|_| enter()).collect();
        assert!(waiting.iter_mut().all(|queued| poll(queued.as_mut()).is_pending()));
        let Poll::Ready(Err(error)) = poll(enter().as_mut()) else { panic!("the 81st waits") };
        assert_eq!((error.code(), error.is_retryable()), ("kms_busy", true));

        inside.pop();
        assert!(poll(waiting[1].as_mut()).is_pending(), "first come, first served");
        let Poll::Ready(Ok(place)) = poll(waiting[0].as_mut()) else { panic!("a free place is given") };
        drop((place, waiting, inside));
        assert_eq!(bulkhead.state().in_flight, 0);
        assert!(bulkhead.state().waiting.is_empty() && bulkhead.state().given.is_empty());
    }

    #[test]
    fn a_place_given_to_who_has_left_goes_to_the_next() {
        let bulkhead = Bulkhead::default();
        let mut inside: Vec<_> = (0..16).map(|_| pollster::block_on(bulkhead.enter(None)).unwrap()).collect();
        let mut leaves = Box::pin(bulkhead.enter(None));
        let mut stays = pin!(bulkhead.enter(None));
        assert!(poll(leaves.as_mut()).is_pending() && poll(stays.as_mut()).is_pending());
        inside.pop();
        drop(leaves);
        assert!(poll(stays.as_mut()).is_ready());
    }
}
