//! A tenant moves from the internal KMS to a key of its own and back, and its owner uses that key's lock.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use qsec_crypto::kms::{KeyId, LocalKms, RootKey};
use qsec_crypto::{Context, KeyError, KeyRecords, Keyring, MemoryStore, Migration, MigrationState, Purpose, StoppedBy};
use serde_json::json;

use crate::fault::Server;
use crate::localstack::LocalStack;
use crate::world::{REGION, acme, at, kms_at, run};

#[test]
fn a_tenant_moves_to_its_own_key_and_back_and_no_record_is_rewritten() {
    let Some(localstack) = LocalStack::find() else { return };
    run(async {
        let internal = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap());
        let our_key = internal.create_key(at(0)).await.unwrap();
        let keys = Keyring::new(acme(), internal.clone(), KeyRecords::in_memory().unwrap());
        keys.create(std::slice::from_ref(&our_key), &[Purpose::data()], at(0)).await.unwrap();
        let sealed =
            keys.current(&Purpose::data(), at(0)).await.unwrap().seal(b"4,200 EUR", &Context::empty()).unwrap();

        let server = Server::before(localstack.address);
        let aws = Arc::new(kms_at(&server.url()));
        let their_key = localstack.create_key(REGION, &json!({ "MultiRegion": true }));
        keys.change_provider(aws, std::slice::from_ref(&their_key), 0, at(10)).await.unwrap();
        let there = keys.migrate(at(10)).await.unwrap();
        assert_eq!(outcome(&there), (MigrationState::Done, "aws", 1, 3, 1));
        assert_eq!(server.actions(), ["DescribeKey", "Encrypt", "Decrypt"]);
        opens(&keys, &sealed, at(20)).await.unwrap();
        assert_eq!(server.actions(), ["Decrypt"]);

        keys.change_provider(internal, &[our_key], 0, at(30)).await.unwrap();
        let back = keys.migrate(at(30)).await.unwrap();
        assert_eq!(outcome(&back).0, MigrationState::Done);
        assert_eq!(outcome(&back).1, "internal");
        assert_eq!(server.actions(), ["Decrypt"], "the old key's owner is asked, and nobody else");
        opens(&keys, &sealed, at(40)).await.unwrap();
        assert!(server.actions().is_empty(), "nothing is left there");
    });
}

fn outcome(migration: &Migration) -> (MigrationState, &str, u32, u64, u64) {
    let Migration { state, provider, versions_rewrapped, kms_calls, old_wrappings_removed, .. } = migration;
    (*state, provider.as_str(), *versions_rewrapped, *kms_calls, *old_wrappings_removed)
}

/// Opens, with no key remembered, the very bytes that were sealed at first.
async fn opens(keys: &Keyring, sealed: &[u8], now: SystemTime) -> Result<(), KeyError> {
    keys.forget();
    let key = keys.for_sealed(sealed, &Purpose::data(), now).await?;
    assert_eq!(key.open(sealed, &Context::empty()).unwrap(), b"4,200 EUR");
    Ok(())
}

/// A tenant under a key of its own, and a record that it sealed.
async fn customer(localstack: &LocalStack, now: SystemTime) -> (Keyring, KeyId, Vec<u8>) {
    let key_id = localstack.create_key(REGION, &json!({}));
    let keys = Keyring::new(acme(), Arc::new(localstack.kms()), KeyRecords::in_memory().unwrap());
    keys.create(std::slice::from_ref(&key_id), &[Purpose::data()], now).await.unwrap();
    let sealed = keys.current(&Purpose::data(), now).await.unwrap().seal(b"4,200 EUR", &Context::empty()).unwrap();
    (keys, key_id, sealed)
}

async fn refused(keys: &Keyring, sealed: &[u8], now: SystemTime) -> qsec_crypto::Stopped {
    match opens(keys, sealed, now).await {
        Err(KeyError::Stopped(stopped)) => stopped,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_customer_who_disables_the_key_locks_the_tenant_and_enabling_restores_it() {
    let Some(localstack) = LocalStack::find() else { return };
    run(async {
        let (keys, key_id, sealed) = customer(&localstack, at(0)).await;
        localstack.tell("DisableKey", &key_id).unwrap();
        let stopped = refused(&keys, &sealed, at(10)).await;
        assert_eq!((stopped.code(), stopped.by), ("key_disabled", StoppedBy::Kms));
        localstack.tell("EnableKey", &key_id).unwrap();
        opens(&keys, &sealed, at(20)).await.unwrap();
    });
}

/// A key that is out stops too, within the revocation bound.
#[test]
fn a_key_that_is_remembered_is_locked_within_the_revocation_bound() {
    let Some(localstack) = LocalStack::find() else { return };
    run(async {
        let (keys, key_id, _) = customer(&localstack, at(0)).await;
        localstack.tell("DisableKey", &key_id).unwrap();
        assert!(keys.current(&Purpose::data(), at(59)).await.is_ok(), "within the bound nobody is asked");
        assert_eq!(keys.current(&Purpose::data(), at(61)).await.unwrap_err().code(), "key_disabled");
    });
}

#[test]
fn a_customer_who_schedules_deletion_locks_the_tenant_at_once_and_cancelling_leaves_it_disabled() {
    let Some(localstack) = LocalStack::find() else { return };
    #[expect(clippy::disallowed_methods, reason = "the dates are those of the server's clock")]
    let now = SystemTime::now();
    let seconds = |seconds| now + Duration::from_secs(seconds);
    run(async {
        let (keys, key_id, sealed) = customer(&localstack, now).await;
        localstack.schedule_deletion(&key_id, 7).unwrap();
        let stopped = refused(&keys, &sealed, seconds(10)).await;
        assert_eq!((stopped.code(), stopped.by), ("key_pending_deletion", StoppedBy::Kms));
        let date = stopped.deletion_date.expect("the date is told");
        assert!(seconds(6 * 86_400) < date && date < seconds(8 * 86_400), "{date:?}");

        localstack.tell("CancelKeyDeletion", &key_id).unwrap();
        assert_eq!(refused(&keys, &sealed, seconds(20)).await.code(), "key_disabled");
        localstack.tell("EnableKey", &key_id).unwrap();
        opens(&keys, &sealed, seconds(30)).await.unwrap();
    });
}
