//! Tenant encryption, identity, authorization, trust zones and a provable audit log, composed for a multi-tenant platform.
//!
//! A platform must keep each tenant's data sealed under that tenant's own key, know who is calling, decide what they may
//! do and which rows they may see, know which machine is talking, and prove afterwards what happened. Each of these is a
//! crate that can be used alone; this one joins them, so that the safe order is the only one that can be written.
//!
//! **What it does not do**: it is no web framework and opens no port, stores no passwords, rewrites no SQL, and is no
//! general policy engine. It does not hide how long your data is, nor what a compromised process reports.
//!
//! ```
//! use qsec::audit::Actor;
//! use qsec::crypto::Context;
//! use qsec::{Deployment, NewTenant, Setup};
//! # use std::time::SystemTime;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let home = folder.path().join("qsec-home");
//! # let now = SystemTime::now();
//! Deployment::create(&home, Setup::new().name("analytics.example"), now).await?;
//! let deployment = Deployment::open(&home).await?;
//! let acme = deployment.create_tenant(&NewTenant::new("acme"), &Actor::operator("op-1"), now).await?;
//!
//! let context = Context::from([("table", "orders"), ("row", "17")]);
//! let sealed = acme.seal(b"4,200 EUR", &context, now).await?;
//! acme.disable_key(&Actor::operator("op-1"), now).await?;
//! assert_eq!(acme.open(&sealed, &context, now).await.unwrap_err().code(), "key_disabled");
//! # deployment.close(now).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a request
//! [`Tenant::authenticate`] makes a `Principal` of a token; the gate refuses what is not active; [`Tenant::decide`] makes
//! an `Allowed` of a principal; [`Tenant::reduce`] makes rows of an `Allowed`; [`Tenant::open`] and [`Tenant::seal`] make
//! bytes. Each of these values can only be made by the step before.
//!
//! # The map
//! | item | question |
//! |---|---|
//! | [`Deployment`], [`Setup`] | What is installed here, and where does it lie? |
//! | [`Tenant`] | What can this tenant's services do? |
//! | [`lifecycle`] | Which states has a tenant, and who changes them? |
//! | [`tenant_policy`], [`Metadata`] | Where may its data be, what may optional features be told, where does it put what it loads? |
//! | [`Check`] | Is this deployment well? |
//! | [`Error`], [`Fault`] | Who said no, and who has to act? |
//! | [`crypto`], [`identity`], [`authz`], [`pki`], [`audit`] | The rooms themselves |
//! | [`manual`] | Threat model, defaults with their reasons, how-tos |
//!
//! # Guarantees and limits
//! - Every change is in the audit log before it takes effect; every refusal is handed to the log before the caller has
//!   its answer. If the log does not take them, the change does not happen and the refusal stays one.
//! - One process works on a deployment's folder at a time; a second one is refused. Many nodes on one PostgreSQL store
//!   are not joined here yet.
//! - `now` is an argument of everything that decides. Only opening a deployment, taking a tenant's handle, and what a
//!   room observes by itself read the clock.
//! - A stream under a key of [`Tenant::sealing_key`] that is given a [`SystemClock`] ends some time after the key was
//!   stopped; without one it ends when its caller ends it.
//! - A runtime is needed (tokio, with its clock), because a KMS and a database may have to be waited for.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `arrow` | `Tenant::reduce` takes Arrow record batches as well as tables |
//! | `aws-kms`, `pkcs11`, `vault` | KMSes that a customer owns, for [`Deployment::add_kms`] and [`Tenant::change_key_provider`] |
//! | `esdk` | `crypto::esdk`, messages of the AWS Encryption SDK; [`Tenant::opening_key`] reads their headers too; with `aws-kms`, `Tenant::kms_keyring` |
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

mod clock;
mod deployment;
mod disclosure;
mod error;
mod examine;
mod fault;
mod gate;
mod hex;
mod home;
pub mod lifecycle;
pub mod manual;
mod recorder;
mod tenant;
pub mod tenant_policy;
mod vault;

pub use clock::SystemClock;
pub use deployment::{Backup, Created, Deployment, Setup, Unlock, log_folder_of};
pub use disclosure::{Disclosure, FieldKind, Metadata};
pub use error::{Error, HomeError, StoreFailure};
pub use examine::{Check, CheckState};
pub use fault::Fault;
pub use lifecycle::{LifecycleError, NewTenant, TenantRecord, TenantState};
pub use tenant::{Reencrypted, SignedIn, Tenant};
pub use tenant_policy::{Feature, Storage, StorageKind, Target, TenantPolicy, TenantPolicyError};
pub use {qsec_audit as audit, qsec_authz as authz, qsec_crypto as crypto, qsec_identity as identity, qsec_pki as pki};

/// The README's code, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
