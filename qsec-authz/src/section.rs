//! Which rows and which columns of the data a user may see, by *access tables* that are loaded beside it.
//!
//! An access table says, row by row, for whom the row is (`USERID`, `USER.EMAIL`, `USER.NAME`, `NTNAME`, `GROUP`), which values of
//! which columns of the data they may see, and which columns are left out (`OMIT`). [`SectionAccess`] reads the tables,
//! [`CheckedAccess`] knows that they fit the columns of the data, a [`Reduction`] is what they give to one user. Every output
//! is made from that one value: a [`Table`] of texts, CSV by streams, Arrow record batches (feature `arrow`), SQL ([`Sql`]).
//!
//! It does **not** decide whether the user may open the data at all, nor does it authenticate anybody: an [`Identity`] is taken
//! for true. It does not rewrite a user's own SQL, which is no boundary. It never changes a cell: whoever
//! loads the data sees all of it, and reduction happens for readers.
//!
//! ```
//! use qsec_authz::section::{Identity, SectionAccess, Table};
//!
//! let access = SectionAccess::parse(["ACCESS,USERID,REGION,OMIT\nADMIN,BOSS,,\nUSER,ANA,NORTH,COST\n"])?;
//! let data = Table::parse_csv("Region,Sales,Cost\nNORTH,10,7\nSOUTH,20,9\n")?;
//!
//! let access = access.check_columns(data.columns())?;
//! let reduction = access.reduction(Identity::user("ana"))?;
//! assert_eq!(reduction.apply(&data)?.to_csv(), "Region,Sales\nNORTH,10\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rules
//! Names and cells of access tables are stripped of blanks and tabs at both ends, and compared in upper case (the full Unicode
//! mapping). A cell that is the NULL text is blank. Data is compared as it is, unless [`DataCase::Upper`] is chosen.
//!
//! - **Who.** A row is for the user if every identity column of its table says so: `*` is everybody, blank is nobody. A user
//!   without a row is refused, `not_listed`.
//! - **Which rows.** For each other column, the cells of the user's rows are the values that they may see: `*` stands for the
//!   values that any row of any access table lists in that column, blank for nothing. A data row is visible if each such column
//!   agrees; values of one column add up, so those of different rows mix. The column does not reduce only for a user
//!   all of whose rows say `ADMIN` and leave it blank.
//! - **NULL and empty cells** are hidden unless [`NullRows::Show`] or [`EmptyRows::Show`] is chosen, and never a value.
//! - **Strict exclusion.** A user of whom some column has no value in the data is refused, `excluded`. With
//!   [`Exclusion::NoRows`] they get the rows that remain, never more.
//! - **Which columns.** What any row of the user names in `OMIT` is left out, after the rows were reduced: one name a row, or a
//!   pattern of `*` and `?`. A user without any column left is `excluded`.
//! - **Mapping tables** have no system column. Each is joined to the user's rows, in the order given, by all the columns that it
//!   shares with the authorization tables and the mapping tables before it. A key that no row maps has no value, which
//!   is not blank: it does not lift the reduction of an `ADMIN`. A `*` that is joined to the row of one value is that value for
//!   the tables behind.
//!
//! A typing error does not open the data: a column that is neither in the data nor a key, an `OMIT` that matches nothing, an unknown
//! word in `ACCESS`, an unsupported identity column are errors, in any row, before anybody is matched.
//!
//! # Parts
//! | for | take |
//! |---|---|
//! | the tables | [`SectionAccess`], [`Options`], [`Version`], [`AccessError`] |
//! | a user | [`Identity`], [`CheckedAccess::reduction`], [`Refusal`] |
//! | what they may see | [`Reduction`], [`Field`], [`Level`] |
//! | data in memory | [`Table`], `RecordBatch` (feature `arrow`), [`Reduction::apply`] |
//! | data in parts | [`Survey`], then [`Admitted`]: strict exclusion is decided by the whole |
//! | CSV of any size | [`Reduction::apply_csv`], [`reduce_csv`] |
//! | a database that is asked by a program | [`Reduction::to_sql`], [`Dialect`] |
//! | a database that is asked by users | [`row_security`] |
//! | which tables are in force, and who reads by them | [`ActiveTables`], [`Reader`] |
//! | what `*` misses | [`CheckedAccess::unreached`] |
//!
//! # Guarantees and limits
//! - Reducing is pure: no clock, file, network or randomness has a say in the answer, and the order of rows has none either.
//! - All outputs agree on every row; they are compared with a separate evaluator on generated tables and data.
//! - No input panics. Every size is bounded by a `MAX_…` constant; beyond it there is an error (`too_large`), never a partial answer.
//! - Data whose columns are not those that were checked is refused (`schema_changed`), so that a column that comes later is not shown.
//! - Users whose names differ only in what upper case removes (`groß` and `GROSS`, `ı` and `I`) are one user here: the
//!   identity provider must not have both.
//! - A cache of reduced data is keyed by [`Reader::cache_key`]: the tenant, the user's values of
//!   [`SectionAccess::identity_columns`], the [`Version`], and the [`Options`].
//! - SQL is written for tables that the database does not let the user reach otherwise. Reduction columns are compared as text by
//!   `CAST`; PostgreSQL strips the padding of `char(n)` in doing so.
//! - A single record batch is taken for all of the data by [`Reduction::apply`]: take a [`Survey`] for several.

mod access;
mod active;
#[cfg(feature = "arrow")]
pub mod arrow;
mod checked;
mod csv;
mod error;
mod identity;
mod mapping;
mod options;
mod reduction;
pub mod row_security;
mod sql;
mod stream;
mod table;
mod texts;
mod values;

pub use access::{
    MAX_ACCESS_BYTES, MAX_ACCESS_CELLS, MAX_ACCESS_COLUMNS, MAX_ACCESS_ROWS, MAX_ACCESS_TABLES, SectionAccess, Version,
};
pub use active::{Activation, ActiveTables, CacheKey, MAX_READER_AGE, OpenError, Reader, Stale, Updated};
pub use checked::{CheckedAccess, MAX_OMIT_STEPS};
pub use csv::{CsvError, MAX_DATA_COLUMNS, MAX_RECORD_BYTES};
pub use error::{AccessError, Cause, ReduceError, Refusal};
pub use identity::Identity;
pub use mapping::{MAX_JOIN_STEPS, MAX_LINK_COLUMNS};
pub use options::{DataCase, EmptyRows, Exclusion, NullRows, Options};
pub use reduction::{Admitted, Field, Level, Reducible, Reduction, Survey};
pub use sql::{
    Dialect, MAX_POSTGRES_IDENTIFIER, MAX_POSTGRES_PARAMETERS, MAX_SNOWFLAKE_IDENTIFIER, MAX_SNOWFLAKE_PARAMETERS,
    MAX_SQLITE_PARAMETERS, Sql, SqlError,
};
pub use stream::{Written, csv_columns, reduce_csv};
pub use table::{MAX_TABLE_BYTES, Table, Unreached};
pub use values::ValueSet;
