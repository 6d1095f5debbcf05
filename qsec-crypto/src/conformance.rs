//! What a conformance suite answers: one row per requirement, and none of them silently left out.
//!
//! The suites are [`crate::kms::conformance`] for anything that implements [`crate::kms::Kms`], and
//! [`crate::store::conformance`] for the stores.

use std::fmt;

/// How one requirement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The implementation does what is required.
    Passed,
    /// It does not; the text says what it did.
    Failed(String),
    /// It could not be asked, because a hook is missing; the text says which.
    NotRun(String),
}

/// One requirement and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The number of the requirement in its suite.
    pub number: u8,
    /// The requirement as a sentence.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

/// The answer of a whole suite.
///
/// ```
/// use qsec_crypto::{MemoryStore, store::conformance};
///
/// let report = pollster::block_on(conformance::key_store(&MemoryStore::new()));
/// assert!(report.is_passed(), "{report}");
/// assert_eq!(report.not_run().count(), 0);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn record(&mut self, number: u8, name: &'static str, outcome: impl Into<Outcome>) {
        self.rows.push(Row { number, name, outcome: outcome.into() });
    }

    /// Every row, in the order in which they ran.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether no row failed. Rows that were not run do not fail; look at [`Self::not_run`].
    pub fn is_passed(&self) -> bool {
        !self.rows.iter().any(|row| matches!(row.outcome, Outcome::Failed(_)))
    }

    /// The rows that could not be run.
    pub fn not_run(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| matches!(row.outcome, Outcome::NotRun(_)))
    }
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(what) => Self::Failed(what),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Row { number, name, outcome } in &self.rows {
            match outcome {
                Outcome::Passed => writeln!(f, "{number:>3} passed   {name}")?,
                Outcome::Failed(what) => writeln!(f, "{number:>3} FAILED   {name}: {what}")?,
                Outcome::NotRun(what) => writeln!(f, "{number:>3} not run  {name}: {what}")?,
            }
        }
        Ok(())
    }
}

/// Fails a row with a text that is built only then.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_passes_until_a_row_fails_and_names_what_was_not_run() {
        let mut report = Report::default();
        report.record(1, "holds", Ok(()));
        report.record(2, "cannot be asked", Outcome::NotRun("no hook `disable`".to_owned()));
        assert!(report.is_passed());
        assert_eq!(report.not_run().map(|row| row.number).collect::<Vec<_>>(), [2]);

        report.record(3, "does not hold", Err("answered 7".to_owned()));
        assert!(!report.is_passed());
        assert_eq!(
            report.to_string(),
            "  1 passed   holds\n  2 not run  cannot be asked: no hook `disable`\n  3 FAILED   does not hold: answered 7\n"
        );
    }
}
