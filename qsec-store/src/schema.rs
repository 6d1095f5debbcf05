//! The tables, and how a database of an older program gets the ones it lacks.

use crate::error::{OpenError, StoreError};
use crate::sql::{Database, Statement, Transaction, Value};

/// One step from a schema version to the next.
struct Migration {
    version: i64,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Every step, in order. A released step never changes.
const MIGRATIONS: [Migration; 1] = [Migration {
    version: 1,
    sqlite: include_str!("../migrations/sqlite/0001_first.sql"),
    postgres: include_str!("../migrations/postgres/0001_first.sql"),
}];

const DOING: &str = "bring the schema up to date";

const EXISTS_SQLITE: Statement =
    Statement { doing: DOING, sql: "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'qsec_schema'" };

const EXISTS_POSTGRES: Statement =
    Statement { doing: DOING, sql: "SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('qsec_schema')" };

const VERSION: Statement = Statement { doing: DOING, sql: "SELECT coalesce(max(version), 0) FROM qsec_schema" };

/// Two nodes that start at once migrate one after the other. SQLite has one writer anyway.
const LOCK_POSTGRES: &str = "SELECT pg_advisory_xact_lock(1903388003)";

const CREATE: &str = "CREATE TABLE IF NOT EXISTS qsec_schema (version BIGINT PRIMARY KEY)";

const REACHED: Statement =
    Statement { doing: DOING, sql: "INSERT INTO qsec_schema (version) VALUES ($1) ON CONFLICT DO NOTHING" };

/// Brings the tables to the newest version. A current database is only read: its user need not own the tables.
pub(crate) async fn migrate(database: &Database) -> Result<(), OpenError> {
    let failed = |error: StoreError| OpenError::from_store(database.place(), error);
    let known = MIGRATIONS.last().map_or(0, |newest| newest.version);
    let found = version(database).await.map_err(failed)?;
    if found < known {
        advance(database).await.map_err(failed)?;
    }
    if found > known {
        return Err(OpenError::SchemaNewer { place: database.place().to_owned(), found, known });
    }
    Ok(())
}

async fn version(database: &Database) -> Result<i64, StoreError> {
    let exists = if database.is_sqlite() { &EXISTS_SQLITE } else { &EXISTS_POSTGRES };
    if number(database, exists).await? == 0 {
        return Ok(0);
    }
    number(database, &VERSION).await
}

async fn number(database: &Database, statement: &Statement) -> Result<i64, StoreError> {
    match database.row(statement, &[]).await? {
        Some(row) => row.number(0),
        None => Ok(0),
    }
}

/// Runs the steps that are missing, all in one transaction.
async fn advance(database: &Database) -> Result<(), StoreError> {
    let mut change = database.begin(DOING).await?;
    let advanced = run_steps(&mut change, database.is_sqlite()).await;
    change.end(advanced).await
}

async fn run_steps(change: &mut Transaction, sqlite: bool) -> Result<(), StoreError> {
    if !sqlite {
        change.script(LOCK_POSTGRES).await?;
    }
    change.script(CREATE).await?;
    for migration in &MIGRATIONS {
        // Nothing is new if another node did the step while this one waited for the lock.
        if change.change(&REACHED, &[Value::Number(migration.version)]).await? == 1 {
            change.script(if sqlite { migration.sqlite } else { migration.postgres }).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of tables, columns and indexes of a script, in order.
    fn names(script: &str) -> Vec<&str> {
        let words = script.lines().filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["CREATE", "TABLE" | "INDEX", name, ..] | [name, "TEXT" | "BLOB" | "BYTEA" | "INTEGER" | "BIGINT", ..] => {
                Some(name)
            }
            _ => None,
        });
        words.collect()
    }

    #[test]
    fn both_databases_have_the_same_tables_and_columns() {
        for migration in &MIGRATIONS {
            assert_eq!(names(migration.sqlite), names(migration.postgres));
            assert!(names(migration.sqlite).len() > 50, "the comparison sees the tables");
        }
    }

    #[test]
    fn versions_count_up_from_one() {
        assert!(MIGRATIONS.iter().map(|migration| migration.version).eq(1..=MIGRATIONS.len().try_into().unwrap()));
    }

    #[test]
    fn every_table_of_sqlite_is_strict() {
        for migration in &MIGRATIONS {
            let tables = migration.sqlite.matches("CREATE TABLE").count();
            assert_eq!(migration.sqlite.matches(") STRICT").count(), tables);
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn compacting_names_every_table() {
        let tables = MIGRATIONS.iter().flat_map(|migration| names(migration.postgres));
        for table in
            tables.filter(|name| name.starts_with("qsec_") && !name.contains("keep_until") && !name.contains("spki"))
        {
            assert!(crate::sql::postgres::COMPACT.contains(table), "{table}");
        }
    }
}
