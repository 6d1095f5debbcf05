//! Every call of an append run fails once, in every way; nothing that was acknowledged is ever lost.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::tests::{assert_intact, checked, escrow, folder, keys, nine, opened, origin};
use super::*;
use crate::event::{Actor, Draft};
use crate::fs::{Entry, FileSystem, Growing, Held};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process is gone before the call.
    KillBefore,
    /// A write does half of its work, then the process is gone.
    KillHalfway,
    /// The process is gone after the call.
    KillAfter,
    /// The call fails once.
    Eio,
    /// This call and every later one that needs room fails.
    Enospc,
    /// A write does half of its work, then fails once.
    Short,
}

const FAULTS: [Fault; 6] =
    [Fault::KillBefore, Fault::KillHalfway, Fault::KillAfter, Fault::Eio, Fault::Enospc, Fault::Short];

/// The real file system, with a fault at one call.
#[derive(Debug, Clone)]
pub(super) struct Faulty {
    calls: Arc<AtomicU64>,
    at: Arc<AtomicU64>,
    fault: Fault,
}

enum Turn {
    Do,
    Half,
    DoThenDie,
    Fail(io::Error),
}

impl Faulty {
    pub(super) fn new(at: u64, fault: Fault) -> Self {
        Self { calls: Arc::default(), at: Arc::new(AtomicU64::new(at)), fault }
    }

    pub(super) fn fail_from_now_on(&self) {
        self.at.store(self.calls.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    }

    fn turn(&self) -> Turn {
        let (call, at) = (self.calls.fetch_add(1, Ordering::SeqCst) + 1, self.at.load(Ordering::SeqCst));
        let gone = || Turn::Fail(io::Error::other("the process is gone"));
        match (self.fault, call.cmp(&at)) {
            (_, std::cmp::Ordering::Less) => Turn::Do,
            (Fault::KillHalfway | Fault::Short, std::cmp::Ordering::Equal) => Turn::Half,
            (Fault::KillAfter, std::cmp::Ordering::Equal) => Turn::DoThenDie,
            (Fault::Eio, std::cmp::Ordering::Equal) => Turn::Fail(io::Error::from_raw_os_error(5)),
            (Fault::Enospc, _) => Turn::Fail(io::Error::from_raw_os_error(28)),
            (Fault::Eio | Fault::Short, _) => Turn::Do,
            (Fault::KillBefore | Fault::KillHalfway | Fault::KillAfter, _) => gone(),
        }
    }

    fn call<T>(&self, real: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.turn() {
            Turn::Do => real(),
            Turn::DoThenDie => real().and_then(|_| Err(io::Error::other("the process is gone"))),
            Turn::Half => Err(io::Error::other("halfway")),
            Turn::Fail(error) => Err(error),
        }
    }
}

#[derive(Debug)]
struct FaultyFile(Faulty, Box<dyn Growing>);

impl Growing for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.0.turn() {
            Turn::Do => self.1.append(bytes),
            Turn::DoThenDie => self.1.append(bytes).and_then(|()| Err(io::Error::other("the process is gone"))),
            Turn::Half => self.1.append(&bytes[..bytes.len() / 2]).and_then(|()| Err(io::Error::other("halfway"))),
            Turn::Fail(error) => Err(error),
        }
    }

    fn rewrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (faulty, file) = (self.0.clone(), &mut self.1);
        faulty.call(|| file.rewrite(offset, bytes))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let (faulty, file) = (self.0.clone(), &mut self.1);
        faulty.call(|| file.cut(length))
    }

    fn sync(&mut self) -> io::Result<()> {
        let (faulty, file) = (self.0.clone(), &mut self.1);
        faulty.call(|| file.sync())
    }
}

