//! One way to speak to both databases: each query is written once, as constant text with `$1` parameters.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::query::Query;
use sqlx::{Encode, Row as _, Sqlite, Type};

use crate::error::{StoreError, judge, unavailable};

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod sqlite;

/// Longest wait for one answer of the database, after which the call ends as unavailable.
///
/// Longer than any wait that the database itself ends (10 s for a lock), shorter than a caller's patience.
const MAX_CALL: Duration = Duration::from_secs(30);

/// A constant query, and what it does in the words of an error message: "could not …".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statement {
    pub(crate) doing: &'static str,
    pub(crate) sql: &'static str,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Number(i64),
    /// A count or a time; the databases have signed numbers only.
    Count(u64),
    /// The generation or version of a row. One that no row can have is a conflict like any other that no row has.
    Generation(u64),
}

/// A database of either kind.
#[derive(Clone)]
pub(crate) struct Database {
    pool: Pool,
    /// How errors name it. Never a password.
    place: Arc<str>,
}

#[derive(Clone)]
enum Pool {
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

/// Changes that happen together or not at all. Dropped without a commit, it changes nothing.
pub(crate) struct Transaction {
    inner: Open,
    place: Arc<str>,
    doing: &'static str,
}

enum Open {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Session),
}

/// A row of an answer.
pub(crate) struct Row {
    inner: Columns,
    place: Arc<str>,
    doing: &'static str,
}

enum Columns {
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
}

/// Evaluates one expression with the driver's own value, whichever driver it is.
macro_rules! either {
    ($kind:ident, $value:expr, |$inner:ident| $expression:expr) => {
        match $value {
            $kind::Sqlite($inner) => $expression,
            #[cfg(feature = "postgres")]
            $kind::Postgres($inner) => $expression,
        }
    };
}

impl Database {
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.pool, Pool::Sqlite(_))
    }

    /// Every row that a query answers.
    pub(crate) async fn rows(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let call = async {
            Ok(match &self.pool {
                Pool::Sqlite(pool) => columns(bound(statement, values)?.fetch_all(pool).await, Columns::Sqlite),
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => {
                    let query = bound(statement, values)?;
                    let rows = postgres::run(pool, async |session| query.fetch_all(session).await).await;
                    columns(rows, Columns::Postgres)
                }
            })
        };
        let found = within(statement.doing, &self.place, call).await?;
        Ok(found.into_iter().map(|inner| Row { inner, place: self.place.clone(), doing: statement.doing }).collect())
    }

    /// The first row that a query answers.
    pub(crate) async fn row(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    /// Changes rows in a transaction of its own; answers how many.
    pub(crate) async fn change(&self, statement: &Statement, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let call = async {
            Ok(match &self.pool {
                Pool::Sqlite(pool) => bound(statement, values)?.execute(pool).await.map(|done| done.rows_affected()),
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => {
                    let query = bound(statement, values)?;
                    let done = postgres::run(pool, async |session| query.execute(session).await).await;
                    done.map(|done| done.rows_affected())
                }
            })
        };
        within(statement.doing, &self.place, call).await
    }

    /// Changes exactly one row.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is no row as the statement wants it.
    pub(crate) async fn change_one(&self, statement: &Statement, values: &[Value<'_>]) -> Result<(), StoreError> {
        one(statement, self.change(statement, values).await?)
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self, doing: &'static str) -> Result<Transaction, StoreError> {
        let call = async {
            Ok(match &self.pool {
                // Takes the write lock at once: a transaction that reads first could not be promoted under a writer.
                Pool::Sqlite(pool) => pool.begin_with("BEGIN IMMEDIATE").await.map(Open::Sqlite),
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => postgres::Session::begin(pool).await.map(Open::Postgres),
            })
        };
        let inner = within(doing, &self.place, call).await?;
        Ok(Transaction { inner, place: self.place.clone(), doing })
    }

    /// Rewrites the database so that freed pages hold nothing of rows that are gone. Takes as long as it takes.
    pub(crate) async fn compact(&self) -> Result<(), StoreError> {
        let done = match &self.pool {
            Pool::Sqlite(pool) => sqlx::raw_sql("VACUUM").execute(pool).await.map(drop),
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => postgres::compact(pool).await,
        };
        done.map_err(|error| judge("compact the database", &self.place, &error))?;
        self.scrub().await
    }

    /// Empties the write-ahead log of SQLite, where overwritten pages live on. PostgreSQL recycles its own.
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> {
        const SCRUB: Statement =
            Statement { doing: "empty the write-ahead log", sql: "PRAGMA wal_checkpoint(TRUNCATE)" };
        if !self.is_sqlite() {
            return Ok(());
        }
        match self.row(&SCRUB, &[]).await? {
            Some(row) if row.number(0)? != 0 => {
                Err(unavailable(SCRUB.doing, &self.place, "a reader still uses it".to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn close(&self) {
        either!(Pool, &self.pool, |pool| pool.close().await);
    }
}

impl Transaction {
    /// Changes rows; answers how many.
    pub(crate) async fn change(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let call = async {
            Ok(either!(Open, &mut self.inner, |open| bound(statement, values)?
                .execute(&mut **open)
                .await
                .map(|done| done.rows_affected())))
        };
        within(statement.doing, &self.place, call).await
    }

    /// Changes exactly one row.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is no row as the statement wants it.
    pub(crate) async fn change_one(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<(), StoreError> {
        one(statement, self.change(statement, values).await?)
    }

    /// Runs a script of several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let call = async {
            Ok(either!(Open, &mut self.inner, |open| sqlx::raw_sql(sql).execute(&mut **open).await.map(drop)))
        };
        within(self.doing, &self.place, call).await
    }

    /// Makes the changes durable if they all succeeded, and undoes them otherwise.
    pub(crate) async fn end<T>(self, changes: Result<T, StoreError>) -> Result<T, StoreError> {
        let call = async {
            Ok(match &changes {
                Ok(_) => either!(Open, self.inner, |open| open.commit().await),
                // To drop the transaction undoes it too, but costs a PostgreSQL session; a lost race shall not.
                Err(error) if !error.is_retryable() => either!(Open, self.inner, |open| open.rollback().await),
                Err(_) => Ok(()),
            })
        };
        let ended = within(self.doing, &self.place, call).await;
        let value = changes?;
        ended.map(|()| value)
    }
}

impl Row {
    pub(crate) fn text(&self, column: usize) -> Result<String, StoreError> {
        either!(Columns, &self.inner, |row| row.try_get(column)).map_err(|error| self.undecodable(&error))
    }

    /// Text of a column that an outer join leaves empty.
    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        either!(Columns, &self.inner, |row| row.try_get(column)).map_err(|error| self.undecodable(&error))
    }

    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        either!(Columns, &self.inner, |row| row.try_get(column)).map_err(|error| self.undecodable(&error))
    }

    pub(crate) fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], StoreError> {
        self.bytes(column)?.try_into().map_err(|_| self.damaged(&format!("column {column} has not {N} bytes")))
    }

    pub(crate) fn number(&self, column: usize) -> Result<i64, StoreError> {
        either!(Columns, &self.inner, |row| row.try_get(column)).map_err(|error| self.undecodable(&error))
    }

    pub(crate) fn count(&self, column: usize) -> Result<u64, StoreError> {
        self.number(column)?.try_into().map_err(|_| self.damaged(&format!("column {column} is negative")))
    }

    /// The error of a value that no statement of this crate can have written.
    pub(crate) fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { doing: self.doing, what: format!("{} holds a damaged record: {what}", self.place) }
    }

    fn undecodable(&self, error: &sqlx::Error) -> StoreError {
        judge(self.doing, &self.place, error)
    }
}

fn one(statement: &Statement, changed: u64) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict { doing: statement.doing }) }
}

