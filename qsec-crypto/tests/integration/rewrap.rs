//! Wrapping the same versions again.

use qsec_crypto::kms::{Fault, KeyId};
use qsec_crypto::{Context, KeyRecords, KeyStore, Keyring, SecretKey, WrappingRole};

use crate::world::{Mortal, World, at, data, tenant};

/// The ids of the KMS keys that each version is under, in the order of its wrappings.
async fn under(keys: &Keyring) -> Vec<Vec<(KeyId, WrappingRole)>> {
    let versions = keys.describe(at(0)).await.unwrap().versions;
    let of_version = |wrappings: Vec<qsec_crypto::WrappingDescription>| {
        let mut of_version: Vec<_> = wrappings.into_iter().map(|w| (w.key_id, w.role)).collect();
        of_version.sort_by_key(|(_, role)| *role != WrappingRole::Primary);
        of_version
    };
    versions.into_iter().map(|version| of_version(version.wrappings)).collect()
}

/// Three versions under one KMS key, and what the first of them sealed.
async fn three_versions(world: &World) -> (Keyring, Vec<u8>) {
    let keys = Keyring::new(tenant("solo"), world.kms.clone(), world.records.clone());
    keys.create(&world.key_ids[..1], &[data()], at(0)).await.unwrap();
    let sealed = keys.current(&data(), at(0)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
    keys.rotate(&data(), at(0)).await.unwrap();
    keys.rotate(&data(), at(0)).await.unwrap();
    world.kms.calls();
    (keys, sealed)
}

#[test]
fn a_region_is_added_with_three_calls_for_each_version() {
    let world = World::new();
    pollster::block_on(async {
        let (keys, sealed) = three_versions(&world).await;
        let [primary, replica] = [0, 1].map(|number| world.key_ids[number].clone());
        let done = keys.rewrap(std::slice::from_ref(&replica), &[], at(1)).await.unwrap();
        assert_eq!((done.versions_rewrapped, done.kms_calls, world.kms.calls()), (3, 9, 9));
        let both = vec![(primary.clone(), WrappingRole::Primary), (replica.clone(), WrappingRole::Replica)];
        assert_eq!(under(&keys).await, vec![both; 3]);

        world.kms.fail(Some(&primary), Fault::Unavailable);
        keys.forget();
        let key = keys.for_sealed(&sealed, &data(), at(2)).await.unwrap();
        assert_eq!(key.open(&sealed, &Context::empty()).unwrap(), b"x");
        world.kms.heal();
        let again = keys.rewrap(std::slice::from_ref(&replica), &[], at(60)).await.unwrap();
        assert_eq!(again.versions_rewrapped, 0, "there already");
    });
}

#[test]
fn a_kms_key_is_removed_only_when_another_was_seen_to_open() {
    let world = World::new();
    pollster::block_on(async {
        let [primary, replica] = [0, 1].map(|number| world.key_ids[number].clone());
        let removed = std::slice::from_ref(&primary);
        world.kms.fail(Some(&replica), Fault::OtherPlaintext);
        assert_eq!(world.keys.rewrap(&[], removed, at(1)).await.unwrap_err().code(), "kms_wrong_key");
        assert_eq!(under(&world.keys).await[0].len(), 2);
        world.kms.fail(Some(&primary), Fault::Disabled);
        assert_eq!(
            world.keys.rewrap(&[], removed, at(1)).await.unwrap_err().code(),
            "key_disabled",
            "its owner said no"
        );
        world.kms.heal();
        world.kms.calls();
        let done = world.keys.rewrap(&[], removed, at(2)).await.unwrap();
        assert_eq!((done.kms_calls, world.kms.calls()), (2, 2), "one for the owner's yes, one for the proof");
        assert_eq!(under(&world.keys).await, [[(replica.clone(), WrappingRole::Primary)]]);
        assert!(world.keys.current(&data(), at(2)).await.is_ok());

        let last = world.keys.rewrap(&[], std::slice::from_ref(&replica), at(3)).await.unwrap_err();
        assert_eq!((last.code(), last.is_retryable()), ("conflict", false));
        assert_eq!(world.keys.rewrap(&[], removed, at(3)).await.unwrap_err().code(), "usage", "not there");
        let both = world.keys.rewrap(removed, removed, at(3)).await.unwrap_err();
        assert_eq!(both.code(), "usage");
    });
}

#[test]
fn a_kms_key_is_exchanged_for_another() {
    let world = World::new();
    pollster::block_on(async {
        let (keys, sealed) = three_versions(&world).await;
        let [old, new] = [0, 1].map(|number| world.key_ids[number].clone());
        let done = keys.rewrap(std::slice::from_ref(&new), std::slice::from_ref(&old), at(1)).await.unwrap();
        assert_eq!((done.versions_rewrapped, done.kms_calls), (3, 9));
        assert_eq!(under(&keys).await, vec![vec![(new, WrappingRole::Primary)]; 3]);
        world.kms.fail(Some(&old), Fault::Disabled);
        keys.forget();
        assert!(keys.for_sealed(&sealed, &data(), at(2)).await.is_ok());
    });
}

#[test]
fn without_a_key_to_add_every_wrapping_moves_to_the_newest_material() {
    let world = World::new();
    pollster::block_on(async {
        let blobs = async || {
            let rows = world.store.load(&tenant("acme")).await.unwrap();
            String::from_utf8(rows[1].body.clone()).unwrap()
        };
        let before = blobs().await;
        world.local.rotate(&world.key_ids[0], at(1)).await.unwrap();
        let done = world.keys.rewrap(&[], &[], at(1)).await.unwrap();
        assert_eq!((done.versions_rewrapped, done.kms_calls), (1, 5), "unwrap, and wrap and check for each of two");
        assert_ne!(blobs().await, before);
        assert!(world.other_node().current(&data(), at(1)).await.is_ok());
    });
}

#[test]
fn gaps_are_filled_and_what_was_cut_off_can_be_done_again() {
    let world = World::new();
    pollster::block_on(async {
        world.kms.fail(Some(&world.key_ids[1]), Fault::Unavailable);
        world.keys.rotate(&data(), at(0)).await.unwrap();
        let missing = async || world.keys.describe(at(0)).await.unwrap().versions.remove(1).missing.len();
        assert_eq!(missing().await, 1);
        assert_eq!(world.keys.rewrap(&world.key_ids[1..], &[], at(1)).await.unwrap_err().code(), "kms_unavailable");
        world.kms.heal();
        let done = world.keys.rewrap(&world.key_ids[1..], &[], at(2)).await.unwrap();
        assert_eq!((done.versions_rewrapped, missing().await), (1, 0));

        // Cut off at any call: nothing is lost, and the same again ends it.
        for calls in 0..6 {
            let world = World::new();
            let added = world.local.create_key(at(0)).await.unwrap();
            world.keys.rotate(&data(), at(0)).await.unwrap();
            world.kms.fail_after(calls, Fault::Unavailable);
            let exchange = async || {
                world.keys.rewrap(std::slice::from_ref(&added), &world.key_ids[..1], at(100 * u64::from(calls))).await
            };
            assert_eq!(exchange().await.unwrap_err().code(), "kms_unavailable", "{calls}");
            world.kms.heal();
            assert!(world.other_node().current(&data(), at(0)).await.is_ok());
            world.keys.forget();
            exchange().await.unwrap();
            let of_all = under(&world.keys).await;
            assert!(of_all.iter().all(|of_version| of_version.len() == 2), "{of_all:?}");
        }
    });
}

#[test]
fn a_ninth_wrapping_is_refused() {
    let world = World::new();
    let many: Vec<_> = (0..7).map(|n| KeyId::new(format!("k{n}")).unwrap()).collect();
    let error = pollster::block_on(world.keys.rewrap(&many, &[], at(0))).unwrap_err();
    assert_eq!(error.code(), "usage");
}

#[test]
fn a_plan_counts_what_the_run_then_takes() {
    for (add, remove, expected) in [
        // Three versions under one KMS key, the second of which is added, takes its place, or not.
        (true, false, (3, 3, 0, 9)),
        (true, true, (3, 3, 3, 9)),
        (false, false, (3, 3, 0, 9)),
    ] {
        let world = World::new();
        pollster::block_on(async {
            let (keys, _) = three_versions(&world).await;
            let added = if add { &world.key_ids[1..] } else { &[] };
            let removed = if remove { &world.key_ids[..1] } else { &[] };
            let plan = keys.plan_rewrap(added, removed, at(1)).await.unwrap();
            let told = (plan.versions, plan.wrappings_made, plan.wrappings_removed, plan.kms_calls_at_most);
            assert_eq!((told, world.kms.calls()), (expected, 0));
            let mut steps = Vec::new();
            let done =
                keys.run_rewrap(&plan, &mut |so_far| steps.push(so_far.versions_rewrapped), at(1)).await.unwrap();
            assert_eq!((done.versions_rewrapped, done.kms_calls), (3, plan.kms_calls_at_most));
            assert_eq!((world.kms.calls(), steps), (9, vec![1, 2, 3]));
            let nothing = keys.plan_rewrap(added, &[], at(2)).await.unwrap();
            if add {
                assert_eq!((nothing.versions, nothing.kms_calls_at_most), (0, 0));
                assert_eq!(keys.run_rewrap(&nothing, &mut |_| {}, at(2)).await.unwrap().kms_calls, 0);
            }
        });
    }
}

#[test]
fn a_plan_that_is_run_again_does_not_repeat_what_was_checked() {
    for calls in 0..9_u32 {
        let world = World::new();
        pollster::block_on(async {
            let (keys, _) = three_versions(&world).await;
            let plan = keys.plan_rewrap(&[], &[], at(1)).await.unwrap();
            world.kms.fail_after(calls, Fault::Unavailable);
            assert_eq!(keys.run_rewrap(&plan, &mut |_| {}, at(1)).await.unwrap_err().code(), "kms_unavailable");
            world.kms.heal();
            world.kms.calls();
            let done = keys.run_rewrap(&plan, &mut |_| {}, at(1)).await.unwrap();
            let left = 3 - calls / 3;
            assert_eq!((done.versions_rewrapped, world.kms.calls()), (left, 3 * left), "cut off after {calls} calls");
        });
    }
}

#[test]
fn a_plan_of_keys_that_were_changed_since_is_refused() {
    let world = World::new();
    pollster::block_on(async {
        let plan = world.keys.plan_rewrap(&[], &[], at(1)).await.unwrap();
        world.keys.rotate(&data(), at(1)).await.unwrap();
        let error = world.keys.run_rewrap(&plan, &mut |_| {}, at(1)).await.unwrap_err();
        assert_eq!(error.code(), "conflict");
        world.keys.disable(at(2)).await.unwrap();
        assert_eq!(world.keys.plan_rewrap(&[], &[], at(2)).await.unwrap_err().code(), "key_disabled");
    });
}

#[test]
fn a_rewrap_killed_after_any_write_can_be_planned_again_and_ends() {
    for (writes, is_kept) in (0..).flat_map(|writes| [(writes, false), (writes, true)]) {
        let world = World::new();
        let finished = pollster::block_on(async {
            let added = world.local.create_key(at(0)).await.unwrap();
            world.keys.rotate(&data(), at(0)).await.unwrap();
            let sealed = world.keys.current(&data(), at(0)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
            let mortal = Mortal::new(&world.store, writes).keeping_the_last(is_kept);
            let records = KeyRecords::new(mortal, SecretKey::copy_from(&[8; 32]));
            let dying = Keyring::new(tenant("acme"), world.kms.clone(), records);
            let (add, remove) = (std::slice::from_ref(&added), &world.key_ids[..1]);
            if dying.rewrap(add, remove, at(1)).await.is_ok() {
                return true;
            }
            let node = world.other_node();
            let key = node.for_sealed(&sealed, &data(), at(2)).await.unwrap();
            assert_eq!(key.open(&sealed, &Context::empty()).unwrap(), b"x", "killed after {writes} writes");
            // When only the last answer was lost, what was to be removed is not there any more.
            let again = node.rewrap(add, remove, at(2)).await;
            let code = again.map_or_else(|error| error.code(), |_| "ok");
            assert!(code == "ok" || (is_kept && code == "usage"), "{code} after {writes} writes");
            let of_all = under(&node).await;
            assert!(of_all.iter().all(|of_version| of_version.len() == 2), "{of_all:?}");
            assert!(of_all.iter().flatten().all(|(key_id, _)| key_id != &world.key_ids[0]), "{of_all:?}");
            assert!(node.for_sealed(&sealed, &data(), at(2)).await.is_ok());
            false
        });
        if finished {
            assert!(writes > 2, "each version, the binding, and what is deleted");
            break;
        }
    }
}

/// Otherwise the version would lose its one wrapping, under the KMS key that goes, and with it all that it sealed.
#[test]
fn a_plan_is_not_run_over_a_version_that_another_rewrap_has_changed_since() {
    let world = World::new();
    pollster::block_on(async {
        let (keys, sealed) = three_versions(&world).await;
        let [old, new] = [0, 1].map(|number| std::slice::from_ref(&world.key_ids[number]));
        let plan = keys.plan_rewrap(new, old, at(1)).await.unwrap();
        keys.rewrap(&[], &[], at(1)).await.unwrap();
        let before = under(&keys).await;
        world.kms.calls();
        assert_eq!(keys.run_rewrap(&plan, &mut |_| {}, at(1)).await.unwrap_err().code(), "conflict");
        assert_eq!((under(&keys).await, before.len()), (before, 3), "no wrapping is gone");

        keys.rewrap(new, old, at(2)).await.unwrap();
        let key = keys.for_sealed(&sealed, &data(), at(3)).await.unwrap();
        assert_eq!(key.open(&sealed, &Context::empty()).unwrap(), b"x");
    });
}

#[test]
fn a_plan_of_another_tenant_is_refused() {
    let world = World::new();
    pollster::block_on(async {
        let (solo, _) = three_versions(&world).await;
        let other = Keyring::new(tenant("other"), world.kms.clone(), world.records.clone());
        other.create(&world.key_ids[..1], &[data()], at(0)).await.unwrap();
        other.rotate(&data(), at(0)).await.unwrap();
        other.rotate(&data(), at(0)).await.unwrap();
        let plan = solo.plan_rewrap(&world.key_ids[1..], &[], at(1)).await.unwrap();
        world.kms.calls();
        let error = other.run_rewrap(&plan, &mut |_| {}, at(1)).await.unwrap_err();
        assert_eq!((error.code(), world.kms.calls()), ("usage", 0), "{error}");
    });
}
