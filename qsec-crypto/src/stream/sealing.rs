//! The chunks of a stream that is being sealed, without the writer that they go to.

#![deny(clippy::arithmetic_side_effects)]

use zeroize::Zeroizing;

use super::Lifetime;
use crate::cobblestone::MessageKey;
use crate::cobblestone::layout::{CHUNK_BYTES, MAX_MESSAGE_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES};
use crate::error::SealError;
use crate::parallel::{self, Threads};

pub(crate) struct Sealing {
    key: MessageKey,
    /// The number of the next chunk; `None` after the last that can be counted.
    pub(crate) next: Option<u32>,
    /// Plaintext chunks, each full one with room for its tag; never longer than it was made, never reallocated.
    buffer: Zeroizing<Vec<u8>>,
    /// So long is the buffer when it is full.
    most: usize,
    threads: Threads,
    lifetime: Lifetime,
}

impl Sealing {
    pub(crate) fn new(key: MessageKey, lifetime: Lifetime) -> Self {
        let buffer = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES));
        Self { key, next: Some(0), buffer, most: SEALED_CHUNK_BYTES, threads: Threads::ONE, lifetime }
    }

    pub(crate) fn set_threads(&mut self, threads: Threads) {
        self.threads = threads;
        self.most = super::batch_bytes(threads).max(self.buffer.len());
        let mut buffer = Zeroizing::new(Vec::with_capacity(self.most));
        buffer.extend_from_slice(&self.buffer);
        self.buffer = buffer;
    }

    pub(crate) fn lifetime(&mut self) -> &mut Lifetime {
        &mut self.lifetime
    }

    /// Whether there is no room for a byte.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= self.most
    }

    /// Takes what there is room for in the current chunk, and says how much that was.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        if self.is_full() {
            return 0;
        }
        let room = CHUNK_BYTES.saturating_sub(self.buffer.len() % SEALED_CHUNK_BYTES);
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        if taken.len() == room {
            self.buffer.extend_from_slice(&[0; TAG_BYTES]);
        }
        taken.len()
    }

    /// Seals the full chunks that there are.
    pub(crate) fn seal(&mut self) -> Result<&[u8], SealError> {
        self.lifetime.check("seal.refused")?;
        let too_long = SealError::MessageTooLong { limit: MAX_MESSAGE_BYTES };
        let chunks = self.buffer.len().div_ceil(SEALED_CHUNK_BYTES);
        let more = u32::try_from(chunks.saturating_sub(1)).map_err(|_| SealError::Internal)?;
        let Some((first, last)) = self.next.and_then(|first| Some((first, first.checked_add(more)?))) else {
            return Err(too_long);
        };
        parallel::seal_in_place(&self.key, first, &mut self.buffer, self.threads)?;
        self.next = last.checked_add(1);
        Ok(&self.buffer)
    }

    /// Seals what there is, and the chunk that marks the end: the current one, which is never full.
    pub(crate) fn seal_end(&mut self) -> Result<&[u8], SealError> {
        self.buffer.extend_from_slice(&[0; TAG_BYTES]);
        self.seal()
    }

    /// What was sealed last.
    #[cfg(feature = "async-io")]
    pub(crate) fn sealed(&self) -> &[u8] {
        &self.buffer
    }

    /// Room for the next chunks: what was sealed has been written.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
    }
}
