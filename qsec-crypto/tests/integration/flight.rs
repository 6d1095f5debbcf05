//! One load for all who wait, whoever gives up.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use qsec_crypto::kms::{Fault, KeyId, Kms, KmsError, KmsKeyDescription, Unwrapped, Wrapped, WrappingContext};
use qsec_crypto::store::BoxFuture;
use qsec_crypto::{Context, KeyError, Keyring, SecretKey, TenantKey};

use crate::clock::Clock;
use crate::world::{World, at, data, tenant};

/// A KMS whose unwraps wait at a gate.
#[derive(Debug)]
struct Gated {
    kms: Arc<dyn Kms>,
    gate: Mutex<Gate>,
    polled: AtomicU32,
}

#[derive(Debug, Default)]
struct Gate {
    is_open: bool,
    waiting: Vec<Waker>,
}

impl Gated {
    fn over(kms: Arc<dyn Kms>) -> Arc<Self> {
        Arc::new(Self { kms, gate: Mutex::default(), polled: AtomicU32::new(0) })
    }

    fn open(&self) {
        let mut gate = self.gate.lock().unwrap();
        gate.is_open = true;
        let waiting = std::mem::take(&mut gate.waiting);
        drop(gate);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Kms for Gated {
    fn provider(&self) -> &'static str {
        self.kms.provider()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        self.kms.wrap(key_id, key, context, now)
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        Box::pin(async move {
            poll_fn(|task| {
                self.polled.fetch_add(1, Ordering::Relaxed);
                let mut gate = self.gate.lock().unwrap();
                if gate.is_open {
                    return Poll::Ready(());
                }
                gate.waiting.push(task.waker().clone());
                Poll::Pending
            })
            .await;
            self.kms.unwrap(key_id, blob, context, now).await
        })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        self.kms.describe(key_id, now)
    }
}

fn gated(world: &World) -> (Arc<Gated>, Keyring) {
    let kms = Gated::over(world.kms.clone());
    let keys = Keyring::new(tenant("acme"), kms.clone(), world.records.clone());
    (kms, keys)
}

type Load<'a> = Pin<Box<dyn Future<Output = Result<TenantKey, KeyError>> + Send + 'a>>;

fn load(keys: &Keyring, second: u64) -> Load<'_> {
    Box::pin(async move { keys.current(&data(), at(second)).await })
}

fn poll(load: &mut Load<'_>) -> Poll<Result<TenantKey, KeyError>> {
    load.as_mut().poll(&mut Task::from_waker(Waker::noop()))
}

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn ten_thousand_concurrent_misses_make_one_call() {
    let world = World::new();
    let (kms, keys) = gated(&world);
    let wakes = Arc::new(Count::default());
    let waker = Waker::from(wakes.clone());
    let mut loads: Vec<Load<'_>> = (0..10_000).map(|_| load(&keys, 0)).collect();
    for load in &mut loads {
        assert!(load.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
    }
    assert_eq!(kms.polled.load(Ordering::Relaxed), 1, "the others only wait");
    kms.open();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 10_000, "everyone is told");
    for load in &mut loads {
        let Poll::Ready(Ok(key)) = poll(load) else { panic!("everyone gets the answer") };
        assert_eq!(key.version(), 1);
    }
    assert_eq!(world.kms.calls(), 1);
}

#[test]
fn threads_that_miss_at_once_make_one_call() {
    let world = World::new();
    let (kms, keys) = gated(&world);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..64).map(|_| scope.spawn(|| pollster::block_on(load(&keys, 0)).unwrap())).collect();
        while kms.polled.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(20));
        kms.open();
        let keys: Vec<TenantKey> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
        let sealed = keys[0].seal(b"x", &Context::empty()).unwrap();
        assert!(keys.iter().all(|key| key.open(&sealed, &Context::empty()).unwrap() == b"x"));
    });
    assert_eq!(world.kms.calls(), 1);
}

