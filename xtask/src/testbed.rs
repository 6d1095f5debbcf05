//! The real components that tests run on. All of them listen on loopback only, live under `target/testbed`, and are
//! known by the process that was started, never by a name.
//!
//! A further component is one file below `testbed/` and one line in [`COMPONENTS`].

mod account;
mod esdk;
mod localstack;
mod postgres;
mod process;
mod softhsm;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};

use crate::testbed::process::Process;
use crate::workspace::Workspace;

/// What `cargo xtask testbed` can do.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Install and start components (all of them without names) and print the variables to export.
    Up {
        /// Names of components.
        names: Vec<String>,
    },
    /// Say what runs, and where.
    Status,
    /// Stop what `up` started, and remove its files.
    Down {
        /// Names of components.
        names: Vec<String>,
    },
}

/// Something real that tests talk to.
trait Component: Sync {
    /// The name on the command line, and of the files.
    fn name(&self) -> &'static str;

    /// Installs what is missing and starts it in `home`, an absolute folder that does not exist yet.
    fn start(&self, home: &Path) -> Result<Running>;

    /// Stops the process, which is known to be the one that was started. It need not wait for the end.
    fn stop(&self, running: &Running) -> Result<()>;
}

const COMPONENTS: &[&dyn Component] = &[&postgres::Postgres, &esdk::Esdk, &softhsm::SoftHsm, &localstack::LocalStack];

/// A component that was started, as it is written down beside its folder.
#[derive(Debug, Serialize, Deserialize)]
struct Running {
    /// None for a component that is installed and does not run.
    process: Option<Process>,
    home: PathBuf,
    /// What a person wants to see in `status`.
    detail: String,
    /// Variables for the tests. They hold passwords: the file is for its owner alone.
    exports: BTreeMap<String, String>,
}

impl Running {
    fn is_up(&self) -> bool {
        self.process.as_ref().map_or_else(|| self.home.exists(), Process::is_alive)
    }

    fn process_id(&self) -> String {
        self.process.as_ref().map_or_else(|| "none".into(), |process| process.id.to_string())
    }
}

/// The components that are up, for one run of tests.
pub(crate) struct Session<'a> {
    testbed: Testbed<'a>,
    started: Vec<&'static str>,
    /// Variables for the tests.
    pub(crate) exports: BTreeMap<String, String>,
}

impl<'a> Session<'a> {
    /// Nothing is up yet.
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self { testbed: Testbed { workspace }, started: Vec::new(), exports: BTreeMap::new() }
    }

    /// The names of all components.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        COMPONENTS.iter().map(|component| component.name())
    }

    /// Starts a component, or takes the one that a developer already has up.
    pub(crate) fn up(&mut self, name: &'static str) -> Result<String> {
        let _lock = self.testbed.lock()?;
        let (running, fresh) = self.testbed.up(find(name)?)?;
        if fresh {
            self.started.push(name);
        }
        self.exports.extend(running.exports);
        Ok(running.detail)
    }

    /// Stops what this session started, and nothing else.
    pub(crate) fn down(&mut self) -> Result<usize> {
        let _lock = self.testbed.lock()?;
        let mut stopped = 0;
        for name in self.started.drain(..).rev() {
            self.testbed.down(find(name)?)?;
            stopped += 1;
        }
        Ok(stopped)
    }
}

/// A run that ends early (a panic, an error) still leaves nothing behind.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.down() {
            eprintln!("testbed: {error:#}");
        }
    }
}

