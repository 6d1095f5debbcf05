//! What every [`HeadStore`] must do: run these against a store of your own.
//!
//! Each function takes a fresh origin of its own, so that all of them can run against one store, in any order.
//!
//! ```
//! use qsec_audit::head::{MemoryHeads, conformance};
//!
//! let store = MemoryHeads::new();
//! pollster::block_on(conformance::all(&store));
//! ```
//!
//! # Panics
//! Every function panics with a sentence when the store breaks the contract.
#![expect(clippy::panic, reason = "a conformance suite reports by panicking, like any test")]

use super::{Head, HeadStore, StoreError};

/// Runs the whole suite.
pub async fn all(store: &dyn HeadStore) {
    unknown_origin_has_no_head(store).await;
    saved_head_is_loaded_unchanged(store).await;
    higher_commit_replaces(store).await;
    same_commit_can_be_saved_again(store).await;
    lower_commit_of_the_same_log_is_a_conflict(store).await;
    another_log_replaces_even_with_a_lower_commit(store).await;
    origins_do_not_meet(store).await;
    largest_values_survive(store).await;
}

/// An origin that was never saved has no head.
pub async fn unknown_origin_has_no_head(store: &dyn HeadStore) {
    expect(store, "conformance.example/unknown", None, "an origin that was never saved has no head").await;
}

/// What is loaded equals what was saved, in every field.
pub async fn saved_head_is_loaded_unchanged(store: &dyn HeadStore) {
    let head = head("conformance.example/saved", 'a', 7);
    save(store, &head).await;
    expect(store, &head.origin, Some(&head), "a saved head is loaded unchanged").await;
}

/// A higher commit replaces the head of its log.
pub async fn higher_commit_replaces(store: &dyn HeadStore) {
    let (first, second) = (head("conformance.example/higher", 'a', 7), head("conformance.example/higher", 'a', 8));
    save(store, &first).await;
    save(store, &second).await;
    expect(store, &first.origin, Some(&second), "a higher commit replaces the head").await;
}

/// Saving the same commit again is no conflict: a caller repeats after a lost answer.
pub async fn same_commit_can_be_saved_again(store: &dyn HeadStore) {
    let head = head("conformance.example/again", 'a', 7);
    save(store, &head).await;
    save(store, &head).await;
    expect(store, &head.origin, Some(&head), "the same head can be saved again").await;
}

/// A lower commit of the same log is refused, and the stored head stays.
pub async fn lower_commit_of_the_same_log_is_a_conflict(store: &dyn HeadStore) {
    let (newer, older) = (head("conformance.example/lower", 'a', 9), head("conformance.example/lower", 'a', 8));
    save(store, &newer).await;
    match store.save(&older).await {
        Err(StoreError::Conflict) => {}
        other => panic!("a lower commit of the same log must be a conflict, was {other:?}"),
    }
    expect(store, &newer.origin, Some(&newer), "a refused head changes nothing").await;
}

/// A log that supersedes another one starts at a lower commit.
pub async fn another_log_replaces_even_with_a_lower_commit(store: &dyn HeadStore) {
    let (old, new) = (head("conformance.example/superseded", 'a', 90), head("conformance.example/superseded", 'b', 1));
    save(store, &old).await;
    save(store, &new).await;
    expect(store, &old.origin, Some(&new), "another log replaces the head").await;
}

/// Heads of two origins are two heads, also where one origin is a prefix of the other.
pub async fn origins_do_not_meet(store: &dyn HeadStore) {
    let (one, two) = (head("conformance.example/n1", 'a', 5), head("conformance.example/n11", 'b', 3));
    save(store, &one).await;
    save(store, &two).await;
    expect(store, &one.origin, Some(&one), "the head of one origin is not touched by another").await;
    expect(store, &two.origin, Some(&two), "the head of one origin is not touched by another").await;
}

/// The largest commit a log can reach, and bytes of every value, are kept.
pub async fn largest_values_survive(store: &dyn HeadStore) {
    let mut head = head("conformance.example/largest", 'f', (1 << 63) - 1);
    head.chain = [0xff; 32];
    head.trees_root = [0; 32];
    save(store, &head).await;
    expect(store, &head.origin, Some(&head), "the largest values survive").await;
}

fn head(origin: &str, digit: char, commit: u64) -> Head {
    let low = commit.to_le_bytes().first().copied().unwrap_or_default();
    Head {
        origin: origin.to_owned(),
        log_id: digit.to_string().repeat(32),
        commit,
        chain: [low; 32],
        trees_root: [low ^ 0xff; 32],
    }
}

async fn save(store: &dyn HeadStore, head: &Head) {
    if let Err(error) = store.save(head).await {
        panic!("saving commit {} of `{}` failed: {error}", head.commit, head.origin);
    }
}

async fn expect(store: &dyn HeadStore, origin: &str, wanted: Option<&Head>, rule: &str) {
    match store.load(origin).await {
        Ok(found) if found.as_ref() == wanted => {}
        other => panic!("{rule}: wanted {wanted:?}, was {other:?}"),
    }
}
