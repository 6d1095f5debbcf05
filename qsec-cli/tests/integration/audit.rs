//! `audit`: the log of what the program did, verified, proved, printed.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Room, names};

fn events(room: &Room, arguments: &[&str]) -> Vec<Value> {
    let run = room.run(&[&["audit", "tail"], arguments].concat()).is(0);
    run.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn every_change_is_in_the_log_and_the_log_verifies() {
    let room = Room::with_acme();
    let steps: [&[&str]; 6] = [
        &["key", "rotate", "acme"],
        &["key", "disable", "acme"],
        &["key", "enable", "acme"],
        &["tenant", "disable-users", "acme"],
        &["tenant", "enable-users", "acme"],
        &["client", "create", "--tenant", "acme", "--type", "m2m", "--name", "n"],
    ];
    for step in steps {
        let before = events(&room, &["--tenant", "acme"]).len();
        room.json(step).is(0);
        assert!(events(&room, &["--tenant", "acme"]).len() > before, "{step:?} left no event");
        let report = room.json(&["audit", "verify"]).is(0).answer();
        assert_eq!((&report["verdict"], &report["findings"]), (&json!("intact"), &json!([])), "after {step:?}");
    }
    let report = room.json(&["audit", "verify"]).is(0).answer();
    let members: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["verdict", "trees", "segments", "commits", "events", "last_commit_time", "checked", "findings"]
    );
    let of_acme = events(&room, &["--tenant", "acme"]);
    assert!(of_acme.iter().all(|event| event["specversion"] == "1.0" && event["time"].is_string()));
    for name in ["tenant.created", "key.created", "key.rotated", "key.disabled", "key.enabled", "oauth.client.created"]
    {
        assert!(types(&of_acme).contains(&name), "{name} is missing in {:?}", types(&of_acme));
    }
    assert!(types(&events(&room, &[])).contains(&"deployment.created"));
}

#[test]
fn a_refusal_is_an_event() {
    let room = Room::with_acme();
    room.feed(&["seal", "--tenant", "acme", "--out", "sealed"], "x").is(0);
    room.json(&["tenant", "deactivate", "acme", "--confirm", "Acme Ltd"]).is(0);
    let before = events(&room, &["--tenant", "acme"]).len();
    room.json(&["open", "--tenant", "acme", "--in", "sealed"]).fails(1, "tenant_inactive");
    let after = events(&room, &["--tenant", "acme"]);
    assert!(after[before..].iter().any(|event| event["outcome"] == "denied"), "{after:?}");
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let room = Room::with_acme();
    let wal = room.path("qsec-home/audit/wal");
    let segment = wal.join(names(&wal).into_iter().next().unwrap());
    let bytes = fs::read(&segment).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for part in 1..8 {
        let at = written * part / 8;
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&segment, &changed).unwrap();
        let run = room.json(&["audit", "verify"]).is(1);
        let report = run.answer();
        assert_eq!(report["verdict"], "tampered", "byte {at} of {}", bytes.len());
        let finding = &report["findings"][0];
        assert!(finding["code"].is_string() && finding["severity"] == "tampered", "{report}");
        assert!(room.run(&["audit", "verify"]).is(1).text().contains("tampered"));
        let doctor = room.json(&["doctor"]).is(1).answer();
        assert!(
            doctor["checks"]
                .as_array()
                .unwrap()
                .iter()
                .any(|check| check["name"] == "audit log" && check["state"] == "fail")
        );
    }
    // Looking changed nothing.
    fs::write(&segment, &bytes).unwrap();
    room.json(&["audit", "verify"]).is(0);
}

#[test]
fn nothing_that_must_be_recorded_is_done_over_a_tampered_log() {
    let room = Room::with_acme();
    let wal = room.path("qsec-home/audit/wal");
    let segment = wal.join(names(&wal).into_iter().next().unwrap());
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    room.json(&["key", "disable", "acme"]).fails(1, "audit_tampered");
    room.json(&["tenant", "create", "other"]).fails(1, "audit_tampered");
    assert_eq!(room.json(&["key", "list", "acme"]).is(0).answer()["state"], "active");
}

