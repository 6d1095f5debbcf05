//! Policies of tenants, with versions.

use qsec_authz::store::{BoxFuture, StoreError};
use qsec_authz::{EntryKind, PolicyChange, PolicyEntry, PolicyStore, StoredPolicy};

use crate::Store;
use crate::sql::{Row, Statement, Transaction, Value};

/// One statement, so that version and entries are those of one instant. A policy without entries is a row without one.
const LOAD: Statement = Statement {
    doing: "read the policy of a tenant",
    sql: "SELECT policy.version, entry.kind, entry.id, entry.body
          FROM qsec_policy AS policy LEFT JOIN qsec_policy_entry AS entry ON entry.tenant = policy.tenant
          WHERE policy.tenant = $1",
};

const VERSION: Statement = Statement {
    doing: "read the policy version of a tenant",
    sql: "SELECT version FROM qsec_policy WHERE tenant = $1",
};

const FIRST: Statement = Statement {
    doing: "change the policy of a tenant",
    sql: "INSERT INTO qsec_policy (tenant, version) VALUES ($1, $2 + 1) ON CONFLICT DO NOTHING",
};

const NEXT: Statement = Statement {
    doing: "change the policy of a tenant",
    sql: "UPDATE qsec_policy SET version = $2 + 1 WHERE tenant = $1 AND version = $2",
};

const PUT: Statement = Statement {
    doing: "write a policy entry",
    sql: "INSERT INTO qsec_policy_entry (tenant, kind, id, body) VALUES ($1, $2, $3, $4)
          ON CONFLICT (tenant, kind, id) DO UPDATE SET body = excluded.body",
};

const REMOVE: Statement = Statement {
    doing: "remove a policy entry",
    sql: "DELETE FROM qsec_policy_entry WHERE tenant = $1 AND kind = $2 AND id = $3",
};

impl PolicyStore for Store {
    fn load<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<StoredPolicy, StoreError>> {
        Box::pin(async move {
            let rows = self.database.rows(&LOAD, &[Value::Text(tenant)]).await?;
            let version = rows.first().map_or(Ok(0), |row| row.count(0))?;
            let mut entries: Vec<PolicyEntry> =
                rows.iter().filter_map(|row| entry(row).transpose()).collect::<Result<_, _>>()?;
            entries.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
            Ok(StoredPolicy { version, entries })
        })
    }

    fn version<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let row = self.database.row(&VERSION, &[Value::Text(tenant)]).await?;
            Ok(row.map_or(Ok(0), |row| row.count(0))?)
        })
    }

    fn apply<'a>(
        &'a self,
        tenant: &'a str,
        expected: u64,
        changes: &'a [PolicyChange],
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut open = self.database.begin("change the policy of a tenant").await?;
            let applied = apply_all(&mut open, tenant, expected, changes).await;
            open.end(applied).await?;
            Ok(expected.saturating_add(1))
        })
    }
}

async fn apply_all(
    open: &mut Transaction,
    tenant: &str,
    expected: u64,
    changes: &[PolicyChange],
) -> Result<(), crate::StoreError> {
    let tenant = Value::Text(tenant);
    // First: whoever changes this row has the tenant's policy to itself until the end.
    let statement = if expected == 0 { &FIRST } else { &NEXT };
    open.change_one(statement, &[tenant, Value::Generation(expected)]).await?;
    for change in changes {
        match change {
            PolicyChange::Put(entry) => {
                let kind = Value::Text(entry.kind.as_str());
                open.change(&PUT, &[tenant, kind, Value::Text(&entry.id), Value::Text(&entry.body)]).await?;
            }
            PolicyChange::Remove { kind, id } => {
                open.change(&REMOVE, &[tenant, Value::Text(kind.as_str()), Value::Text(id)]).await?;
            }
            _ => {
                let what = "this store does not know a change of that kind".to_owned();
                return Err(crate::StoreError::Refused { doing: PUT.doing, what });
            }
        }
    }
    Ok(())
}

/// The entry of a joined row; none if the policy has no entries.
fn entry(row: &Row) -> Result<Option<PolicyEntry>, StoreError> {
    let Some(kind) = row.optional_text(1)? else { return Ok(None) };
    let kind = EntryKind::ALL.into_iter().find(|known| known.as_str() == kind);
    let kind = kind.ok_or_else(|| row.damaged("a policy entry of unknown kind"))?;
    Ok(Some(PolicyEntry { kind, id: row.text(2)?, body: row.text(3)? }))
}
