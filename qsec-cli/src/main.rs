//! The `qsec` program: everything the family promises, seen from a shell.
//!
//! Nothing is decided here that a user of the library could not call: a noun is a file, a verb a function that reads its
//! input, calls the library, and gives the answer to [`output::Output`].

mod arguments;
mod failure;
mod files;
mod home;
mod moment;
mod nouns;
mod output;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

/// What the exit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Yes, or done.
    Yes = 0,
    /// The answer is no.
    No = 1,
    /// The command or its input cannot be right.
    Misuse = 2,
    /// A dependency is away; the same command can be repeated.
    Unavailable = 3,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let output = Output::new(arguments.global.json);
    let exit = match nouns::run(arguments, &output) {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit()
        }
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

/// `--help` and `--version` are answers; everything else that clap refuses is an error line like any other.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader who closed the pipe has seen enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // clap stopped before it knew; the flag counts wherever it stands.
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json {
        Output::new(true).failure(&Failure::usage(usage_message(error)));
    } else {
        let _ = error.print();
    }
    ExitCode::from(Exit::Misuse.status())
}

/// The first line of clap's message: the rest is usage, which a machine does not read.
fn usage_message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("the command is incomplete");
    first.trim_start_matches("error: ").to_owned()
}
