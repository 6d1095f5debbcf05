//! The reduction as a predicate of SQL, with bound parameters only.

use thiserror::Error;

use super::options::{DataCase, EmptyRows, NullRows};
use super::reduction::{Field, Reduction};

/// Parameters of one PostgreSQL statement: its protocol counts them in 16 bits.
pub const MAX_POSTGRES_PARAMETERS: usize = 65_535;
/// Parameters of one SQLite statement: `SQLITE_MAX_VARIABLE_NUMBER` since 3.32.
pub const MAX_SQLITE_PARAMETERS: usize = 32_766;
/// Expressions of one list in Snowflake.
pub const MAX_SNOWFLAKE_PARAMETERS: usize = 16_384;
/// Bytes of a PostgreSQL identifier: `NAMEDATALEN` less one. It cuts off a longer one, which then may name another column.
pub const MAX_POSTGRES_IDENTIFIER: usize = 63;
/// Bytes of a Snowflake identifier.
pub const MAX_SNOWFLAKE_IDENTIFIER: usize = 255;

/// Whose SQL is written.
///
/// ```
/// use qsec_authz::section::{Dialect, Identity, SectionAccess};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?.check_columns(["REGION"])?;
/// let sql = access.reduction(Identity::user("ana"))?.to_sql(Dialect::Sqlite)?;
/// assert_eq!(sql.predicate(), "CAST(`REGION` AS TEXT) COLLATE BINARY IN (?)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL, with parameters `$1`, `$2` …
    Postgres,
    /// SQLite, with parameters `?`.
    Sqlite,
    /// Snowflake, with parameters `?`.
    Snowflake,
}

/// Why a reduction cannot be said in SQL.
///
/// ```
/// use qsec_authz::section::{Dialect, Identity, SectionAccess, SqlError};
///
/// let long = "x".repeat(64); // PostgreSQL would cut it off
/// let access = SectionAccess::parse(["ACCESS,USERID\nUSER,ANA\n"])?.check_columns([&long])?;
/// let error = access.reduction(Identity::user("ana"))?.to_sql(Dialect::Postgres).unwrap_err();
/// assert_eq!(error, SqlError::BadIdentifier { name: long });
/// # Ok::<(), qsec_authz::section::ReduceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SqlError {
    /// Data is compared in upper case, and no database maps to upper case by the full Unicode mapping.
    #[error("databases do not compare in upper case as section access does")]
    FoldedData,
    /// A name that the dialect cannot hold.
    #[error("`{name}` is not an identifier here")]
    BadIdentifier {
        /// The name.
        name: String,
    },
    /// More values than one statement takes.
    #[error("{found} parameters, but a statement takes {limit}")]
    TooManyParameters {
        /// Parameters of this reduction.
        found: usize,
        /// Parameters that the dialect takes.
        limit: usize,
    },
    /// One role for two of those that row-level security keeps apart.
    #[error("role `{name}` is named twice")]
    SameRole {
        /// The role.
        name: String,
    },
    /// The reduction comes of access tables other than those that row-level security was made for.
    #[error("the reduction is of access tables of another shape")]
    OtherAccess,
}

impl SqlError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FoldedData => "folded_data",
            Self::BadIdentifier { .. } => "bad_identifier",
            Self::TooManyParameters { .. } => "too_many_parameters",
            Self::SameRole { .. } => "same_role",
            Self::OtherAccess => "other_access",
        }
    }
}

/// A reduction in SQL: a condition with its parameters, and the columns to ask for.
///
/// Reduction columns are compared as texts, byte by byte, whatever their type and collation are.
///
/// ```
/// use qsec_authz::section::{Dialect, Identity, SectionAccess};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION,OMIT\nUSER,ANA,NORTH,COST\nUSER,ANA,WEST,\n"])?;
/// let reduction = access.check_columns(["Region", "Sales", "Cost"])?.reduction(Identity::user("ana"))?;
///
/// let sql = reduction.to_sql(Dialect::Postgres)?;
/// assert_eq!(sql.predicate(), r#"CAST("Region" AS text) COLLATE "C" IN ($1, $2)"#);
/// assert_eq!(sql.parameters(), ["NORTH", "WEST"]);
/// assert_eq!(
///     sql.select(["sales", "orders"])?,
///     r#"SELECT "Region", "Sales" FROM "sales"."orders" WHERE CAST("Region" AS text) COLLATE "C" IN ($1, $2)"#,
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    dialect: Dialect,
    columns: String,
    predicate: String,
    /// For each field, that a cell is among its values.
    listed: Vec<String>,
    parameters: Vec<String>,
}

impl Sql {
    /// The condition that a visible row satisfies. It stands for itself: put it in parentheses beside others.
    pub fn predicate(&self) -> &str {
        &self.predicate
    }

    /// The columns to select, quoted and separated by commas: never `*`.
    pub fn columns(&self) -> &str {
        &self.columns
    }

    /// The values to bind, in the order of their places.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// The statement that gives the visible rows and columns of a table, named by its parts (`["schema", "table"]`).
    ///
    /// # Errors
    /// [`SqlError::BadIdentifier`] if a part is not a name, or there is none.
    pub fn select(&self, table: impl IntoIterator<Item = impl AsRef<str>>) -> Result<String, SqlError> {
        let table = self.table(table)?;
        Ok(format!("SELECT {} FROM {table} WHERE {}", self.columns, self.predicate))
    }

