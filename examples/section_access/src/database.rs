//! The same figures in PostgreSQL, which itself shows each user their own, whatever they ask.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use qsec::authz::section::row_security::{ENTER, Roles, RowSecurity, Statement, Ticket};
use qsec::authz::section::{Reduction, SectionAccess, Table};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use crate::story::{Coded, Story};
use crate::{Done, FIRST, Readers, access_text};

/// The three roles must not be one: who owns the table, who loads it and hands out tickets, who reads.
const ROLES: [&str; 3] = ["owner", "loader", "reader"];
/// Of roles that end with the example.
const PASSWORD: &str = "for-this-example";
/// As long as a user works on without opening the data again.
const VALID: Duration = Duration::from_mins(10);
/// Insufficient privilege, in the words of the SQL standard.
const FORBIDDEN: &str = "42501";

/// Cells as the database writes them.
type Rows = Vec<Vec<Option<String>>>;

pub(crate) async fn tell(
    story: &mut Story,
    url: &str,
    figures: &Table,
    [first, next]: [&Readers; 2],
    now: SystemTime,
) -> Done {
    story.chapter("PostgreSQL shows each user the same, whatever SQL they write");
    let database = Database::create(url).await?;
    let told = in_database(story, &database, figures, [first, next], now).await;
    database.end().await?;
    told
}

async fn in_database(
    story: &mut Story,
    database: &Database,
    figures: &Table,
    [first, next]: [&Readers; 2],
    now: SystemTime,
) -> Done {
    let rows = install(database, figures).await?;
    let mut scene =
        Scene { rows, loader: database.session("loader").await?, reader: database.session("reader").await? };
    load(&mut scene.loader, figures).await?;

    let mut tickets = Vec::new();
    for (user, reader) in first {
        tickets.push(scene.compare(story, user, reader.reduction(now)?, figures).await?);
    }
    let [_, ana, _] = tickets.as_slice() else { return Err("three users".into()) };
    hostile_readers(story, database, &mut scene, ana).await?;

    let old = scene.count(ana.expose_secret()).await?;
    story.holds(
        "a ticket is for the version that it was made by",
        old == FIRST[1].1,
        "ana's shows the old rows still",
    )?;
    let revoke = scene.rows.revoke_all();
    execute(&mut scene.loader, &revoke).await?;
    story.holds("all tickets are revoked", scene.count(ana.expose_secret()).await? == 0, "ana's shows nothing")?;
    for (user, reader) in next {
        scene.compare(story, user, reader.reduction(now)?, figures).await?;
    }
    Ok(())
}

