//! A tenant's keys on the move: to a KMS of the customer's, back, and what the log says of it.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use qsec::crypto::kms::{Fault as KmsFault, FaultyKms, KeyId, LocalKms, RootKey};
use qsec::crypto::{Context, KeyPolicy, LocalKeyStore, MemoryStore, MigrationState, Purpose};
use qsec::{CheckState, Deployment, Fault, Tenant};

use crate::{acme, deployment, now, operator, recorded};

/// A customer's KMS, of which one knows only that it is none of ours.
async fn customer() -> (Arc<FaultyKms<LocalKms>>, KeyId) {
    let kms = LocalKms::open(RootKey::from_bytes(&[9; 32]), MemoryStore::new()).unwrap();
    let key_id = kms.create_key(now()).await.unwrap();
    (Arc::new(FaultyKms::over(kms).as_provider("aws")), key_id)
}

fn context() -> Context {
    Context::from([("row", "17")])
}

async fn sealed(tenant: &Tenant) -> Vec<u8> {
    tenant.seal(b"4,200 EUR", &context(), now()).await.unwrap()
}

async fn opens(tenant: &Tenant, sealed: &[u8]) -> Result<Vec<u8>, &'static str> {
    tenant.open(sealed, &context(), now()).await.map_err(|error| error.code())
}

async fn moved() -> (tempfile::TempDir, Deployment, Tenant, Arc<FaultyKms<LocalKms>>, KeyId) {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(&folder.path().join("home")).await;
    let acme = acme(&deployment).await;
    let (kms, key_id) = customer().await;
    (folder, deployment, acme, kms, key_id)
}

#[tokio::test]
async fn keys_move_to_a_customers_kms_and_back_and_the_log_has_each_step() {
    let (_folder, deployment, acme, kms, key_id) = moved().await;
    let before = sealed(&acme).await;
    let there = acme.change_key_provider(kms.clone(), from_ref(&key_id), 0, &operator(), now()).await.unwrap();
    assert_eq!((there.state, there.versions_rewrapped, there.kms_calls), (MigrationState::Done, 1, 3));
    let binding = acme.key_binding(now()).await.unwrap();
    assert_eq!((binding.provider.as_str(), binding.key_ids), ("aws", vec![key_id.clone()]));
    assert_eq!(opens(&acme, &before).await.unwrap(), b"4,200 EUR");
    let again = acme.change_key_provider(kms.clone(), &[key_id], 0, &operator(), now()).await.unwrap();
    assert_eq!((again.state, again.versions_rewrapped), (MigrationState::Done, 0));

    let back = acme.revert_keys(0, &operator(), now()).await.unwrap();
    assert_eq!((back.state, back.provider.as_str()), (MigrationState::Done, "internal"));
    kms.fail(None, KmsFault::Unavailable);
    assert_eq!(opens(&acme, &before).await.unwrap(), b"4,200 EUR");
    deployment.clone().close(now()).await.unwrap();
    for (name, times) in [
        ("key.provider_change_planned", 2),
        ("key.provider_changed", 2),
        ("key.provider_change_finished", 2),
        ("key.provider_change_aborted", 0),
        ("migration.", 0),
    ] {
        assert_eq!(recorded(&deployment, &[name]), times, "{name}");
    }
    assert_eq!(recorded(&deployment, &["key.provider_change_planned", "\"to_provider\":\"aws\""]), 1);
}

#[tokio::test]
async fn kms_that_refuses_leaves_the_tenant_where_it_was() {
    let (_folder, deployment, acme, kms, key_id) = moved().await;
    let before = sealed(&acme).await;
    // Described, then denied: the plan is there, and called off.
    kms.fail_after(1, KmsFault::Denied);
    let refused = acme.change_key_provider(kms.clone(), from_ref(&key_id), 0, &operator(), now()).await.unwrap_err();
    assert_eq!(refused.code(), "kms_access_denied");
    let binding = acme.key_binding(now()).await.unwrap();
    assert_eq!((binding.provider.as_str(), binding.migration), ("internal", None));
    assert_eq!(opens(&acme, &before).await.unwrap(), b"4,200 EUR");
    // Away: the move waits, and goes on later.
    kms.fail_after(1, KmsFault::Unavailable);
    let away = acme.change_key_provider(kms.clone(), from_ref(&key_id), 0, &operator(), now()).await.unwrap_err();
    assert!(away.is_retryable(), "{away}");
    let other = customer().await;
    let elsewhere = acme.change_key_provider(other.0, &[other.1], 0, &operator(), now()).await.unwrap_err();
    assert_eq!(elsewhere.code(), "migration_in_progress");
    kms.heal();
    // The breaker of the KMS key opened meanwhile.
    let later = now() + Duration::from_mins(2);
    let done = acme.change_key_provider(kms, &[key_id], 0, &operator(), later).await.unwrap();
    assert_eq!(done.state, MigrationState::Done);
    deployment.clone().close(later).await.unwrap();
    assert_eq!(recorded(&deployment, &["key.provider_change_aborted", "kms_access_denied"]), 1);
    assert_eq!(recorded(&deployment, &["key.provider_change_planned", "migration_in_progress"]), 1);
}

