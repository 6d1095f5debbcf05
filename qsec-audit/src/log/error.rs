//! Why the log said no.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keys::SealerError;
use crate::note::KeyError;
use crate::proof::ProofError;
use crate::verify::Finding;

/// Why an event was not recorded, or is not known to be durable.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The log cannot take it: the system refused at this file. The log stays failed until it is opened again.
    #[error("the audit log cannot write `{}`", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// The state of the MAC chain could not be sealed.
    #[error("the state of the audit log cannot be sealed")]
    Sealer(#[from] SealerError),
    /// There was no room within five seconds.
    #[error("the audit log had no room within 5 seconds")]
    NoRoom,
    /// The event was counted, not kept; `audit.events.dropped` will say so.
    #[error("the event was counted, not kept")]
    Dropped,
    /// An event with this id, and another type, subject or data, was recorded before.
    #[error("another event has the id `{0}`")]
    DuplicateEventId(String),
    /// The event says that it happened later than now.
    #[error("the time of the event is later than now")]
    TimeInFuture,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// The signing key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The kernel gave no random bytes.
    #[error("the kernel gave no random bytes")]
    Random,
    /// A frame grew beyond its bounds: our own fault.
    #[error("a frame grew beyond its bounds")]
    FrameTooLarge,
}

impl RecordError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. }
            | Self::Sealer(_)
            | Self::NoRoom
            | Self::Key(_)
            | Self::Random
            | Self::FrameTooLarge => "audit_unavailable",
            Self::Dropped => "event_dropped",
            Self::DuplicateEventId(_) => "duplicate_event_id",
            Self::TimeInFuture => "time_in_future",
            Self::Closed => "log_closed",
        }
    }

    /// Whether the same call can succeed later: after the log was opened again, or when there is room.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Sealer(_) | Self::NoRoom | Self::Random)
    }
}

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenLogError {
    /// The folder holds a log already.
    #[error("`{}` holds an audit log already", .0.display())]
    Exists(PathBuf),
    /// The folder holds no log.
    #[error("`{}` holds no audit log", .0.display())]
    NotALog(PathBuf),
    /// Another process appends to it.
    #[error("`{}` is in use by another process", .0.display())]
    Busy(PathBuf),
    /// Others than its owner may write to it.
    #[error("`{}` can be written by others than its owner", .0.display())]
    Permissions(PathBuf),
    /// It is not what was committed. Nothing was changed.
    #[error("`{}` is not what was committed: {} findings", path.display(), findings.len())]
    Tampered {
        /// The folder.
        path: PathBuf,
        /// All of them.
        findings: Vec<Finding>,
    },
    /// The sealed state does not open: another key than it was sealed with.
    #[error("the sealed state of the audit log does not open")]
    Sealer(#[from] SealerError),
    /// The system refused.
    #[error("the audit log cannot use `{}`", path.display())]
    Unavailable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// Its first events could not be recorded.
    #[error("the audit log was opened and cannot record")]
    Record(#[source] RecordError),
}

impl OpenLogError {
    /// The refusal of whoever holds a log for reading only, when asked to append.
    #[must_use]
    pub fn read_only(path: &Path) -> Self {
        let source = Arc::new(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "opened for reading only"));
        Self::Unavailable { path: path.to_owned(), source }
    }

    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "log_exists",
            Self::NotALog(_) => "not_a_log",
            Self::Busy(_) => "deployment_busy",
            Self::Permissions(_) => "folder_permissions",
            Self::Tampered { .. } => "audit_tampered",
            Self::Sealer(_) => "sealed_state_refused",
            Self::Unavailable { .. } => "audit_unavailable",
            Self::Record(error) => error.code(),
        }
    }
}

impl From<RecordError> for OpenLogError {
    fn from(error: RecordError) -> Self {
        if let RecordError::Unavailable { path, source } = error {
            return Self::Unavailable { path, source };
        }
        Self::Record(error)
    }
}

/// Why leaves cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadLogError {
    /// The system refused.
    #[error("the audit log cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A frame before the last one does not parse: verify the log.
    #[error("`{}` is damaged at byte {offset}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where.
        offset: usize,
    },
}

impl ReadLogError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "audit_unavailable",
            Self::Damaged { .. } => "frame_damaged",
        }
    }
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The tree has no such leaf.
    #[error("there is no such event")]
    NoSuchEvent,
    /// The leaf was erased; its proof stands, its bytes are gone.
    #[error("the event was erased")]
    Erased,
    /// The remembered checkpoint is not of this history.
    #[error("the remembered checkpoint is of another history")]
    Forked,
    /// The remembered checkpoint has more leaves than the log.
    #[error("the remembered checkpoint has more leaves than the log")]
    RolledBack,
    /// A round could not be made.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Leaves could not be read.
    #[error(transparent)]
    Read(#[from] ReadLogError),
    /// The hashes on disk do not lead to the signed root: verify the log.
    #[error("the proof that was made does not verify")]
    Proof(#[from] ProofError),
}

impl ProveError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchEvent => "no_such_event",
            Self::Erased => "event_erased",
            Self::Forked => "forked",
            Self::RolledBack => "rolled_back",
            Self::Record(error) => error.code(),
            Self::Read(error) => error.code(),
            Self::Proof(error) => error.code(),
        }
    }
}
