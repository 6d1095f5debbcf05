//! Every output gives what the naive evaluator gives, on generated access tables, data, people and options.

use std::io::Cursor;

use proptest::prelude::*;
use qsec_authz::section::{ReduceError, Table, reduce_csv};

use crate::naive::{self, Grid};
use crate::question::{Question, question};

impl Question {
    fn by_table(&self) -> Result<String, ReduceError> {
        let data = Table::parse_csv(self.data.to_csv()).unwrap();
        Ok(self.reduction()?.apply(&data)?.to_csv())
    }

    fn by_stream(&self) -> Result<String, ReduceError> {
        let mut output = Vec::new();
        let tables = self.access.iter().map(Grid::to_csv);
        let outcome = reduce_csv(tables, self.options(), self.identity(), Cursor::new(self.data.to_csv()), &mut output);
        assert!(outcome.is_ok() || output.is_empty(), "refused, and yet written to");
        outcome.map(|_| String::from_utf8(output).unwrap())
    }

    /// What the naive evaluator says, as text or code.
    fn expected(&self) -> Result<String, &'static str> {
        let grid = naive::reduce(&self.access, &self.data, &self.person, &self.settings)?;
        Ok(Table::parse_csv(grid.to_csv()).unwrap().to_csv())
    }
}

fn code(outcome: Result<String, ReduceError>) -> Result<String, &'static str> {
    outcome.map_err(|error| error.code())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn table_and_stream_give_what_the_semantics_say(question in question()) {
        let expected = question.expected();
        prop_assert_eq!(code(question.by_table()), expected.clone());
        prop_assert_eq!(code(question.by_stream()), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_of_rows_and_columns_makes_no_difference(question in question()) {
        let reversed = |grid: &Grid| Grid {
            header: grid.header.iter().rev().cloned().collect(),
            rows: grid.rows.iter().rev().map(|row| row.iter().rev().cloned().collect()).collect(),
        };
        let mirrored = Question {
            access: question.access.iter().map(reversed).collect(),
            data: reversed(&question.data),
            ..question.clone()
        };
        let straight = code(question.by_table()).map(|text| Table::parse_csv(text).unwrap());
        let mirrored = code(mirrored.by_table()).map(|text| Table::parse_csv(text).unwrap());
        match (straight, mirrored) {
            (Ok(straight), Ok(mirrored)) => {
                prop_assert_eq!(straight.columns().collect::<Vec<_>>(), mirrored.columns().collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>());
                prop_assert_eq!(straight.rows(), mirrored.rows());
                let width = straight.columns().count();
                for row in 0..straight.rows() {
                    for column in 0..width {
                        prop_assert_eq!(straight.cell(row, column), mirrored.cell(straight.rows() - 1 - row, width - 1 - column));
                    }
                }
            }
            (straight, mirrored) => prop_assert_eq!(straight.err(), mirrored.err()),
        }
    }
}

/// The generator is worth something only if it reaches the answers that matter.
#[test]
fn generated_questions_reach_every_kind_of_answer() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..2_000 {
        let question = question().new_tree(&mut runner).unwrap().current();
        let rows = question.data.rows.len();
        let kind = match naive::reduce(&question.access, &question.data, &question.person, &question.settings) {
            Ok(grid) if grid.rows.is_empty() => "no rows",
            Ok(grid) if grid.rows.len() < rows => "some rows",
            Ok(_) => "all rows",
            Err(code) => code,
        };
        *counts.entry(kind).or_default() += 1;
    }
    for kind in [
        "all rows",
        "some rows",
        "no rows",
        "not_listed",
        "excluded",
        "unknown_omit_field",
        "unlinked_table",
        "unknown_reduction_field",
    ] {
        assert!(counts.get(kind).is_some_and(|&count| count >= 20), "{kind}: {counts:?}");
    }
}
