//! Destroying a key version: planned, recorded, done.

use qsec_crypto::{Context, KeyStore, Keyring, Remains, VersionState};

use crate::world::{World, at, data, tenant};

#[test]
fn a_plan_says_what_is_destroyed_and_destroys_nothing() {
    let world = World::new();
    pollster::block_on(async {
        let sealed = world.keys.current(&data(), at(0)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
        world.keys.rotate(&data(), at(0)).await.unwrap();
        let out = world.keys.for_sealed(&sealed, &data(), at(0)).await.unwrap();
        world.observer.take();
        world.kms.calls();

        let plan = world.keys.plan_shred(&data(), 1, at(1)).await.unwrap();
        assert_eq!((plan.purpose(), plan.version(), plan.wrappings()), (&data(), 1, 2));
        assert_eq!(world.observer.take(), ["key.shred_planned tenant"]);
        assert!(out.open(&sealed, &Context::empty()).is_ok());

        // A process that is killed here has destroyed nothing; the next one plans again.
        drop(plan);
        assert!(world.other_node().for_sealed(&sealed, &data(), at(1)).await.is_ok());
        world.kms.calls();
        let plan = world.keys.plan_shred(&data(), 1, at(2)).await.unwrap();
        let shredded = world.keys.run_shred(plan, at(2)).await.unwrap();
        assert_eq!((shredded.version, shredded.wrappings_destroyed), (1, 2));
        let keys_left = world.key_ids.iter().map(|key_id| Remains::KmsKey { key_id: key_id.clone() });
        let expected: Vec<_> = std::iter::once(Remains::Backups { older_than: at(2) }).chain(keys_left).collect();
        assert_eq!(shredded.remains, expected);
        assert_eq!(shredded.remains[0].to_string(), "backups older than 2030-01-01T00:00:02Z");
        assert_eq!((shredded.remains[0].code(), shredded.remains[1].code()), ("backups", "kms_key"));
        assert_eq!(
            world.observer.take(),
            ["key.shred_planned tenant", "key.cache_evicted shred", "key.destroyed tenant"]
        );
        assert_eq!(world.kms.calls(), 0, "no KMS is asked");

        assert_eq!(out.open(&sealed, &Context::empty()).unwrap_err().code(), "key_destroyed");
        let again = world.keys.shred(&data(), 1, at(3)).await.unwrap();
        assert_eq!(again.wrappings_destroyed, 0, "destroyed already");
        let rows = KeyStore::load(&world.store, &tenant("acme")).await.unwrap();
        let row = rows.iter().find(|row| row.name == "data/1").unwrap();
        assert!(String::from_utf8_lossy(&row.body).contains("\"wrappings\":[]"));
        assert_eq!(world.keys.describe(at(3)).await.unwrap().versions[0].state, VersionState::Destroyed);
    });
}

#[test]
fn an_active_unknown_or_changed_version_is_not_shredded() {
    let world = World::new();
    pollster::block_on(async {
        let active = world.keys.plan_shred(&data(), 1, at(0)).await.unwrap_err();
        assert_eq!((active.code(), active.is_retryable()), ("conflict", false));
        assert_eq!(world.keys.plan_shred(&data(), 2, at(0)).await.unwrap_err().code(), "key_version_not_found");
        world.keys.rotate(&data(), at(0)).await.unwrap();
        let plan = world.keys.plan_shred(&data(), 1, at(0)).await.unwrap();
        world.keys.rewrap(&[], &[], at(1)).await.unwrap();
        assert_eq!(
            world.keys.run_shred(plan, at(1)).await.unwrap_err().code(),
            "conflict",
            "it is not what was planned"
        );
        assert!(world.keys.version(&data(), 1, at(1)).await.is_ok());
        // What was destroyed meanwhile is destroyed.
        let plan = world.keys.plan_shred(&data(), 1, at(1)).await.unwrap();
        world.other_node().shred(&data(), 1, at(1)).await.unwrap();
        assert_eq!(world.keys.run_shred(plan, at(1)).await.unwrap().wrappings_destroyed, 0);
    });
}

#[test]
fn a_plan_of_another_tenant_destroys_nothing() {
    let world = World::new();
    pollster::block_on(async {
        let other = Keyring::new(tenant("other"), world.kms.clone(), world.records.clone());
        other.create(&world.key_ids, &[data()], at(0)).await.unwrap();
        for keys in [&world.keys, &other] {
            keys.rotate(&data(), at(0)).await.unwrap();
        }
        let plan = world.keys.plan_shred(&data(), 1, at(1)).await.unwrap();
        assert_eq!(plan.tenant(), &tenant("acme"));
        assert_eq!(other.run_shred(plan, at(1)).await.unwrap_err().code(), "usage");
        assert!(other.version(&data(), 1, at(1)).await.is_ok());
    });
}
