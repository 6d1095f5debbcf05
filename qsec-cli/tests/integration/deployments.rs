//! `init`, `doctor`, and what two commands do to one folder.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Room, Run, mode, names, protect};

/// An unprivileged account that every Unix has, for what root may always do.
const NOBODY: u32 = 65_534;

fn runs_as_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn init_makes_a_private_folder_and_says_what_to_keep() {
    let room = Room::new();
    let made =
        room.json(&["init", "--name", "qsec.example", "--zone", "prod.internal", "--region", "eu"]).is(0).answer();
    let members: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(members, ["home", "deployment", "zone", "root_spki_sha256", "origin", "backup"]);
    assert_eq!(
        (&made["deployment"], &made["zone"], &made["origin"]),
        (&json!("qsec.example"), &json!("prod.internal"), &json!("qsec.example/n1"))
    );
    assert_eq!(made["root_spki_sha256"].as_str().unwrap().len(), 64);
    assert!(made["backup"].to_string().contains("root.key"));
    let home = room.path("qsec-home");
    assert_eq!(mode(&home), 0o700);
    let mut folders = vec![home];
    while let Some(folder) = folders.pop() {
        for name in names(&folder) {
            let path = folder.join(name);
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
}

#[test]
fn init_again_changes_nothing() {
    let room = Room::with_acme();
    let before = fs::read(room.path("qsec-home/deployment.json")).unwrap();
    room.json(&["init"]).fails(1, "deployment_exists");
    assert_eq!(fs::read(room.path("qsec-home/deployment.json")).unwrap(), before);
    room.json(&["tenant", "show", "acme"]).is(0);
}

#[test]
fn an_interrupted_init_opens_as_nothing_and_begins_anew() {
    let mut interrupted = 0;
    for micros in (0..40_000).step_by(1_000) {
        let room = Room::new();
        let mut child = room.command(&["init"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(micros));
        child.kill().unwrap();
        child.wait().unwrap();
        let looked = room.json(&["tenant", "list"]);
        if looked.status == 0 {
            continue; // it was done before it was killed
        }
        interrupted += 1;
        looked.fails(2, "deployment_missing");
        room.json(&["init"]).is(0);
        room.json(&["tenant", "create", "acme"]).is(0);
        assert_eq!(room.json(&["audit", "verify"]).is(0).answer()["verdict"], "intact", "killed after {micros} us");
    }
    assert!(interrupted > 5, "only {interrupted} were interrupted");
}

#[test]
fn an_interrupted_tenant_is_finished_by_the_next_command() {
    let room = Room::new();
    room.json(&["init"]).is(0);
    for number in 0..25_u32 {
        let id = format!("t-{number}");
        let mut child = room.command(&["tenant", "create", &id]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(u64::from(number) * 1_200));
        child.kill().unwrap();
        child.wait().unwrap();
        let shown = room.json(&["tenant", "show", &id]);
        if shown.status == 0 {
            assert_eq!(shown.answer()["tenant"]["state"], "active", "{id}");
            room.feed(&["seal", "--tenant", &id], "x").is(0);
        } else {
            shown.fails(1, "tenant_not_found");
        }
    }
    assert_eq!(room.json(&["audit", "verify"]).is(0).answer()["verdict"], "intact");
}

#[test]
fn a_folder_with_something_else_in_it_is_not_taken() {
    let room = Room::new();
    fs::create_dir(room.path("qsec-home")).unwrap();
    room.write("qsec-home/letters.txt", "dear");
    room.json(&["init"]).is(2).error();
    assert_eq!(room.read("qsec-home/letters.txt"), b"dear");
    room.write("file", "");
    room.json(&["--home", "file", "init"]).is(2).error();
    room.json(&["--home", "file", "tenant", "list"]).is(2).error();
}

#[test]
fn the_escrow_is_never_written_over_nor_into_the_home() {
    let room = Room::new();
    room.write("escrow", "precious");
    room.json(&["init", "--audit-escrow", "escrow"]).fails(2, "file_exists");
    assert_eq!(room.read("escrow"), b"precious");
    room.json(&["init", "--audit-escrow", "qsec-home/escrow"]).is(2).error();
    room.json(&["tenant", "list"]).fails(2, "deployment_missing");
    room.json(&["init", "--audit-escrow", "elsewhere"]).is(0);
    assert_eq!(String::from_utf8(room.read("elsewhere")).unwrap().trim_end().len(), 64);
}

#[test]
fn the_root_key_can_be_a_file_or_a_passphrase() {
    let room = Room::new();
    room.write_key("root");
    room.write("words", "correct horse battery staple\n");
    room.write("other", "wrong horse\n");
    for (home, option, file) in [("a", "--root-key", "root"), ("b", "--passphrase-file", "words")] {
        room.json(&["--home", home, "init", option, file]).is(0);
        assert!(!room.path(home).join("root.key").exists());
        room.json(&["--home", home, option, file, "tenant", "create", "acme"]).is(0);
        room.json(&["tenant", "show", "acme", "--home", home, option, file]).is(0);
        room.json(&["--home", home, "tenant", "list"]).fails(2, "key_file_invalid");
        room.json(&["--home", home, option, "missing", "tenant", "list"]).is(2).error();
    }
    let wrong = room.json(&["--home", "b", "--passphrase-file", "other", "tenant", "list"]);
    assert!(wrong.status != 0 && wrong.error()["message"].is_string(), "another passphrase opens the deployment");
    room.write("other-root", "f".repeat(64));
    protect(&room.path("other-root"), 0o600);
    let wrong = room.json(&["--home", "a", "--root-key", "other-root", "tenant", "list"]);
    assert!(wrong.status != 0 && wrong.error()["message"].is_string(), "another root key opens the deployment");
    room.shell("qsec --home b tenant list --passphrase-file <(cat words)").is(0);
    room.write("empty", "\n");
    room.json(&["--home", "c", "init", "--passphrase-file", "empty"]).fails(2, "key_file_invalid");
}

#[test]
fn a_deployment_moves_as_a_whole() {
    let room = Room::with_acme();
    room.feed(&["seal", "--tenant", "acme", "--out", "sealed"], "x").is(0);
    room.shell("cp -a qsec-home copy && rm -r qsec-home && mkdir deep && mv copy deep/er").is(0);
    assert_eq!(room.run(&["--home", "deep/er", "open", "--tenant", "acme", "--in", "sealed"]).is(0).stdout, b"x");
    room.json(&["--home", "deep/er", "audit", "verify"]).is(0);
}

fn check(answer: &Value, name: &str) -> Value {
    let found = answer["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check `{name}` in {answer}")).clone()
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let room = Room::with_acme();
    let well = room.json(&["doctor"]).is(0).answer();
    for check in well["checks"].as_array().unwrap() {
        assert!(check.as_object().unwrap().keys().eq(["name", "state", "detail", "fix"]), "{check}");
        assert!(["ok", "warn"].contains(&check["state"].as_str().unwrap()), "{check}");
    }
    assert_eq!(check(&well, "audit log")["state"], "ok");
    room.json(&["key", "disable", "acme"]).is(0);
    assert_eq!(check(&room.json(&["doctor"]).is(0).answer(), "key of acme")["state"], "warn");
    assert_eq!(
        check(&room.json(&["doctor", "--now", "2000-01-01T00:00:00Z"]).is(1).answer(), "clock")["state"],
        "fail"
    );
    for wider in [0o750, 0o705, 0o770] {
        protect(&room.path("qsec-home"), wider);
        let folder = check(&room.json(&["doctor"]).is(1).answer(), "folder");
        assert_eq!((&folder["state"], &folder["fix"]), (&json!("fail"), &json!("chmod 700")));
        assert!(room.run(&["doctor"]).is(1).text().contains("chmod 700"));
        room.json(&["tenant", "list"]).is(2).error();
    }
    protect(&room.path("qsec-home"), 0o700);
    protect(&room.path("qsec-home/root.key"), 0o640);
    assert_eq!(check(&room.json(&["doctor"]).is(1).answer(), "root key")["state"], "fail");
    protect(&room.path("qsec-home/root.key"), 0o600);
    room.json(&["doctor"]).is(0);
    fs::remove_file(room.path("qsec-home/root.key")).unwrap();
    assert_eq!(check(&room.json(&["doctor"]).is(1).answer(), "root key")["state"], "fail");
}

#[test]
fn a_command_waits_for_another_one() {
    let room = Room::with_acme();
    let lock = fs::File::options().write(true).open(room.path("qsec-home/lock")).unwrap();
    lock.lock().unwrap();
    let child = room
        .command(&["--json", "key", "rotate", "acme"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    lock.unlock().unwrap();
    assert_eq!(Run::of(child.wait_with_output().unwrap(), "key rotate").is(0).answer()["version"], 2);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "patience is measured")]
fn a_command_that_waited_in_vain_says_busy() {
    let room = Room::with_acme();
    let lock = fs::File::options().write(true).open(room.path("qsec-home/lock")).unwrap();
    lock.lock().unwrap();
    let begun = Instant::now();
    room.json(&["key", "rotate", "acme"]).fails(3, "deployment_busy");
    let waited = begun.elapsed();
    assert!((9..15).contains(&waited.as_secs()), "{waited:?}");
    // The log is read beside whoever works on the deployment.
    room.run(&["audit", "tail", "--tenant", "acme"]).is(0);
}

#[test]
fn many_commands_at_once_all_do_their_work() {
    let room = Room::with_acme();
    let spawn =
        |arguments: &[&str]| room.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children: Vec<_> = (0..8)
        .flat_map(|_| [spawn(&["--json", "key", "rotate", "acme"]), spawn(&["--json", "tenant", "show", "acme"])])
        .collect();
    for child in children {
        Run::of(child.wait_with_output().unwrap(), "at once").is(0).answer();
    }
    let keys = room.json(&["key", "list", "acme"]).is(0).answer();
    assert_eq!(keys["versions"].as_array().unwrap().len(), 9);
    assert_eq!(room.json(&["audit", "verify"]).is(0).answer()["verdict"], "intact");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    if !runs_as_root() {
        let room = Room::new();
        protect(&room.path("."), 0o500);
        let error = room.json(&["--home", "home", "init"]).is(2).error();
        assert!(error["message"].as_str().unwrap().contains("home"), "{error}");
        protect(&room.path("."), 0o700);
        return;
    }
    // Root writes everywhere: the program is started as somebody who does not.
    let room = Room::new();
    room.write_key("k");
    protect(&room.path("k"), 0o644);
    protect(&room.path("."), 0o755);
    let as_nobody = |arguments: &[&str]| {
        let mut command = room.command(arguments);
        // The target folder may be under a path that others cannot enter: the program is copied beside.
        let copy = std::env::temp_dir().join(format!("qsec-{}", std::process::id()));
        if !copy.exists() {
            fs::copy(crate::support::QSEC, &copy).unwrap();
            protect(&copy, 0o755);
        }
        let mut started = std::process::Command::new(&copy);
        started
            .args(arguments)
            .current_dir(command.get_current_dir().unwrap())
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::null());
        command.stdin(Stdio::null());
        Run::of(started.output().unwrap(), &arguments.join(" "))
    };
    for (arguments, name) in [
        (&["--json", "--home", "home", "init"][..], "home"),
        (&["--json", "seal", "--raw-key", "k", "--in", "k", "--out", "sealed"], "sealed"),
    ] {
        let error = as_nobody(arguments).fails(2, "file_unwritable");
        assert!(error["message"].as_str().unwrap().contains(name), "{error}");
    }
    fs::remove_file(std::env::temp_dir().join(format!("qsec-{}", std::process::id()))).unwrap();
    assert_eq!(room.names(), ["k"]);
}