#[test]
fn the_escrow_checks_the_chain() {
    let room = Room::new();
    room.json(&["init", "--audit-escrow", "first.key"]).is(0);
    room.json(&["tenant", "create", "acme"]).is(0);
    assert_eq!(crate::support::mode(&room.path("first.key")), 0o600);
    let with = room.json(&["audit", "verify", "--escrow", "first.key"]).is(0).answer();
    let without = room.json(&["audit", "verify"]).is(0).answer();
    assert!(
        with["checked"].to_string().contains("mac") && !without["checked"].to_string().contains("mac"),
        "{with} {without}"
    );
    room.write("other.key", "00".repeat(32) + "\n");
    let other = room.json(&["audit", "verify", "--escrow", "other.key"]).is(1).answer();
    assert_eq!(other["verdict"], "tampered");
    room.write("other.key", "nonsense");
    room.json(&["audit", "verify", "--escrow", "other.key"]).fails(2, "key_file_invalid");
    room.json(&["audit", "verify", "--escrow", "missing.key"]).fails(2, "file_unreadable");
}

#[test]
fn a_proof_is_verified_without_the_deployment() {
    let room = Room::with_acme();
    let prove = ["audit", "prove", "--tenant", "acme", "--index", "1"];
    let files = ["--out", "e1.tlog-proof", "--entry-out", "e1.json"];
    assert_eq!(room.json(&[&prove[..], &files].concat()).is(0).answer()["index"], 1);
    fs::write(room.path("acme.vkey"), room.run(&["audit", "key", "--tenant", "acme"]).is(0).stdout).unwrap();
    assert_eq!(
        room.run(&[&prove[..], &["--entry-out", "again.json"]].concat()).is(0).stdout[..10],
        room.read("e1.tlog-proof")[..10]
    );
    assert_eq!(room.read("again.json"), room.read("e1.json"));
    room.json(&["audit", "prove", "--tenant", "acme", "--index", "9999"]).fails(1, "no_such_event");
    room.json(&["audit", "prove", "--tenant", "nobody", "--index", "0", "--out", "none"]).fails(1, "tenant_not_found");
    assert!(!room.path("none").exists());
    let stored = events(&room, &["--tenant", "acme", "--from", "1"])[0].clone();
    assert_eq!(serde_json::from_slice::<Value>(&room.read("e1.json")).unwrap(), stored);
    fs::rename(room.path("qsec-home"), room.path("away")).unwrap();
    let verify = ["audit", "verify", "--proof", "e1.tlog-proof", "--entry", "e1.json", "--key", "acme.vkey"];
    let text = room.run(&verify).is(0);
    assert!(text.text().starts_with("intact  qsec.example/n1/acme  entry 1 of "), "{}", text.text());
    let answer = room.json(&verify).is(0).answer();
    assert_eq!(
        (&answer["verdict"], &answer["origin"], &answer["index"]),
        (&json!("intact"), &json!("qsec.example/n1/acme"), &json!(1))
    );
    assert!(!room.path("qsec-home").exists());
    refused_proofs(&room, &verify);
}

fn refused_proofs(room: &Room, verify: &[&str]) {
    let entry = room.read("e1.json");
    room.write("e1.json", [entry.as_slice(), b" "].concat());
    let tampered = room.json(verify).is(1).answer();
    assert_eq!((&tampered["verdict"], &tampered["findings"][0]["severity"]), (&json!("tampered"), &json!("tampered")));
    room.write("e1.json", &entry);
    let proof = String::from_utf8(room.read("e1.tlog-proof")).unwrap();
    for (number, line) in proof.lines().enumerate().filter(|(_, line)| line.len() > 3) {
        let at = line.len() / 2;
        let other = if line.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed: Vec<String> =
            proof
                .lines()
                .enumerate()
                .map(|(each, text)| {
                    if each == number { format!("{}{other}{}", &text[..at], &text[at + 1..]) } else { text.to_owned() }
                })
                .collect();
        room.write("e1.tlog-proof", changed.join("\n") + "\n");
        assert_eq!(room.json(verify).is(1).answer()["verdict"], "tampered", "line {number} changed");
    }
    for broken in [b"".as_slice(), b"nonsense", &[0xff, 0xfe]] {
        room.write("e1.tlog-proof", broken);
        assert_eq!(room.json(verify).is(1).answer()["verdict"], "tampered");
    }
    room.write("e1.tlog-proof", proof);
    room.json(verify).is(0);
    room.write("acme.vkey", "");
    room.json(verify).fails(2, "key_file_invalid");
    room.write("acme.vkey", "nonsense\n");
    room.json(verify).fails(2, "key_file_invalid");
    room.json(&["audit", "verify", "--proof", "e1.tlog-proof"]).fails(2, "usage");
}

