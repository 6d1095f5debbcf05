//! `qsec reduce`: section access over a table; no deployment is read.

mod columns;

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use qsec::authz::section::{
    DataCase, Dialect, EmptyRows, Exclusion, Identity, NullRows, Options, ReduceError, SectionAccess, reduce_csv,
};
use serde_json::{Value, json};

use self::columns::{ColumnsError, Format};
use super::Session;
use crate::Exit;
use crate::failure::{Failure, position};
use crate::files::{self, Existing, Sink};

/// Most bytes of an access table.
const MAX_ACCESS_BYTES: u64 = 64 * 1024 * 1024;

/// `qsec reduce`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec reduce --access access.csv --in data.csv --user ana")]
pub(crate) struct Reduce {
    /// An access table, CSV; repeat for several, in the order in which mapping tables are joined
    #[arg(long, value_name = "FILE", required = true)]
    access: Vec<PathBuf>,
    /// The data: CSV, or Parquet or Arrow by extension (default: standard input, CSV)
    #[arg(long, value_name = "FILE")]
    r#in: Option<PathBuf>,
    /// Write the reduced data there, in the format of the data (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The user's id, with directory if it has one
    #[arg(long)]
    user: Option<String>,
    /// The user's e-mail
    #[arg(long)]
    email: Option<String>,
    /// The user's display name
    #[arg(long)]
    name: Option<String>,
    /// The user's Windows name
    #[arg(long)]
    ntname: Option<String>,
    /// A group of the user; repeat for several
    #[arg(long)]
    group: Vec<String>,
    /// A cell that is exactly this text is NULL
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// Rows whose reduction cell is NULL
    #[arg(long, default_value = "hide", value_name = "WHAT")]
    null_rows: Rows,
    /// Rows whose reduction cell is empty
    #[arg(long, default_value = "hide", value_name = "WHAT")]
    empty_rows: Rows,
    /// Compare the data in upper case too
    #[arg(long)]
    fold_data: bool,
    /// No rows where a field excludes everything, instead of a refusal
    #[arg(long)]
    no_strict: bool,
    /// Print the predicate for a database instead of reading data
    #[arg(long, value_name = "DIALECT", requires = "columns", conflicts_with_all = ["in", "out"])]
    sql: Option<SqlDialect>,
    /// The data's columns, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "sql")]
    columns: Vec<String>,
}

/// What happens to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rows {
    /// Nobody sees them
    Hide,
    /// Every admitted user sees them
    Show,
}

/// A database's way to write SQL.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SqlDialect {
    /// PostgreSQL
    Postgres,
    /// SQLite
    Sqlite,
    /// Snowflake
    Snowflake,
}

