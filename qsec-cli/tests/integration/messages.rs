//! Messages of the AWS Encryption SDK: sealed, opened, inspected, refused.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Room, protect, unhex};

const OURS: [&str; 6] = ["--raw-aes-key", "k", "--key-namespace", "acme", "--key-name", "2030"];
const CONTEXT: [&str; 2] = ["--context", "table=orders"];

fn room() -> Room {
    let room = Room::new();
    room.write_key("k");
    room
}

fn with<'a>(verb: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[verb], &OURS[..], more].concat()
}

fn sealed(room: &Room, plain: &[u8], more: &[&str]) -> Vec<u8> {
    room.feed(&with("seal", &[&["--format", "esdk"], &CONTEXT[..], more].concat()), plain).is(0).stdout
}

#[test]
fn message_comes_back_in_every_way_of_opening() {
    let room = room();
    for length in [0, 1, 4095, 4096, 4097, 70_000] {
        let plain: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let message = sealed(&room, &plain, &["--frame-length", "4096"]);
        room.write("message", &message);
        for how in
            [&[][..], &["--stream"], &["--format", "esdk"], &["--in", "message"], &["--in", "message", "--stream"]]
        {
            let opened = room.feed(&with("open", &[&CONTEXT[..], how].concat()), &message).is(0);
            assert!(opened.stdout == plain, "{length} {how:?}");
        }
        room.run(&with("open", &["--in", "message", "--out", "plain"])).is(0);
        assert!(room.read("plain") == plain, "{length}");
    }
}

#[test]
fn demanded_pairs_must_be_there_and_others_may() {
    let room = room();
    let message = room
        .feed(&with("seal", &["--format", "esdk", "--context", "table=orders", "--context", "row=17"]), "hello")
        .is(0)
        .stdout;
    for context in [&[][..], &["--context", "row=17"], &["--context", "row=17", "--context", "table=orders"]] {
        assert_eq!(room.feed(&with("open", context), &message).is(0).stdout, b"hello", "{context:?}");
    }
    for context in [&["--context", "row=18"], &["--context", "column=1"]] {
        room.feed_json(&with("open", context), &message).fails(1, "not_opened");
    }
    for reserved in ["aws-crypto-public-key=x", "qsec:tenant=acme"] {
        room.feed_json(&with("seal", &["--format", "esdk", "--context", reserved]), "x").fails(2, "context_invalid");
    }
}

#[test]
fn several_keys_seal_and_any_of_them_opens() {
    let room = room();
    room.write("other", "0f".repeat(32));
    protect(&room.path("other"), 0o600);
    let second = ["--raw-aes-key", "other", "--key-namespace", "globex", "--key-name", "2031"];
    let both = [&with("seal", &["--format", "esdk"])[..], &second].concat();
    let message = room.feed(&both, "hello").is(0).stdout;
    assert_eq!(room.feed(&with("open", &[]), &message).is(0).stdout, b"hello");
    assert_eq!(room.feed(&[&["open"], &second[..]].concat(), &message).is(0).stdout, b"hello");
    // The n-th file goes with the n-th names: swapped, neither matches.
    let swapped = ["open", "--raw-aes-key", "k", "--key-namespace", "globex", "--key-name", "2031"];
    room.feed_json(&swapped, &message).fails(1, "not_opened");
    let stranger = ["open", "--raw-aes-key", "k", "--key-namespace", "nobody", "--key-name", "2030"];
    room.feed_json(&stranger, &message).fails(1, "not_opened");
    let lonely = ["open", "--raw-aes-key", "k", "--raw-aes-key", "other", "--key-namespace", "a", "--key-name", "b"];
    room.feed_json(&lonely, &message).fails(2, "usage");
    let seen = room.feed_json(&["inspect"], &message).is(0).answer();
    assert_eq!(
        seen["encrypted_data_keys"],
        json!([{"provider": "acme", "key": "2030", "bytes": 48}, {"provider": "globex", "key": "2031", "bytes": 48}])
    );
}

