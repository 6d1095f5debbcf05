//! May this principal do this here, and on which rows and fields?

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::as_conversions,
        clippy::todo,
        clippy::unreachable,
        clippy::print_stdout
    )
)]

pub mod section;
pub mod store;

pub use store::{EntryKind, MemoryStore, PolicyChange, PolicyEntry, PolicyStore, StoreError, StoredPolicy};
