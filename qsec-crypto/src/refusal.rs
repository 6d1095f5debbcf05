//! Why sealed bytes do not open: told to the observer, never to the caller.

use std::sync::Arc;

use crate::error::OpenError;
use crate::kdf::Broken;
use crate::observer::{Event, Observer};
use crate::tenant_key::KeyName;

/// Why a message does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another key version is named than the key has.
    KeyVersion,
    /// The salt or the commitment is cut off.
    Prefix,
    /// The key, or anything it is bound to, is another.
    Commitment,
    /// A chunk is not the one that was sealed in its place.
    Chunk,
    /// The last chunk is missing, is cut off, or is followed by more.
    End,
    /// The tag of a compact message is wrong.
    Tag,
    /// A pair that the reader demands is not in the message, or has another value.
    #[cfg(feature = "esdk")]
    ContextPair,
    /// No data key of the message opens under the reader's keys.
    #[cfg(feature = "esdk")]
    DataKey,
    /// The header is not the one that was sealed.
    #[cfg(feature = "esdk")]
    HeaderTag,
    /// A frame is out of order, too long, or not the one that was sealed in its place.
    #[cfg(feature = "esdk")]
    Frame,
    /// One block is longer than is taken.
    #[cfg(feature = "esdk")]
    Block,
    /// The signature does not verify.
    #[cfg(feature = "esdk")]
    Signature,
    /// A primitive refused what we gave it.
    Broken,
}

impl Refusal {
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::KeyVersion => "key version",
            Self::Prefix => "salt or commitment cut off",
            Self::Commitment => "commitment",
            Self::Chunk => "chunk",
            Self::End => "end",
            Self::Tag => "tag",
            #[cfg(feature = "esdk")]
            Self::ContextPair => "context pair",
            #[cfg(feature = "esdk")]
            Self::DataKey => "data key",
            #[cfg(feature = "esdk")]
            Self::HeaderTag => "header tag",
            #[cfg(feature = "esdk")]
            Self::Frame => "frame",
            #[cfg(feature = "esdk")]
            Self::Block => "block too long",
            #[cfg(feature = "esdk")]
            Self::Signature => "signature",
            Self::Broken => "internal",
        }
    }
}

impl From<Broken> for Refusal {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

/// Tells the observer why something was refused, and the caller only that it was.
pub(crate) struct Reporter {
    /// The tenant's key; none where the caller's own keys have no tenant.
    pub(crate) name: Option<Arc<KeyName>>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Reporter {
    pub(crate) fn refused(&self, refusal: Refusal) -> OpenError {
        let mut event = Event::new("open.refused").cause(refusal.cause());
        if let Some(KeyName { tenant, purpose, version }) = self.name.as_deref() {
            event = event.tenant(tenant).version(purpose, *version);
        }
        self.observer.observe(&event);
        match refusal {
            Refusal::Broken => OpenError::Internal,
            #[cfg(feature = "esdk")]
            Refusal::Block => OpenError::budget("bytes in one block", crate::esdk::MAX_BLOCK_BYTES),
            _ => OpenError::NotOpened,
        }
    }
}
