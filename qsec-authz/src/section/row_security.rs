//! PostgreSQL row-level security: the database itself shows each user their rows and columns, whatever they ask it.
//!
//! This writes statements and connects to nothing. Who runs them:
//!
//! | role | is | runs |
//! |---|---|---|
//! | owner | owner of the data's table, no superuser, nobody logs in as it | [`RowSecurity::install`], once for each shape of the access tables |
//! | loader | whoever loads the data and sees all of it; the application's side that knows who asks | [`RowSecurity::grant`] when a user opens the data |
//! | reader | what users' statements run as; may be shared by all of them | [`ENTER`] in each transaction, then the queries |
//!
//! Readers cannot reach the table. They reach a view, which passes on the rows of the user whose [`Ticket`] the
//! transaction shows, and NULL in the columns that are left out for that user. No ticket, a wrong one, one that ended: no rows.
//!
//! ```
//! use std::time::Duration;
//! use qsec_authz::section::row_security::{ENTER, Roles, RowSecurity, Ticket};
//! use qsec_authz::section::{Identity, SectionAccess};
//!
//! let access = SectionAccess::parse(["ACCESS,USERID,REGION,OMIT\nUSER,ANA,NORTH,COST\n"])?;
//! let access = access.check_columns(["Region", "Sales", "Cost"])?;
//! let roles = Roles::new("sales_owner", "sales_loader", "sales_reader")?;
//! let rows = RowSecurity::new(&access, ["store", "sales"], ["shown", "sales"], &roles)?;
//! for statement in rows.install() {
//!     // one transaction, as `sales_owner`
//! #   assert!(!statement.is_empty());
//! }
//! let ana = access.reduction(Identity::user("ana"))?;
//! let ticket = Ticket::generate()?;
//! let grant = rows.grant(&ana, &ticket, Duration::from_secs(600))?; // as `sales_loader`, with its parameters
//! // As `sales_reader`, in one transaction: `ENTER` with `ticket.expose_secret()` as its parameter, then anything, such as
//! assert_eq!(rows.select(&ana), r#"SELECT "Region", "Sales" FROM "shown"."sales""#);
//! # assert!(grant.sql().starts_with("INSERT") && ENTER.starts_with("SELECT"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The boundary
//! Any role that runs SQL can set any setting. So the setting `qsec.ticket` holds no name of a user, which anybody could
//! write, but a secret of 256 bits that only the application hands out: users may run any SQL as the reader, injected SQL
//! too, and stay within the rows of the tickets that they were given. What is trusted: the owner, the loader, superusers, and that
//! the application gives a ticket to the user whose reduction it stands for, and to nobody else.
//!
//! - [`ENTER`] lasts for its transaction (`set_config(…, true)`). Where sessions are pooled, `DISCARD ALL` before another
//!   user gets one: cursors `WITH HOLD`, temporary tables and prepared statements outlast a transaction.
//! - Strict exclusion is left to "no rows". The loader can ask [`Sql::admission`](super::Sql::admission) of the table before it
//!   grants, and refuse by name.
//! - `OMIT` cannot be column privileges, for all users share a role: the view gives NULL in those columns, and
//!   [`RowSecurity::select`] does not name them at all.
//! - Writes are denied to everybody but the loader: there is no policy for them.
//! - What readers ask is answered on the rows that the policy has passed, never before: no index finds a row by what they ask, and
//!   each of their queries reads the whole table. For statements that the program writes there is [`Sql`](super::Sql); for readers who
//!   may know which values there are, [`Guesses::Told`].
//! - Columns that reduce are strings, enumerations, booleans, integers, `numeric` or `uuid`: the text of a date or a float depends on
//!   settings that readers choose, so that a hidden value would read as a listed one. Installing stops; keep such values as texts.
//! - Install again after a partition was attached, a role was granted to the reader, or a view or a foreign key was made.
//! - Sessions are opened as the reader, or as a role of the user's own that is a member of it, and never by `SET ROLE`. Installing
//!   looks at the reader and at what it may become, not at its members: what else those are granted is theirs.
//! - The reader creates nothing that lasts. Before PostgreSQL 15 everybody may: `REVOKE CREATE ON SCHEMA public FROM PUBLIC`.
//! - A ticket is for one version of the access tables. When the tables change, users get new tickets as they open the data again;
//!   the old ones end after [`MAX_TICKET_AGE`] at the latest, or at once by [`RowSecurity::revoke_all`]. If other columns reduce
//!   or are left out, or the options differ, install again: tickets from before then show nothing.
//!
//! # Attacks
//! *Held*: nothing beyond the user's rows comes out. *Limit*: what comes out nevertheless, and what to do about it. Each, if it does not
//! say otherwise, is run against a real server by `tests/engines`.
//!
//! ## Rows and columns
//! | attack | result |
//! |---|---|
//! | reading the table or the grants; `TABLESAMPLE`; `ctid`; the row type of the table | held: no privilege, and the view has no such thing |
//! | self-joins, lateral joins, sub-queries, aggregates, window functions, `UNION`, recursion, whole rows as JSON, `query_to_xml`, `schema_to_xml` | held |
//! | an omitted column in `WHERE`, `ORDER BY`, aggregates, casts, whole rows | held: it is NULL there too |
//! | a function in `WHERE` that reports or raises what it is called with, of any claimed cost, also one that a superuser marked leakproof by mistake | held: in the plan it stands above the policy |
//! | division by zero, and casts whose error messages quote values | held: hidden rows are not evaluated |
//! | operators, functions and tables of the same names in a schema or `pg_temp` that comes first in `search_path` | held: installed names are bound |
//! | partitions and inheriting tables, by their own names | held: no privilege is left, and their own policies pass the loader alone. **Limit**: a partition that is attached later has the privileges that it comes with: install again |
//! | `COPY` of the table, of the view; `pg_dump` as the reader | held: refused. A `COPY` of a query is of the user's rows |
//! | views over the view, also with `security_invoker` | held: they show the rows of the ticket |
//! | padded texts | held: blanks are compared. **Limit**: `char(n)` has none, its padding is no part of the text: use `text` |
//! | `DateStyle`, `TimeZone`, `extra_float_digits`, by which a hidden value would read as a listed one | held: installing stops at columns of such types |
//!
//! ## Writing
//! | attack | result |
//! |---|---|
//! | inserts that look for violations of unique columns, `ON CONFLICT`, updates, `RETURNING`, `TRUNCATE`, `SELECT … FOR UPDATE`, `LOCK` | held: no privilege; and where it was given later, no policy, which is asked before any constraint |
//! | triggers, rules, statistics, publications, tables that inherit or refer, materialized views | held: no privilege |
//! | a foreign key: rows that refer to hidden ones, or are referred to by them | held: installing stops if readers may write on the other side. **Limit**: one that is opened to them later tells which keys there are: grant no such thing |
//! | files and programs of the server, by `COPY`, `pg_read_file`, `lo_import`; replication slots | held: refused, and installing stops at roles that may |
//!
//! ## Identity
//! | attack | result |
//! |---|---|
//! | no ticket, a guessed one, an ended one, a revoked one; the setting reset by the reader | held: no rows |
//! | `set_config` by the reader, or injected into a query | held: only tickets that they hold. **Limit**: a ticket that is passed on is a right that is passed on, until it ends |
//! | [`ENTER`] outside a transaction | held: it lasts for itself, and shows nothing |
//! | a ticket that is set for the session (`set_config(…, false)`) | **limit**: it is there for the next user of the session who shows none: `DISCARD ALL` |
//! | a prepared statement run again under another ticket, with a plan that was kept | held: it shows the rows of the ticket that is shown when it runs |
//! | a cursor, fetched under another ticket | held: it keeps the rows of the ticket that was shown at its first fetch. **Limit**: `WITH HOLD` keeps them beyond the transaction: `DISCARD ALL` |
//! | `ROLLBACK TO SAVEPOINT` | held: the ticket that was shown before |
//! | one statement that goes on beyond the end of the ticket, such as a `DO` block | held: each query in it asks the clock |
//! | a transaction of `REPEATABLE READ` that began before its ticket was revoked | **limit**: it goes on until the ticket ends: short tickets |
//! | `SET ROLE`, `SET SESSION AUTHORIZATION`, `row_security = off` | held: refused. **Limit**: a session that was opened as another role and took the reader's by `SET ROLE` goes back by `RESET ROLE`: open it as the reader |
//!
//! ## What others made
//! | attack | result |
//! |---|---|
//! | a schema or table for the grants that was there before, made by the reader; policies that would add rows; a table that the table is part of | held: installing stops |
//! | an owner or reader who is superuser or passes over row-level security; a reader who is, or by `SET ROLE` becomes, a role of more, inherited or not | held: installing stops |
//! | functions and operators that one user leaves where another's statements find them, for all are one role | held: installing stops at a reader who creates anything that lasts |
//! | other views of the table | held: installing stops if readers have them |
//! | a view or a `SECURITY DEFINER` function of the loader, granted to the reader later | **limit**: it shows what the loader sees. The loader makes no such thing, and has no schema that readers use |
//! | a materialized view over the view | held: without a ticket it is empty. **Limit**: refreshed under a ticket it keeps those rows for all who read it: show none in such a transaction |
//! | settings of the shared role (`ALTER ROLE CURRENT_USER SET …`), its password | held: `qsec.ticket` cannot be set so. **Limit**: other settings are then those of all users: have each log in by a role of their own, member of the reader |
//!
//! ## Beside the rows
//! | attack | result |
//! |---|---|
//! | guessing values of hidden rows: by the plan of `EXPLAIN ANALYZE`, by estimates of `EXPLAIN`, by counters of the transaction | held: the plan, its estimates and the rows read are the same for a guess that is right and one that is wrong. **Limit**: with [`Guesses::Told`] they differ |
//! | an operator whose selectivity the planner estimates by calling it | held: it is shown no value of the statistics |
//! | `pg_stats`, `pg_stats_ext` (most common values) | held: without a privilege on the table they show nothing |
//! | how long a query takes | held for values: what readers ask is evaluated on their rows alone. **Limit**: the number of rows, as below. Not measured; it follows from the plan |
//! | *rows removed by filter* in `EXPLAIN ANALYZE`, `pg_class.reltuples`, `pg_stat_user_tables`, `pg_relation_size` | **limit**: how many rows are hidden, no value of them. Users who must not know do not send SQL of their own |
//! | `pg_stat_activity` | **limit**: sessions of one role see each other's statements. Parameters are not in there: bind the ticket |
//! | `pg_terminate_backend` | **limit**: sessions of one role may end each other: a role of their own for each user, as above |

