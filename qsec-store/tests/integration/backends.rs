//! The databases that the tests run on, each test with one of its own.

use qsec_store::Store;
use tempfile::TempDir;

/// Two handles of one database, opened apart from each other where that is possible.
pub(crate) struct Scratch {
    pub(crate) store: Store,
    pub(crate) other: Store,
    /// Removed with the value.
    _folder: Option<TempDir>,
}

impl Scratch {
    pub(crate) async fn memory() -> Option<Self> {
        let store = Store::in_memory().await.unwrap();
        Some(Self { other: store.clone(), store, _folder: None })
    }

    pub(crate) async fn file() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qsec.db");
        let store = Store::open_file(&path).await.unwrap();
        Some(Self { store, other: Store::open_file(&path).await.unwrap(), _folder: Some(folder) })
    }

    /// A schema of its own, made with the rights of an application and no more.
    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres() -> Option<Self> {
        let url = schema_url().await?;
        let store = Store::connect(&url).await.unwrap();
        Some(Self { store, other: Store::connect(&url).await.unwrap(), _folder: None })
    }

    pub(crate) async fn end(self) {
        self.store.close().await;
        self.other.close().await;
    }
}

/// The URL of an empty schema; none, said aloud, if there is no server.
#[cfg(feature = "postgres")]
pub(crate) async fn schema_url() -> Option<String> {
    use std::sync::atomic::{AtomicU32, Ordering};

    use sqlx::{AssertSqlSafe, Connection as _};

    static NEXT: AtomicU32 = AtomicU32::new(0);
    let url = server_url()?;
    let schema = format!("qsec_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut session = sqlx::PgConnection::connect(&url).await.unwrap();
    let fresh =
        format!("SET client_min_messages = error; DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
    sqlx::raw_sql(AssertSqlSafe(fresh)).execute(&mut session).await.unwrap();
    session.close().await.unwrap();
    Some(format!("{url}?options[search_path]={schema}"))
}

/// The URL of a throw-away server, from `QSEC_TEST_POSTGRES`.
#[cfg(feature = "postgres")]
#[expect(clippy::disallowed_methods, reason = "a test asks its environment for a server")]
pub(crate) fn server_url() -> Option<String> {
    let url = std::env::var("QSEC_TEST_POSTGRES").ok();
    if url.is_none() {
        println!("not run: postgres: QSEC_TEST_POSTGRES is not set");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "postgres must be tested in CI");
    }
    url
}

/// Runs each named `async fn(&Scratch)` of the module on every database.
macro_rules! on_every_database {
    ($($test:ident),+ $(,)?) => {
        mod memory { $($crate::backends::on_one_database!(memory, $test);)+ }
        mod file { $($crate::backends::on_one_database!(file, $test);)+ }
        #[cfg(feature = "postgres")]
        mod postgres { $($crate::backends::on_one_database!(postgres, $test);)+ }
    };
}

macro_rules! on_one_database {
    ($database:ident, $test:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            if let Some(scratch) = $crate::backends::Scratch::$database().await {
                super::$test(&scratch).await;
                scratch.end().await;
            }
        }
    };
}

pub(crate) use {on_every_database, on_one_database};
