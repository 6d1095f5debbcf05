//! What only a server can do: be away, refuse, come back, and be set up in another way.

use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qsec_store::{OpenError, SettingRow, SettingStore, Store};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::backends::{schema_url, server_url};

const PASSWORD: &str = "hunter2";

/// Everything that an error can tell, in every form.
fn told(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| (*error).source());
    chain.map(|error| format!("{error} {error:?} {error:#?}")).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn url_that_is_refused_is_never_repeated() {
    let urls = [
        "mysql://ana:hunter2@db/qsec",
        "postgres://ana:hunter2@db",
        "postgres://ana:hunter2@/qsec",
        "postgres://ana:hunter2@:5432/qsec",
        "postgres://:hunter2@db/qsec",
        "postgres://db/qsec?user=ana&password=hunter2",
        "postgres://ana:hunter2@db/qsec?pasword=hunter2",
        "postgres://ana:hunter2@db/qsec?sslmode=hunter2",
        "postgres://ana:hunter2@db/qsec?hunter2",
        "postgres://ana:hunter2@db:hunter2/qsec",
        "postgres://ana:hunter2#@db/qsec",
        "postgres://ana:hunter2@[::hunter2]/qsec",
        "postgres://ana:%ff%fehunter2@db/qsec",
    ];
    for url in urls {
        let error = Store::connect(url).await.unwrap_err();
        assert!(matches!(error, OpenError::Url { .. }), "{error:?}");
        assert_eq!(error.code(), "url_refused");
        assert!(!told(&error).contains(PASSWORD), "{}", told(&error));
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn password_is_in_no_log_and_no_error() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("trace"))
        .with_writer(move || writer.clone())
        .finish();
    let collector = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = format!("postgres://ana:{PASSWORD}@{free}/qsec");
    let error = Store::connect(&away).await.unwrap_err();
    assert!(matches!(error, OpenError::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains(&free.to_string()), "{error}");
    assert!(!told(&error).contains(PASSWORD), "{}", told(&error));
    Store::connect(&format!("{away}?password={PASSWORD}")).await.unwrap_err();
    if let Some(url) = schema_url().await {
        let store = Store::connect(&url).await.unwrap();
        assert!(!format!("{store:?}").contains("app:app"), "{store:?}");
        let (user, rest) = url.split_once(":app@").unwrap_or((&url, ""));
        if !rest.is_empty() {
            let error = Store::connect(&format!("{user}:{PASSWORD}@{rest}")).await.unwrap_err();
            assert!(told(&error).contains("password authentication failed"), "{}", told(&error));
            assert!(!told(&error).contains(PASSWORD), "{}", told(&error));
        }
    }
    drop(collector);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn nodes_that_start_at_once_make_one_schema() {
    let Some(url) = schema_url().await else { return };
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Store::connect(&url).await })
        })
        .collect();
    for store in opening {
        store.await.unwrap().unwrap().close().await;
    }
}

