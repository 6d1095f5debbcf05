//! What would be left if all regions but one were lost.

use std::sync::Arc;

use qsec_crypto::kms::Fault;
use qsec_crypto::{DrillOutcome, KeyRecords, Keyring};

use crate::world::{Memory, Regional, at, data, tenant};

#[test]
fn a_drill_asks_one_region_only_and_changes_nothing() {
    let (kms, arns) = Regional::new(&["eu-central-1/mrk-1", "eu-west-1/mrk-1"]);
    let observer = Arc::new(Memory::default());
    pollster::block_on(async {
        let keys =
            Keyring::new(tenant("acme"), kms.clone(), KeyRecords::in_memory().unwrap()).with_observer(observer.clone());
        keys.create(&arns, &[data()], at(0)).await.unwrap();
        keys.rotate(&data(), at(0)).await.unwrap();
        // The third version is made while the second region is away.
        kms.fail(Some(&arns[1]), Fault::Unavailable);
        keys.rotate(&data(), at(0)).await.unwrap();
        kms.fail(Some(&arns[0]), Fault::Unavailable);
        let out = keys.current(&data(), at(0)).await;
        assert_eq!(out.unwrap_err().code(), "kms_unavailable");
        kms.calls();

        let drill = keys.drill("eu-west-1", at(1)).await.unwrap();
        assert_eq!(kms.calls(), 2, "one for each version that is there, and none to the other region");
        assert_eq!(drill.key_ids, arns[1..]);
        let outcomes: Vec<_> = drill.versions.iter().map(|drilled| (drilled.version, drilled.outcome)).collect();
        assert_eq!(outcomes, [(1, DrillOutcome::Opened), (2, DrillOutcome::Opened), (3, DrillOutcome::Missing)]);
        assert!(!drill.is_passed());

        kms.heal();
        keys.rewrap(&arns[1..], &[], at(2)).await.unwrap();
        assert!(keys.drill(arns[1].as_str(), at(2)).await.unwrap().is_passed(), "a KMS key can be named as well");

        kms.fail(Some(&arns[1]), Fault::Disabled);
        observer.take();
        let refused = keys.drill("eu-west-1", at(3)).await.unwrap();
        assert!(refused.versions.iter().all(|drilled| drilled.outcome == DrillOutcome::Refused("key_disabled")));
        let events = observer.take();
        assert!(events.iter().all(|event| event == "key.unwrapped key_disabled"), "no key was stopped: {events:?}");
        assert!(keys.current(&data(), at(3)).await.is_ok());
    });
}

#[test]
fn a_drill_through_a_region_without_keys_or_of_a_locked_tenant_is_refused() {
    let (kms, arns) = Regional::new(&["eu-central-1/mrk-1"]);
    pollster::block_on(async {
        let keys = Keyring::new(tenant("acme"), kms, KeyRecords::in_memory().unwrap());
        assert_eq!(keys.drill("eu-central-1", at(0)).await.unwrap_err().code(), "tenant_not_found");
        keys.create(&arns, &[data()], at(0)).await.unwrap();
        for elsewhere in ["eu-west-1", "eu-central", "", "arn:aws:kms:eu-central-1:111122223333:key/mrk-2"] {
            assert_eq!(keys.drill(elsewhere, at(0)).await.unwrap_err().code(), "usage", "{elsewhere}");
        }
        keys.disable(at(0)).await.unwrap();
        assert_eq!(keys.drill("eu-central-1", at(0)).await.unwrap_err().code(), "key_disabled");
    });
}
