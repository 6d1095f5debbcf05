//! What all streams have in common: reading what comes in pieces, the chunks between reader and writer, and how long a
//! stream may go on.

#![deny(clippy::arithmetic_side_effects)]

use std::io::{self, Read};

use crate::cobblestone::layout::SEALED_CHUNK_BYTES;
use crate::parallel::Threads;

mod lifetime;
mod opening;
mod sealing;

pub(crate) use lifetime::Lifetime;
pub use lifetime::{Clock, MAX_STREAM_LIFETIME};
pub(crate) use opening::Opening;
pub(crate) use sealing::Sealing;

/// Chunks that a stream holds for each of its threads: 1 MiB, so that starting a thread is a small part of its work.
const BATCH_CHUNKS: usize = 64;

/// Bytes that a stream holds. One thread needs no more than one chunk.
fn batch_bytes(threads: Threads) -> usize {
    let chunks = if threads == Threads::ONE { 1 } else { threads.count().saturating_mul(BATCH_CHUNKS) };
    chunks.saturating_mul(SEALED_CHUNK_BYTES)
}

/// Reads until the buffer is full or the reader ends, and says how much there was.
pub(crate) fn read_up_to(reader: &mut impl Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let wanted = buffer.len();
    while !buffer.is_empty() {
        match reader.read(buffer) {
            Ok(0) => break,
            Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted.saturating_sub(buffer.len()))
}
