//! `seal`, `open`, `inspect`: bytes, formats, refusals.

use crate::support::{Room, mode, protect, unhex};

/// The format's worked example: `hello` of tenant `acme`, purpose `data`, version 3, bound to table and row.
const WORKED: &str = "f50100000003404142434445464748494a4b4c4d4e4f5051525354555657\
     79b7e44c771a976910d40a0dab00ad6a51ddc4adbba64664e69753dc6094a011be0113ccc7682d4bb78a6e604f741fdb3246ddfda8";
const EMPTY: &str = "f50100000003404142434445464748494a4b4c4d4e4f5051525354555657\
     94068e7f3af0c871531f7be9ca64860b909c7b511857e809e861ed555083ba6aaf9d1f56853250a6f5240caa09460a25";
const COMPACT: &str = "f50200000003404142434445464748494a4b4c4d4e4f5051525354555657\
     5a232b422ec55f992eeb70b7233b64890c4dda10e3";
const RAW: [&str; 4] = ["--raw-key", "k", "--tenant", "acme"];
const BOUND: [&str; 4] = ["--context", "row=17", "--context", "table=orders"];

fn open<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["open"], &RAW[..], more].concat()
}

fn room() -> Room {
    let room = Room::new();
    room.write_key("k");
    room.write("worked", unhex(WORKED));
    room
}

#[test]
fn the_worked_example_opens() {
    let room = room();
    let file = room.run(&open(&[&BOUND[..], &["--in", "worked"]].concat())).is(0);
    assert_eq!((file.stdout.as_slice(), file.stderr.as_str()), (&b"hello"[..], ""));
    let piped = room.feed(&open(&["--context", "table=orders", "--context", "row=17"]), unhex(WORKED)).is(0);
    assert_eq!(piped.stdout, b"hello");
    assert!(room.feed(&open(&[]), unhex(EMPTY)).is(0).stdout.is_empty());
    for more in [&[][..], &["--stream"], &["--format", "compact-uncommitted"]] {
        assert_eq!(room.feed(&open(&[&BOUND[..], more].concat()), unhex(COMPACT)).is(0).stdout, b"hello", "{more:?}");
    }
}

#[test]
fn the_key_version_is_written_and_demanded() {
    let room = room();
    let sealed = room.feed(&["seal", "--raw-key", "k", "--key-version", "7"], "hello").is(0).stdout;
    assert_eq!(sealed[..6], [0xf5, 1, 0, 0, 0, 7]);
    for version in [&[][..], &["--key-version", "7"]] {
        assert_eq!(room.feed(&[&["open", "--raw-key", "k"], version].concat(), &sealed).is(0).stdout, b"hello");
    }
    room.feed_json(&["open", "--raw-key", "k", "--key-version", "8"], &sealed).fails(1, "not_opened");
}

#[test]
fn another_key_tenant_purpose_or_context_does_not_open() {
    let room = room();
    room.write("other", [b'b'; 64]);
    protect(&room.path("other"), 0o600);
    let wrong: [&[&str]; 7] = [
        &["--raw-key", "other", "--tenant", "acme", "--context", "row=17", "--context", "table=orders"],
        &["--raw-key", "k", "--tenant", "globex", "--context", "row=17", "--context", "table=orders"],
        &["--raw-key", "k", "--context", "row=17", "--context", "table=orders"],
        &[
            "--raw-key",
            "k",
            "--tenant",
            "acme",
            "--purpose",
            "backup",
            "--context",
            "row=17",
            "--context",
            "table=orders",
        ],
        &["--raw-key", "k", "--tenant", "acme", "--context", "row=17"],
        &["--raw-key", "k", "--tenant", "acme", "--context", "row=18", "--context", "table=orders"],
        &["--raw-key", "k", "--tenant", "acme", "--context", "row=17", "--context", "table=orders", "--context", "x=y"],
    ];
    let mut texts = Vec::new();
    for arguments in wrong {
        let error = room.json(&[&["open", "--in", "worked"], arguments].concat()).fails(1, "not_opened");
        texts.push(error.to_string());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "a refusal says which part was wrong: {texts:?}");
}

