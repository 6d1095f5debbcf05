//! The verbs of a keyring, and what a KMS may answer.

use std::sync::Arc;

use qsec_crypto::kms::{Fault, FaultyKms, KmsKeyState, LocalKms, RootKey};
use qsec_crypto::{
    Context, KeyRecords, Keyring, MemoryStore, Purpose, StoppedBy, TenantKeyState, VersionState, WrappingRole,
    check_deletion_days,
};

use crate::world::{DAY, World, at, data, tenant};

#[test]
fn a_key_is_unwrapped_once_and_then_used_without_a_call() {
    let world = World::new();
    pollster::block_on(async {
        for second in 0..59 {
            let key = world.keys.current(&data(), at(second)).await.unwrap();
            assert_eq!((key.version(), key.tenant().as_str()), (1, "acme"));
        }
        assert_eq!(world.kms.calls(), 1);
        world.keys.current(&data(), at(60)).await.unwrap();
        assert_eq!(world.kms.calls(), 1);
        world.keys.forget();
        world.keys.current(&data(), at(61)).await.unwrap();
        assert_eq!(world.kms.calls(), 1);
    });
}

#[test]
fn rotation_keeps_what_was_sealed_and_seals_with_the_new_version() {
    let world = World::new();
    pollster::block_on(async {
        let old_key = world.keys.current(&data(), at(0)).await.unwrap();
        let sealed = old_key.seal(b"old", &Context::empty()).unwrap();
        let rotation = world.keys.rotate(&data(), at(1)).await.unwrap();
        assert_eq!((rotation.version, rotation.previous), (2, 1));

        let new_key = world.keys.current(&data(), at(1)).await.unwrap();
        assert_eq!(new_key.version(), 2);
        assert_eq!(old_key.seal(b"x", &Context::empty()).unwrap_err().code(), "usage", "the handle is retired too");
        let by_header = world.keys.for_sealed(&sealed, &data(), at(1)).await.unwrap();
        assert_eq!(by_header.version(), 1);
        assert_eq!(by_header.open(&sealed, &Context::empty()).unwrap(), b"old");
        assert_eq!(by_header.seal(b"x", &Context::empty()).unwrap_err().code(), "usage");
        assert!(new_key.open(&sealed, &Context::empty()).is_err());
    });
}

#[test]
fn what_is_not_there_is_named() {
    let world = World::new();
    pollster::block_on(async {
        let files = Purpose::new("files").unwrap();
        let code = |error: qsec_crypto::KeyError| error.code();
        assert_eq!(code(world.keys.current(&files, at(0)).await.unwrap_err()), "key_version_not_found");
        assert_eq!(code(world.keys.rotate(&files, at(0)).await.unwrap_err()), "key_version_not_found");
        for version in [0, 2, u32::MAX] {
            assert_eq!(code(world.keys.version(&data(), version, at(0)).await.unwrap_err()), "key_version_not_found");
        }
        assert_eq!(code(world.keys.for_sealed(b"text", &data(), at(0)).await.unwrap_err()), "malformed");
        let other = Keyring::new(tenant("other"), world.kms.clone(), world.records.clone());
        assert_eq!(code(other.current(&data(), at(0)).await.unwrap_err()), "tenant_not_found");
        assert_eq!(code(other.disable(at(0)).await.unwrap_err()), "tenant_not_found");

        world.keys.add_purpose(&files, at(0)).await.unwrap();
        assert_eq!(world.keys.current(&files, at(0)).await.unwrap().version(), 1);
        assert_eq!(code(world.keys.add_purpose(&files, at(0)).await.unwrap_err()), "conflict");
        assert_eq!(code(world.keys.create(&world.key_ids, &[data()], at(0)).await.unwrap_err()), "conflict");
    });
}

