//! Runs the other side, one process for each test, and talks to it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Names the Python that has the SDK: `cargo xtask testbed up esdk` says which.
const PYTHON: &str = "QSEC_TEST_ESDK_PYTHON";

/// A raw AES key as the other side takes it: namespace, name, key.
pub(crate) type Key<'a> = (&'a str, &'a str, [u8; 32]);

pub(crate) struct Peer {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: TempDir,
}

impl Peer {
    /// `None` where there is none, which is said; in CI that is a failure.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with([])
    }

    /// The same, told these variables.
    pub(crate) fn start_with<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "tests are told by variables what they find")]
        let (python, ci) = (std::env::var_os(PYTHON), std::env::var("CI"));
        let Some(python) = python else {
            println!("not run: esdk: {PYTHON} is not set");
            assert_ne!(ci.as_deref(), Ok("true"), "in CI everything runs");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peer.py");
        let mut process = Command::new(python);
        process.arg(script).envs(variables).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = process.spawn().unwrap();
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Some(Self { process, requests, answers, folder: tempfile::tempdir().unwrap() })
    }

    pub(crate) fn seal(
        &mut self,
        keys: &[Key<'_>],
        context: &[(&str, &str)],
        suite: &str,
        frame_length: u32,
        plaintext: &[u8],
    ) -> Vec<u8> {
        let context: Value = context.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let request = json!({
            "do": "seal", "keys": keys_of(keys), "context": context, "suite": suite, "frame_length": frame_length,
        });
        self.ask(request, plaintext).unwrap().0
    }

    /// The plaintext and the context of the message.
    pub(crate) fn open(&mut self, keys: &[Key<'_>], sealed: &[u8]) -> Result<(Vec<u8>, Value), String> {
        let (plaintext, mut answer) = self.ask(json!({ "do": "open", "keys": keys_of(keys) }), sealed)?;
        Ok((plaintext, answer["context"].take()))
    }

    /// Runs Cobblestone-256 over bytes: `verb` is `seal` or `open`.
    pub(crate) fn cobblestone(
        &mut self,
        verb: &str,
        key: &[u8],
        context: &[u8],
        input: &[u8],
    ) -> Result<Vec<u8>, String> {
        let request = json!({
            "do": format!("cobblestone_{verb}"), "key": hex::encode(key), "context": hex::encode(context),
        });
        Ok(self.ask(request, input)?.0)
    }

    /// One request and its bytes; the bytes that come back and the answer.
    pub(crate) fn ask(&mut self, mut request: Value, input: &[u8]) -> Result<(Vec<u8>, Value), String> {
        let [from, to] = ["in", "out"].map(|name| self.folder.path().join(name));
        fs::write(&from, input).unwrap();
        request["in"] = json!(from);
        request["out"] = json!(to);
        writeln!(self.requests.as_mut().unwrap(), "{request}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).expect("the other side ended");
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok((fs::read(to).unwrap(), answer)),
        }
    }
}

impl Drop for Peer {
    /// The other side ends when there is nothing more to read.
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.process.wait();
    }
}

fn keys_of(keys: &[Key<'_>]) -> Value {
    keys.iter().map(|(namespace, name, key)| json!([namespace, name, hex::encode(key)])).collect()
}
