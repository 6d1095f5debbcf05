//! Records of the deployment itself, by name.

use std::fmt;

use crate::error::StoreError;
use crate::sql::{Row, Statement, Value};
use crate::{BoxFuture, Store};

/// One named record: a wrapped service secret, the state of the authority, a fact about the deployment.
///
/// A secret MUST be wrapped before it comes here: the store keeps what it is given.
///
/// ```
/// use qsec_store::SettingRow;
///
/// let zone = SettingRow { name: "zone".to_owned(), generation: 1, body: b"\"prod.internal\"".to_vec() };
/// assert_eq!(format!("{zone:?}"), r#"SettingRow { name: "zone", generation: 1, .. }"#);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds rows from its columns")]
pub struct SettingRow {
    /// Unique in the deployment: 1 to 300 bytes, compared byte by byte. One that begins with `tenant/<id>/` goes when that
    /// tenant is purged ([`Store::remove_records`]).
    pub name: String,
    /// 1 for a new row, then one more with each write.
    pub generation: u64,
    /// The record. At most 1 MiB.
    pub body: Vec<u8>,
}

impl fmt::Debug for SettingRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingRow")
            .field("name", &self.name)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Keeps the named records of a deployment.
///
/// # Contract
/// A row is written only if the stored generation is exactly `row.generation - 1` (0: no such row), otherwise nothing
/// changes and the answer is [`StoreError::Conflict`]; it is durable when the future resolves.
pub trait SettingStore: Send + Sync + fmt::Debug {
    /// The row of that name.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SettingRow>, StoreError>>;

    /// Writes one row.
    fn write<'a>(&'a self, row: &'a SettingRow) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Every row whose name begins with `prefix`, in the order of names.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<SettingRow>, StoreError>>;
}

const GET: Statement =
    Statement { doing: "read a setting", sql: "SELECT name, generation, body FROM qsec_setting WHERE name = $1" };

const CREATE: Statement = Statement {
    doing: "write a setting",
    sql: "INSERT INTO qsec_setting (name, generation, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
};

const REPLACE: Statement = Statement {
    doing: "write a setting",
    sql: "UPDATE qsec_setting SET generation = $2, body = $3 WHERE name = $1 AND generation = $2 - 1",
};

/// The first condition lets the index find the beginning; no character of the prefix has a meaning, as it would in LIKE.
const LIST: Statement = Statement {
    doing: "list settings",
    sql: "SELECT name, generation, body FROM qsec_setting
          WHERE name >= $1 AND substr(name, 1, length($1)) = $1 ORDER BY name",
};

impl SettingStore for Store {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SettingRow>, StoreError>> {
        Box::pin(async move {
            let row = self.database.row(&GET, &[Value::Text(name)]).await?;
            row.as_ref().map(setting_row).transpose()
        })
    }

    fn write<'a>(&'a self, row: &'a SettingRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let statement = if row.generation == 1 { &CREATE } else { &REPLACE };
            let values = [Value::Text(&row.name), Value::Generation(row.generation), Value::Bytes(&row.body)];
            self.database.change_one(statement, &values).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<SettingRow>, StoreError>> {
        Box::pin(
            async move { self.database.rows(&LIST, &[Value::Text(prefix)]).await?.iter().map(setting_row).collect() },
        )
    }
}

fn setting_row(row: &Row) -> Result<SettingRow, StoreError> {
    Ok(SettingRow { name: row.text(0)?, generation: row.count(1)?, body: row.bytes(2)? })
}
