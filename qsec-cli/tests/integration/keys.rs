//! `key`, and sealed bytes under the keys of a deployment.

use serde_json::{Value, json};

use crate::support::Room;

fn acme_with_sealed() -> Room {
    let room = Room::with_acme();
    room.feed(&["seal", "--tenant", "acme", "--context", "row=17", "--out", "sealed"], "hello").is(0);
    room
}

const OPEN: [&str; 7] = ["open", "--tenant", "acme", "--context", "row=17", "--in", "sealed"];

#[test]
fn a_tenant_opens_its_own_and_nobody_elses() {
    let room = acme_with_sealed();
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
    room.json(&["tenant", "create", "globex"]).is(0);
    room.json(&["open", "--tenant", "globex", "--context", "row=17", "--in", "sealed"]).fails(1, "not_opened");
    room.json(&["open", "--tenant", "acme", "--context", "row=18", "--in", "sealed"]).fails(1, "not_opened");
    room.json(&["open", "--tenant", "nobody", "--in", "sealed"]).fails(1, "tenant_not_found");
    room.json(&["seal", "--tenant", "nobody", "--in", "sealed"]).fails(1, "tenant_not_found");
    room.json(&["open", "--tenant", "Not An Id", "--in", "sealed"]).error();
}

#[test]
fn the_raw_key_of_a_tenant_never_touches_the_deployment() {
    let room = acme_with_sealed();
    room.write_key("k");
    std::fs::remove_dir_all(room.path("qsec-home")).unwrap();
    let sealed = room.feed(&["seal", "--raw-key", "k", "--tenant", "acme"], "x").is(0).stdout;
    assert_eq!(room.feed(&["open", "--raw-key", "k", "--tenant", "acme"], sealed).is(0).stdout, b"x");
}

#[test]
fn list_shows_exactly_the_members_of_the_contract() {
    let room = Room::with_acme();
    let keys = room.json(&["key", "list", "acme"]).is(0).answer();
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&keys), ["tenant", "state", "by", "provider", "key_ids", "versions", "migration"]);
    assert_eq!(members(&keys["versions"][0]), ["version", "purpose", "state", "created", "wrappings"]);
    assert_eq!(members(&keys["versions"][0]["wrappings"][0]), ["provider", "key_id", "role", "verified"]);
    assert_eq!((&keys["state"], &keys["by"], &keys["provider"]), (&json!("active"), &json!([]), &json!("internal")));
    assert_eq!(keys["migration"], Value::Null);
    assert_eq!(keys["key_ids"][0], keys["versions"][0]["wrappings"][0]["key_id"]);
    assert!(keys["versions"][0]["created"].as_str().unwrap().ends_with('Z'));
    room.json(&["key", "list", "nobody"]).fails(1, "tenant_not_found");
}

