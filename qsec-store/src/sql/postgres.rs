//! A PostgreSQL database that many nodes share.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Row as _};

use super::{Database, Pool};
use crate::error::{OpenError, judge};

/// Longest wait for a connection. A database that is away is noticed within this time.
const ACQUIRE: Duration = Duration::from_secs(5);

/// Connections of one node. A PostgreSQL server allows 100 by default, for all nodes together.
const CONNECTIONS: u32 = 16;

/// What the URL may ask for. Anything else is refused: the driver would write an unknown parameter, value and all, to a log.
const PARAMETERS: [&str; 6] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "options[search_path]"];

/// What a session must not inherit from the settings of a role or a server.
///
/// There is no `statement_timeout`: it could end a commit that waits for a standby, and PostgreSQL reports such a commit
/// as done.
const SESSION: &str = "
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

/// Every table without its dead rows.
pub(crate) const COMPACT: &str = "VACUUM (FULL) qsec_key, qsec_local_key, qsec_identity, qsec_replay, qsec_policy, \
                                  qsec_policy_entry, qsec_certificate, qsec_head, qsec_tenant, qsec_setting";

/// A session of the pool while a call uses it.
///
/// One whose call was cut short is closed. Given back, the pool would first wait until it answers, which a server behind
/// a dead link never does; sixteen such sessions would keep a node from the server that took over.
pub(crate) struct Session {
    connection: PoolConnection<Postgres>,
    is_idle: bool,
}

impl Session {
    async fn take(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: pool.acquire().await?, is_idle: false })
    }

    pub(super) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut session = Self::take(pool).await?;
        sqlx::raw_sql("BEGIN").execute(&mut *session).await?;
        Ok(session)
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    pub(super) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(statement).execute(&mut *self).await?;
        self.is_idle = true;
        Ok(())
    }
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_idle {
            self.connection.close_on_drop();
        }
    }
}

/// Runs one query on a session of the pool.
pub(super) async fn run<T>(
    pool: &PgPool,
    query: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let mut session = Session::take(pool).await?;
    let answer = query(&mut session).await;
    // An answer, be it a refusal, means that the session can go on; the pool finds out if it cannot.
    session.is_idle = true;
    answer
}

/// Connects by URL.
pub(crate) async fn connect(url: &str) -> Result<Database, OpenError> {
    let options = options(url).map_err(|what| OpenError::Url { what })?;
    let place = place(&options);
    check_server(&options, &place).await?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .after_connect(|session, _| Box::pin(async move { sqlx::raw_sql(SESSION).execute(session).await.map(drop) }))
        .connect_with(options)
        .await
        .map_err(|error| OpenError::from_store(&place, judge("connect", &place, &error)))?;
    Ok(Database { pool: Pool::Postgres(pool), place: place.into() })
}

/// Rewrites every table without its dead rows. Waits for a moment in which nobody uses them.
pub(super) async fn compact(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(COMPACT).execute(pool).await.map(drop)
}

/// Tries the server once: the pool would try again until its time is over, and then not say why.
async fn check_server(options: &PgConnectOptions, place: &str) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| OpenError::from_store(place, judge("connect", place, &error));
    let attempt = tokio::time::timeout(ACQUIRE, async {
        let mut session = options.connect().await?;
        let row = sqlx::query("SELECT current_setting('server_encoding')").fetch_one(&mut session).await?;
        session.close().await?;
        row.try_get::<String, _>(0)
    });
    let encoding = attempt.await.map_err(|_| failed(sqlx::Error::PoolTimedOut))?.map_err(failed)?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(OpenError::Foreign { place: place.to_owned(), what: format!("its encoding is `{encoding}`, not UTF8") })
}

/// Reads the URL. The refusals name a part of it, never what the part says.
fn options(url: &str) -> Result<PgConnectOptions, String> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let rest = rest.ok_or("it does not begin with `postgres://`")?;
    if rest.contains('#') {
        return Err("it holds a `#`; in a password write `%23`".to_owned());
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parameters: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    for (position, pair) in parameters.iter().enumerate() {
        let name = pair.split('=').next().unwrap_or_default();
        if !PARAMETERS.contains(&name) {
            let position = position.saturating_add(1);
            return Err(format!("parameter {position} is none of `{}`", PARAMETERS.join("`, `")));
        }
    }
    let (server, database) = address.split_once('/').unwrap_or((address, ""));
    let (user, host) = server.rsplit_once('@').ok_or("it names no user")?;
    if user.is_empty() || user.starts_with(':') || host.is_empty() || host.starts_with(':') || database.is_empty() {
        return Err("it must name user, host and database".to_owned());
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| "a part of it cannot be read".to_owned())?;
    let chosen = parameters.iter().any(|pair| pair.starts_with("sslmode="));
    let options = if chosen { options } else { options.ssl_mode(default_tls(&options_host(host))) };
    Ok(options.disable_statement_logging())
}

/// The host without port and brackets.
fn options_host(host: &str) -> String {
    if let Some((inside, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inside.to_owned();
    }
    host.split(':').next().unwrap_or_default().to_owned()
}

/// A network is hostile unless the URL says otherwise; this machine is not a network.
fn default_tls(host: &str) -> PgSslMode {
    let socket = host.to_ascii_lowercase().starts_with("%2f");
    let local = socket || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if local { PgSslMode::Prefer } else { PgSslMode::VerifyFull }
}

fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    match options.get_socket() {
        Some(socket) => format!("the PostgreSQL database `{database}` at `{}`", socket.display()),
        None => format!("the PostgreSQL database `{database}` at `{}:{}`", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(url: &str) -> PgSslMode {
        options(url).unwrap().get_ssl_mode()
    }

    #[test]
    fn another_machine_must_prove_its_name_unless_the_url_says_otherwise() {
        for host in ["db.example", "10.0.0.7", "[2001:db8::7]:5433", "localhost.example", "127.0.0.1.example"] {
            assert!(matches!(tls(&format!("postgres://ana@{host}/qsec")), PgSslMode::VerifyFull), "{host}");
            let written = format!("postgres://ana@{host}/qsec?sslmode=disable");
            assert!(matches!(tls(&written), PgSslMode::Disable), "{host}");
        }
    }

    #[test]
    fn this_machine_need_not() {
        for host in ["localhost", "localhost:5433", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:5433", "%2Frun%2Fpg"] {
            assert!(matches!(tls(&format!("postgresql://ana:x@{host}/qsec")), PgSslMode::Prefer), "{host}");
        }
    }

    #[test]
    fn place_names_host_port_and_database_and_nothing_else() {
        let options = options("postgres://ana:hunter2@db.example:5433/qsec?application_name=n1").unwrap();
        assert_eq!(place(&options), "the PostgreSQL database `qsec` at `db.example:5433`");
    }

    #[test]
    fn refusal_names_the_part() {
        let cases = [
            ("mysql://ana@db/qsec", "it does not begin with `postgres://`"),
            ("postgres://db/qsec", "it names no user"),
            ("postgres://ana@db/", "it must name user, host and database"),
            ("postgres://ana:a#b@db/qsec", "it holds a `#`; in a password write `%23`"),
            ("postgres://ana@db:port/qsec", "a part of it cannot be read"),
        ];
        for (url, what) in cases {
            assert_eq!(options(url).unwrap_err(), what);
        }
        let what = options("postgres://ana@db/qsec?sslmode=require&host=elsewhere").unwrap_err();
        assert!(what.starts_with("parameter 2 is none of `sslmode`"), "{what}");
    }
}
