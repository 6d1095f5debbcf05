//! SQL: the words of each dialect, what is refused, and that the predicate means what the semantics say.

use std::collections::HashMap;

use proptest::prelude::*;
use qsec_authz::section::{
    Dialect, EmptyRows, Exclusion, Identity, NullRows, Options, Reduction, SectionAccess, Sql, SqlError,
};

use crate::naive;
use crate::question::question;

fn reduction(access: &str, columns: &[&str], options: Options) -> Reduction {
    let access = SectionAccess::parse_with([access], options).unwrap().check_columns(columns).unwrap();
    access.reduction(Identity::user("ana")).unwrap()
}

fn shown() -> Options {
    Options::new().null_rows(NullRows::Show).empty_rows(EmptyRows::Show).exclusion(Exclusion::NoRows)
}

const TWO: &str = "ACCESS,USERID,REGION,PRODUCT,OMIT\nUSER,ANA,NORTH,TEA,COST\nUSER,ANA,WEST,,\n";
const COLUMNS: [&str; 3] = ["Region", "PRODUCT", "Cost"];

#[test]
fn each_dialect_forces_binary_texts_and_binds_every_value() {
    let reduction = reduction(TWO, &COLUMNS, Options::new());
    let expected = [
        (
            Dialect::Postgres,
            r#"CAST("Region" AS text) COLLATE "C" IN ($1, $2) AND CAST("PRODUCT" AS text) COLLATE "C" IN ($3)"#,
        ),
        (
            Dialect::Sqlite,
            "CAST(`Region` AS TEXT) COLLATE BINARY IN (?, ?) AND CAST(`PRODUCT` AS TEXT) COLLATE BINARY IN (?)",
        ),
        (
            Dialect::Snowflake,
            r#"COLLATE(CAST("Region" AS VARCHAR), 'utf8') IN (?, ?) AND COLLATE(CAST("PRODUCT" AS VARCHAR), 'utf8') IN (?)"#,
        ),
    ];
    for (dialect, predicate) in expected {
        let sql = reduction.to_sql(dialect).unwrap();
        assert_eq!(sql.predicate(), predicate);
        assert_eq!(sql.parameters(), ["NORTH", "WEST", "TEA"]);
    }
    assert_eq!(reduction.to_sql(Dialect::Postgres).unwrap().columns(), r#""Region", "PRODUCT""#);
}

#[test]
fn null_and_empty_cells_are_asked_for_only_if_they_are_shown() {
    let access = "ACCESS,USERID,REGION\nUSER,ANA,NORTH\n";
    let sql = reduction(access, &["REGION"], shown()).to_sql(Dialect::Postgres).unwrap();
    assert_eq!(
        sql.predicate(),
        r#"(CAST("REGION" AS text) COLLATE "C" IN ($1) OR "REGION" IS NULL OR CAST("REGION" AS text) COLLATE "C" = '')"#
    );
}

#[test]
fn an_empty_set_is_false_and_no_field_is_true() {
    let nothing = reduction("ACCESS,USERID,REGION\nUSER,ANA,\n", &["REGION"], shown());
    let all = reduction("ACCESS,USERID\nUSER,ANA\n", &["REGION"], Options::new());
    for (dialect, no, yes) in [
        (Dialect::Postgres, "FALSE", "TRUE"),
        (Dialect::Sqlite, "(1 = 0)", "(1 = 1)"),
        (Dialect::Snowflake, "FALSE", "TRUE"),
    ] {
        assert_eq!(nothing.to_sql(dialect).unwrap().predicate(), no);
        assert_eq!(
            nothing.to_sql(dialect).unwrap().admission(["t"]).unwrap(),
            format!(
                "SELECT 1 WHERE EXISTS (SELECT 1 FROM {} WHERE {no})",
                if dialect == Dialect::Sqlite { "`t`" } else { "\"t\"" }
            )
        );
        assert_eq!(all.to_sql(dialect).unwrap().predicate(), yes);
        assert_eq!(all.to_sql(dialect).unwrap().admission(["t"]).unwrap(), format!("SELECT 1 WHERE {yes}"));
    }
}

#[test]
fn strict_exclusion_asks_for_a_listed_cell_of_each_field() {
    let options = Options::new().null_rows(NullRows::Show);
    let sql = reduction(TWO, &COLUMNS, options).to_sql(Dialect::Sqlite).unwrap();
    assert_eq!(
        sql.admission(["main", "sales"]).unwrap(),
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM `main`.`sales` WHERE CAST(`Region` AS TEXT) COLLATE BINARY IN (?, ?)) \
         AND EXISTS (SELECT 1 FROM `main`.`sales` WHERE CAST(`PRODUCT` AS TEXT) COLLATE BINARY IN (?))"
    );
}

