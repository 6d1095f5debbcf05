//! What a keyring remembers, on a clock that only the test moves.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use qsec_crypto::kms::{Fault, FaultyKms};
use qsec_crypto::{Context, Event, KeyRecords, Keyring, Observer, Purpose};

use crate::clock::Clock;
use crate::world::{Memory, Regional, World, at, data, tenant};

type Answer = Result<(), &'static str>;

async fn code(keys: &Keyring, seconds: u64) -> Answer {
    keys.current(&data(), at(seconds)).await.map(|_| ()).map_err(|error| error.code())
}

/// A keyring over the world's one tenant, under its primary alone.
fn keyring(world: &World) -> Keyring {
    let keys = Keyring::new(tenant("solo"), world.kms.clone(), world.records.clone());
    pollster::block_on(keys.create(&world.key_ids[..1], &[data()], at(0))).unwrap();
    world.kms.calls();
    keys.with_observer(world.observer.clone())
}

#[test]
fn an_unconfirmed_key_is_probed_and_a_no_erases_it_at_once() {
    let world = World::new();
    let keys = keyring(&world);
    pollster::block_on(async {
        assert_eq!(code(&keys, 0).await, Ok(()));
        let out = keys.current(&data(), at(0)).await.unwrap();
        world.kms.fail(None, Fault::Disabled);
        assert_eq!(code(&keys, 59).await, Ok(()));
        assert_eq!(world.kms.calls(), 1);
        assert_eq!(code(&keys, 60).await, Err("key_disabled"));
        assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "key_disabled");

        // Locked: what the KMS said is repeated for 5 s without asking.
        world.kms.heal();
        for second in 60..65 {
            assert_eq!(code(&keys, second).await, Err("key_disabled"), "{second}");
        }
        assert_eq!(world.kms.calls(), 1);
        assert_eq!(code(&keys, 65).await, Ok(()));
        assert_eq!(world.kms.calls(), 1);
    });
    let evicted: Vec<_> = world.observer.take().into_iter().filter(|event| event.contains("evicted")).collect();
    assert_eq!(evicted, ["key.cache_evicted key_disabled"]);
}

#[test]
fn every_refusal_is_repeated_for_its_time_and_forgotten_when_told() {
    for (fault, code_of, life) in [
        (Fault::Disabled, "key_disabled", 5),
        (Fault::Denied, "kms_access_denied", 5),
        (Fault::OtherPlaintext, "kms_wrong_key", 5),
        (Fault::Unavailable, "kms_unavailable", 1),
        (Fault::Throttled, "kms_throttled", 1),
    ] {
        let world = World::new();
        let keys = keyring(&world);
        pollster::block_on(async {
            world.kms.fail(None, fault);
            for second in 0..life {
                assert_eq!(code(&keys, second).await, Err(code_of));
            }
            assert_eq!(world.kms.calls(), 1, "{fault:?}");
            assert_eq!(code(&keys, life).await, Err(code_of));
            assert_eq!(world.kms.calls(), 1, "{fault:?}");
            world.kms.heal();
            keys.forget();
            assert_eq!(code(&keys, life).await, Ok(()));
        });
    }
}

#[test]
fn a_version_that_fails_does_not_stop_the_others() {
    let world = World::new();
    let keys = keyring(&world);
    pollster::block_on(async {
        let files = Purpose::new("files").unwrap();
        keys.add_purpose(&files, at(0)).await.unwrap();
        world.kms.fail_times(1, Fault::OtherPlaintext);
        assert_eq!(code(&keys, 0).await, Err("kms_wrong_key"));
        assert!(keys.current(&files, at(0)).await.is_ok());
        assert_eq!(code(&keys, 0).await, Err("kms_wrong_key"));
    });
}

#[test]
fn without_grace_an_unavailable_kms_ends_the_use_at_the_bound() {
    let world = World::new();
    let keys = keyring(&world);
    pollster::block_on(async {
        assert_eq!(code(&keys, 0).await, Ok(()));
        world.kms.fail(None, Fault::Unavailable);
        assert_eq!(code(&keys, 59).await, Ok(()));
        assert_eq!(code(&keys, 60).await, Err("kms_unavailable"));
        world.kms.heal();
        assert_eq!(code(&keys, 60).await, Err("kms_unavailable"), "down for 1 s");
        assert_eq!(code(&keys, 61).await, Ok(()));
    });
    assert!(world.observer.take().contains(&"key.cache_evicted kms_unavailable".to_owned()));
}

