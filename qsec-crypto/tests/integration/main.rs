//! The crate from outside, as its users see it.

#[cfg(feature = "async-io")]
mod asynchronous;
mod cache;
mod clock;
mod compact;
mod conformance;
mod drill;
#[cfg(feature = "esdk")]
mod esdk;
mod events;
mod flight;
mod keyring;
mod lifetime;
mod local_kms;
mod migration;
mod model;
mod policy;
mod processes;
mod records;
mod reencryption;
mod revocation;
mod rewrap;
mod root_rotation;
mod shred;
mod streams;
mod sweep;
mod tampering;
mod world;
