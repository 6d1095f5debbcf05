//! Decision code takes its time, its input and its configuration as arguments: it reads no clock, file, socket or
//! environment, and starts no thread. What must touch the outside is a written list of files.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ExprMethodCall, Item, ItemUse, Path};

use crate::imports::Imports;
use crate::source::{DOMAIN, Finding, Source, expect_none, is_test_only, of_library, root};

/// The outside, by the path that reaches it.
const OUTSIDE: &[(&str, Reach)] = &[
    ("std::time::SystemTime::now", Reach::Clock),
    ("std::time::Instant::now", Reach::Clock),
    ("jiff::Timestamp::now", Reach::Clock),
    ("jiff::Zoned::now", Reach::Clock),
    ("jiff::tz::TimeZone::system", Reach::Environment),
    ("uuid::Uuid::now_v7", Reach::Clock),
    ("std::env", Reach::Environment),
    ("std::fs", Reach::Files),
    ("std::io::stdin", Reach::Files),
    ("std::io::stdout", Reach::Files),
    ("std::io::stderr", Reach::Files),
    ("std::net::TcpListener", Reach::Network),
    ("std::net::TcpStream", Reach::Network),
    ("std::net::ToSocketAddrs", Reach::Network),
    ("std::net::UdpSocket", Reach::Network),
    ("std::os::unix::net", Reach::Network),
    ("std::process", Reach::Processes),
    ("std::thread", Reach::Processes),
    ("tokio", Reach::Runtime),
    ("hyper", Reach::Network),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Clock,
    Environment,
    Files,
    Network,
    Processes,
    Runtime,
}

/// A file that is a border, what it may reach, and why. An entry that is no longer used fails too.
struct Border {
    path: &'static str,
    reach: &'static [Reach],
    #[expect(dead_code, reason = "the reason is for whoever reads or adds an entry")]
    reason: &'static str,
}

const BORDERS: &[Border] = &[
    Border {
        path: "qsec-audit/src/fs.rs",
        reach: &[Reach::Files],
        reason: "the log is files: every access of the log to the disk goes through this one",
    },
    Border {
        path: "qsec-crypto/src/reencryption/files.rs",
        reach: &[Reach::Files],
        reason: "objects that are files, for whoever keeps them so: the walk itself knows a trait alone",
    },
    Border {
        path: "qsec-crypto/src/key_file.rs",
        reach: &[Reach::Files],
        reason: "a root key is read from a file whose permissions are checked with it",
    },
    Border {
        path: "qsec-crypto/src/reencryption/files.rs",
        reach: &[Reach::Files],
        reason: "objects and the cursor of a re-encryption, for callers whose objects are files",
    },
    Border {
        path: "qsec-crypto/src/kms/conformance/threads.rs",
        reach: &[Reach::Processes],
        reason: "a suite for tests: that a KMS may be called by many threads is seen with many threads",
    },
    Border {
        path: "qsec-crypto/src/kms/pkcs11/modules.rs",
        reach: &[Reach::Processes],
        reason: "a PKCS#11 module is initialized once for each process, and again in a forked one",
    },
    Border {
        path: "qsec-crypto/src/kms/pkcs11/worker.rs",
        reach: &[Reach::Processes],
        reason: "PKCS#11 blocks: a token has a thread of its own, which a fork does not carry along",
    },
    Border { path: "qsec-crypto/src/kms/vault.rs", reach: &[Reach::Network], reason: "names the methods of its calls" },
    Border {
        path: "qsec-crypto/src/kms/vault/address.rs",
        reach: &[Reach::Network],
        reason: "an address is read as the client will read it",
    },
    Border {
        path: "qsec-crypto/src/kms/vault/http.rs",
        reach: &[Reach::Network],
        reason: "every call to Vault goes through this one",
    },
    Border {
        path: "qsec-crypto/src/parallel.rs",
        reach: &[Reach::Processes],
        reason: "chunks of one message on as many threads as the caller says, all of them ended when the call is",
    },
];

fn violations(source: &Source) -> Vec<(Reach, Finding)> {
    let mut scan = Scan { source, imports: Imports::of(source), findings: Vec::new() };
    scan.visit_file(source.file());
    scan.findings
}

