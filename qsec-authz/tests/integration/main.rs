//! Everything that is tested from outside, in one binary.

mod matrix;
mod naive;
mod policy_file;
mod properties;
