//! Tenant encryption, identity, authorization, trust zones and a provable audit log, composed.

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