fn columns<R>(rows: Result<Vec<R>, sqlx::Error>, wrap: fn(R) -> Columns) -> Result<Vec<Columns>, sqlx::Error> {
    rows.map(|rows| rows.into_iter().map(wrap).collect())
}

/// A query of one driver with its parameters.
fn bound<'q, D>(statement: &Statement, values: &[Value<'_>]) -> Result<Query<'q, D, D::Arguments>, StoreError>
where
    D: sqlx::Database,
    for<'v> &'v str: Encode<'v, D> + Type<D>,
    for<'v> &'v [u8]: Encode<'v, D> + Type<D>,
    for<'v> i64: Encode<'v, D> + Type<D>,
{
    let refused = |what: &str| StoreError::Refused { doing: statement.doing, what: what.to_owned() };
    let mut query = sqlx::query(statement.sql);
    for value in values {
        query = match *value {
            // PostgreSQL has no such text, so neither back end takes it.
            Value::Text(text) if text.contains('\0') => return Err(refused("a text holds a NUL character")),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Number(number) => query.bind(number),
            Value::Generation(generation) => {
                query.bind(i64::try_from(generation).unwrap_or(i64::MAX).min(i64::MAX - 1))
            }
            Value::Count(count) => query.bind(i64::try_from(count).map_err(|_| refused("a number is above 2^63 - 1"))?),
        };
    }
    Ok(query)
}

/// Waits for the database, but not for ever.
async fn within<T>(
    doing: &'static str,
    place: &str,
    call: impl Future<Output = Result<Result<T, sqlx::Error>, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(MAX_CALL, call).await {
        Ok(answer) => answer?.map_err(|error| judge(doing, place, &error)),
        Err(_) => Err(unavailable(doing, place, format!("no answer within {} s", MAX_CALL.as_secs()))),
    }
}