#[test]
fn every_flipped_byte_is_refused_and_nothing_comes_out() {
    let room = room();
    let sealed = unhex(WORKED);
    for at in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        let run = room.feed_json(&open(&BOUND), &flipped);
        let expected = if at < 2 { 2 } else { 1 };
        assert_eq!(run.status, expected, "byte {at}: {}", run.stderr);
        run.error();
        room.write("flipped", &flipped);
        let run = room.json(&open(&[&BOUND[..], &["--in", "flipped", "--out", "plain"]].concat()));
        assert_eq!(run.status, expected, "byte {at}: {}", run.stderr);
        assert_eq!(room.names(), ["flipped", "k", "worked"], "byte {at}");
    }
}

#[test]
fn cut_and_lengthened_bytes_are_refused() {
    let room = room();
    let sealed = unhex(WORKED);
    for length in 0..sealed.len() {
        let run = room.feed_json(&open(&BOUND), &sealed[..length]);
        // Less than the shortest body can still be seen to be no sealed object.
        if length < 6 {
            run.fails(2, "malformed")
        } else {
            let code = run.error()["code"].clone();
            assert!(run.status == 1 && code == "not_opened" || run.status == 2 && code == "malformed", "{length}");
            code
        };
    }
    room.feed_json(&open(&BOUND), [sealed.as_slice(), b"x"].concat()).fails(1, "not_opened");
    room.feed_json(&open(&BOUND), sealed.repeat(2)).fails(1, "not_opened");
}

#[test]
fn what_cannot_be_sealed_bytes_is_malformed() {
    let room = room();
    room.feed_json(&open(&[]), "").fails(2, "malformed");
    room.feed_json(&open(&[]), "plain text").fails(2, "malformed");
    room.feed_json(&open(&[]), unhex("f5ff00000003")).is(2).error();
    room.feed_json(&["inspect"], "plain text").fails(2, "malformed");
    room.feed_json(&["inspect"], "").fails(2, "malformed");
}

#[test]
fn inspect_says_what_needs_no_key() {
    let room = room();
    let seen = room.json(&["inspect", "--in", "worked"]).is(0);
    assert_eq!(
        seen.text(),
        "{\"format\":\"native\",\"suite\":\"cobblestone-256\",\"committing\":true,\"key_version\":3,\
         \"sealed_bytes\":83,\"plaintext_bytes\":5,\"authenticated\":false}\n"
    );
    let piped = room.feed_json(&["inspect"], unhex(WORKED)).is(0).answer();
    assert!(piped.get("plaintext_bytes").is_none(), "{piped}");
    assert_eq!(piped["key_version"], 3);
    assert!(room.run(&["inspect", "--in", "worked"]).is(0).text().contains("nothing here is authenticated"));
    room.write("compact", unhex(COMPACT));
    let compact = room.json(&["inspect", "--in", "compact"]).is(0).answer();
    assert_eq!((&compact["committing"], &compact["plaintext_bytes"]), (&false.into(), &5.into()));
}

#[test]
fn summaries_go_where_the_data_did_not() {
    let room = room();
    room.write("plain", "hello");
    let line = "{\"format\":\"native\",\"suite\":\"cobblestone-256\",\"committing\":true,\"tenant\":\"raw\",\"purpose\":\"data\",\
                \"key_version\":0,\"plaintext_bytes\":5,\"sealed_bytes\":83}\n";
    let to_file = room.json(&["seal", "--raw-key", "k", "--in", "plain", "--out", "sealed"]).is(0);
    assert_eq!((to_file.text(), to_file.stderr.as_str()), (line, ""));
    for dash in [&[][..], &["--out", "-"]] {
        let to_pipe = room.json(&[&["seal", "--raw-key", "k", "--in", "plain"], dash].concat()).is(0);
        assert_eq!((to_pipe.stdout.len(), to_pipe.stderr.as_str()), (83, line));
    }
    let quiet = room.run(&["seal", "--raw-key", "k", "--in", "plain"]).is(0);
    assert_eq!((quiet.stdout.len(), quiet.stderr.as_str()), (83, ""));
    let opened = room.json(&["open", "--raw-key", "k", "--in", "sealed", "--out", "again"]).is(0).answer();
    assert_eq!(opened["plaintext_bytes"], 5);
    assert_eq!((mode(&room.path("again")), mode(&room.path("sealed"))), (0o600, 0o600));
}

