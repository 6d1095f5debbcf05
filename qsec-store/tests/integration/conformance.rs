//! The suites that the crates export, on every database.

use crate::backends::{Scratch, on_every_database};

on_every_database!(
    key_store_conforms,
    local_key_store_conforms,
    identity_store_conforms,
    replay_store_conforms,
    policy_store_conforms,
    ledger_conforms,
    head_store_conforms,
    tenant_store_conforms,
    setting_store_conforms,
);

async fn key_store_conforms(scratch: &Scratch) {
    let report = qsec_crypto::store::conformance::key_store(&scratch.store).await;
    assert!(report.is_passed(), "{report}");
    assert_eq!(report.not_run().count(), 0, "{report}");
}

async fn local_key_store_conforms(scratch: &Scratch) {
    let report = qsec_crypto::store::conformance::local_key_store(&scratch.store).await;
    assert!(report.is_passed(), "{report}");
    assert_eq!(report.not_run().count(), 0, "{report}");
}

async fn identity_store_conforms(scratch: &Scratch) {
    qsec_identity::store::conformance::identity_store(&scratch.store).await.unwrap();
}

async fn replay_store_conforms(scratch: &Scratch) {
    qsec_identity::store::conformance::replay_store(&scratch.store).await.unwrap();
}

async fn policy_store_conforms(scratch: &Scratch) {
    qsec_authz::store::conformance::all(&scratch.store, "run-1").await.unwrap();
}

async fn ledger_conforms(scratch: &Scratch) {
    qsec_pki::ledger::conformance::check(&scratch.store).await.unwrap();
}

async fn head_store_conforms(scratch: &Scratch) {
    qsec_audit::head::conformance::all(&scratch.store).await;
}

async fn tenant_store_conforms(scratch: &Scratch) {
    qsec_store::conformance::tenant_store(&scratch.store).await.unwrap();
}

async fn setting_store_conforms(scratch: &Scratch) {
    qsec_store::conformance::setting_store(&scratch.store).await.unwrap();
}
