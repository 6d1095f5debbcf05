//! The issuance ledger of the authority.

use qsec_pki::ledger::{BoxFuture, StoreError};
use qsec_pki::{CertificateState, Ledger, LedgerRow};

use crate::Store;
use crate::sql::{Row, Statement, Value};

const RESERVE: Statement = Statement {
    doing: "reserve a serial",
    sql: "INSERT INTO qsec_certificate (serial, spki_sha256, state, not_after, body) VALUES ($1, $2, $3, $4, $5)
          ON CONFLICT DO NOTHING",
};

const ADVANCE: Statement = Statement {
    doing: "change the state of a certificate",
    sql: "UPDATE qsec_certificate SET state = $2, body = $3 WHERE serial = $1 AND state = $4",
};

const GET: Statement = Statement {
    doing: "read a ledger row",
    sql: "SELECT serial, spki_sha256, state, not_after, body FROM qsec_certificate WHERE serial = $1",
};

const KNOWS_KEY: Statement = Statement {
    doing: "look up a certified key",
    sql: "SELECT serial FROM qsec_certificate WHERE spki_sha256 = $1 LIMIT 1",
};

const LIST: Statement = Statement {
    doing: "list the ledger",
    sql: "SELECT serial, spki_sha256, state, not_after, body FROM qsec_certificate ORDER BY serial",
};

impl Ledger for Store {
    fn reserve<'a>(&'a self, row: &'a LedgerRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let values = [
                Value::Text(&row.serial),
                Value::Bytes(&row.spki_sha256),
                Value::Text(row.state.as_str()),
                Value::Count(row.not_after),
                Value::Bytes(&row.body),
            ];
            Ok(self.database.change_one(&RESERVE, &values).await?)
        })
    }

    fn advance<'a>(&'a self, row: &'a LedgerRow, from: CertificateState) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let values = [
                Value::Text(&row.serial),
                Value::Text(row.state.as_str()),
                Value::Bytes(&row.body),
                Value::Text(from.as_str()),
            ];
            Ok(self.database.change_one(&ADVANCE, &values).await?)
        })
    }

    fn get<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, Result<Option<LedgerRow>, StoreError>> {
        Box::pin(async move {
            let row = self.database.row(&GET, &[Value::Text(serial)]).await?;
            row.as_ref().map(ledger_row).transpose()
        })
    }

    fn knows_key<'a>(&'a self, spki_sha256: &'a [u8; 32]) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.database.row(&KNOWS_KEY, &[Value::Bytes(spki_sha256)]).await?.is_some()) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LedgerRow>, StoreError>> {
        Box::pin(async move { self.database.rows(&LIST, &[]).await?.iter().map(ledger_row).collect() })
    }
}

fn ledger_row(row: &Row) -> Result<LedgerRow, StoreError> {
    let state = row.text(2)?;
    let state = CertificateState::ALL.into_iter().find(|known| known.as_str() == state);
    Ok(LedgerRow {
        serial: row.text(0)?,
        spki_sha256: row.array(1)?,
        state: state.ok_or_else(|| row.damaged("a certificate in an unknown state"))?,
        not_after: row.count(3)?,
        body: row.bytes(4)?,
    })
}