#[test]
fn seal_keeps_an_existing_file_unless_forced_and_open_replaces_it() {
    let room = room();
    room.write("out", "precious");
    room.feed_json(&["seal", "--raw-key", "k", "--out", "out"], "x").fails(2, "file_exists");
    assert_eq!(room.read("out"), b"precious");
    room.feed(&["seal", "--raw-key", "k", "--out", "out", "--force"], "x").is(0);
    room.run(&["open", "--raw-key", "k", "--in", "out", "--out", "out"]).is(0);
    assert_eq!(room.read("out"), b"x");
    room.json(&open(&["--in", "worked", "--out", "out"])).fails(1, "not_opened");
    assert_eq!(room.read("out"), b"x");
    assert_eq!(room.names(), ["k", "out", "worked"]);
}

#[test]
fn key_files_are_hex_or_base64_and_nothing_else() {
    let room = room();
    let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    for good in [base64, base64.trim_end_matches('='), hex, &format!("{hex}\r\n"), &format!("{base64} \n")] {
        room.write("good", good);
        protect(&room.path("good"), 0o600);
        let run = room.run(&[
            "open",
            "--raw-key",
            "good",
            "--tenant",
            "acme",
            BOUND[0],
            BOUND[1],
            BOUND[2],
            BOUND[3],
            "--in",
            "worked",
        ]);
        assert_eq!(run.is(0).stdout, b"hello", "{good:?}");
    }
    let long = hex.repeat(1000);
    for wrong in [
        "",
        "00",
        hex.trim_end_matches('f'),
        "g".repeat(64).as_str(),
        &long,
        &format!(" {hex}"),
        &format!("{hex}\n{hex}"),
    ] {
        room.write("wrong", wrong);
        room.feed_json(&["seal", "--raw-key", "wrong"], "x").fails(2, "key_file_invalid");
    }
    room.write("binary", [0xff; 32]);
    room.feed_json(&["seal", "--raw-key", "binary"], "x").fails(2, "key_file_invalid");
    room.feed_json(&["seal", "--raw-key", "missing"], "x").fails(2, "key_file_invalid");
    let descriptor =
        room.shell("printf hello | qsec seal --raw-key /dev/fd/3 3< k | qsec open --raw-key <(cat k)").is(0);
    assert_eq!(descriptor.stdout, b"hello");
}

