//! AWS KMS: against LocalStack, and against a server that answers what no emulator does.

mod configuration;
mod conformance;
mod credentials;
mod disaster;
mod errors;
mod fault;
mod localstack;
#[cfg(feature = "esdk")]
mod messages;
#[cfg(feature = "esdk")]
#[path = "../interop/peer.rs"]
#[expect(dead_code, reason = "raw keys are the other binary's")]
mod peer;
mod provider;
mod secrecy;
mod world;
