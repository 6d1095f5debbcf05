//! Every test that needs a real database: SQLite in memory and in a file, and PostgreSQL where one is at hand.

mod backends;
mod conformance;
mod erasure;
mod model;
mod opening;
#[cfg(feature = "postgres")]
mod postgres;
mod races;
mod records;
