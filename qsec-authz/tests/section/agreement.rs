//! Every output gives what the naive evaluator gives, on generated access tables, data, people and options.

use std::io::Cursor;

use proptest::prelude::*;
use proptest::sample::subsequence;
use qsec_authz::section::{
    DataCase, EmptyRows, Exclusion, Identity, NullRows, Options, ReduceError, Reduction, SectionAccess, Table,
    reduce_csv,
};

use crate::naive::{self, Grid, Person, Settings};

/// One generated question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) access: Vec<Grid>,
    pub(crate) data: Grid,
    pub(crate) person: Person,
    pub(crate) settings: Settings,
}

impl Question {
    pub(crate) fn options(&self) -> Options {
        let Settings { null, show_null, show_empty, fold, strict } = &self.settings;
        let options = Options::new()
            .null_rows(if *show_null { NullRows::Show } else { NullRows::Hide })
            .empty_rows(if *show_empty { EmptyRows::Show } else { EmptyRows::Hide })
            .data_case(if *fold { DataCase::Upper } else { DataCase::Exact })
            .exclusion(if *strict { Exclusion::Strict } else { Exclusion::NoRows });
        null.iter().fold(options, Options::null_text)
    }

    pub(crate) fn identity(&self) -> Identity {
        let values = |column: &str| self.person.get(column).cloned().unwrap_or_default();
        let identity = values("USERID").into_iter().fold(Identity::new(), Identity::id);
        let identity = values("USER.EMAIL").into_iter().fold(identity, Identity::email);
        identity.groups(values("GROUP"))
    }

    pub(crate) fn reduction(&self) -> Result<Reduction, ReduceError> {
        let tables = self.access.iter().map(Grid::to_csv);
        let access = SectionAccess::parse_with(tables, self.options())?.check_columns(&self.data.header)?;
        access.reduction(self.identity())
    }

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

/// Cells by what their column is for.
fn cell(column: &str, choice: usize) -> String {
    let words: &[&str] = match column {
        "ACCESS" => &["USER", "USER", "ADMIN", " admin", "USER", "ADMIN"],
        "USERID" => &["ANA", "ana ", "*", "BOB", "", "ANA"],
        "USER.EMAIL" => &["ana@x", "*", "*", "", "bob@x"],
        "GROUP" => &["SALES", "hr", "*", "*", ""],
        "OMIT" => &["", "", "", "", "", "V", "P*", "?egion", "PRODUCT", "*", "NOPE"],
        "TEAM" => &["T1", "T2", "*", "", "t1", "\\N"],
        // Sharp s: one letter that two upper-case letters stand for.
        "REGION" => &["NORTH", "south", "WEST", "*", "", "\\N", "STRAßE", "NORTH"],
        _ => &["TEA", "MILK", "*", "", " tea", "TEA"],
    };
    words[choice % words.len()].to_owned()
}

fn data_cell(column: &str, choice: usize) -> String {
    let words: &[&str] = match column {
        "Region" => &["NORTH", "SOUTH", "WEST", "north", "", "\\N", "STRASSE", "straße", "*", " NORTH", "NORTH"],
        "PRODUCT" => &["TEA", "MILK", "tea", "", "\\N", "TEA"],
        "TEAM" => &["T1", "T2", ""],
        _ => &["1", "2", "3", "a,\"b\"\n"],
    };
    words[choice % words.len()].to_owned()
}

fn grid(columns: Vec<&'static str>, rows: &[Vec<usize>], cell: fn(&str, usize) -> String) -> Grid {
    let row =
        |choices: &Vec<usize>| columns.iter().zip(choices).map(|(column, &choice)| cell(column, choice)).collect();
    Grid { rows: rows.iter().map(row).collect(), header: columns.into_iter().map(str::to_owned).collect() }
}

fn choices(rows: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0_usize..1000, 8), rows)
}

fn authorization() -> impl Strategy<Value = Grid> {
    let identity = subsequence(vec!["USERID", "USER.EMAIL", "GROUP"], 1..=2);
    let fields = subsequence(vec!["OMIT", "REGION", "PRODUCT", "TEAM"], 0..=4);
    (identity, fields, choices(1..5)).prop_map(|(identity, fields, rows)| {
        let columns = std::iter::once("ACCESS").chain(identity).chain(fields).collect();
        grid(columns, &rows, cell)
    })
}

fn mapping() -> impl Strategy<Value = Grid> {
    let columns = subsequence(vec!["TEAM", "REGION", "PRODUCT", "KEY"], 1..=3).prop_shuffle();
    (columns, choices(0..5)).prop_map(|(columns, rows)| grid(columns, &rows, cell))
}

fn data() -> impl Strategy<Value = Grid> {
    let columns = prop_oneof![
        5 => Just(vec!["Region", "PRODUCT", "V"]),
        2 => Just(vec!["V", "PRODUCT", "Region", "TEAM"]),
        1 => Just(vec!["Region", "V"]),
    ];
    (columns, choices(0..7)).prop_map(|(columns, rows)| grid(columns, &rows, data_cell))
}

fn person() -> impl Strategy<Value = Person> {
    let groups = subsequence(vec!["sales".to_owned(), "HR".to_owned()], 0..=2);
    (prop::option::of(Just("ana@X".to_owned())), groups).prop_map(|(email, groups)| {
        let user = vec!["ana".to_owned()];
        Person::from([("USERID", user), ("USER.EMAIL", email.into_iter().collect()), ("GROUP", groups)])
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let null = prop::option::of(Just("\\N".to_owned()));
    (null, any::<[bool; 4]>()).prop_map(|(null, [show_null, show_empty, fold, strict])| Settings {
        null,
        show_null,
        show_empty,
        fold,
        strict,
    })
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    let access = (prop::collection::vec(authorization(), 1..3), prop::collection::vec(mapping(), 0..3));
    (access, data(), person(), settings()).prop_map(|((mut access, mappings), data, person, settings)| {
        access.extend(mappings);
        Question { access, data, person, settings }
    })
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
