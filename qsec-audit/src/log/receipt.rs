//! What a caller gets for an event.

use std::sync::Arc;

use super::RecordError;
use super::commit::{Accepted, Shared};
use crate::event::EventId;
use crate::name::Tree;

/// An event that was taken and is not known to be durable yet.
///
/// ```
/// # use qsec_audit::{Actor, Draft, Log, LogKeys, MacKey, Origin, SigningKey, danger};
/// # let now = std::time::UNIX_EPOCH;
/// # let folder = tempfile::tempdir()?;
/// # let keys = LogKeys::new(SigningKey::generate()?, danger::plain_sealer());
/// # let log = Log::create(folder.path(), &Origin::parse("qsec.example/n1")?, keys, &MacKey::generate()?, now)?;
/// let pending = log.record(Draft::new("lamp.lit").by(Actor::system()), now)?;
/// let id = pending.id();
/// assert_eq!(pending.durable()?.id(), id);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the event is durable when `durable` returns"]
pub struct Pending {
    shared: Arc<Shared>,
    accepted: Accepted,
}

impl Pending {
    pub(super) const fn new(shared: Arc<Shared>, accepted: Accepted) -> Self {
        Self { shared, accepted }
    }

    /// The id of the event: give it to a retry.
    pub const fn id(&self) -> EventId {
        self.accepted.id
    }

    /// Whether the event has a place in the log; one of class [`CountedDrop`](crate::Class::CountedDrop) may have been counted.
    pub const fn is_kept(&self) -> bool {
        self.accepted.place.is_some()
    }

    /// Waits until the event is on disk. The first who waits writes for all.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`] if the frame could not be made durable: the event is not recorded.
    /// [`RecordError::Dropped`] if it was counted instead.
    pub fn durable(self) -> Result<Receipt, RecordError> {
        let Accepted { id, tree, place } = self.accepted;
        let (index, commit) = place.ok_or(RecordError::Dropped)?;
        self.shared.wait_for(commit)?;
        Ok(Receipt { id, tree, index, commit })
    }
}

/// That an event is durable: which, where, and in which commit. Only a log makes it.
///
/// ```compile_fail
/// let receipt = qsec_audit::Receipt { index: 0, commit: 1 };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    id: EventId,
    tree: Tree,
    index: u64,
    commit: u64,
}

impl Receipt {
    /// The id of the event.
    pub const fn id(&self) -> EventId {
        self.id
    }

    /// Whose tree it is in.
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Its leaf in that tree.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The commit it became durable with.
    pub const fn commit(&self) -> u64 {
        self.commit
    }
}