mod checks;
mod install;
mod ticket;

use std::collections::BTreeMap;
use std::time::Duration;

use ring::digest;

use super::checked::CheckedAccess;
use super::options::{DataCase, EmptyRows, NullRows, Options};
use super::reduction::{Field, Reduction};
use super::sql::{Dialect, SqlError};
pub use ticket::{Ticket, TicketError};

/// The statement that shows a ticket, its one parameter, for the rest of the transaction. Run it inside one.
pub const ENTER: &str = "SELECT pg_catalog.set_config('qsec.ticket', $1, true)";

/// A ticket lasts no longer: readers keep the access tables that they began with for 15 minutes at most.
pub const MAX_TICKET_AGE: Duration = super::active::MAX_READER_AGE;

/// The schema of the grants and of the functions that look them up.
pub const GRANTS_SCHEMA: &str = "qsec_section";

/// The three roles that must not be one.
///
/// ```
/// use qsec_authz::section::row_security::Roles;
///
/// assert!(Roles::new("owner", "loader", "reader").is_ok());
/// assert_eq!(Roles::new("app", "app", "reader").unwrap_err().code(), "same_role");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    owner: String,
    loader: String,
    reader: String,
}

impl Roles {
    /// The owner of the table, whoever loads it, and whoever reads the view.
    ///
    /// # Errors
    /// [`SqlError::SameRole`] if two are one: an owner who may load would show all of the table through the view.
    /// [`SqlError::BadIdentifier`] if one is no name.
    pub fn new(
        owner: impl Into<String>,
        loader: impl Into<String>,
        reader: impl Into<String>,
    ) -> Result<Self, SqlError> {
        let roles = Self { owner: owner.into(), loader: loader.into(), reader: reader.into() };
        for role in [&roles.owner, &roles.loader, &roles.reader] {
            identifier(role)?;
            // PUBLIC is every role, also where it is quoted.
            if role == "public" {
                return Err(SqlError::BadIdentifier { name: role.clone() });
            }
        }
        let Self { owner, loader, reader } = &roles;
        for (one, other) in [(owner, loader), (owner, reader), (loader, reader)] {
            if one == other {
                return Err(SqlError::SameRole { name: one.clone() });
            }
        }
        Ok(roles)
    }
}

