//! AWS KMS as LocalStack plays it: one server with no service but KMS. Its keys live in its memory and end with it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::process::Process;
use super::{Component, Running};
use crate::{command, tools};

/// The first is the server. It starts with these versions of the others, and not with any.
const PACKAGES: [&str; 5] = [
    "localstack-core[base-runtime]==4.9.2",
    "cbor2==5.7.1",
    "pyopenssl==25.3.0",
    "cryptography==46.0.7",
    "service-identity==24.2.0",
];

/// KMS alone, there from the start; nothing is fetched, resolved or reported home.
const SETTINGS: [(&str, &str); 6] = [
    ("SERVICES", "kms"),
    ("EAGER_SERVICE_LOADING", "1"),
    ("STRICT_SERVICE_LOADING", "1"),
    ("SKIP_SSL_CERT_DOWNLOAD", "1"),
    ("DISABLE_EVENTS", "1"),
    ("DNS_ADDRESS", "0"),
];

/// Starts that are tried: another program may take the free port between our look and the server's bind.
const MAX_STARTS: usize = 3;

const MAX_WAIT_FOR_START: Duration = Duration::from_mins(1);

/// How long the server may take to say how it is. It answers in milliseconds, or is not there yet.
const MAX_WAIT_FOR_HEALTH: Duration = Duration::from_secs(2);

/// Most bytes of what it says of its health: it lists every service it knows, in less than 4 KiB.
const MAX_HEALTH_BYTES: u64 = 64 << 10;

pub(super) struct LocalStack;

impl Component for LocalStack {
    fn name(&self) -> &'static str {
        "kms"
    }

    fn start(&self, home: &Path) -> Result<Running> {
        let environment = home.join("python");
        fs::create_dir_all(home)?;
        tools::make_python_environment(&environment)?;
        let mut pip = Command::new(environment.join("bin/pip"));
        pip.args(["--quiet", "--disable-pip-version-check", "install"]).args(PACKAGES);
        command::run_aside(&mut pip).context("cannot install LocalStack")?;
        let server = Server { home: home.to_path_buf(), python: environment.join("bin/python") };
        let (process, address) = server.bring_up()?;
        Ok(Running {
            process: Some(process),
            home: server.home,
            detail: format!("{} on {address}", PACKAGES[0].replace("-core[base-runtime]==", " ")),
            exports: BTreeMap::from([("QSEC_TEST_KMS".to_owned(), format!("http://{address}"))]),
        })
    }

    fn stop(&self, running: &Running) -> Result<()> {
        let process = running.process.as_ref().context("LocalStack is a process")?;
        command::output(Command::new("kill").arg(process.id.to_string())).map(|_| ())
    }
}

struct Server {
    home: PathBuf,
    python: PathBuf,
}

impl Server {
    /// Starts on a free port of loopback, and waits until KMS is there.
    fn bring_up(&self) -> Result<(Process, SocketAddr)> {
        let mut last = None;
        for _ in 0..MAX_STARTS {
            let address = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?.local_addr()?;
            let mut child = self.spawn(address)?;
            match wait_for_kms(&mut child, address) {
                Ok(()) => return Ok((Process::find(child.id())?, address)),
                Err(error) => last = Some(error),
            }
            child.kill().ok();
            child.wait()?;
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        Err(last.context("no start was tried")?).context(format!("LocalStack does not start; its log:\n{log}"))
    }

    /// In a process group of its own, so that an interrupt meant for us does not end it unseen.
    fn spawn(&self, address: SocketAddr) -> Result<Child> {
        let log = File::create(self.log())?;
        let mut server = Command::new(&self.python);
        server.args(["-m", "localstack.runtime.main"]).current_dir(&self.home).process_group(0);
        server
            .envs(SETTINGS)
            .env("GATEWAY_LISTEN", address.to_string())
            .env("FILESYSTEM_ROOT", self.home.join("files"));
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        server.spawn().with_context(|| format!("cannot start {}", self.python.display()))
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }
}

fn wait_for_kms(child: &mut Child, address: SocketAddr) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < MAX_WAIT_FOR_START {
        if let Some(status) = child.try_wait()? {
            bail!("the server ended at once: {status}");
        }
        if health(address).is_ok_and(|health| tells_of_kms(&health)) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("KMS was not there after {} s", MAX_WAIT_FOR_START.as_secs())
}

fn tells_of_kms(health: &str) -> bool {
    health.contains(r#""kms": "running""#)
}

/// What the server says of itself, HTTP head and all.
fn health(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, MAX_WAIT_FOR_HEALTH)?;
    stream.set_read_timeout(Some(MAX_WAIT_FOR_HEALTH))?;
    write!(stream, "GET /_localstack/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_HEALTH_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kms_that_is_not_running_yet_is_waited_for() {
        assert!(tells_of_kms(r#"{"services": {"kms": "running"}, "edition": "community"}"#));
        assert!(!tells_of_kms(r#"{"services": {"kms": "available"}}"#));
        assert!(!tells_of_kms(r#"{"services": {"s3": "running"}}"#));
    }

    #[test]
    fn a_server_that_ends_is_not_waited_for() {
        let address = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let error = wait_for_kms(&mut Command::new("false").spawn().unwrap(), address).unwrap_err();
        assert!(error.to_string().contains("ended at once"), "{error}");
    }
}
