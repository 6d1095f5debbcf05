//! Salts, nonces and message ids do not repeat across processes that share a key and a start.
//!
//! Whatever is seeded by what such processes have in common would give them the same. Here every salt is asked of the kernel
//! when it is needed. The test starts itself as several processes at the same time, which have the same key, the same
//! program and the same order of work; that a fork repeats nothing either is shown by `tests/fork`.

use std::collections::BTreeSet;
use std::env;
use std::process::{Command, Stdio};

use qsec_crypto::{Context, RawKey, SecretKey};

const PROCESSES: usize = 6;
const MESSAGES: usize = 40;
const MARK: &str = "drawn: ";

/// What each new message draws: the salt of a native one, the nonce of a compact one, the id of an interchange one.
fn draw() -> Vec<String> {
    let (key, context) = (RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(3).unwrap(), Context::empty());
    let mut drawn = Vec::new();
    for _ in 0..MESSAGES {
        drawn.push(hex::encode(&key.seal(b"x", &context).unwrap()[6..30]));
        drawn.push(hex::encode(&key.seal_compact_uncommitted(b"x", &context).unwrap()[6..30]));
        #[cfg(feature = "esdk")]
        drawn.push(hex::encode(&key.seal_esdk(b"x", &context).unwrap()[3..35]));
        drawn.push(hex::encode(SecretKey::generate().unwrap().expose_secret()));
    }
    drawn
}

/// What a started process does; by itself it shows that one process draws nothing twice.
#[test]
fn one_process_draws_nothing_twice() {
    let drawn = draw();
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len());
    for each in drawn {
        println!("{MARK}{each}");
    }
}

#[test]
fn processes_with_the_same_start_draw_nothing_twice() {
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "processes::one_process_draws_nothing_twice", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let started: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
    let mut drawn = draw();
    let of_one = drawn.len();
    for process in started {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap();
        drawn.extend(lines.lines().filter_map(|line| Some(line.split_once(MARK)?.1.to_owned())));
    }
    assert_eq!(drawn.len(), of_one * (PROCESSES + 1), "each process told what it drew");
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len(), "and nothing came twice");
}