#[tokio::test]
async fn a_move_is_called_off_before_the_switch_and_not_after() {
    let (_folder, deployment, acme, kms, key_id) = moved().await;
    assert_eq!(acme.abort_key_migration(&operator(), now()).await.unwrap_err().code(), "conflict");
    kms.fail_after(1, KmsFault::Unavailable);
    acme.change_key_provider(kms.clone(), from_ref(&key_id), 0, &operator(), now()).await.unwrap_err();
    let aborted = acme.abort_key_migration(&operator(), now()).await.unwrap();
    assert_eq!(aborted.state, MigrationState::Aborted);
    kms.heal();
    let later = now() + Duration::from_mins(2);
    let kept = acme.change_key_provider(kms, &[key_id], 7, &operator(), later).await.unwrap();
    assert_eq!((kept.state, kept.old_wrappings_removed), (MigrationState::Switched, 0));
    assert_eq!(acme.abort_key_migration(&operator(), later).await.unwrap_err().code(), "conflict");
    // The way back leads to the key that was kept: nothing is wrapped again.
    let key = acme.key_binding(later).await.unwrap().versions[0].wrappings.clone();
    let back = acme.revert_keys(0, &operator(), later).await.unwrap();
    assert_eq!((back.state, back.versions_rewrapped), (MigrationState::Done, 0));
    assert!(key.iter().any(|wrapping| wrapping.key_id == back.key_ids[0]));
    deployment.clone().close(later).await.unwrap();
    assert_eq!(recorded(&deployment, &["key.provider_change_aborted", "conflict"]), 2);
    assert_eq!(recorded(&deployment, &["key.provider_change_aborted", "\"outcome\":\"success\""]), 1);
}

#[tokio::test]
async fn a_kms_that_was_not_given_is_named_and_giving_it_is_enough() {
    let (folder, deployment, acme, kms, key_id) = moved().await;
    let before = sealed(&acme).await;
    acme.change_key_provider(kms.clone(), &[key_id], 0, &operator(), now()).await.unwrap();
    drop(acme);
    deployment.close(now()).await.unwrap();
    let deployment = Deployment::open(folder.path().join("home")).await.unwrap();
    let acme = deployment.tenant("acme").await.unwrap();
    let error = acme.open(&before, &context(), now()).await.unwrap_err();
    assert_eq!(error.code(), "usage");
    assert!(error.to_string().contains("`aws`"), "{error}");
    deployment.add_kms(kms.clone());
    assert_eq!(opens(&acme, &before).await.unwrap(), b"4,200 EUR");
    // The customer's word counts at the next call of the KMS.
    kms.fail(None, KmsFault::Disabled);
    let later = now() + Duration::from_secs(61);
    let stopped = acme.open(&before, &context(), later).await.unwrap_err();
    assert_eq!(stopped.code(), "key_disabled");
}

#[tokio::test]
async fn a_kms_that_never_answers_is_not_waited_for() {
    let (_folder, _deployment, acme, kms, key_id) = moved().await;
    kms.fail(None, KmsFault::Hang);
    let (actor, key_ids) = (operator(), [key_id]);
    let moving = acme.change_key_provider(kms, &key_ids, 0, &actor, now());
    let error = tokio::time::timeout(Duration::from_secs(10), moving).await.expect("a call is bounded").unwrap_err();
    assert_eq!(error.code(), "kms_unavailable");
}

