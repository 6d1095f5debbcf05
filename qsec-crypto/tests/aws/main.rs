//! AWS KMS: against LocalStack, and against a server that answers what no emulator does.

mod configuration;
mod conformance;
mod credentials;
mod disaster;
mod errors;
mod fault;
mod localstack;
mod provider;
mod secrecy;
mod world;
