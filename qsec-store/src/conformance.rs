//! What every implementation of [`TenantStore`] and [`SettingStore`] must do.
//!
//! Each function wants a store without rows whose name begins with `conformance-`, leaves its rows behind, and answers
//! the first rule that was broken. It asks one question at a time: a store that is asked from several threads needs a
//! test with threads besides.
//!
//! ```
//! use qsec_store::{Store, conformance};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let store = Store::in_memory().await?;
//! conformance::tenant_store(&store).await?;
//! conformance::setting_store(&store).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt::Debug;

use crate::{SettingRow, SettingStore, StoreError, TenantRow, TenantStore};

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

/// Runs every rule of [`TenantStore`].
///
/// # Errors
/// [`Violation`]: the first rule that the store broke.
pub async fn tenant_store(store: &dyn TenantStore) -> Result<(), Violation> {
    tenants_are_kept(store).await?;
    an_id_is_used_once(store).await?;
    versions_decide(store).await
}

/// Runs every rule of [`SettingStore`].
///
/// # Errors
/// [`Violation`]: the first rule that the store broke.
pub async fn setting_store(store: &dyn SettingStore) -> Result<(), Violation> {
    generations_decide(store).await?;
    prefixes_are_plain_text(store).await
}

async fn tenants_are_kept(store: &dyn TenantStore) -> Result<(), Violation> {
    const RULE: &str = "a tenant that was created is read back, and listed in the order of ids, byte by byte";
    expect(RULE, &store.get("conformance-absent").await, Option::is_none)?;
    let rows = ["é", "b", "a", "B", "a/b"].map(|id| tenant(id, 1, "provisioning"));
    for row in &rows {
        expect(RULE, &store.create(row).await, |()| true)?;
        expect(RULE, &store.get(&row.id).await, |found| found.as_ref() == Some(row))?;
    }
    let expected = ["B", "a", "a/b", "b", "é"].map(|id| format!("conformance-{id}"));
    expect(RULE, &store.list().await, |listed| {
        listed.iter().map(|row| &row.id).filter(|id| id.starts_with("conformance-")).eq(&expected)
    })
}

async fn an_id_is_used_once(store: &dyn TenantStore) -> Result<(), Violation> {
    const RULE: &str = "an id that was ever used is refused, its tombstone stays";
    expect(RULE, &store.create(&tenant("once", 1, "provisioning")).await, |()| true)?;
    expect(RULE, &store.write(&tenant("once", 2, "purged")).await, |()| true)?;
    refuse(RULE, &store.create(&tenant("once", 1, "provisioning")).await, is_used)?;
    refuse(RULE, &store.create(&tenant("early", 2, "active")).await, is_conflict)?;
    expect(RULE, &store.get("conformance-early").await, Option::is_none)?;
    expect(RULE, &store.get("conformance-once").await, |found| *found == Some(tenant("once", 2, "purged")))
}

async fn versions_decide(store: &dyn TenantStore) -> Result<(), Violation> {
    const RULE: &str = "a tenant is written only over the version before";
    refuse(RULE, &store.write(&tenant("none", 1, "active")).await, is_conflict)?;
    refuse(RULE, &store.write(&tenant("none", 2, "active")).await, is_conflict)?;
    expect(RULE, &store.create(&tenant("step", 1, "provisioning")).await, |()| true)?;
    for version in [0, 1, 3] {
        refuse(RULE, &store.write(&tenant("step", version, "active")).await, is_conflict)?;
    }
    expect(RULE, &store.write(&tenant("step", 2, "active")).await, |()| true)?;
    expect(RULE, &store.get("conformance-step").await, |found| *found == Some(tenant("step", 2, "active")))
}

async fn generations_decide(store: &dyn SettingStore) -> Result<(), Violation> {
    const RULE: &str = "a setting is written only over the generation before";
    expect(RULE, &store.get("conformance-step").await, Option::is_none)?;
    refuse(RULE, &store.write(&setting("step", 2)).await, is_conflict)?;
    expect(RULE, &store.write(&setting("step", 1)).await, |()| true)?;
    for generation in [0, 1, 3] {
        refuse(RULE, &store.write(&setting("step", generation)).await, is_conflict)?;
    }
    expect(RULE, &store.write(&setting("step", 2)).await, |()| true)?;
    expect(RULE, &store.get("conformance-step").await, |found| *found == Some(setting("step", 2)))
}