#[test]
fn keys_of_other_purposes_and_tenants_do_not_open() {
    let world = World::new();
    pollster::block_on(async {
        let files = Purpose::new("files").unwrap();
        world.keys.add_purpose(&files, at(0)).await.unwrap();
        let other = Keyring::new(tenant("other"), world.kms.clone(), world.records.clone());
        other.create(&world.key_ids, &[data()], at(0)).await.unwrap();

        let sealed = world.keys.current(&data(), at(0)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
        for key in [world.keys.current(&files, at(0)).await.unwrap(), other.current(&data(), at(0)).await.unwrap()] {
            assert_eq!(key.open(&sealed, &Context::empty()).unwrap_err().code(), "not_opened");
        }
    });
}

#[test]
fn a_key_that_fails_the_round_trip_is_refused_and_changes_nothing() {
    for (fault, code) in [
        (Fault::OtherWrapped, "kms_wrong_key"),
        (Fault::OtherPlaintext, "kms_wrong_key"),
        (Fault::OtherKeyId, "kms_wrong_key"),
        (Fault::Unavailable, "kms_unavailable"),
        (Fault::Denied, "kms_access_denied"),
    ] {
        let world = World::new();
        pollster::block_on(async {
            let keys = Keyring::new(tenant("other"), world.kms.clone(), KeyRecords::in_memory().unwrap());
            world.kms.fail(None, fault);
            assert_eq!(keys.create(&world.key_ids, &[data()], at(0)).await.unwrap_err().code(), code, "{fault:?}");
            assert_eq!(world.keys.rotate(&data(), at(0)).await.unwrap_err().code(), code, "{fault:?}");
            world.kms.heal();
            assert_eq!(keys.current(&data(), at(0)).await.unwrap_err().code(), "tenant_not_found");
            assert_eq!(world.keys.current(&data(), at(0)).await.unwrap().version(), 1);
            keys.create(&world.key_ids, &[data()], at(0)).await.unwrap();
        });
    }
}

#[test]
fn an_answer_that_is_not_the_wrapped_key_is_never_used() {
    for fault in [Fault::OtherPlaintext, Fault::OtherKeyId, Fault::Short, Fault::Long, Fault::Empty] {
        let world = World::new();
        pollster::block_on(async {
            world.kms.fail(None, fault);
            let error = world.keys.current(&data(), at(0)).await.unwrap_err();
            assert_eq!((error.code(), error.is_retryable()), ("kms_wrong_key", false), "{fault:?}");
            assert_eq!(world.kms.calls(), 1, "a replica is not asked after a lie");
            let events = world.observer.take();
            assert_eq!(events, ["key.unwrapped kms_wrong_key", "key.wrong_key_returned kms_wrong_key"]);
        });
    }
}

#[test]
fn a_replica_answers_for_an_unavailable_primary_and_not_for_a_refusing_one() {
    for (fault, answer, calls) in [
        (Fault::Unavailable, Ok(()), 2),
        (Fault::Throttled, Ok(()), 2),
        (Fault::Denied, Err("kms_access_denied"), 1),
        (Fault::Disabled, Err("key_disabled"), 1),
        (Fault::OtherPlaintext, Err("kms_wrong_key"), 1),
    ] {
        let world = World::new();
        world.kms.fail(Some(&world.key_ids[0]), fault);
        let answered = pollster::block_on(world.keys.current(&data(), at(0)));
        assert_eq!(answered.map(|_| ()).map_err(|error| error.code()), answer, "{fault:?}");
        assert_eq!(world.kms.calls(), calls, "{fault:?}");
    }
    let world = World::new();
    world.kms.fail(None, Fault::Unavailable);
    let error = pollster::block_on(world.keys.current(&data(), at(0))).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("kms_unavailable", true));
}

