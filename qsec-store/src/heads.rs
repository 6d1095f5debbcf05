//! The newest head of each node's audit log.

use qsec_audit::head::{BoxFuture, StoreError};
use qsec_audit::{Head, HeadStore};

use crate::Store;
use crate::sql::{Statement, Value};

const LOAD: Statement = Statement {
    doing: "read the head of a log",
    sql: "SELECT origin, log_id, commit_number, chain, trees_root FROM qsec_head WHERE origin = $1",
};

/// A lower commit of the same log changes nothing: a log that was rolled back cannot hide it.
const SAVE: Statement = Statement {
    doing: "keep the head of a log",
    sql: "INSERT INTO qsec_head (origin, log_id, commit_number, chain, trees_root) VALUES ($1, $2, $3, $4, $5)
          ON CONFLICT (origin) DO UPDATE SET log_id = excluded.log_id, commit_number = excluded.commit_number,
              chain = excluded.chain, trees_root = excluded.trees_root
          WHERE qsec_head.commit_number <= excluded.commit_number OR qsec_head.log_id <> excluded.log_id",
};

impl HeadStore for Store {
    fn load<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<Option<Head>, StoreError>> {
        Box::pin(async move {
            let Some(row) = self.database.row(&LOAD, &[Value::Text(origin)]).await? else { return Ok(None) };
            Ok(Some(Head {
                origin: row.text(0)?,
                log_id: row.text(1)?,
                commit: row.count(2)?,
                chain: row.array(3)?,
                trees_root: row.array(4)?,
            }))
        })
    }

    fn save<'a>(&'a self, head: &'a Head) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let values = [
                Value::Text(&head.origin),
                Value::Text(&head.log_id),
                Value::Count(head.commit),
                Value::Bytes(&head.chain),
                Value::Bytes(&head.trees_root),
            ];
            Ok(self.database.change_one(&SAVE, &values).await?)
        })
    }
}
