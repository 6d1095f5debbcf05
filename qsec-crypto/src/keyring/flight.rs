//! One load for all who wait for it: single flight without a runtime.
//!
//! **Who drives.** A future that nobody polls stands still. Here all who wait share one future, and whichever of them is
//! woken first polls it; so a caller that gives up does not cancel the load, the next waiter drives it on. If all give
//! up, the load stands still and is kept for a while: who comes soon resumes it, and later it is dropped, so that it
//! does not hold its place among the tenant's calls. A load that nobody waits for, the refresh ahead, is driven by the
//! calls that are answered from the cache meanwhile: each nudges it, and none waits.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use crate::keyring::cache::{Epoch, Place};
use crate::store::BoxFuture;

/// A future that many wait for. All get a clone of its answer.
#[derive(Debug)]
pub(super) struct Flight<T> {
    state: Mutex<State<T>>,
    bell: Arc<Bell>,
    next_waiter: AtomicU64,
}

enum State<T> {
    Running(BoxFuture<'static, T>),
    Landed(T),
    /// It panicked while it was polled.
    Lost,
}

impl<T> std::fmt::Debug for State<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running(_) => "Running",
            Self::Landed(_) => "Landed",
            Self::Lost => "Lost",
        })
    }
}

/// Wakes all who wait. Whoever comes first polls; for the others there is nothing to do until it rings again.
#[derive(Debug)]
struct Bell {
    rang: AtomicBool,
    waiters: Mutex<BTreeMap<u64, Waker>>,
}

impl Bell {
    fn waiters(&self) -> MutexGuard<'_, BTreeMap<u64, Waker>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.rang.store(true, Ordering::Release);
        let waiters = std::mem::take(&mut *self.waiters());
        for waker in waiters.into_values() {
            waker.wake();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl<T: Clone> Flight<T> {
    fn new(future: BoxFuture<'static, T>) -> Self {
        let bell = Arc::new(Bell { rang: AtomicBool::new(true), waiters: Mutex::default() });
        Self { state: Mutex::new(State::Running(future)), bell, next_waiter: AtomicU64::new(0) }
    }

    /// Waits for the answer. `None` if the load panicked.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting<T> {
        Waiting { id: self.next_waiter.fetch_add(1, Ordering::Relaxed), flight: Arc::clone(self) }
    }

    /// Drives it as far as it goes now. Answers whether it has landed.
    pub(super) fn nudge(&self) -> bool {
        !matches!(self.drive(), Poll::Pending)
    }

    /// Polls the future if it asked for that; one thread at a time.
    fn drive(&self) -> Poll<Option<T>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Out of its place while it is polled: if it panics, it is not polled again.
        match std::mem::replace(&mut *state, State::Lost) {
            State::Running(mut future) => {
                if !self.bell.rang.swap(false, Ordering::AcqRel) {
                    *state = State::Running(future);
                    return Poll::Pending;
                }
                let waker = Waker::from(Arc::clone(&self.bell));
                let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) else {
                    *state = State::Running(future);
                    return Poll::Pending;
                };
                *state = State::Landed(answer);
            }
            landed @ (State::Landed(_) | State::Lost) => *state = landed,
        }
        let answer = if let State::Landed(answer) = &*state { Some(answer.clone()) } else { None };
        drop(state);
        self.bell.ring();
        Poll::Ready(answer)
    }
}

/// One who waits for a flight.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    id: u64,
    flight: Arc<Flight<T>>,
}

impl<T: Clone> Future for Waiting<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        // First the name on the list, then the look: what rings in between is heard.
        self.flight.bell.waiters().insert(self.id, task.waker().clone());
        self.flight.drive()
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.flight.bell.waiters().remove(&self.id);
    }
}

/// The loads that are under way.
#[derive(Debug)]
pub(super) struct Flights<T> {
    /// After how long a load that nobody waits for is dropped.
    abandoned: Duration,
    flights: Mutex<BTreeMap<Place, Departed<T>>>,
}

#[derive(Debug)]
struct Departed<T> {
    flight: Arc<Flight<T>>,
    epoch: Epoch,
    at: SystemTime,
}

impl<T: Clone> Flights<T> {
    pub(super) fn new(abandoned: Duration) -> Self {
        Self { abandoned, flights: Mutex::default() }
    }

    fn flights(&self) -> MutexGuard<'_, BTreeMap<Place, Departed<T>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The load of this place that is under way, else a new one. A load that began before a stop is not joined.
    pub(super) fn join(
        &self,
        place: &Place,
        epoch: Epoch,
        now: SystemTime,
        load: impl FnOnce() -> BoxFuture<'static, T>,
    ) -> Arc<Flight<T>> {
        let mut flights = self.flights();
        flights.retain(|_, departed| {
            Arc::strong_count(&departed.flight) > 1
                || now.duration_since(departed.at).is_ok_and(|age| age < self.abandoned)
        });
        match flights.get(place) {
            Some(departed) if departed.epoch == epoch => Arc::clone(&departed.flight),
            _ => {
                let flight = Arc::new(Flight::new(load()));
                flights.insert(place.clone(), Departed { flight: Arc::clone(&flight), epoch, at: now });
                flight
            }
        }
    }

    /// Takes a load that has landed off the board: who comes from now on begins another.
    pub(super) fn landed(&self, place: &Place, flight: &Arc<Flight<T>>) {
        let mut flights = self.flights();
        if flights.get(place).is_some_and(|departed| Arc::ptr_eq(&departed.flight, flight)) {
            flights.remove(place);
        }
    }
}
