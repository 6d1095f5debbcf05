//! The same bytes to whoever seals them, in one run: first checked, then timed.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
#[cfg(feature = "asherah")]
use qsec_peers::seal::Asherah;
#[cfg(feature = "aws-esdk")]
use qsec_peers::seal::{AwsEsdk, exchange};
use qsec_peers::seal::{Esdk, KmsAead, Native, Ring, Sealer, SealerError, Tink, check, random_key};

const SIZES: [(&str, usize); 2] = [("1KiB", 1 << 10), ("1MiB", 1 << 20)];

/// Ends the run if a peer does not open what it sealed, or opens what was changed.
fn time<S: Sealer>(criterion: &mut Criterion, sealer: Result<S, SealerError>) {
    let sealer = sealer.unwrap_or_else(|error| panic!("{}: {error}", S::NAME));
    for (name, size) in SIZES {
        let bytes = vec![0x5A; size];
        check(&sealer, &bytes).unwrap_or_else(|error| panic!("{error}"));
        let plaintext = S::plaintext(&bytes);
        let sealed = sealer.seal(&plaintext).unwrap_or_else(|error| panic!("{error}"));
        let mut group = criterion.benchmark_group(format!("seal-{name}"));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(S::NAME), |bencher| {
            bencher.iter(|| sealer.seal(black_box(&plaintext)));
        });
        group.finish();
        let mut group = criterion.benchmark_group(format!("open-{name}"));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(S::NAME), |bencher| {
            bencher.iter_batched(|| sealed.clone(), |sealed| sealer.open(sealed), BatchSize::LargeInput);
        });
        group.finish();
    }
}

/// Ends the run if we do not open what the SDK sealed, or the SDK what we did.
#[cfg(feature = "aws-esdk")]
fn both_ways(key: &[u8; 32]) {
    let exchanged = || -> Result<(), SealerError> {
        let (ours, theirs) = (Esdk::new(key)?, AwsEsdk::new(key)?);
        SIZES.iter().try_for_each(|(_, size)| exchange(&ours, &theirs, &vec![0x5A; *size]))
    };
    exchanged().unwrap_or_else(|error| panic!("qsec-esdk and aws-esdk: {error}"));
    println!("qsec-esdk and aws-esdk each open what the other sealed");
}

fn seal(criterion: &mut Criterion) {
    let key = random_key().unwrap_or_else(|error| panic!("{error}"));
    time(criterion, Native::new());
    time(criterion, Esdk::new(&key));
    #[cfg(feature = "aws-esdk")]
    {
        both_ways(&key);
        time(criterion, AwsEsdk::new(&key));
    }
    time(criterion, Ring::new());
    time(criterion, KmsAead::new());
    time(criterion, Tink::new());
    #[cfg(feature = "asherah")]
    time(criterion, Asherah::new());
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = seal
}
criterion_main!(benches);