#[test]
fn deletion_locks_at_once_can_be_called_off_and_ends() {
    let world = World::new();
    pollster::block_on(async {
        for days in [0, 6, 31] {
            assert_eq!(world.keys.schedule_deletion(days, at(0)).await.unwrap_err().code(), "usage");
            assert_eq!(check_deletion_days(days).unwrap_err().code(), "usage");
        }
        let code = |seconds| {
            let keys = &world.keys;
            async move { keys.current(&data(), at(seconds)).await.map(|_| ()).map_err(|error| error.code()) }
        };
        assert_eq!(world.keys.cancel_deletion(at(0)).await.unwrap_err().code(), "conflict");
        assert_eq!(world.keys.schedule_deletion(7, at(0)).await.unwrap(), at(7 * DAY));
        assert_eq!(code(0).await, Err("key_pending_deletion"));
        assert_eq!(world.keys.enable(at(0)).await.unwrap_err().code(), "key_pending_deletion");
        assert_eq!(world.keys.disable(at(0)).await.unwrap_err().code(), "key_pending_deletion");
        assert_eq!(world.keys.schedule_deletion(7, at(0)).await.unwrap_err().code(), "key_pending_deletion");

        world.keys.cancel_deletion(at(1)).await.unwrap();
        assert_eq!(code(1).await, Err("key_disabled"), "opening again is a second act");
        world.keys.enable(at(2)).await.unwrap();
        assert_eq!(code(2).await, Ok(()));

        world.keys.schedule_deletion(30, at(3)).await.unwrap();
        assert!(!world.keys.destroy_due(at(30 * DAY)).await.unwrap());
        assert!(world.keys.destroy_due(at(30 * DAY + 3)).await.unwrap());
        assert_eq!(code(30 * DAY + 3).await, Err("key_destroyed"));
        assert_eq!(world.other_node().current(&data(), at(4)).await.unwrap_err().code(), "key_destroyed");
        assert_eq!(world.keys.cancel_deletion(at(4)).await.unwrap_err().code(), "key_destroyed");
        let versions = world.keys.describe(at(4)).await.unwrap().versions;
        assert!(
            versions.iter().all(|version| version.state == VersionState::Destroyed && version.wrappings.is_empty())
        );
    });
}

#[test]
fn a_shredded_version_opens_no_more_and_the_others_do() {
    let world = World::new();
    pollster::block_on(async {
        let old = world.keys.current(&data(), at(0)).await.unwrap();
        let sealed = old.seal(b"old", &Context::empty()).unwrap();
        assert_eq!(world.keys.shred(&data(), 1, at(0)).await.unwrap_err().code(), "conflict");
        world.keys.rotate(&data(), at(0)).await.unwrap();
        assert_eq!(world.keys.shred(&data(), 3, at(0)).await.unwrap_err().code(), "key_version_not_found");
        world.keys.shred(&data(), 1, at(0)).await.unwrap();
        world.keys.shred(&data(), 1, at(0)).await.unwrap();

        assert_eq!(old.open(&sealed, &Context::empty()).unwrap_err().code(), "key_destroyed");
        assert_eq!(world.keys.for_sealed(&sealed, &data(), at(0)).await.unwrap_err().code(), "key_destroyed");
        assert_eq!(world.keys.current(&data(), at(0)).await.unwrap().version(), 2);
    });
}

#[test]
fn description_tells_binding_versions_and_who_stops() {
    let world = World::new();
    pollster::block_on(async {
        world.keys.rotate(&data(), at(5)).await.unwrap();
        let described = world.keys.describe(at(6)).await.unwrap();
        assert_eq!((described.tenant.as_str(), described.provider.as_str()), ("acme", "internal"));
        assert_eq!((described.state, described.by.len()), (TenantKeyState::Active, 0));
        assert_eq!(described.key_ids, world.key_ids);
        let versions: Vec<_> = described.versions.iter().map(|v| (v.version, v.state, v.created)).collect();
        assert_eq!(versions, [(1, VersionState::Retired, at(0)), (2, VersionState::Active, at(5))]);
        let wrappings: Vec<_> =
            described.versions[1].wrappings.iter().map(|w| (&w.key_id, w.role, w.verified)).collect();
        let roles = [WrappingRole::Primary, WrappingRole::Replica];
        assert_eq!(wrappings, [(&world.key_ids[0], roles[0], at(5)), (&world.key_ids[1], roles[1], at(5))]);

        world.keys.disable(at(7)).await.unwrap();
        world.local.schedule_deletion(&world.key_ids[0], 7, at(7)).await.unwrap();
        let described = world.keys.describe(at(8)).await.unwrap();
        assert_eq!(described.state, TenantKeyState::PendingDeletion, "the state that wins");
        assert_eq!(described.by, [StoppedBy::Tenant, StoppedBy::Kms]);
        assert_eq!(described.deletion_date, Some(at(7 + 7 * DAY)));

        world.keys.enable(at(9)).await.unwrap();
        assert_eq!(world.keys.describe(at(9)).await.unwrap().by, [StoppedBy::Kms]);
        world.kms.fail(None, Fault::Unavailable);
        let described = world.keys.describe(at(9)).await.unwrap();
        assert!(described.kms.iter().all(|key| key.state == Err("kms_unavailable")), "{described:?}");
        world.kms.heal();
        assert_eq!(world.keys.describe(at(9)).await.unwrap().kms[1].state, Ok(KmsKeyState::Enabled));
    });
}

