//! Readers beside a process that appends: no false alarm, and no leaf left out.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::tests::{checked, folder, keys, new_log, nine, opened};
use super::*;
use crate::verify::{Finding, Severity, Verdict};

/// Raises the flag when the writer ends, however it ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs `write` on a thread and `read` beside it, again and again, until the writer ends; then once more.
fn beside(write: impl FnOnce() + Send, mut read: impl FnMut()) -> usize {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ends = Ends(&ended);
            write();
        });
        let mut runs = 0;
        loop {
            let last = ended.load(Ordering::SeqCst);
            read();
            runs += 1;
            if last {
                return runs;
            }
        }
    })
}

fn assert_no_false_alarm(dir: &Path) {
    let report = checked(dir);
    let against: Vec<&Finding> =
        report.findings().iter().filter(|finding| finding.severity() == Severity::Tampered).collect();
    assert_eq!(report.verdict(), Verdict::Intact, "{against:#?}");
}

/// Rounds, tiles, new tenants, and a new segment now and then.
fn append(log: &Log, steps: u32) {
    let mut now = nine();
    for step in 0..steps {
        now += if step % 50 == 49 { Duration::from_hours(25) } else { Duration::from_millis(600) };
        let tenant = format!("t{}", step % 7 + step / 100);
        for number in 0..step % 40 {
            drop(log.record(opened(&tenant, &format!("a-{number}")), now).unwrap());
        }
        log.flush(now).unwrap();
    }
}

#[test]
fn log_that_grows_while_it_is_verified_is_intact() {
    let dir = folder();
    let log = new_log(dir.path());
    let runs = beside(|| append(&log, 400), || assert_no_false_alarm(dir.path()));
    assert!(runs > 2, "{runs} runs");
    log.close(nine() + Duration::from_hours(1000)).unwrap();
    assert_eq!(checked(dir.path()).findings().iter().find(|finding| finding.code() != "heads_not_checked"), None);
    println!("{runs} runs");
}

#[test]
fn log_that_is_opened_and_closed_while_it_is_verified_is_intact() {
    let dir = folder();
    new_log(dir.path()).close(nine()).unwrap();
    let write = || {
        for hour in 0..60 {
            let now = nine() + Duration::from_hours(hour);
            let log = Log::open(dir.path(), keys(), None, now).unwrap();
            log.record(opened("acme", "a-1"), now).unwrap().durable().unwrap();
            log.close(now).unwrap();
        }
    };
    let runs = beside(write, || assert_no_false_alarm(dir.path()));
    println!("{runs} runs");
}

#[test]
fn tail_of_a_log_that_grows_leaves_nothing_out() {
    let dir = folder();
    let log = new_log(dir.path());
    let mut seen = 0;
    let read = || {
        for entry in tail(dir.path(), &Tree::Deployment, seen) {
            assert_eq!(entry.unwrap().index(), seen);
            seen += 1;
        }
    };
    beside(|| append(&log, 400), read);
    assert_eq!(Some(seen), log.tree_size(&Tree::Deployment));
}
