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
    fn order_of_rows_and_columns_makes_no_difference(question in question(), places in any::<[[u8; 8]; 2]>()) {
        let [rows, columns] = places;
        let mixed = |grid: &Grid| Grid {
            header: shuffled(&grid.header, columns),
            rows: shuffled(&grid.rows, rows).iter().map(|row| shuffled(row, columns)).collect(),
        };
        let other = Question {
            access: question.access.iter().map(mixed).collect(),
            data: mixed(&question.data),
            ..question.clone()
        };
        prop_assert_eq!(code(question.by_table()).map(content), code(other.by_table()).map(content));
        prop_assert_eq!(code(question.by_stream()).map(content), code(other.by_stream()).map(content));
    }
}

/// The same things in the order of their places.
fn shuffled<T: Clone>(things: &[T], places: [u8; 8]) -> Vec<T> {
    let mut placed: Vec<_> = things.iter().zip(places.iter().cycle()).collect();
    placed.sort_by_key(|(_, place)| **place);
    placed.into_iter().map(|(thing, _)| thing.clone()).collect()
}

/// The cells of each row with their columns, whatever the order of both.
fn content(csv: String) -> Vec<Vec<(String, String)>> {
    let table = Table::parse_csv(csv).unwrap();
    let row = |row: usize| {
        let cells = table.columns().enumerate();
        let cells = cells.map(|(column, name)| (name.to_owned(), table.cell(row, column).unwrap().to_owned()));
        let mut cells: Vec<_> = cells.collect();
        cells.sort();
        cells
    };
    let mut rows: Vec<_> = (0..table.rows()).map(row).collect();
    // A table without rows has columns all the same.
    rows.push(table.columns().map(|name| (name.to_owned(), String::new())).collect());
    for row in &mut rows {
        row.sort();
    }
    rows.sort();
    rows
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
