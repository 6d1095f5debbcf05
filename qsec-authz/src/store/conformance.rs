//! What every [`PolicyStore`] must do, as functions that its author runs.
//!
//! Each function needs a store that answers, and a tenant that this store has never seen; [`all`] makes tenants from a
//! prefix. Nothing panics: the first promise that is not kept is the answer.
//!
//! ```
//! use qsec_authz::{MemoryStore, store::conformance};
//! # pollster::block_on(async {
//! conformance::all(&MemoryStore::new(), "run-1").await?;
//! # Ok::<(), conformance::Violation>(())
//! # }).unwrap();
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use super::{BoxFuture, EntryKind, PolicyChange, PolicyEntry, PolicyStore, StoreError, StoredPolicy};

/// The longest id that a store must keep, in bytes: the contract of [`PolicyEntry::id`].
pub const MAX_ID_BYTES: usize = 300;
/// The longest body that a store must keep, in bytes: the contract of [`PolicyEntry::body`].
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How many writers race for one version.
const WRITERS: usize = 8;

/// A promise that the store did not keep.
#[derive(Debug, thiserror::Error)]
#[error("{promise}: {what}")]
pub struct Violation {
    promise: &'static str,
    what: String,
    #[source]
    source: Option<StoreError>,
}

impl Violation {
    /// The promise, as a sentence.
    pub fn promise(&self) -> &'static str {
        self.promise
    }
}

type Verdict = Result<(), Violation>;

/// Runs every function of this module, each on a tenant of its own: `PREFIX-1`, `PREFIX-2`, …
///
/// # Errors
/// The first promise that is not kept.
pub async fn all(store: &dyn PolicyStore, prefix: &str) -> Verdict {
    unknown_tenant_is_empty(store, &format!("{prefix}-1")).await?;
    what_was_put_is_loaded(store, &format!("{prefix}-2")).await?;
    put_replaces_and_remove_removes(store, &format!("{prefix}-3")).await?;
    changes_apply_in_their_order(store, &format!("{prefix}-4")).await?;
    stale_version_changes_nothing(store, &format!("{prefix}-5")).await?;
    entries_come_in_order(store, &format!("{prefix}-6")).await?;
    texts_are_kept_exactly(store, &format!("{prefix}-7")).await?;
    largest_entry_fits(store, &format!("{prefix}-8")).await?;
    tenants_are_apart(store, &format!("{prefix}-9"), &format!("{prefix}-9A")).await?;
    one_of_many_writers_wins(store, &format!("{prefix}-10")).await?;
    load_is_of_one_instant(store, &format!("{prefix}-11")).await
}

/// A tenant that was never stored has version 0 and no entries.
///
/// # Errors
/// The promise is not kept.
pub async fn unknown_tenant_is_empty(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("a tenant that was never stored is empty");
    let stored = check.answer(store.load(tenant).await)?;
    check.equal(&stored, &StoredPolicy { version: 0, entries: Vec::new() })?;
    check.equal(&check.answer(store.version(tenant).await)?, &0)
}

