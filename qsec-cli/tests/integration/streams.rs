//! Long inputs: constant memory, streams that stop, ranges.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Stdio};

use crate::support::{Room, Run};

/// Long enough that whoever keeps all of it in memory is seen.
const LONG: usize = 16 << 20;
/// What `seal` and `open` may take, for any length.
const MAX_MEMORY: u64 = 64 << 20;
/// Plaintext bytes of a chunk of the native format.
const CHUNK: usize = 16 * 1024;

fn room(length: usize) -> (Room, Vec<u8>) {
    let room = Room::new();
    room.write_key("k");
    let plain: Vec<u8> =
        (0..length).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 7 & 0xff).unwrap()).collect();
    room.write("plain", &plain);
    (room, plain)
}

/// Waits, and gives the most memory that was seen in use: the mark only rises.
fn watch(mut child: Child) -> (Option<i32>, u64) {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark =
            text.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(|line| line.trim().trim_end_matches(" kB"));
        most = most.max(mark.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024);
        if let Some(ended) = child.try_wait().unwrap() {
            return (ended.code(), most);
        }
    }
}

#[test]
fn memory_is_bounded_whatever_the_length() {
    let (room, plain) = room(LONG);
    let ways: [(&[&str], &str); 5] = [
        (&["seal", "--raw-key", "k", "--in", "plain", "--out", "sealed"], ""),
        (&["open", "--raw-key", "k", "--in", "sealed", "--out", "opened"], ""),
        (&["open", "--raw-key", "k", "--in", "sealed"], "verified"),
        (&["open", "--raw-key", "k", "--in", "sealed", "--stream"], "streamed"),
        (&["open", "--raw-key", "k", "--in", "sealed", "--range", "0-"], "ranged"),
    ];
    for (arguments, out) in ways {
        let stdout = if out.is_empty() { Stdio::null() } else { File::create(room.path(out)).unwrap().into() };
        let (status, most) = watch(room.command(arguments).stdout(stdout).spawn().unwrap());
        assert_eq!(status, Some(0), "{arguments:?}");
        assert!(most > 0 && most < MAX_MEMORY, "{arguments:?} took {most} bytes");
    }
    for name in ["opened", "verified", "streamed", "ranged"] {
        assert!(room.read(name) == plain, "{name} is not what was sealed");
    }
}

#[test]
fn a_pipe_is_sealed_and_opened_in_bounded_memory() {
    let (room, plain) = room(LONG);
    let mut child = room
        .command(&["seal", "--raw-key", "k", "--out", "sealed"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&plain).unwrap();
    drop(stdin);
    let (status, most) = watch(child);
    assert!(status == Some(0) && most < MAX_MEMORY, "{most}");
    assert!(room.shell("qsec open --raw-key k < sealed | cmp - plain").is(0).stdout.is_empty());
}

#[test]
fn lengths_around_a_chunk_come_back() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5] {
        let (room, plain) = room(length);
        let sealed = room.run(&["seal", "--raw-key", "k", "--in", "plain", "--out", "sealed"]).is(0);
        assert!(sealed.text().contains(&length.to_string()));
        for how in [&["--in", "sealed"][..], &["--in", "sealed", "--stream"], &["--in", "sealed", "--range", "0-"]] {
            let opened = room.run(&[&["open", "--raw-key", "k"], how].concat()).is(0);
            assert!(opened.stdout == plain, "{length} {how:?}");
        }
        assert!(room.feed(&["open", "--raw-key", "k"], room.read("sealed")).is(0).stdout == plain, "{length} piped");
    }
}

