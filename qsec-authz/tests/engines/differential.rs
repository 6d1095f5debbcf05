//! The naive evaluator, the Arrow mask, SQL on SQLite, SQL on PostgreSQL and row-level security on PostgreSQL give the same rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt8Type};
use arrow_array::{ArrayRef, DictionaryArray, LargeStringArray, RecordBatch, StringArray, StringViewArray};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use qsec_authz::section::row_security::{ENTER, RowSecurity, Ticket};
use qsec_authz::section::{Dialect, Reduction};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use crate::naive::{self, Grid};
use crate::question::{Question, question};
use crate::server::{self, Database, run};

/// Questions that are answered with rows, and compared in every engine. Those that end in a refusal or an error have no SQL.
const CASES_IN_CI: usize = 10_000;
/// A tenth of them elsewhere, for the sake of whoever waits.
const CASES: usize = CASES_IN_CI / 10;

type Cell = Option<String>;
type Rows = Vec<Vec<Cell>>;

/// A question with its answer.
struct Case {
    question: Question,
    reduction: Reduction,
    columns: Vec<String>,
    rows: Rows,
}

impl Case {
    /// Comparison in upper case is not said in SQL, and strictness decides before there are rows.
    fn new(mut question: Question) -> Option<Self> {
        question.settings.fold = false;
        question.settings.strict = false;
        let expected = naive::reduce(&question.access, &question.data, &question.person, &question.settings).ok()?;
        let reduction = question.reduction().unwrap();
        let rows = cells(&question, &expected);
        Some(Self { question, reduction, columns: expected.header, rows })
    }

    fn data(&self) -> Rows {
        cells(&self.question, &self.question.data)
    }

    #[track_caller]
    fn compare(&self, engine: &str, mut rows: Rows) {
        let mut expected = self.rows.clone();
        expected.sort();
        rows.sort();
        assert_eq!(rows, expected, "{engine}: {:#?}", self.question);
    }
}

fn cells(question: &Question, grid: &Grid) -> Rows {
    let null = question.settings.null.as_deref();
    let cell = |cell: &String| Some(cell.clone()).filter(|cell| Some(cell.as_str()) != null);
    grid.rows.iter().map(|row| row.iter().map(cell).collect()).collect()
}

#[tokio::test]
async fn every_engine_gives_the_rows_of_the_semantics() {
    let mut sqlite = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let database = Database::fresh().await;
    let mut postgres = match &database {
        Some(database) => Some(Postgres::new(database).await),
        None => None,
    };
    let mut runner = TestRunner::default();
    let wanted = if server::is_ci() { CASES_IN_CI } else { CASES };
    let (mut cases, mut with_rows, mut reduced) = (0, 0, 0);
    while cases < wanted {
        let Some(case) = Case::new(question().new_tree(&mut runner).unwrap().current()) else { continue };
        case.compare("arrow", by_arrow(&case, cases));
        case.compare("sqlite", by_sqlite(&case, &mut sqlite).await);
        if let Some(postgres) = &mut postgres {
            postgres.compare(&case).await;
        }
        cases += 1;
        with_rows += usize::from(!case.rows.is_empty());
        reduced += usize::from(case.rows.len() < case.question.data.rows.len());
    }
    assert!(with_rows > wanted / 10 && reduced > wanted / 10, "{with_rows} {reduced}");
    let shapes = postgres.as_ref().map_or(0, |postgres| postgres.installed.len());
    println!("{cases} cases: {with_rows} with rows, {reduced} with fewer than all; {shapes} installations");
    drop(postgres);
    if let Some(database) = database {
        database.end().await;
    }
}

