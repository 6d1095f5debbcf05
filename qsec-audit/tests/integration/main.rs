//! The crate through its public API alone.

mod merkle_vectors;
mod vectors;
mod worked_example;