#[test]
fn what_does_not_go_together_is_misuse() {
    let room = room();
    let message = sealed(&room, b"hello", &[]);
    room.write("message", &message);
    let native = room.feed(&["seal", "--raw-key", "k"], "hello").is(0).stdout;
    room.feed_json(&["seal", "--raw-key", "k", "--format", "esdk"], "x").fails(2, "usage");
    for format in ["native", "compact-uncommitted"] {
        room.feed_json(&with("seal", &["--format", format]), "x").fails(2, "usage");
        room.feed_json(&with("open", &["--format", format]), &message).fails(2, "usage");
    }
    room.feed_json(&["open", "--raw-key", "k", "--format", "native"], &message).fails(2, "unsupported_suite");
    room.feed_json(&["open", "--raw-key", "k"], &message).fails(2, "usage");
    room.feed_json(&with("open", &[]), &native).fails(2, "usage");
    room.feed_json(&with("open", &["--format", "esdk"]), &native).fails(2, "unsupported_suite");
    room.json(&with("open", &["--in", "message", "--range", "0-1"])).fails(2, "usage");
    for length in ["0", "16777217", "x"] {
        room.feed_json(&with("seal", &["--format", "esdk", "--frame-length", length]), "x").fails(2, "usage");
    }
    room.feed_json(&["seal", "--raw-key", "k", "--frame-length", "1"], "x").fails(2, "usage");
    for more in [&["--raw-key", "k"][..], &["--tenant", "acme"], &["--purpose", "data"]] {
        room.feed_json(&with("open", more), &message).fails(2, "usage");
    }
    room.write("short", "00");
    let short = ["open", "--raw-aes-key", "short", "--key-namespace", "acme", "--key-name", "2030"];
    room.feed_json(&short, &message).fails(2, "key_file_invalid");
    let missing = ["open", "--raw-aes-key", "missing", "--key-namespace", "acme", "--key-name", "2030"];
    room.feed_json(&missing, &message).fails(2, "key_file_invalid");
    let reserved = ["seal", "--format", "esdk", "--raw-aes-key", "k", "--key-namespace", "aws-kms", "--key-name", "n"];
    room.feed_json(&reserved, "x").fails(2, "usage");
}

#[test]
fn damaged_message_gives_nothing_out() {
    let room = room();
    let message = sealed(&room, &[7; 9_000], &["--frame-length", "4096"]);
    let header = room.feed_json(&["inspect"], &message).is(0).answer()["header_bytes"].as_u64().unwrap();
    let header = usize::try_from(header).unwrap();
    for at in (0..message.len()).filter(|at| *at < 100 || at % 97 == 0 || message.len() - at < 20) {
        let mut flipped = message.clone();
        flipped[at] ^= 1;
        let run = room.feed_json(&with("open", &CONTEXT), &flipped);
        assert!(run.status == 1 || run.status == 2, "byte {at}");
        let code = run.error()["code"].clone();
        assert!(at < header || code == "not_opened" || code == "budget_exceeded", "byte {at}: {code}");
    }
    for length in [0, 1, 50, header, message.len() - 1] {
        let run = room.feed_json(&with("open", &CONTEXT), &message[..length]);
        assert!(run.status == 1 || run.status == 2, "{length}");
        run.error();
    }
    room.feed_json(&with("open", &CONTEXT), [message.as_slice(), b"x"].concat()).fails(1, "not_opened");
    // As a stream, the frames before the damage have gone out, and it is said how much that is.
    let mut flipped = message.clone();
    flipped[header + 4096 + 500] ^= 1;
    let run = room.feed_json(&with("open", &["--stream"]), &flipped).is(1);
    let line: Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&line["error"]["code"], &line["error"]["prefix_bytes"]), (&json!("not_opened"), &json!(4096)));
    assert_eq!(run.stdout.len(), 4096);
    room.write("flipped", &flipped);
    room.json(&with("open", &["--in", "flipped", "--out", "plain"])).fails(1, "not_opened");
    assert_eq!(room.names(), ["flipped", "k"]);
}

