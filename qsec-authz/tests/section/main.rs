//! Section access from outside: worked rules, agreement of all outputs with a naive evaluator, and hostile input.

#![expect(clippy::format_collect, reason = "tables made here are short, and plainer so")]

mod agreement;
#[cfg(feature = "arrow")]
mod arrow;
mod csv;
mod mapping;
mod naive;
mod question;
mod sql;
mod stream;
mod tables;
