//! `qsec completions`, `qsec man`: made from the command line's one definition.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::Exit;
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::files::{self, Existing, Sink};
use crate::output::say;

/// `qsec man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write qsec.1, qsec-tenant.1, qsec-tenant-create.1 and all others there
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

pub(crate) fn completions(shell: Shell) -> Result<Exit, Failure> {
    // Into memory first: a pipe that was closed is no fault of the script's.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "qsec", &mut script);
    say(&mut io::stdout().lock(), &String::from_utf8_lossy(&script))?;
    Ok(Exit::Yes)
}

pub(crate) fn man(man: &Man) -> Result<Exit, Failure> {
    let mut program = Arguments::command();
    program.build();
    match &man.out_dir {
        Some(folder) => write_pages(&program, "qsec", folder)?,
        None => say(&mut io::stdout().lock(), &page(&program, "qsec")?)?,
    }
    Ok(Exit::Yes)
}

fn write_pages(command: &Command, name: &str, folder: &Path) -> Result<(), Failure> {
    let file = folder.join(format!("{name}.1"));
    Sink::open(Some(&file), Existing::Replace)?.put(page(command, name)?.as_bytes())?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        write_pages(verb, &format!("{name}-{}", verb.get_name()), folder)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> Result<String, Failure> {
    let mut page = Vec::new();
    let titled = clap_mangen::Man::new(command.clone()).title(name);
    titled.render(&mut page).map_err(|error| files::unwritable(Path::new(name), &error))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