/// What users try who may write any SQL.
async fn hostile_readers(story: &mut Story, database: &Database, scene: &mut Scene, ana: &Ticket) -> Done {
    story.holds("without a ticket there is nothing", scene.count("").await? == 0, "0 rows")?;
    for forged in ["olivia".to_owned(), "0".repeat(64)] {
        story.holds(&format!("a forged ticket, `{forged:.6}`"), scene.count(&forged).await? == 0, "0 rows")?;
    }
    let ana = ana.expose_secret();
    let told = scene.ask(ana, SPY).await?;
    let only_hers = told == [[Some("EUROPE".to_owned())]];
    story.holds("a function of hers tells what it is called with", only_hers, "EUROPE, and no other continent")?;
    let income = scene.ask(ana, r#"SELECT count("GdpPerCapita"), max("GdpPerCapita") FROM shown.figures"#).await?;
    let hidden = income == [[Some("0".to_owned()), None]];
    story.holds("the column that she must not see, in aggregates", hidden, "it is NULL there too")?;
    for (asked, sql) in [
        ("the table behind the view", "SELECT * FROM store.figures".to_owned()),
        ("what tickets stand for", "SELECT * FROM qsec_section.grants".to_owned()),
        ("to be the loader", format!("SET ROLE {}", database.role("loader"))),
        ("to let herself in", "INSERT INTO shown.figures DEFAULT VALUES".to_owned()),
    ] {
        story.no(asked, scene.ask(ana, &sql).await, FORBIDDEN)?;
    }
    Ok(())
}

/// A function that seems to cost nothing, so that the planner would call it first, on every row.
const SPY: &str = r#"
    CREATE TEMP TABLE told (continent text) ON COMMIT DROP;
    CREATE FUNCTION pg_temp.spy(continent text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS
    $$ BEGIN INSERT INTO told VALUES (continent); RETURN true; END $$;
    CREATE TEMP TABLE seen ON COMMIT DROP AS SELECT * FROM shown.figures WHERE pg_temp.spy("Continent");
    SELECT DISTINCT continent FROM told"#;

/// A table under row-level security, who hands out tickets for it, and who reads it.
struct Scene {
    rows: RowSecurity,
    loader: PgConnection,
    reader: PgConnection,
}

impl Scene {
    /// Gives a user a ticket, reads by it, and compares with the rows that the reduction gives in memory.
    async fn compare(&mut self, story: &mut Story, user: &str, reduction: &Reduction, figures: &Table) -> Done<Ticket> {
        let ticket = Ticket::generate()?;
        execute(&mut self.loader, &self.rows.grant(reduction, &ticket, VALID)?).await?;
        let mut shown = self.ask(ticket.expose_secret(), &self.rows.select(reduction)).await?;
        let mut expected = cells(&reduction.apply(figures)?);
        shown.sort();
        expected.sort();
        let claim = format!("{user} sees the rows and columns of the CSV");
        story.holds(&claim, shown == expected, format!("{} rows, cell by cell", shown.len()))?;
        Ok(ticket)
    }

    /// How many rows a ticket shows.
    async fn count(&mut self, ticket: &str) -> Result<usize, Refused> {
        Ok(self.ask(ticket, "SELECT 1 FROM shown.figures").await?.len())
    }

    /// Shows a ticket and asks, in one transaction, which is rolled back.
    async fn ask(&mut self, ticket: &str, sql: &str) -> Result<Rows, Refused> {
        let mut transaction = self.reader.begin().await?;
        if !ticket.is_empty() {
            sqlx::query(ENTER).bind(ticket).execute(&mut *transaction).await?;
        }
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut *transaction).await?;
        transaction.rollback().await?;
        rows.iter().map(texts).collect()
    }
}

/// The simple protocol gives texts, whatever the columns' types are.
fn texts(row: &PgRow) -> Result<Vec<Option<String>>, Refused> {
    let text = |index| -> Result<Option<String>, Refused> {
        let cell = row.try_get_raw(index)?;
        Ok(cell.as_str().ok().map(str::to_owned))
    };
    (0..row.len()).map(text).collect()
}

fn cells(table: &Table) -> Rows {
    let columns = table.columns().count();
    let row = |row| (0..columns).map(|column| table.cell(row, column).map(str::to_owned)).collect();
    (0..table.rows()).map(row).collect()
}

/// The owner makes the table, which lets in nobody, and then the protection, in one transaction.
async fn install(database: &Database, figures: &Table) -> Done<RowSecurity> {
    let access = SectionAccess::parse([access_text("access-acme.csv")?])?.check_columns(figures.columns())?;
    let roles = Roles::new(database.role("owner"), database.role("loader"), database.role("reader"))?;
    let rows = RowSecurity::new(&access, ["store", "figures"], ["shown", "figures"], &roles)?;
    let mut owner = database.session("owner").await?;
    let table = format!(
        r#"CREATE SCHEMA store; CREATE SCHEMA shown; GRANT USAGE ON SCHEMA store TO {};
           CREATE TABLE store.figures ("Continent" text, "Country" text, "Year" integer,
                                       "LifeExpectancy" numeric, "Population" bigint, "GdpPerCapita" numeric)"#,
        database.role("loader")
    );
    run(&mut owner, table).await?;
    run(&mut owner, format!("BEGIN;\n{};\nCOMMIT", rows.install().join(";\n"))).await?;
    owner.close().await?;
    Ok(rows)
}

/// `COPY` into a table with row-level security is refused, so the columns go as arrays.
async fn load(loader: &mut PgConnection, figures: &Table) -> Done {
    let insert = "INSERT INTO store.figures SELECT continent, country, CAST(year AS integer), \
                  CAST(life AS numeric), CAST(population AS bigint), CAST(income AS numeric) \
                  FROM unnest($1, $2, $3, $4, $5, $6) \
                  AS figures (continent, country, year, life, population, income)";
    let column = |column| (0..figures.rows()).filter_map(|row| figures.cell(row, column)).map(str::to_owned).collect();
    let columns: Vec<Vec<String>> = (0..figures.columns().count()).map(column).collect();
    let query = columns.into_iter().fold(sqlx::query(insert), sqlx::query::Query::bind);
    query.execute(loader).await?;
    Ok(())
}

async fn run(session: &mut PgConnection, sql: String) -> Done {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(session).await?;
    Ok(())
}

/// Runs a statement with its parameters.
async fn execute(session: &mut PgConnection, statement: &Statement) -> Done {
    let query = sqlx::query(AssertSqlSafe(statement.sql().to_owned()));
    statement.parameters().iter().fold(query, sqlx::query::Query::bind).execute(session).await?;
    Ok(())
}

/// A database of its own, with roles of its own that log in.
struct Database {
    superuser: PgConnectOptions,
    name: String,
}

impl Database {
    async fn create(url: &str) -> Done<Self> {
        let superuser = PgConnectOptions::from_str(url)?.disable_statement_logging();
        let database = Self { superuser, name: format!("qsec_example_{}", std::process::id()) };
        let mut session = database.superuser.connect().await?;
        run(&mut session, format!("CREATE DATABASE {}", database.name)).await?;
        for role in ROLES {
            run(&mut session, format!("CREATE ROLE {} LOGIN PASSWORD '{PASSWORD}'", database.role(role))).await?;
        }
        let owner = database.role("owner");
        run(&mut session, format!("GRANT CREATE ON DATABASE {} TO {owner}", database.name)).await?;
        session.close().await?;
        Ok(database)
    }

    fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.name)
    }

    /// A session that was opened as the role, so that it cannot go back to more.
    async fn session(&self, role: &str) -> Done<PgConnection> {
        let options = self.superuser.clone().database(&self.name).username(&self.role(role)).password(PASSWORD);
        Ok(options.connect().await?)
    }

    async fn end(self) -> Done {
        let mut session = self.superuser.connect().await?;
        run(&mut session, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await?;
        for role in ROLES {
            run(&mut session, format!("DROP ROLE {}", self.role(role))).await?;
        }
        Ok(())
    }
}

/// A refusal by the database, named by its SQLSTATE.
#[derive(Debug)]
struct Refused {
    code: String,
    message: String,
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        let answer = error.as_database_error();
        let code =
            answer.and_then(sqlx::error::DatabaseError::code).map_or_else(|| "unavailable".to_owned(), String::from);
        Self { code, message: answer.map_or_else(|| error.to_string(), |answer| answer.message().to_owned()) }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl Coded for Refused {
    fn code(&self) -> &str {
        &self.code
    }
}
