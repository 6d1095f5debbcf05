//! Which machine is this, and is it in our zone?

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

pub mod ledger;

pub use ledger::{CertificateState, Ledger, LedgerRow, MemoryLedger, StoreError};