/// What readers find out by guessing, beside their rows.
///
/// ```
/// use qsec_authz::section::SectionAccess;
/// use qsec_authz::section::row_security::{Guesses, Roles, RowSecurity};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?.check_columns(["REGION", "V"])?;
/// let roles = Roles::new("owner", "loader", "reader")?;
/// let strict = RowSecurity::new(&access, ["store", "sales"], ["shown", "sales"], &roles)?;
/// assert_ne!(strict.clone().guesses(Guesses::Told).install(), strict.install());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guesses {
    /// Nothing, but how many rows there are. Each query of a reader reads the whole table.
    Hidden,
    /// Whether a value that they guess is in the table, in a row that is hidden from them too: the table's indexes and its
    /// statistics serve their queries, and plans tell. The rows themselves stay hidden, and so does what is left out for anybody.
    Told,
}

/// A statement and its parameters, all of them texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sql: String,
    parameters: Vec<String>,
}

impl Statement {
    /// The statement, with places `$1`, `$2` …
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The values to bind, in the order of their places.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }
}

/// A table and the view of it that readers get, under access tables of one shape: the columns that reduce, the columns that may be
/// left out, and the options.
///
/// ```
/// use qsec_authz::section::SectionAccess;
/// use qsec_authz::section::row_security::{Roles, RowSecurity};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?.check_columns(["REGION", "V"])?;
/// let roles = Roles::new("owner", "loader", "reader")?;
/// let rows = RowSecurity::new(&access, ["store", "sales"], ["shown", "sales"], &roles)?;
/// let policy = rows.install().into_iter().find(|statement| statement.starts_with("CREATE POLICY")).unwrap();
/// assert!(policy.contains(r#"CAST("REGION" AS pg_catalog.text) COLLATE pg_catalog."C""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSecurity {
    roles: Roles,
    table: Name,
    view: Name,
    columns: Vec<Column>,
    null_rows: NullRows,
    empty_rows: EmptyRows,
    guesses: Guesses,
    /// What grants are found by: the digest of all of the above that decides rows.
    key: String,
}

