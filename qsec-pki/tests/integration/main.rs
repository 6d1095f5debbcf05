//! The crate from outside: every rule by a certificate that breaks it, real handshakes, and other people's readers.

mod authority;
mod foreign;
mod forge;
mod handshake;
mod hostile_bytes;
mod revocation;
mod rules;
