//! Can this tenant's bytes be read, and by which key?
//!
//! Envelope encryption for many tenants, under keys that each tenant may own. A tenant's key is wrapped by a KMS key; each
//! message has a key of its own, derived from it and bound to tenant, purpose, key version and the record it belongs to.
//! Disabling a key, here or at the KMS, stops its use; a new KMS key or region costs a few calls and touches no record.
//!
//! It does **not** encrypt data in motion, search in sealed data, hide the length of what is sealed, or protect a process
//! from someone who reads its memory while a key is in use. It reads no clock, no environment and no configuration, and
//! has no runtime of its own.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use qsec_crypto::kms::{LocalKms, RootKey};
//! use qsec_crypto::{Context, KeyRecords, Keyring, MemoryStore, Purpose, TenantId};
//!
//! # pollster::block_on(async {
//! # let now = std::time::SystemTime::UNIX_EPOCH;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("root.key");
//! # std::fs::write(&path, "07".repeat(32))?;
//! # #[cfg(unix)]
//! # std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
//! let kms = Arc::new(LocalKms::open(RootKey::from_file(path)?, MemoryStore::new())?);
//! let key_id = kms.create_key(now).await?;
//! let keys = Keyring::new(TenantId::new("acme")?, kms, KeyRecords::in_memory()?);
//! keys.create(&[key_id], &[Purpose::data()], now).await?;
//! let context = Context::from([("table", "orders"), ("row", "17")]);
//!
//! let key = keys.current(&Purpose::data(), now).await?;       // a KMS call only when cold
//! let sealed = key.seal(b"4,200 EUR", &context)?;             // never waits
//!
//! let key = keys.for_sealed(&sealed, &Purpose::data(), now).await?;
//! assert_eq!(key.open(&sealed, &context)?, b"4,200 EUR");
//! assert!(key.open(&sealed, &Context::from([("table", "orders"), ("row", "18")])).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Where things are
//!
//! | to | use |
//! |---|---|
//! | seal and open records and streams | [`TenantKey`], [`Sealer`], [`Opener`], [`SeekOpener`], [`Context`] |
//! | do so on several threads | [`Threads`] |
//! | end streams of a stopped key | [`Clock`] |
//! | get a key, change it, stop it | [`Keyring`], [`KeyRecords`] |
//! | move a tenant to other KMS keys, or to another provider | [`Keyring::rewrap`], [`Keyring::change_provider`] |
//! | say which KMS keys a tenant's keys may be under | [`KeyPolicy`], [`Keyring::set_policy`] |
//! | seal what is under old key versions again | [`reencryption`] |
//! | do without KMS and store | [`RawKey`] |
//! | exchange messages with the AWS Encryption SDK | `esdk`, behind its feature |
//! | wrap keys | [`kms::Kms`], [`kms::LocalKms`], and [`kms::conformance`] for one of your own |
//! | let a customer own the key, in AWS KMS | `kms::aws`, behind its feature `aws-kms` |
//! | keep records | [`KeyStore`], [`LocalKeyStore`], [`MemoryStore`], and [`store::conformance`] for one of your own |
//! | know what happens | [`Observer`], [`Event`], [`inspect`] |
//! | hold secrets | [`Secret`], [`SecretKey`] |
//! | choose a format, know the limits, read the bytes | [`manual`] |
//!
//! # Guarantees and limits
//!
//! - **Format.** Sealed bytes are a 6-byte header and a [C2SP chunked encryption] message, Cobblestone-256: any conforming
//!   implementation opens them with the derived key. 78 bytes of overhead and 16 for each full 16 KiB; up to 64 TiB; 2⁸⁰
//!   messages for each key version.
//!   Fields of a database may use a smaller format, XAES-256-GCM with 46 bytes of overhead and up to 1 MiB, under a name
//!   that says what it lacks: [`TenantKey::seal_compact_uncommitted`].
//! - **Nothing unverified leaves.** A whole message opens whole or not at all; a stream gives out each 16 KiB when it has
//!   verified, and fails at its end if that end is not the one that was sealed. A failed open says [`OpenError::NotOpened`]
//!   and nothing more; the reason goes to the [`Observer`].
//! - **One key is tried**: the one that the caller's tenant, purpose and the header's version name. The message commits
//!   to it, unless it is a compact one.
//! - **Stops hold.** Disabling, ordering deletion and destroying refuse every new call on this node when the verb returns,
//!   also on keys that are out; on other nodes within 5 s; a stop at the KMS within the revocation bound (60 s, 0 to 300).
//!   A stream that runs goes on to its end, and with a [`Clock`] at most until it is 15 minutes old. It learns of the stop
//!   as every key that is out does: when somebody asks the [`Keyring`], so do that while a stream runs that long.
//! - **A KMS is called with care**: one call for all who miss a key at once, and a breaker for a KMS that fails. Time limits
//!   and retries need a clock that can wake: hand one in with [`Keyring::with_timer`], or a KMS that hangs holds its callers.
//! - **The store is not trusted** with anything but keeping rows: records are authenticated, complete, and never older
//!   than one that was seen.
//! - **Secrets** are erased when dropped. `ring` expands the key of a message into state of its own, on the stack or in a
//!   stream, that it does not erase.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `esdk` | module `esdk`: messages of the AWS Encryption SDK, also under a tenant's key, and [`inspect`] for them |
//! | `aws-kms` | module `kms::aws`: keys in AWS KMS. It brings the SDK, which needs a tokio runtime |
//! | `pkcs11` | module `kms::pkcs11`: keys on a PKCS#11 token |
//! | `vault` | module `kms::vault`: keys in Vault's transit engine; its calls run on tokio |
//! | `async-io` | `AsyncSealer` and `AsyncOpener`: streams over the traits of `futures-io` |
//! | `locked-memory` | keys ([`SecretKey`]) in pages that are never swapped out, if the system lets us, and `is_locked` to ask; what ring makes of a key is not in them |
//! | `aws-lc-rs` | no API: AES-256-GCM by AWS-LC in place of ring |
//! | `aes-gcm` | no API: AES-256-GCM in portable Rust in place of ring; slower |
//!
//! With both back ends on, `aws-lc-rs` is taken. All make the same bytes and open each other's. Derivation of keys,
//! randomness and signatures stay with ring whatever is chosen.
//!
//! [C2SP chunked encryption]: https://c2sp.org/chunked-encryption

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