#[test]
fn events_name_every_change_and_hold_no_secret() {
    let world = World::new();
    pollster::block_on(async {
        world.keys.current(&data(), at(0)).await.unwrap();
        world.keys.disable(at(0)).await.unwrap();
        world.keys.enable(at(0)).await.unwrap();
        world.keys.schedule_deletion(7, at(0)).await.unwrap();
        world.keys.cancel_deletion(at(0)).await.unwrap();
        world.keys.destroy(at(0)).await.unwrap();
    });
    let expected = [
        "key.unwrapped ok",
        "key.cache_evicted key_disabled",
        "key.disabled tenant",
        "key.enabled tenant",
        "key.deletion_scheduled tenant",
        "key.deletion_cancelled tenant",
        "key.destroyed tenant",
    ];
    assert_eq!(world.observer.take(), expected);
    let shown = format!("{:?} {:?} {:?}", world.keys, world.records, Arc::clone(&world.local));
    assert!(!shown.contains("7, 7") && !shown.contains("0707"), "{shown}");
}

#[test]
fn a_lock_needs_no_kms_and_a_key_does() {
    let world = World::new();
    pollster::block_on(async {
        world.keys.rotate(&data(), at(0)).await.unwrap();
        // A node that does not know the KMS which the keys are bound to.
        let other = Arc::new(LocalKms::open(RootKey::from_bytes(&[9; 32]), MemoryStore::new()).unwrap());
        let node =
            Keyring::new(tenant("acme"), Arc::new(FaultyKms::over(other).as_provider("aws")), world.records.clone());
        let described = node.describe(at(0)).await.unwrap();
        assert!(described.kms.iter().all(|answer| answer.state == Err("usage")), "{described:?}");
        assert_eq!((described.state, described.versions.len()), (TenantKeyState::Active, 2));
        for at in [at(0), at(1)] {
            let error = node.current(&data(), at).await.unwrap_err();
            assert!(error.code() == "usage" && error.to_string().contains("`internal`"), "{error}");
        }
        assert_eq!(node.rotate(&data(), at(1)).await.unwrap_err().code(), "usage");
        assert_eq!(node.rewrap(&[], &[], at(1)).await.unwrap_err().code(), "usage");

        node.disable(at(1)).await.unwrap();
        assert_eq!(node.current(&data(), at(1)).await.unwrap_err().code(), "key_disabled");
        node.enable(at(1)).await.unwrap();
        node.schedule_deletion(7, at(1)).await.unwrap();
        node.cancel_deletion(at(1)).await.unwrap();
        node.enable(at(1)).await.unwrap();
        assert_eq!(node.shred(&data(), 1, at(1)).await.unwrap().wrappings_destroyed, 2);
        // Given later, it is enough: that it was not known is not remembered.
        node.add_kms(world.kms.clone());
        assert_eq!(node.current(&data(), at(1)).await.unwrap().version(), 2);
    });
}
