//! Tenants and where they stand in their lifecycle.

use std::fmt;

use crate::error::StoreError;
use crate::sql::{Row, Statement, Value};
use crate::{BoxFuture, Store};

/// One tenant. What its state means, and what follows it, is decided by whoever writes it.
///
/// ```
/// use qsec_store::TenantRow;
///
/// let acme = TenantRow { id: "acme".to_owned(), version: 1, state: "provisioning".to_owned(), body: b"{}".to_vec() };
/// assert_eq!(format!("{acme:?}"), r#"TenantRow { id: "acme", version: 1, state: "provisioning", .. }"#);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds rows from its columns")]
pub struct TenantRow {
    /// Unique for ever: 1 to 255 bytes, compared byte by byte.
    pub id: String,
    /// 1 for a new tenant, then one more with each write.
    pub version: u64,
    /// The lifecycle state, by its stable name. 1 to 64 bytes.
    pub state: String,
    /// Everything else about the tenant, JSON. At most 1 MiB.
    pub body: Vec<u8>,
}

impl fmt::Debug for TenantRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRow")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Keeps the tenants of a deployment.
///
/// # Contract
/// - `create` and `write` are atomic, and durable when the future resolves.
/// - `write` changes a row only if the stored version is exactly `row.version - 1`, otherwise it changes nothing and the
///   answer is [`StoreError::Conflict`]. So state and version are compared in one step: a version has one state.
/// - Rows are never removed: a purged tenant stays as its tombstone, and its id is never given again.
pub trait TenantStore: Send + Sync + fmt::Debug {
    /// Adds a tenant at version 1; another version is a [`StoreError::Conflict`].
    ///
    /// An id that was ever used is [`StoreError::IdUsed`], whatever became of its tenant.
    fn create<'a>(&'a self, row: &'a TenantRow) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Replaces the row of a tenant. An id that does not exist is a [`StoreError::Conflict`].
    fn write<'a>(&'a self, row: &'a TenantRow) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The row of that id.
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<TenantRow>, StoreError>>;

    /// Every row, tombstones too, in the order of ids.
    fn list(&self) -> BoxFuture<'_, Result<Vec<TenantRow>, StoreError>>;
}

const CREATE: Statement = Statement {
    doing: "create a tenant",
    sql: "INSERT INTO qsec_tenant (id, version, state, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
};

const REPLACE: Statement = Statement {
    doing: "write a tenant",
    sql: "UPDATE qsec_tenant SET version = $2, state = $3, body = $4 WHERE id = $1 AND version = $2 - 1",
};

const GET: Statement =
    Statement { doing: "read a tenant", sql: "SELECT id, version, state, body FROM qsec_tenant WHERE id = $1" };

const LIST: Statement =
    Statement { doing: "list tenants", sql: "SELECT id, version, state, body FROM qsec_tenant ORDER BY id" };

impl TenantStore for Store {
    fn create<'a>(&'a self, row: &'a TenantRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if row.version != 1 {
                return Err(StoreError::Conflict { doing: CREATE.doing });
            }
            match self.database.change(&CREATE, &values(row)).await? {
                0 => Err(StoreError::IdUsed { id: row.id.clone() }),
                _ => Ok(()),
            }
        })
    }

    fn write<'a>(&'a self, row: &'a TenantRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.database.change_one(&REPLACE, &values(row)).await })
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<TenantRow>, StoreError>> {
        Box::pin(async move {
            let row = self.database.row(&GET, &[Value::Text(id)]).await?;
            row.as_ref().map(tenant_row).transpose()
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<TenantRow>, StoreError>> {
        Box::pin(async move { self.database.rows(&LIST, &[]).await?.iter().map(tenant_row).collect() })
    }
}

fn values(row: &TenantRow) -> [Value<'_>; 4] {
    [Value::Text(&row.id), Value::Generation(row.version), Value::Text(&row.state), Value::Bytes(&row.body)]
}

fn tenant_row(row: &Row) -> Result<TenantRow, StoreError> {
    Ok(TenantRow { id: row.text(0)?, version: row.count(1)?, state: row.text(2)?, body: row.bytes(3)? })
}
