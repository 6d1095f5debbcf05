//! What ran, how it ended, and how long it took.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};

/// How a step ended, with what is worth saying about it.
pub(crate) enum Outcome {
    /// It ran and found nothing wrong.
    Passed(String),
    /// It could not run, for the reason given. In CI that is a failure.
    NotRun(String),
    /// It could not run, and even in CI that is accepted: the reason is printed and nothing else happens.
    Excused(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Passed,
    Failed,
    NotRun,
}

struct Row {
    name: String,
    mark: Mark,
    took: Duration,
    note: String,
}

/// The steps of one run, in their order.
pub(crate) struct Report {
    strict: bool,
    rows: Vec<Row>,
}

impl Report {
    /// `strict` (CI) turns a step that could not run into a failure.
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, rows: Vec::new() }
    }

    /// Runs one step to its end and keeps what became of it; an error is a failed step, and the run goes on.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<Outcome>) {
        println!("\n==> {name}");
        let begin = Instant::now();
        let ended = work();
        let took = begin.elapsed();
        let (mark, note) = judge(ended, self.strict);
        println!(
            "<== {name}: {} in {:.1} s{}{note}",
            word(mark),
            took.as_secs_f64(),
            if note.is_empty() { "" } else { ": " }
        );
        self.rows.push(Row { name: name.to_owned(), mark, took, note });
    }

    /// Prints the table and the line that counts; the exit status is 1 where a step failed.
    pub(crate) fn finish(self) -> ExitCode {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["step", "result", "seconds", "note"]);
        for row in &self.rows {
            let note = row.note.lines().next().unwrap_or_default();
            table.add_row([row.name.as_str(), word(row.mark), &format!("{:.1}", row.took.as_secs_f64()), note]);
        }
        if let Some(seconds) = table.column_mut(2) {
            seconds.set_cell_alignment(CellAlignment::Right);
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        println!("\n{table}\n{:.1} s in all", total.as_secs_f64());
        println!("{}", self.summary());
        if self.count(Mark::Failed) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn summary(&self) -> String {
        let counted = format!("{} passed, {} failed", self.count(Mark::Passed), self.count(Mark::Failed));
        match self.count(Mark::NotRun) {
            0 => counted,
            skipped => format!("{counted}, {skipped} skipped"),
        }
    }

    fn count(&self, mark: Mark) -> usize {
        self.rows.iter().filter(|row| row.mark == mark).count()
    }
}

fn judge(ended: Result<Outcome>, strict: bool) -> (Mark, String) {
    match ended {
        Ok(Outcome::Passed(note)) => (Mark::Passed, note),
        Ok(Outcome::NotRun(reason)) if strict => (Mark::Failed, format!("not run: {reason}")),
        Ok(Outcome::NotRun(reason) | Outcome::Excused(reason)) => (Mark::NotRun, reason),
        Err(error) => (Mark::Failed, format!("{error:#}")),
    }
}

fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Passed => "passed",
        Mark::Failed => "FAILED",
        Mark::NotRun => "not run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(strict: bool) -> Report {
        let mut report = Report::new(strict);
        report.step("good", || Ok(Outcome::Passed(String::new())));
        report.step("absent", || Ok(Outcome::NotRun("no server".into())));
        report.step("excused", || Ok(Outcome::Excused("no database".into())));
        report
    }

    #[test]
    fn a_step_that_could_not_run_fails_only_in_ci() {
        assert_eq!(run(false).summary(), "1 passed, 0 failed, 2 skipped");
        assert_eq!(run(false).finish(), ExitCode::SUCCESS);
        assert_eq!(run(true).summary(), "1 passed, 1 failed, 1 skipped");
        assert_eq!(run(true).finish(), ExitCode::FAILURE);
    }

    #[test]
    fn an_error_fails_its_step_and_the_next_one_still_runs() {
        let mut report = Report::new(false);
        report.step("bad", || anyhow::bail!("broken"));
        report.step("good", || Ok(Outcome::Passed(String::new())));
        assert_eq!(report.summary(), "1 passed, 1 failed");
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }
}