#[tokio::test]
async fn schema_of_a_newer_program_is_refused() {
    let Some(url) = schema_url().await else { return };
    Store::connect(&url).await.unwrap().close().await;
    let mut session = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("INSERT INTO qsec_schema (version) VALUES (99)").execute(&mut session).await.unwrap();
    let error = Store::connect(&url).await.unwrap_err();
    assert!(matches!(error, OpenError::SchemaNewer { found: 99, known: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn settings_of_the_role_do_not_weaken_a_session() {
    let Some(url) = schema_url().await else { return };
    let mut session = PgConnection::connect(&url).await.unwrap();
    let weak = "ALTER ROLE CURRENT_USER SET synchronous_commit = off;
                ALTER ROLE CURRENT_USER SET default_transaction_isolation = 'serializable'";
    let weakened = sqlx::raw_sql(weak).execute(&mut session).await;
    let store = Store::connect(&url).await.unwrap();
    // Only a session inside the store can tell; a trigger writes down what it sees.
    let spy = "CREATE TABLE seen (what TEXT);
               CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   INSERT INTO seen VALUES (current_setting('synchronous_commit') || ' ' || current_setting('transaction_isolation'));
                   RETURN NEW;
               END $$;
               CREATE TRIGGER spy BEFORE INSERT ON qsec_setting FOR EACH ROW EXECUTE FUNCTION spy()";
    sqlx::raw_sql(spy).execute(&mut session).await.unwrap();
    let row = SettingRow { name: "a".to_owned(), generation: 1, body: vec![] };
    let written = SettingStore::write(&store, &row).await;
    let strong = "ALTER ROLE CURRENT_USER RESET synchronous_commit;
                  ALTER ROLE CURRENT_USER RESET default_transaction_isolation";
    sqlx::raw_sql(strong).execute(&mut session).await.unwrap();
    weakened.unwrap();
    written.unwrap();
    let seen: String = sqlx::query_scalar("SELECT what FROM seen").fetch_one(&mut session).await.unwrap();
    assert_eq!(seen, "on read committed");
}

#[tokio::test]
async fn sessions_that_the_server_ends_are_replaced() {
    let Some(url) = schema_url().await else { return };
    let store = Store::connect(&format!("{url}&application_name=ended")).await.unwrap();
    let row = SettingRow { name: "a".to_owned(), generation: 1, body: vec![1] };
    SettingStore::write(&store, &row).await.unwrap();
    let mut session = PgConnection::connect(&server_url().unwrap()).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ended'";
    sqlx::raw_sql(end).execute(&mut session).await.unwrap();
    assert_eq!(SettingStore::get(&store, "a").await.unwrap(), Some(row));
}

#[tokio::test]
async fn compacting_leaves_every_row() {
    let Some(url) = schema_url().await else { return };
    let store = Store::connect(&url).await.unwrap();
    let row = SettingRow { name: "a".to_owned(), generation: 1, body: vec![1; 5000] };
    SettingStore::write(&store, &row).await.unwrap();
    store.compact().await.unwrap();
    assert_eq!(SettingStore::get(&store, "a").await.unwrap(), Some(row));
}

#[tokio::test]
async fn row_that_somebody_locks_for_ever_is_unavailable_in_time() {
    let Some(url) = schema_url().await else { return };
    let store = Store::connect(&url).await.unwrap();
    let mut session = PgConnection::connect(&url).await.unwrap();
    let mut open = session.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE qsec_setting IN ACCESS EXCLUSIVE MODE").execute(&mut *open).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(20), SettingStore::get(&store, "a")).await;
    let error = waited.expect("the lock timeout ends it").unwrap_err();
    assert_eq!(error.code(), "store_unavailable", "{error:?}");
    open.rollback().await.unwrap();
    assert_eq!(SettingStore::get(&store, "a").await.unwrap(), None);
}

/// Passes bytes between clients and the server until it is cut.
async fn line(listener: TcpListener, server: String) {
    let mut open = tokio::task::JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(&server).await.unwrap();
        open.spawn(async move { drop(tokio::io::copy_bidirectional(&mut client, &mut server).await) });
    }
}

#[tokio::test]
async fn database_that_is_away_is_unavailable_and_comes_back() {
    let Some(url) = schema_url().await else { return };
    let (server, rest) = url.split_once('@').unwrap().1.split_once('/').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = listener.local_addr().unwrap();
    let cut: JoinHandle<()> = tokio::spawn(line(listener, server.to_owned()));
    let user = url.split_once('@').unwrap().0;
    let store = Store::connect(&format!("{user}@{near}/{rest}")).await.unwrap();
    let row = SettingRow { name: "a".to_owned(), generation: 1, body: vec![1] };
    SettingStore::write(&store, &row).await.unwrap();

    cut.abort();
    assert!(cut.await.unwrap_err().is_cancelled());
    let second = SettingRow { generation: 2, ..row.clone() };
    let error = SettingStore::write(&store, &second).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(error.code(), "store_unavailable");
    assert!(error.to_string().contains(&near.to_string()), "{error}");
    let domain = qsec_crypto::StoreError::from(error);
    assert!(domain.is_retryable() && domain.source().is_some(), "{domain:?}");

    let again = tokio::spawn(line(TcpListener::bind(near).await.unwrap(), server.to_owned()));
    SettingStore::write(&store, &second).await.unwrap();
    assert_eq!(SettingStore::get(&store, "a").await.unwrap(), Some(second));
    again.abort();
}

/// Passes bytes from clients to the server, and answers until it is frozen: then it stays connected and says nothing.
async fn freezing_line(listener: TcpListener, server: String, frozen: tokio::sync::watch::Receiver<bool>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(&server).await.unwrap();
        let mut frozen = frozen.clone();
        tokio::spawn(async move {
            let ((mut client, mut to_client), (mut server, mut to_server)) = (client.into_split(), server.into_split());
            let frozen = async {
                drop(frozen.wait_for(|frozen| *frozen).await);
            };
            tokio::select! {
                _ = tokio::io::copy(&mut client, &mut to_server) => return,
                _ = tokio::io::copy(&mut server, &mut to_client) => return,
                () = frozen => {}
            }
            // Both ends stay open, and nothing passes.
            std::future::pending::<()>().await;
        });
    }
}

#[tokio::test]
async fn sessions_behind_a_dead_link_do_not_keep_a_node_from_the_next_server() {
    let Some(url) = schema_url().await else { return };
    let (server, rest) = url.split_once('@').unwrap().1.split_once('/').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = listener.local_addr().unwrap();
    let (freeze, frozen) = tokio::sync::watch::channel(false);
    let old = tokio::spawn(freezing_line(listener, server.to_owned(), frozen));
    let store = Store::connect(&format!("{}@{near}/{rest}", url.split_once('@').unwrap().0)).await.unwrap();
    let row = SettingRow { name: "a".to_owned(), generation: 1, body: vec![1] };
    SettingStore::write(&store, &row).await.unwrap();

    // Every session of the pool is inside a call, waiting for a lock, when the link dies.
    let mut session = PgConnection::connect(&url).await.unwrap();
    let mut lock = session.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE qsec_setting IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { drop(SettingStore::get(&store, "a").await) })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    freeze.send(true).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    for call in calls {
        call.abort();
    }
    lock.rollback().await.unwrap();
    old.abort();
    assert!(old.await.unwrap_err().is_cancelled());

    let next = tokio::spawn(line(TcpListener::bind(near).await.unwrap(), server.to_owned()));
    let mut answer = SettingStore::get(&store, "a").await;
    for _ in 0..2 {
        if answer.is_err() {
            answer = SettingStore::get(&store, "a").await;
        }
    }
    assert_eq!(answer.unwrap(), Some(row));
    next.abort();
}

#[tokio::test]
async fn user_who_may_only_use_the_tables_opens_a_current_schema() {
    let Some(url) = schema_url().await else { return };
    Store::connect(&url).await.unwrap().close().await;
    let mut session = PgConnection::connect(&url).await.unwrap();
    // What a database administrator would do: take away the right to make tables.
    let schema = url.rsplit_once('=').unwrap().1;
    let revoke = format!("REVOKE CREATE ON SCHEMA {schema} FROM CURRENT_USER");
    sqlx::raw_sql(AssertSqlSafe(revoke)).execute(&mut session).await.unwrap();
    let refused = sqlx::raw_sql("CREATE TABLE more (n INT)").execute(&mut session).await;
    assert!(refused.is_err(), "the right is gone");
    Store::connect(&url).await.unwrap();
}