#[test]
fn tail_begins_where_it_is_told_and_shows_what_was_asked_for() {
    let room = Room::with_acme();
    let all = events(&room, &["--tenant", "acme"]);
    assert_eq!(events(&room, &["--tenant", "acme", "--from", "2"]), all[2..]);
    assert!(events(&room, &["--tenant", "acme", "--from", "99999"]).is_empty());
    let keys = events(&room, &["--tenant", "acme", "--type", "key."]);
    assert!(!keys.is_empty() && types(&keys).iter().all(|name| name.starts_with("key.")));
    room.json(&["audit", "tail", "--tenant", "nobody"]).fails(1, "tenant_not_found");
    room.json(&["audit", "tail", "--tenant", "No Name"]).fails(2, "usage");
    room.json(&["audit", "tail", "--from", "0", "--cursor", "c"]).fails(2, "usage");
}

#[test]
fn a_cursor_brings_each_event_once() {
    let room = Room::with_acme();
    let all = events(&room, &["--tenant", "acme"]);
    let next = || events(&room, &["--tenant", "acme", "--cursor", "cursor"]);
    assert_eq!(next(), all);
    assert!(next().is_empty());
    room.json(&["key", "rotate", "acme"]).is(0);
    assert!(types(&next()).contains(&"key.rotated"));
    room.json(&["audit", "tail", "--cursor", "cursor"]).fails(2, "cursor_invalid");
    // A type that is filtered out counts as seen.
    room.json(&["key", "rotate", "acme"]).is(0);
    assert!(events(&room, &["--tenant", "acme", "--cursor", "cursor", "--type", "nothing."]).is_empty());
    assert!(next().is_empty());
    room.write("cursor", "nonsense");
    room.json(&["audit", "tail", "--tenant", "acme", "--cursor", "cursor"]).fails(2, "cursor_invalid");
}

#[test]
fn tail_follows_what_other_commands_write() {
    let room = Room::with_acme();
    let out = fs::File::create(room.path("followed")).unwrap();
    let arguments = ["audit", "tail", "--tenant", "acme", "--type", "key.rotated", "--follow"];
    let mut child = room.command(&arguments).stdout(Stdio::from(out)).spawn().unwrap();
    room.json(&["key", "rotate", "acme"]).is(0);
    let seen = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        String::from_utf8(room.read("followed")).unwrap().contains("key.rotated")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen, "the event did not come");
}

#[test]
fn the_catalogue_has_every_type_with_its_schema() {
    let room = Room::new();
    let all = room.json(&["audit", "schema"]).is(0).answer();
    let all = all["types"].as_array().unwrap();
    assert!(all.len() > 100, "{}", all.len());
    let members = ["type", "version", "class", "ocsf", "alias", "personal", "schema"];
    for kind in all {
        assert!(kind.as_object().unwrap().keys().eq(members), "{kind}");
        assert!(kind["schema"].is_object() && kind["ocsf"]["class_uid"].is_u64(), "{kind}");
    }
    let one = room.json(&["audit", "schema", "key.disabled"]).is(0).answer();
    assert_eq!((&one["class"], &one["type"]), (&json!("fail_closed"), &json!("key.disabled")));
    assert_eq!(one["ocsf"], json!({"class_uid": 3004, "activity_id": 9}));
    room.json(&["audit", "schema", "key.melted"]).fails(1, "no_such_type");
    assert!(room.run(&["audit", "schema"]).is(0).text().contains("key.disabled"));
}

const DRAFT: &str =
    r#"{"type":"app.opened","subject":"app/a-1","actor":{"id":"u-7","type":"user"},"data":{"app":"a-1"}}"#;