#[test]
fn a_key_that_others_can_read_gets_a_warning() {
    let room = room();
    protect(&room.path("k"), 0o644);
    let run = room.feed_json(&["seal", "--raw-key", "k", "--out", "s"], "x").is(0);
    let warning: serde_json::Value = serde_json::from_str(run.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(warning["warning"]["code"], "key_file_permissions");
    assert!(room.feed(&["seal", "--raw-key", "k", "--out", "t"], "x").is(0).stderr.starts_with("warning: `k`"));
}

#[test]
fn contexts_are_pairs_that_differ_in_key() {
    let room = room();
    for wrong in [&["--context", "row"][..], &["--context", "=17"], &["--context", "a=1", "--context", "a=2"]] {
        room.feed_json(&[&["seal", "--raw-key", "k"], wrong].concat(), "x").fails(2, "context_invalid");
        room.json(&[&["open", "--in", "worked"], &RAW[..], wrong].concat()).fails(2, "context_invalid");
    }
    let sealed = room.feed(&["seal", "--raw-key", "k", "--context", "a=b=c", "--context", "empty="], "x").is(0).stdout;
    let opened = room.feed(&["open", "--raw-key", "k", "--context", "empty=", "--context", "a=b=c"], sealed).is(0);
    assert_eq!(opened.stdout, b"x");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let room = room();
    std::fs::create_dir(room.path("folder")).unwrap();
    let names =
        |error: serde_json::Value, name: &str| assert!(error["message"].as_str().unwrap().contains(name), "{error}");
    names(room.json(&open(&["--in", "missing"])).fails(2, "file_unreadable"), "`missing`");
    names(room.json(&open(&["--in", "folder"])).fails(2, "file_unreadable"), "`folder`");
    names(
        room.feed_json(&["seal", "--raw-key", "k", "--out", "none/out"], "x").fails(2, "file_unwritable"),
        "none/out",
    );
    names(room.feed_json(&["seal", "--raw-key", "k", "--out", "folder"], "x").fails(2, "file_unwritable"), "`folder`");
    names(
        room.feed_json(&["seal", "--raw-key", "k", "--out", "/dev/full"], "x").fails(2, "file_unwritable"),
        "/dev/full",
    );
    names(
        room.json(&open(&[&BOUND[..], &["--in", "worked", "--out", "/dev/full"]].concat())).fails(2, "file_unwritable"),
        "/dev/full",
    );
    assert!(std::fs::metadata("/dev/full").unwrap().len() == 0, "the device was replaced");
    assert_eq!(room.names(), ["folder", "k", "worked"]);
}

#[test]
fn standard_input_goes_to_the_spool_as_ciphertext_only() {
    let room = room();
    room.feed_json(&open(&[&BOUND[..], &["--spool-dir", "none"]].concat()), unhex(WORKED)).fails(2, "file_unwritable");
    std::fs::create_dir(room.path("spool")).unwrap();
    let run = room.feed(&open(&[&BOUND[..], &["--spool-dir", "spool"]].concat()), unhex(WORKED)).is(0);
    assert_eq!(run.stdout, b"hello");
    assert!(crate::support::names(&room.path("spool")).is_empty());
}

#[test]
fn the_compact_format_is_small_says_that_it_does_not_commit_and_has_a_limit() {
    let room = room();
    let seal = ["seal", "--raw-key", "k", "--format", "compact-uncommitted"];
    let made = room.feed_json(&[&seal[..], &["--out", "small"]].concat(), "hello").is(0).answer();
    assert_eq!(
        (&made["suite"], &made["committing"], &made["sealed_bytes"]),
        (&"xaes-256-gcm".into(), &false.into(), &51.into())
    );
    assert_eq!(room.run(&["open", "--raw-key", "k", "--in", "small", "--out", "plain"]).is(0).status, 0);
    assert_eq!(room.read("plain"), b"hello");
    room.json(&["open", "--raw-key", "k", "--in", "small", "--format", "native"]).is(2).error();
    room.json(&["open", "--raw-key", "k", "--in", "worked", "--format", "compact-uncommitted"]).is(2).error();
    let sealed = room.read("small");
    for at in 6..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        room.feed_json(&["open", "--raw-key", "k"], flipped).fails(1, "not_opened");
    }
    room.feed_json(&["open", "--raw-key", "k"], &sealed[..50]).fails(1, "not_opened");
    let most = vec![7; 1 << 20];
    let sealed = room.feed(&seal, &most).is(0).stdout;
    assert!(room.feed(&["open", "--raw-key", "k"], sealed).is(0).stdout == most);
    room.feed_json(&[&seal[..], &["--out", "large"]].concat(), vec![7; (1 << 20) + 1])
        .fails(2, "too_large_for_compact");
    room.feed_json(&seal, vec![7; 1 << 23]).fails(2, "too_large_for_compact");
    room.feed_json(&["open", "--raw-key", "k"], [unhex(COMPACT), vec![0; 4 << 20]].concat())
        .fails(2, "budget_exceeded");
    assert_eq!(room.names(), ["k", "plain", "small", "worked"]);
}
