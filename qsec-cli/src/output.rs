//! Where answers go: one JSON object on one line, or text for people.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, TableStyle};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;

/// The two ways to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// The answer on standard output: the object, or the text that `text` makes of it.
    pub(crate) fn answer<T: Serialize>(self, answer: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        say(&mut io::stdout().lock(), &self.line(answer, text)?)
    }

    /// The summary of a verb whose output is data: on standard output if the data went to a file; else, under `--json`,
    /// on standard error.
    pub(crate) fn summary<T: Serialize>(
        self,
        to_file: bool,
        summary: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if to_file {
            self.answer(summary, text)
        } else if self.json {
            say(&mut io::stderr().lock(), &self.line(summary, text)?)
        } else {
            Ok(())
        }
    }

    /// The last line of a command that did not succeed. Nobody is left to tell if it cannot be written.
    pub(crate) fn failure(self, failure: &Failure) {
        let mut stderr = io::stderr().lock();
        let _ = if self.json {
            writeln!(stderr, "{}", failure.to_json())
        } else {
            writeln!(stderr, "{} {}", coloured("31", "error:"), for_people(failure.message()))
        };
    }

    pub(crate) fn warning(self, code: &str, message: &str) {
        let mut stderr = io::stderr().lock();
        let _ = if self.json {
            writeln!(stderr, "{}", json!({"warning": {"code": code, "message": message}}))
        } else {
            writeln!(stderr, "{} {}", coloured("33", "warning:"), for_people(message))
        };
    }

    /// Whether a person is looking at standard error: only then is there a progress bar.
    pub(crate) fn shows_progress(self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    fn line<T: Serialize>(self, answer: &T, text: impl FnOnce(&T) -> String) -> Result<String, Failure> {
        if self.json {
            serde_json::to_string(answer).map_err(|error| Failure::internal(error.to_string()))
        } else {
            Ok(for_people(&text(answer)))
        }
    }
}

/// Writes a text and ends its last line. Whoever closed the pipe has seen enough; a full disk must be known.
pub(crate) fn say(to: &mut impl Write, text: &str) -> Result<(), Failure> {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        return Ok(());
    }
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::misuse("file_unwritable", format!("the answer cannot be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What a stranger's file can bring to a terminal is text, never a control sequence.
fn for_people(text: &str) -> String {
    let shown = |letter: char| if letter.is_control() && letter != '\n' { char::REPLACEMENT_CHARACTER } else { letter };
    text.chars().map(shown).collect()
}

#[expect(clippy::disallowed_methods, reason = "the program reads the environment")]
fn coloured(colour: &str, text: &str) -> String {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && io::stderr().is_terminal() { format!("\x1b[1;{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Name and value, aligned: how one thing is shown to people.
pub(crate) fn facts<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = plain();
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    trimmed(&table)
}

/// A header and rows, aligned: how many things are shown.
pub(crate) fn table<'a>(
    header: impl IntoIterator<Item = &'a str>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = plain();
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    trimmed(&table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn trimmed(table: &Table) -> String {
    // Cells are padded by one space at both sides.
    let lines = table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}