impl FileSystem for Faulty {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(path)
    }

    fn read_into(&self, path: &Path, bytes: &mut Vec<u8>) -> io::Result<()> {
        Disk.read_into(path, bytes)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Disk.length(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        Disk.list(path)
    }

    fn is_writable_by_others(&self, path: &Path) -> io::Result<bool> {
        Disk.is_writable_by_others(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|| Disk.create_folder(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Growing>> {
        self.call(|| Disk.create(path)).map(|file| Box::new(FaultyFile(self.clone(), file)) as Box<dyn Growing>)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Growing>> {
        self.call(|| Disk.open(path)).map(|file| Box::new(FaultyFile(self.clone(), file)) as Box<dyn Growing>)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|| Disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|| Disk.remove(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|| Disk.sync_folder(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>> {
        self.call(|| Disk.lock(path))
    }
}

/// An append run: two tenants, rounds, an unclean stop with a torn tail, a recovery, a new segment, an orderly stop.
fn run(
    faulty: &Faulty,
    dir: &Path,
    receipts: &mut Vec<Receipt>,
    head: &mut Option<Head>,
) -> Result<(), Box<dyn std::error::Error>> {
    let files: Arc<dyn FileSystem> = Arc::new(faulty.clone());
    let log = open::create(Arc::clone(&files), dir, &origin(), keys(), &escrow(), nine())?;
    let mut now = nine();
    let step = |log: &Log, now, receipts: &mut Vec<Receipt>| -> Result<(), RecordError> {
        let pending = [log.record(opened("acme", "a-1"), now)?, log.record(opened("other", "a-2"), now)?];
        for pending in pending {
            receipts.push(pending.durable()?);
        }
        Ok(())
    };
    step(&log, now, receipts)?;
    now += Duration::from_secs(2);
    step(&log, now, receipts)?;
    *head = Some(log.round(now)?);
    step(&log, now, receipts)?;
    drop(log);
    let mut torn = std::fs::OpenOptions::new().append(true).open(dir.join("wal/00000000000000000000.qwal"))?;
    io::Write::write_all(&mut torn, b"QFRM, and then the lights went out")?;
    let log = open::open(Arc::clone(&files), dir, keys(), head.as_ref(), now)?;
    step(&log, now, receipts)?;
    now += Duration::from_hours(25);
    step(&log, now, receipts)?;
    *head = Some(log.close(now)?);
    Ok(())
}

#[test]
fn whatever_call_fails_in_whatever_way_no_acknowledged_event_is_lost() {
    let (mut calls, mut runs) = (0, 0);
    for fault in FAULTS {
        for at in 1.. {
            let dir = folder();
            let faulty = Faulty::new(at, fault);
            let (mut receipts, mut head) = (Vec::new(), None);
            let outcome = run(&faulty, dir.path(), &mut receipts, &mut head);
            runs += 1;
            let reached = faulty.calls.load(Ordering::SeqCst) >= at;
            check(dir.path(), &receipts, head.as_ref(), &format!("{fault:?} at call {at}: {outcome:?}"));
            if !reached {
                outcome.unwrap();
                assert_eq!(receipts.len(), 10);
                calls = at - 1;
                break;
            }
        }
    }
    println!("{calls} calls, {runs} runs");
    assert!(calls > 100, "the run makes {calls} calls");
}

/// Opened again, the log holds every receipt at its place, takes new events, and verifies.
fn check(dir: &Path, receipts: &[Receipt], head: Option<&Head>, what: &str) {
    let now = nine() + Duration::from_hours(26);
    let log = match Log::open(dir, keys(), head, now) {
        Err(OpenLogError::NotALog(_)) if receipts.is_empty() => {
            Log::create(dir, &origin(), keys(), &escrow(), now).unwrap()
        }
        Err(error) => {
            let report = checked(dir);
            panic!("{what}: {error}: {:#?}", report.findings())
        }
        Ok(log) => log,
    };
    for receipt in receipts {
        let entry = log.tail(receipt.tree(), receipt.index()).next();
        let entry = entry.unwrap_or_else(|| panic!("{what}: {receipt:?} is lost")).unwrap();
        assert_eq!((entry.index(), entry.commit()), (receipt.index(), receipt.commit()), "{what}");
        assert!(entry.text().contains(&receipt.id().to_string()), "{what}");
    }
    log.record(Draft::new("life.goes_on").by(Actor::system()), now).unwrap().durable().unwrap();
    log.close(now).unwrap();
    assert_intact(dir);
}
