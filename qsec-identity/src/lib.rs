//! Who is calling, and who says so?

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::as_conversions,
        clippy::todo,
        clippy::unreachable,
        clippy::print_stdout
    )
)]

mod inspection;
mod issuer;
mod jose;
mod members;
mod policy;
mod presented;
mod principal;
mod rejection;
mod replay;
mod signing_key;
pub mod store;
mod time;
mod token_draft;
mod token_type;
mod validator;

pub use inspection::{Inspection, inspect};
pub use issuer::{IssueError, Issued, Issuer, Prepared};
pub use jose::{Algorithm, KeyFault, KeySet, KeySetError, UnusableKey, VerifyingKey};
pub use policy::{PolicyError, TokenPolicy};
pub use presented::Presented;
pub use principal::{Binding, Principal, PrincipalKind};
pub use rejection::{ClaimsSeen, PublicCode, Reason, Rejection, RejectionClass};
pub use replay::ReplayKey;
pub use signing_key::{PrivateKeyBytes, SigningKey, SigningKeyError};
pub use store::{Collection, IdentityStore, ReplayStore, Row, StoreError};
pub use token_draft::TokenDraft;
pub use token_type::TokenType;
pub use validator::Validator;
