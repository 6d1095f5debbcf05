//! Can this tenant's bytes be read, and by which key?

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

pub mod conformance;
mod join;
mod memory;
mod secret;
pub mod store;
mod tenant;

pub use memory::MemoryStore;
pub use secret::{RandomError, Secret, SecretKey};
pub use store::{KeyRow, KeyStore, LocalKeyRow, LocalKeyStore, StoreError};
pub use tenant::{MAX_NAME_BYTES, NameError, Purpose, TenantId};