#[test]
fn names_cannot_break_out_of_their_quotes() {
    let hostile = "a\"; DROP TABLE t; --`";
    let all = reduction("ACCESS,USERID\nUSER,ANA\n", &[hostile], Options::new());
    assert_eq!(all.to_sql(Dialect::Postgres).unwrap().columns(), r#""a""; DROP TABLE t; --`""#);
    assert_eq!(all.to_sql(Dialect::Sqlite).unwrap().columns(), "`a\"; DROP TABLE t; --```");
    let select = all.to_sql(Dialect::Sqlite).unwrap().select([hostile]).unwrap();
    assert_eq!(select, "SELECT `a\"; DROP TABLE t; --``` FROM `a\"; DROP TABLE t; --``` WHERE (1 = 1)");
}

#[test]
fn names_that_a_database_would_change_are_refused() {
    let long = "é".repeat(32);
    let refused = [
        (Dialect::Postgres, long.as_str()),
        (Dialect::Postgres, ""),
        (Dialect::Sqlite, "a\0b"),
        (Dialect::Snowflake, &"x".repeat(256)),
    ];
    for (dialect, name) in refused {
        let sql = reduction("ACCESS,USERID\nUSER,ANA\n", &[name], Options::new()).to_sql(dialect);
        assert_eq!(sql.unwrap_err(), SqlError::BadIdentifier { name: name.to_owned() });
    }
    assert!(reduction("ACCESS,USERID\nUSER,ANA\n", &[&long], Options::new()).to_sql(Dialect::Sqlite).is_ok());
    let sql = reduction("ACCESS,USERID\nUSER,ANA\n", &["A"], Options::new()).to_sql(Dialect::Postgres).unwrap();
    assert_eq!(sql.select([""; 0]).unwrap_err().code(), "bad_identifier");
    assert_eq!(sql.admission(["a\0"]).unwrap_err().code(), "bad_identifier");
}

#[test]
fn upper_case_comparison_is_not_left_to_a_database() {
    let options = Options::new().data_case(qsec_authz::section::DataCase::Upper);
    assert_eq!(reduction(TWO, &COLUMNS, options).to_sql(Dialect::Sqlite).unwrap_err().code(), "folded_data");
}

#[test]
fn more_values_than_a_statement_takes_are_refused() {
    let rows: String = (0..32_767).map(|index| format!("USER,ANA,R{index}\n")).collect();
    let reduction = reduction(&format!("ACCESS,USERID,REGION\n{rows}"), &["REGION"], Options::new());
    let error = reduction.to_sql(Dialect::Sqlite).unwrap_err();
    assert_eq!(error, SqlError::TooManyParameters { found: 32_767, limit: 32_766 });
    assert_eq!(error.code(), "too_many_parameters");
    assert!(reduction.to_sql(Dialect::Postgres).is_ok());
}

#[test]
fn a_value_that_postgres_cannot_hold_matches_nothing_there() {
    let access = "ACCESS,USERID,REGION\nUSER,ANA,A\0B\n";
    let sql = reduction(access, &["REGION"], Options::new()).to_sql(Dialect::Postgres).unwrap();
    assert_eq!((sql.predicate(), sql.parameters().len()), ("FALSE", 0));
}

/// Evaluates a predicate over one row of texts by the three-valued logic of SQL, for the few forms that are written.
struct Evaluator<'a> {
    words: Vec<String>,
    at: usize,
    sql: &'a Sql,
    next: usize,
    row: &'a HashMap<String, Option<String>>,
}

