//! Where answers go: one JSON object on one line, or text for people.

use std::io::{self, IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;

/// The two ways to answer. Whoever closed standard output has seen enough: writing to it is never an error of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The answer on standard output: the object, or the text that `text` makes of it.
    pub(crate) fn answer<T: Serialize>(&self, answer: &T, text: impl FnOnce(&T) -> String) {
        self.write(&mut io::stdout().lock(), answer, text);
    }

    /// The summary of a verb whose output is data: on standard output if the data went to a file; else, under `--json`,
    /// on standard error.
    pub(crate) fn summary<T: Serialize>(&self, to_file: bool, summary: &T, text: impl FnOnce(&T) -> String) {
        if to_file {
            self.answer(summary, text);
        } else if self.json {
            self.write(&mut io::stderr().lock(), summary, text);
        }
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        let mut stderr = io::stderr().lock();
        let _ = if self.json {
            writeln!(stderr, "{}", failure.to_json())
        } else {
            writeln!(stderr, "error: {}", failure.message())
        };
    }

    pub(crate) fn warning(&self, code: &str, message: &str) {
        let mut stderr = io::stderr().lock();
        let _ = if self.json {
            writeln!(stderr, "{}", json!({"warning": {"code": code, "message": message}}))
        } else {
            writeln!(stderr, "warning: {message}")
        };
    }

    /// Whether a person is looking at standard error: only then is there a progress bar.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    fn write<T: Serialize>(&self, to: &mut impl Write, answer: &T, text: impl FnOnce(&T) -> String) {
        let line = if self.json {
            serde_json::to_string(answer).unwrap_or_else(|error| {
                json!({"error": {"code": "internal", "message": error.to_string()}}).to_string()
            })
        } else {
            text(answer)
        };
        let line = line.trim_end_matches('\n');
        let _ = if line.is_empty() { Ok(()) } else { writeln!(to, "{line}") };
    }
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
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
}
