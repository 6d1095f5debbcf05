//! Another root key for the internal KMS, over a store that fails at each step.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use qsec_crypto::kms::{KeyId, Kms, KmsKeyState, LocalKms, RootKey, WrappingContext};
use qsec_crypto::store::BoxFuture;
use qsec_crypto::{LocalKeyRow, LocalKeyStore, MemoryStore, Purpose, SecretKey, StoreError};

use crate::world::{DAY, at, tenant};

const OLD: u8 = 7;
const NEW: u8 = 8;

fn root(byte: u8) -> RootKey {
    RootKey::from_bytes(&[byte; 32])
}

fn context() -> WrappingContext {
    WrappingContext::new(tenant("acme"), Purpose::data(), 1)
}

/// Whether a write that fails was done all the same: the answer was lost, not the write.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lost {
    Write,
    Answer,
}

/// Does so many calls, then fails all.
#[derive(Debug)]
struct Failing {
    store: MemoryStore,
    calls_left: AtomicI64,
    lost: Lost,
}

impl Failing {
    fn call(&self) -> Result<(), StoreError> {
        let left = self.calls_left.fetch_sub(1, Ordering::Relaxed);
        if left > 0 { Ok(()) } else { Err(StoreError::Unavailable("the store has gone".into())) }
    }
}

impl LocalKeyStore for Failing {
    fn load<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<Option<LocalKeyRow>, StoreError>> {
        Box::pin(async move {
            self.call()?;
            LocalKeyStore::load(&self.store, id).await
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LocalKeyRow>, StoreError>> {
        Box::pin(async move {
            self.call()?;
            self.store.list().await
        })
    }

    fn write<'a>(&'a self, row: &'a LocalKeyRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let answer = self.call();
            if answer.is_ok() || self.lost == Lost::Answer {
                LocalKeyStore::write(&self.store, row).await?;
            }
            answer
        })
    }

    fn erase<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.call()?;
            LocalKeyStore::erase(&self.store, id).await
        })
    }
}

/// One key in each state, and what was wrapped before: under the first material and under the newest.
struct Keys {
    store: MemoryStore,
    ids: Vec<KeyId>,
    blobs: Vec<[Vec<u8>; 2]>,
}

impl Keys {
    async fn new() -> Self {
        let store = MemoryStore::new();
        let kms = LocalKms::open(root(OLD), store.clone()).unwrap();
        let (mut ids, mut blobs) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let id = kms.create_key(at(0)).await.unwrap();
            let first = wrap(&kms, &id).await;
            kms.rotate(&id, at(0)).await.unwrap();
            blobs.push([first, wrap(&kms, &id).await]);
            ids.push(id);
        }
        kms.disable(&ids[1], at(0)).await.unwrap();
        kms.schedule_deletion(&ids[2], 30, at(0)).await.unwrap();
        kms.destroy(&ids[3], at(0)).await.unwrap();
        Self { store, ids, blobs }
    }

    /// Every key is in the state it was in, and what was wrapped unwraps where the state lets it.
    async fn are_whole(&self, kms: &LocalKms, when: &str) {
        use KmsKeyState::{Destroyed, Disabled, Enabled, PendingDeletion};
        let states = [Enabled, Disabled, PendingDeletion, Destroyed, Enabled];
        for ((id, blobs), state) in self.ids.iter().zip(&self.blobs).zip(states) {
            let described = kms.describe(id, at(1)).await.unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_eq!(described.state(), state, "{when}");
            for blob in blobs {
                let unwrapped = kms.unwrap(id, blob, &context(), at(1)).await;
                assert_eq!(unwrapped.is_ok(), state == Enabled, "{when}: {unwrapped:?}");
            }
        }
        // A locked key has kept its material too.
        kms.enable(&self.ids[1], at(1)).await.unwrap();
        kms.unwrap(&self.ids[1], &self.blobs[1][1], &context(), at(1)).await.unwrap();
        kms.disable(&self.ids[1], at(1)).await.unwrap();
    }
}

async fn wrap(kms: &LocalKms, id: &KeyId) -> Vec<u8> {
    kms.wrap(id, &SecretKey::copy_from(&[1; 32]), &context(), at(0)).await.unwrap().into_blob()
}

#[test]
fn all_keys_move_and_the_old_root_opens_none() {
    pollster::block_on(async {
        let keys = Keys::new().await;
        let kms = LocalKms::open(root(OLD), keys.store.clone()).unwrap();
        let rotation = kms.rotate_root(root(NEW), at(1)).await.unwrap();
        assert_eq!((rotation.moved(), rotation.already_there()), (5, 0));
        keys.are_whole(&kms, "the one that rotated").await;
        keys.are_whole(&LocalKms::open(root(NEW), keys.store.clone()).unwrap(), "a new one").await;
        let old = LocalKms::open(root(OLD), keys.store.clone()).unwrap();
        for id in &keys.ids {
            assert_eq!(old.describe(id, at(1)).await.unwrap_err().code(), "kms_wrong_key");
        }
        let again = kms.rotate_root(root(NEW), at(1)).await.unwrap();
        assert_eq!((again.moved(), again.already_there()), (0, 5));
    });
}

