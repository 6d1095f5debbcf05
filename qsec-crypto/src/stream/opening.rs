//! The chunks of a stream that is being opened, without the reader that they come from.

#![deny(clippy::arithmetic_side_effects)]

use zeroize::{Zeroize, Zeroizing};

use super::Lifetime;
use crate::cobblestone::MessageKey;
use crate::cobblestone::layout::{SEALED_CHUNK_BYTES, TAG_BYTES};
use crate::error::OpenError;
use crate::parallel::{self, Threads};
use crate::refusal::Refusal;

pub(crate) struct Opening {
    key: MessageKey,
    /// The number of the next chunk; `None` after the last that can be counted.
    next: Option<u32>,
    /// Room for chunks: sealed up to `filled` while they come, then opened up to `verified`, tags between them.
    buffer: Zeroizing<Vec<u8>>,
    filled: usize,
    verified: usize,
    /// Where the next byte to give out is, if there is one.
    given: usize,
    then: Then,
    threads: Threads,
    lifetime: Lifetime,
}

/// What comes after the bytes that have verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// More chunks, which are still to come.
    More,
    /// The end, which has verified.
    End,
    /// A refusal that nobody was told of yet.
    Refusal(Refusal),
    /// The same refusal again.
    Failed,
}

impl Opening {
    pub(crate) fn new(key: MessageKey, lifetime: Lifetime) -> Self {
        Self {
            key,
            next: Some(0),
            buffer: Zeroizing::new(vec![0; SEALED_CHUNK_BYTES]),
            filled: 0,
            verified: 0,
            given: 0,
            then: Then::More,
            threads: Threads::ONE,
            lifetime,
        }
    }

    pub(crate) fn set_threads(&mut self, threads: Threads) {
        let mut buffer = Zeroizing::new(vec![0; super::batch_bytes(threads).max(self.buffer.len())]);
        if let Some(start) = buffer.get_mut(..self.buffer.len()) {
            start.copy_from_slice(&self.buffer);
        }
        (self.threads, self.buffer) = (threads, buffer);
    }

    pub(crate) fn lifetime(&mut self) -> &mut Lifetime {
        &mut self.lifetime
    }

    pub(crate) fn progress(&self) -> (Option<u32>, Then) {
        (self.next, self.then)
    }

    /// Verified bytes of one chunk that were not given out yet. None there are before more is read, and at the end.
    pub(crate) fn ready(&self) -> &[u8] {
        let chunk_end = self.given.saturating_sub(self.given % SEALED_CHUNK_BYTES).saturating_add(SEALED_CHUNK_BYTES);
        let text_end = chunk_end.min(self.verified).saturating_sub(TAG_BYTES);
        self.buffer.get(self.given..text_end).unwrap_or_default()
    }

    /// So many of those that are ready have been given out.
    pub(crate) fn give(&mut self, bytes: usize) {
        self.given = self.given.saturating_add(bytes);
        if self.ready().is_empty() {
            // Over the tag, to the next chunk.
            self.given = self.given.saturating_add(TAG_BYTES).min(self.verified);
        }
    }

    /// All that is ready, given out at once.
    pub(crate) fn give_all(&mut self) -> Option<&[u8]> {
        let (start, length) = (self.given, self.ready().len());
        self.give(length);
        self.buffer.get(start..start.saturating_add(length)).filter(|bytes| !bytes.is_empty())
    }

    /// Whether more must come before anything is ready.
    pub(crate) fn wants_more(&mut self) -> Result<bool, OpenError> {
        if !self.ready().is_empty() {
            return Ok(false);
        }
        match self.then {
            Then::More => Ok(true),
            Then::End => Ok(false),
            Then::Refusal(refusal) => {
                self.then = Then::Failed;
                self.buffer.zeroize();
                (self.verified, self.given) = (0, 0);
                Err(self.lifetime.reporter().refused(refusal))
            }
            // A stop is not what fails for ever: whoever asks again is told of it again.
            Then::Failed => {
                self.lifetime.check("open.refused")?;
                Err(OpenError::NotOpened)
            }
        }
    }

    /// Where sealed bytes are to be put. None when there are enough.
    pub(crate) fn room(&mut self) -> Option<&mut [u8]> {
        self.buffer.get_mut(self.filled..).filter(|room| !room.is_empty())
    }

    /// So many have been put there.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.filled = self.filled.saturating_add(bytes).min(self.buffer.len());
    }

    /// Opens what has come: a full buffer, or what there was before the end of the reader.
    pub(crate) fn open(&mut self) -> Result<(), OpenError> {
        if let Err(stopped) = self.lifetime.check("open.refused") {
            self.buffer.zeroize();
            (self.then, self.filled, self.verified, self.given) = (Then::Failed, 0, 0, 0);
            return Err(stopped.into());
        }
        let ended = self.filled < self.buffer.len();
        let (chunks, refusal) = self.open_chunks();
        self.verified = chunks.saturating_mul(SEALED_CHUNK_BYTES).min(self.filled);
        // A full chunk is never the last, so a stream that ends after one is cut.
        let is_cut = ended && self.filled.is_multiple_of(SEALED_CHUNK_BYTES);
        self.then = match refusal {
            Some(refusal) => Then::Refusal(refusal),
            None if is_cut => Then::Refusal(Refusal::End),
            None if ended => Then::End,
            None => Then::More,
        };
        if refusal.is_some() {
            // Chunks behind the refused one may be open already: they are not what comes next.
            self.buffer.get_mut(self.verified..).unwrap_or_default().zeroize();
        }
        (self.given, self.filled) = (0, 0);
        Ok(())
    }

    fn open_chunks(&mut self) -> (usize, Option<Refusal>) {
        let Some(sealed) = self.buffer.get_mut(..self.filled).filter(|sealed| !sealed.is_empty()) else {
            return (0, None);
        };
        let more = u32::try_from(sealed.len().div_ceil(SEALED_CHUNK_BYTES).saturating_sub(1));
        let numbers = self.next.and_then(|first| Some((first, first.checked_add(more.ok()?)?)));
        let Some((first, last)) = numbers else { return (0, Some(Refusal::End)) };
        self.next = last.checked_add(1);
        parallel::open_in_place(&self.key, first, sealed, self.threads)
    }
}
