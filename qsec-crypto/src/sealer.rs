//! Sealing a stream in constant memory.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use crate::error::SealError;
use crate::parallel::Threads;
use crate::stream::{Clock, Sealing};

/// Seals what is written to it, and writes the sealed bytes to another writer. Made by
/// [`TenantKey::sealer`](crate::TenantKey::sealer).
///
/// [`Sealer::finish`] writes the end. A stream that was dropped before does not open: its last chunk is missing, and
/// the reader is told so. Memory: one chunk, whatever the length; 1 MiB for each thread [on several](Sealer::with_threads). `flush` passes on what is sealed already; the bytes of
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
///
/// After the end there is no sealer to write to:
///
/// ```compile_fail,E0382
/// # use std::io::Write;
/// # let key = qsec_crypto::RawKey::parse(&[b'7'; 64]).unwrap().at_version(0).unwrap();
/// let mut sealer = key.sealer(Vec::new(), &qsec_crypto::Context::empty()).unwrap();
/// let sealed = sealer.finish();
/// sealer.write_all(b"more").unwrap();
/// ```
#[must_use = "a sealed stream has no end, and does not open, until `finish` is called"]
pub struct Sealer<W: Write> {
    writer: W,
    chunks: Sealing,
    /// A write failed midway: where the writer stands is unknown, so nothing more is written.
    broken: bool,
}

impl<W: Write> Sealer<W> {
    pub(crate) fn start(mut writer: W, chunks: Sealing, prefix: &[&[u8]]) -> Result<Self, SealError> {
        for part in prefix {
            writer.write_all(part).map_err(SealError::Write)?;
        }
        Ok(Self { writer, chunks, broken: false })
    }

    /// Seals on several threads: the same bytes, written 1 MiB for each thread at a time. The threads work while a write
    /// waits, and not between writes.
    pub fn with_threads(mut self, threads: Threads) -> Self {
        self.chunks.set_threads(threads);
        self
    }

    /// Lets the stream end early: once the key that it was made with is stopped, as far as this node knows, it fails with
    /// [`SealError::Stopped`] when it is 15 minutes old ([`MAX_STREAM_LIFETIME`](crate::MAX_STREAM_LIFETIME)), counted
    /// from this call. Without a clock it goes on to its end.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.chunks.lifetime().start(clock);
        self
    }

    /// Seals the last chunk, which marks the end, and returns the writer.
    ///
    /// # Errors
    /// [`SealError::Write`] if the writer fails, now or before; [`SealError::MessageTooLong`] beyond 64 TiB;
    /// [`SealError::Stopped`] if the key is stopped and the stream too old for that.
    pub fn finish(mut self) -> Result<W, SealError> {
        self.write_chunks(Sealing::seal_end)?;
        self.writer.flush().map_err(SealError::Write)?;
        Ok(self.writer)
    }

    fn write_chunks(&mut self, seal: fn(&mut Sealing) -> Result<&[u8], SealError>) -> Result<(), SealError> {
        if self.broken {
            self.chunks.lifetime().check("seal.refused")?;
            return Err(SealError::Write(io::Error::other("an earlier write failed")));
        }
        // Set first: a writer that fails, or panics, midway must not see the rest of the message at the wrong place.
        self.broken = true;
        self.writer.write_all(seal(&mut self.chunks)?).map_err(SealError::Write)?;
        self.chunks.clear();
        self.broken = false;
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.chunks.take(bytes);
        // A full chunk is never the last one, so it can go at once.
        if self.chunks.is_full() || self.broken {
            self.write_chunks(Sealing::seal)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W: Write> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.chunks.next;
        f.debug_struct("Sealer").field("next_chunk", &next).field("broken", &self.broken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cobblestone::layout::{CHUNK_BYTES, PREFIX_BYTES, SEALED_CHUNK_BYTES};
    use crate::cobblestone::{MessageKey, open};
    use crate::kdf::ExpandKey;
    use crate::secret::SecretKey;
    use crate::stream::Lifetime;

    const SALT: [u8; 24] = [3; 24];
    const BINDING: [&[u8]; 3] = [b"b", b"", b""];

    fn key() -> ExpandKey {
        ExpandKey::new(&SecretKey::copy_from(&[1; 32]))
    }

    fn sealer<W: Write>(writer: W) -> Sealer<W> {
        let (key, commitment) = MessageKey::derive(&key(), &SALT, &BINDING).unwrap();
        let chunks = Sealing::new(key, Lifetime::unlimited(Arc::new(())));
        Sealer::start(writer, chunks, &[&SALT, &commitment]).unwrap()
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
    fn several_threads_make_the_stream_of_one() {
        for length in [0, 16_384, 1_000_000, 2 << 20, (2 << 20) + 1, 5_000_000] {
            let plaintext: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let expected = crate::cobblestone::seal(&key(), &SALT, b"", &BINDING, &plaintext).unwrap();
            for threads in [1, 2, 5] {
                let mut sealer = sealer(Vec::new());
                let (begin, rest) = plaintext.split_at(length.min(20_000));
                sealer.write_all(begin).unwrap();
                sealer = sealer.with_threads(Threads::new(threads).unwrap());
                rest.chunks(100_001).for_each(|piece| sealer.write_all(piece).unwrap());
                assert!(sealer.finish().unwrap() == expected, "{length} bytes on {threads} threads");
            }
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
        sealer.chunks.next = Some(u32::MAX);
        sealer.write_all(&[0; CHUNK_BYTES]).unwrap();
        let error = sealer.finish().unwrap_err();
        assert_eq!(
            (error.code(), error.to_string()),
            ("message_too_long", "a sealed message has at most 70368744177663 bytes".into())
        );
    }
}
