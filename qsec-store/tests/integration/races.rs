//! 32 writers at once, through two handles of one database: exactly one wins, and the others learn that they lost.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use qsec_audit::{Head, HeadStore};
use qsec_authz::{EntryKind, PolicyChange, PolicyEntry, PolicyStore};
use qsec_crypto::{KeyRow, KeyStore, LocalKeyRow, LocalKeyStore, TenantId};
use qsec_identity::{Collection, IdentityStore, ReplayStore, Row};
use qsec_pki::{CertificateState, Ledger, LedgerRow};
use qsec_store::{BoxFuture, SettingRow, SettingStore, Store, StoreError, TenantRow, TenantStore};
use tokio::sync::Barrier;

use crate::backends::{Scratch, on_every_database};

const WRITERS: u8 = 32;

on_every_database!(
    one_writer_wins_each_generation_of_a_key,
    one_writer_wins_several_keys_written_in_opposite_orders,
    one_writer_wins_a_key_of_the_internal_kms,
    one_writer_wins_an_identity_record,
    one_use_of_a_token_is_new,
    one_writer_wins_each_policy_version,
    one_reservation_of_a_serial_wins,
    one_change_of_a_certificate_wins,
    one_creation_of_a_tenant_wins,
    one_transition_of_a_tenant_wins,
    one_writer_wins_a_setting,
    a_head_never_goes_back,
    writers_of_different_rows_all_win,
    purge_and_policy_changes_do_not_lock_each_other_out,
);

/// Whether a writer won. Any answer but a win and a loss fails the test.
type Attempt = fn(Store, u8) -> BoxFuture<'static, bool>;

/// How many of the writers won.
async fn winners(scratch: &Scratch, attempt: Attempt) -> usize {
    let start = Arc::new(Barrier::new(usize::from(WRITERS)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = if writer % 2 == 0 { scratch.store.clone() } else { scratch.other.clone() };
            let start = start.clone();
            tokio::spawn(async move {
                start.wait().await;
                attempt(store, writer).await
            })
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        won += usize::from(writer.await.unwrap());
    }
    won
}

/// Sorts an answer into won and lost.
macro_rules! won {
    ($answer:expr, $lost:pat) => {
        match $answer {
            Ok(_) => true,
            Err($lost) => false,
            Err(error) => panic!("neither won nor lost: {error:?}"),
        }
    };
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn key(name: &str, generation: u64, writer: u8) -> KeyRow {
    KeyRow { name: name.to_owned(), generation, body: vec![writer; 100], mac: [writer; 32] }
}

async fn one_writer_wins_each_generation_of_a_key(scratch: &Scratch) {
    let attempts: [Attempt; 3] = [
        |store, n| {
            Box::pin(async move {
                won!(KeyStore::write(&store, &acme(), &[key("binding", 1, n)]).await, qsec_crypto::StoreError::Conflict)
            })
        },
        |store, n| {
            Box::pin(async move {
                won!(KeyStore::write(&store, &acme(), &[key("binding", 2, n)]).await, qsec_crypto::StoreError::Conflict)
            })
        },
        |store, n| {
            Box::pin(async move {
                won!(KeyStore::write(&store, &acme(), &[key("binding", 3, n)]).await, qsec_crypto::StoreError::Conflict)
            })
        },
    ];
    for attempt in attempts {
        assert_eq!(winners(scratch, attempt).await, 1);
    }
    let rows = KeyStore::load(&scratch.store, &acme()).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].generation, 3);
    assert_eq!(rows[0].body, vec![rows[0].mac[0]; 100], "body and mac are of one writer");
}

async fn one_writer_wins_several_keys_written_in_opposite_orders(scratch: &Scratch) {
    fn rows(generation: u64, writer: u8) -> Vec<KeyRow> {
        let mut rows: Vec<_> = (0..8).map(|n| key(&format!("data/{n}"), generation, writer)).collect();
        if writer.is_multiple_of(3) {
            rows.reverse();
        }
        rows
    }
    let attempts: [Attempt; 2] = [
        |store, n| {
            Box::pin(async move {
                won!(KeyStore::write(&store, &acme(), &rows(1, n)).await, qsec_crypto::StoreError::Conflict)
            })
        },
        |store, n| {
            Box::pin(async move {
                won!(KeyStore::write(&store, &acme(), &rows(2, n)).await, qsec_crypto::StoreError::Conflict)
            })
        },
    ];
    for attempt in attempts {
        assert_eq!(winners(scratch, attempt).await, 1);
    }
    let stored = KeyStore::load(&scratch.other, &acme()).await.unwrap();
    assert_eq!(stored.len(), 8);
    assert!(stored.iter().all(|row| row.generation == 2 && row.mac == stored[0].mac), "all rows are of one writer");
}