#[test]
fn rotation_seals_under_the_new_version_and_opens_the_old() {
    let room = acme_with_sealed();
    let rotated = room.json(&["key", "rotate", "acme"]).is(0);
    assert_eq!(rotated.text(), "{\"tenant\":\"acme\",\"version\":2,\"previous\":1}\n");
    let summary = room.feed_json(&["seal", "--tenant", "acme", "--out", "newer"], "x").is(0).answer();
    assert_eq!(summary["key_version"], 2);
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
    let states: Vec<Value> = room.json(&["key", "list", "acme"]).is(0).answer()["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["state"].clone())
        .collect();
    assert_eq!(states, ["retired", "active"]);
    let unknown = room.json(&["key", "rotate", "acme", "--purpose", "unknown"]).is(1).error();
    assert!(unknown["message"].as_str().unwrap().contains("`unknown`"), "{unknown}");
}

#[test]
fn a_disabled_key_neither_opens_nor_seals_until_it_is_enabled() {
    let room = acme_with_sealed();
    assert_eq!(room.json(&["key", "disable", "acme"]).is(0).text(), "{\"tenant\":\"acme\",\"state\":\"disabled\"}\n");
    let error = room.json(&OPEN).fails(1, "key_disabled");
    assert_eq!(error["by"], "tenant");
    room.feed_json(&["seal", "--tenant", "acme"], "x").fails(1, "key_disabled");
    let keys = room.json(&["key", "list", "acme"]).is(0).answer();
    assert_eq!((&keys["state"], &keys["by"]), (&json!("disabled"), &json!(["tenant"])));
    let shown = room.json(&["tenant", "show", "acme"]).is(0).answer();
    assert_eq!(shown["tenant"]["flags"]["key_available"], false);
    assert_eq!(room.json(&["key", "enable", "acme"]).is(0).answer()["state"], "active");
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
}

#[test]
fn deletion_is_confirmed_delayed_and_can_be_cancelled() {
    let room = acme_with_sealed();
    let schedule = |confirm| room.json(&["key", "schedule-deletion", "acme", "--days", "7", "--confirm", confirm]);
    schedule("globex").fails(2, "confirm_mismatch");
    room.json(&["key", "schedule-deletion", "acme", "--days", "7"]).fails(2, "usage");
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
    let answer = schedule("acme").is(0).answer();
    assert_eq!(answer["state"], "pending_deletion");
    assert!(answer["deletion_date"].as_str().unwrap().ends_with('Z'));
    let error = room.json(&OPEN).fails(1, "key_pending_deletion");
    assert_eq!(error["deletion_date"], answer["deletion_date"]);
    assert_eq!(room.json(&["key", "cancel-deletion", "acme"]).is(0).answer()["state"], "disabled");
    room.json(&OPEN).fails(1, "key_disabled");
    room.json(&["key", "enable", "acme"]).is(0);
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
}

#[test]
fn a_long_stream_goes_through_a_tenants_key_too() {
    let room = Room::with_acme();
    let plain = vec![0x5a; 3 << 20];
    let sealed = room.feed(&["seal", "--tenant", "acme"], &plain).is(0).stdout;
    assert!(room.feed(&["open", "--tenant", "acme"], &sealed).is(0).stdout == plain);
    assert!(room.feed(&["open", "--tenant", "acme", "--stream"], &sealed).is(0).stdout == plain);
}

#[test]
fn text_names_the_version_and_no_secret() {
    let room = Room::with_acme();
    let text = room.run(&["key", "list", "acme"]).is(0);
    for word in ["VERSION", "PURPOSE", "active", "internal", "local:"] {
        assert!(text.text().contains(word), "{}", text.text());
    }
}

#[test]
fn rewrapping_touches_no_record_and_the_last_key_stays() {
    let room = acme_with_sealed();
    let before = room.read("sealed");
    let done = room.json(&["rewrap", "--tenant", "acme"]).is(0);
    assert_eq!(
        done.text(),
        "{\"tenant\":\"acme\",\"versions_rewrapped\":1,\"kms_calls\":3,\"records_rewritten\":0,\"state\":\"done\"}\n"
    );
    assert_eq!((room.run(&OPEN).is(0).stdout, room.read("sealed")), (b"hello".to_vec(), before));
    let only = room.json(&["key", "list", "acme"]).is(0).answer()["key_ids"][0].as_str().unwrap().to_owned();
    room.json(&["rewrap", "--tenant", "acme", "--remove-key-id", &only]).fails(1, "conflict");
    room.json(&["rewrap", "--tenant", "acme", "--remove-key-id", "local:none"]).fails(2, "usage");
    room.json(&["rewrap", "--tenant", "acme", "--add-key-id", ""]).fails(2, "usage");
    room.json(&["rewrap", "--tenant", "nobody"]).fails(1, "tenant_not_found");
    room.json(&["--now", "1700000000", "rewrap", "--tenant", "acme"]).fails(2, "usage");
    room.json(&["key", "disable", "acme"]).is(0);
    room.json(&["rewrap", "--tenant", "acme"]).fails(1, "key_disabled");
    room.json(&["key", "enable", "acme"]).is(0);
    room.json(&["tenant", "deactivate", "acme", "--confirm", "Acme Ltd"]).is(0);
    room.json(&["rewrap", "--tenant", "acme"]).fails(1, "tenant_inactive");
}

#[test]
fn shredding_is_confirmed_and_destroys_a_retired_version_for_good() {
    let room = acme_with_sealed();
    let shred = |version, confirm| room.json(&["key", "shred", "acme", "--version", version, "--confirm", confirm]);
    shred("1", "globex").fails(2, "confirm_mismatch");
    room.json(&["key", "shred", "acme", "--version", "1"]).fails(2, "usage");
    shred("1", "acme").fails(1, "conflict");
    shred("9", "acme").fails(1, "key_version_not_found");
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
    room.json(&["key", "rotate", "acme"]).is(0);
    let answer = shred("1", "acme").is(0).answer();
    assert_eq!(
        (&answer["tenant"], &answer["version"], &answer["state"]),
        (&json!("acme"), &json!(1), &json!("destroyed"))
    );
    assert!(answer["remains"][0].as_str().unwrap().starts_with("backups older than "), "{answer}");
    room.json(&OPEN).fails(1, "key_destroyed");
    let versions = room.json(&["key", "list", "acme"]).is(0).answer()["versions"].clone();
    assert_eq!((&versions[0]["state"], &versions[0]["wrappings"]), (&json!("destroyed"), &json!([])));
    let log = room.run(&["audit", "tail", "--tenant", "acme", "--type", "key.destroyed"]).is(0);
    // Two that were refused, and the one that was done.
    assert_eq!(log.text().lines().count(), 3, "{}", log.text());
    assert_eq!(log.text().matches("\"outcome\":\"success\"").count(), 1, "{}", log.text());
}

#[test]
fn provider_is_shown_and_moving_to_where_the_keys_are_is_done_at_once() {
    let room = acme_with_sealed();
    let shown = room.json(&["key", "provider", "acme"]).is(0).answer();
    let members: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(members, ["tenant", "state", "by", "provider", "key_ids", "migration"]);
    assert_eq!((&shown["provider"], &shown["migration"]), (&json!("internal"), &Value::Null));
    assert!(room.run(&["key", "provider", "acme"]).is(0).text().contains("internal"));
    let moved = room.json(&["key", "provider", "acme", "--to", "internal"]).is(0).answer();
    let members: Vec<&String> = moved.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["tenant", "provider", "state", "versions_rewrapped", "kms_calls", "records_rewritten", "took_ms"]
    );
    assert_eq!((&moved["state"], &moved["versions_rewrapped"]), (&json!("done"), &json!(0)));
    assert_eq!(room.json(&["key", "provider", "acme"]).is(0).answer(), shown);
    room.json(&["key", "provider", "acme", "--abort"]).fails(1, "conflict");
    room.json(&["key", "provider", "acme", "--abort", "--to", "internal"]).fails(2, "usage");
    room.json(&["key", "provider", "acme", "--to", "nowhere"]).fails(2, "usage");
    room.json(&["key", "provider", "acme", "--to", "internal", "--keep-old", "31"]).fails(2, "usage");
    room.json(&["key", "provider", "acme", "--keep-old", "3"]).fails(2, "usage");
    room.json(&["--now", "1700000000", "key", "provider", "acme", "--to", "internal"]).fails(2, "usage");
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
}
