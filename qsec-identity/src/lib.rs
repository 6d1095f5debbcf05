//! Who is calling, and who says so?
//!
//! This crate validates tokens by strict policies, issues tokens, keeps the keys that sign them, and decides requests to an
//! OAuth token endpoint. It does **not** open connections, read clocks, files or environments, keep a cache, or store
//! anything: time is an argument, keys are given, records are rows that the caller writes. It has no ES512, no encrypted
//! tokens (JWE), no JSON serialization of a JWS, and never fetches a key that a token points to.
//!
//! ```
//! use std::time::SystemTime;
//! use qsec_identity::{Algorithm, KeySet, Presented, TokenPolicy, Validator};
//!
//! # fn serve(_: qsec_identity::Principal) {}
//! # fn respond(_: qsec_identity::PublicCode) {}
//! # fn record(_: qsec_identity::Reason) {}
//! # let (jwks, token, now) = (r#"{"keys":[]}"#, "", SystemTime::UNIX_EPOCH);
//! let policy = TokenPolicy::access("https://acme.example")
//!     .audience("https://api.acme.example")
//!     .algorithms([Algorithm::Es256])
//!     .tenant("acme");
//! let validator = Validator::new(policy, KeySet::parse(jwks)?)?;
//!
//! match validator.validate(token, &Presented::bearer(), now) {
//!     Ok(principal) => serve(principal),          // subject, tenant, groups, scopes, actor
//!     Err(rejection) => {                         // two audiences, two texts
//!         respond(rejection.public());
//!         record(rejection.reason());
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! | question | begin at |
//! |---|---|
//! | Is this token good, and for what? | [`TokenPolicy`], [`KeySet`], [`Validator`], [`Presented`] -> [`Principal`] or [`Rejection`] |
//! | What does this token say, believed or not? | [`inspect`] |
//! | Issue a token | [`TokenDraft`], [`Issuer`], [`SigningKey`]; with a key in a KMS [`Issuer::prepare`] |
//! | Rotate the keys | [`SigningKeyRing`] |
//! | Log in by a customer's own tokens | [`JwtProvider`], [`Providers`] -> [`Login`] |
//! | OAuth clients and the token endpoint | [`oauth`] |
//! | Keep all this | [`store`], with a conformance suite for whoever implements it |
//!
//! # Guarantees and limits
//! - A token of one type is never accepted as another, nor one of a tenant in another: the table of types keeps them apart,
//!   and a test tries every pair.
//! - The algorithm belongs to the key; one key is tried, once. A key that a token brings along is refused unread.
//! - A token that is bound to a key (`cnf`) is never accepted without the proof, whatever the policy says.
//! - Input is bounded before it is read: 16 KiB a token, 8 levels, 4096 values; duplicate members are refused at any depth.
//! - [`Validator::validate`] does not remember: single-use tokens and `DPoP` proofs need [`Validator::validate_once`], or a
//!   replay store asked with [`Principal::replay_keys`]. Whether the tenant is active is the caller's question too.
//! - ECDSA signatures have two spellings. Nothing may treat the text of a token as unique; replay is keyed on `jti`.
//! - A private key passes through a buffer of the cryptography library when it is generated; that buffer is not erased.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | none yet | everything above is in the default crate, without an async runtime |

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

mod hash;
mod inspection;
mod issuer;
mod jose;
mod members;
pub mod oauth;
mod policy;
mod presented;
mod principal;
mod provider;
mod rejection;
mod replay;
mod signing_key;
mod signing_key_ring;
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
pub use provider::{JwtProvider, LOGIN_AUDIENCE, Login, ProviderError, Providers};
pub use rejection::{ClaimsSeen, PublicCode, Reason, Rejection, RejectionClass};
pub use replay::ReplayKey;
pub use signing_key::{PrivateKeyBytes, SigningKey, SigningKeyError};
pub use signing_key_ring::{KeyChange, KeyRecord, KeyState, KeyStatus, Purpose, RotationError, SigningKeyRing};
pub use store::{Collection, IdentityStore, ReplayStore, Row, StoreError};
pub use token_draft::TokenDraft;
pub use token_type::TokenType;
pub use validator::Validator;
