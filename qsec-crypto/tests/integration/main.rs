//! The crate from outside, as its users see it.

mod cache;
mod clock;
mod compact;
mod conformance;
mod drill;
#[cfg(feature = "esdk")]
mod esdk;
mod flight;
mod keyring;
mod local_kms;
mod migration;
mod model;
mod policy;
mod records;
mod reencryption;
mod revocation;
mod rewrap;
mod shred;
mod streams;
mod tampering;
mod world;
