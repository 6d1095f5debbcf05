//! Running other programs: their output is shown as it comes, and a failure names the command.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// A cargo command in the workspace.
///
/// `cargo run` describes our own package to us in variables. A build script that watches one of them (ring's does)
/// would be run again, and all that depends on it rebuilt, whenever a developer changes between `cargo xtask` and
/// plain `cargo`; so they are not handed on.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace.root);
    for (name, _) in env::vars_os() {
        if describes_our_package(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn describes_our_package(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&name.as_ref())
}

/// Runs to the end, output and errors on ours.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("    {}", line(command));
    end(command.stdin(Stdio::null()))
}

/// Runs to the end, all output on our standard error: for installing, in commands whose output is data.
pub(crate) fn run_aside(command: &mut Command) -> Result<()> {
    eprintln!("    {}", line(command));
    end(command.stdin(Stdio::null()).stdout(io::stderr()))
}

fn end(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if status.success() { Ok(()) } else { bail!("{}: {status}", program(command)) }
}

/// Runs to the end; each line of standard output is shown as it comes and handed to `each`.
pub(crate) fn run_lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<()> {
    println!("    {}", line(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", line(command)))?;
    let pipe = child.stdout.take().context("standard output was not piped")?;
    for bytes in BufReader::new(pipe).split(b'\n') {
        let bytes = bytes?;
        let text = String::from_utf8_lossy(&bytes);
        println!("{text}");
        each(&text);
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { bail!("{}: {status}", program(command)) }
}

/// Runs to the end without a word and returns standard output; a failure carries what was written to standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let answer = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", line(command)))?;
    if !answer.status.success() {
        bail!("{}: {}\n{}", line(command), answer.status, String::from_utf8_lossy(&answer.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The first file of that name in the folders of `PATH`.
pub(crate) fn find_in_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn program(command: &Command) -> String {
    Path::new(command.get_program()).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// The command as a person would type it, without the environment: that may hold a secret.
fn line(command: &Command) -> String {
    let mut words = vec![program(command)];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_run_says_about_us_is_not_handed_on() {
        assert!(describes_our_package(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(describes_our_package(OsStr::new("CARGO_PKG_NAME")));
        assert!(!describes_our_package(OsStr::new("CARGO_TARGET_DIR")));
        assert!(!describes_our_package(OsStr::new("CARGO_HOME")));
    }

    #[test]
    fn a_failing_command_carries_what_it_wrote() {
        let error = output(Command::new("sh").args(["-c", "echo because >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("because") && error.contains('3'), "{error}");
    }

    #[test]
    fn lines_are_handed_over_and_a_failure_after_them_is_seen() {
        let mut seen = Vec::new();
        let end = run_lines(Command::new("sh").args(["-c", "echo one; printf two; exit 1"]), |line| {
            seen.push(line.to_owned());
        });
        assert_eq!(seen, ["one", "two"]);
        assert!(end.is_err());
    }
}
