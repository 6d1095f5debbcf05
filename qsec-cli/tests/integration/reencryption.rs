//! `reencrypt`: objects under the newest version, failures listed, a cursor that goes on.

use serde_json::json;

use crate::support::Room;

/// Three objects with their contexts, under version 1, and a key of version 2.
fn room() -> Room {
    let room = Room::with_acme();
    let mut contexts = String::new();
    for row in 1..=3 {
        let (name, context) = (format!("{row}.sealed"), format!("row={row}"));
        room.feed(&["seal", "--tenant", "acme", "--context", &context, "--out", &name], format!("row {row}")).is(0);
        contexts.push_str(&json!({"path": name, "context": {"row": row.to_string()}}).to_string());
        contexts.push('\n');
    }
    room.write("objects.txt", "1.sealed\n2.sealed\n3.sealed\n");
    room.write("contexts.jsonl", contexts);
    room.json(&["key", "rotate", "acme"]).is(0);
    room
}

const WALK: [&str; 9] = [
    "reencrypt",
    "--tenant",
    "acme",
    "--objects",
    "objects.txt",
    "--cursor",
    "re.cursor",
    "--context-from",
    "contexts.jsonl",
];

#[test]
fn every_object_ends_under_the_newest_version_with_its_context() {
    let room = room();
    let done = room.json(&WALK).is(0);
    assert_eq!(
        done.text(),
        "{\"tenant\":\"acme\",\"done\":3,\"already_newest\":0,\"failed\":[],\"failed_total\":0,\"versions_without_objects\":[1]}\n"
    );
    for row in 1..=3 {
        let (name, context) = (format!("{row}.sealed"), format!("row={row}"));
        assert_eq!(room.json(&["inspect", "--in", &name]).is(0).answer()["key_version"], 2);
        let opened = room.run(&["open", "--tenant", "acme", "--context", &context, "--in", &name]).is(0);
        assert_eq!(opened.text(), format!("row {row}"));
    }
    // Nothing stays beside, and the old version can go.
    assert!(room.names().iter().all(|name| !name.starts_with(".qsec")), "{:?}", room.names());
    room.json(&["key", "shred", "acme", "--version", "1", "--confirm", "acme"]).is(0);
    assert_eq!(room.run(&["open", "--tenant", "acme", "--context", "row=2", "--in", "2.sealed"]).is(0).text(), "row 2");
    let log = room.run(&["audit", "tail", "--tenant", "acme", "--type", "reencryption."]).is(0);
    for name in ["reencryption.started", "reencryption.finished"] {
        assert_eq!(log.text().matches(&format!("\"type\":\"{name}\"")).count(), 1, "{}", log.text());
    }
}

#[test]
fn what_does_not_open_is_left_listed_and_a_no() {
    let room = room();
    let mut broken = room.read("2.sealed");
    *broken.last_mut().unwrap() ^= 1;
    room.write("2.sealed", &broken);
    let run = room.json(&WALK).is(1);
    let answer = run.answer();
    assert_eq!(
        (&answer["done"], &answer["failed"]),
        (&json!(2), &json!([{"object": "2.sealed", "code": "not_opened"}]))
    );
    assert_eq!((&answer["failed_total"], &answer["versions_without_objects"]), (&json!(1), &json!([])));
    assert_eq!(room.read("2.sealed"), broken);
    let text = room.run(&WALK).is(1);
    assert!(text.text().contains("2.sealed: not_opened"), "{}", text.text());
}

#[test]
fn rerun_begins_where_the_cursor_stands() {
    let room = room();
    assert_eq!(room.json(&WALK).is(0).answer()["done"], 3);
    let again = room.json(&WALK).is(0).answer();
    assert_eq!((&again["done"], &again["already_newest"]), (&json!(3), &json!(0)));
    std::fs::remove_file(room.path("re.cursor")).unwrap();
    let anew = room.json(&[&WALK[..], &["--rate", "1000/s"]].concat()).is(0).answer();
    assert_eq!((&anew["done"], &anew["already_newest"]), (&json!(0), &json!(3)));
    room.write("re.cursor", "{\"another\":\"file\"}");
    room.json(&WALK).fails(2, "cursor_invalid");
}

#[test]
fn cursor_that_stands_outside_the_list_is_misuse() {
    let room = room();
    room.json(&WALK).is(0);
    let mut cursor: serde_json::Value = serde_json::from_slice(&room.read("re.cursor")).unwrap();
    assert_eq!((&cursor["after"], &cursor["finished"]), (&json!("3.sealed"), &json!(true)));
    cursor["finished"] = json!(false);
    room.write("re.cursor", cursor.to_string());
    room.write("objects.txt", "1.sealed\n2.sealed\n");
    let error = room.json(&WALK).fails(2, "cursor_invalid");
    assert!(error["message"].as_str().unwrap().contains("`3.sealed`"), "{error}");
}

#[test]
fn lists_contexts_and_rates_that_cannot_be_are_refused() {
    let room = room();
    room.json(&["reencrypt", "--tenant", "acme", "--objects", "none", "--cursor", "c"]).fails(2, "file_unreadable");
    for wrong in ["0", "-1/s", "x", "5/m"] {
        room.json(&[&WALK[..], &["--rate", wrong]].concat()).fails(2, "usage");
    }
    for wrong in ["no json", "{\"path\":\"1.sealed\"}", "{\"path\":\"1.sealed\",\"context\":{\"\":\"x\"}}"] {
        room.write("contexts.jsonl", wrong);
        assert_eq!(room.json(&WALK).fails(2, "context_invalid")["line"], 1);
    }
    room.write("contexts.jsonl", "");
    room.write("objects.txt", "1.sealed\n1.sealed\n");
    room.json(&WALK).fails(2, "usage");
    room.json(&["key", "disable", "acme"]).is(0);
    room.write("objects.txt", "1.sealed\n");
    room.json(&WALK).fails(1, "key_disabled");
    assert_eq!(room.json(&["inspect", "--in", "1.sealed"]).is(0).answer()["key_version"], 1);
}
