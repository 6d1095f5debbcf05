//! A record of a tenant's keys that carries the right MAC and says anything: the reader refuses it or believes it, and
//! does not panic.

use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use qsec_crypto::kms::{LocalKms, RootKey};
use qsec_crypto::{KeyRecords, KeyRow, KeyStore, Keyring, MemoryStore, Purpose, SecretKey, TenantId};
use ring::hmac::{HMAC_SHA256, Key, sign};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const MAC_KEY: [u8; 32] = [8; 32];

struct World {
    kms: Arc<LocalKms>,
    rows: Vec<KeyRow>,
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn keyring(kms: &Arc<LocalKms>, store: MemoryStore) -> Keyring {
    Keyring::new(tenant(), kms.clone(), KeyRecords::new(store, SecretKey::copy_from(&MAC_KEY)))
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    pollster::block_on(async {
        let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap());
        let key_id = kms.create_key(NOW).await.unwrap();
        let store = MemoryStore::new();
        keyring(&kms, store.clone()).create(&[key_id], &[Purpose::data()], NOW).await.unwrap();
        let rows = KeyStore::load(&store, &tenant()).await.unwrap();
        assert!(rows.len() == 2 && rows.iter().all(|row| row.generation == 1));
        World { kms, rows }
    })
});

fn authentic(row: &KeyRow, body: Vec<u8>) -> KeyRow {
    let record = [b"qsec/v1/key-record\0\x04acme", &body[..]].concat();
    let mac = sign(&Key::new(HMAC_SHA256, &MAC_KEY), &record).as_ref().try_into().unwrap();
    KeyRow { body, mac, ..row.clone() }
}

/// Replaces some bytes of what was written: nearly a record.
fn patched(body: &[u8], input: &[u8]) -> Vec<u8> {
    let mut patched = body.to_vec();
    if let Some((at, patch)) = input.split_first_chunk() {
        let at = usize::from(u16::from_be_bytes(*at)) % body.len();
        let end = body.len().min(at + patch.len() / 2);
        patched.splice(at..end, patch.iter().copied());
    }
    patched
}

/// The first byte says which of the two records is touched, and whether it is replaced or patched.
pub fn check(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let World { kms, rows } = &*WORLD;
    let mut rows = rows.clone();
    let row = &mut rows[usize::from(choice & 1)];
    let body = if choice & 2 == 0 { input.to_vec() } else { patched(&row.body, input) };
    *row = authentic(row, body);
    let store = MemoryStore::new();
    pollster::block_on(async {
        KeyStore::write(&store, &tenant(), &rows).await.unwrap();
        let keys = keyring(kms, store);
        let _ = keys.current(&Purpose::data(), NOW).await;
        let _ = keys.rotate(&Purpose::data(), NOW).await;
    });
}
