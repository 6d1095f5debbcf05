//! Generated questions: access tables, data, people and options.

use proptest::prelude::*;
use proptest::sample::subsequence;
use qsec_authz::section::{
    CheckedAccess, DataCase, EmptyRows, Exclusion, Identity, NullRows, Options, ReduceError, Reduction, SectionAccess,
};

use crate::naive::{Grid, Person, Settings};

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

    pub(crate) fn checked(&self) -> Result<CheckedAccess, ReduceError> {
        let tables = self.access.iter().map(Grid::to_csv);
        Ok(SectionAccess::parse_with(tables, self.options())?.check_columns(&self.data.header)?)
    }

    pub(crate) fn reduction(&self) -> Result<Reduction, ReduceError> {
        self.checked()?.reduction(self.identity())
    }
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
        "REGION" => &["NORTH", "south", "WEST", "*", "", "\\N", "STRAßE", "NORTH", "o'brien \"x\" \\ $1", "é😀"],
        _ => &["TEA", "MILK", "*", "", " tea", "TEA"],
    };
    words[choice % words.len()].to_owned()
}

fn data_cell(column: &str, choice: usize) -> String {
    let words: &[&str] = match column {
        "Region" => &[
            "NORTH",
            "SOUTH",
            "WEST",
            "north",
            "",
            "\\N",
            "STRASSE",
            "straße",
            "*",
            " NORTH",
            "NORTH",
            "O'BRIEN \"X\" \\ $1",
            "É😀",
            "E\u{301}😀",
            "é😀",
        ],
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