/// A schema and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    schema: String,
    name: String,
}

/// A column of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    /// Some access table has it as a field.
    reduces: bool,
    /// Some row of the access tables leaves it out.
    omittable: bool,
}

impl RowSecurity {
    /// Row-level security for `table`, `[schema, name]`, which readers see as `view`.
    ///
    /// # Errors
    /// [`SqlError::FoldedData`] if data is compared in upper case; [`SqlError::BadIdentifier`] if PostgreSQL cannot hold a
    /// name, or the view is the table.
    pub fn new(access: &CheckedAccess, table: [&str; 2], view: [&str; 2], roles: &Roles) -> Result<Self, SqlError> {
        let options = access.options();
        if options.data_case == DataCase::Upper {
            return Err(SqlError::FoldedData);
        }
        if table == view {
            return Err(SqlError::BadIdentifier { name: view.join(".") });
        }
        let (table, view) = (Name::new(table)?, Name::new(view)?);
        let columns: Vec<Column> = access
            .column_uses()
            .map(|(name, reduces, omittable)| Column { name: name.to_owned(), reduces, omittable })
            .collect();
        columns.iter().try_for_each(|column| identifier(&column.name).map(drop))?;
        let key = key(&table, &columns, options);
        let (null_rows, empty_rows) = (options.null_rows, options.empty_rows);
        Ok(Self { roles: roles.clone(), table, view, columns, null_rows, empty_rows, guesses: Guesses::Hidden, key })
    }

    /// The same, with another answer to guesses than [`Guesses::Hidden`]. Install again when it changes; tickets stay good.
    #[must_use]
    pub fn guesses(self, guesses: Guesses) -> Self {
        Self { guesses, ..self }
    }

    /// The statements that put it in force, to be run by the owner in one transaction: they stop at what would open the
    /// table (see [the attacks](self#attacks)). They replace what an earlier installation left.
    pub fn install(&self) -> Vec<String> {
        install::statements(self)
    }

    /// The statement by which the loader lets a ticket stand for a reduction, for `valid` from now, [`MAX_TICKET_AGE`] at most.
    ///
    /// # Errors
    /// [`SqlError::OtherAccess`] if the reduction comes of access tables of another shape.
    pub fn grant(&self, reduction: &Reduction, ticket: &Ticket, valid: Duration) -> Result<Statement, SqlError> {
        let (fields, columns) = (self.fields_of(reduction)?, self.columns_of(reduction)?);
        let sql = format!(
            "INSERT INTO {GRANTS_SCHEMA}.grants (ticket, data, version, valid_until, fields, columns) \
             VALUES (pg_catalog.decode($1, 'hex'), $2, $3, \
             pg_catalog.statement_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => \
             CAST(CAST($4 AS pg_catalog.text) AS double precision)), \
             CAST(CAST($5 AS pg_catalog.text) AS pg_catalog.jsonb), \
             CAST(CAST($6 AS pg_catalog.text) AS pg_catalog.jsonb))"
        );
        let seconds = valid.min(MAX_TICKET_AGE).as_secs_f64().to_string();
        let version = reduction.version().to_string();
        let parameters = vec![ticket.hash(), self.key.clone(), version, seconds, fields, columns];
        Ok(Statement { sql, parameters })
    }

