//! Which rows and which columns of the data a user may see, by *access tables* that are loaded beside it.

mod access;
#[cfg(feature = "arrow")]
pub mod arrow;
mod checked;
mod csv;
mod error;
mod identity;
mod mapping;
mod options;
mod reduction;
mod sql;
mod stream;
mod table;
mod texts;
mod values;

pub use access::{
    MAX_ACCESS_BYTES, MAX_ACCESS_CELLS, MAX_ACCESS_COLUMNS, MAX_ACCESS_ROWS, MAX_ACCESS_TABLES, SectionAccess, Version,
};
pub use checked::{CheckedAccess, MAX_OMIT_PATTERNS};
pub use csv::{CsvError, MAX_DATA_COLUMNS, MAX_RECORD_BYTES};
pub use error::{AccessError, Cause, ReduceError, Refusal};
pub use identity::Identity;
pub use mapping::MAX_JOIN_STEPS;
pub use options::{DataCase, EmptyRows, Exclusion, NullRows, Options};
pub use reduction::{Admitted, Field, Level, Reducible, Reduction, Survey};
pub use sql::{
    Dialect, MAX_POSTGRES_IDENTIFIER, MAX_POSTGRES_PARAMETERS, MAX_SNOWFLAKE_IDENTIFIER, MAX_SNOWFLAKE_PARAMETERS,
    MAX_SQLITE_PARAMETERS, Sql, SqlError,
};
pub use stream::{Written, csv_columns, reduce_csv};
pub use table::{MAX_TABLE_BYTES, Table, Unreached};
pub use values::ValueSet;
