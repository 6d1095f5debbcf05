//! The internal KMS: its keys live and die in the store, and only the root key opens them.

use std::sync::{Arc, Mutex};

use qsec_crypto::kms::{KeyId, Kms, KmsError, KmsKeyState, LocalKms, RootKey, WrappingContext};
use qsec_crypto::store::{BoxFuture, StoreError};
use qsec_crypto::{LocalKeyRow, LocalKeyStore, MemoryStore, Purpose, SecretKey};

use crate::world::{DAY, at, tenant};

fn context() -> WrappingContext {
    WrappingContext::new(tenant("acme"), Purpose::data(), 1)
}

fn open(root: u8, store: &MemoryStore) -> LocalKms {
    LocalKms::open(RootKey::from_bytes(&[root; 32]), store.clone()).unwrap()
}

async fn wrap(kms: &LocalKms, key_id: &KeyId, seconds: u64) -> Result<Vec<u8>, KmsError> {
    Ok(kms.wrap(key_id, &SecretKey::copy_from(&[1; 32]), &context(), at(seconds)).await?.into_blob())
}

#[test]
fn keys_survive_a_restart_and_need_their_root_key() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let kms = open(7, &store);
        let key_id = kms.create_key(at(0)).await.unwrap();
        let blob = wrap(&kms, &key_id, 0).await.unwrap();
        assert_eq!(blob.len(), 126);

        let unwrapped = open(7, &store).unwrap(&key_id, &blob, &context(), at(9)).await.unwrap();
        assert_eq!(unwrapped.secret().expose_secret(), [1; 32]);
        let error = open(8, &store).unwrap(&key_id, &blob, &context(), at(9)).await.unwrap_err();
        assert!(matches!(error, KmsError::WrongRootKey { .. }), "{error}");
    });
}

#[test]
fn two_keys_share_nothing() {
    pollster::block_on(async {
        let kms = open(7, &MemoryStore::new());
        let (one, two) = (kms.create_key(at(0)).await.unwrap(), kms.create_key(at(0)).await.unwrap());
        assert_ne!(one, two);
        let blob = wrap(&kms, &one, 0).await.unwrap();
        let error = kms.unwrap(&two, &blob, &context(), at(0)).await.unwrap_err();
        assert_eq!(error.code(), "kms_wrong_key");
    });
}

#[test]
fn ids_of_another_spelling_are_not_found() {
    pollster::block_on(async {
        let kms = open(7, &MemoryStore::new());
        let key_id = kms.create_key(at(0)).await.unwrap();
        let hex = key_id.as_str().strip_prefix("local:").unwrap();
        for other in [
            hex.to_owned(),
            format!("LOCAL:{hex}"),
            format!("local:+{}", &hex[1..]),
            format!("local:{hex}0"),
            "x".into(),
        ] {
            let error = kms.describe(&KeyId::new(other).unwrap(), at(0)).await.unwrap_err();
            assert_eq!(error.code(), "key_not_found");
        }
    });
}

#[test]
fn a_key_whose_wait_is_over_is_destroyed_by_the_first_who_looks() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let kms = open(7, &store);
        let key_id = kms.create_key(at(0)).await.unwrap();
        let date = kms.schedule_deletion(&key_id, 7, at(0)).await.unwrap();
        assert_eq!(date, at(7 * DAY));
        assert_eq!(wrap(&kms, &key_id, 7 * DAY - 1).await.unwrap_err().code(), "key_pending_deletion");
        assert_eq!(wrap(&kms, &key_id, 7 * DAY).await.unwrap_err().code(), "key_destroyed");
        // The clock goes back, the node is another one: it is gone all the same.
        assert_eq!(wrap(&open(7, &store), &key_id, 0).await.unwrap_err().code(), "key_destroyed");
        assert_eq!(kms.cancel_deletion(&key_id, at(0)).await.unwrap_err().code(), "key_destroyed");
        let rows = LocalKeyStore::list(&store).await.unwrap();
        let [stone] = &rows[..] else { panic!("{rows:?}") };
        let stone = String::from_utf8(stone.body.clone()).unwrap();
        assert!(stone.contains("\"state\":\"destroyed\"") && stone.contains("\"material\":[]"), "{stone}");
    });
}

#[test]
fn due_keys_are_swept_and_others_are_not() {
    pollster::block_on(async {
        let kms = open(7, &MemoryStore::new());
        let (due, later, kept) = (
            kms.create_key(at(0)).await.unwrap(),
            kms.create_key(at(0)).await.unwrap(),
            kms.create_key(at(0)).await.unwrap(),
        );
        kms.schedule_deletion(&due, 7, at(0)).await.unwrap();
        kms.schedule_deletion(&later, 30, at(0)).await.unwrap();
        assert_eq!(kms.destroy_due(at(8 * DAY)).await.unwrap(), [due]);
        assert_eq!(kms.destroy_due(at(8 * DAY)).await.unwrap(), []);
        let state = kms.describe(&later, at(8 * DAY)).await.unwrap().state();
        assert_eq!(state, KmsKeyState::PendingDeletion);
        assert!(wrap(&kms, &kept, 8 * DAY).await.is_ok());
    });
}