    /// The statement that decides strict exclusion: one row if the user is admitted, none if excluded.
    ///
    /// It takes the same parameters. Without asking it, an excluded user gets no rows in place of a refusal.
    ///
    /// # Errors
    /// As [`Sql::select`].
    pub fn admission(&self, table: impl IntoIterator<Item = impl AsRef<str>>) -> Result<String, SqlError> {
        let table = self.table(table)?;
        let exists = |condition: &String| format!("EXISTS (SELECT 1 FROM {table} WHERE {condition})");
        let conditions: Vec<String> = self.listed.iter().map(exists).collect();
        let all = if conditions.is_empty() { self.dialect.literal(true).to_owned() } else { conditions.join(" AND ") };
        Ok(format!("SELECT 1 WHERE {all}"))
    }

    fn table(&self, parts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<String, SqlError> {
        let parts: Vec<String> =
            parts.into_iter().map(|part| self.dialect.identifier(part.as_ref())).collect::<Result<_, _>>()?;
        if parts.is_empty() { Err(SqlError::BadIdentifier { name: String::new() }) } else { Ok(parts.join(".")) }
    }
}

impl Reduction {
    /// Says the reduction in SQL.
    ///
    /// # Errors
    /// [`SqlError::FoldedData`] if data is compared in upper case, [`SqlError::BadIdentifier`] if the dialect cannot name a
    /// column, [`SqlError::TooManyParameters`] if there are more values than one statement takes.
    pub fn to_sql(&self, dialect: Dialect) -> Result<Sql, SqlError> {
        let mut sql =
            Sql { dialect, columns: String::new(), predicate: String::new(), listed: vec![], parameters: vec![] };
        let columns: Vec<String> = self.columns().map(|column| dialect.identifier(column)).collect::<Result<_, _>>()?;
        sql.columns = columns.join(", ");
        let mut conditions = Vec::new();
        for field in self.fields() {
            conditions.push(sql.add(field)?);
        }
        let found = sql.parameters.len();
        if found > dialect.max_parameters() {
            return Err(SqlError::TooManyParameters { found, limit: dialect.max_parameters() });
        }
        sql.predicate = if conditions.is_empty() { dialect.literal(true).to_owned() } else { conditions.join(" AND ") };
        Ok(sql)
    }
}

impl Sql {
    /// Adds a field: its parameters, and the condition that it puts.
    fn add(&mut self, field: &Field) -> Result<String, SqlError> {
        if field.data_case() == DataCase::Upper {
            return Err(SqlError::FoldedData);
        }
        let column = self.dialect.identifier(field.column())?;
        let text = self.dialect.text(&column);
        let mut places = Vec::new();
        for value in field.values().sorted() {
            // PostgreSQL has no text with U+0000: such a value matches no cell, and binding it would fail.
            if self.dialect == Dialect::Postgres && value.contains('\0') {
                continue;
            }
            self.parameters.push(value.to_owned());
            places.push(self.dialect.place(self.parameters.len()));
        }
        // An empty `IN ()` is no SQL, and no condition would be all rows. Nothing is shown beside nothing, NULL neither.
        if places.is_empty() {
            let nothing = self.dialect.literal(false).to_owned();
            self.listed.push(nothing.clone());
            return Ok(nothing);
        }
        let listed = format!("{text} IN ({})", places.join(", "));
        let mut conditions = vec![listed.clone()];
        self.listed.push(listed);
        if field.null_rows() == NullRows::Show {
            conditions.push(format!("{column} IS NULL"));
        }
        if field.empty_rows() == EmptyRows::Show {
            conditions.push(format!("{text} = ''"));
        }
        let condition = conditions.join(" OR ");
        Ok(if conditions.len() > 1 { format!("({condition})") } else { condition })
    }
}

impl Dialect {
    pub(crate) fn max_parameters(self) -> usize {
        match self {
            Self::Postgres => MAX_POSTGRES_PARAMETERS,
            Self::Sqlite => MAX_SQLITE_PARAMETERS,
            Self::Snowflake => MAX_SNOWFLAKE_PARAMETERS,
        }
    }

    pub(crate) fn place(self, number: usize) -> String {
        match self {
            Self::Postgres => format!("${number}"),
            Self::Sqlite | Self::Snowflake => "?".to_owned(),
        }
    }

    pub(crate) fn literal(self, value: bool) -> &'static str {
        match (self, value) {
            // In SQLite the words TRUE and FALSE are columns, if the table has columns of these names.
            (Self::Sqlite, true) => "(1 = 1)",
            (Self::Sqlite, false) => "(1 = 0)",
            (Self::Postgres | Self::Snowflake, true) => "TRUE",
            (Self::Postgres | Self::Snowflake, false) => "FALSE",
        }
    }

    pub(crate) fn identifier(self, name: &str) -> Result<String, SqlError> {
        let longest = match self {
            Self::Postgres => MAX_POSTGRES_IDENTIFIER,
            Self::Sqlite => usize::MAX,
            Self::Snowflake => MAX_SNOWFLAKE_IDENTIFIER,
        };
        if name.is_empty() || name.contains('\0') || name.len() > longest {
            return Err(SqlError::BadIdentifier { name: name.to_owned() });
        }
        Ok(match self {
            Self::Postgres | Self::Snowflake => format!("\"{}\"", name.replace('"', "\"\"")),
            // SQLite takes a name in double quotes for a text if there is no such column: `"REGION" IN ('REGION')` would be
            // true of every row. Names in backquotes are never texts.
            Self::Sqlite => format!("`{}`", name.replace('`', "``")),
        })
    }

    /// The column as a text that is compared byte by byte. Without the cast SQLite takes `1.0` for `1` in a numeric
    /// column; without the collation a column that ignores case or accents would match more than is listed.
    pub(crate) fn text(self, column: &str) -> String {
        match self {
            Self::Postgres => format!("CAST({column} AS text) COLLATE \"C\""),
            Self::Sqlite => format!("CAST({column} AS TEXT) COLLATE BINARY"),
            Self::Snowflake => format!("COLLATE(CAST({column} AS VARCHAR), 'utf8')"),
        }
    }
}
