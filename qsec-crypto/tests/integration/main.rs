//! The crate from outside, as its users see it.

#[cfg(feature = "async-io")]
mod asynchronous;
mod cache;
mod clock;
mod compact;
mod conformance;
#[cfg(feature = "esdk")]
mod esdk;
mod flight;
mod keyring;
mod lifetime;
mod local_kms;
mod migration;
mod model;
mod processes;
mod records;
mod revocation;
mod rewrap;
mod streams;
mod sweep;
mod tampering;
mod world;