/// The kinds of columns in turn, in two batches, with strictness decided over both.
fn by_arrow(case: &Case, turn: usize) -> Rows {
    let data = case.data();
    let (front, back) = data.split_at(data.len() / 2);
    let mut rows = Rows::new();
    let batches = [front, back].map(|part| {
        let columns = case.question.data.header.iter().enumerate().map(|(index, name)| {
            let cells: Vec<Option<&str>> = part.iter().map(|row| row[index].as_deref()).collect();
            (name, column(cells, turn + index), true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    });
    let mut survey = case.reduction.survey();
    for batch in &batches {
        survey.observe(batch).unwrap();
    }
    let admitted = survey.admit().unwrap();
    for batch in &batches {
        let reduced = admitted.apply(batch).unwrap();
        assert_eq!(
            reduced.schema().fields().iter().map(|field| field.name()).collect::<Vec<_>>(),
            case.columns.iter().collect::<Vec<_>>()
        );
        assert_eq!(case.reduction.mask(batch).unwrap().true_count(), reduced.num_rows());
        let columns: Vec<Vec<Cell>> = reduced.columns().iter().map(texts).collect();
        rows.extend((0..reduced.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    rows
}

fn column(cells: Vec<Option<&str>>, kind: usize) -> ArrayRef {
    match kind % 5 {
        0 => Arc::new(StringArray::from(cells)),
        1 => Arc::new(LargeStringArray::from(cells)),
        2 => Arc::new(StringViewArray::from(cells)),
        3 => Arc::new(cells.into_iter().collect::<DictionaryArray<Int32Type>>()),
        _ => Arc::new(cells.into_iter().collect::<DictionaryArray<UInt8Type>>()),
    }
}

fn texts(column: &ArrayRef) -> Vec<Cell> {
    fn all<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Vec<Cell> {
        texts.map(|text| text.map(str::to_owned)).collect()
    }
    if let Some(texts) = column.as_string_opt::<i32>() {
        all(texts.iter())
    } else if let Some(texts) = column.as_string_opt::<i64>() {
        all(texts.iter())
    } else if let Some(texts) = column.as_string_view_opt() {
        all(texts.iter())
    } else if let Some(keys) = column.as_dictionary_opt::<Int32Type>() {
        all(keys.downcast_dict::<StringArray>().unwrap().into_iter())
    } else {
        all(column.as_dictionary::<UInt8Type>().downcast_dict::<StringArray>().unwrap().into_iter())
    }
}

/// In a table whose columns ignore case, which the predicate must not.
async fn by_sqlite(case: &Case, session: &mut SqliteConnection) -> Rows {
    let header = &case.question.data.header;
    let columns: Vec<String> = header.iter().map(|name| format!("`{name}` TEXT COLLATE NOCASE")).collect();
    let table = format!("DROP TABLE IF EXISTS d; CREATE TABLE d ({})", columns.join(", "));
    sqlx::raw_sql(AssertSqlSafe(table)).execute(&mut *session).await.unwrap();
    let data = case.data();
    if !data.is_empty() {
        let places = vec!["?"; header.len()].join(", ");
        let insert = format!("INSERT INTO d VALUES {}", vec![format!("({places})"); data.len()].join(", "));
        let insert =
            data.iter().flatten().fold(sqlx::query(AssertSqlSafe(insert)).persistent(false), sqlx::query::Query::bind);
        insert.execute(&mut *session).await.unwrap();
    }
    let sql = case.reduction.to_sql(Dialect::Sqlite).unwrap();
    let select = sqlx::query(AssertSqlSafe(sql.select(["d"]).unwrap())).persistent(false);
    let select = sql.parameters().iter().fold(select, sqlx::query::Query::bind);
    let rows = select.fetch_all(session).await.unwrap();
    rows.iter().map(|row| (0..case.columns.len()).map(|column| row.get(column)).collect()).collect()
}

/// One session that takes the role of each in turn; tables by the shape of access tables that is installed on them.
struct Postgres<'d> {
    database: &'d Database,
    session: PgConnection,
    installed: HashMap<String, String>,
}

impl<'d> Postgres<'d> {
    async fn new(database: &'d Database) -> Self {
        let mut session = database.superuser().await;
        let (owner, loader) = (database.role("owner"), database.role("loader"));
        let schemas = format!(
            "SET synchronous_commit = off; SET client_min_messages = error;
             CREATE SCHEMA store AUTHORIZATION {owner}; GRANT USAGE ON SCHEMA store TO {loader};
             CREATE SCHEMA shown AUTHORIZATION {owner};
             CREATE COLLATION public.lenient (provider = icu, locale = 'und-u-ks-level1', deterministic = false)"
        );
        run(&mut session, &schemas).await;
        Self { database, session, installed: HashMap::new() }
    }

    /// The predicate on the table, as the loader; then the view, as the reader.
    async fn compare(&mut self, case: &Case) {
        let (rows, table) = self.row_security(case).await;
        let (loader, reader) = (self.database.role("loader"), self.database.role("reader"));
        run(&mut self.session, &format!("BEGIN; SET LOCAL ROLE {loader}")).await;
        self.insert(case, &table).await;
        let sql = case.reduction.to_sql(Dialect::Postgres).unwrap();
        let select = sql.select(["store", &table]).unwrap();
        case.compare("postgres", self.select(&select, sql.parameters(), case.columns.len()).await);

        let ticket = Ticket::generate().unwrap();
        let grant = rows.grant(&case.reduction, &ticket, Duration::from_mins(10)).unwrap();
        self.execute(grant.sql(), grant.parameters()).await;
        run(&mut self.session, &format!("SET LOCAL ROLE {reader}")).await;
        self.execute(ENTER, &[ticket.expose_secret().to_owned()]).await;
        let shown = self.select(&rows.select(&case.reduction), &[], case.columns.len()).await;
        case.compare("row-level security", shown);
        self.omitted_columns_are_null(case, &table).await;
        run(&mut self.session, "ROLLBACK").await;
    }

    async fn omitted_columns_are_null(&mut self, case: &Case, table: &str) {
        let hidden = case.question.data.header.iter().filter(|name| !case.columns.contains(name));
        let is_there: Vec<String> = hidden.map(|name| format!("\"{name}\" IS NOT NULL")).collect();
        if !is_there.is_empty() {
            let select = format!("SELECT '1' FROM shown.{table} WHERE {}", is_there.join(" OR "));
            assert_eq!(self.select(&select, &[], 1).await, Rows::new(), "{:#?}", case.question);
        }
    }

    /// Installs on a new table if there is none of this shape.
    async fn row_security(&mut self, case: &Case) -> (RowSecurity, String) {
        let (access, roles) = (case.question.checked().unwrap(), self.database.roles());
        let of = |table: &str| RowSecurity::new(&access, ["store", table], ["shown", table], &roles).unwrap();
        let shape = format!("{:?}", of("t"));
        if let Some(table) = self.installed.get(&shape) {
            return (of(table), table.clone());
        }
        let table = format!("t{}", self.installed.len());
        let header = &case.question.data.header;
        let columns: Vec<String> =
            header.iter().map(|name| format!("\"{name}\" text COLLATE public.lenient")).collect();
        let create = format!("CREATE TABLE store.{table} ({})", columns.join(", "));
        run(&mut self.session, &format!("BEGIN; SET LOCAL ROLE {}; {create}", self.database.role("owner"))).await;
        let rows = of(&table);
        run(&mut self.session, &rows.install().join(";\n")).await;
        run(&mut self.session, "COMMIT").await;
        self.installed.insert(shape, table.clone());
        (rows, table)
    }

    async fn insert(&mut self, case: &Case, table: &str) {
        let (data, width) = (case.data(), case.question.data.header.len());
        if data.is_empty() {
            return;
        }
        let row = |row: usize| {
            let places: Vec<String> = (0..width).map(|column| format!("${}", row * width + column + 1)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..data.len()).map(row).collect();
        let insert = sqlx::query(AssertSqlSafe(format!("INSERT INTO store.{table} VALUES {}", rows.join(", "))));
        let insert = data.iter().flatten().fold(insert.persistent(false), sqlx::query::Query::bind);
        insert.execute(&mut self.session).await.unwrap();
    }

    async fn execute(&mut self, sql: &str, parameters: &[String]) {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        parameters.iter().fold(query, sqlx::query::Query::bind).execute(&mut self.session).await.unwrap();
    }

    async fn select(&mut self, sql: &str, parameters: &[String], width: usize) -> Rows {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false);
        let query = parameters.iter().fold(query, sqlx::query::Query::bind);
        let rows = query.fetch_all(&mut self.session).await.unwrap();
        rows.iter().map(|row| (0..width).map(|column| row.get(column)).collect()).collect()
    }
}