async fn one_writer_wins_a_key_of_the_internal_kms(scratch: &Scratch) {
    fn row(generation: u64, writer: u8) -> LocalKeyRow {
        LocalKeyRow { id: [7; 16], generation, body: vec![writer; 64] }
    }
    let attempts: [Attempt; 2] = [
        |store, n| {
            Box::pin(
                async move { won!(LocalKeyStore::write(&store, &row(1, n)).await, qsec_crypto::StoreError::Conflict) },
            )
        },
        |store, n| {
            Box::pin(
                async move { won!(LocalKeyStore::write(&store, &row(2, n)).await, qsec_crypto::StoreError::Conflict) },
            )
        },
    ];
    for attempt in attempts {
        assert_eq!(winners(scratch, attempt).await, 1);
    }
}

async fn one_writer_wins_an_identity_record(scratch: &Scratch) {
    fn row(generation: u64, writer: u8) -> Row {
        Row { id: "spa".to_owned(), generation, body: vec![writer] }
    }
    let attempts: [Attempt; 3] = [
        |store, n| {
            Box::pin(async move {
                won!(
                    IdentityStore::write(&store, "acme", Collection::Client, &row(1, n)).await,
                    qsec_identity::StoreError::Conflict
                )
            })
        },
        |store, n| {
            Box::pin(async move {
                won!(
                    IdentityStore::write(&store, "acme", Collection::Client, &row(2, n)).await,
                    qsec_identity::StoreError::Conflict
                )
            })
        },
        |store, _| {
            Box::pin(async move {
                won!(
                    IdentityStore::delete(&store, "acme", Collection::Client, "spa", 2).await,
                    qsec_identity::StoreError::Conflict
                )
            })
        },
    ];
    for attempt in attempts {
        assert_eq!(winners(scratch, attempt).await, 1);
    }
}

async fn one_use_of_a_token_is_new(scratch: &Scratch) {
    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000 + second)
    }
    let first: Attempt =
        |store, _| Box::pin(async move { store.insert("acme", &[9; 32], at(60), at(0)).await.unwrap() });
    assert_eq!(winners(scratch, first).await, 1);
    let after_its_end: Attempt =
        |store, _| Box::pin(async move { store.insert("acme", &[9; 32], at(500), at(400)).await.unwrap() });
    assert_eq!(winners(scratch, after_its_end).await, 1);
}

async fn one_writer_wins_each_policy_version(scratch: &Scratch) {
    fn change(writer: u8) -> [PolicyChange; 2] {
        ["ana", "ben"].map(|id| {
            PolicyChange::Put(PolicyEntry { kind: EntryKind::User, id: id.to_owned(), body: format!("{writer}") })
        })
    }
    let attempts: [Attempt; 2] = [
        |store, n| {
            Box::pin(async move { won!(store.apply("acme", 0, &change(n)).await, qsec_authz::StoreError::Conflict) })
        },
        |store, n| {
            Box::pin(async move { won!(store.apply("acme", 1, &change(n)).await, qsec_authz::StoreError::Conflict) })
        },
    ];
    for attempt in attempts {
        assert_eq!(winners(scratch, attempt).await, 1);
    }
    let policy = PolicyStore::load(&scratch.store, "acme").await.unwrap();
    assert_eq!(policy.version, 2);
    assert_eq!(policy.entries.len(), 2);
    assert_eq!(policy.entries[0].body, policy.entries[1].body, "both entries are of one writer");
}

fn certificate(state: CertificateState, writer: u8) -> LedgerRow {
    LedgerRow {
        serial: "0a1b".to_owned(),
        spki_sha256: [writer; 32],
        state,
        not_after: 1_900_000_000,
        body: vec![writer],
    }
}

async fn one_reservation_of_a_serial_wins(scratch: &Scratch) {
    let attempt: Attempt = |store, n| {
        Box::pin(async move {
            won!(store.reserve(&certificate(CertificateState::Prepared, n)).await, qsec_pki::StoreError::Conflict)
        })
    };
    assert_eq!(winners(scratch, attempt).await, 1);
}