#[test]
fn a_rotation_that_fails_anywhere_leaves_every_key_usable_and_can_be_ended() {
    pollster::block_on(async {
        for lost in [Lost::Write, Lost::Answer] {
            let mut failures = 0;
            for step in 0_i64.. {
                let keys = Keys::new().await;
                let when = format!("failed at call {step}, lost {lost:?}");
                let failing = Failing { store: keys.store.clone(), calls_left: AtomicI64::new(step), lost };
                let failing = Arc::new(failing);
                let kms = LocalKms::over(root(OLD), failing.clone()).unwrap();
                let answer = kms.rotate_root(root(NEW), at(1)).await;
                failing.calls_left.store(i64::MAX, Ordering::Relaxed);
                if answer.is_ok() {
                    assert_eq!(failures, step, "each call has failed once");
                    break;
                }
                failures += 1;
                assert!(answer.unwrap_err().is_retryable());
                keys.are_whole(&kms, &when).await;

                // The process has ended: whoever opens with both roots has all keys, whichever is the first.
                let open = |first, other| {
                    LocalKms::open(root(first), keys.store.clone()).unwrap().with_other_root(root(other)).unwrap()
                };
                keys.are_whole(&open(OLD, NEW), &when).await;
                let resumed = open(NEW, OLD);
                keys.are_whole(&resumed, &when).await;
                let rotation = resumed.rotate_root(root(NEW), at(1)).await.unwrap();
                assert_eq!(rotation.moved() + rotation.already_there(), 5, "{when}");
                keys.are_whole(&LocalKms::open(root(NEW), keys.store.clone()).unwrap(), &when).await;
            }
            assert!(failures >= 7, "five writes and two listings at least: {failures}");
        }
    });
}

/// Lets another node change a row between our look at it and our write.
#[derive(Debug)]
struct Meanwhile {
    store: MemoryStore,
    other_node: Mutex<Option<(LocalKms, KeyId)>>,
}

impl LocalKeyStore for Meanwhile {
    fn load<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<Option<LocalKeyRow>, StoreError>> {
        LocalKeyStore::load(&self.store, id)
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LocalKeyRow>, StoreError>> {
        self.store.list()
    }

    fn write<'a>(&'a self, row: &'a LocalKeyRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let other_node = self.other_node.lock().unwrap().take();
            if let Some((kms, id)) = other_node {
                kms.disable(&id, at(1)).await.unwrap();
                kms.create_key(at(1)).await.unwrap();
            }
            LocalKeyStore::write(&self.store, row).await
        })
    }

    fn erase<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<(), StoreError>> {
        LocalKeyStore::erase(&self.store, id)
    }
}

#[test]
fn what_another_node_does_meanwhile_is_kept_and_moved() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let node = LocalKms::open(root(OLD), store.clone()).unwrap().with_other_root(root(NEW)).unwrap();
        let id = node.create_key(at(0)).await.unwrap();
        let meanwhile = Meanwhile { store: store.clone(), other_node: Mutex::new(Some((node, id.clone()))) };
        let kms = LocalKms::open(root(OLD), meanwhile).unwrap();
        assert_eq!(kms.rotate_root(root(NEW), at(1)).await.unwrap().moved(), 2, "the key, and the one made meanwhile");
        let kms = LocalKms::open(root(NEW), store).unwrap();
        assert_eq!(kms.describe(&id, at(1)).await.unwrap().state(), KmsKeyState::Disabled);
    });
}

#[test]
fn a_row_under_a_third_root_is_told_and_holds_up_no_other() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        LocalKms::open(root(9), store.clone()).unwrap().create_key(at(0)).await.unwrap();
        let kms = LocalKms::open(root(OLD), store.clone()).unwrap();
        let id = kms.create_key(at(0)).await.unwrap();
        assert_eq!(kms.rotate_root(root(NEW), at(1)).await.unwrap_err().code(), "kms_wrong_key");
        let new = LocalKms::open(root(NEW), store).unwrap();
        assert_eq!(new.describe(&id, at(1)).await.unwrap().state(), KmsKeyState::Enabled);
    });
}

#[test]
fn a_key_whose_wait_is_over_is_destroyed_and_not_moved() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let kms = LocalKms::open(root(OLD), store.clone()).unwrap();
        let id = kms.create_key(at(0)).await.unwrap();
        kms.schedule_deletion(&id, 7, at(0)).await.unwrap();
        kms.rotate_root(root(NEW), at(7 * DAY)).await.unwrap();
        let rows = LocalKeyStore::list(&store).await.unwrap();
        assert!(String::from_utf8_lossy(&rows[0].body).contains("\"material\":[]"));
        assert_eq!(kms.describe(&id, at(7 * DAY)).await.unwrap().state(), KmsKeyState::Destroyed);
    });
}
