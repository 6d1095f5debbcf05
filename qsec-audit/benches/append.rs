//! What an append costs beside the hash it cannot do without, what a durable append costs beside a bare `fdatasync`, and what it
//! costs to verify.
//!
//! `append/cpu` and `verify` count the time on the CPU, not on the wall, where the system tells it: who else is on the machine does
//! not matter. `sha256` is the floor: a leaf of 512 bytes is hashed once when it is appended, and once when it is verified; a node of
//! its tree is hashed too. Where ring took 0.39 µs for that leaf and 0.12 µs for a node (AMD EPYC with SHA instructions, two shared
//! cores), hashing alone bounds both below 2 million events/s a core.
#![expect(clippy::disallowed_methods, reason = "a bench measures")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qsec_audit::catalogue::AppOpened;
use qsec_audit::{
    Actor, Event, Log, LogKeys, MacKey, Origin, SigningKey, TenantId, VerifyOptions, danger, merkle, verify,
};

/// Tenants that share the log.
const TENANTS: usize = 200;
/// Producers that wait for receipts at once.
const PRODUCERS: usize = 64;

fn nine() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(492_321)
}

fn log(dir: &Path) -> Log {
    let keys = LogKeys::new(SigningKey::generate().unwrap(), danger::plain_sealer());
    Log::create(dir, &Origin::parse("qsec.example/n1").unwrap(), keys, &MacKey::from_bytes(&[0x42; 32]), nine())
        .unwrap()
}

fn tenants() -> Vec<TenantId> {
    (0..TENANTS).map(|number| TenantId::parse(&format!("tenant-{number:03}")).unwrap()).collect()
}

/// A leaf of about 512 bytes.
fn event(tenant: &TenantId) -> Event {
    let app = "5f4dcc3b-5aa7-65d6-1d83-27deb882cf99";
    let event =
        AppOpened::new().app(app).space("b6d767d2-f8ed-5d21-a44b-0e5886680cb9").by(Actor::user("u-0123456789abcdef"));
    let event = event.tenant(tenant.clone()).subject(format!("app/{app}")).session("s-0123456789abcdef");
    event.trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
}

/// Where a sync costs nothing.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "." }).unwrap()
}

/// A real file system: the one that the sources are on.
fn on_disk() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// How long this thread was on a CPU; where Linux does not say it, how long it was there at all.
fn on_cpu() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let began = BEGAN.get_or_init(Instant::now);
    let nanoseconds = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|line| line.split(' ').next().and_then(|field| field.parse().ok()));
    nanoseconds.map_or_else(|| began.elapsed(), Duration::from_nanos)
}

/// Time on the CPU of so many runs.
fn on_cpu_of(iterations: u64, mut run: impl FnMut()) -> Duration {
    let start = on_cpu();
    (0..iterations).for_each(|_| run());
    on_cpu().saturating_sub(start)
}

fn cpu(c: &mut Criterion) {
    let mut group = c.benchmark_group("append/cpu");
    // The system counts in ticks: a sample must be many of them.
    group.sample_size(20).measurement_time(Duration::from_secs(6)).throughput(Throughput::Elements(1));
    let (dir, tenants) = (in_memory(), tenants());
    let log = log(dir.path());
    let mut at = 0;
    group.bench_function("qsec", |b| {
        b.iter_custom(|iterations| {
            on_cpu_of(iterations, || {
                at += 1;
                drop(black_box(log.record(event(&tenants[at % TENANTS]), nine()).unwrap()));
            })
        });
    });
    group.bench_function("event", |b| {
        b.iter_custom(|iterations| on_cpu_of(iterations, || drop(black_box(event(&tenants[0])))));
    });
    let leaf = [b'x'; 512];
    group.bench_function("sha256", |b| {
        b.iter_custom(|iterations| on_cpu_of(iterations, || _ = black_box(merkle::leaf_hash(black_box(&leaf)))));
    });
    group.finish();
}

fn durable(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(1));
    let tenants = tenants();
    let dir = on_disk();
    let log = log(dir.path());
    group.bench_function("durable64/qsec", |b| b.iter_custom(|iterations| together(&log, &tenants, iterations)));
    group.bench_function("durable/qsec", |b| {
        b.iter(|| log.record(event(&tenants[0]), nine()).unwrap().durable().unwrap());
    });
    let mut file = File::create(dir.path().join("raw")).unwrap();
    group.bench_function("durable/fdatasync", |b| {
        b.iter(|| {
            file.write_all(&[b'x'; 700]).unwrap();
            file.sync_data().unwrap();
        });
    });
    group.finish();
}

/// Producers that each wait for every receipt; time moves, so that rounds happen.
fn together(log: &Log, tenants: &[TenantId], iterations: u64) -> Duration {
    let each = iterations.div_ceil(PRODUCERS as u64);
    let start = Instant::now();
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                scope.spawn(move || {
                    let wait = |number: u64| {
                        let begun = Instant::now();
                        let tenant = &tenants[(producer + PRODUCERS * usize::try_from(number).unwrap()) % TENANTS];
                        log.record(event(tenant), SystemTime::now()).unwrap().durable().unwrap();
                        begun.elapsed()
                    };
                    (0..each).map(wait).collect::<Vec<_>>()
                })
            })
            .collect();
        producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect()
    });
    let took = start.elapsed();
    waits.sort_unstable();
    if iterations > 10_000 {
        let rate = f64::from(u32::try_from(waits.len()).unwrap()) / took.as_secs_f64();
        println!(
            "{PRODUCERS} producers: {rate:.0} durable events/s, p50 {:?}, p99 {:?}",
            waits[waits.len() / 2],
            waits[waits.len() * 99 / 100]
        );
    }
    let done = u32::try_from(waits.len()).unwrap();
    took / done * u32::try_from(iterations).unwrap()
}

fn reading(c: &mut Criterion) {
    const EVENTS: usize = 200_000;
    let (dir, tenants) = (in_memory(), tenants());
    let log = log(dir.path());
    for number in 0..EVENTS {
        drop(log.record(event(&tenants[number % TENANTS]), nine()).unwrap());
    }
    log.close(nine()).unwrap();
    let mut group = c.benchmark_group("verify");
    group.sample_size(10).throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("qsec", |b| {
        let options = VerifyOptions::new(nine()).escrow(MacKey::from_bytes(&[0x42; 32]));
        let run = || assert_eq!(verify(dir.path(), &options).unwrap().verdict().as_str(), "intact");
        b.iter_custom(|iterations| on_cpu_of(iterations, run));
    });
    group.finish();
}

criterion_group!(benches, cpu, durable, reading);
criterion_main!(benches);
