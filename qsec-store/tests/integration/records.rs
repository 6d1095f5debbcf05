//! Records that no store may keep, and records that no store can have written.

use std::time::{Duration, SystemTime};

use qsec_authz::{EntryKind, PolicyChange, PolicyEntry, PolicyStore};
use qsec_crypto::{KeyRow, KeyStore, TenantId};
use qsec_identity::{Collection, IdentityStore, ReplayStore, Row};
use qsec_pki::{CertificateState, Ledger, LedgerRow};
use qsec_store::{SettingRow, SettingStore, Store, StoreError, TenantRow, TenantStore};
use sqlx::{Connection as _, SqliteConnection};

use crate::backends::{Scratch, on_every_database};

on_every_database!(
    records_beyond_their_bounds_are_refused_without_their_content,
    refusal_reaches_the_domain_as_not_retryable,
    refused_row_takes_the_others_with_it,
    serial_that_is_not_hex_is_refused,
    used_token_is_remembered_as_long_as_its_second_user_asked,
    ended_tokens_are_forgotten_in_time,
    times_before_1970_and_far_ahead_are_kept,
    dropped_call_leaves_the_store_usable,
    purged_tenant_leaves_no_record_and_its_neighbour_all,
);

fn setting(name: String, body: Vec<u8>) -> SettingRow {
    SettingRow { name, generation: 1, body }
}

async fn records_beyond_their_bounds_are_refused_without_their_content(scratch: &Scratch) {
    let secret = b"hunter2-hunter2-".repeat(1 << 16);
    let rows = [
        setting(String::new(), vec![]),
        setting("n".repeat(301), vec![]),
        setting("nul\0".to_owned(), vec![]),
        setting("large".to_owned(), [secret.clone(), vec![0]].concat()),
    ];
    for row in &rows {
        let error = SettingStore::write(&scratch.store, row).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
        assert_eq!(error.code(), "record_refused");
        assert!(!error.is_retryable());
        assert!(error.to_string().starts_with("could not write a setting: "), "{error}");
        assert!(!format!("{error:?}").contains("hunter2") && format!("{error:?}").len() < 400, "{error:?}");
    }
    SettingStore::write(&scratch.store, &setting("n".repeat(300), secret)).await.unwrap();
    let tenant = TenantRow { id: "é".repeat(128), version: 1, state: "active".to_owned(), body: vec![] };
    let error = scratch.store.create(&tenant).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "256 bytes in 128 characters: {error:?}");
}

async fn refusal_reaches_the_domain_as_not_retryable(scratch: &Scratch) {
    let acme = TenantId::new("acme").unwrap();
    let row = KeyRow { name: "k".to_owned(), generation: 1, body: vec![0; 128 * 1024 + 1], mac: [0; 32] };
    let error = KeyStore::write(&scratch.store, &acme, &[row]).await.unwrap_err();
    assert!(!error.is_retryable() && matches!(error, qsec_crypto::StoreError::Refused { .. }), "{error:?}");
}

async fn refused_row_takes_the_others_with_it(scratch: &Scratch) {
    let acme = TenantId::new("acme").unwrap();
    let good = KeyRow { name: "a".to_owned(), generation: 1, body: vec![1], mac: [0; 32] };
    let bad = KeyRow { name: "b".repeat(301), ..good.clone() };
    KeyStore::write(&scratch.store, &acme, &[good.clone(), bad]).await.unwrap_err();
    assert_eq!(KeyStore::load(&scratch.store, &acme).await.unwrap(), []);
    KeyStore::write(&scratch.store, &acme, &[good]).await.unwrap();
}

async fn serial_that_is_not_hex_is_refused(scratch: &Scratch) {
    for serial in ["", "0A", "0g", "00:01", " 00", &"0".repeat(129)] {
        let row = LedgerRow {
            serial: serial.to_owned(),
            spki_sha256: [0; 32],
            state: CertificateState::Prepared,
            not_after: 0,
            body: vec![],
        };
        let error = scratch.store.reserve(&row).await.unwrap_err();
        assert!(matches!(error, qsec_pki::StoreError::Refused { .. }), "`{serial}`: {error:?}");
    }
    assert_eq!(Ledger::list(&scratch.store).await.unwrap(), []);
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000 + second)
}

async fn used_token_is_remembered_as_long_as_its_second_user_asked(scratch: &Scratch) {
    let token = [1; 32];
    assert!(scratch.store.insert("acme", &token, at(10), at(0)).await.unwrap());
    assert!(!scratch.store.insert("acme", &token, at(1000), at(5)).await.unwrap());
    assert!(!scratch.store.insert("acme", &token, at(20), at(5)).await.unwrap(), "a shorter one shortens nothing");
    assert!(!scratch.store.insert("acme", &token, at(1000), at(900)).await.unwrap());
    assert!(scratch.store.insert("acme", &token, at(3000), at(2000)).await.unwrap());
}