#[test]
fn ten_thousand_misses_on_many_threads_make_one_call() {
    const THREADS: usize = 16;
    let world = World::new();
    let (kms, keys) = gated(&world);
    let all_wait = std::sync::Barrier::new(THREADS + 1);
    let got: usize = std::thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| {
            scope.spawn(|| {
                let mut loads: Vec<Load<'_>> = (0..10_000 / THREADS).map(|_| load(&keys, 0)).collect();
                // One of them all drives the load; it waits at the gate like the others.
                assert!(loads.iter_mut().all(|load| poll(load).is_pending()));
                all_wait.wait();
                loads.into_iter().map(|load| pollster::block_on(load).unwrap()).filter(|key| key.version() == 1).count()
            })
        });
        all_wait.wait();
        kms.open();
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!((got, world.kms.calls()), (10_000, 1));
}

#[test]
fn waiters_share_a_refusal_too() {
    for (fault, code) in [(Fault::Disabled, "key_disabled"), (Fault::Unavailable, "kms_unavailable")] {
        let world = World::new();
        let (kms, _) = gated(&world);
        let keys = Keyring::new(tenant("solo"), kms.clone(), world.records.clone());
        let direct = Keyring::new(tenant("solo"), world.kms.clone(), world.records.clone());
        pollster::block_on(direct.create(&world.key_ids[..1], &[data()], at(0))).unwrap();
        world.kms.calls();
        world.kms.fail(None, fault);
        let mut loads: Vec<Load<'_>> = (0..100).map(|_| load(&keys, 0)).collect();
        assert!(loads.iter_mut().all(|load| poll(load).is_pending()));
        kms.open();
        for load in &mut loads {
            let Poll::Ready(Err(error)) = poll(load) else { panic!("everyone is refused") };
            assert_eq!(error.code(), code);
        }
        assert_eq!(world.kms.calls(), 1);
    }
}

#[test]
fn a_caller_that_gives_up_does_not_cancel_the_load() {
    let world = World::new();
    let (kms, keys) = gated(&world);
    let mut first = load(&keys, 0);
    let mut second = load(&keys, 0);
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(first);
    kms.open();
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(_))), "the next waiter drives it on");
    assert_eq!(world.kms.calls(), 1);
}

#[test]
fn a_load_that_all_have_left_is_resumed_soon_and_begun_again_late() {
    for (second, polls) in [(4, 2), (5, 3)] {
        let world = World::new();
        let (kms, keys) = gated(&world);
        let mut left = load(&keys, 0);
        assert!(poll(&mut left).is_pending());
        drop(left);
        let mut next = load(&keys, second);
        assert!(poll(&mut next).is_pending());
        kms.open();
        assert!(matches!(poll(&mut next), Poll::Ready(Ok(_))));
        assert_eq!(kms.polled.load(Ordering::Relaxed), polls, "{second} s later");
    }
}

#[test]
fn loads_that_nobody_waits_for_do_not_keep_their_places() {
    let world = World::new();
    let (kms, keys) = gated(&world);
    let data = data();
    pollster::block_on(async {
        for _ in 0..20 {
            world.keys.rotate(&data, at(0)).await.unwrap();
        }
        for version in 1..=20 {
            let mut left = Box::pin(keys.version(&data, version, at(0)));
            assert!(left.as_mut().poll(&mut Task::from_waker(Waker::noop())).is_pending());
        }
    });
    // Sixteen hold a place and four wait in line; none of them is driven any more.
    kms.open();
    assert!(poll(&mut load(&keys, 4)).is_pending());
    assert!(matches!(poll(&mut load(&keys, 5)), Poll::Ready(Ok(_))));
}

#[test]
fn a_load_that_began_before_a_stop_is_neither_joined_nor_used() {
    let world = World::new();
    let (kms, keys) = gated(&world);
    let mut early = load(&keys, 0);
    assert!(poll(&mut early).is_pending());
    pollster::block_on(async {
        keys.disable(at(0)).await.unwrap();
        keys.enable(at(0)).await.unwrap();
    });
    let mut late = load(&keys, 0);
    assert!(poll(&mut late).is_pending());
    assert_eq!(kms.polled.load(Ordering::Relaxed), 2);
    kms.open();
    assert!(matches!(poll(&mut late), Poll::Ready(Ok(_))));
    assert!(matches!(poll(&mut early), Poll::Ready(Ok(_))), "it begins again, and finds the key");
    assert_eq!(world.kms.calls(), 2);
}