async fn prefixes_are_plain_text(store: &dyn SettingStore) -> Result<(), Violation> {
    const RULE: &str = "a prefix is compared as it is, and rows come in the order of names";
    for name in ["p%", "p/b", "p/a", "P/a", "p", "p_/é", "q"] {
        expect(RULE, &store.write(&setting(name, 1)).await, |()| true)?;
    }
    let cases: [(&str, &[&str]); 5] = [
        ("p/", &["p/a", "p/b"]),
        ("p%", &["p%"]),
        ("p_", &["p_/é"]),
        ("p_/é", &["p_/é"]),
        ("p", &["p", "p%", "p/a", "p/b", "p_/é"]),
    ];
    for (prefix, names) in cases {
        let expected: Vec<SettingRow> = names.iter().map(|name| setting(name, 1)).collect();
        expect(RULE, &store.list(&format!("conformance-{prefix}")).await, |listed| *listed == expected)?;
    }
    expect(RULE, &store.list("").await, |listed| listed.len() >= 8)
}

fn tenant(id: &str, version: u64, state: &str) -> TenantRow {
    TenantRow { id: format!("conformance-{id}"), version, state: state.to_owned(), body: vec![0, 0xff, b'\''] }
}

fn setting(name: &str, generation: u64) -> SettingRow {
    SettingRow { name: format!("conformance-{name}"), generation, body: vec![0, 0xff, b'\''] }
}

fn is_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. })
}

fn is_used(error: &StoreError) -> bool {
    matches!(error, StoreError::IdUsed { .. })
}

fn expect<T: Debug>(
    rule: &'static str,
    answer: &Result<T, StoreError>,
    holds: impl FnOnce(&T) -> bool,
) -> Result<(), Violation> {
    let kept = answer.as_ref().is_ok_and(holds);
    if kept { Ok(()) } else { Err(Violation { rule, found: format!("{answer:?}") }) }
}

fn refuse(
    rule: &'static str,
    answer: &Result<(), StoreError>,
    holds: impl FnOnce(&StoreError) -> bool,
) -> Result<(), Violation> {
    let kept = answer.as_ref().err().is_some_and(holds);
    if kept { Ok(()) } else { Err(Violation { rule, found: format!("{answer:?}") }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoxFuture, Store};

    /// Takes every write for the next one.
    #[derive(Debug)]
    struct LastWins(Store);

    impl TenantStore for LastWins {
        fn create<'a>(&'a self, row: &'a TenantRow) -> BoxFuture<'a, Result<(), StoreError>> {
            self.0.create(row)
        }

        fn write<'a>(&'a self, row: &'a TenantRow) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async move { TenantStore::write(&self.0, row).await.or(Ok(())) })
        }

        fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<TenantRow>, StoreError>> {
            TenantStore::get(&self.0, id)
        }

        fn list(&self) -> BoxFuture<'_, Result<Vec<TenantRow>, StoreError>> {
            TenantStore::list(&self.0)
        }
    }

    /// Lists every row, whatever the prefix.
    #[derive(Debug)]
    struct ListsAll(Store);

    impl SettingStore for ListsAll {
        fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SettingRow>, StoreError>> {
            SettingStore::get(&self.0, name)
        }

        fn write<'a>(&'a self, row: &'a SettingRow) -> BoxFuture<'a, Result<(), StoreError>> {
            SettingStore::write(&self.0, row)
        }

        fn list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<SettingRow>, StoreError>> {
            SettingStore::list(&self.0, "")
        }
    }

    #[tokio::test]
    async fn store_that_ignores_versions_is_found_out() {
        let violation = tenant_store(&LastWins(Store::in_memory().await.unwrap())).await.unwrap_err();
        assert_eq!(violation.rule(), "a tenant is written only over the version before");
    }

    #[tokio::test]
    async fn store_that_ignores_prefixes_is_found_out() {
        let violation = setting_store(&ListsAll(Store::in_memory().await.unwrap())).await.unwrap_err();
        assert_eq!(violation.rule(), "a prefix is compared as it is, and rows come in the order of names");
    }
}
