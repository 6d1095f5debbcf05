//! The log: what is recorded is durable when its receipt is given, and provable ever after.

mod cache;
mod commit;
mod drops;
mod error;
mod keys;
mod open;
mod places;
mod prove;
mod receipt;
mod round;
mod seen;
mod tail;
mod writer;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod live;
#[cfg(test)]
mod tamper;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use error::{OpenLogError, ProveError, ReadLogError, RecordError};
pub use keys::{LogKeys, SealerError, StateSealer, danger};
pub use open::Recovery;
pub(crate) use places::{Place, Places};
pub use prove::Proven;
pub use receipt::{Pending, Receipt};
pub(crate) use seen::{fingerprint, keep_recent};
pub use tail::{Entry, Tail, tail};

use crate::event::Event;
use crate::fs::Disk;
use crate::head::Head;
use crate::name::{Origin, Tree};
use crate::note::VerifierKey;
use crate::wal::mac::MacKey;
use commit::Shared;

/// A log that is open for appending. Clones share it; one process at a time holds its folder.
///
/// Every call takes `now`; nothing here reads a clock, and no thread runs behind it. Who waits for a receipt does the writing for all
/// who wait with them.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_audit::catalogue::AppOpened;
/// use qsec_audit::{Actor, Log, LogKeys, MacKey, Origin, SigningKey, TenantId, danger};
///
/// # let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_355_600);
/// let folder = tempfile::tempdir()?;
/// let keys = LogKeys::new(SigningKey::generate()?, danger::plain_sealer());
/// let log = Log::create(folder.path(), &Origin::parse("qsec.example/n1")?, keys, &MacKey::generate()?, now)?;
///
/// let event = AppOpened::new().app("a-1").by(Actor::user("u-7")).tenant(TenantId::parse("acme")?);
/// let receipt = log.record(event, now)?.durable()?;
/// assert_eq!((receipt.tree().to_string(), receipt.index()), ("acme".to_owned(), 0));
/// log.close(now)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// Makes a new log in a folder that holds none. `first` is the first key of its MAC chain: keep it elsewhere, for `verify`.
    ///
    /// # Errors
    /// [`OpenLogError::Exists`] if the folder holds a log, [`OpenLogError::Busy`] if another process has it,
    /// [`OpenLogError::Permissions`] if others may write to it, [`OpenLogError::Unavailable`] if the system refuses.
    pub fn create(
        dir: impl AsRef<Path>,
        origin: &Origin,
        keys: LogKeys,
        first: &MacKey,
        now: SystemTime,
    ) -> Result<Self, OpenLogError> {
        open::create(Arc::new(Disk), dir.as_ref(), origin, keys, first, now)
    }

    /// Opens a log after checking all of it. An unfinished last frame is taken off and recorded; anything else that is not as
    /// committed is tampering, and nothing is changed.
    ///
    /// # Errors
    /// [`OpenLogError::Tampered`] with all findings, [`OpenLogError::Busy`], [`OpenLogError::Permissions`],
    /// [`OpenLogError::NotALog`], [`OpenLogError::Sealer`] if the sealed state does not open, [`OpenLogError::Unavailable`].
    pub fn open(
        dir: impl AsRef<Path>,
        keys: LogKeys,
        expected_head: Option<&Head>,
        now: SystemTime,
    ) -> Result<Self, OpenLogError> {
        open::open(Arc::new(Disk), dir.as_ref(), keys, expected_head, now)
    }

    /// Takes an event. Classes [`FailClosed`](crate::Class::FailClosed) and [`Block`](crate::Class::Block) wait for room;
    /// [`CountedDrop`](crate::Class::CountedDrop) never waits and is counted when there is none.
    ///
    /// The event is durable when [`Pending::durable`] returns, not before.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`] or [`RecordError::NoRoom`] (`audit_unavailable`), [`RecordError::DuplicateEventId`],
    /// [`RecordError::TimeInFuture`], [`RecordError::Closed`].
    pub fn record(&self, event: Event, now: SystemTime) -> Result<Pending, RecordError> {
        self.shared.record(event, now).map(|accepted| Pending::new(Arc::clone(&self.shared), accepted))
    }

    /// Makes durable what was handed over so far, and makes a round if one is due. A process that records events of class
    /// [`Block`](crate::Class::Block) calls this about once a second.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`], [`RecordError::Closed`].
    pub fn flush(&self, now: SystemTime) -> Result<(), RecordError> {
        self.shared.flush(now)
    }

    /// Makes a round now: new checkpoints, the state of the MAC chain, the head. Save the answer in a
    /// [`HeadStore`](crate::HeadStore).
    ///
    /// # Errors
    /// [`RecordError::Unavailable`], [`RecordError::Closed`].
    pub fn round(&self, now: SystemTime) -> Result<Head, RecordError> {
        self.shared.round(now, None, false)?;
        Ok(self.head())
    }

    /// Makes the last rounds and marks the log closed: every tree has its checkpoint, and a byte less is `log_truncated`.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`], [`RecordError::Closed`] if it was closed before.
    pub fn close(&self, now: SystemTime) -> Result<Head, RecordError> {
        self.shared.close(now)?;
        Ok(self.head())
    }

    /// How far the log is durable.
    #[must_use]
    pub fn head(&self) -> Head {
        self.shared.head()
    }

    /// The origin prefix of the log.
    pub fn origin(&self) -> &Origin {
        &self.shared.fixed.meta.origin
    }

    /// The random id of the log, lowercase hex.
    #[must_use]
    pub fn log_id(&self) -> String {
        self.shared.fixed.meta.hex_id()
    }

    /// The key that verifies checkpoints of a tree.
    #[must_use]
    pub fn verifier_key(&self, tree: &Tree) -> VerifierKey {
        self.shared.fixed.keys.signing().verifier_key(&tree.origin(self.origin()))
    }

    /// How many leaves a tree has, durable or about to be; `None` if nothing was ever recorded in it.
    #[must_use]
    pub fn tree_size(&self, tree: &Tree) -> Option<u64> {
        self.shared.tree_size(tree)
    }

    /// What was repaired when the log was opened.
    pub fn recovered(&self) -> &[Recovery] {
        &self.shared.fixed.recovered
    }
}
