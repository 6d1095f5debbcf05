//! The store itself: one type for both databases.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::error::{OpenError, StoreError};
use crate::schema;
use crate::sql::{self, Database};

/// A future that a store returns: boxed, so that the traits can be used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A database that keeps the records of the whole family.
///
/// A clone is another handle of the same database. It belongs to the tokio runtime in which it was opened.
///
/// ```
/// use qsec_store::{SettingRow, SettingStore, Store};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = Store::in_memory().await?;
/// store.write(&SettingRow { name: "zone".to_owned(), generation: 1, body: b"\"prod\"".to_vec() }).await?;
/// # let _: &dyn SettingStore = &store;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store {
    pub(crate) database: Database,
    /// Unix second at which this handle last removed replay entries that had ended.
    pub(crate) swept: Arc<AtomicU64>,
}

impl Store {
    /// Opens a store in one SQLite file, which is made, readable by its owner only, if it is missing.
    ///
    /// The folder MUST be on a local disk: the write-ahead log of SQLite does not work over a network file system.
    ///
    /// # Errors
    /// [`OpenError`], which names the path.
    pub async fn open_file(path: impl AsRef<Path> + Send) -> Result<Self, OpenError> {
        Self::with(sql::sqlite::open_file(path.as_ref()).await?).await
    }

    /// Opens an empty store that is gone when its last handle is: for tests and examples.
    ///
    /// # Errors
    /// [`OpenError`] if SQLite gets no memory.
    pub async fn in_memory() -> Result<Self, OpenError> {
        Self::with(sql::sqlite::in_memory().await?).await
    }

    /// Connects to PostgreSQL: `postgres://user:password@host:port/database?sslmode=verify-full`.
    ///
    /// Without `sslmode` the connection to another machine is TLS with the server's name verified, by the public roots
    /// unless `sslrootcert` names a file. The other parameters are `sslcert`, `sslkey`, `application_name` and
    /// `options[search_path]`. What the URL leaves out, the password first of all, the driver takes from the environment
    /// as `psql` does: `PGPASSWORD`, the password file, `PGSSLROOTCERT`, `PGOPTIONS`; but user, host and database must be
    /// in the URL, and `PGSSLMODE` does not count.
    ///
    /// ```no_run
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = qsec_store::Store::connect("postgres://qsec@db.internal/qsec").await?;
    /// # drop(store);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OpenError`], which never holds the URL.
    #[cfg(feature = "postgres")]
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        Self::with(sql::postgres::connect(url).await?).await
    }

    /// Rewrites the database so that freed pages hold nothing of rows that are gone: the last step of a purge.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database is busy, or may not be rewritten by this user.
    pub async fn compact(&self) -> Result<(), StoreError> {
        self.database.compact().await
    }

    /// Ends every connection, of all handles; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.database.close().await;
    }

    async fn with(database: Database) -> Result<Self, OpenError> {
        schema::migrate(&database).await?;
        Ok(Self { database, swept: Arc::default() })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("place", &self.database.place()).finish_non_exhaustive()
    }
}
