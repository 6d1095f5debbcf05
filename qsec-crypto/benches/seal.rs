//! Sealing and opening beside ring's AES-256-GCM alone, at the same chunk size and with the same handling of the output:
//! one allocation, in place.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use qsec_crypto::{Context, RawKey, SecretKey, TenantKey, Threads};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};

const SIZES: [(&str, usize); 3] = [("1KiB", 1 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];
const CHUNK: usize = 16_384;

fn key() -> TenantKey {
    RawKey::new(SecretKey::generate().unwrap()).at_version(1).unwrap()
}

fn ring_key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap())
}

fn nonce(index: usize) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[4..].copy_from_slice(&(index as u64).to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn ring_seal(key: &LessSafeKey, plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(plaintext.len() + 16 * (plaintext.len() / CHUNK + 1));
    let (full, last) = plaintext.as_chunks::<CHUNK>();
    for (index, chunk) in full.iter().map(<[u8; CHUNK]>::as_slice).chain([last]).enumerate() {
        let start = sealed.len();
        sealed.extend_from_slice(chunk);
        let tag = key.seal_in_place_separate_tag(nonce(index), Aad::empty(), &mut sealed[start..]).unwrap();
        sealed.extend_from_slice(tag.as_ref());
    }
    sealed
}

fn ring_open(key: &LessSafeKey, sealed: &[u8]) -> Vec<u8> {
    let mut plaintext = Vec::with_capacity(sealed.len());
    for (index, chunk) in sealed.chunks(CHUNK + 16).enumerate() {
        let (chunk, tag) = chunk.split_last_chunk::<16>().unwrap();
        let start = plaintext.len();
        plaintext.extend_from_slice(chunk);
        let tag = Tag::from(*tag);
        key.open_in_place_separate_tag(nonce(index), Aad::empty(), tag, &mut plaintext[start..], 0..).unwrap();
    }
    plaintext
}

fn seal(criterion: &mut Criterion) {
    let (key, ring_key) = (key(), ring_key());
    let context = Context::from([("table", "orders"), ("row", "17")]);
    let mut group = criterion.benchmark_group("seal");
    for (name, size) in SIZES {
        let plaintext = vec![0x5A; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new(name, "qsec"), |bencher| {
            bencher.iter(|| key.seal(black_box(&plaintext), &context).unwrap());
        });
        group.bench_function(BenchmarkId::new(name, "ring"), |bencher| {
            bencher.iter(|| ring_seal(&ring_key, black_box(&plaintext)));
        });
    }
}

fn open(criterion: &mut Criterion) {
    let (key, ring_key) = (key(), ring_key());
    let context = Context::from([("table", "orders"), ("row", "17")]);
    let mut group = criterion.benchmark_group("open");
    for (name, size) in SIZES {
        let sealed = key.seal(&vec![0x5A; size], &context).unwrap();
        let ring_sealed = ring_seal(&ring_key, &vec![0x5A; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new(name, "qsec"), |bencher| {
            bencher.iter(|| key.open(black_box(&sealed), &context).unwrap());
        });
        group.bench_function(BenchmarkId::new(name, "ring"), |bencher| {
            bencher.iter(|| ring_open(&ring_key, black_box(&ring_sealed)));
        });
    }
}

/// One large message on one thread and on two.
fn parallel(criterion: &mut Criterion) {
    let (key, context, plaintext) = (key(), Context::from([("table", "orders")]), vec![0x5A; 64 << 20]);
    let (two, sealed) = (Threads::new(2).unwrap(), key.seal(&plaintext, &context).unwrap());
    let mut group = criterion.benchmark_group("parallel");
    group.throughput(Throughput::Bytes(64 << 20)).sample_size(10);
    group.bench_function(BenchmarkId::new("seal-64MiB", "one-thread"), |bencher| {
        bencher.iter(|| key.seal(black_box(&plaintext), &context).unwrap());
    });
    group.bench_function(BenchmarkId::new("seal-64MiB", "two-threads"), |bencher| {
        bencher.iter(|| key.seal_parallel(black_box(&plaintext), &context, two).unwrap());
    });
    group.bench_function(BenchmarkId::new("open-64MiB", "one-thread"), |bencher| {
        bencher.iter(|| key.open(black_box(&sealed), &context).unwrap());
    });
    group.bench_function(BenchmarkId::new("open-64MiB", "two-threads"), |bencher| {
        bencher.iter(|| key.open_parallel(black_box(&sealed), &context, two).unwrap());
    });
}

/// The other formats at 1 KiB, beside the same AES-256-GCM alone.
#[cfg(feature = "esdk")]
fn esdk(criterion: &mut Criterion) {
    use qsec_crypto::esdk::{RawAesKey, RawAesKeyring};

    let keyring =
        RawAesKeyring::new([RawAesKey::new("bench", "key", SecretKey::generate().unwrap()).unwrap()]).unwrap();
    let (ring_key, plaintext) = (ring_key(), vec![0x5A; 1 << 10]);
    let context = Context::from([("table", "orders"), ("row", "17")]);
    let mut group = criterion.benchmark_group("seal-esdk");
    group.throughput(Throughput::Bytes(1 << 10));
    group.bench_function(BenchmarkId::new("1KiB", "qsec"), |bencher| {
        bencher.iter(|| keyring.seal(black_box(&plaintext), &context).unwrap());
    });
    group.bench_function(BenchmarkId::new("1KiB", "ring"), |bencher| {
        bencher.iter(|| ring_seal(&ring_key, black_box(&plaintext)));
    });
    group.finish();

    let (sealed, ring_sealed) = (keyring.seal(&plaintext, &context).unwrap(), ring_seal(&ring_key, &plaintext));
    let mut group = criterion.benchmark_group("open-esdk");
    group.throughput(Throughput::Bytes(1 << 10));
    group.bench_function(BenchmarkId::new("1KiB", "qsec"), |bencher| {
        bencher.iter(|| keyring.open(black_box(&sealed), &context).unwrap());
    });
    group.bench_function(BenchmarkId::new("1KiB", "ring"), |bencher| {
        bencher.iter(|| ring_open(&ring_key, black_box(&ring_sealed)));
    });
}

fn compact(criterion: &mut Criterion) {
    let (key, plaintext) = (key(), vec![0x5A; 1 << 10]);
    let context = Context::from([("table", "orders"), ("row", "17")]);
    let sealed = key.seal_compact_uncommitted(&plaintext, &context).unwrap();
    criterion.bench_function("seal-compact/1KiB/qsec", |bencher| {
        bencher.iter(|| key.seal_compact_uncommitted(black_box(&plaintext), &context).unwrap());
    });
    criterion.bench_function("open-compact/1KiB/qsec", |bencher| {
        bencher.iter(|| key.open(black_box(&sealed), &context).unwrap());
    });
}

#[cfg(not(feature = "esdk"))]
fn esdk(_: &mut Criterion) {}

criterion_group!(benches, seal, open, parallel, compact, esdk);
criterion_main!(benches);
