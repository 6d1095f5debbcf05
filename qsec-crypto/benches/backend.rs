//! AES-256-GCM by each implementation that can be a back end, alone, on what the formats give it: a small record and a
//! whole chunk. Which of them `qsec-crypto` was built with shows in the id of its own row.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use qsec_crypto::{Context, RawKey, SecretKey};

const SIZES: [(&str, usize); 2] = [("1KiB", 1 << 10), ("16KiB", 16 << 10)];

/// The order in which features are looked at.
const BUILT_WITH: &str = if cfg!(feature = "aws-lc-rs") {
    "qsec-on-aws-lc-rs"
} else if cfg!(feature = "aes-gcm") {
    "qsec-on-aes-gcm"
} else {
    "qsec-on-ring"
};

fn row(group: &mut BenchmarkGroup<'_, WallTime>, size: (&str, usize), name: &str, mut seal: impl FnMut(&mut [u8])) {
    let mut text = vec![0x5A; size.1];
    group.throughput(Throughput::Bytes(size.1 as u64));
    group.bench_function(BenchmarkId::new(size.0, name), |bencher| bencher.iter(|| seal(black_box(&mut text))));
}

fn ring_alone(group: &mut BenchmarkGroup<'_, WallTime>, size: (&str, usize)) {
    use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    row(group, size, "ring", |text| {
        let nonce = Nonce::assume_unique_for_key([1; 12]);
        let _ = black_box(key.seal_in_place_separate_tag(nonce, Aad::empty(), text).unwrap());
    });
}

#[cfg(feature = "aws-lc-rs")]
fn aws_lc_alone(group: &mut BenchmarkGroup<'_, WallTime>, size: (&str, usize)) {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    row(group, size, "aws-lc-rs", |text| {
        let nonce = Nonce::assume_unique_for_key([1; 12]);
        let _ = black_box(key.seal_in_place_separate_tag(nonce, Aad::empty(), text).unwrap());
    });
}

#[cfg(not(feature = "aws-lc-rs"))]
fn aws_lc_alone(_: &mut BenchmarkGroup<'_, WallTime>, _: (&str, usize)) {}

#[cfg(feature = "aes-gcm")]
fn rust_alone(group: &mut BenchmarkGroup<'_, WallTime>, size: (&str, usize)) {
    use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};

    let key = Aes256Gcm::new(&[7; 32].into());
    row(group, size, "aes-gcm", |text| {
        black_box(key.encrypt_inout_detached(&[1; 12].into(), &[], text.into()).unwrap());
    });
}

#[cfg(not(feature = "aes-gcm"))]
fn rust_alone(_: &mut BenchmarkGroup<'_, WallTime>, _: (&str, usize)) {}

fn backends(criterion: &mut Criterion) {
    let key = RawKey::new(SecretKey::generate().unwrap()).at_version(1).unwrap();
    let mut group = criterion.benchmark_group("backend");
    for size in SIZES {
        ring_alone(&mut group, size);
        aws_lc_alone(&mut group, size);
        rust_alone(&mut group, size);
        row(&mut group, size, BUILT_WITH, |text| {
            black_box(key.seal(text, &Context::empty()).unwrap());
        });
    }
}

criterion_group!(benches, backends);
criterion_main!(benches);
