//! What a user of the crate can see of it.

mod audience_and_claims;
mod binding;
mod issuing;
mod matrix;
mod mutation;
mod oauth;
mod providers;
mod time;
mod workshop;
