//! The `qsec` program: everything the family promises, seen from a shell.
//!
//! Nothing is decided here that a user of the library could not call: a noun is a file, a verb a function that reads its
//! input, calls the library, and gives the answer to [`output::Output`].
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::as_conversions,
        clippy::todo,
        clippy::unreachable,
        clippy::print_stdout
    )
)]

mod arguments;
mod failure;
mod files;
mod home;
mod kms;
mod moment;
mod nouns;
mod output;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;
use clap::error::ErrorKind;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

/// What the exit status says. There is no other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Yes, or done.
    Yes,
    /// The answer is no.
    No,
    /// The command or its input cannot be right.
    Misuse,
    /// A dependency is away; the same command can be repeated.
    Unavailable,
}

/// Where the first panic happened: the hook knows, whoever catches it does not.
static BROKE_AT: OnceLock<String> = OnceLock::new();

fn main() -> ExitCode {
    panic::set_hook(Box::new(|broken| {
        let _ = BROKE_AT.set(broken.to_string().replace('\n', " "));
    }));
    let exit = match Arguments::try_parse() {
        Ok(arguments) => run(arguments),
        Err(error) => refuse(&error),
    };
    ExitCode::from(exit.status())
}

impl Exit {
    fn status(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Misuse => 2,
            Self::Unavailable => 3,
        }
    }
}

fn run(arguments: Arguments) -> Exit {
    let output = Output::new(arguments.global.json);
    // A fault of ours is an error line like any other, and what was half written is taken away on the way out.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| nouns::run(arguments, output))).unwrap_or_else(|_| {
        let place = BROKE_AT.get().map_or("somewhere", String::as_str);
        Err(Failure::internal(format!("an internal invariant broke: {place}")))
    });
    outcome.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit()
    })
}

/// `--help` and `--version` are answers; everything else that clap refuses is an error line like any other.
fn refuse(error: &clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader who closed the pipe has seen enough.
        let _ = error.print();
        return Exit::Yes;
    }
    // clap stopped before it knew; the flag counts wherever it stands.
    if std::env::args_os().any(|argument| argument == "--json") {
        Output::new(true).failure(&Failure::usage(usage_message(error)));
    } else {
        let _ = error.print();
    }
    Exit::Misuse
}

/// What clap says, on one line, without the usage that follows for people.
fn usage_message(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "the command is incomplete; `--help` says what may follow".to_owned();
    }
    let text = error.render().to_string();
    let told = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let line = told.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect::<Vec<_>>().join(" ");
    line.trim_start_matches("error: ").to_owned()
}