#[tokio::test]
async fn rewrapping_touches_no_record_and_the_last_key_stays() {
    let (_folder, deployment, acme, _, _) = moved().await;
    let before = sealed(&acme).await;
    let rewrap = acme.rewrap_keys(&[], &[], &operator(), now()).await.unwrap();
    assert_eq!(rewrap.versions_rewrapped, 1);
    assert_eq!(opens(&acme, &before).await.unwrap(), b"4,200 EUR");
    let only = acme.key_binding(now()).await.unwrap().key_ids;
    let refused = acme.rewrap_keys(&[], &only, &operator(), now()).await.unwrap_err();
    assert_eq!(refused.code(), "conflict");
    deployment.clone().close(now()).await.unwrap();
    assert_eq!(recorded(&deployment, &["key.rewrapped", "\"outcome\":\"success\""]), 1);
}

#[tokio::test]
async fn shredding_destroys_a_retired_version_and_never_the_active_one() {
    let (_folder, deployment, acme, _, _) = moved().await;
    let before = sealed(&acme).await;
    let shred = async |version| acme.shred_key(&Purpose::data(), version, &operator(), now()).await;
    assert_eq!(shred(1).await.unwrap_err().code(), "conflict");
    assert_eq!(shred(7).await.unwrap_err().code(), "key_version_not_found");
    acme.rotate_key(&Purpose::data(), &operator(), now()).await.unwrap();
    let shredded = shred(1).await.unwrap();
    assert!(shredded.version == 1 && !shredded.remains.is_empty(), "{shredded:?}");
    assert_eq!(opens(&acme, &before).await.unwrap_err(), "key_destroyed");
    assert_eq!(shred(1).await.unwrap().version, 1);
    deployment.clone().close(now()).await.unwrap();
    assert_eq!(recorded(&deployment, &["key.destroyed", "\"outcome\":\"success\""]), 1);
    assert_eq!(recorded(&deployment, &["key.destroyed", "conflict"]), 1);
}

#[tokio::test]
async fn a_tenant_whose_data_is_phi_stays_with_the_customers_kms() {
    let (folder, deployment, acme, kms, key_id) = moved().await;
    let phi = KeyPolicy::new().phi();
    let refused = acme.set_key_policy(&phi, &operator(), now()).await.unwrap_err();
    assert_eq!((refused.code(), refused.fault()), ("phi_requires_cmk", Fault::Refused));
    assert_eq!(acme.key_policy(now()).await.unwrap(), KeyPolicy::new());

    acme.change_key_provider(kms.clone(), from_ref(&key_id), 0, &operator(), now()).await.unwrap();
    let before = kms_keys(&folder).await;
    acme.set_key_policy(&phi, &operator(), now()).await.unwrap();
    acme.set_key_policy(&phi, &operator(), now()).await.unwrap();
    assert!(acme.key_policy(now()).await.unwrap().is_phi());
    // A customer's key is one half; the other is an agreement.
    assert_eq!(acme.seal(b"x", &context(), now()).await.unwrap_err().code(), "phi_requires_cmk");
    let agreed = acme.tenant_policy(now()).await.unwrap().agreement("BAA-2026-17").unwrap();
    acme.set_tenant_policy(&agreed, &operator(), now()).await.unwrap();
    let sealed = sealed(&acme).await;
    assert_eq!(opens(&acme, &sealed).await.unwrap(), b"4,200 EUR");
    let back = acme.revert_keys(0, &operator(), now()).await.unwrap_err();
    assert_eq!(back.code(), "phi_requires_cmk");
    assert_eq!(kms_keys(&folder).await, before, "no key was made for a plan that was refused");

    acme.set_key_policy(&KeyPolicy::new(), &operator(), now()).await.unwrap();
    assert_eq!(acme.revert_keys(0, &operator(), now()).await.unwrap().state, MigrationState::Done);
    deployment.clone().close(now()).await.unwrap();
    assert_eq!(recorded(&deployment, &["tenant.policy_changed", "[\"phi\"]", "\"outcome\":\"success\""]), 3);
    assert_eq!(recorded(&deployment, &["tenant.policy_changed", "phi_requires_cmk"]), 1);
    assert_eq!(recorded(&deployment, &["key.provider_change_planned", "phi_requires_cmk"]), 1);
    assert_eq!(recorded(&deployment, &["phi.refused", "phi_requires_cmk", "\"wanted\":\"seal\""]), 1);
    assert_eq!(recorded(&deployment, &["key.policy_changed"]), 0, "recorded once, under the catalogue's name");
}

