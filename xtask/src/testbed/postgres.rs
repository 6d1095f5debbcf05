//! One PostgreSQL server with a database, its owner, and the role that the application connects as.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::account::Account;
use super::process::Process;
use super::{Component, Running};
use crate::{command, tools};

/// Starts that are tried: another program may take the free port between our look and the server's bind.
const MAX_STARTS: usize = 3;

/// The application's role owns nothing and is no superuser, so that row-level security binds it.
const APPLICATION_ROLE: &str = "create role qsec_app login password 'app' nosuperuser nobypassrls";

pub(super) struct Postgres;

impl Component for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn start(&self, home: &Path) -> Result<Running> {
        let programs = programs()?;
        let account = Account::unprivileged()?;
        let home = account.make_home(home)?;
        let server = Server { programs, account, data: home.join("data"), home, password: tools::random_hex()? };
        server.bring_up().inspect_err(|_| {
            fs::remove_dir_all(&server.home).ok();
        })
    }

    fn stop(&self, running: &Running) -> Result<()> {
        let data = running.home.join("data");
        if running.process != Some(process_of(&data)?) {
            bail!("the server of {} is not the one that was started", data.display());
        }
        stop(&programs()?, &Account::unprivileged()?, &running.home)
    }
}

struct Server {
    programs: PathBuf,
    account: Account,
    home: PathBuf,
    data: PathBuf,
    password: String,
}

impl Server {
    fn command(&self, program: &str) -> Command {
        self.account.command(self.programs.join(program), &self.home)
    }

    fn bring_up(&self) -> Result<Running> {
        self.make_cluster()?;
        let port = self.start()?;
        // From here on a failure must not leave the server behind.
        self.prepare(port).map_err(|error| match self.stop() {
            Ok(()) => error,
            Err(also) => error.context(format!("{also:#}")),
        })
    }

    fn make_cluster(&self) -> Result<()> {
        let file = self.home.join("password");
        fs::write(&file, &self.password)?;
        self.account.own(&file)?;
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(&self.data).args(["-U", "qsec", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"]);
        // Only the making is spared the flushes: the server keeps `fsync = on`, for durability is measured on it.
        initdb.arg(format!("--pwfile={}", file.display())).arg("--no-sync");
        command::output(&mut initdb)?;
        Ok(())
    }

    /// Starts on a free port of loopback, without a socket in the file system.
    fn start(&self) -> Result<u16> {
        let log = self.home.join("log");
        let mut last = None;
        for _ in 0..MAX_STARTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let settings = format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nmax_connections = 100\n"
            );
            // Read after the cluster's main file, so it counts; a second start replaces it.
            fs::write(self.data.join("postgresql.auto.conf"), settings)?;
            let mut start = self.command("pg_ctl");
            start.arg("-D").arg(&self.data).arg("-l").arg(&log).args(["-w", "start"]);
            match command::output(&mut start) {
                Ok(_) => return Ok(port),
                Err(error) => last = Some(error),
            }
        }
        let log = fs::read_to_string(log).unwrap_or_default();
        Err(last.context("no start was tried")?).context(format!("PostgreSQL does not start; its log:\n{log}"))
    }

    /// The database and the application's role.
    fn prepare(&self, port: u16) -> Result<Running> {
        let process = process_of(&self.data)?;
        self.sql(port, "postgres", &["create database qsec"])?;
        let grants = ["grant all on schema public to qsec_app", "grant create, temporary on database qsec to qsec_app"];
        self.sql(port, "qsec", &[APPLICATION_ROLE])?;
        self.sql(port, "qsec", &grants)?;
        let version = self.sql(port, "qsec", &["show server_version"])?;
        let version = version.split_whitespace().next().unwrap_or("of unknown version");
        let url = |user: &str, password: &str| format!("postgres://{user}:{password}@127.0.0.1:{port}/qsec");
        let exports = BTreeMap::from([
            ("QSEC_TEST_POSTGRES".to_owned(), url("qsec_app", "app")),
            ("QSEC_TEST_POSTGRES_OWNER".to_owned(), url("qsec", &self.password)),
        ]);
        Ok(Running {
            process: Some(process),
            home: self.home.clone(),
            detail: format!("PostgreSQL {version} on 127.0.0.1:{port}"),
            exports,
        })
    }

    fn sql(&self, port: u16, database: &str, statements: &[&str]) -> Result<String> {
        let mut psql = self.command("psql");
        psql.env("PGPASSWORD", &self.password).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "qsec", "-d", database]);
        for statement in statements {
            psql.args(["-c", statement]);
        }
        command::output(&mut psql)
    }

    fn stop(&self) -> Result<()> {
        stop(&self.programs, &self.account, &self.home)
    }
}

fn stop(programs: &Path, account: &Account, home: &Path) -> Result<()> {
    let mut stop = account.command(programs.join("pg_ctl"), home);
    stop.arg("-D").arg(home.join("data")).args(["-m", "fast", "-w", "stop"]);
    command::output(&mut stop)?;
    Ok(())
}

/// The server of a data folder; its first line is the process id.
fn process_of(data: &Path) -> Result<Process> {
    let file = data.join("postmaster.pid");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let id = text.lines().next().unwrap_or_default().trim();
    Process::find(id.parse().with_context(|| format!("`{id}` is not a process id"))?)
}

/// The folder of the server's programs; installed where it is missing.
fn programs() -> Result<PathBuf> {
    if let Some(found) = find_programs() {
        return Ok(found);
    }
    install()?;
    find_programs().context("PostgreSQL was installed, but its programs are not where Debian puts them")
}

/// `pg_config` may belong to the client library alone, so the server's own program decides.
fn find_programs() -> Option<PathBuf> {
    let told = command::output(Command::new("pg_config").arg("--bindir")).ok().map(|text| PathBuf::from(text.trim()));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    installed.sort();
    told.into_iter().chain(installed.into_iter().rev()).find(|folder| folder.join("initdb").is_file())
}

fn install() -> Result<()> {
    // Debian's package would make and start a server of its own: tell it not to, before it can.
    tools::install_debian_package("postgresql-common")?;
    fs::create_dir_all("/etc/postgresql-common/createcluster.d")?;
    fs::write("/etc/postgresql-common/createcluster.d/qsec-testbed.conf", "create_main_cluster = false\n")?;
    tools::install_debian_package("postgresql-15").or_else(|_| tools::install_debian_package("postgresql"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read_from_the_first_line() {
        let data = tempfile::tempdir().unwrap();
        let me = std::process::id();
        fs::write(data.path().join("postmaster.pid"), format!("{me}\n/data\n5432\n")).unwrap();
        assert_eq!(process_of(data.path()).unwrap(), Process::find(me).unwrap());
        fs::write(data.path().join("postmaster.pid"), "x\n").unwrap();
        assert!(process_of(data.path()).is_err());
    }
}
