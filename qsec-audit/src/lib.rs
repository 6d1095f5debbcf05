//! What happened, in words that do not change, and can it be proved?
//!
//! A log of security events that proves itself: whoever holds a checkpoint can check any event, any time, without the log and without
//! trusting whoever runs it. One write-ahead log per node holds the events of all tenants; each tenant has a tree of its own
//! (RFC 6962) and sees nothing of the others. What leaves the node follows C2SP: signed notes, checkpoints, `tlog-proof`.
//!
//! It does **not** make events true: a process that lies is recorded faithfully. It does not encrypt the log: who may read a tree sees
//! the leaves, which is why nothing personal is in them. It does not stop who holds machine, keys and every copy from starting another
//! history; a head kept elsewhere ([`HeadStore`]), a remembered checkpoint, or an escrowed [`MacKey`] shows it.
//!
//! ```
//! use qsec_audit::catalogue::TenantCreated;
//! use qsec_audit::{Actor, InclusionProof, Log, LogKeys, MacKey, Origin, SigningKey, TenantId, Tree, danger};
//!
//! # let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_355_600);
//! # let folder = tempfile::tempdir()?;
//! let keys = LogKeys::new(SigningKey::generate()?, danger::plain_sealer());
//! let log = Log::create(folder.path(), &Origin::parse("qsec.example/n1")?, keys, &MacKey::generate()?, now)?;
//!
//! let event = TenantCreated::new().region("eu").by(Actor::operator("op-1")).tenant(TenantId::parse("acme")?);
//! let receipt = log.record(event, now)?.durable()?;                 // on disk when it returns
//! let proven = log.prove(&receipt, now)?;
//! let (file, key) = (proven.proof().encode(), log.verifier_key(&Tree::tenant("acme")?));
//!
//! let proof = InclusionProof::parse(&file)?;                         // anyone, anywhere, without the log
//! assert_eq!(proof.verify(proven.entry(), &[key])?.size(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! | where | what |
//! |---|---|
//! | [`catalogue`] | every type of event, in one table: names, delivery classes, fields, schemas |
//! | [`Event`], [`Draft`], [`Value`] | an event before it is recorded |
//! | [`Log`] | record, wait for the receipt, prove, close |
//! | [`verify`], [`tail`] | read a log folder: check every byte, or follow a tree |
//! | [`InclusionProof`], [`ConsistencyProof`], [`Checkpoint`], [`VerifierKey`] | what others verify |
//! | [`merkle`] | RFC 6962 trees alone |
//! | [`head`] | where a head is kept, so that a whole log cannot be rolled back unseen |
//!
//! # Guarantees and limits
//! - A [`Receipt`] is given after `fdatasync`. A process killed, or an I/O error injected, at any system call of a run loses no event
//!   that has one; opening repairs only an unfinished last frame, and records that it did.
//! - Every byte under the log folder is covered by a check of [`verify`].
//! - An event is never refused for its size: what is over budget is cut, and named in `data.cut`.
//! - Personal fields given to [`Event::personal`] never reach a leaf. Until a vault seals them, only their number is recorded.
//! - No clock, no thread, no runtime: time is the last argument; the first caller who waits writes for all who wait.
//! - Opening replays the whole log; segments are not pruned.
//!
//! # Features
//! None.

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

pub mod catalogue;
mod event;
mod fs;
pub mod head;
mod keyed;
mod log;
pub mod merkle;
mod name;
mod note;
mod proof;
mod value;
mod verify;
mod wal;

pub use event::{Actor, ActorType, AuthType, Class, Draft, DraftError, Event, EventId, Outcome, SchemaError};
pub use head::{Head, HeadStore, StoreError};
pub use log::{
    Entry, Log, LogKeys, OpenLogError, Pending, ProveError, Proven, ReadLogError, Receipt, RecordError, Recovery,
    SealerError, StateSealer, Tail, danger, tail,
};
pub use name::{NameError, Origin, TenantId, Tree};
pub use note::{Checkpoint, KeyError, NoteError, SigningKey, VerifierKey};
pub use proof::{ConsistencyProof, InclusionProof, ProofError};
pub use value::{Object, Value, ValueError};
pub use verify::{Finding, Report, Severity, Verdict, VerifyError, VerifyOptions, verify};
pub use wal::mac::{EscrowLine, MacKey};
