//! A table of four rows under row-level security, and who asks of it.

use std::time::Duration;

use qsec_authz::section::row_security::{ENTER, RowSecurity, Ticket};
use qsec_authz::section::{Identity, Reduction, SectionAccess};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::server::{Database, run};

pub(crate) const IDS: &str = "SELECT id::text FROM shown.sales ORDER BY id";

const ACCESS: &str = "ACCESS,USERID,REGION,OMIT\nADMIN,BOSS,,\nUSER,ANA,NORTH,COST\nUSER,BOB,SOUTH,\n";

/// A table of four rows under row-level security: Ana sees the rows 1 and 3 without `cost`, Bob the row 2.
pub(crate) struct Scene {
    pub(crate) database: Database,
    pub(crate) rows: RowSecurity,
}

impl Scene {
    pub(crate) async fn new() -> Option<Self> {
        let scene = Self::bare().await?;
        scene.install().await.unwrap();
        Some(scene)
    }

    /// The table, and nothing that protects it.
    pub(crate) async fn bare() -> Option<Self> {
        Self::over("CREATE TABLE store.sales (region text, id int PRIMARY KEY, note text, cost int UNIQUE)").await
    }

    /// The four rows in a table, or in what holds its rows, that the owner makes so.
    pub(crate) async fn over(create: &str) -> Option<Self> {
        let database = Database::fresh().await?;
        let access = SectionAccess::parse([ACCESS]).unwrap().check_columns(["region", "id", "note", "cost"]).unwrap();
        let rows = RowSecurity::new(&access, ["store", "sales"], ["shown", "sales"], &database.roles()).unwrap();
        let scene = Self { database, rows };
        let tables = format!(
            "CREATE SCHEMA store; CREATE SCHEMA shown; GRANT USAGE ON SCHEMA store TO {{loader}}; {create};
             INSERT INTO store.sales VALUES ('NORTH', 1, '11', 100), ('SOUTH', 2, 'secret two', 200),
                                            ('NORTH', 3, '33', 300), ('north', 4, 'secret four', 400);
             ANALYZE store.sales"
        );
        scene.as_role("owner", &tables).await;
        Some(scene)
    }

    /// Runs what must work in a session of the role, or of the superuser. `{reader}` and the like are its names of roles.
    pub(crate) async fn as_role(&self, role: &str, sql: &str) {
        let mut session = match role {
            "superuser" => self.database.superuser().await,
            role => self.database.session(role).await,
        };
        run(&mut session, &self.named(sql)).await;
        session.close().await.unwrap();
    }

    /// With the names of the roles.
    pub(crate) fn named(&self, sql: &str) -> String {
        let roles = ["owner", "loader", "reader", "other"];
        roles.iter().fold(sql.to_owned(), |sql, role| sql.replace(&format!("{{{role}}}"), &self.database.role(role)))
    }

    pub(crate) async fn install(&self) -> Result<(), String> {
        let mut session = self.database.session("owner").await;
        let statements = self.rows.install().join(";\n");
        let all = format!("BEGIN;\n{statements};\nCOMMIT");
        sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut session).await.map(drop).map_err(|error| error.to_string())
    }

    pub(crate) fn reduction(user: &str) -> Reduction {
        let access = SectionAccess::parse([ACCESS]).unwrap().check_columns(["region", "id", "note", "cost"]).unwrap();
        access.reduction(Identity::user(user)).unwrap()
    }

    pub(crate) async fn ticket(&self, user: &str) -> Ticket {
        self.ticket_for(user, Duration::from_mins(10)).await
    }

    pub(crate) async fn ticket_for(&self, user: &str, valid: Duration) -> Ticket {
        let ticket = Ticket::generate().unwrap();
        let grant = self.rows.grant(&Self::reduction(user), &ticket, valid).unwrap();
        let query = sqlx::query(AssertSqlSafe(grant.sql().to_owned()));
        let query = grant.parameters().iter().fold(query, sqlx::query::Query::bind);
        query.execute(&mut self.database.session("loader").await).await.unwrap();
        ticket
    }

    /// A transaction of the reader that has shown the ticket of a user.
    pub(crate) async fn reader(&self, user: &str) -> Reader {
        let mut reader = self.stranger().await;
        reader.enter(&self.ticket(user).await).await;
        reader
    }

    /// A transaction of the reader that has shown nothing.
    pub(crate) async fn stranger(&self) -> Reader {
        let mut session = self.database.session("reader").await;
        run(&mut session, "BEGIN").await;
        Reader { session }
    }

    pub(crate) async fn end(self) {
        self.database.end().await;
    }
}

pub(crate) struct Reader {
    pub(crate) session: PgConnection,
}

impl Reader {
    pub(crate) async fn enter(&mut self, ticket: &Ticket) {
        sqlx::query(ENTER).bind(ticket.expose_secret()).execute(&mut self.session).await.unwrap();
    }

    /// The first column of what a query gives, as text; or the message of its error, after which the transaction goes on.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Vec<String>, String> {
        run(&mut self.session, "SAVEPOINT here").await;
        let answer: Result<Vec<Option<String>>, _> =
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).persistent(false).fetch_all(&mut self.session).await;
        match answer {
            Ok(answer) => Ok(answer.into_iter().map(|value| value.unwrap_or_else(|| "NULL".to_owned())).collect()),
            Err(error) => {
                run(&mut self.session, "ROLLBACK TO SAVEPOINT here").await;
                let message = error.as_database_error().map(ToString::to_string);
                Err(message.unwrap_or_else(|| error.to_string()))
            }
        }
    }

    #[track_caller]
    fn expect(sql: &str, answer: Result<Vec<String>, String>, expected: &[&str]) {
        assert_eq!(answer.unwrap_or_else(|error| panic!("{error}: {sql}")), expected, "{sql}");
    }

    pub(crate) async fn sees(&mut self, sql: &str, expected: &[&str]) {
        let answer = self.ask(sql).await;
        Self::expect(sql, answer, expected);
    }

    pub(crate) async fn is_refused(&mut self, sql: &str, why: &str) {
        let error = self.ask(sql).await.expect_err(sql);
        assert!(error.contains(why), "{error}: {sql}");
    }

    /// Runs what must work.
    pub(crate) async fn run(&mut self, sql: &str) {
        run(&mut self.session, sql).await;
    }
}
