//! Asking a keyring for a key that it holds: what each request pays before it seals or opens. And moving all of a tenant's
//! keys to another provider.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};
use std::time::SystemTime;

use criterion::{Criterion, criterion_group, criterion_main};
use qsec_crypto::kms::{FaultyKms, KeyId, LocalKms, RootKey};
use qsec_crypto::{Context, KeyRecords, Keyring, MemoryStore, Purpose, TenantId, TenantKey};

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

/// A tenant of one key version whose records are a million, of which these are looked at.
const SAMPLE: u64 = 1_000;

fn provider(name: &'static str, root: u8, now: SystemTime) -> (Arc<FaultyKms<LocalKms>>, KeyId) {
    let kms = LocalKms::open(RootKey::from_bytes(&[root; 32]), MemoryStore::new()).unwrap();
    let key_id = pollster::block_on(kms.create_key(now)).unwrap();
    (Arc::new(FaultyKms::over(kms).as_provider(name)), key_id)
}

/// A provider change, beside what it does not do: sealing records again. The change takes no records and no border to
/// any, so a million of them cost what none does; the sample shows that each opens before and after as it was.
fn change_of_provider(criterion: &mut Criterion) {
    let (now, context) = (SystemTime::UNIX_EPOCH, Context::from([("table", "orders")]));
    let (ours, theirs) = (provider("aws", 7, now), provider("vault", 8, now));
    let keys = Keyring::new(TenantId::new("acme").unwrap(), ours.0.clone(), KeyRecords::in_memory().unwrap());
    let (keys, purpose) = (keys.with_kms(theirs.0.clone()), Purpose::data());
    pollster::block_on(keys.create(std::slice::from_ref(&ours.1), std::slice::from_ref(&purpose), now)).unwrap();
    let key = current(&keys, &purpose, now);
    let records: Vec<_> = (0..SAMPLE).map(|n| key.seal(&n.to_be_bytes(), &context).unwrap()).collect();
    let open_all = |key: &TenantKey| {
        let opened = records.iter().map(|sealed| key.open(sealed, &context).unwrap());
        assert!(opened.zip(0_u64..).all(|(plaintext, n)| plaintext == n.to_be_bytes()));
    };
    open_all(&key);
    let mut there = true;
    let mut change = || {
        let (to, key_id) = if there { &theirs } else { &ours };
        there = !there;
        let moved = pollster::block_on(async {
            keys.change_provider(to.clone(), std::slice::from_ref(key_id), 0, now).await.unwrap();
            keys.migrate(now).await.unwrap()
        });
        assert!(moved.kms_calls <= 4, "{moved:?}");
        moved.kms_calls
    };
    println!("provider change, 1M records: {} KMS calls, 0 records rewritten", change());
    open_all(&current(&keys, &purpose, now));
    let mut group = criterion.benchmark_group("provider change");
    group.bench_function("1M records/qsec", |bencher| bencher.iter(&mut change));
    group.bench_function("1k records sealed again/reference", |bencher| {
        bencher.iter(|| {
            for sealed in &records {
                let plaintext = key.open(sealed, &context).unwrap();
                black_box(key.seal(&plaintext, &context).unwrap());
            }
        });
    });
}

criterion_group!(benches, key, change_of_provider);
criterion_main!(benches);
