//! What every [`Ledger`] must do, as functions that its author runs.
//!
//! ```
//! use qsec_pki::{MemoryLedger, ledger::conformance};
//!
//! pollster::block_on(conformance::check(&MemoryLedger::new()))?;
//! # Ok::<(), conformance::Violation>(())
//! ```

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::{CertificateState, Ledger, LedgerRow, StoreError};

/// The last instant that a certificate can name: 9999-12-31T23:59:59Z.
const LAST_INSTANT: u64 = 253_402_300_799;
/// The largest body that a ledger must keep, bytes.
const MAX_BODY: usize = 64 * 1024;

/// A promise of the [`Ledger`] contract that an implementation broke.
#[derive(Debug, thiserror::Error)]
#[error("ledger breaks its contract: {rule}: {found}")]
#[non_exhaustive]
pub struct Violation {
    /// The promise.
    pub rule: &'static str,
    /// What happened instead.
    pub found: String,
}

/// Every check below, one after the other, on one ledger that is empty at the start.
///
/// # Errors
/// The first [`Violation`].
pub async fn check(ledger: &dyn Ledger) -> Result<(), Violation> {
    starts_empty(ledger).await?;
    row_comes_back_as_it_was_written(ledger).await?;
    serial_is_spent_once(ledger).await?;
    two_writers_reserve_one_serial_once(ledger).await?;
    row_advances_only_from_the_state_it_is_in(ledger).await?;
    two_writers_advance_one_row_once(ledger).await?;
    unknown_serial_does_not_advance(ledger).await?;
    key_is_known_for_ever(ledger).await?;
    rows_are_listed_by_serial(ledger).await
}

/// An empty ledger knows nothing.
///
/// # Errors
/// A [`Violation`] if it does, or if a call fails.
pub async fn starts_empty(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "a new ledger holds no row";
    expect(RULE, &succeed(RULE, ledger.list().await)?, &Vec::new())?;
    expect(RULE, &succeed(RULE, ledger.get("00ff").await)?, &None)?;
    expect(RULE, &succeed(RULE, ledger.knows_key(&[0; 32]).await)?, &false)
}

