//! The repository's own commands. `cargo xtask --help` lists them; `CONTRIBUTING.md` says when to use which.

#![expect(clippy::disallowed_methods, reason = "commands of the repository read the environment and measure time")]

mod bench;
mod command;
mod msrv;
mod report;
mod test;
mod testbed;
mod tools;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The repository's own commands", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must hold before a change lands: lints, documents, tests on real components, dependencies.
    ///
    /// With `CI=true` a step that could not run fails; otherwise it is listed as `not run`.
    Test,
    /// The quick loop: format, lints and tests, without doctests and without the testbed.
    Check,
    /// The real components that tests run on: PostgreSQL.
    Testbed {
        #[command(subcommand)]
        verb: testbed::Verb,
    },
    /// Run the benches and compare what they measured with the goals in `benches/goals.toml`.
    Bench(bench::Options),
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let workspace = Workspace::locate()?;
    match arguments.command {
        Command::Test => Ok(test::all(&workspace)),
        Command::Check => Ok(test::quick(&workspace)),
        Command::Testbed { verb } => testbed::run(&workspace, &verb),
        Command::Bench(options) => bench::run(&workspace, &options),
    }
}
