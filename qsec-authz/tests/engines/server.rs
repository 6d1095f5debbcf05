//! A PostgreSQL server, and databases on it with an owner, a loader and a reader of their own.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use qsec_authz::section::row_security::Roles;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

/// A password for roles that end with the test.
const PASSWORD: &str = "for-this-test";

/// How the superuser of a throw-away server connects, from `QSEC_TEST_POSTGRES_OWNER`.
#[expect(clippy::disallowed_methods, reason = "a test asks its environment for a server")]
fn superuser() -> Option<PgConnectOptions> {
    let url = std::env::var("QSEC_TEST_POSTGRES_OWNER").ok();
    if url.is_none() {
        println!("not run: postgres: QSEC_TEST_POSTGRES_OWNER is not set");
        assert!(!is_ci(), "postgres must be tested in CI");
    }
    Some(PgConnectOptions::from_str(&url?).unwrap().disable_statement_logging())
}

#[expect(clippy::disallowed_methods, reason = "a test asks its environment where it runs")]
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}

/// A database of its own, empty, with three roles that log in.
pub(crate) struct Database {
    options: PgConnectOptions,
    name: String,
}

impl Database {
    /// None, said aloud, if there is no server.
    pub(crate) async fn fresh() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let options = superuser()?;
        let name = format!("qsec_section_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut session = options.connect().await.unwrap();
        run(&mut session, &format!("CREATE DATABASE {name}")).await;
        for role in ["owner", "loader", "reader"] {
            run(&mut session, &format!("CREATE ROLE {name}_{role} LOGIN PASSWORD '{PASSWORD}'")).await;
        }
        run(&mut session, &format!("GRANT CREATE ON DATABASE {name} TO {name}_owner")).await;
        session.close().await.unwrap();
        Some(Self { options: options.database(&name), name })
    }

    pub(crate) fn roles(&self) -> Roles {
        Roles::new(self.role("owner"), self.role("loader"), self.role("reader")).unwrap()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.name)
    }

    pub(crate) async fn superuser(&self) -> PgConnection {
        self.options.connect().await.unwrap()
    }

    /// A session that was opened as the role, so that it cannot go back to more.
    pub(crate) async fn session(&self, role: &str) -> PgConnection {
        let options = self.options.clone().username(&self.role(role)).password(PASSWORD);
        options.connect().await.unwrap()
    }

    /// What `pg_dump` and the like take.
    pub(crate) fn url(&self, role: &str) -> String {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        format!("postgres://{}:{PASSWORD}@{host}:{port}/{}", self.role(role), self.name)
    }

    pub(crate) async fn end(self) {
        let mut session = superuser().unwrap().connect().await.unwrap();
        run(&mut session, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        // Tests make other roles of this name beside the three.
        let roles = sqlx::query_scalar("SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, $1 || '_')");
        let roles: Vec<String> = roles.bind(&self.name).fetch_all(&mut session).await.unwrap();
        for role in roles {
            run(&mut session, &format!("DROP ROLE {role}")).await;
        }
    }
}

/// Runs statements that must succeed.
pub(crate) async fn run(session: &mut PgConnection, sql: &str) {
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(session).await {
        panic!("{error}: {sql}");
    }
}
