//! The log from the inside: commits, rounds, recovery.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::catalogue::{AppOpened, SheetOpened, TenantCreated};
use crate::event::{Actor, Draft};
use crate::fs::FileSystem;
use crate::name::TenantId;
use crate::note::SigningKey;
use crate::verify::{Report, Verdict, VerifyOptions, verify};

pub(crate) fn nine() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(492_321)
}

pub(crate) fn keys() -> LogKeys {
    LogKeys::new(SigningKey::from_seed(&[7; 32]).unwrap(), danger::plain_sealer())
}

pub(crate) fn escrow() -> MacKey {
    MacKey::from_bytes(&[0x42; 32])
}

pub(crate) fn origin() -> Origin {
    Origin::parse("qsec.example/n1").unwrap()
}

pub(crate) fn folder() -> tempfile::TempDir {
    if Path::new("/dev/shm").is_dir() {
        tempfile::tempdir_in("/dev/shm").unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(crate) fn new_log(dir: &Path) -> Log {
    Log::create(dir, &origin(), keys(), &escrow(), nine()).unwrap()
}

pub(crate) fn opened(tenant: &str, app: &str) -> Event {
    AppOpened::new().app(app).by(Actor::user("u-7")).tenant(TenantId::parse(tenant).unwrap()).subject("app/a-1")
}

pub(crate) fn checked(dir: &Path) -> Report {
    let key = keys().signing().verifier_key("any");
    verify(dir, &VerifyOptions::new(nine() + Duration::from_hours(1000)).escrow(escrow()).key(key)).unwrap()
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.findings().iter().map(crate::verify::Finding::code).collect()
}

pub(crate) fn assert_intact(dir: &Path) {
    let report = checked(dir);
    assert_eq!(report.verdict(), Verdict::Intact, "{:#?}", report.findings());
}

#[test]
fn receipts_name_the_leaves_that_are_read_back() {
    let dir = folder();
    let log = new_log(dir.path());
    let acme = Tree::tenant("acme").unwrap();
    let receipts: Vec<_> =
        (0..5).map(|_| log.record(opened("acme", "a-1"), nine()).unwrap().durable().unwrap()).collect();
    let entries: Vec<_> = log.tail(&acme, 0).collect::<Result<_, _>>().unwrap();
    assert_eq!(entries.len(), 5);
    for (entry, receipt) in entries.iter().zip(&receipts) {
        assert_eq!((entry.index(), entry.commit()), (receipt.index(), receipt.commit()));
        assert!(entry.text().contains(&receipt.id().to_string()));
    }
    assert_intact(dir.path());
    log.close(nine()).unwrap();
    assert_intact(dir.path());
    assert_eq!(log.record(opened("acme", "a-1"), nine()).unwrap_err().code(), "log_closed");
}

#[test]
fn pending_can_wait_on_another_thread() {
    fn is_send<T: Send + 'static>(value: T) -> T {
        value
    }
    let dir = folder();
    let log = new_log(dir.path());
    let pending = is_send(log.record(opened("acme", "a-1"), nine()).unwrap());
    let receipt = std::thread::scope(|scope| scope.spawn(|| pending.durable()).join().unwrap().unwrap());
    assert_eq!(receipt.index(), 0);
    assert_eq!(OpenLogError::read_only(dir.path()).code(), "audit_unavailable");
    let options = VerifyOptions::new(nine()).signed_by(keys().signing());
    assert_eq!(verify(dir.path(), &options).unwrap().verdict(), Verdict::Intact);
    let options = VerifyOptions::new(nine()).signed_by(&SigningKey::from_seed(&[8; 32]).unwrap());
    log.close(nine()).unwrap();
    assert!(codes(&verify(dir.path(), &options).unwrap()).contains(&"checkpoint_unknown_key"));
}

#[test]
fn lifecycle_event_of_a_tenant_stands_in_both_trees_in_one_commit() {
    let dir = folder();
    let log = new_log(dir.path());
    let event = TenantCreated::new().region("eu").by(Actor::operator("op-1"));
    let event = event.tenant(TenantId::parse("acme").unwrap()).subject("tenant/acme");
    let receipt = log.record(event, nine()).unwrap().durable().unwrap();
    assert_eq!((receipt.tree().name(), receipt.index()), ("acme", 0));
    let copy = log
        .tail(&Tree::Deployment, 0)
        .map(Result::unwrap)
        .find(|entry| entry.text().contains("tenant.created"))
        .unwrap();
    assert_eq!(copy.commit(), receipt.commit());
    assert!(!copy.text().contains(&receipt.id().to_string()) && !copy.text().contains("tenantid"));
}

#[test]
fn retry_with_the_same_id_is_one_leaf_and_a_swallowed_event_is_refused() {
    let dir = folder();
    let log = new_log(dir.path());
    let first = log.record(opened("acme", "a-1"), nine()).unwrap();
    let id = first.id();
    let receipt = first.durable().unwrap();
    let later = nine() + Duration::from_secs(9);
    assert_eq!(log.record(opened("acme", "a-1").id(id), later).unwrap().durable().unwrap(), receipt);
    assert_eq!(log.record(opened("acme", "a-2").id(id), later).unwrap_err().code(), "duplicate_event_id");
    assert_eq!(log.tree_size(&Tree::tenant("acme").unwrap()), Some(1));
    log.record(opened("other", "a-2").id(id), later).unwrap().durable().unwrap();
    log.close(later).unwrap();
    drop(log);
    let log = Log::open(dir.path(), keys(), None, later).unwrap();
    assert_eq!(log.record(opened("acme", "a-1").id(id), later).unwrap().durable().unwrap(), receipt);
    assert_eq!(log.record(opened("acme", "a-2").id(id), later).unwrap_err().code(), "duplicate_event_id");
}

#[test]
fn event_that_says_it_happened_later_than_now_is_refused() {
    let dir = folder();
    let log = new_log(dir.path());
    let later = nine() + Duration::from_micros(1);
    assert_eq!(log.record(opened("acme", "a-1").at(later), nine()).unwrap_err().code(), "time_in_future");
    log.record(opened("acme", "a-1").at(later), later).unwrap().durable().unwrap();
}

#[test]
fn proofs_verify_with_the_verifier_key_alone() {
    let dir = folder();
    let log = new_log(dir.path());
    let acme = Tree::tenant("acme").unwrap();
    let key = log.verifier_key(&acme);
    let mut remembered = None;
    for i in 0..600u32 {
        let pending = log.record(opened("acme", &format!("a-{i}")), nine()).unwrap();
        if i % 150 == 7 {
            let receipt = pending.durable().unwrap();
            let proven = log.prove(&receipt, nine() + Duration::from_secs(u64::from(i))).unwrap();
            let text = proven.proof().encode();
            let proof = InclusionProof::parse(&text).unwrap();
            let checkpoint = proof.verify(proven.entry(), std::slice::from_ref(&key)).unwrap();
            assert!(proof.verify(b"another entry", std::slice::from_ref(&key)).is_err());
            if let Some(old) = &remembered {
                let proof = log.prove_since(&acme, old, nine()).unwrap();
                let parsed = ConsistencyProof::parse(&proof.encode()).unwrap();
                assert_eq!(parsed.verify(old, std::slice::from_ref(&key)).unwrap(), checkpoint);
            }
            remembered = Some(checkpoint);
        }
    }
    for index in [0, 1, 255, 256, 599] {
        let proven = log.prove_index(&acme, index, nine()).unwrap();
        proven.proof().verify(proven.entry(), std::slice::from_ref(&key)).unwrap();
    }
    assert_eq!(log.prove_index(&acme, 600, nine()).unwrap_err().code(), "no_such_event");
    let other = crate::note::Checkpoint::new(&acme.origin(&origin()), 3, [1; 32]);
    assert_eq!(log.prove_since(&acme, &other, nine()).unwrap_err().code(), "forked");
    let larger = crate::note::Checkpoint::new(&acme.origin(&origin()), 601, [1; 32]);
    assert_eq!(log.prove_since(&acme, &larger, nine()).unwrap_err().code(), "rolled_back");
    log.close(nine()).unwrap();
    assert!(dir.path().join("trees/acme/tile/0/001").is_file());
    assert_intact(dir.path());
    drop(log);
    let log = Log::open(dir.path(), keys(), None, nine()).unwrap();
    let proven = log.prove_index(&acme, 17, nine()).unwrap();
    proven.proof().verify(proven.entry(), &[key]).unwrap();
}

use crate::proof::{ConsistencyProof, InclusionProof};

#[test]
fn id_of_an_event_finds_its_proof() {
    let dir = folder();
    let log = new_log(dir.path());
    let acme = Tree::tenant("acme").unwrap();
    let id = log.record(opened("acme", "a-1"), nine()).unwrap().id();
    let proven = log.prove_event(&acme, &id, nine()).unwrap();
    assert!(String::from_utf8_lossy(proven.entry()).contains(&id.to_string()));
    let unknown = crate::event::EventId::new(nine()).unwrap();
    assert_eq!(log.prove_event(&acme, &unknown, nine()).unwrap_err().code(), "no_such_event");
}

#[test]
fn burst_of_counted_events_is_kept_or_counted_to_the_last() {
    let dir = folder();
    let log = new_log(dir.path());
    let sent = 200_000;
    let mut kept = 0;
    for _ in 0..sent {
        let event = SheetOpened::new().sheet("s").by(Actor::user("u")).tenant(TenantId::parse("acme").unwrap());
        kept += i64::from(log.record(event, nine()).unwrap().is_kept());
    }
    log.close(nine()).unwrap();
    let acme = Tree::tenant("acme").unwrap();
    let dropped: i64 = log
        .tail(&acme, 0)
        .map(Result::unwrap)
        .filter(|entry| entry.text().contains("\"type\":\"audit.events.dropped\""))
        .map(|entry| {
            serde_json::from_str::<serde_json::Value>(entry.text()).unwrap()["data"]["counts"]["sheet.opened"]
                .as_i64()
                .unwrap()
        })
        .sum();
    assert!(dropped > 0, "a burst without anyone writing must overflow");
    assert_eq!(kept + dropped, sent);
    assert_intact(dir.path());
}

#[test]
fn threads_share_commits_and_every_receipt_is_its_own() {
    let dir = folder();
    let log = new_log(dir.path());
    let mut receipts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let log = log.clone();
                scope.spawn(move || {
                    let tenant = format!("t{}", worker % 3);
                    (0..50)
                        .map(|_| log.record(opened(&tenant, "a"), nine()).unwrap().durable().unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    log.close(nine()).unwrap();
    assert_intact(dir.path());
    let places = |receipt: &Receipt| (receipt.tree().clone(), receipt.index());
    receipts.sort_by_key(places);
    receipts.dedup_by_key(|receipt| places(receipt));
    assert_eq!(receipts.len(), 400);
}

#[test]
fn folder_that_others_may_write_to_or_that_is_in_use_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    let log = new_log(dir.path());
    assert_eq!(Log::open(dir.path(), keys(), None, nine()).unwrap_err().code(), "deployment_busy");
    log.close(nine()).unwrap();
    drop(log);
    let exists = Log::create(dir.path(), &origin(), keys(), &escrow(), nine()).unwrap_err();
    assert_eq!(exists.code(), "log_exists");
    for name in ["log.meta", "mac.state", "lock", "wal/00000000000000000000.qwal"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(dir.path().join("wal")).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
    assert_eq!(Log::open(dir.path(), keys(), None, nine()).unwrap_err().code(), "folder_permissions");
    let empty = folder();
    assert_eq!(Log::open(empty.path(), keys(), None, nine()).unwrap_err().code(), "not_a_log");
}

#[test]
fn older_copy_of_the_folder_is_rolled_back_for_whoever_kept_the_head() {
    let dir = folder();
    let log = new_log(dir.path());
    log.record(opened("acme", "a-1"), nine()).unwrap().durable().unwrap();
    let early = log.close(nine()).unwrap();
    drop(log);
    let copy = folder();
    copy_folder(dir.path(), copy.path());
    let log = Log::open(dir.path(), keys(), Some(&early), nine()).unwrap();
    log.record(opened("acme", "a-2"), nine()).unwrap().durable().unwrap();
    let late = log.close(nine()).unwrap();
    drop(log);
    assert_intact(copy.path());
    let error = Log::open(copy.path(), keys(), Some(&late), nine()).unwrap_err();
    let OpenLogError::Tampered { findings, .. } = error else { panic!("{error}") };
    assert_eq!(findings[0].code(), "rolled_back");
    let mut forged = early;
    forged.chain = [0; 32];
    assert_eq!(Log::open(dir.path(), keys(), Some(&forged), nine()).unwrap_err().code(), "audit_tampered");
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn torn_tail_of_an_unclosed_log_is_quarantined_and_recorded() {
    let dir = folder();
    let log = new_log(dir.path());
    let receipt = log.record(opened("acme", "a-1"), nine()).unwrap().durable().unwrap();
    drop(log);
    let segment = dir.path().join("wal/00000000000000000000.qwal");
    let mut bytes = std::fs::read(&segment).unwrap();
    let whole = bytes.len();
    bytes.extend_from_within(128..128 + 100);
    std::fs::write(&segment, &bytes).unwrap();
    assert!(codes(&checked(dir.path())).contains(&"torn_tail"));
    let log = Log::open(dir.path(), keys(), None, nine()).unwrap();
    assert_eq!(log.recovered().len(), 1);
    assert_eq!((log.recovered()[0].offset(), log.recovered()[0].bytes()), (whole as u64, 100));
    assert!(dir.path().join(format!("quarantine/0-{whole}.torn")).is_file());
    let first =
        log.tail(&Tree::Deployment, 0).map(Result::unwrap).find(|entry| entry.commit() > receipt.commit()).unwrap();
    assert!(first.text().contains("\"type\":\"audit.log.recovered\""), "{}", first.text());
    log.close(nine()).unwrap();
    assert_intact(dir.path());
    std::fs::write(dir.path().join(format!("quarantine/0-{whole}.torn")), b"x").unwrap();
    assert!(codes(&checked(dir.path())).contains(&"quarantine_mismatch"));
}

#[test]
fn cut_of_a_closed_log_is_truncation_and_nothing_is_changed() {
    let dir = folder();
    let log = new_log(dir.path());
    log.record(opened("acme", "a-1"), nine()).unwrap().durable().unwrap();
    log.close(nine()).unwrap();
    drop(log);
    let segment = dir.path().join("wal/00000000000000000000.qwal");
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(Log::open(dir.path(), keys(), None, nine()).unwrap_err().code(), "audit_tampered");
    assert_eq!(std::fs::read(&segment).unwrap().len(), bytes.len() - 1);
}

#[test]
fn full_disk_fails_the_log_and_names_the_path() {
    let dir = folder();
    let faulty = super::faults::Faulty::new(u64::MAX, super::faults::Fault::Enospc);
    let files: Arc<dyn FileSystem> = Arc::new(faulty.clone());
    let log = open::create(files, dir.path(), &origin(), keys(), &escrow(), nine()).unwrap();
    faulty.fail_from_now_on();
    let error = log.record(opened("acme", "a-1"), nine()).unwrap().durable().unwrap_err();
    assert_eq!(error.code(), "audit_unavailable");
    assert!(error.is_retryable() && error.to_string().contains(".qwal"), "{error}");
    let again = log.record(opened("acme", "a-1"), nine()).unwrap_err();
    assert_eq!(again.code(), "audit_unavailable");
    assert!(!log.record(SheetOpened::new().by(Actor::system()), nine()).unwrap().is_kept());
    assert!(log.record(Draft::new("un.known").by(Actor::system()), nine()).is_err());
}

#[test]
fn event_that_waits_for_room_is_refused_after_five_seconds_and_no_sooner() {
    let dir = folder();
    let log = new_log(dir.path());
    // As it is while a frame is on its way to a disk that hangs: nobody else may write.
    log.shared.hang(true);
    let fill = || SheetOpened::new().sheet("s").by(Actor::system());
    while log.record(fill(), nine()).unwrap().is_kept() {}
    #[expect(clippy::disallowed_methods, reason = "a test measures how long it waits")]
    let begun = std::time::Instant::now();
    assert!(matches!(log.record(opened("acme", "a-1"), nine()), Err(RecordError::NoRoom)));
    let waiting = begun.elapsed();
    assert!(waiting >= Duration::from_secs(5) && waiting < Duration::from_secs(30), "{waiting:?}");
    log.shared.hang(false);
    log.record(opened("acme", "a-1"), nine()).unwrap().durable().unwrap();
    log.close(nine()).unwrap();
    assert_intact(dir.path());
}

/// Seals so many times, then not any more.
#[derive(Debug)]
struct Exhausted(std::sync::atomic::AtomicU32);

impl StateSealer for Exhausted {
    fn seal(&self, key: &MacKey) -> Result<Vec<u8>, SealerError> {
        let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        if left > 0 { Ok(key.expose_secret().to_vec()) } else { Err(SealerError::new("the KMS is away")) }
    }

    fn open(&self, sealed: &[u8]) -> Result<MacKey, SealerError> {
        danger::plain_sealer().open(sealed)
    }
}

#[test]
fn log_whose_state_cannot_be_sealed_fails_and_loses_no_receipt() {
    let dir = folder();
    let keys_of = |left| LogKeys::new(SigningKey::from_seed(&[7; 32]).unwrap(), Arc::new(Exhausted(left)));
    let log = Log::create(dir.path(), &origin(), keys_of(2.into()), &escrow(), nine()).unwrap();
    let receipt = log.record(opened("acme", "a-1"), nine()).unwrap().durable().unwrap();
    let error = log.round(nine() + Duration::from_secs(2)).unwrap_err();
    assert!(matches!(error, RecordError::Sealer(_)) && error.code() == "audit_unavailable" && error.is_retryable());
    assert_eq!(log.record(opened("acme", "a-2"), nine()).unwrap_err().code(), "audit_unavailable");
    drop(log);
    let refused = Log::open(dir.path(), keys_of(0.into()), None, nine()).unwrap_err();
    assert_eq!(refused.code(), "audit_unavailable");
    let log = Log::open(dir.path(), keys(), None, nine()).unwrap();
    let entry = log.tail(receipt.tree(), receipt.index()).next().unwrap().unwrap();
    assert!(entry.text().contains(&receipt.id().to_string()));
    log.close(nine() + Duration::from_secs(2)).unwrap();
    assert_intact(dir.path());
}
