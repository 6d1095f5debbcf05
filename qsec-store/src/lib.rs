//! SQL persistence for the store traits of the family.
//!
//! # What it does, and what it does not
//! [`Store`] keeps rows: names, generations and bytes. One type serves an SQLite file, which is the default and needs no
//! server, and a PostgreSQL database that many nodes share. It implements the store traits of the domain crates
//! ([`KeyStore`](qsec_crypto::KeyStore) and [`LocalKeyStore`](qsec_crypto::LocalKeyStore),
//! [`IdentityStore`](qsec_identity::IdentityStore) and [`ReplayStore`](qsec_identity::ReplayStore),
//! [`PolicyStore`](qsec_authz::PolicyStore), [`Ledger`](qsec_pki::Ledger), [`HeadStore`](qsec_audit::HeadStore)), and two
//! of its own: [`TenantStore`] and [`SettingStore`].
//!
//! It does **not** know what a row means, does not encrypt (secrets come wrapped), and decides nothing but which of two
//! writers was first. It opens no connection that it was not told to open.
//!
//! # Example
//! A key record in a file, and what a second writer is told:
//!
//! ```
//! use qsec_crypto::{KeyRow, KeyStore, StoreError, TenantId};
//! use qsec_store::Store;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let folder = tempfile::tempdir()?;
//! let store = Store::open_file(folder.path().join("qsec.db")).await?;
//! let keys: &dyn KeyStore = &store;
//!
//! let acme = TenantId::new("acme")?;
//! let row = KeyRow { name: "data/1".to_owned(), generation: 1, body: b"{}".to_vec(), mac: [7; 32] };
//! keys.write(&acme, std::slice::from_ref(&row)).await?;
//! assert_eq!(keys.load(&acme).await?, [row.clone()]);
//!
//! let second = keys.write(&acme, &[row]).await;
//! assert!(matches!(second, Err(StoreError::Conflict)));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! [`Store`] opens a database, and serves a purge with [`Store::remove_records`], [`Store::records_left`] and
//! [`Store::compact`]; [`StoreError`] and [`OpenError`] say what went wrong; [`conformance`] holds the checks
//! that every implementation of [`TenantStore`] and [`SettingStore`] passes. The tables are in the folder `migrations`.
//!
//! # Guarantees
//! - **Compare and set**: of any number of concurrent writers of one generation exactly one wins, on both databases,
//!   whatever the isolation level that a role or server prefers.
//! - **Durable** when a future resolves: SQLite runs with a write-ahead log and `synchronous = FULL`; a PostgreSQL session
//!   never runs with `synchronous_commit = off`.
//! - **All or none**: a call that writes several rows is one transaction, and a dropped future leaves nothing half done.
//! - **Names** compare byte by byte, in the same order on both databases.
//! - **Bounded**: each column has its size in the schema, and no call waits longer than 30 s, but [`Store::compact`].
//! - **Quiet**: an error names the file, or host, port and database, and never the URL, a password or a row's content.
//! - A database of a newer program, or a file of another program, is refused before anything is written.
//!
//! # Limits
//! - Names with a NUL character are refused, because PostgreSQL has no such text.
//! - `erase` overwrites the wrapped material, commits, deletes, and on SQLite empties the write-ahead log, after which
//!   the bytes are in no file of the database. PostgreSQL keeps old row versions until it vacuums ([`Store::compact`]) and
//!   recycles its own log; neither reaches backups, standbys or a copy-on-write disk. What is left there is wrapped.
//! - An [`Unavailable`](StoreError::Unavailable) answer to a write does not say whether it happened: read before writing
//!   again. The generation makes a blind repetition harmless: it is a conflict.
//! - SQLite is for one machine and a local disk. An existing file keeps the permissions it has.
//! - The URL of PostgreSQL names one host, so a fail-over has to move the name or the address. No notification is sent
//!   yet: another node learns of a change when it reads.
//! - A list is answered whole, in memory: the ledger's too.
//! - Futures need a tokio runtime.
//!
//! # Features
//! | feature | default | adds |
//! |---|---|---|
//! | `postgres` | no | `Store::connect`: PostgreSQL, with TLS over ring |

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

pub mod conformance;
mod error;
mod heads;
mod identity;
mod keys;
mod ledger;
mod policy;
mod purge;
mod schema;
mod settings;
mod sql;
mod store;
mod tenants;

pub use error::{OpenError, StoreError};
pub use settings::{SettingRow, SettingStore};
pub use store::{BoxFuture, Store};
pub use tenants::{TenantRow, TenantStore};
