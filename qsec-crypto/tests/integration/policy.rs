//! What a tenant demands of its KMS keys, at every verb that chooses some.

use std::sync::Arc;

use qsec_crypto::kms::{KeyId, LocalKms, RootKey};
use qsec_crypto::{KeyPolicy, KeyRecords, KeyStore, KeyWarning, Keyring, MemoryStore, SecretKey};

use crate::world::{Memory, Regional, World, at, data, tenant};

const HERE: &str = "eu-central-1/mrk-1";
const NEAR: &str = "eu-west-1/mrk-1";
const FAR: &str = "us-east-1/mrk-1";
const SINGLE: &str = "eu-central-1/single";

fn in_europe() -> KeyPolicy {
    KeyPolicy::new().in_regions(["eu-central-1", "eu-west-1"]).unwrap()
}

fn ours() -> (Arc<LocalKms>, KeyId) {
    let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap());
    let key_id = pollster::block_on(kms.create_key(at(0))).unwrap();
    (kms, key_id)
}

#[test]
fn keys_are_not_created_under_kms_keys_that_the_policy_refuses() {
    let (kms, arns) = Regional::new(&[HERE, NEAR, FAR, SINGLE]);
    let multi = KeyPolicy::new().require_multi_region();
    for (policy, keys, code) in [
        (in_europe(), &arns[..3], "region_not_allowed"),
        (in_europe(), &arns[2..3], "region_not_allowed"),
        (multi.clone(), &arns[3..], "multi_region_required"),
        (multi.clone(), &arns[..3], "ok"),
        (in_europe().require_multi_region().phi(), &arns[..2], "ok"),
    ] {
        pollster::block_on(async {
            let keys_of = Keyring::new(tenant("acme"), kms.clone(), KeyRecords::in_memory().unwrap());
            kms.calls();
            let created = keys_of.create_with_policy(keys, &[data()], &policy, at(0)).await;
            assert_eq!(created.map_or_else(|error| error.code(), |()| "ok"), code, "{policy:?}");
            if code == "ok" {
                assert_eq!(keys_of.policy(at(0)).await.unwrap(), policy);
            } else {
                assert_eq!(kms.calls(), 0, "refused before anything is wrapped");
                assert_eq!(keys_of.current(&data(), at(0)).await.unwrap_err().code(), "tenant_not_found");
            }
        });
    }
    let (internal, key_id) = ours();
    let keys = Keyring::new(tenant("acme"), internal, KeyRecords::in_memory().unwrap());
    let created = pollster::block_on(keys.create_with_policy(&[key_id], &[data()], &KeyPolicy::new().phi(), at(0)));
    assert_eq!(created.unwrap_err().code(), "phi_requires_cmk");
}

#[test]
fn no_verb_moves_a_tenant_to_kms_keys_that_the_policy_refuses() {
    let (kms, arns) = Regional::new(&[HERE, NEAR, FAR, SINGLE]);
    let (internal, key_id) = ours();
    pollster::block_on(async {
        let records = KeyRecords::in_memory().unwrap();
        let keys = Keyring::new(tenant("acme"), internal.clone(), records);
        keys.create_with_policy(std::slice::from_ref(&key_id), &[data()], &in_europe(), at(0)).await.unwrap();
        let go = async |to: &[KeyId]| keys.change_provider(kms.clone(), to, 0, at(1)).await.map(|_| ());
        assert_eq!(go(&arns[1..3]).await.unwrap_err().code(), "region_not_allowed");
        assert!(keys.describe(at(1)).await.unwrap().migration.is_none(), "and nothing was planned");

        go(&arns[..1]).await.unwrap();
        // While it moves, the policy must hold of both ends.
        let elsewhere = KeyPolicy::new().in_regions(["us-east-1"]).unwrap();
        assert_eq!(keys.set_policy(&elsewhere, at(1)).await.unwrap_err().code(), "region_not_allowed");
        assert_eq!(keys.set_policy(&in_europe().phi(), at(1)).await.unwrap_err().code(), "phi_requires_cmk");
        keys.migrate(at(1)).await.unwrap();

        let strict = in_europe().require_multi_region().phi();
        keys.set_policy(&strict, at(2)).await.unwrap();
        let add = async |key_id: &KeyId| keys.rewrap(std::slice::from_ref(key_id), &[], at(2)).await.map(|_| ());
        assert_eq!(add(&arns[2]).await.unwrap_err().code(), "region_not_allowed");
        assert_eq!(add(&arns[3]).await.unwrap_err().code(), "multi_region_required");
        add(&arns[1]).await.unwrap();

        let back = keys.revert(internal.clone(), std::slice::from_ref(&key_id), 0, at(3)).await;
        assert_eq!(back.unwrap_err().code(), "phi_requires_cmk");
        keys.set_policy(&in_europe(), at(4)).await.unwrap();
        keys.revert(internal.clone(), std::slice::from_ref(&key_id), 0, at(4)).await.unwrap();
        assert_eq!(keys.set_policy(&strict, at(4)).await.unwrap_err().code(), "phi_requires_cmk", "on its way back");
        assert_eq!(keys.migrate(at(4)).await.unwrap().provider, "internal");
        let elsewhere = keys.revert(kms.clone(), &arns[..1], 0, at(5)).await;
        assert_eq!(elsewhere.unwrap_err().code(), "usage", "reverting leads to the internal KMS only");
    });
}