async fn ended_tokens_are_forgotten_in_time(scratch: &Scratch) {
    for n in 0..50 {
        assert!(scratch.store.insert("acme", &[n; 32], at(10), at(0)).await.unwrap());
    }
    // A call after a minute sweeps, but leaves what a node with a slow clock may still ask for.
    assert!(scratch.store.insert("acme", &[200; 32], at(900), at(100)).await.unwrap());
    assert!(!scratch.store.insert("acme", &[7; 32], at(10), at(0)).await.unwrap());
    // Five minutes later it is gone for every clock.
    assert!(scratch.store.insert("acme", &[201; 32], at(900), at(400)).await.unwrap());
    for n in 0..50 {
        assert!(scratch.store.insert("acme", &[n; 32], at(10), at(0)).await.unwrap());
    }
    assert!(!scratch.store.insert("acme", &[200; 32], at(900), at(0)).await.unwrap(), "what lives is kept");
}

async fn times_before_1970_and_far_ahead_are_kept(scratch: &Scratch) {
    let (old, far) = (SystemTime::UNIX_EPOCH - Duration::from_secs(9), at(1 << 40));
    assert!(scratch.store.insert("acme", &[1; 32], far, old).await.unwrap());
    assert!(!scratch.store.insert("acme", &[1; 32], far, at(0)).await.unwrap());
}

async fn dropped_call_leaves_the_store_usable(scratch: &Scratch) {
    let acme = TenantId::new("acme").unwrap();
    let rows: Vec<_> = (0..20)
        .map(|n| KeyRow { name: format!("data/{n}"), generation: 1, body: vec![7; 5000], mac: [0; 32] })
        .collect();
    for micros in (0..4000).step_by(100) {
        let call = KeyStore::write(&scratch.store, &acme, &rows);
        let _ = tokio::time::timeout(Duration::from_micros(micros), call).await;
        let stored = KeyStore::load(&scratch.other, &acme).await.unwrap().len();
        assert!(stored == 0 || stored == rows.len(), "{stored} of {} rows", rows.len());
    }
    match KeyStore::write(&scratch.store, &acme, &rows).await {
        Ok(()) | Err(qsec_crypto::StoreError::Conflict) => {}
        Err(error) => panic!("{error:?}"),
    }
    assert_eq!(KeyStore::load(&scratch.store, &acme).await.unwrap().len(), rows.len());
}

/// One row of every kind that belongs to a tenant.
async fn fill(store: &Store, tenant: &str) {
    let row = Row { id: "spa".to_owned(), generation: 1, body: vec![] };
    IdentityStore::write(store, tenant, Collection::Client, &row).await.unwrap();
    assert!(store.insert(tenant, &[1; 32], at(10), at(0)).await.unwrap());
    let entry = PolicyEntry { kind: EntryKind::User, id: "ana".to_owned(), body: "{}".to_owned() };
    store.apply(tenant, 0, &[PolicyChange::Put(entry)]).await.unwrap();
    let key = KeyRow { name: "binding".to_owned(), generation: 1, body: vec![], mac: [0; 32] };
    KeyStore::write(store, &TenantId::new(tenant).unwrap(), &[key]).await.unwrap();
    let row = TenantRow { id: tenant.to_owned(), version: 1, state: "active".to_owned(), body: vec![] };
    store.create(&row).await.unwrap();
    let row = SettingRow { name: format!("tenant/{tenant}/policy"), generation: 1, body: vec![] };
    SettingStore::write(store, &row).await.unwrap();
}

async fn purged_tenant_leaves_no_record_and_its_neighbour_all(scratch: &Scratch) {
    let everything =
        ["key", "identity", "replay", "policy", "policy_entry", "setting"].map(|table| (table.to_owned(), 1));
    for tenant in ["acme", "acme2"] {
        fill(&scratch.store, tenant).await;
        assert_eq!(scratch.store.records_left(tenant).await.unwrap(), everything);
    }
    assert_eq!(scratch.store.remove_records("acme").await.unwrap(), 4);
    assert_eq!(scratch.store.remove_records("acme").await.unwrap(), 0);
    assert_eq!(scratch.store.records_left("acme").await.unwrap(), [("key".to_owned(), 1)]);
    KeyStore::erase(&scratch.store, &TenantId::new("acme").unwrap()).await.unwrap();
    assert_eq!(scratch.store.records_left("acme").await.unwrap(), []);
    assert!(TenantStore::get(&scratch.store, "acme").await.unwrap().is_some(), "the tombstone stays");
    assert_eq!(scratch.store.records_left("acme2").await.unwrap(), everything);
}

#[tokio::test]
async fn record_that_no_store_wrote_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qsec.db");
    let store = Store::open_file(&path).await.unwrap();
    let mut session = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO qsec_certificate VALUES ('00', zeroblob(32), 'melted', 0, x'');
         INSERT INTO qsec_policy VALUES ('acme', 1);
         INSERT INTO qsec_policy_entry VALUES ('acme', 'spell', 'x', '{}')",
    )
    .execute(&mut session)
    .await
    .unwrap();
    let error = Ledger::get(&store, "00").await.unwrap_err();
    assert!(matches!(&error, qsec_pki::StoreError::Damaged { what } if what.contains("unknown state")), "{error:?}");
    let error = PolicyStore::load(&store, "acme").await.unwrap_err();
    assert!(matches!(&error, qsec_authz::StoreError::Damaged { what } if what.contains("unknown kind")), "{error:?}");
}