struct Scan<'a> {
    source: &'a Source,
    imports: Imports,
    findings: Vec<(Reach, Finding)>,
}

impl Scan<'_> {
    fn refuse(&mut self, path: &[String], place: &impl Spanned) {
        for (outside, reach) in OUTSIDE {
            if outside.split("::").eq(path.iter().map(String::as_str).take(outside.split("::").count())) {
                self.findings.push((*reach, self.source.finding(place, format!("{reach:?}: `{}`", path.join("::")))));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Scan<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for leaf in self.imports.leaves(item) {
            self.refuse(&leaf.path, item);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let resolved = self.imports.resolve(path);
        self.refuse(&resolved, path);
        visit::visit_path(self, path);
    }

    /// `then.elapsed()` reads the clock without naming it.
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "elapsed" && call.args.is_empty() {
            self.findings.push((Reach::Clock, self.source.finding(&call.method, "Clock: `.elapsed()`")));
        }
        visit::visit_expr_method_call(self, call);
    }
}

fn allowed(border: &Border, source: &Source, reach: Reach) -> bool {
    border.path == source.path && border.reach.contains(&reach)
}

#[test]
fn decision_code_reaches_nothing_outside() {
    let mut findings = Vec::new();
    for source in DOMAIN.iter().flat_map(|package| of_library(package)) {
        findings.extend(violations(&source).into_iter().filter_map(|(reach, finding)| {
            let permitted = BORDERS.iter().any(|border| allowed(border, &source, reach));
            (!permitted).then_some(finding)
        }));
    }
    expect_none("decision code reads no clock, file, network or environment", findings);
}

#[test]
fn every_border_is_one() {
    for border in BORDERS {
        let path = root().join(border.path);
        assert!(path.is_file(), "{} is listed as a border and does not exist", border.path);
        let source = Source::new(border.path, &crate::source::read(&path));
        let found: Vec<Reach> = violations(&source).into_iter().map(|(reach, _)| reach).collect();
        for reach in border.reach {
            assert!(found.contains(reach), "{} no longer needs {reach:?}: remove it from the list", border.path);
        }
    }
}

#[test]
fn a_planted_reach_is_found() {
    for (text, reach) in [
        ("fn f() { let now = std::time::SystemTime::now(); }", Reach::Clock),
        ("use std::time::{Duration, Instant}; fn f() { g(Instant::now()) }", Reach::Clock),
        ("use std::time; fn f() -> time::Instant { time::Instant::now() }", Reach::Clock),
        ("fn f(then: T) -> D { then.elapsed() }", Reach::Clock),
        ("fn f() { vec.sort_by_key(std::time::SystemTime::now) }", Reach::Clock),
        ("use std::fs; fn f() {}", Reach::Files),
        ("fn f() { std::fs::read(\"/etc/passwd\") }", Reach::Files),
        ("use std::fs::File as Handle; fn f(_: Handle) {}", Reach::Files),
        ("fn f() { std::env::var(\"HOME\") }", Reach::Environment),
        ("use std::net::TcpStream;", Reach::Network),
        ("fn f() { std::thread::spawn(g) }", Reach::Processes),
        ("mod inner { use tokio::sync::Mutex; }", Reach::Runtime),
    ] {
        let found = violations(&Source::new("planted.rs", text));
        assert!(found.iter().any(|(seen, _)| *seen == reach), "{text}");
    }
}

#[test]
fn values_of_time_and_addresses_are_no_reach() {
    for text in [
        "use std::time::{Duration, SystemTime, UNIX_EPOCH}; fn f(now: SystemTime) { now.duration_since(UNIX_EPOCH) }",
        "use std::net::{IpAddr, Ipv4Addr}; fn f(_: IpAddr) {}",
        "use std::io::{Read, Write}; fn f(_: &mut dyn Read) {}",
        "fn f() { env!(\"CARGO_PKG_VERSION\"); }",
        "#[cfg(test)] mod tests { use std::fs; fn f() { std::time::SystemTime::now(); } }",
    ] {
        assert!(violations(&Source::new("planted.rs", text)).is_empty(), "{text}");
    }
}
