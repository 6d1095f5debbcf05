//! The crate from outside, as its users see it.

mod compact;
mod conformance;
#[cfg(feature = "esdk")]
mod esdk;
mod faults;
mod keyring;
mod local_kms;
mod model;
mod records;
mod revocation;
mod streams;
mod tampering;
mod world;
