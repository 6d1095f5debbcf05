//! Asking a keyring for a key that it holds: what each request pays before it seals or opens.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};
use std::time::SystemTime;

use criterion::{Criterion, criterion_group, criterion_main};
use qsec_crypto::kms::{LocalKms, RootKey};
use qsec_crypto::{KeyRecords, Keyring, MemoryStore, Purpose, TenantId, TenantKey};

fn keyring(now: SystemTime) -> Keyring {
    pollster::block_on(async {
        let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap());
        let key_id = kms.create_key(now).await.unwrap();
        let keys = Keyring::new(TenantId::new("acme").unwrap(), kms, KeyRecords::in_memory().unwrap());
        keys.create(&[key_id], &[Purpose::data()], now).await.unwrap();
        keys
    })
}

/// One poll, as in a runtime that has the task already.
fn current(keys: &Keyring, purpose: &Purpose, now: SystemTime) -> TenantKey {
    match pin!(keys.current(purpose, now)).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(key) => key.unwrap(),
        Poll::Pending => panic!("a key that is held is there at once"),
    }
}

fn key(criterion: &mut Criterion) {
    let now = SystemTime::UNIX_EPOCH;
    let (keys, purpose) = (keyring(now), Purpose::data());
    current(&keys, &purpose, now);
    let mut group = criterion.benchmark_group("key");
    group.bench_function("cached/qsec", |bencher| {
        bencher.iter(|| current(&keys, black_box(&purpose), now));
    });
}

criterion_group!(benches, key);
criterion_main!(benches);