#[test]
fn messages_of_the_official_sdk_open_and_what_verifies_as_a_whole_is_never_streamed() {
    let room = room();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../qsec-crypto/tests/data");
    room.write("official", "20".repeat(32));
    protect(&room.path("official"), 0o600);
    let key = ["open", "--raw-aes-key", "official", "--key-namespace", "qsec-test", "--key-name", "name-0"];
    let open = |more: &[&str]| room.json(&[&key[..], more].concat());
    for name in ["esdk-frames", "esdk-block", "esdk-signed-frames", "esdk-signed-block"] {
        room.write("m", unhex(&std::fs::read_to_string(data.join(format!("{name}.hex"))).unwrap()));
        let seen = room.json(&["inspect", "--in", "m"]).is(0).answer();
        assert_eq!(seen["signed"], name.contains("signed"), "{seen}");
        assert_eq!(seen["content"], if name.ends_with("block") { "one_block" } else { "framed" }, "{seen}");
        assert_eq!(seen.get("frame_length").is_some(), name.ends_with("frames"), "{seen}");
        assert_eq!(open(&["--in", "m"]).is(0).stdout.len(), 300, "{name}");
        let summary = open(&["--in", "m", "--out", "plain"]).is(0).answer();
        assert_eq!(summary["suite"], seen["suite"], "{name}");
        if name == "esdk-frames" {
            assert_eq!(open(&["--in", "m", "--stream"]).is(0).stdout.len(), 300);
        } else {
            open(&["--in", "m", "--stream"]).fails(2, "usage");
        }
    }
}

#[test]
fn inspect_shows_the_members_of_the_contract() {
    let room = room();
    let message = sealed(&room, b"hello", &["--frame-length", "4096"]);
    let seen = room.feed_json(&["inspect"], &message).is(0).answer();
    let members: Vec<&String> = seen.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "format",
            "version",
            "suite",
            "committing",
            "signed",
            "message_id",
            "context",
            "content",
            "frame_length",
            "header_bytes",
            "encrypted_data_keys",
            "authenticated"
        ]
    );
    assert_eq!((&seen["format"], &seen["suite"], &seen["version"]), (&json!("esdk"), &json!("0x0478"), &json!(2)));
    assert_eq!((&seen["context"], &seen["frame_length"]), (&json!({"table": "orders"}), &json!(4096)));
    assert_eq!(seen["message_id"].as_str().unwrap().len(), 64);
    assert_eq!((&seen["signed"], &seen["authenticated"]), (&json!(false), &json!(false)));
    let text = room.feed(&["inspect"], &message).is(0);
    assert!(text.text().contains("nothing here is authenticated") && text.text().contains("2030"), "{}", text.text());
}

#[test]
fn summaries_name_format_and_suite() {
    let room = room();
    room.write("plain", "hello");
    let made = room.json(&with("seal", &["--format", "esdk", "--in", "plain", "--out", "m"])).is(0).answer();
    let length = room.read("m").len();
    assert_eq!(
        made,
        json!({"format": "esdk", "suite": "0x0478", "committing": true, "plaintext_bytes": 5, "sealed_bytes": length})
    );
    let opened = room.json(&with("open", &["--in", "m", "--out", "again"])).is(0).answer();
    assert_eq!((&opened["format"], &opened["plaintext_bytes"]), (&json!("esdk"), &json!(5)));
}

#[test]
fn tenant_seals_messages_under_its_own_key() {
    let room = Room::with_acme();
    let seal = ["seal", "--tenant", "acme", "--format", "esdk", "--context", "row=17", "--out", "m"];
    let made = room.feed_json(&seal, "hello").is(0).answer();
    assert_eq!((&made["format"], &made["tenant"], &made["key_version"]), (&json!("esdk"), &json!("acme"), &json!(1)));
    room.json(&["key", "rotate", "acme"]).is(0);
    assert_eq!(room.run(&["open", "--tenant", "acme", "--context", "row=17", "--in", "m"]).is(0).stdout, b"hello");
    let piped = room.feed(&["open", "--tenant", "acme", "--stream"], room.read("m")).is(0);
    assert_eq!(piped.stdout, b"hello");
    room.json(&["open", "--tenant", "acme", "--context", "row=18", "--in", "m"]).fails(1, "not_opened");
    room.json(&["tenant", "create", "globex"]).is(0);
    room.json(&["open", "--tenant", "globex", "--in", "m"]).fails(1, "not_opened");
    room.json(&["open", "--tenant", "acme", "--purpose", "backup", "--in", "m"]).fails(1, "not_opened");
    let seen = room.json(&["inspect", "--in", "m"]).is(0).answer();
    assert_eq!((&seen["context"]["qsec:tenant"], &seen["context"]["row"]), (&json!("acme"), &json!("17")));
    room.json(&["key", "disable", "acme"]).is(0);
    room.json(&["open", "--tenant", "acme", "--in", "m"]).fails(1, "key_disabled");
}
