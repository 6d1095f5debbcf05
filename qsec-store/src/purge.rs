//! What a purge needs besides the traits: to remove a tenant's configuration, and to look for what is left.

use crate::Store;
use crate::error::StoreError;
use crate::sql::{Statement, Transaction, Value};

const DOING: &str = "remove the records of a tenant";

/// Takes the row that every change of the policy takes first, makes it if need be: so a purge and a change never wait for
/// each other.
const HOLD: Statement = Statement {
    doing: DOING,
    sql: "INSERT INTO qsec_policy (tenant, version) VALUES ($1, 1)
          ON CONFLICT (tenant) DO UPDATE SET version = qsec_policy.version",
};

const REMOVE: [Statement; 4] = [
    Statement { doing: DOING, sql: "DELETE FROM qsec_identity WHERE tenant = $1" },
    Statement { doing: DOING, sql: "DELETE FROM qsec_replay WHERE tenant = $1" },
    Statement { doing: DOING, sql: "DELETE FROM qsec_policy_entry WHERE tenant = $1" },
    // No tenant's id has a slash, and no character of a prefix has a meaning, as it would in LIKE.
    Statement {
        doing: DOING,
        sql: "DELETE FROM qsec_setting WHERE name >= 'tenant/' || $1 || '/'
              AND substr(name, 1, length('tenant/' || $1 || '/')) = 'tenant/' || $1 || '/'",
    },
];

const RELEASE: Statement = Statement { doing: DOING, sql: "DELETE FROM qsec_policy WHERE tenant = $1" };

/// Every table with a column for the tenant, but for the one that keeps its tombstone; and the settings that are the
/// tenant's by their names.
const COUNT: Statement = Statement {
    doing: "look for the records of a tenant",
    sql: "SELECT 'key', count(*) FROM qsec_key WHERE tenant = $1
          UNION ALL SELECT 'identity', count(*) FROM qsec_identity WHERE tenant = $1
          UNION ALL SELECT 'replay', count(*) FROM qsec_replay WHERE tenant = $1
          UNION ALL SELECT 'policy', count(*) FROM qsec_policy WHERE tenant = $1
          UNION ALL SELECT 'policy_entry', count(*) FROM qsec_policy_entry WHERE tenant = $1
          UNION ALL SELECT 'setting', count(*) FROM qsec_setting WHERE name >= 'tenant/' || $1 || '/'
              AND substr(name, 1, length('tenant/' || $1 || '/')) = 'tenant/' || $1 || '/'",
};

impl Store {
    /// Removes a tenant's identity records, used tokens, policy, and the settings whose names begin with `tenant/<id>/`, all or
    /// none; answers how many records that were.
    ///
    /// Its keys go through [`KeyStore::erase`](qsec_crypto::KeyStore::erase), before this; its row among the
    /// [`TenantStore`](crate::TenantStore)'s stays. To call it again is no error.
    ///
    /// ```
    /// use qsec_identity::{Collection, IdentityStore, Row};
    /// use qsec_store::Store;
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = Store::in_memory().await?;
    /// let client = Row { id: "spa".to_owned(), generation: 1, body: b"{}".to_vec() };
    /// IdentityStore::write(&store, "acme", Collection::Client, &client).await?;
    /// assert_eq!(store.records_left("acme").await?, [("identity".to_owned(), 1)]);
    ///
    /// assert_eq!(store.remove_records("acme").await?, 1);
    /// assert_eq!(store.records_left("acme").await?, []);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database is.
    pub async fn remove_records(&self, tenant: &str) -> Result<u64, StoreError> {
        let mut change = self.database.begin(DOING).await?;
        let removed = remove_all(&mut change, tenant).await;
        change.end(removed).await
    }

    /// Which tables still hold rows of a tenant, and how many; the tombstone and lifecycle row does not count.
    ///
    /// It looks at what names the tenant, a column or the beginning of a setting's name, not into bodies.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database is.
    pub async fn records_left(&self, tenant: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = self.database.rows(&COUNT, &[Value::Text(tenant)]).await?;
        let counts = rows.iter().map(|row| Ok((row.text(0)?, row.count(1)?)));
        counts.filter(|count| !matches!(count, Ok((_, 0)))).collect()
    }
}

async fn remove_all(change: &mut Transaction, tenant: &str) -> Result<u64, StoreError> {
    let tenant = [Value::Text(tenant)];
    change.change(&HOLD, &tenant).await?;
    let mut removed = 0_u64;
    for statement in &REMOVE {
        removed = removed.saturating_add(change.change(statement, &tenant).await?);
    }
    change.change(&RELEASE, &tenant).await?;
    Ok(removed)
}
