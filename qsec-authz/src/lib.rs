//! May this principal do this here, and on which rows and fields?
//!
//! Roles, permissions, spaces, scopes and security rules of a multi-tenant analytics platform, decided from a policy that
//! people can read: deny by default, every answer with its reasons. This crate does **not** authenticate (a [`Subject`] is
//! plain data; whoever builds it has proved who it is) and reads no clock, file or network.
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
//! | begin with a policy that is ready | [`Persona`] |
//! | read a policy, from a file or a store | [`Policy`] (its JSON Schema is `policy.schema.json`), [`Tenant`], [`PolicyError`], [`Flaw`] |
//! | ask | [`Request`], [`Subject`], [`Action`], [`Resource`], [`Context`] |
//! | decide | [`Snapshot::decide`] with [`Decision`], [`Allowed`], [`Denied`] |
//! | understand | [`Snapshot::explain`], [`Lint`], [`Diff`] |
//! | give less | [`Unused`] of the [`Use`]s of a [`Period`] |
//! | list | [`Snapshot::filter`] with [`Visible`] |
//! | ask the other way round | module [`visibility`]: what may this principal see, as SQL; [`WhoMay`] see this |
//! | change the policy while others read it | [`LivePolicy`] |
//! | change it under authorisation | module [`management`]: [`Register`] with [`Edit`], [`Plan`] and [`PolicyEvent`] |
//! | keep it | [`store`] with [`PolicyStore`] and what every store must pass, [`store::conformance`] |
//! | hand roles and spaces to Cedar, or have it check them | [`cedar`] |
//! | rows and columns: section access | module `section` |
//! | learn how it is meant to be used | [`manual`] |
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
//! 5. Tenant roles, permissions, personal content, space roles and security rules grant it, at least one, else
//!    [`DenyCode::NoGrant`]. In a tenant of [`Model::Enterprise`] only rules do, and steps 4 and 6 do not apply.
//! 6. Grants whose capability is missing are dropped, never those of rules; none left is [`DenyCode::Capability`].
//! 7. Grants that the token's scopes do not admit are dropped; none left is [`DenyCode::Scope`].
//!
//! # Security rules
//!
//! A rule allows *actions* on the resources that its *filter* names, provided that its *condition* holds:
//!
//! ```
//! use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
//!
//! let policy = Policy::parse(r#"
//!     version = 1
//!     [tenants.acme.resources.q3]
//!     type = "App"
//!     custom = { Team = ["Sales", "Finance"] }
//!     [[tenants.acme.rules]]
//!     name = "teams"
//!     filter = "App_*"
//!     actions = ["read", "export_data"]
//!     condition = 'user.group = resource.@Team and !(user.environment.device = "phone")'
//! "#)?.compile()?;
//! let ana = Subject::user("ana").groups(["finance"]);
//! let request = Request::new("acme", &ana, Action::Read, ResourceRef::id("q3"));
//! assert_eq!(policy.decide(&request).by(), ["rule:teams"]);
//! let on_the_way = policy.explain(&request.clone().environment("device", "phone"));
//! assert!(on_the_way.rules().eq([("teams", "condition")]));
//! # Ok::<(), qsec_authz::PolicyError>(())
//! ```
//!
//! | in a rule | means |
//! |---|---|
//! | `filter` | patterns of `Type_id`, separated by commas: `*`, `App_*`, `App_q3`; `App*` is `App.Object` too. Case counts |
//! | `actions` | names, or their sum: 1 create, 2 read, 4 update, 8 delete, 16 export, 32 publish … 4096 approve |
//! | `context` | `both`, `hub` (with embedded content and programs), `admin` |
//! | `user.…` | `userId`, `userDirectory`, `name`, `group`, `roles`, `environment.X`, custom property `@X`, attributes |
//! | `resource.…` | `id`, `name`, `resourcetype`, `resourcefilter`, `owner`, `space`, `app`, `stream`, links, `@X`, attributes |
//! | `=` `!=` | any value of the left equals (differs from) any of the right, in lower case; `==` `!==` with case |
//! | `like` `matches` | a pattern of `*`; a regular expression, anchored. Both without case |
//! | `HasPrivilege("read")` | the requester is granted that on the resource, by whatever means |
//! | `IsAnonymous()` `IsOwned()` `Empty()` | nobody is signed in; it has an owner; there is no value |
//! | `and` `or` `not` | also `&&`, `\|\|`, `!`; `not` binds tightest, then `and` |
//!
//! - **Rules only grant.** None takes anything away, and their order means nothing. To restrict, narrow or disable the rule that
//!   grants too much.
//! - **Many values, no value.** A path has as many values as there are groups, roles, links …; a missing attribute and an empty
//!   text have none, and every comparison with nothing is false, `!=` too. `user.group != "Guests"` is true for whoever has any
//!   other group: write `!(user.group = "Guests")`. [`Lint`] finds it.
//! - **A malformed rule, even a disabled one, makes the policy malformed**: [`PolicyError::BadRule`] with line and column.
//! - **What cannot be said is denied.** A rule that asks whether it grants what it is about to grant, or leads more than 16
//!   questions deep, fails, and a question that found no grant where a rule failed fails too: `!resource.HasPrivilege(…)` in a
//!   circle never opens anything. [`Snapshot::explain`] calls it `error`.
//! - **Personas** (`consumer`, `contributor`, `developer`, `team_admin`) are ready sets of rules for groups. [`Persona::starter`] is
//!   a policy to begin with for each model; `tests/data/matrix` says what each may do by it.
//!
//! # Guarantees and limits
//!
//! - Adding a role or a group never takes a right away; the one exception is the role `EmbeddedAnalyticsUser`, which is
//!   there to do so. Scopes only narrow. Nothing crosses a tenant.
//! - An [`Allowed`] cannot be made by hand or copied: it is the evidence that a decision was made.
//! - What a policy refers to must exist; a name that no table knows makes it malformed. Half a policy is never used.
//! - Texts of strangers are bounded ([`MAX_POLICY_BYTES`], [`MAX_TOML_BYTES`], [`MAX_REQUEST_BYTES`],
//!   [`MAX_NAME_BYTES`]) and never make this crate panic.
//! - Rules are bounded by [`MAX_RULES`], [`MAX_CONDITION_BYTES`], 64 levels of nesting, 256 regular expressions a tenant, and
//!   1,000,000 steps a decision: one that needs more denies what it has not found by then. Regular expressions run in linear
//!   time, and count by their length times that of the text.
//! - A snapshot is immutable; a decision takes one look-up each of tenant, user and resource, whatever their number. Rules are
//!   asked only where nothing else grants; they are found by type, action and the groups, roles, id and directory that their
//!   condition cannot do without.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `arrow` | section access, and predicates of [`visibility`], on Arrow record batches |

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
pub mod cedar;
mod decision;
mod diff;
mod document;
mod explanation;
mod flaw;
mod hash;
mod lint;
mod live;
pub mod management;
pub mod manual;
mod marks;
mod pages;
mod persona;
mod policy;
mod request;
mod resource;
mod rule;
mod schema;
pub mod section;
mod snapshot;
pub mod store;
mod tables;
mod usage;
pub mod visibility;
mod visible;
mod who_may;

pub use action::Action;
pub use decision::{Allowed, Decision, Denied, DenyCode, Obligation};
pub use diff::{Change, Diff};
pub use explanation::Explanation;
pub use flaw::{Flaw, Position, RuleFlaw};
pub use lint::{Finding, Lint};
pub use live::LivePolicy;
pub use management::{Actor, Edit, Holder, ManageError, Plan, PolicyEvent, Register, RuleText};
pub use persona::Persona;
pub use policy::{MAX_POLICY_BYTES, MAX_TOML_BYTES, Model, Policy, PolicyError, Tenant, TenantStatus};
pub use request::{Context, MAX_REQUEST_BYTES, Request, RequestError, ResourceRef, Subject};
pub use resource::{AttributeValue, MAX_NAME_BYTES, Resource};
pub use rule::{MAX_CONDITION_BYTES, MAX_RULES};
pub use snapshot::Snapshot;
pub use store::{EntryKind, MemoryStore, PolicyChange, PolicyEntry, PolicyStore, StoreError, StoredPolicy};
pub use tables::client_scopes;
pub use usage::{Grant, Period, Unused, UnusedGrant, Use};
pub use visible::Visible;
pub use who_may::WhoMay;