#[test]
fn grace_is_for_unavailable_only_and_ends_with_the_hard_life() {
    let world = World::new();
    let keys = keyring(&world).with_grace(Duration::from_mins(15)).unwrap();
    pollster::block_on(async {
        assert_eq!(code(&keys, 0).await, Ok(()));
        world.kms.fail(None, Fault::Unavailable);
        for second in [60, 120, 600, 899] {
            assert_eq!(code(&keys, second).await, Ok(()), "{second}");
        }
        assert_eq!(code(&keys, 900).await, Err("kms_unavailable"), "15 minutes are the end");

        world.kms.heal();
        keys.forget();
        assert_eq!(code(&keys, 960).await, Ok(()));
        world.kms.fail(None, Fault::Unavailable);
        assert_eq!(code(&keys, 1_020).await, Ok(()));
        world.kms.fail(None, Fault::Disabled);
        assert_eq!(code(&keys, 1_021).await, Err("key_disabled"), "a no is a no");
    });
    assert_eq!(keyring_grace(901), Err("usage"));
    assert_eq!(keyring_grace(900), Ok(()));
}

fn keyring_grace(seconds: u64) -> Answer {
    let keys = keyring(&World::new()).with_grace(Duration::from_secs(seconds));
    keys.map(|_| ()).map_err(|error| error.code())
}

#[test]
fn a_stale_key_is_used_while_one_refresh_confirms_it() {
    let (world, clock) = (World::new(), Clock::default());
    let kms = Arc::new(qsec_crypto::kms::FaultyKms::over(world.kms.clone()).with_timer(Arc::new(clock.clone())));
    let keys = Keyring::new(tenant("acme"), kms.clone(), world.records.clone()).with_timer(Arc::new(clock.clone()));
    let keys = keys.with_revocation_bound(Duration::from_mins(5)).unwrap();
    let mut refreshed = Vec::new();
    for round in 0..20 {
        let start = round * 1_000;
        keys.forget();
        assert_eq!(clock.run(code(&keys, start)), Ok(()));
        kms.calls();
        // The refresh takes two seconds; nobody waits for it, and it is driven by those who come meanwhile.
        kms.fail(None, Fault::Late(Duration::from_secs(2)));
        let mut first = None;
        for second in start..start + 299 {
            assert_eq!(at_once(code(&keys, second)), Some(Ok(())), "{second}");
            if kms.calls() > 0 {
                assert!(first.replace(second - start).is_none(), "one refresh");
            }
            clock.pass(Duration::from_secs(1));
        }
        kms.heal();
        refreshed.extend(first);
    }
    assert!(refreshed.iter().all(|second| (240..300).contains(second)), "{refreshed:?}");
    assert!(refreshed.len() > 2, "half of the soft lives end before the bound: {refreshed:?}");
    let different: std::collections::BTreeSet<_> = refreshed.iter().collect();
    assert!(different.len() > 1, "lives are jittered: {refreshed:?}");
}

fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn a_refresh_that_lands_confirms_the_key() {
    let world = World::new();
    let keys = world.other_node().with_revocation_bound(Duration::from_mins(5)).unwrap();
    pollster::block_on(async {
        assert_eq!(code(&keys, 0).await, Ok(()));
        world.kms.calls();
        // Refreshed somewhere in 240 to 300 s, by the refresh or by the probe: one call, and then none for 240 s.
        for second in 0..=300 {
            assert_eq!(code(&keys, second).await, Ok(()));
        }
        assert_eq!(world.kms.calls(), 1);
        for second in 300..480 {
            assert_eq!(code(&keys, second).await, Ok(()));
        }
        assert_eq!(world.kms.calls(), 0);
    });
}

#[test]
fn with_bound_0_nothing_is_remembered() {
    let world = World::new();
    let keys =
        keyring(&world).with_revocation_bound(Duration::ZERO).unwrap().with_grace(Duration::from_mins(5)).unwrap();
    pollster::block_on(async {
        for _ in 0..3 {
            assert_eq!(code(&keys, 0).await, Ok(()));
            assert_eq!(world.kms.calls(), 1);
        }
        world.kms.fail(None, Fault::Unavailable);
        assert_eq!(code(&keys, 0).await, Err("kms_unavailable"));
        world.kms.heal();
        assert_eq!(code(&keys, 0).await, Ok(()));
    });
}