#[test]
fn a_policy_that_the_kms_keys_in_use_do_not_satisfy_is_not_set() {
    let (kms, arns) = Regional::new(&[SINGLE]);
    let observer = Arc::new(Memory::default());
    pollster::block_on(async {
        let keys = Keyring::new(tenant("acme"), kms, KeyRecords::in_memory().unwrap()).with_observer(observer.clone());
        keys.create(&arns, &[data()], at(0)).await.unwrap();
        observer.take();
        for (policy, code) in [
            (KeyPolicy::new().require_multi_region(), "multi_region_required"),
            (KeyPolicy::new().in_regions(["us-east-1"]).unwrap(), "region_not_allowed"),
        ] {
            assert_eq!(keys.set_policy(&policy, at(1)).await.unwrap_err().code(), code);
        }
        assert_eq!(keys.policy(at(1)).await.unwrap(), KeyPolicy::new());
        assert!(observer.take().is_empty());
        keys.set_policy(&in_europe(), at(1)).await.unwrap();
        assert_eq!(observer.take(), ["key.policy_changed tenant"]);
        keys.disable(at(2)).await.unwrap();
        assert_eq!(keys.set_policy(&KeyPolicy::new(), at(2)).await.unwrap_err().code(), "key_disabled");
    });
}

#[test]
fn a_single_region_key_is_taken_with_a_warning() {
    let (kms, arns) = Regional::new(&[HERE, SINGLE]);
    pollster::block_on(async {
        let keys = Keyring::new(tenant("acme"), kms.clone(), KeyRecords::in_memory().unwrap());
        keys.create(&arns, &[data()], at(0)).await.unwrap();
        let described = keys.describe(at(0)).await.unwrap();
        assert_eq!(described.warnings, [KeyWarning::SingleRegionKey { key_id: arns[1].clone() }]);
        assert_eq!(described.warnings[0].code(), "single_region_key");
        assert!(described.warnings[0].to_string().contains("one region only"));
        keys.rewrap(&[], &arns[1..], at(1)).await.unwrap();
        assert!(keys.describe(at(1)).await.unwrap().warnings.is_empty());
    });
    assert!(
        pollster::block_on(World::new().keys.describe(at(0))).unwrap().warnings.is_empty(),
        "no region, no warning"
    );
}

#[test]
fn a_policy_is_part_of_the_authenticated_record_and_a_record_without_one_demands_nothing() {
    let (kms, arns) = Regional::new(&[HERE]);
    let store = MemoryStore::new();
    let node =
        || Keyring::new(tenant("acme"), kms.clone(), KeyRecords::new(store.clone(), SecretKey::copy_from(&[8; 32])));
    pollster::block_on(async {
        node().create(&arns, &[data()], at(0)).await.unwrap();
        let body = async || {
            let rows = KeyStore::load(&store, &tenant("acme")).await.unwrap();
            String::from_utf8(rows[0].body.clone()).unwrap()
        };
        assert!(!body().await.contains("policy"), "written as before there were policies");
        assert_eq!(node().policy(at(0)).await.unwrap(), KeyPolicy::new());

        node().set_policy(&in_europe().phi(), at(0)).await.unwrap();
        let policy =
            "\"policy\":{\"require_multi_region\":false,\"regions\":[\"eu-central-1\",\"eu-west-1\"],\"phi\":true}";
        assert!(body().await.contains(policy), "{}", body().await);
        assert_eq!(node().policy(at(0)).await.unwrap(), in_europe().phi());
        let mut row = KeyStore::load(&store, &tenant("acme")).await.unwrap().remove(0);
        row.body = body().await.replace("\"phi\":true", "\"phi\":false").into_bytes();
        row.generation += 1;
        store.write(&tenant("acme"), &[row]).await.unwrap();
        assert_eq!(node().policy(at(0)).await.unwrap_err().code(), "key_record_forged");
    });
}