/// What was put is what is loaded, under the version that `apply` returned.
///
/// # Errors
/// The promise is not kept.
pub async fn what_was_put_is_loaded(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("what was put is loaded");
    let ana = entry(EntryKind::User, "ana", r#"{"roles":["Developer"]}"#);
    check.applied(store, tenant, 0, &[PolicyChange::Put(ana.clone())]).await?;
    check.equal(&check.answer(store.version(tenant).await)?, &1)?;
    check.holds(store, tenant, 1, &[ana]).await
}

/// A second put replaces, a removal removes, a removal of nothing is no error, and each apply is one version, also an
/// empty one.
///
/// # Errors
/// The promise is not kept.
pub async fn put_replaces_and_remove_removes(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("put replaces, remove removes");
    let first = entry(EntryKind::Group, "g", "{}");
    let second = entry(EntryKind::Group, "g", r#"{"roles":[]}"#);
    check.applied(store, tenant, 0, &[PolicyChange::Put(first)]).await?;
    check.applied(store, tenant, 1, &[PolicyChange::Put(second.clone())]).await?;
    check.applied(store, tenant, 2, &[remove(EntryKind::User, "g"), remove(EntryKind::Group, "other")]).await?;
    check.holds(store, tenant, 3, &[second]).await?;
    check.applied(store, tenant, 3, &[remove(EntryKind::Group, "g")]).await?;
    check.applied(store, tenant, 4, &[]).await?;
    check.holds(store, tenant, 5, &[]).await
}

/// Within one apply, a later change sees the earlier ones.
///
/// # Errors
/// The promise is not kept.
pub async fn changes_apply_in_their_order(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("changes apply in their order");
    let last = entry(EntryKind::Space, "a", "3");
    let changes = [
        PolicyChange::Put(entry(EntryKind::Space, "a", "1")),
        PolicyChange::Put(entry(EntryKind::Space, "b", "1")),
        remove(EntryKind::Space, "a"),
        PolicyChange::Put(last.clone()),
        remove(EntryKind::Space, "b"),
    ];
    check.applied(store, tenant, 0, &changes).await?;
    check.holds(store, tenant, 1, &[last]).await
}

/// A writer that assumed another version is told so, and changes nothing.
///
/// # Errors
/// The promise is not kept.
pub async fn stale_version_changes_nothing(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("a stale version changes nothing");
    let kept = entry(EntryKind::Role, "R", "[]");
    let lost = PolicyChange::Put(entry(EntryKind::Role, "S", "[]"));
    check.conflict(store.apply(tenant, 1, std::slice::from_ref(&lost)).await)?;
    check.applied(store, tenant, 0, &[PolicyChange::Put(kept.clone())]).await?;
    for stale in [0, 2, u64::MAX] {
        check.conflict(store.apply(tenant, stale, &[lost.clone(), remove(EntryKind::Role, "R")]).await)?;
    }
    check.holds(store, tenant, 1, &[kept]).await
}

/// Entries are loaded in the order of kind, then of id, bytewise.
///
/// # Errors
/// The promise is not kept.
pub async fn entries_come_in_order(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("entries come in the order of kind and id");
    let mut entries = Vec::new();
    for kind in EntryKind::ALL {
        for id in ["", "0000000002", "0000000010", "B", "a", "a b", "ab", "é", "\u{1F600}"] {
            entries.push(entry(kind, id, "{}"));
        }
    }
    let changes: Vec<_> = entries.iter().rev().cloned().map(PolicyChange::Put).collect();
    check.applied(store, tenant, 0, &changes).await?;
    check.holds(store, tenant, 1, &entries).await
}

/// Ids and bodies come back as they were: case, blanks, composition and characters outside the first plane count.
///
/// # Errors
/// The promise is not kept.
pub async fn texts_are_kept_exactly(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("texts are kept exactly");
    let ids = [" ", " x", "%", "'; --", "X", "\\", "_", "e\u{301}", "x", "x ", "\u{e9}", "\u{1F511}"];
    let mut entries: Vec<_> =
        ids.iter().map(|id| entry(EntryKind::User, id, &format!("{{\"name\":\"{id}\",  \"groups\":[]}}\n"))).collect();
    entries.sort_by(|left, right| left.id.cmp(&right.id));
    let changes: Vec<_> = entries.iter().cloned().map(PolicyChange::Put).collect();
    check.applied(store, tenant, 0, &changes).await?;
    check.holds(store, tenant, 1, &entries).await
}

/// The longest id and the longest body fit.
///
/// # Errors
/// The promise is not kept.
pub async fn largest_entry_fits(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("the largest entry fits");
    let large = entry(EntryKind::Resource, &"i".repeat(MAX_ID_BYTES), &"b".repeat(MAX_BODY_BYTES));
    check.applied(store, tenant, 0, &[PolicyChange::Put(large.clone())]).await?;
    let stored = check.answer(store.load(tenant).await)?;
    if stored.entries == [large] { Ok(()) } else { check.broken("the entry came back changed") }
}

/// A change of one tenant is not seen in another, whose id differs in a letter at the end.
///
/// # Errors
/// The promise is not kept.
pub async fn tenants_are_apart(store: &dyn PolicyStore, one: &str, other: &str) -> Verdict {
    let check = Check("tenants are apart");
    let ana = entry(EntryKind::User, "ana", r#"{"name":"one"}"#);
    check.applied(store, one, 0, &[PolicyChange::Put(ana.clone())]).await?;
    check.holds(store, other, 0, &[]).await?;
    check.applied(store, other, 0, &[remove(EntryKind::User, "ana")]).await?;
    check.holds(store, one, 1, &[ana]).await
}

/// Of many writers that assume the same version, exactly one wins, and its entry is the one that is there.
///
/// # Errors
/// The promise is not kept.
pub async fn one_of_many_writers_wins(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("one of many writers wins");
    let changes: Vec<Vec<PolicyChange>> =
        (0..WRITERS).map(|n| vec![PolicyChange::Put(entry(EntryKind::User, &format!("w{n}"), "{}"))]).collect();
    let answers = together(changes.iter().map(|change| store.apply(tenant, 0, change)).collect()).await;
    let mut winners = Vec::new();
    for (answer, change) in answers.into_iter().zip(&changes) {
        match answer {
            Ok(version) => {
                check.equal(&version, &1)?;
                winners.extend(change.iter().filter_map(put));
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return check.failed(error),
        }
    }
    check.equal(&winners.len(), &1)?;
    check.holds(store, tenant, 1, &winners).await
}

/// While a writer works, `load` never mixes two versions.
///
/// # Errors
/// The promise is not kept.
pub async fn load_is_of_one_instant(store: &dyn PolicyStore, tenant: &str) -> Verdict {
    let check = Check("a load is of one instant");
    for version in 0..8_u64 {
        let body = version.saturating_add(1).to_string();
        let changes = ["a", "b"].map(|id| PolicyChange::Put(entry(EntryKind::Resource, id, &body)));
        let write: BoxFuture<'_, _> = Box::pin(async {
            store.apply(tenant, version, &changes).await.map(|_| StoredPolicy { version: 0, entries: Vec::new() })
        });
        for answer in together(vec![store.load(tenant), write, store.load(tenant)]).await {
            let seen = check.answer(answer)?;
            let expected = seen.version.to_string();
            if seen.entries.iter().any(|entry| entry.body != expected) {
                return check.broken(&format!("version {expected} came with entries of another one"));
            }
        }
    }
    Ok(())
}

/// The name of a promise, and the ways to break it.
struct Check(&'static str);

impl Check {
    fn broken<T>(&self, what: &str) -> Result<T, Violation> {
        Err(Violation { promise: self.0, what: what.to_owned(), source: None })
    }

    fn failed<T>(&self, error: StoreError) -> Result<T, Violation> {
        Err(Violation { promise: self.0, what: "the store failed".to_owned(), source: Some(error) })
    }

    fn answer<T>(&self, answer: Result<T, StoreError>) -> Result<T, Violation> {
        answer.or_else(|error| self.failed(error))
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&self, seen: &T, expected: &T) -> Verdict {
        if seen == expected { Ok(()) } else { self.broken(&format!("saw {seen:?}, expected {expected:?}")) }
    }

    fn conflict(&self, answer: Result<u64, StoreError>) -> Verdict {
        match answer {
            Err(StoreError::Conflict) => Ok(()),
            Ok(version) => self.broken(&format!("a conflict was applied as version {version}")),
            Err(error) => self.failed(error),
        }
    }

    async fn applied(&self, store: &dyn PolicyStore, tenant: &str, expected: u64, changes: &[PolicyChange]) -> Verdict {
        let version = self.answer(store.apply(tenant, expected, changes).await)?;
        self.equal(&version, &expected.saturating_add(1))
    }

    async fn holds(&self, store: &dyn PolicyStore, tenant: &str, version: u64, entries: &[PolicyEntry]) -> Verdict {
        let stored = self.answer(store.load(tenant).await)?;
        self.equal(&stored, &StoredPolicy { version, entries: entries.to_vec() })?;
        self.equal(&self.answer(store.version(tenant).await)?, &version)
    }
}

fn entry(kind: EntryKind, id: &str, body: &str) -> PolicyEntry {
    PolicyEntry { kind, id: id.to_owned(), body: body.to_owned() }
}

fn remove(kind: EntryKind, id: &str) -> PolicyChange {
    PolicyChange::Remove { kind, id: id.to_owned() }
}

fn put(change: &PolicyChange) -> Option<PolicyEntry> {
    match change {
        PolicyChange::Put(entry) => Some(entry.clone()),
        PolicyChange::Remove { .. } => None,
    }
}

/// Polls all futures until all are done: they are in flight at the same time, on any runtime or none.
async fn together<T>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(move |context| {
        let mut waiting = false;
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                match Pin::new(future).poll(context) {
                    Poll::Ready(value) => *answer = Some(value),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(answers.drain(..).flatten().collect()) }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;

    /// A store with one fault, to prove that the suite finds it.
    #[derive(Debug)]
    struct Faulty(MemoryStore, Fault);

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fault {
        IgnoresVersion,
        FoldsCase,
        SharesTenants,
        ReversesOrder,
        CutsBodies,
    }

    impl Faulty {
        fn tenant<'a>(&self, tenant: &'a str) -> &'a str {
            if self.1 == Fault::SharesTenants { "one" } else { tenant }
        }
    }

    impl PolicyStore for Faulty {
        fn load<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<StoredPolicy, StoreError>> {
            Box::pin(async move {
                let mut stored = self.0.load(self.tenant(tenant)).await?;
                if self.1 == Fault::ReversesOrder {
                    stored.entries.reverse();
                }
                Ok(stored)
            })
        }

        fn version<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
            self.0.version(self.tenant(tenant))
        }

        fn apply<'a>(
            &'a self,
            tenant: &'a str,
            expected: u64,
            changes: &'a [PolicyChange],
        ) -> BoxFuture<'a, Result<u64, StoreError>> {
            Box::pin(async move {
                let tenant = self.tenant(tenant);
                let expected = if self.1 == Fault::IgnoresVersion { self.0.version(tenant).await? } else { expected };
                let mut changes = changes.to_vec();
                for change in &mut changes {
                    if let PolicyChange::Put(entry) = change {
                        match self.1 {
                            Fault::FoldsCase => entry.id = entry.id.to_lowercase(),
                            Fault::CutsBodies => entry.body.truncate(65_535),
                            Fault::IgnoresVersion | Fault::SharesTenants | Fault::ReversesOrder => {}
                        }
                    }
                }
                self.0.apply(tenant, expected, &changes).await
            })
        }
    }

    #[test]
    fn suite_finds_each_fault() {
        for fault in
            [Fault::IgnoresVersion, Fault::FoldsCase, Fault::SharesTenants, Fault::ReversesOrder, Fault::CutsBodies]
        {
            let store = Faulty(MemoryStore::new(), fault);
            assert!(pollster::block_on(all(&store, "t")).is_err(), "{fault:?} was not found");
        }
    }
}