impl Evaluator<'_> {
    fn visible(sql: &Sql, row: &HashMap<String, Option<String>>) -> bool {
        let mut evaluator = Evaluator { words: words(sql.predicate()), at: 0, sql, next: 0, row };
        let visible = evaluator.any();
        assert_eq!(
            (evaluator.at, evaluator.next),
            (evaluator.words.len(), sql.parameters().len()),
            "{}",
            sql.predicate()
        );
        visible == Some(true)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|own| own == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, words: &[&str]) {
        for word in words {
            assert!(self.take(word), "{word} at {} of {:?}", self.at, self.words);
        }
    }

    fn any(&mut self) -> Option<bool> {
        let mut value = self.all();
        while self.take("OR") {
            let other = self.all();
            value = if value == Some(true) || other == Some(true) { Some(true) } else { value.and(other) };
        }
        value
    }

    fn all(&mut self) -> Option<bool> {
        let mut value = self.condition();
        while self.take("AND") {
            let other = self.condition();
            value = if value == Some(false) || other == Some(false) { Some(false) } else { value.and(other) };
        }
        value
    }

    fn condition(&mut self) -> Option<bool> {
        if self.take("(") {
            let value = self.any();
            self.expect(&[")"]);
            return value;
        }
        if self.take("1") {
            self.expect(&["="]);
            let value = self.take("1");
            assert!(value || self.take("0"));
            return Some(value);
        }
        for (word, value) in [("TRUE", true), ("FALSE", false)] {
            if self.take(word) {
                return Some(value);
            }
        }
        let cell = self.operand();
        if self.take("IS") {
            self.expect(&["NULL"]);
            return Some(cell.is_none());
        }
        if self.take("=") {
            self.expect(&["''"]);
            return cell.map(|cell| cell.is_empty());
        }
        self.expect(&["IN", "("]);
        let mut found = false;
        while !self.take(")") {
            let place = self.words[self.at].clone();
            self.at += 1;
            self.next += 1;
            assert!(place == "?" || place == format!("${}", self.next));
            found |= cell.as_ref() == Some(&self.sql.parameters()[self.next - 1]);
            self.take(",");
        }
        cell.map(|_| found)
    }

    /// A column, alone or as a text with a binary collation.
    fn operand(&mut self) -> Option<String> {
        if self.take("COLLATE") {
            self.expect(&["("]);
            let cell = self.operand();
            self.expect(&[",", "'utf8'", ")"]);
            return cell;
        }
        if self.take("CAST") {
            self.expect(&["("]);
            let cell = self.operand();
            self.expect(&["AS"]);
            assert!(self.take("text") || self.take("TEXT") || self.take("VARCHAR"));
            self.expect(&[")"]);
            if self.take("COLLATE") {
                assert!(self.take("\"C\"") || self.take("BINARY"));
            }
            return cell;
        }
        let name = self.words[self.at].clone();
        self.at += 1;
        self.row[name.trim_matches(['"', '`'])].clone()
    }
}

/// Words, quoted names and signs. The columns of generated data have no quotes in their names.
fn words(sql: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for c in sql.chars() {
        let joins = |last: &String| last.chars().all(|c| c.is_alphanumeric() || "$\"`'_".contains(c));
        match (c, words.last_mut()) {
            (' ', _) => open = false,
            ('(' | ')' | ',' | '=' | '?', _) => {
                words.push(c.to_string());
                open = false;
            }
            (c, Some(last)) if open && joins(last) => last.push(c),
            (c, _) => {
                words.push(c.to_string());
                open = true;
            }
        }
    }
    words
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn predicates_select_what_the_semantics_say(mut question in question(), dialect in prop::sample::select(vec![Dialect::Postgres, Dialect::Sqlite, Dialect::Snowflake])) {
        question.settings.fold = false;
        question.settings.strict = false;
        let expected = naive::reduce(&question.access, &question.data, &question.person, &question.settings);
        let (Ok(expected), Ok(reduction)) = (&expected, question.reduction()) else { return Ok(()) };
        let sql = reduction.to_sql(dialect).unwrap();
        let null = question.settings.null.as_deref();
        let mut rows = Vec::new();
        for row in &question.data.rows {
            let cells = question.data.header.iter().cloned().zip(row.iter().cloned().map(|cell| Some(cell).filter(|cell| Some(cell.as_str()) != null)));
            if Evaluator::visible(&sql, &cells.collect()) {
                let kept = question.data.header.iter().zip(row).filter(|(name, _)| expected.header.contains(name));
                rows.push(kept.map(|(_, cell)| cell.clone()).collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(&rows, &expected.rows);
    }
}