#[test]
fn a_stream_that_stops_says_how_much_went_out() {
    let (room, plain) = room(5 * CHUNK);
    room.run(&["seal", "--raw-key", "k", "--in", "plain", "--out", "sealed"]).is(0);
    let mut sealed = room.read("sealed");
    let third = 62 + 2 * (CHUNK + 16) + 100;
    sealed[third] ^= 1;
    let run = room.feed_json(&["open", "--raw-key", "k", "--stream"], &sealed).is(1);
    let line: serde_json::Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&line["error"]["code"], &line["error"]["prefix_bytes"]), (&"not_opened".into(), &(2 * CHUNK).into()));
    assert!(run.stdout == plain[..2 * CHUNK]);
    // The same bytes without `--stream`: nothing at all.
    room.feed_json(&["open", "--raw-key", "k"], &sealed).fails(1, "not_opened");
    room.write("broken", &sealed);
    room.json(&["open", "--raw-key", "k", "--in", "broken"]).fails(1, "not_opened");
    room.json(&["open", "--raw-key", "k", "--in", "broken", "--stream", "--out", "out"]).fails(1, "not_opened");
    // Cut at the border of a chunk: the end is missing.
    let cut = &room.read("sealed")[..62 + 2 * (CHUNK + 16)];
    let run = room.feed_json(&["open", "--raw-key", "k", "--stream"], cut).is(1);
    assert!(run.stderr.contains("prefix_bytes"));
    assert_eq!(room.names(), ["broken", "k", "plain", "sealed"]);
}

#[test]
fn ranges_are_the_bytes_they_name() {
    let (room, plain) = room(3 * CHUNK + 5);
    room.run(&["seal", "--raw-key", "k", "--in", "plain", "--out", "sealed"]).is(0);
    let length = plain.len();
    let open = |range: &str| room.run(&["open", "--raw-key", "k", "--in", "sealed", &format!("--range={range}")]);
    let expected = [
        ("0-0", 0..1),
        ("0-9", 0..10),
        ("16380-16390", 16380..16391),
        ("16384-32767", 16384..32768),
        ("-7", length - 7..length),
        ("-999999999", 0..length),
        ("49152-", 49152..length),
        ("100-999999999", 100..length),
        ("999999999-", 0..0),
    ];
    for (range, bytes) in expected {
        assert!(open(range).is(0).stdout == plain[bytes], "{range}");
    }
    for wrong in ["", "5", "9-3", "a-b", "-"] {
        assert_eq!(open(wrong).is(2).stdout, b"", "{wrong}");
    }
    let spaced = room.run(&["open", "--raw-key", "k", "--in", "sealed", "--range", "-7"]).is(0);
    assert!(spaced.stdout == plain[length - 7..]);
    room.feed_json(&["open", "--raw-key", "k", "--in", "-", "--range", "0-1"], "x").is(2);
    room.json(&["open", "--raw-key", "k", "--in", "sealed", "--range", "0-1", "--stream"]).fails(2, "usage");
}

#[test]
fn a_range_of_a_changed_file_is_refused_only_where_it_is_changed() {
    let (room, plain) = room(5 * CHUNK);
    room.run(&["seal", "--raw-key", "k", "--in", "plain", "--out", "sealed"]).is(0);
    let mut sealed = room.read("sealed");
    sealed[62 + 2 * (CHUNK + 16) + 100] ^= 1;
    room.write("broken", &sealed);
    let open = |range: &str| room.json(&["open", "--raw-key", "k", "--in", "broken", "--range", range]);
    assert!(open("0-99").is(0).stdout == plain[..100]);
    open("32768-32769").fails(1, "not_opened");
    open("0-").fails(1, "not_opened");
    room.write("cut", &room.read("sealed")[..62 + 2 * (CHUNK + 16)]);
    room.json(&["open", "--raw-key", "k", "--in", "cut", "--range", "0-9"]).fails(1, "not_opened");
}

#[test]
fn a_killed_command_leaves_no_output_under_its_name() {
    let (room, _) = room(0);
    let mut child = room.command(&["seal", "--raw-key", "k", "--out", "sealed"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&vec![7; 1 << 20]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!room.path("sealed").exists());
}

#[test]
fn a_pipe_that_is_closed_is_told() {
    let (room, _) = room(4 << 20);
    let mut child = room
        .command(&["--json", "seal", "--raw-key", "k", "--in", "plain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().unwrap(), "seal into a closed pipe").is(2);
    assert_eq!(run.error()["code"], "file_unwritable");
}
