//! What the tests share: a time, a tenant, a KMS with a wire-tap, and an observer that remembers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qsec_crypto::kms::{FaultyKms, KeyId, LocalKms, RootKey};
use qsec_crypto::{Event, KeyRecords, Keyring, MemoryStore, Observer, Purpose, SecretKey, TenantId};

/// 2030-01-01, and so many seconds.
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(525_960) + Duration::from_secs(seconds)
}

pub(crate) const DAY: u64 = 24 * 60 * 60;

pub(crate) fn data() -> Purpose {
    Purpose::data()
}

pub(crate) fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

/// Remembers every event as `name cause/outcome`.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    events: Mutex<Vec<String>>,
    pub(crate) count: AtomicU32,
}

impl Observer for Memory {
    fn observe(&self, event: &Event<'_>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let detail = event.cause.or(event.outcome).unwrap_or_default();
        self.events.lock().unwrap().push(format!("{} {detail}", event.name).trim_end().to_owned());
    }
}

impl Memory {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

/// One tenant, `acme`, with keys for `data` under a primary and a replica of the internal KMS.
pub(crate) struct World {
    pub(crate) local: Arc<LocalKms>,
    pub(crate) kms: Arc<FaultyKms<Arc<LocalKms>>>,
    pub(crate) store: MemoryStore,
    pub(crate) records: KeyRecords,
    pub(crate) key_ids: Vec<KeyId>,
    pub(crate) observer: Arc<Memory>,
    pub(crate) keys: Keyring,
}

impl World {
    pub(crate) fn new() -> Self {
        pollster::block_on(async {
            let local = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap());
            let kms = Arc::new(FaultyKms::over(local.clone()));
            let key_ids = vec![local.create_key(at(0)).await.unwrap(), local.create_key(at(0)).await.unwrap()];
            let store = MemoryStore::new();
            let records = KeyRecords::new(store.clone(), SecretKey::copy_from(&[8; 32]));
            let observer = Arc::new(Memory::default());
            let keys = Keyring::new(tenant("acme"), kms.clone(), records.clone()).with_observer(observer.clone());
            keys.create(&key_ids, &[data()], at(0)).await.unwrap();
            kms.calls();
            observer.take();
            Self { local, kms, store, records, key_ids, observer, keys }
        })
    }

    /// Another node: the same store and KMS, nothing remembered.
    pub(crate) fn other_node(&self) -> Keyring {
        let records = KeyRecords::new(self.store.clone(), SecretKey::copy_from(&[8; 32]));
        Keyring::new(tenant("acme"), self.kms.clone(), records)
    }
}