#[test]
fn a_row_that_was_put_back_is_refused() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let kms = open(7, &store);
        let key_id = kms.create_key(at(0)).await.unwrap();
        let [enabled] = LocalKeyStore::list(&store).await.unwrap().try_into().unwrap();
        kms.disable(&key_id, at(1)).await.unwrap();
        assert_eq!(wrap(&kms, &key_id, 2).await.unwrap_err().code(), "key_disabled");

        LocalKeyStore::erase(&store, &enabled.id).await.unwrap();
        LocalKeyStore::write(&store, &enabled).await.unwrap();
        assert_eq!(wrap(&kms, &key_id, 3).await.unwrap_err().code(), "key_record_forged");
    });
}

#[test]
fn verbs_that_do_not_fit_the_state_say_so() {
    pollster::block_on(async {
        let kms = open(7, &MemoryStore::new());
        let key_id = kms.create_key(at(0)).await.unwrap();
        assert_eq!(kms.cancel_deletion(&key_id, at(0)).await.unwrap_err().code(), "usage");
        for days in [0, 6, 31, u32::MAX] {
            assert_eq!(kms.schedule_deletion(&key_id, days, at(0)).await.unwrap_err().code(), "usage", "{days}");
        }
        kms.disable(&key_id, at(0)).await.unwrap();
        kms.disable(&key_id, at(0)).await.unwrap();
        assert_eq!(kms.rotate(&key_id, at(0)).await.unwrap_err().code(), "key_disabled");
        kms.schedule_deletion(&key_id, 30, at(0)).await.unwrap();
        for answer in [
            kms.enable(&key_id, at(0)).await,
            kms.disable(&key_id, at(0)).await,
            kms.rotate(&key_id, at(0)).await.map(|_| ()),
            kms.schedule_deletion(&key_id, 7, at(0)).await.map(|_| ()),
        ] {
            assert_eq!(answer.unwrap_err().code(), "key_pending_deletion");
        }
        kms.destroy(&key_id, at(0)).await.unwrap();
        kms.destroy(&key_id, at(0)).await.unwrap();
        assert_eq!(kms.enable(&key_id, at(0)).await.unwrap_err().code(), "key_destroyed");
    });
}

#[test]
fn of_two_nodes_that_change_a_key_at_once_one_is_told() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let kms = open(7, &store);
        let key_id = kms.create_key(at(0)).await.unwrap();
        let [row] = LocalKeyStore::list(&store).await.unwrap().try_into().unwrap();
        kms.rotate(&key_id, at(0)).await.unwrap();
        // A writer that read before the rotation.
        let late = qsec_crypto::LocalKeyRow { generation: 2, ..row };
        let error: KmsError = LocalKeyStore::write(&store, &late).await.unwrap_err().into();
        assert_eq!((error.code(), error.is_retryable()), ("conflict", true));
    });
}

/// A store that is slow to answer: meanwhile the key is rotated.
#[derive(Debug, Default)]
struct Slow {
    store: MemoryStore,
    meanwhile: Mutex<Option<(Arc<LocalKms>, KeyId)>>,
}

impl LocalKeyStore for Slow {
    fn load<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<Option<LocalKeyRow>, StoreError>> {
        Box::pin(async move {
            let row = LocalKeyStore::load(&self.store, id).await;
            let meanwhile = self.meanwhile.lock().unwrap().take();
            if let Some((kms, key_id)) = meanwhile {
                kms.rotate(&key_id, at(0)).await.unwrap();
            }
            row
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LocalKeyRow>, StoreError>> {
        Box::pin(async move {
            let rows = self.store.list().await;
            let meanwhile = self.meanwhile.lock().unwrap().take();
            if let Some((kms, key_id)) = meanwhile {
                kms.rotate(&key_id, at(0)).await.unwrap();
            }
            rows
        })
    }

    fn write<'a>(&'a self, row: &'a LocalKeyRow) -> BoxFuture<'a, Result<(), StoreError>> {
        LocalKeyStore::write(&self.store, row)
    }

    fn erase<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<(), StoreError>> {
        LocalKeyStore::erase(&self.store, id)
    }
}

#[test]
fn a_row_read_beside_a_write_is_read_again_and_not_taken_for_one_put_back() {
    pollster::block_on(async {
        let store = Arc::new(Slow::default());
        let kms = Arc::new(LocalKms::over(RootKey::from_bytes(&[7; 32]), store.clone()).unwrap());
        let key_id = kms.create_key(at(0)).await.unwrap();
        let change_meanwhile = || *store.meanwhile.lock().unwrap() = Some((kms.clone(), key_id.clone()));
        change_meanwhile();
        let blob = wrap(&kms, &key_id, 0).await.unwrap();
        assert_eq!(blob[18..22], [0, 0, 0, 2], "under the newest material");
        change_meanwhile();
        let rotated = kms.rotate_root(RootKey::from_bytes(&[8; 32]), at(0)).await.unwrap();
        assert_eq!(rotated.moved(), 1);
        assert!(kms.unwrap(&key_id, &blob, &context(), at(0)).await.is_ok());
    });
}

#[test]
fn a_destroyed_key_that_was_put_back_is_refused() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let kms = open(7, &store);
        let key_id = kms.create_key(at(0)).await.unwrap();
        let [enabled] = LocalKeyStore::list(&store).await.unwrap().try_into().unwrap();
        kms.destroy(&key_id, at(1)).await.unwrap();
        LocalKeyStore::erase(&store, &enabled.id).await.unwrap();
        LocalKeyStore::write(&store, &enabled).await.unwrap();
        assert_eq!(wrap(&kms, &key_id, 2).await.unwrap_err().code(), "key_record_forged");
    });
}
