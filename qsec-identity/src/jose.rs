//! Strict JOSE: what a compact JWS is made of, before anyone asks what it means.
//!
//! Everything here is bounded and exact: base64url in its one canonical spelling, JSON by RFC 8259 without duplicate
//! members, signatures under an algorithm that belongs to the key.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub(crate) mod algorithm;
pub(crate) mod base64url;
pub(crate) mod json;
pub(crate) mod jws;
pub(crate) mod key;
pub(crate) mod key_set;
#[cfg(test)]
mod wycheproof;

pub use algorithm::Algorithm;
pub use key::{KeyFault, VerifyingKey};
pub use key_set::{KeySet, KeySetError, UnusableKey};