async fn one_change_of_a_certificate_wins(scratch: &Scratch) {
    scratch.store.reserve(&certificate(CertificateState::Prepared, 0)).await.unwrap();
    let attempt: Attempt = |store, n| {
        Box::pin(async move {
            let state = if n % 2 == 0 { CertificateState::Issued } else { CertificateState::Abandoned };
            won!(
                store.advance(&certificate(state, n), CertificateState::Prepared).await,
                qsec_pki::StoreError::Conflict
            )
        })
    };
    assert_eq!(winners(scratch, attempt).await, 1);
}

fn tenant(version: u64, writer: u8) -> TenantRow {
    TenantRow { id: "acme".to_owned(), version, state: "active".to_owned(), body: vec![writer] }
}

async fn one_creation_of_a_tenant_wins(scratch: &Scratch) {
    let attempt: Attempt =
        |store, n| Box::pin(async move { won!(store.create(&tenant(1, n)).await, StoreError::IdUsed { .. }) });
    assert_eq!(winners(scratch, attempt).await, 1);
}

async fn one_transition_of_a_tenant_wins(scratch: &Scratch) {
    scratch.store.create(&tenant(1, 0)).await.unwrap();
    let attempt: Attempt = |store, n| {
        Box::pin(async move { won!(TenantStore::write(&store, &tenant(2, n)).await, StoreError::Conflict { .. }) })
    };
    assert_eq!(winners(scratch, attempt).await, 1);
}

async fn one_writer_wins_a_setting(scratch: &Scratch) {
    fn row(generation: u64, writer: u8) -> SettingRow {
        SettingRow { name: "authority".to_owned(), generation, body: vec![writer] }
    }
    let attempts: [Attempt; 2] = [
        |store, n| {
            Box::pin(async move { won!(SettingStore::write(&store, &row(1, n)).await, StoreError::Conflict { .. }) })
        },
        |store, n| {
            Box::pin(async move { won!(SettingStore::write(&store, &row(2, n)).await, StoreError::Conflict { .. }) })
        },
    ];
    for attempt in attempts {
        assert_eq!(winners(scratch, attempt).await, 1);
    }
}

async fn a_head_never_goes_back(scratch: &Scratch) {
    let attempt: Attempt = |store, n| {
        Box::pin(async move {
            let head = Head {
                origin: "node.example/1".to_owned(),
                log_id: "aa".to_owned(),
                commit: u64::from(n),
                chain: [n; 32],
                trees_root: [n; 32],
            };
            won!(store.save(&head).await, qsec_audit::StoreError::Conflict)
        })
    };
    assert!(winners(scratch, attempt).await >= 1);
    let head = HeadStore::load(&scratch.store, "node.example/1").await.unwrap().unwrap();
    assert_eq!(head.commit, u64::from(WRITERS - 1), "the highest commit stays, whatever the order");
    assert_eq!(head.chain, [WRITERS - 1; 32]);
}

async fn writers_of_different_rows_all_win(scratch: &Scratch) {
    let attempt: Attempt = |store, n| {
        Box::pin(async move {
            let row = SettingRow { name: format!("own/{n}"), generation: 1, body: vec![n; 1000] };
            won!(SettingStore::write(&store, &row).await, StoreError::Conflict { .. })
        })
    };
    assert_eq!(winners(scratch, attempt).await, usize::from(WRITERS));
    assert_eq!(SettingStore::list(&scratch.other, "own/").await.unwrap().len(), usize::from(WRITERS));
}

async fn purge_and_policy_changes_do_not_lock_each_other_out(scratch: &Scratch) {
    async fn change(store: &Store, writer: u8) {
        let version = PolicyStore::version(store, "acme").await.unwrap();
        let puts: Vec<_> = (0..20)
            .map(|n| PolicyEntry { kind: EntryKind::User, id: format!("{n}"), body: format!("{writer}") })
            .map(PolicyChange::Put)
            .collect();
        let _: bool = won!(store.apply("acme", version, &puts).await, qsec_authz::StoreError::Conflict);
    }
    let attempt: Attempt = |store, n| {
        Box::pin(async move {
            for _ in 0..4 {
                if n.is_multiple_of(2) {
                    change(&store, n).await;
                } else {
                    store.remove_records("acme").await.unwrap();
                }
            }
            true
        })
    };
    assert_eq!(winners(scratch, attempt).await, usize::from(WRITERS));
}
