//! A folder to work in, and the program started in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const QSEC: &str = env!("CARGO_BIN_EXE_qsec");

/// A folder of its own for a test; the deployment in it, if any, is `qsec-home`.
pub(crate) struct Room {
    folder: TempDir,
}

/// How a run of the program ended.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    said: String,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A room with a deployment and the tenant `acme`.
    pub(crate) fn with_acme() -> Self {
        let room = Self::new();
        room.json(&["init", "--name", "qsec.example"]).is(0);
        room.json(&["tenant", "create", "acme", "--name", "Acme Ltd"]).is(0);
        room
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// A key file with the octets 00 to 1f.
    pub(crate) fn write_key(&self, name: &str) {
        self.write(name, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
        protect(&self.path(name), 0o600);
    }

    /// The names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(QSEC);
        command.args(arguments).current_dir(self.folder.path()).env_remove("QSEC_HOME").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap(), &arguments.join(" "))
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Run {
        self.run(&[&["--json"], arguments].concat())
    }

    pub(crate) fn feed(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.as_ref().to_vec();
        // A program that refuses its arguments reads nothing: the pipe may be closed.
        let feeder = std::thread::Builder::new().spawn(move || drop(stdin.write_all(&input))).unwrap();
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Run::of(output, &arguments.join(" "))
    }

    pub(crate) fn feed_json(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Run {
        self.feed(&[&["--json"], arguments].concat(), input)
    }

    /// A line typed into a shell, where `qsec` is the program under test.
    pub(crate) fn shell(&self, line: &str) -> Run {
        let folder = Path::new(QSEC).parent().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the shell finds the program by its path")]
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c", line])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", folder.display()))
            .env_remove("QSEC_HOME")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Run::of(output, line)
    }
}

impl Run {
    pub(crate) fn of(output: Output, said: &str) -> Self {
        let status = output.status.code().unwrap_or(-1);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!((0..=3).contains(&status), "`{said}` exits with {:?}: {stderr}", output.status);
        assert!(!stderr.contains("panicked"), "`{said}`: {stderr}");
        Self { status, stdout: output.stdout, stderr, said: said.to_owned() }
    }

    #[track_caller]
    pub(crate) fn is(self, status: i32) -> Self {
        let seen = String::from_utf8_lossy(&self.stdout);
        assert_eq!(self.status, status, "`{}`\nstdout: {seen}\nstderr: {}", self.said, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The answer: exactly one line of JSON.
    #[track_caller]
    pub(crate) fn answer(&self) -> Value {
        let text = self.text();
        assert!(text.ends_with('\n') && text.lines().count() == 1, "`{}` answers: {text:?}", self.said);
        serde_json::from_str(text).unwrap_or_else(|error| panic!("`{}` answers {text:?}: {error}", self.said))
    }

    /// The error: the last line of standard error, with standard output empty.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        assert!(self.stdout.is_empty(), "`{}` fails and prints {:?}", self.said, String::from_utf8_lossy(&self.stdout));
        let last = self.stderr.lines().last().unwrap_or_default();
        let line: Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("`{}`: {last:?}: {error}", self.said));
        let error = line["error"].clone();
        assert!(error["message"].is_string(), "`{}`: {line}", self.said);
        error
    }

    #[track_caller]
    pub(crate) fn fails(self, status: i32, code: &str) -> Value {
        let this = self.is(status);
        let error = this.error();
        assert_eq!(error["code"], code, "`{}`: {error}", this.said);
        error
    }
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn protect(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|letter| letter.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}