    /// The statement by which the loader ends a ticket, for all tables.
    pub fn revoke(ticket: &Ticket) -> Statement {
        let sql = format!("DELETE FROM {GRANTS_SCHEMA}.grants WHERE ticket = pg_catalog.decode($1, 'hex')");
        Statement { sql, parameters: vec![ticket.hash()] }
    }

    /// The statement by which the loader ends every ticket of this table.
    pub fn revoke_all(&self) -> Statement {
        let sql = format!("DELETE FROM {GRANTS_SCHEMA}.grants WHERE data = $1");
        Statement { sql, parameters: vec![self.key.clone()] }
    }

    /// The statement by which the loader removes the tickets that ended, of all tables. They show nothing any more; run it now
    /// and then, so that the table of grants stays small.
    pub fn sweep() -> String {
        format!(
            "DELETE FROM {GRANTS_SCHEMA}.grants \
             WHERE valid_until OPERATOR(pg_catalog.<=) pg_catalog.statement_timestamp()"
        )
    }

    /// The query that gives a user their rows and columns, once their ticket was shown by [`ENTER`]. The columns that are left
    /// out are not named.
    pub fn select(&self, reduction: &Reduction) -> String {
        let columns: Vec<String> = reduction.columns().map(quoted).collect();
        format!("SELECT {} FROM {}", columns.join(", "), self.view.quoted())
    }

    /// For each column that reduces: the values, or null where it does not reduce for this user.
    fn fields_of(&self, reduction: &Reduction) -> Result<String, SqlError> {
        let mut fields: BTreeMap<&str, Option<Vec<&str>>> = BTreeMap::new();
        for column in self.columns.iter().filter(|column| column.reduces) {
            fields.insert(&column.name, None);
        }
        for field in reduction.fields() {
            let ours = fields.get_mut(field.column()).filter(|_| self.agrees(field)).ok_or(SqlError::OtherAccess)?;
            // PostgreSQL has no text with U+0000: such a value matches no cell.
            let values = field.values().sorted().into_iter().filter(|value| !value.contains('\0'));
            *ours = Some(values.collect());
        }
        json(&fields)
    }

    /// The columns that are not left out.
    fn columns_of(&self, reduction: &Reduction) -> Result<String, SqlError> {
        let all = reduction.all_columns();
        let same = all.len() == self.columns.len()
            && all.zip(&self.columns).all(|((name, kept), ours)| name == ours.name && (kept || ours.omittable));
        if same { json(&reduction.columns().collect::<Vec<_>>()) } else { Err(SqlError::OtherAccess) }
    }

    fn agrees(&self, field: &Field) -> bool {
        let options = (field.null_rows(), field.empty_rows(), field.data_case());
        options == (self.null_rows, self.empty_rows, DataCase::Exact)
    }
}

impl Name {
    fn new([schema, name]: [&str; 2]) -> Result<Self, SqlError> {
        identifier(schema)?;
        identifier(name)?;
        Ok(Self { schema: schema.to_owned(), name: name.to_owned() })
    }

    fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

fn identifier(name: &str) -> Result<String, SqlError> {
    Dialect::Postgres.identifier(name)
}

/// A name that was found fit for PostgreSQL before.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn json(value: &impl serde::Serialize) -> Result<String, SqlError> {
    serde_json::to_string(value).map_err(|_| SqlError::OtherAccess)
}

/// Names and options, each behind its length, so that no two shapes are one text.
fn key(table: &Name, columns: &[Column], options: &Options) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut add = |text: &str| {
        context.update(text.len().to_string().as_bytes());
        context.update(b":");
        context.update(text.as_bytes());
    };
    add("qsec row security 1");
    add(&table.schema);
    add(&table.name);
    add(&format!("{:?} {:?}", options.null_rows, options.empty_rows));
    for Column { name, reduces, omittable } in columns {
        add(name);
        add(&format!("{reduces} {omittable}"));
    }
    ticket::hex(context.finish().as_ref())
}