/// How many keys of the internal KMS are not destroyed.
async fn kms_keys(folder: &tempfile::TempDir) -> usize {
    let store = qsec_store::Store::open_file(folder.path().join("home/store.sqlite")).await.unwrap();
    let rows = LocalKeyStore::list(&store).await.unwrap();
    rows.iter().filter(|row| !String::from_utf8_lossy(&row.body).contains("\"destroyed\"")).count()
}

#[tokio::test]
async fn a_way_back_that_its_owner_refuses_leaves_no_key_behind() {
    let (folder, _deployment, acme, kms, key_id) = moved().await;
    acme.change_key_provider(kms.clone(), &[key_id], 0, &operator(), now()).await.unwrap();
    let before = kms_keys(&folder).await;
    kms.fail(None, KmsFault::Disabled);
    let refused = acme.revert_keys(0, &operator(), now()).await.unwrap_err();
    assert_eq!(refused.code(), "key_disabled");
    assert_eq!(kms_keys(&folder).await, before);
    // Away: the move waits for its key, and goes on under it.
    kms.fail(None, KmsFault::Unavailable);
    assert!(acme.revert_keys(0, &operator(), now()).await.unwrap_err().is_retryable());
    assert_eq!(kms_keys(&folder).await, before + 1);
    kms.heal();
    let later = now() + Duration::from_mins(2);
    assert_eq!(acme.revert_keys(0, &operator(), later).await.unwrap().state, MigrationState::Done);
    assert_eq!(kms_keys(&folder).await, before + 1);
}

#[tokio::test]
async fn the_end_of_a_move_is_recorded_before_it_comes() {
    let (_folder, deployment, acme, kms, key_id) = moved().await;
    let finished = ["key.provider_change_finished", "\"outcome\":\"success\""];
    let kept = acme.change_key_provider(kms.clone(), from_ref(&key_id), 7, &operator(), now()).await.unwrap();
    assert_eq!((kept.state, kept.is_tidy, recorded(&deployment, &finished)), (MigrationState::Switched, false, 0));
    let later = now() + Duration::from_hours(24 * 8);
    let done = acme.change_key_provider(kms.clone(), from_ref(&key_id), 7, &operator(), later).await.unwrap();
    assert_eq!((done.state, done.old_wrappings_removed), (MigrationState::Done, 1));
    assert_eq!(recorded(&deployment, &[&finished[..], &["\"old_wrappings_removed\":1"]].concat()), 1);
    // Done is done: it is not told again.
    acme.change_key_provider(kms, &[key_id], 7, &operator(), later).await.unwrap();
    assert_eq!(recorded(&deployment, &finished), 1);
}

#[tokio::test]
async fn a_lock_needs_no_kms_of_the_customers() {
    let (folder, deployment, acme, kms, key_id) = moved().await;
    acme.change_key_provider(kms, &[key_id], 0, &operator(), now()).await.unwrap();
    drop(acme);
    deployment.close(now()).await.unwrap();
    let deployment = Deployment::open(folder.path().join("home")).await.unwrap();
    let acme = deployment.tenant("acme").await.unwrap();
    assert_eq!(acme.describe_keys(now()).await.unwrap().provider, "aws");
    acme.disable_key(&operator(), now()).await.unwrap();
    assert_eq!(acme.seal(b"x", &context(), now()).await.unwrap_err().code(), "key_disabled");
    acme.enable_key(&operator(), now()).await.unwrap();
    acme.schedule_key_deletion(7, &operator(), now()).await.unwrap();
    acme.cancel_key_deletion(&operator(), now()).await.unwrap();
    assert_eq!(acme.abort_key_migration(&operator(), now()).await.unwrap_err().code(), "conflict");
    let checks = deployment.examine(now()).await.unwrap();
    let key = checks.iter().find(|check| check.name() == "key of acme").unwrap();
    assert_eq!(key.state(), CheckState::Warn, "{key:?}");
}

#[tokio::test]
async fn a_drill_asks_one_kms_key_alone() {
    let (_folder, _deployment, acme, _, _) = moved().await;
    let key_id = acme.key_binding(now()).await.unwrap().key_ids[0].clone();
    let drill = acme.drill_keys(key_id.as_str(), now()).await.unwrap();
    assert!(drill.is_passed() && drill.versions.len() == 1, "{drill:?}");
    assert_eq!(acme.drill_keys("eu-west-1", now()).await.unwrap_err().code(), "usage");
}
