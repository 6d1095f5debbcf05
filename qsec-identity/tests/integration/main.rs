//! What a user of the crate can see of it.

mod audience_and_claims;
mod binding;
mod matrix;
mod mutation;
mod time;
mod workshop;
