//! Everything that is tested from outside, in one binary.

mod escalation;
mod hostile;
mod incremental;
mod management;
mod matrix;
mod naive;
mod naive_rules;
mod personas;
mod policy_file;
mod properties;
mod rules;
mod schema;
#[path = "../engines/server.rs"]
#[expect(dead_code, reason = "the owner, the loader and the reader are those of the other tests in engines")]
mod server;
mod usage;
mod visibility;
mod who_may;
mod written;
