use std::fmt;

use crate::peer::Peer;
use crate::rejection::Rejection;
use crate::role::Role;

/// Is told what a zone decides. It is called inside handshakes: it must not wait.
///
/// ```
/// use qsec_pki::{Event, Observer};
///
/// #[derive(Debug)]
/// struct Print;
///
/// impl Observer for Print {
///     fn observe(&self, event: &Event<'_>) {
///         eprintln!("{}", event.name());
///     }
/// }
/// ```
pub trait Observer: Send + Sync + fmt::Debug {
    /// Something was decided.
    fn observe(&self, event: &Event<'_>);
}

/// Looks away.
impl Observer for () {
    fn observe(&self, _: &Event<'_>) {}
}

/// What an [`Observer`] is told.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A chain was accepted.
    #[non_exhaustive]
    PeerAdmitted {
        /// Who it is.
        peer: &'a Peer,
    },
    /// A chain was refused.
    #[non_exhaustive]
    PeerRejected {
        /// The role that was asked for.
        role: Role,
        /// Why.
        rejection: &'a Rejection,
        /// SHA-256 over the first certificate's bytes, if there was one: what to look for in a capture.
        leaf_sha256: Option<[u8; 32]>,
    },
}

impl Event<'_> {
    /// The stable name: `peer.admitted`, `peer.rejected`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PeerAdmitted { .. } => "peer.admitted",
            Self::PeerRejected { .. } => "peer.rejected",
        }
    }

    /// Why, if something was refused.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::PeerAdmitted { .. } => None,
            Self::PeerRejected { rejection, .. } => Some(rejection),
        }
    }
}