#[cfg(feature = "async-io")]
mod asynchronous;
mod backend;
mod cobblestone;
pub mod conformance;
mod context;
mod error;
#[cfg(feature = "esdk")]
pub mod esdk;
mod header;
mod inspect;
mod join;
mod kdf;
mod key_file;
pub mod keyring;
pub mod kms;
pub mod manual;
mod memory;
mod observer;
mod opener;
mod parallel;
mod raw_key;
pub mod reencryption;
mod refusal;
mod sealer;
mod secret;
mod seek;
mod stopped;
pub mod store;
mod stream;
mod tenant;
mod tenant_key;
mod timestamp;
mod xaes;

#[cfg(feature = "async-io")]
pub use asynchronous::{AsyncOpener, AsyncSealer};
pub use context::{Context, ContextError, MAX_CONTEXT_BYTES, MAX_CONTEXT_PAIRS};
pub use error::{OpenError, SealError};
pub use header::Suite;
pub use inspect::{Inspection, MAX_INSPECT_BYTES, NativeInspection, inspect};
pub use key_file::KeyFileError;
pub use keyring::{
    Drill, DrillOutcome, DrilledVersion, KeyBinding, KeyError, KeyPolicy, KeyRecords, KeyWarning, Keyring,
    KeyringDescription, KmsKeyAnswer, Migration, MigrationState, Remains, Rewrap, RewrapPlan, Rotation, ShredPlan,
    Shredded, TenantKeyState, Timer, VersionDescription, VersionState, WrappingDescription, WrappingRole,
    check_deletion_days,
};
pub use memory::MemoryStore;
pub use observer::{Event, Observer};
pub use opener::Opener;
pub use parallel::{MAX_THREADS, Threads, ThreadsError};
pub use raw_key::RawKey;
pub use sealer::Sealer;
pub use secret::{RandomError, Secret, SecretKey};
pub use seek::SeekOpener;
pub use stopped::{Stopped, StoppedBy, StoppedState};
pub use store::{KeyRow, KeyStore, LocalKeyRow, LocalKeyStore, StoreError};
pub use stream::{Clock, MAX_STREAM_LIFETIME};
pub use tenant::{MAX_NAME_BYTES, NameError, Purpose, TenantId};
pub use tenant_key::TenantKey;
pub use xaes::MAX_COMPACT_BYTES;