#[test]
fn a_breaker_spares_a_kms_that_does_not_answer_and_tells_when_it_is_back() {
    let world = World::new();
    let keys = keyring(&world);
    pollster::block_on(async {
        world.kms.fail(None, Fault::Unavailable);
        for second in 0..5 {
            assert_eq!(code(&keys, second).await, Err("kms_unavailable"));
        }
        assert_eq!(world.kms.calls(), 5);
        for second in 5..14 {
            assert_eq!(code(&keys, second).await, Err("kms_unavailable"), "{second}");
        }
        assert_eq!(world.kms.calls(), 0, "open for 10 s");
        world.kms.heal();
        assert_eq!(code(&keys, 14).await, Ok(()));
        assert_eq!(world.kms.calls(), 1);
    });
    let seen = world.observer.take();
    let breaker: Vec<_> = seen.iter().filter(|event| event.starts_with("key.breaker")).collect();
    assert_eq!(breaker, ["key.breaker_opened kms_unavailable", "key.breaker_closed"]);
}

#[test]
fn failover_is_remembered_for_30_seconds_and_told_once_each_way() {
    let world = World::new();
    let observer = Arc::new(Memory::default());
    let keys = world.other_node().with_observer(observer.clone());
    let files = Purpose::new("files").unwrap();
    let moved = |observer: &Memory| -> Vec<String> {
        observer.take().into_iter().filter(|event| event.starts_with("key.fail")).collect()
    };
    pollster::block_on(async {
        world.keys.add_purpose(&files, at(0)).await.unwrap();
        world.kms.calls();
        world.kms.fail(Some(&world.key_ids[0]), Fault::Unavailable);
        assert_eq!(code(&keys, 0).await, Ok(()));
        assert_eq!((world.kms.calls(), moved(&observer)), (2, vec!["key.failover kms_unavailable".to_owned()]));
        assert!(keys.current(&files, at(29)).await.is_ok());
        assert_eq!(world.kms.calls(), 1, "the replica is asked first");
        keys.forget();
        assert!(keys.current(&files, at(30)).await.is_ok());
        assert_eq!(world.kms.calls(), 2, "one call tries the primary");
        assert_eq!(moved(&observer), Vec::<String>::new(), "told already");
        world.kms.heal();
        keys.forget();
        assert!(keys.current(&files, at(60)).await.is_ok());
        assert_eq!((world.kms.calls(), moved(&observer)), (1, vec!["key.failback ok".to_owned()]));
    });
}

#[test]
fn a_key_that_a_replica_unwrapped_is_confirmed_as_of_the_last_question_to_the_primary() {
    let world = World::new();
    let keys = world.other_node();
    let files = Purpose::new("files").unwrap();
    pollster::block_on(async {
        world.keys.add_purpose(&files, at(0)).await.unwrap();
        world.kms.fail(Some(&world.key_ids[0]), Fault::Unavailable);
        assert_eq!(code(&keys, 0).await, Ok(()));
        world.kms.fail(Some(&world.key_ids[0]), Fault::Disabled);
        assert!(keys.current(&files, at(29)).await.is_ok(), "within 30 s the primary is not asked");
        let out = keys.current(&files, at(59)).await.unwrap();
        let error = keys.current(&files, at(60)).await.unwrap_err();
        assert_eq!(error.code(), "key_disabled", "60 s after the primary was asked, not 60 s after the replica");
        assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "key_disabled");
    });
}

#[test]
fn a_replica_answers_for_a_refusing_primary_only_where_that_danger_is_chosen() {
    let world = World::new();
    world.kms.fail(Some(&world.key_ids[0]), Fault::Disabled);
    let keys = world.other_node().danger_failover_on_terminal();
    assert_eq!(pollster::block_on(code(&keys, 0)), Ok(()));
    assert_eq!(pollster::block_on(code(&world.other_node(), 0)), Err("key_disabled"));
}

#[test]
fn a_version_made_while_the_primary_was_away_still_obeys_it() {
    let world = World::new();
    pollster::block_on(async {
        world.kms.fail(Some(&world.key_ids[0]), Fault::Unavailable);
        world.keys.rotate(&data(), at(0)).await.unwrap();
        let missing: Vec<_> = world.keys.describe(at(0)).await.unwrap().versions.remove(1).missing;
        assert_eq!(missing, world.key_ids[..1]);
        world.kms.heal();
        assert_eq!(code(&world.other_node(), 1).await, Ok(()));
        world.local.disable(&world.key_ids[0], at(1)).await.unwrap();
        assert_eq!(code(&world.other_node(), 1).await, Err("key_disabled"), "a replica must not answer yes");
    });
}

