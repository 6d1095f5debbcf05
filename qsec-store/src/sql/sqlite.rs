//! An SQLite database in one file, or in memory.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{Database, Pool};
use crate::error::{OpenError, judge};

/// Longest wait for another writer of the same file.
const BUSY: Duration = Duration::from_secs(10);

/// Longest wait for a connection of the pool: longer than one writer waits for another.
const ACQUIRE: Duration = Duration::from_secs(15);

/// Connections to one file. SQLite has one writer at a time; readers do not wait for it.
const CONNECTIONS: u32 = 4;

/// `application_id` of a file that the first migration made: the bytes "qsec".
const APPLICATION: i64 = 0x7173_6563;

/// Opens a file; makes it if it is missing.
pub(crate) async fn open_file(path: &Path) -> Result<Database, OpenError> {
    let refused = |source| OpenError::Path { path: path.to_owned(), source };
    // Absolute: a later connection finds the same file wherever the process is then, and no name (`:memory:`) is special.
    let file = std::path::absolute(path).map_err(refused)?;
    create(&file).map_err(refused)?;
    let place = format!("the database file `{}`", path.display());
    let options = options().filename(file);
    check_owner(&options, &place).await?;
    open(options.journal_mode(SqliteJournalMode::Wal), CONNECTIONS, place).await
}

/// Opens an empty database that lives as long as its one connection.
pub(crate) async fn in_memory() -> Result<Database, OpenError> {
    open(options().in_memory(true), 1, "the database in memory".to_owned()).await
}

async fn open(options: SqliteConnectOptions, connections: u32, place: String) -> Result<Database, OpenError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(|error| OpenError::from_store(&place, judge("open it", &place, &error)))?;
    Ok(Database { pool: Pool::Sqlite(pool), place: place.into() })
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        // A commit is on the disk when it returns.
        .synchronous(SqliteSynchronous::Full)
        // What is deleted is overwritten, and no copy of a row goes to a temporary file.
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        // A file that somebody else prepared runs no code of theirs, and damage is noticed early.
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

/// Makes an empty file that only its owner reads; SQLite gives its side files the same mode.
fn create(path: &Path) -> io::Result<()> {
    let mut new = OpenOptions::new();
    new.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    match new.open(path) {
        Ok(file) => {
            file.sync_all()?;
            sync_folder(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(path).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// A new file survives a crash only if its folder was synced too.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Refuses a file of another program before anything is written to it: to switch on the write-ahead log is a write.
async fn check_owner(options: &SqliteConnectOptions, place: &str) -> Result<(), OpenError> {
    const OWNER: &str = "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id";
    let attempt = async {
        let mut session = options.connect().await?;
        let row = sqlx::query(OWNER).fetch_one(&mut session).await?;
        session.close().await?;
        Ok((row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?))
    };
    match attempt.await.map_err(|error| OpenError::from_store(place, judge("open it", place, &error)))? {
        (APPLICATION, _) | (0, 0) => Ok(()),
        _ => Err(OpenError::Foreign { place: place.to_owned(), what: "it is a file of another program".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::error::StoreError;
    use crate::sql::{Statement, Value};

    async fn answer(database: &Database, sql: &'static str) -> Result<i64, StoreError> {
        database.row(&Statement { doing: "ask", sql }, &[]).await?.unwrap().number(0)
    }

    async fn on_file(folder: &tempfile::TempDir, connections: u32) -> Database {
        let path = folder.path().join("qsec.db");
        create(&path).unwrap();
        let options = options().filename(&path).journal_mode(SqliteJournalMode::Wal);
        open(options, connections, format!("the database file `{}`", path.display())).await.unwrap()
    }

    #[tokio::test]
    async fn every_connection_is_durable_and_overwrites_what_it_deletes() {
        let folder = tempfile::tempdir().unwrap();
        let database = on_file(&folder, CONNECTIONS).await;
        let expected = [
            ("PRAGMA synchronous", 2),
            ("PRAGMA secure_delete", 1),
            ("PRAGMA foreign_keys", 1),
            ("PRAGMA temp_store", 2),
            ("PRAGMA trusted_schema", 0),
            ("PRAGMA cell_size_check", 1),
            ("PRAGMA busy_timeout", 10_000),
            ("SELECT journal_mode = 'wal' FROM pragma_journal_mode", 1),
        ];
        for (sql, value) in expected {
            assert_eq!(answer(&database, sql).await.unwrap(), value, "{sql}");
        }
    }

    #[tokio::test]
    async fn extensions_cannot_be_loaded() {
        let database = in_memory().await.unwrap();
        let error = answer(&database, "SELECT load_extension('evil')").await.unwrap_err();
        let said = error.source().unwrap().to_string();
        assert!(said.contains("no such function") || said.contains("not authorized"), "{said}");
    }

    #[tokio::test]
    async fn full_disk_is_unavailable_and_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        // One connection: the limit of pages, which stands for the disk's, is its own.
        let database = on_file(&folder, 1).await;
        let make = Statement { doing: "make a table", sql: "CREATE TABLE heap (body BLOB)" };
        database.change(&make, &[]).await.unwrap();
        answer(&database, "PRAGMA max_page_count = 8").await.unwrap();
        let fill = Statement { doing: "fill the disk", sql: "INSERT INTO heap VALUES ($1)" };
        let error = database.change(&fill, &[Value::Bytes(&vec![1; 100_000])]).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
        assert!(error.source().unwrap().to_string().contains("full"), "{error:?}");
    }

    #[tokio::test]
    async fn database_that_may_only_be_read_is_unavailable_and_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let database = on_file(&folder, 1).await;
        let make = Statement { doing: "make a table", sql: "CREATE TABLE heap (body BLOB)" };
        database.change(&make, &[]).await.unwrap();
        database.close().await;
        let options = options().filename(folder.path().join("qsec.db")).read_only(true);
        let database = open(options, 1, format!("the database file `{}`", folder.path().display())).await.unwrap();
        let fill = Statement { doing: "write", sql: "INSERT INTO heap VALUES ($1)" };
        let error = database.change(&fill, &[Value::Bytes(&[1])]).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
        assert!(error.source().unwrap().to_string().contains("readonly"), "{error:?}");
    }

    #[tokio::test]
    async fn damaged_page_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let database = on_file(&folder, 1).await;
        let make = Statement { doing: "make a table", sql: "CREATE TABLE heap (body BLOB)" };
        database.change(&make, &[]).await.unwrap();
        let fill = Statement { doing: "fill", sql: "INSERT INTO heap VALUES ($1)" };
        database.change(&fill, &[Value::Bytes(&[1; 100])]).await.unwrap();
        database.close().await;
        let path = folder.path().join("qsec.db");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..4200].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        let database = on_file(&folder, 1).await;
        let error = answer(&database, "SELECT count(*) FROM heap").await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("malformed"), "{error}");
    }
}
