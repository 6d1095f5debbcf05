//! What every store must do: run these against your own [`IdentityStore`] and [`ReplayStore`].
//!
//! Each function wants a store that is empty for the tenants whose name begins with `conformance-`. It answers the first
//! rule that was broken. The calls that race are polled together by one task: a store that is asked from several threads
//! needs a test with threads besides.
//!
//! ```
//! use qsec_identity::store::{MemoryStore, conformance};
//!
//! pollster::block_on(conformance::identity_store(&MemoryStore::new()))?;
//! pollster::block_on(conformance::replay_store(&MemoryStore::new()))?;
//! # Ok::<(), conformance::Violation>(())
//! ```

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{BoxFuture, Collection, IdentityStore, ReplayStore, Row, StoreError};

const TENANT: &str = "conformance-a";
const OTHER_TENANT: &str = "conformance-b";
/// Calls that race for one row or one key.
const RACERS: usize = 64;

/// A rule of the contract that the store broke.
#[derive(Debug, thiserror::Error)]
#[error("the store broke the rule `{rule}`: {found}")]
pub struct Violation {
    rule: &'static str,
    found: String,
}

impl Violation {
    /// The rule, as a sentence.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

/// Runs every rule of [`IdentityStore`].
///
/// # Errors
/// [`Violation`]: the first rule that the store broke.
pub async fn identity_store(store: &dyn IdentityStore) -> Result<(), Violation> {
    for collection in Collection::ALL {
        rows_are_kept(store, collection).await?;
        generations_decide(store, collection).await?;
        deletion_names_a_generation(store, collection).await?;
        race_has_one_winner(store, collection).await?;
    }
    nothing_crosses_a_border(store).await?;
    bodies_are_octets(store).await
}

/// Runs every rule of [`ReplayStore`].
///
/// # Errors
/// [`Violation`]: the first rule that the store broke.
pub async fn replay_store(store: &dyn ReplayStore) -> Result<(), Violation> {
    first_use_wins(store).await?;
    entry_lives_until_its_end(store).await?;
    keys_belong_to_a_tenant(store).await?;
    one_of_many_wins(store).await
}

async fn rows_are_kept(store: &dyn IdentityStore, collection: Collection) -> Result<(), Violation> {
    const RULE: &str = "a row that was written is read back, and listed in the order of ids";
    expect(RULE, &store.get(TENANT, collection, "absent").await, Option::is_none)?;
    expect(RULE, &store.list(TENANT, collection).await, Vec::is_empty)?;
    let rows = [row("b", 1, "1"), row("a", 1, "2"), row("a/b", 1, "3"), row("Z", 1, "4"), row("é", 1, "5")];
    for row in &rows {
        expect(RULE, &store.write(TENANT, collection, row).await, |()| true)?;
        expect(RULE, &store.get(TENANT, collection, &row.id).await, |found| found.as_ref() == Some(row))?;
    }
    let ids = ["Z", "a", "a/b", "b", "é"];
    expect(RULE, &store.list(TENANT, collection).await, |listed| listed.iter().map(|row| row.id.as_str()).eq(ids))?;
    for row in &rows {
        expect(RULE, &store.delete(TENANT, collection, &row.id, 1).await, |()| true)?;
    }
    expect(RULE, &store.list(TENANT, collection).await, Vec::is_empty)
}

async fn generations_decide(store: &dyn IdentityStore, collection: Collection) -> Result<(), Violation> {
    const RULE: &str = "a row is written only over the generation before it";
    for refused in [0, 2, u64::MAX] {
        conflict(RULE, &store.write(TENANT, collection, &row("g", refused, "x")).await)?;
    }
    expect(RULE, &store.write(TENANT, collection, &row("g", 1, "one")).await, |()| true)?;
    for refused in [0, 1, 3, u64::MAX] {
        conflict(RULE, &store.write(TENANT, collection, &row("g", refused, "x")).await)?;
    }
    expect(RULE, &store.get(TENANT, collection, "g").await, |found| found.as_ref() == Some(&row("g", 1, "one")))?;
    expect(RULE, &store.write(TENANT, collection, &row("g", 2, "two")).await, |()| true)?;
    expect(RULE, &store.get(TENANT, collection, "g").await, |found| found.as_ref() == Some(&row("g", 2, "two")))?;
    expect(RULE, &store.delete(TENANT, collection, "g", 2).await, |()| true)
}

async fn deletion_names_a_generation(store: &dyn IdentityStore, collection: Collection) -> Result<(), Violation> {
    const RULE: &str = "a row is removed only at the generation that was named";
    conflict(RULE, &store.delete(TENANT, collection, "d", 0).await)?;
    conflict(RULE, &store.delete(TENANT, collection, "d", 1).await)?;
    expect(RULE, &store.write(TENANT, collection, &row("d", 1, "x")).await, |()| true)?;
    conflict(RULE, &store.delete(TENANT, collection, "d", 2).await)?;
    conflict(RULE, &store.delete(OTHER_TENANT, collection, "d", 1).await)?;
    expect(RULE, &store.delete(TENANT, collection, "d", 1).await, |()| true)?;
    expect(RULE, &store.get(TENANT, collection, "d").await, Option::is_none)?;
    conflict(RULE, &store.delete(TENANT, collection, "d", 1).await)?;
    expect(RULE, &store.write(TENANT, collection, &row("d", 1, "again")).await, |()| true)?;
    expect(RULE, &store.delete(TENANT, collection, "d", 1).await, |()| true)
}

async fn race_has_one_winner(store: &dyn IdentityStore, collection: Collection) -> Result<(), Violation> {
    const RULE: &str = "of many writers of one generation exactly one wins, and the others see a conflict";
    let rows: Vec<Row> = (0..RACERS).map(|n| row("r", 1, &n.to_string())).collect();
    let answers = together(rows.iter().map(|row| store.write(TENANT, collection, row)).collect()).await;
    let mut winner = None;
    for (answer, row) in answers.iter().zip(&rows) {
        match answer {
            Ok(()) if winner.is_none() => winner = Some(row),
            Ok(()) => return Err(broken(RULE, &"two writers won")),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(broken(RULE, &error)),
        }
    }
    let Some(winner) = winner else { return Err(broken(RULE, &"no writer won")) };
    expect(RULE, &store.get(TENANT, collection, "r").await, |found| found.as_ref() == Some(winner))?;
    expect(RULE, &store.delete(TENANT, collection, "r", 1).await, |()| true)
}

async fn nothing_crosses_a_border(store: &dyn IdentityStore) -> Result<(), Violation> {
    const RULE: &str = "a row of another tenant or collection does not exist";
    let [first, others @ ..] = Collection::ALL;
    expect(RULE, &store.write(TENANT, first, &row("x", 1, "mine")).await, |()| true)?;
    expect(RULE, &store.get(OTHER_TENANT, first, "x").await, Option::is_none)?;
    expect(RULE, &store.list(OTHER_TENANT, first).await, Vec::is_empty)?;
    for other in others {
        expect(RULE, &store.get(TENANT, other, "x").await, Option::is_none)?;
        expect(RULE, &store.list(TENANT, other).await, Vec::is_empty)?;
    }
    expect(RULE, &store.write(OTHER_TENANT, first, &row("x", 1, "theirs")).await, |()| true)?;
    expect(RULE, &store.delete(OTHER_TENANT, first, "x", 1).await, |()| true)?;
    expect(RULE, &store.get(TENANT, first, "x").await, |found| found.as_ref() == Some(&row("x", 1, "mine")))?;
    expect(RULE, &store.delete(TENANT, first, "x", 1).await, |()| true)
}

async fn bodies_are_octets(store: &dyn IdentityStore) -> Result<(), Violation> {
    const RULE: &str = "ids of 300 bytes and bodies of 1 MiB are kept octet by octet";
    let id = "i".repeat(300);
    let body: Vec<u8> = [b'{', b'}', b'\\', b'\'', b'%', b'\n'].iter().copied().cycle().take(1 << 20).collect();
    let large = Row { id: id.clone(), generation: 1, body };
    expect(RULE, &store.write(TENANT, Collection::Client, &large).await, |()| true)?;
    let found = store.get(TENANT, Collection::Client, &id).await;
    if !matches!(&found, Ok(Some(found)) if *found == large) {
        return Err(broken(RULE, &"the row came back changed"));
    }
    expect(RULE, &store.delete(TENANT, Collection::Client, &id, 1).await, |()| true)
}

async fn first_use_wins(store: &dyn ReplayStore) -> Result<(), Violation> {
    const RULE: &str = "the first use of a key is new, each later one is not";
    expect(RULE, &store.insert(TENANT, &[1; 32], at(100), at(0)).await, |new| *new)?;
    expect(RULE, &store.insert(TENANT, &[1; 32], at(100), at(0)).await, |new| !*new)?;
    expect(RULE, &store.insert(TENANT, &[1; 32], at(500), at(50)).await, |new| !*new)?;
    expect(RULE, &store.insert(TENANT, &[2; 32], at(100), at(0)).await, |new| *new)
}

async fn entry_lives_until_its_end(store: &dyn ReplayStore) -> Result<(), Violation> {
    const RULE: &str = "an entry is remembered until its end, that second included, whatever was inserted meanwhile";
    expect(RULE, &store.insert(TENANT, &[3; 32], at(1_000), at(0)).await, |new| *new)?;
    for n in 0..200_u8 {
        let mut key = [4; 32];
        key[0] = n;
        expect(RULE, &store.insert(TENANT, &key, at(600), at(500)).await, |new| *new)?;
    }
    expect(RULE, &store.insert(TENANT, &[3; 32], at(2_000), at(999)).await, |new| !*new)?;
    expect(RULE, &store.insert(TENANT, &[3; 32], at(2_000), at(1_000)).await, |new| !*new)
}

async fn keys_belong_to_a_tenant(store: &dyn ReplayStore) -> Result<(), Violation> {
    const RULE: &str = "a key of one tenant says nothing about another's";
    expect(RULE, &store.insert(TENANT, &[5; 32], at(100), at(0)).await, |new| *new)?;
    expect(RULE, &store.insert(OTHER_TENANT, &[5; 32], at(100), at(0)).await, |new| *new)?;
    expect(RULE, &store.insert(OTHER_TENANT, &[5; 32], at(100), at(0)).await, |new| !*new)
}

async fn one_of_many_wins(store: &dyn ReplayStore) -> Result<(), Violation> {
    const RULE: &str = "of many concurrent uses of one key exactly one is new";
    let key = [6; 32];
    let answers = together((0..RACERS).map(|_| store.insert(TENANT, &key, at(100), at(0))).collect()).await;
    let mut wins = 0_usize;
    for answer in answers {
        match answer {
            Ok(true) => wins = wins.saturating_add(1),
            Ok(false) => {}
            Err(error) => return Err(broken(RULE, &error)),
        }
    }
    if wins == 1 { Ok(()) } else { Err(broken(RULE, &format!("{wins} of {RACERS} were new"))) }
}

fn row(id: &str, generation: u64, mark: &str) -> Row {
    Row { id: id.to_owned(), generation, body: format!("{{\"mark\":\"{mark}\"}}").into_bytes() }
}

/// Beside a round time of day, so that a store that rounds shows it.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000_u64.saturating_add(seconds))
}

