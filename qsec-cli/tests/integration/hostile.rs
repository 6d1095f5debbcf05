//! Inputs that somebody made to hurt: clear errors, in bounded time.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use crate::support::{Room, Run};

/// Longer than any of these inputs may take in a debug build on a busy machine.
const LONG: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "a bound on time is measured")]
fn quick<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    assert!(begun.elapsed() < LONG, "{what} took {:?}", begun.elapsed());
    done
}

#[test]
fn policies_of_ten_mebibytes() {
    let room = Room::new();
    let lint = |name: &str| quick(name, || room.json(&["lint", "--policy", "big.json"]));
    room.write("big.json", "[".repeat(10 << 20));
    lint("nesting").is(2).error();
    room.write("big.json", "{\"a\":".repeat(2 << 20));
    lint("nested objects").is(2).error();
    room.write("big.json", vec![b' '; 10 << 20]);
    lint("blanks").fails(2, "bad_json");
    room.write("big.json", vec![0; 10 << 20]);
    lint("zeros").fails(2, "bad_json");
    let users: Vec<String> =
        (0..200_000).map(|number| format!("\"user-{number:020}\":{{\"status\":\"active\"}}")).collect();
    room.write("big.json", format!("{{\"version\":1,\"tenants\":{{\"acme\":{{\"users\":{{{}}}}}}}}}", users.join(",")));
    let linted = lint("users");
    assert!(linted.status < 3, "{}", linted.stderr);
    let twice = format!(
        "{{\"version\":1,\"tenants\":{{\"acme\":{{\"users\":{{{},\"user-{:020}\":{{}}}}}}}}}}",
        users.join(","),
        7
    );
    room.write("big.json", twice);
    lint("a repeated user").is(2).error();
    room.write("big.toml", "a = [".repeat(1 << 20));
    quick("toml", || room.json(&["lint", "--policy", "big.toml"])).is(2).error();
}

#[test]
fn requests_tokens_and_sets_of_any_length() {
    let room = Room::new();
    room.write("policy.json", r#"{"version":1,"tenants":{"acme":{}}}"#);
    let decide = ["decide", "--policy", "policy.json", "--request", "-"];
    quick("request", || room.feed_json(&decide, "[".repeat(1 << 20))).is(2).error();
    quick("request", || room.feed_json(&decide, " ".repeat(8 << 20))).is(2).error();
    for token in [
        "a".repeat(8 << 20),
        "a.".repeat(1 << 20),
        ".".repeat(60_000),
        format!("{}.{}.", "eyJ".repeat(5_000), "A".repeat(40_000)),
    ] {
        quick("token", || room.feed_json(&["token", "inspect"], token)).fails(2, "token_malformed");
    }
    let keys = format!("{{\"keys\":[{}]}}", vec!["{\"kty\":\"EC\"}"; 100].join(","));
    room.write("many.jwks", keys);
    room.json(&["jwks", "check", "many.jwks"]).fails(2, "keyset_invalid");
    room.write("deep.jwks", "[".repeat(200_000));
    room.json(&["jwks", "check", "deep.jwks"]).fails(2, "keyset_invalid");
}

#[test]
fn an_endless_input_is_not_read_to_its_end() {
    let room = Room::new();
    room.write_key("k");
    for line in [
        "qsec --json token inspect --in /dev/zero",
        "qsec --json jwks check /dev/zero",
        "qsec --json open --raw-key k --in /dev/zero",
        "qsec --json inspect --in /dev/zero",
        "qsec --json decide --policy /dev/zero --request /dev/zero",
        "qsec --json audit verify --proof /dev/zero --entry /dev/zero --key /dev/zero",
        "qsec --json seal --raw-key /dev/zero",
        "qsec --json --passphrase-file /dev/zero init",
    ] {
        quick(line, || room.shell(line)).is(2).error();
    }
}

#[test]
fn what_is_not_utf_8_is_told_so() {
    let room = Room::new();
    room.write("bytes", [0xc3, 0x28, 0xff]);
    room.json(&["lint", "--policy", "bytes"]).fails(2, "bad_json");
    room.json(&["diff", "bytes", "bytes"]).fails(2, "bad_json");
    room.json(&["token", "inspect", "--in", "bytes"]).fails(2, "token_malformed");
    room.json(&["token", "verify", "--policy", "bytes", "--jwks", "bytes", "--in", "bytes"]).fails(2, "policy_invalid");
    room.json(&["jwks", "check", "bytes"]).fails(2, "keyset_invalid");
    room.json(&["reduce", "--access", "bytes", "--in", "bytes", "--user", "ana"]).fails(2, "bad_csv");
    let mut command = room.command(&["--json", "tenant", "show"]);
    command.arg(OsStr::from_bytes(&[0xff, b'a']));
    let run = Run::of(command.output().unwrap(), "tenant show \\xff");
    run.fails(2, "usage");
    let mut command = room.command(&["--json", "inspect", "--in"]);
    command.arg(OsStr::from_bytes(&[0xff, b'a']));
    Run::of(command.output().unwrap(), "inspect --in \\xff").fails(2, "file_unreadable");
}

#[test]
fn control_characters_of_strangers_do_not_reach_the_terminal() {
    let room = Room::new();
    room.write("policy.json", r#"{"version":1,"tenants":{"acme":{"users":{"\u001b[31mred\u0007":{}},"resources":{"\u001b]0;title":{"type":"App"}}}}}"#);
    room.write("empty.json", r#"{"version":1,"tenants":{}}"#);
    for arguments in [
        &["lint", "--policy", "policy.json"][..],
        &["diff", "empty.json", "policy.json"],
        &["lint", "--policy", "\u{1b}[31m"],
    ] {
        let run = room.run(arguments);
        assert!(!run.stdout.contains(&0x1b) && !run.stderr.contains('\u{1b}'), "{arguments:?}");
    }
    room.feed(&["inspect"], "\u{1b}[31m").is(2);
}

#[test]
fn wide_and_long_tables() {
    let room = Room::new();
    room.write("access.csv", "ACCESS,USERID\nUSER,ANA\n");
    let reduce = ["reduce", "--access", "access.csv", "--user", "ana"];
    quick("columns", || room.feed_json(&reduce, ",".repeat(2 << 20))).is(2).error();
    quick("a quote left open", || room.feed_json(&reduce, format!("A,B\n\"{}", "x,".repeat(2 << 20))))
        .fails(2, "bad_csv");
    let rows = format!("A,B\n{}", "1,2\n".repeat(200_000));
    assert_eq!(quick("rows", || room.feed(&reduce, &rows)).is(0).stdout, rows.as_bytes());
}