#[test]
fn appended_events_are_in_the_tree_and_have_receipts() {
    let room = Room::with_acme();
    let before = events(&room, &["--tenant", "acme"]).len();
    let lines = format!("{DRAFT}\n{}\n", DRAFT.replace("a-1", "a-2"));
    let answer = room.feed_json(&["audit", "append", "--tenant", "acme"], &lines).is(0).answer();
    assert_eq!((&answer["appended"], &answer["tree_size"]), (&json!(2), &json!(before + 2)));
    let receipts = answer["receipts"].as_array().unwrap();
    assert!(receipts.iter().all(|receipt| receipt.as_object().unwrap().keys().eq(["id", "tenant", "index", "commit"])));
    let stored = events(&room, &["--tenant", "acme", "--type", "app."]);
    assert_eq!((stored.len(), &stored[1]["id"], &stored[1]["data"]["app"]), (2, &receipts[1]["id"], &json!("a-2")));
    assert_eq!((&stored[0]["actorid"], &stored[0]["actortype"]), (&json!("u-7"), &json!("user")));
    // Without a last line end, from a file, into the deployment's tree, by the operator.
    room.write("draft", r#"{"type":"coffee.brewed"}"#);
    let run = room.json(&["audit", "append", "--deployment", "--receipts", "--in", "draft"]).is(0);
    assert_eq!((&run.answer()["tenant"], run.text().lines().count()), (&Value::Null, 1));
    assert_eq!(events(&room, &["--type", "coffee."])[0]["actorid"], "cli");
    let none = room.feed_json(&["audit", "append", "--tenant", "acme"], "").is(0).answer();
    assert_eq!((&none["appended"], &none["tree_size"]), (&json!(0), &json!(before + 2)));
    assert_eq!(room.json(&["audit", "verify"]).is(0).answer()["verdict"], "intact");
}

#[test]
fn a_wrong_draft_stops_at_its_line() {
    let room = Room::with_acme();
    let append = ["audit", "append", "--tenant", "acme"];
    let long = format!(r#"{{"type":"a.b","subject":"{}"}}"#, "x".repeat(65_536));
    for (wrong, code) in [
        ("nonsense", "draft_malformed"),
        ("", "draft_malformed"),
        (r#"{"type":"a.b","surprise":1}"#, "draft_malformed"),
        (r#"{"type":"a.b","type":"a.c"}"#, "draft_malformed"),
        (r#"{"type":"app.opened","data":{"sheet":"s"}}"#, "schema_mismatch"),
        (r#"{"type":"app.opened","time":"2126-01-01T00:00:00Z"}"#, "draft_malformed"),
        (r#"{"type":"app.opened","outcome":"denied"}"#, "draft_malformed"),
        (&long, "draft_malformed"),
    ] {
        let before = events(&room, &["--tenant", "acme", "--type", "app."]).len();
        let error = room.feed_json(&append, format!("{DRAFT}\n{wrong}\n{DRAFT}\n")).fails(2, code);
        assert_eq!((&error["line"], &error["appended"]), (&json!(2), &json!(1)), "{error}");
        assert_eq!(events(&room, &["--tenant", "acme", "--type", "app."]).len(), before + 1, "{wrong}");
    }
    room.feed_json(&append, b"\xff\n").fails(2, "draft_malformed");
    room.feed_json(&["audit", "append", "--tenant", "nobody"], DRAFT).fails(1, "tenant_not_found");
    room.feed_json(&["audit", "append"], DRAFT).fails(2, "usage");
    room.json(&["tenant", "deactivate", "acme", "--confirm", "Acme Ltd"]).is(0);
    room.feed_json(&append, DRAFT).fails(1, "tenant_inactive");
}

#[test]
fn a_receipt_is_only_given_for_what_is_on_disk() {
    use std::io::{BufRead, BufReader, Write};
    let room = Room::with_acme();
    let mut command = room.command(&["--json", "audit", "append", "--tenant", "acme", "--receipts"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ids = Vec::new();
    for _ in 0..5 {
        writeln!(stdin, "{DRAFT}").unwrap();
        let receipt: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        ids.push(receipt["id"].clone());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let stored: Vec<Value> =
        events(&room, &["--tenant", "acme", "--type", "app."]).iter().map(|event| event["id"].clone()).collect();
    assert_eq!(stored, ids);
    // What was killed is taken up again, and nothing counts as tampering.
    room.feed_json(&["audit", "append", "--tenant", "acme"], DRAFT).is(0);
    assert_eq!(room.json(&["audit", "verify"]).is(0).answer()["verdict"], "intact");
}
