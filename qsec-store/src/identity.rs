//! Clients, identity providers and signing keys, and which single-use tokens were used.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use qsec_identity::store::{BoxFuture, StoreError};
use qsec_identity::{Collection, IdentityStore, ReplayStore, Row as IdentityRow};

use crate::Store;
use crate::sql::{Row, Statement, Value};

const GET: Statement = Statement {
    doing: "read an identity record",
    sql: "SELECT id, generation, body FROM qsec_identity WHERE tenant = $1 AND collection = $2 AND id = $3",
};

const LIST: Statement = Statement {
    doing: "list identity records",
    sql: "SELECT id, generation, body FROM qsec_identity WHERE tenant = $1 AND collection = $2 ORDER BY id",
};

const CREATE: Statement = Statement {
    doing: "write an identity record",
    sql: "INSERT INTO qsec_identity (tenant, collection, id, generation, body) VALUES ($1, $2, $3, $4, $5)
          ON CONFLICT DO NOTHING",
};

const REPLACE: Statement = Statement {
    doing: "write an identity record",
    sql: "UPDATE qsec_identity SET generation = $4, body = $5
          WHERE tenant = $1 AND collection = $2 AND id = $3 AND generation = $4 - 1",
};

const DELETE: Statement = Statement {
    doing: "delete an identity record",
    sql: "DELETE FROM qsec_identity WHERE tenant = $1 AND collection = $2 AND id = $3 AND generation = $4",
};

impl IdentityStore for Store {
    fn get<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<IdentityRow>, StoreError>> {
        Box::pin(async move {
            let values = [Value::Text(tenant), Value::Text(collection.as_str()), Value::Text(id)];
            let row = self.database.row(&GET, &values).await?;
            row.as_ref().map(identity_row).transpose()
        })
    }

    fn list<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
    ) -> BoxFuture<'a, Result<Vec<IdentityRow>, StoreError>> {
        Box::pin(async move {
            let rows = self.database.rows(&LIST, &[Value::Text(tenant), Value::Text(collection.as_str())]).await?;
            rows.iter().map(identity_row).collect()
        })
    }

    fn write<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        row: &'a IdentityRow,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let statement = if row.generation == 1 { &CREATE } else { &REPLACE };
            let values = [
                Value::Text(tenant),
                Value::Text(collection.as_str()),
                Value::Text(&row.id),
                Value::Generation(row.generation),
                Value::Bytes(&row.body),
            ];
            Ok(self.database.change_one(statement, &values).await?)
        })
    }

    fn delete<'a>(
        &'a self,
        tenant: &'a str,
        collection: Collection,
        id: &'a str,
        generation: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let values =
                [Value::Text(tenant), Value::Text(collection.as_str()), Value::Text(id), Value::Generation(generation)];
            Ok(self.database.change_one(&DELETE, &values).await?)
        })
    }
}

fn identity_row(row: &Row) -> Result<IdentityRow, StoreError> {
    Ok(IdentityRow { id: row.text(0)?, generation: row.count(1)?, body: row.bytes(2)? })
}

/// Seconds between two removals of replay entries that have ended.
const SWEEP_EVERY: u64 = 60;

/// Seconds that an entry stays after its end: a node whose clock is ahead must not forget a token that another node would
/// still take.
const MAX_CLOCK_SKEW: u64 = 300;

/// One statement decides: of any number of concurrent calls exactly one changes the row. An entry that has ended counts
/// as none.
const REMEMBER: Statement = Statement {
    doing: "remember a used token",
    sql: "INSERT INTO qsec_replay (tenant, token, keep_until) VALUES ($1, $2, $3)
          ON CONFLICT (tenant, token) DO UPDATE SET keep_until = excluded.keep_until WHERE qsec_replay.keep_until < $4",
};

/// A token that was refused as used is remembered for as long as its own caller asked, too.
const PROLONG: Statement = Statement {
    doing: "remember a used token",
    sql: "UPDATE qsec_replay SET keep_until = $3 WHERE tenant = $1 AND token = $2 AND keep_until < $3",
};

const SWEEP: Statement =
    Statement { doing: "forget tokens that have ended", sql: "DELETE FROM qsec_replay WHERE keep_until < $1" };

impl ReplayStore for Store {
    fn insert<'a>(
        &'a self,
        tenant: &'a str,
        key: &'a [u8; 32],
        keep_until: SystemTime,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let now = unix_seconds(now);
            self.sweep(now).await;
            let until = unix_seconds(keep_until.checked_add(Duration::from_secs(1)).unwrap_or(keep_until));
            let values = [Value::Text(tenant), Value::Bytes(key), Value::Count(until), Value::Count(now)];
            if self.database.change(&REMEMBER, &values).await? == 1 {
                return Ok(true);
            }
            let [tenant, key, until, _] = values;
            self.database.change(&PROLONG, &[tenant, key, until]).await?;
            Ok(false)
        })
    }
}

impl Store {
    /// Now and then removes what has ended.
    async fn sweep(&self, now: u64) {
        let last = self.swept.load(Ordering::Relaxed);
        if now.abs_diff(last) < SWEEP_EVERY
            || self.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        // What cannot be removed now is removed a minute later; the answer of the caller does not depend on it.
        drop(self.database.change(&SWEEP, &[Value::Count(now.saturating_sub(MAX_CLOCK_SKEW))]).await);
    }
}

/// Whole seconds since 1970, rounded down; a time before it is 1970.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
