//! Everything that is tested from outside, in one binary.

mod hostile;
mod matrix;
mod naive;
mod naive_rules;
mod policy_file;
mod properties;
mod rules;
mod visibility;
mod who_may;