#[test]
fn a_call_is_bounded_tried_thrice_and_never_beyond_the_total_time() {
    for (fault, times, answer, calls, least, most) in [
        (Fault::Throttled, 2, Ok(()), 3, 0, 150),
        (Fault::Unavailable, 2, Ok(()), 3, 0, 150),
        (Fault::Unavailable, 3, Err("kms_unavailable"), 3, 0, 150),
        (Fault::Disabled, 1, Err("key_disabled"), 1, 0, 0),
        (Fault::OtherPlaintext, 1, Err("kms_wrong_key"), 1, 0, 0),
        (Fault::Hang, 1, Ok(()), 2, 2_000, 2_050),
        (Fault::Hang, 3, Err("kms_unavailable"), 3, 5_000, 5_000),
        (Fault::Late(Duration::from_millis(1_999)), 1, Ok(()), 1, 1_999, 1_999),
        (Fault::Late(Duration::from_millis(2_001)), 1, Ok(()), 2, 2_000, 2_050),
    ] {
        let (world, clock) = (World::new(), Clock::default());
        let timer = Arc::new(clock.clone());
        let kms = Arc::new(qsec_crypto::kms::FaultyKms::over(world.kms.clone()).with_timer(timer.clone()));
        let keys = Keyring::new(tenant("solo"), kms.clone(), world.records.clone()).with_timer(timer);
        clock.run(keys.create(&world.key_ids[..1], &[data()], at(0))).unwrap();
        kms.calls();
        kms.fail_times(times, fault);
        assert_eq!(clock.run(code(&keys, 0)), answer, "{fault:?} {times}");
        let took = clock.elapsed().as_millis();
        assert_eq!((kms.calls(), (least..=most).contains(&took)), (calls, true), "{fault:?} {times}: {took} ms");
    }
}

#[test]
fn pauses_between_tries_are_random() {
    let pauses: std::collections::BTreeSet<_> = (0..20)
        .map(|_| {
            let (world, clock) = (World::new(), Clock::default());
            let keys = keyring(&world).with_timer(Arc::new(clock.clone()));
            world.kms.fail(None, Fault::Throttled);
            assert_eq!(clock.run(code(&keys, 0)), Err("kms_throttled"));
            clock.elapsed()
        })
        .collect();
    assert!(pauses.len() > 10 && pauses.iter().all(|pause| *pause < Duration::from_millis(150)), "{pauses:?}");
}

#[test]
fn without_a_timer_there_is_one_try() {
    let world = World::new();
    let keys = keyring(&world);
    world.kms.fail(None, Fault::Throttled);
    assert_eq!(pollster::block_on(code(&keys, 0)), Err("kms_throttled"));
    assert_eq!(world.kms.calls(), 1);
}

/// Remembers from where to where keys failed over, and how long calls took.
#[derive(Debug, Default)]
struct Told {
    moves: Mutex<Vec<String>>,
    took: Mutex<Vec<Option<Duration>>>,
}

impl Observer for Told {
    fn observe(&self, event: &Event<'_>) {
        if event.name.starts_with("key.fail") {
            let told = format!("{} {:?} {:?}", event.name, event.from_region, event.to_region);
            self.moves.lock().unwrap().push(told);
        }
        if event.name == "key.unwrapped" {
            self.took.lock().unwrap().push(event.took);
        }
    }
}

#[test]
fn a_failover_says_from_which_region_to_which() {
    let (kms, arns) = Regional::new(&["eu-central-1/mrk-1", "us-east-1/mrk-1"]);
    let told = Arc::new(Told::default());
    let keys = Keyring::new(tenant("acme"), kms.clone(), KeyRecords::in_memory().unwrap());
    let keys = keys.with_observer(told.clone());
    pollster::block_on(async {
        keys.create(&arns, &[data()], at(0)).await.unwrap();
        kms.fail(Some(&arns[0]), Fault::Unavailable);
        keys.current(&data(), at(0)).await.unwrap();
        kms.heal();
        keys.forget();
        keys.current(&data(), at(30)).await.unwrap();
    });
    let expected = [
        r#"key.failover Some("eu-central-1") Some("us-east-1")"#,
        r#"key.failback Some("us-east-1") Some("eu-central-1")"#,
    ];
    assert_eq!(*told.moves.lock().unwrap(), expected);
}

#[test]
fn a_call_tells_how_long_it_took_if_the_timer_does() {
    let (world, clock) = (World::new(), Clock::default());
    let told = Arc::new(Told::default());
    let kms = Arc::new(FaultyKms::over(world.local.clone()).with_timer(Arc::new(clock.clone())));
    let keys = Keyring::new(tenant("acme"), kms.clone(), world.records.clone());
    let keys = keys.with_observer(told.clone()).with_timer(Arc::new(clock.clone()));
    kms.fail(None, Fault::Late(Duration::from_millis(1_500)));
    clock.run(keys.current(&data(), at(0))).unwrap();
    world.keys.forget();
    pollster::block_on(world.keys.current(&data(), at(0))).unwrap();
    assert_eq!(*told.took.lock().unwrap(), [Some(Duration::from_millis(1_500))]);
}
