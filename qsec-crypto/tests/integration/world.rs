//! What the tests share: a time, a tenant, a KMS with a wire-tap, and an observer that remembers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qsec_crypto::kms::{
    FaultyKms, KeyId, Kms, KmsError, KmsKeyDescription, LocalKms, RootKey, Unwrapped, Wrapped, WrappingContext,
};
use qsec_crypto::store::{BoxFuture, KeyRow, KeyStore, StoreError};
use qsec_crypto::{Event, KeyRecords, Keyring, MemoryStore, Observer, Purpose, Secret, SecretKey, TenantId};

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

/// A KMS with regions: its keys have the ARNs of AWS, each with material of its own behind it.
#[derive(Debug)]
pub(crate) struct Regional {
    local: LocalKms,
    keys: Vec<(KeyId, KeyId)>,
}

impl Regional {
    /// `mrk-` keys and others, one for each `region/id`.
    pub(crate) fn new(keys: &[&str]) -> (Arc<FaultyKms<Self>>, Vec<KeyId>) {
        let local = LocalKms::open(RootKey::from_bytes(&[6; 32]), MemoryStore::new()).unwrap();
        let made = keys.iter().map(|key| {
            let (region, id) = key.split_once('/').unwrap();
            let arn = KeyId::new(format!("arn:aws:kms:{region}:111122223333:key/{id}")).unwrap();
            (arn, pollster::block_on(local.create_key(at(0))).unwrap())
        });
        let keys: Vec<_> = made.collect();
        let arns = keys.iter().map(|(arn, _)| arn.clone()).collect();
        (Arc::new(FaultyKms::over(Self { local, keys })), arns)
    }

    fn behind(&self, arn: &KeyId) -> Result<&KeyId, KmsError> {
        let found = self.keys.iter().find(|(own, _)| own == arn);
        found.map(|(_, id)| id).ok_or_else(|| KmsError::KeyNotFound { key_id: arn.clone() })
    }
}

impl Kms for Regional {
    fn provider(&self) -> &'static str {
        "aws"
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move {
            let wrapped = self.local.wrap(self.behind(key_id)?, key, context, now).await?;
            Ok(Wrapped::new(key_id.clone(), wrapped.into_blob()))
        })
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        Box::pin(async move {
            let unwrapped = self.local.unwrap(self.behind(key_id)?, blob, context, now).await?;
            Ok(Unwrapped::new(key_id.clone(), Secret::copy_from(unwrapped.secret().expose_secret())))
        })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        Box::pin(async move {
            let described = self.local.describe(self.behind(key_id)?, now).await?;
            let region = key_id.as_str().split(':').nth(3).unwrap().to_owned();
            let is_multi_region = key_id.as_str().contains("key/mrk-");
            Ok(KmsKeyDescription::new(key_id.clone(), described.state()).in_regions([region], is_multi_region))
        })
    }
}

/// A store that stops after so many writes, as a process does that is killed.
#[derive(Debug)]
pub(crate) struct Mortal {
    store: MemoryStore,
    writes: AtomicU32,
}

impl Mortal {
    pub(crate) fn new(store: &MemoryStore, writes: u32) -> Self {
        Self { store: store.clone(), writes: AtomicU32::new(writes) }
    }
}

impl KeyStore for Mortal {
    fn load<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<KeyRow>, StoreError>> {
        KeyStore::load(&self.store, tenant)
    }

    fn write<'a>(&'a self, tenant: &'a TenantId, rows: &'a [KeyRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let left = self.writes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            left.map_err(|_| StoreError::Unavailable("killed".into()))?;
            KeyStore::write(&self.store, tenant, rows).await
        })
    }

    fn erase<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<(), StoreError>> {
        KeyStore::erase(&self.store, tenant)
    }
}