pub(crate) fn run(reduce: &Reduce, session: &Session<'_>) -> Result<Exit, Failure> {
    let data = if reduce.sql.is_none() { Some(reduce.r#in.as_deref().unwrap_or("-".as_ref())) } else { None };
    files::one_dash(reduce.access.iter().map(PathBuf::as_path).chain(data))?;
    let tables: Vec<String> = reduce.access.iter().map(|path| access_text(path)).collect::<Result<_, _>>()?;
    if let Some(dialect) = reduce.sql {
        return sql(reduce, &tables, dialect, session);
    }
    let format = reduce.format()?;
    let mut input = seekable(reduce.r#in.as_deref())?;
    let mut sink = Sink::open(reduce.out.as_deref(), Existing::Replace)?;
    let reduced = if format == Format::Csv {
        let reduced = reduce_csv(&tables, reduce.options(), reduce.identity(), &mut input, &mut sink);
        reduced.map(|(reduction, written)| (reduction, written.rows)).map_err(ColumnsError::Reduce)
    } else {
        SectionAccess::parse_with(&tables, reduce.options())
            .map_err(ColumnsError::from)
            .and_then(|access| columns::reduce(format, &access, reduce.identity(), &input, &mut sink))
    };
    let (reduction, rows) = reduced.map_err(|error| match (sink.broken(), error) {
        (Some(failure), _) => failure,
        (None, ColumnsError::Reduce(error)) => reduce.failure(error),
        (None, ColumnsError::Malformed(why)) => {
            Failure::misuse("bad_data", format!("the data is not {}: {why}", format.name()))
        }
    })?;
    sink.finish()?;
    let columns: Vec<&str> = reduction.columns().collect();
    let level = reduction.level().as_str();
    let summary = json!({"level": level, "rows": rows, "columns": columns, "omitted": reduction.omitted()});
    let to_file = reduce.out.as_deref().is_some_and(|out| !files::is_dash(out));
    session.output.summary(to_file, &summary, |_| format!("{rows} rows, {} columns, as {level}", columns.len()))?;
    Ok(Exit::Yes)
}

fn sql(reduce: &Reduce, tables: &[String], dialect: SqlDialect, session: &Session<'_>) -> Result<Exit, Failure> {
    let access = SectionAccess::parse_with(tables, reduce.options())?.check_columns(&reduce.columns)?;
    let reduction = access.reduction(reduce.identity()).map_err(|error| reduce.failure(error))?;
    let dialect = match dialect {
        SqlDialect::Postgres => Dialect::Postgres,
        SqlDialect::Sqlite => Dialect::Sqlite,
        SqlDialect::Snowflake => Dialect::Snowflake,
    };
    let sql = reduction.to_sql(dialect).map_err(|error| Failure::misuse(error.code(), error.to_string()))?;
    let answer = json!({"columns": sql.columns(), "predicate": sql.predicate(), "parameters": sql.parameters()});
    session.output.answer(&answer, |_| {
        let bound = (1..).zip(sql.parameters()).map(|(place, value)| format!("\n-- {place}: {value:?}"));
        format!("SELECT {}\nWHERE {}{}", sql.columns(), sql.predicate(), bound.collect::<String>())
    })?;
    Ok(Exit::Yes)
}

impl Reduce {
    /// Only that the user is not listed or is excluded is a no; everything else is about the tables or the data.
    fn failure(&self, error: ReduceError) -> Failure {
        let exit = if error.refusal().is_some() { Exit::No } else { Exit::Misuse };
        let hint = error.hint().map(|hint| format!(": {hint}")).unwrap_or_default();
        match error {
            ReduceError::Unavailable(source) => {
                files::unreadable(self.r#in.as_deref().unwrap_or("-".as_ref()), &source)
            }
            ReduceError::Internal(what) => Failure::internal(what),
            error @ (ReduceError::NoUser | _) => {
                let mut failure = Failure::new(exit, error.code(), format!("{error}{hint}"));
                for (name, value) in place(&error) {
                    failure = failure.with(name, value);
                }
                failure
            }
        }
    }

    /// The format of the data, which is that of the output too.
    fn format(&self) -> Result<Format, Failure> {
        let of = |path: &Option<PathBuf>| path.as_deref().filter(|path| !files::is_dash(path)).map(Format::of);
        let format = of(&self.r#in).unwrap_or(Format::Csv);
        match of(&self.out) {
            Some(out) if out != format => {
                let message = format!("--in is {} and --out is {}: they must be one format", format.name(), out.name());
                Err(Failure::misuse("usage", message))
            }
            _ => Ok(format),
        }
    }

    fn options(&self) -> Options {
        let mut options = Options::new();
        if let Some(text) = &self.null {
            options = options.null_text(text);
        }
        if self.null_rows == Rows::Show {
            options = options.null_rows(NullRows::Show);
        }
        if self.empty_rows == Rows::Show {
            options = options.empty_rows(EmptyRows::Show);
        }
        if self.fold_data {
            options = options.data_case(DataCase::Upper);
        }
        if self.no_strict {
            options = options.exclusion(Exclusion::NoRows);
        }
        options
    }

    fn identity(&self) -> Identity {
        let mut identity = Identity::new().groups(&self.group);
        if let Some(user) = &self.user {
            identity = identity.id(user);
        }
        if let Some(email) = &self.email {
            identity = identity.email(email);
        }
        if let Some(name) = &self.name {
            identity = identity.name(name);
        }
        if let Some(name) = &self.ntname {
            identity = identity.ntname(name);
        }
        identity
    }
}

/// An access table's text. What is not UTF-8 is no CSV of ours.
fn access_text(path: &Path) -> Result<String, Failure> {
    files::read_text(path, MAX_ACCESS_BYTES, "bad_csv")
}

/// Where in the tables or the data.
fn place(error: &ReduceError) -> Vec<(&'static str, Value)> {
    if let ReduceError::Access(error) = error {
        position(error.position())
    } else if let ReduceError::BadData(error) = error {
        position(error.position())
    } else {
        Vec::new()
    }
}

/// Strictness needs two looks at the data, so standard input is kept in an unnamed temporary file of mode 0600.
fn seekable(path: Option<&Path>) -> Result<File, Failure> {
    if let Some(path) = path.filter(|path| !files::is_dash(path)) {
        return File::open(path).map_err(|error| files::unreadable(path, &error));
    }
    let spool = || {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        file.flush()?;
        file.rewind()?;
        Ok(file)
    };
    spool().map_err(|error| files::unwritable(&std::env::temp_dir(), &error))
}