/// Every field survives: the largest body, the last instant, every state.
///
/// # Errors
/// A [`Violation`] if one does not, or if a call fails.
pub async fn row_comes_back_as_it_was_written(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "a row comes back as it was written";
    for (number, state) in (0_u8..).zip(CertificateState::ALL) {
        let mut body = br#"{"id":""#.to_vec();
        body.resize(MAX_BODY.saturating_sub(2), b'x');
        body.extend_from_slice(br#""}"#);
        let row = LedgerRow { state, not_after: LAST_INSTANT, body, ..row(&format!("10{number:02x}"), number) };
        succeed(RULE, ledger.reserve(&row).await)?;
        expect(RULE, &succeed(RULE, ledger.get(&row.serial).await)?, &Some(row))?;
    }
    Ok(())
}

/// A serial that was ever used cannot be reserved again, whatever became of it.
///
/// # Errors
/// A [`Violation`] if it can, or if the refused row left a trace.
pub async fn serial_is_spent_once(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "a serial is reserved once";
    let first = row("20", 0x20);
    succeed(RULE, ledger.reserve(&first).await)?;
    conflict(RULE, ledger.reserve(&first).await)?;
    let abandoned = LedgerRow { state: CertificateState::Abandoned, ..first.clone() };
    succeed(RULE, ledger.advance(&abandoned, CertificateState::Prepared).await)?;
    conflict(RULE, ledger.reserve(&row("20", 0x21)).await)?;
    expect(RULE, &succeed(RULE, ledger.get("20").await)?, &Some(abandoned))?;
    expect(RULE, &succeed(RULE, ledger.knows_key(&[0x21; 32]).await)?, &false)
}

/// Two writers at the same instant: one wins, the other is told.
///
/// # Errors
/// A [`Violation`] if both or neither win.
pub async fn two_writers_reserve_one_serial_once(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "of two reservations of one serial exactly one is kept";
    let (one, two) = (row("30", 0x30), row("30", 0x31));
    let winner = match both(ledger.reserve(&one), ledger.reserve(&two)).await {
        (Ok(()), Err(StoreError::Conflict)) => one,
        (Err(StoreError::Conflict), Ok(())) => two,
        other => return Err(Violation { rule: RULE, found: format!("{other:?}") }),
    };
    expect(RULE, &succeed(RULE, ledger.get("30").await)?, &Some(winner))
}

/// `advance` compares the state, then replaces state and body and nothing else.
///
/// # Errors
/// A [`Violation`] if it advances from another state, or changes more than that.
pub async fn row_advances_only_from_the_state_it_is_in(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "advance replaces state and body of a row that is still in the state named";
    let prepared = row("40", 0x40);
    succeed(RULE, ledger.reserve(&prepared).await)?;
    let issued = LedgerRow { state: CertificateState::Issued, body: br#"{"n":2}"#.to_vec(), ..prepared.clone() };
    conflict(RULE, ledger.advance(&issued, CertificateState::Issued).await)?;
    expect(RULE, &succeed(RULE, ledger.get("40").await)?, &Some(prepared.clone()))?;

    let with_another_key = LedgerRow { spki_sha256: [0x41; 32], not_after: 7, ..issued.clone() };
    succeed(RULE, ledger.advance(&with_another_key, CertificateState::Prepared).await)?;
    expect(RULE, &succeed(RULE, ledger.get("40").await)?, &Some(issued.clone()))?;
    conflict(RULE, ledger.advance(&issued, CertificateState::Prepared).await)
}

/// Two writers that advance one row at the same instant: one wins, the other is told.
///
/// # Errors
/// A [`Violation`] if both or neither win.
pub async fn two_writers_advance_one_row_once(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "of two changes of one row from one state exactly one is kept";
    let prepared = row("50", 0x50);
    succeed(RULE, ledger.reserve(&prepared).await)?;
    let issued = LedgerRow { state: CertificateState::Issued, ..prepared.clone() };
    let abandoned = LedgerRow { state: CertificateState::Abandoned, ..prepared };
    let from = CertificateState::Prepared;
    let winner = match both(ledger.advance(&issued, from), ledger.advance(&abandoned, from)).await {
        (Ok(()), Err(StoreError::Conflict)) => issued,
        (Err(StoreError::Conflict), Ok(())) => abandoned,
        other => return Err(Violation { rule: RULE, found: format!("{other:?}") }),
    };
    expect(RULE, &succeed(RULE, ledger.get("50").await)?, &Some(winner))
}

/// `advance` never makes a row.
///
/// # Errors
/// A [`Violation`] if it does.
pub async fn unknown_serial_does_not_advance(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "a row that was never reserved does not advance";
    conflict(RULE, ledger.advance(&row("60", 0x60), CertificateState::Prepared).await)?;
    expect(RULE, &succeed(RULE, ledger.get("60").await)?, &None)
}

/// A key stays known, whatever became of its certificate.
///
/// # Errors
/// A [`Violation`] if it is forgotten, or another key is taken for it.
pub async fn key_is_known_for_ever(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "a key that was reserved once is known for ever";
    let mut state = CertificateState::Prepared;
    succeed(RULE, ledger.reserve(&row("70", 0x70)).await)?;
    for next in [CertificateState::Issued, CertificateState::Revoked] {
        expect(RULE, &succeed(RULE, ledger.knows_key(&[0x70; 32]).await)?, &true)?;
        succeed(RULE, ledger.advance(&LedgerRow { state: next, ..row("70", 0x70) }, state).await)?;
        state = next;
    }
    expect(RULE, &succeed(RULE, ledger.knows_key(&[0x70; 32]).await)?, &true)?;
    expect(RULE, &succeed(RULE, ledger.knows_key(&[0x7f; 32]).await)?, &false)
}

/// `list` gives every row, ordered by the bytes of the serial.
///
/// # Errors
/// A [`Violation`] if rows are missing, or stand in another order.
pub async fn rows_are_listed_by_serial(ledger: &dyn Ledger) -> Result<(), Violation> {
    const RULE: &str = "rows are listed in the order of serials";
    for serial in ["9a", "80", "8", "a0", "8000"] {
        succeed(RULE, ledger.reserve(&row(serial, 0x80)).await)?;
    }
    let serials: Vec<String> =
        succeed(RULE, ledger.list().await)?.into_iter().map(|row| row.serial).filter(|s| s.as_str() >= "8").collect();
    expect(RULE, &serials, &["8", "80", "8000", "9a", "a0"].map(String::from).to_vec())
}

fn row(serial: &str, key: u8) -> LedgerRow {
    LedgerRow {
        serial: serial.to_owned(),
        spki_sha256: [key; 32],
        state: CertificateState::Prepared,
        not_after: 1_782_900_000,
        body: br#"{"n":1}"#.to_vec(),
    }
}

fn succeed<T>(rule: &'static str, outcome: Result<T, StoreError>) -> Result<T, Violation> {
    outcome.map_err(|error| Violation { rule, found: format!("{error:?}") })
}

fn conflict(rule: &'static str, outcome: Result<(), StoreError>) -> Result<(), Violation> {
    match outcome {
        Err(StoreError::Conflict) => Ok(()),
        other => Err(Violation { rule, found: format!("{other:?} where a conflict was due") }),
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(rule: &'static str, found: &T, due: &T) -> Result<(), Violation> {
    if found == due {
        return Ok(());
    }
    Err(Violation { rule, found: format!("`{found:.300?}` where `{due:.300?}` was due") })
}

/// Drives two futures side by side, in one task, without a runtime.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut from_a, mut from_b) = (None, None);
    poll_fn(|context| {
        if from_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            from_a = Some(output);
        }
        if from_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            from_b = Some(output);
        }
        match (from_a.take(), from_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (from_a, from_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{BoxFuture, MemoryLedger};

    /// Forgets the comparison in `advance`.
    #[derive(Debug, Default)]
    struct Careless(MemoryLedger);

    impl Ledger for Careless {
        fn reserve<'a>(&'a self, row: &'a LedgerRow) -> BoxFuture<'a, Result<(), StoreError>> {
            self.0.reserve(row)
        }
        fn advance<'a>(&'a self, row: &'a LedgerRow, _: CertificateState) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async move {
                let kept = self.0.get(&row.serial).await?.ok_or(StoreError::Conflict)?;
                self.0.advance(row, kept.state).await
            })
        }
        fn get<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, Result<Option<LedgerRow>, StoreError>> {
            self.0.get(serial)
        }
        fn knows_key<'a>(&'a self, key: &'a [u8; 32]) -> BoxFuture<'a, Result<bool, StoreError>> {
            self.0.knows_key(key)
        }
        fn list(&self) -> BoxFuture<'_, Result<Vec<LedgerRow>, StoreError>> {
            self.0.list()
        }
    }

    #[test]
    fn careless_ledger_is_found_out() {
        let violation = pollster::block_on(check(&Careless::default())).unwrap_err();
        assert!(violation.rule.starts_with("advance replaces"), "{violation}");
    }
}