fn broken(rule: &'static str, found: &dyn fmt::Display) -> Violation {
    Violation { rule, found: found.to_string() }
}

fn expect<T: fmt::Debug>(
    rule: &'static str,
    answer: &Result<T, StoreError>,
    holds: impl FnOnce(&T) -> bool,
) -> Result<(), Violation> {
    match answer {
        Ok(value) if holds(value) => Ok(()),
        Ok(value) => Err(broken(rule, &format!("{value:?}"))),
        Err(error) => Err(broken(rule, &error)),
    }
}

fn conflict(rule: &'static str, answer: &Result<(), StoreError>) -> Result<(), Violation> {
    match answer {
        Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(broken(rule, &error)),
        Ok(()) => Err(broken(rule, &"no conflict was reported")),
    }
}

/// Polls all futures until each has answered.
async fn together<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut slots: Vec<(BoxFuture<'_, T>, Option<T>)> = futures.into_iter().map(|future| (future, None)).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for (future, answer) in slots.iter_mut().filter(|(_, answer)| answer.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *answer = Some(value),
                Poll::Pending => waiting = true,
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    slots.into_iter().filter_map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    /// Forgets what it was told.
    #[derive(Debug)]
    struct Forgetful;

    impl ReplayStore for Forgetful {
        fn insert<'a>(
            &'a self,
            _tenant: &'a str,
            _key: &'a [u8; 32],
            _keep_until: SystemTime,
            _now: SystemTime,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            Box::pin(async { Ok(true) })
        }
    }

    /// Writes whatever the generation.
    #[derive(Debug)]
    struct LastWins(MemoryStore);

    impl IdentityStore for LastWins {
        fn get<'a>(
            &'a self,
            tenant: &'a str,
            collection: Collection,
            id: &'a str,
        ) -> BoxFuture<'a, Result<Option<Row>, StoreError>> {
            self.0.get(tenant, collection, id)
        }

        fn list<'a>(&'a self, tenant: &'a str, collection: Collection) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
            self.0.list(tenant, collection)
        }

        fn write<'a>(
            &'a self,
            tenant: &'a str,
            collection: Collection,
            row: &'a Row,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async move {
                match self.0.write(tenant, collection, row).await {
                    Err(StoreError::Conflict) => Ok(()),
                    answer => answer,
                }
            })
        }

        fn delete<'a>(
            &'a self,
            tenant: &'a str,
            collection: Collection,
            id: &'a str,
            generation: u64,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            self.0.delete(tenant, collection, id, generation)
        }
    }

    #[test]
    fn store_that_forgets_is_found_out() {
        let violation = pollster::block_on(replay_store(&Forgetful)).unwrap_err();
        assert_eq!(violation.rule(), "the first use of a key is new, each later one is not");
    }

    #[test]
    fn store_that_ignores_generations_is_found_out() {
        let violation = pollster::block_on(identity_store(&LastWins(MemoryStore::new()))).unwrap_err();
        assert_eq!(violation.rule(), "a row is written only over the generation before it");
    }
}
