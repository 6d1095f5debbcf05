//! Sealing a stream in constant memory.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::io::{self, Write};

use zeroize::Zeroizing;

use crate::cobblestone::MessageKey;
use crate::cobblestone::layout::{CHUNK_BYTES, MAX_MESSAGE_BYTES, SEALED_CHUNK_BYTES};
use crate::error::SealError;

/// Seals what is written to it, and writes the sealed bytes to another writer. Made by
/// [`TenantKey::sealer`](crate::TenantKey::sealer).
///
/// [`Sealer::finish`] writes the end. A stream that was dropped before does not open: its last chunk is missing, and
/// the reader is told so. Memory: one chunk, whatever the length. `flush` passes on what is sealed already; the bytes of
/// an unfinished chunk stay here.
///
/// ```
/// use std::io::Write;
/// use qsec_crypto::{Context, RawKey, SecretKey};
///
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let mut sealer = key.sealer(Vec::new(), &Context::empty())?;
/// sealer.write_all(b"4,200 ")?;
/// sealer.write_all(b"EUR")?;
/// let sealed = sealer.finish()?;
/// assert_eq!(key.open(&sealed, &Context::empty())?, b"4,200 EUR");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a sealed stream has no end, and does not open, until `finish` is called"]
pub struct Sealer<W: Write> {
    writer: W,
    key: MessageKey,
    /// The number of the next chunk; `None` after the last that can be counted.
    next: Option<u32>,
    /// Plaintext of the chunk that is being filled; never longer than a chunk, never reallocated.
    chunk: Zeroizing<Vec<u8>>,
    /// A write failed midway: where the writer stands is unknown, so nothing more is written.
    broken: bool,
}

impl<W: Write> Sealer<W> {
    pub(crate) fn start(mut writer: W, key: MessageKey, prefix: &[&[u8]]) -> Result<Self, SealError> {
        for part in prefix {
            writer.write_all(part).map_err(SealError::Write)?;
        }
        let chunk = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES));
        Ok(Self { writer, key, next: Some(0), chunk, broken: false })
    }

    /// Seals the last chunk, which marks the end, and returns the writer.
    ///
    /// # Errors
    /// [`SealError::Write`] if the writer fails, now or before; [`SealError::MessageTooLong`] beyond 64 TiB.
    pub fn finish(mut self) -> Result<W, SealError> {
        self.write_chunk()?;
        self.writer.flush().map_err(SealError::Write)?;
        Ok(self.writer)
    }

    fn write_chunk(&mut self) -> Result<(), SealError> {
        if self.broken {
            return Err(SealError::Write(io::Error::other("an earlier write failed")));
        }
        // Set first: a writer that fails, or panics, midway must not see the rest of the message at the wrong place.
        self.broken = true;
        let index = self.next.ok_or(SealError::MessageTooLong { limit: MAX_MESSAGE_BYTES })?;
        let tag = self.key.seal_chunk(index, &mut self.chunk)?;
        self.chunk.extend_from_slice(&tag);
        self.writer.write_all(&self.chunk).map_err(SealError::Write)?;
        self.chunk.clear();
        self.next = index.checked_add(1);
        self.broken = false;
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES.saturating_sub(self.chunk.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.chunk.extend_from_slice(taken);
        // A full chunk is never the last one, so it can go at once.
        if self.chunk.len() == CHUNK_BYTES || self.broken {
            self.write_chunk()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W: Write> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("next_chunk", &self.next).field("broken", &self.broken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cobblestone::layout::PREFIX_BYTES;
    use crate::cobblestone::open;
    use crate::kdf::ExpandKey;
    use crate::secret::SecretKey;

    const SALT: [u8; 24] = [3; 24];
    const BINDING: [&[u8]; 3] = [b"b", b"", b""];

    fn key() -> ExpandKey {
        ExpandKey::new(&SecretKey::copy_from(&[1; 32]))
    }

    fn sealer<W: Write>(writer: W) -> Sealer<W> {
        let (key, commitment) = MessageKey::derive(&key(), &SALT, &BINDING).unwrap();
        Sealer::start(writer, key, &[&SALT, &commitment]).unwrap()
    }

    #[test]
    fn a_stream_is_the_message_sealed_in_memory_however_it_is_cut() {
        let plaintext: Vec<u8> = (0..=u8::MAX).cycle().take(40_000).collect();
        let expected = crate::cobblestone::seal(&key(), &SALT, b"", &BINDING, &plaintext).unwrap();
        for piece in [1, 7, 4_096, 16_383, 16_384, 16_385, 40_000] {
            let mut sealer = sealer(Vec::new());
            plaintext.chunks(piece).for_each(|piece| sealer.write_all(piece).unwrap());
            sealer.flush().unwrap();
            assert!(sealer.finish().unwrap() == expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn an_unfinished_stream_does_not_open() {
        for length in [0, 100, 16_384, 20_000] {
            let mut sealed = Vec::new();
            sealer(&mut sealed).write_all(&vec![0; length]).unwrap();
            assert!(open(&key(), &BINDING, &sealed).is_err(), "{length}");
        }
    }

    #[test]
    fn after_a_failed_write_nothing_more_is_written() {
        /// Takes the prefix and one write, fails one, and would take all further ones.
        #[derive(Default)]
        struct Flaky {
            taken: usize,
            writes: u32,
        }
        impl Write for Flaky {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.writes += 1;
                if self.writes == 4 {
                    return Err(io::Error::other("disk full"));
                }
                self.taken += bytes.len();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = Flaky::default();
        let mut sealer = sealer(&mut writer);
        sealer.write_all(&[0; CHUNK_BYTES]).unwrap();
        assert_eq!(sealer.write_all(&[0; CHUNK_BYTES]).unwrap_err().to_string(), "disk full");
        assert!(sealer.write_all(&[0]).is_err());
        assert!(matches!(sealer.finish(), Err(SealError::Write(_))));
        assert_eq!(writer.taken, PREFIX_BYTES + SEALED_CHUNK_BYTES);
    }

    #[test]
    fn a_message_ends_at_the_last_chunk_that_can_be_counted() {
        let mut sealer = sealer(io::sink());
        sealer.next = Some(u32::MAX);
        sealer.write_all(&[0; CHUNK_BYTES]).unwrap();
        let error = sealer.finish().unwrap_err();
        assert_eq!(
            (error.code(), error.to_string()),
            ("message_too_long", "a sealed message has at most 70368744177663 bytes".into())
        );
    }
}
