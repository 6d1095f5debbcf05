//! May this principal do this here, and on which rows and fields?
//!
//! Roles, permissions, spaces and scopes of a multi-tenant analytics platform, decided from a policy that people can
//! read: deny by default, every answer with its reasons. This crate does **not** authenticate (a [`Subject`] is plain
//! data; whoever builds it has proved who it is), reads no clock, file or network, and does not yet evaluate security
//! rules: a tenant that has them does not compile ([`PolicyError::RulesUnsupported`]).
//!
//! ```
//! use qsec_authz::{Action, Decision, Policy, Request, ResourceRef, Subject};
//!
//! # let text = r#"{"version":1,"tenants":{"acme":{
//! #     "spaces":{"sales":{"type":"managed","owner":"eve","members":{"group:finance":["consumer"]}}},
//! #     "resources":{"q3":{"type":"App","owner":"eve","space":"sales"}}}}}"#;
//! let policy = Policy::parse(text)?.compile()?;           // errors point into the file
//! let ana = Subject::user("ana").groups(["finance"]);
//! let request = Request::new("acme", &ana, Action::Read, ResourceRef::id("q3"));
//! match policy.decide(&request) {
//!     Decision::Allow(allowed) => assert_eq!(allowed.by(), ["space:consumer@sales"]),
//!     Decision::Deny(denied) => panic!("{denied}"),       // what was missing, in words
//! }
//! assert!(policy.filter(&request.on_any("App")).ids().eq(["q3"]));
//! # Ok::<(), qsec_authz::PolicyError>(())
//! ```
//!
//! # Map
//!
//! | to | see |
//! |---|---|
//! | read a policy, from a file or a store | [`Policy`], [`Tenant`], [`PolicyError`], [`Flaw`] |
//! | ask | [`Request`], [`Subject`], [`Action`], [`Resource`], [`Context`] |
//! | decide | [`Snapshot::decide`] with [`Decision`], [`Allowed`], [`Denied`] |
//! | understand | [`Snapshot::explain`], [`Lint`], [`Diff`] |
//! | list | [`Snapshot::filter`] with [`Visible`] |
//! | change the policy while others read it | [`LivePolicy`] |
//! | keep it | [`store`] with [`PolicyStore`] and what every store must pass, [`store::conformance`] |
//! | rows and columns: section access | module `section` |
//!
//! # How a decision is made
//!
//! The first line that applies gives the answer.
//!
//! 1. The tenant exists and is active, else [`DenyCode::TenantUnknown`] or [`DenyCode::TenantInactive`].
//! 2. The user is not disabled, else [`DenyCode::UserDisabled`]. A user that the policy does not list is no error: it
//!    has no roles of its own; the groups of its token and the user default count.
//! 3. The resource exists in this tenant, else [`DenyCode::ResourceUnknown`].
//! 4. No restrictive role forbids it, else [`DenyCode::Restricted`].
//! 5. Tenant roles, permissions, personal content and space roles grant it, at least one, else [`DenyCode::NoGrant`].
//! 6. Grants whose capability is missing are dropped; none left is [`DenyCode::Capability`].
//! 7. Grants that the token's scopes do not admit are dropped; none left is [`DenyCode::Scope`].
//!
//! # Guarantees and limits
//!
//! - Adding a role or a group never takes a right away; the one exception is the role `EmbeddedAnalyticsUser`, which is
//!   there to do so. Scopes only narrow. Nothing crosses a tenant.
//! - An [`Allowed`] cannot be made by hand or copied: it is the evidence that a decision was made.
//! - What a policy refers to must exist; a name that no table knows makes it malformed. Half a policy is never used.
//! - Texts of strangers are bounded ([`MAX_POLICY_BYTES`], [`MAX_TOML_BYTES`], [`MAX_REQUEST_BYTES`],
//!   [`MAX_NAME_BYTES`]) and never make this crate panic.
//! - A snapshot is immutable; a decision takes one look-up each of tenant, user and resource, whatever their number.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `arrow` | section access on Arrow record batches |

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

mod action;
mod bits;
mod decision;
mod diff;
mod document;
mod explanation;
mod flaw;
mod hash;
mod lint;
mod live;
mod policy;
mod request;
mod resource;
pub mod section;
mod snapshot;
pub mod store;
mod tables;
mod visible;

pub use action::Action;
pub use decision::{Allowed, Decision, Denied, DenyCode};
pub use diff::{Change, Diff};
pub use explanation::Explanation;
pub use flaw::{Flaw, Position};
pub use lint::{Finding, Lint};
pub use live::LivePolicy;
pub use policy::{MAX_POLICY_BYTES, MAX_TOML_BYTES, Model, Policy, PolicyError, Tenant, TenantStatus};
pub use request::{Context, MAX_REQUEST_BYTES, Request, RequestError, ResourceRef, Subject};
pub use resource::{AttributeValue, MAX_NAME_BYTES, Resource};
pub use snapshot::Snapshot;
pub use store::{EntryKind, MemoryStore, PolicyChange, PolicyEntry, PolicyStore, StoreError, StoredPolicy};
pub use tables::client_scopes;
pub use visible::Visible;