#[test]
fn a_kms_that_panics_fails_its_callers_and_no_others() {
    #[derive(Debug)]
    struct Panics(Arc<dyn Kms>, AtomicU32);
    impl Kms for Panics {
        fn provider(&self) -> &'static str {
            self.0.provider()
        }
        fn wrap<'a>(
            &'a self,
            key_id: &'a KeyId,
            key: &'a SecretKey,
            context: &'a WrappingContext,
            now: SystemTime,
        ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
            self.0.wrap(key_id, key, context, now)
        }
        fn unwrap<'a>(
            &'a self,
            key_id: &'a KeyId,
            blob: &'a [u8],
            context: &'a WrappingContext,
            now: SystemTime,
        ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
            Box::pin(async move {
                assert!(self.1.fetch_add(1, Ordering::Relaxed) > 0, "the first call panics");
                self.0.unwrap(key_id, blob, context, now).await
            })
        }
        fn describe<'a>(
            &'a self,
            key_id: &'a KeyId,
            now: SystemTime,
        ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
            self.0.describe(key_id, now)
        }
    }
    let world = World::new();
    let kms = Arc::new(Panics(world.kms.clone(), AtomicU32::new(0)));
    let keys = Keyring::new(tenant("acme"), kms, world.records.clone());
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pollster::block_on(load(&keys, 0)).is_ok()));
    assert!(panics.is_err());
    let error = pollster::block_on(load(&keys, 0)).unwrap_err();
    assert_eq!(error.code(), "internal", "who joins what was lost is told");
    assert!(pollster::block_on(load(&keys, 0)).is_ok());
}

#[test]
fn a_tenant_whose_kms_hangs_is_told_to_come_back_and_another_is_not_affected() {
    let (world, clock) = (World::new(), Clock::default());
    let timer = Arc::new(clock.clone());
    let keys = world.other_node().with_timer(timer);
    let data = data();
    pollster::block_on(async {
        for _ in 0..99 {
            world.keys.rotate(&data, at(0)).await.unwrap();
        }
        let other = Keyring::new(tenant("other"), world.local.clone(), world.records.clone());
        other.create(&world.key_ids, std::slice::from_ref(&data), at(0)).await.unwrap();
        world.kms.calls();
        world.kms.fail(None, Fault::Hang);
        let mut loads: Vec<_> = (1..=100).map(|version| Box::pin(keys.version(&data, version, at(0)))).collect();
        let mut task = Task::from_waker(Waker::noop());
        let first: Vec<_> = loads.iter_mut().map(|load| load.as_mut().poll(&mut task)).collect();
        let busy = first.iter().filter(|poll| matches!(poll, Poll::Ready(Err(error)) if error.code() == "kms_busy"));
        assert_eq!((busy.count(), world.kms.calls()), (20, 16), "16 in flight, 64 waiting");
        assert!(pin!(other.current(&data, at(0))).poll(&mut task).is_ready());
    });
}

#[test]
fn a_load_under_way_does_not_bring_back_what_another_node_has_destroyed_or_retired() {
    for shreds in [true, false] {
        let world = World::new();
        let (kms, keys) = gated(&world);
        let mut first = load(&keys, 0);
        assert!(poll(&mut first).is_pending());
        pollster::block_on(async {
            world.keys.rotate(&data(), at(1)).await.unwrap();
            if shreds {
                world.keys.shred(&data(), 1, at(1)).await.unwrap();
            }
        });
        // What is read now says so; the load began before.
        let mut second = load(&keys, 5);
        assert!(poll(&mut second).is_pending());
        kms.open();
        let Poll::Ready(Ok(key)) = poll(&mut second) else { panic!("the new version is there") };
        assert_eq!(key.version(), 2);
        let Poll::Ready(Ok(key)) = poll(&mut first) else { panic!("it has its answer") };
        // What was destroyed was begun again, as what it is: the key that seals now.
        let sealed = key.seal(b"x", &Context::empty()).map_err(|error| error.code());
        assert_eq!((key.version(), sealed.err()), if shreds { (2, None) } else { (1, Some("usage")) });
        let old = pollster::block_on(keys.version(&data(), 1, at(5)));
        assert_eq!(old.map_err(|error| error.code()).is_err(), shreds);
    }
}
