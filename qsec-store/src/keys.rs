//! Key records of tenants, and the keys of the internal KMS.

use qsec_crypto::store::{BoxFuture, StoreError};
use qsec_crypto::{KeyRow, KeyStore, LocalKeyRow, LocalKeyStore, TenantId};

use crate::Store;
use crate::sql::{Row, Statement, Transaction, Value};

/// Most bytes of a key record's body, as the traits state; the tables hold no more.
const MAX_BODY: usize = 128 * 1024;

/// What goes over wrapped material before its row is deleted.
static ZEROS: [u8; MAX_BODY] = [0; MAX_BODY];

const LOAD: Statement = Statement {
    doing: "read the keys of a tenant",
    sql: "SELECT name, generation, body, mac FROM qsec_key WHERE tenant = $1 ORDER BY name",
};

const CREATE: Statement = Statement {
    doing: "write a key of a tenant",
    sql: "INSERT INTO qsec_key (tenant, name, generation, body, mac) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
};

const REPLACE: Statement = Statement {
    doing: "write a key of a tenant",
    sql: "UPDATE qsec_key SET generation = $3, body = $4, mac = $5
          WHERE tenant = $1 AND name = $2 AND generation = $3 - 1",
};

const OVERWRITE: Statement = Statement {
    doing: "overwrite the keys of a tenant",
    sql: "UPDATE qsec_key SET body = substr($2, 1, octet_length(body)), mac = substr($2, 1, 32) WHERE tenant = $1",
};

const DELETE: Statement =
    Statement { doing: "delete the keys of a tenant", sql: "DELETE FROM qsec_key WHERE tenant = $1" };

impl KeyStore for Store {
    fn load<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<KeyRow>, StoreError>> {
        Box::pin(async move {
            let rows = self.database.rows(&LOAD, &[Value::Text(tenant.as_str())]).await?;
            rows.iter().map(key_row).collect()
        })
    }

    fn write<'a>(&'a self, tenant: &'a TenantId, rows: &'a [KeyRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut change = self.database.begin("write the keys of a tenant").await?;
            let written = write_all(&mut change, tenant, rows).await;
            Ok(change.end(written).await?)
        })
    }

    fn erase<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let tenant = Value::Text(tenant.as_str());
            self.database.change(&OVERWRITE, &[tenant, Value::Bytes(&ZEROS)]).await?;
            self.database.change(&DELETE, &[tenant]).await?;
            Ok(self.database.scrub().await?)
        })
    }
}

async fn write_all(change: &mut Transaction, tenant: &TenantId, rows: &[KeyRow]) -> Result<(), crate::StoreError> {
    // In one order everywhere, so that two writers never wait for each other.
    let mut rows: Vec<&KeyRow> = rows.iter().collect();
    rows.sort_by_key(|row| &row.name);
    for row in rows {
        let statement = if row.generation == 1 { &CREATE } else { &REPLACE };
        let values = [
            Value::Text(tenant.as_str()),
            Value::Text(&row.name),
            Value::Generation(row.generation),
            Value::Bytes(&row.body),
            Value::Bytes(&row.mac),
        ];
        change.change_one(statement, &values).await?;
    }
    Ok(())
}

fn key_row(row: &Row) -> Result<KeyRow, StoreError> {
    Ok(KeyRow { name: row.text(0)?, generation: row.count(1)?, body: row.bytes(2)?, mac: row.array(3)? })
}

const LOAD_LOCAL: Statement = Statement {
    doing: "read a key of the internal KMS",
    sql: "SELECT id, generation, body FROM qsec_local_key WHERE id = $1",
};

const LIST_LOCAL: Statement = Statement {
    doing: "list the keys of the internal KMS",
    sql: "SELECT id, generation, body FROM qsec_local_key ORDER BY id",
};

const CREATE_LOCAL: Statement = Statement {
    doing: "write a key of the internal KMS",
    sql: "INSERT INTO qsec_local_key (id, generation, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
};

const REPLACE_LOCAL: Statement = Statement {
    doing: "write a key of the internal KMS",
    sql: "UPDATE qsec_local_key SET generation = $2, body = $3 WHERE id = $1 AND generation = $2 - 1",
};

const OVERWRITE_LOCAL: Statement = Statement {
    doing: "overwrite a key of the internal KMS",
    sql: "UPDATE qsec_local_key SET body = substr($2, 1, octet_length(body)) WHERE id = $1",
};

const DELETE_LOCAL: Statement =
    Statement { doing: "delete a key of the internal KMS", sql: "DELETE FROM qsec_local_key WHERE id = $1" };

impl LocalKeyStore for Store {
    fn load<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<Option<LocalKeyRow>, StoreError>> {
        Box::pin(async move {
            let row = self.database.row(&LOAD_LOCAL, &[Value::Bytes(id)]).await?;
            row.as_ref().map(local_key_row).transpose()
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LocalKeyRow>, StoreError>> {
        Box::pin(async move { self.database.rows(&LIST_LOCAL, &[]).await?.iter().map(local_key_row).collect() })
    }

    fn write<'a>(&'a self, row: &'a LocalKeyRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let statement = if row.generation == 1 { &CREATE_LOCAL } else { &REPLACE_LOCAL };
            let values = [Value::Bytes(&row.id), Value::Generation(row.generation), Value::Bytes(&row.body)];
            Ok(self.database.change_one(statement, &values).await?)
        })
    }

    fn erase<'a>(&'a self, id: &'a [u8; 16]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let id = Value::Bytes(id);
            self.database.change(&OVERWRITE_LOCAL, &[id, Value::Bytes(&ZEROS)]).await?;
            self.database.change(&DELETE_LOCAL, &[id]).await?;
            Ok(self.database.scrub().await?)
        })
    }
}

fn local_key_row(row: &Row) -> Result<LocalKeyRow, StoreError> {
    Ok(LocalKeyRow { id: row.array(0)?, generation: row.count(1)?, body: row.bytes(2)? })
}
