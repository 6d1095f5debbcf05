//! A tenant's keys on the move: to a KMS of the customer's, back, and what the log says of it.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use qsec::crypto::kms::{Fault, FaultyKms, KeyId, LocalKms, RootKey};
use qsec::crypto::{Context, MemoryStore, MigrationState, Purpose};
use qsec::{Deployment, Tenant};

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
    kms.fail(None, Fault::Unavailable);
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
    kms.fail_after(1, Fault::Denied);
    let refused = acme.change_key_provider(kms.clone(), from_ref(&key_id), 0, &operator(), now()).await.unwrap_err();
    assert_eq!(refused.code(), "kms_access_denied");
    let binding = acme.key_binding(now()).await.unwrap();
    assert_eq!((binding.provider.as_str(), binding.migration), ("internal", None));
    assert_eq!(opens(&acme, &before).await.unwrap(), b"4,200 EUR");
    // Away: the move waits, and goes on later.
    kms.fail_after(1, Fault::Unavailable);
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
    kms.fail_after(1, Fault::Unavailable);
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
    kms.fail(None, Fault::Disabled);
    let later = now() + Duration::from_secs(61);
    let stopped = acme.open(&before, &context(), later).await.unwrap_err();
    assert_eq!(stopped.code(), "key_disabled");
}

#[tokio::test]
async fn a_kms_that_never_answers_is_not_waited_for() {
    let (_folder, _deployment, acme, kms, key_id) = moved().await;
    kms.fail(None, Fault::Hang);
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