/// `cargo xtask testbed`.
pub(crate) fn run(workspace: &Workspace, verb: &Verb) -> Result<ExitCode> {
    let testbed = Testbed { workspace };
    let _lock = testbed.lock()?;
    match verb {
        Verb::Up { names } => testbed.print_exports(names)?,
        Verb::Status => println!("{}", testbed.status()?),
        Verb::Down { names } => {
            for component in chosen(names)? {
                println!("{}: {}", component.name(), testbed.down(component)?);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> Result<&'static dyn Component> {
    let known = || Session::names().collect::<Vec<_>>().join(", ");
    let component = COMPONENTS.iter().copied().find(|component| component.name() == name);
    component.with_context(|| format!("no component `{name}`; there are: {}", known()))
}

fn chosen(names: &[String]) -> Result<Vec<&'static dyn Component>> {
    if names.is_empty() { Ok(COMPONENTS.to_vec()) } else { names.iter().map(|name| find(name)).collect() }
}

struct Testbed<'a> {
    workspace: &'a Workspace,
}

impl Testbed<'_> {
    fn folder(&self) -> PathBuf {
        self.workspace.target.join("testbed")
    }

    fn record(&self, component: &dyn Component) -> PathBuf {
        self.folder().join(format!("{}.json", component.name()))
    }

    /// Held by one command at a time, so that two do not start the same component.
    fn lock(&self) -> Result<File> {
        fs::create_dir_all(self.folder())?;
        let file = File::create(self.folder().join("lock"))?;
        file.lock().context("cannot lock the testbed")?;
        Ok(file)
    }

    /// The component as it was started, where its process still lives, or its files where it needs none.
    fn running(&self, component: &dyn Component) -> Result<Option<Running>> {
        Ok(self.recorded(component)?.filter(Running::is_up))
    }

    fn recorded(&self, component: &dyn Component) -> Result<Option<Running>> {
        let file = self.record(component);
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file)?;
        serde_json::from_str(&text).map(Some).with_context(|| format!("{} is not a record of ours", file.display()))
    }

    /// The running component, and whether this call started it.
    fn up(&self, component: &dyn Component) -> Result<(Running, bool)> {
        if let Some(running) = self.running(component)? {
            return Ok((running, false));
        }
        self.forget(component)?;
        let home = self.folder().join(component.name());
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        let running = component.start(&home)?;
        let mut file =
            File::options().create(true).truncate(true).write(true).mode(0o600).open(self.record(component))?;
        file.write_all(serde_json::to_string_pretty(&running)?.as_bytes())?;
        Ok((running, true))
    }

    /// Stops the component where it runs, removes its files, and says what was done.
    fn down(&self, component: &dyn Component) -> Result<String> {
        let Some(running) = self.recorded(component)? else { return Ok("not up".into()) };
        let said = match &running.process {
            Some(process) if process.is_alive() => {
                component.stop(&running)?;
                process.wait_for_end()?;
                format!("stopped process {}", process.id)
            }
            Some(process) => format!("process {} had ended", process.id),
            None => "removed".into(),
        };
        self.forget(component)?;
        Ok(said)
    }

    /// Removes the files of a component that does not run.
    fn forget(&self, component: &dyn Component) -> Result<()> {
        let Some(running) = self.recorded(component)? else { return Ok(()) };
        if running.home.exists() {
            fs::remove_dir_all(&running.home)?;
        }
        fs::remove_file(self.record(component))?;
        Ok(())
    }

    /// Messages go to standard error, so that the output can be given to `eval`.
    fn print_exports(&self, names: &[String]) -> Result<()> {
        let mut failed = Vec::new();
        for component in chosen(names)? {
            match self.up(component) {
                Ok((running, fresh)) => {
                    eprintln!("# {}: {}{}", component.name(), running.detail, if fresh { "" } else { " (was up)" });
                    for (name, value) in &running.exports {
                        println!("export {name}={}", quoted(value));
                    }
                }
                Err(error) => failed.push(format!("{}: {error:#}", component.name())),
            }
        }
        if failed.is_empty() { Ok(()) } else { bail!("not up: {}", failed.join("; ")) }
    }

    fn status(&self) -> Result<Table> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["component", "state", "process", "detail"]);
        for component in COMPONENTS {
            match self.recorded(*component)? {
                Some(running) if running.is_up() => {
                    table.add_row([component.name(), "up", &running.process_id(), &running.detail]);
                }
                Some(running) => {
                    table.add_row([component.name(), "ended", &running.process_id(), "`down` removes its files"]);
                }
                None => {
                    table.add_row([component.name(), "down", "", ""]);
                }
            }
        }
        Ok(table)
    }
}

/// A word that a shell takes as it stands.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let value = "a'b $HOME \"c\"";
        let command = format!("printf %s {}", quoted(value));
        let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }

    #[test]
    fn an_unknown_component_is_named_with_those_that_exist() {
        let error = find("oracle").err().unwrap().to_string();
        assert!(error.contains("oracle") && error.contains("postgres"), "{error}");
    }

    /// `down` on a record whose process id now belongs to somebody else must not stop that one.
    #[test]
    fn a_process_that_only_has_the_same_id_is_left_alone() {
        struct Refuses;
        impl Component for Refuses {
            fn name(&self) -> &'static str {
                "refuses"
            }
            fn start(&self, _home: &Path) -> Result<Running> {
                bail!("not in this test")
            }
            fn stop(&self, _running: &Running) -> Result<()> {
                bail!("somebody else's process would have been stopped")
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: folder.path().into(), target: folder.path().into() };
        let testbed = Testbed { workspace: &workspace };
        let _lock = testbed.lock().unwrap();
        let process = Process { id: std::process::id(), started: 1 };
        let running = Running {
            process: Some(process),
            home: folder.path().join("home"),
            detail: String::new(),
            exports: BTreeMap::new(),
        };
        fs::write(testbed.record(&Refuses), serde_json::to_string(&running).unwrap()).unwrap();
        assert!(testbed.down(&Refuses).unwrap().contains("had ended"));
        assert!(!testbed.record(&Refuses).exists());
    }

    #[test]
    fn a_component_without_a_process_is_up_while_its_files_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_path_buf();
        let running = Running { process: None, home, detail: String::new(), exports: BTreeMap::new() };
        assert!(running.is_up());
        folder.close().unwrap();
        assert!(!running.is_up());
    }
}
