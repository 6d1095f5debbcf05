//! Opening a stream in constant memory. Nothing leaves before its tag has verified.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crate::error::OpenError;
use crate::parallel::Threads;
use crate::stream::{Clock, Opening};

/// Opens what it reads from another reader, chunk by chunk. Made by [`TenantKey::opener`](crate::TenantKey::opener).
///
/// Each chunk is given out when it has verified; that the stream is whole is known only at its end. A reader must
/// therefore throw away what it got if an error follows. After an error of the cryptography every further call fails;
/// after an error of the reader beneath, the call may be repeated.
///
/// ```
/// use std::io::Read;
/// use qsec_crypto::{Context, RawKey, SecretKey};
///
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let sealed = key.seal(b"4,200 EUR", &Context::empty())?;
///
/// let mut opened = String::new();
/// key.opener(sealed.as_slice(), &Context::empty())?.read_to_string(&mut opened)?;
/// assert_eq!(opened, "4,200 EUR");
///
/// let cut = &sealed[..sealed.len() - 1];
/// assert!(key.opener(cut, &Context::empty())?.read_to_end(&mut Vec::new()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// There is no way to the bytes of a chunk but through its tag:
///
/// ```compile_fail,E0616
/// # use qsec_crypto::{Context, RawKey, SecretKey};
/// # let key = RawKey::new(SecretKey::generate().unwrap()).at_version(0).unwrap();
/// let opener = key.opener(&b"sealed"[..], &Context::empty()).unwrap();
/// let unverified = &opener.chunks;
/// ```
pub struct Opener<R: Read> {
    reader: R,
    chunks: Opening,
}

impl<R: Read> Opener<R> {
    pub(crate) fn start(reader: R, chunks: Opening) -> Self {
        Self { reader, chunks }
    }

    /// Opens on several threads, reading 1 MiB for each of them ahead: nothing is given out before so much has come, or the
    /// reader has ended. What has verified still leaves in order, and nothing behind a forged chunk.
    #[must_use]
    pub fn with_threads(mut self, threads: Threads) -> Self {
        self.chunks.set_threads(threads);
        self
    }

    /// Lets the stream end early: once the key that it was made with is stopped, as far as this node knows, it fails with
    /// [`OpenError::Stopped`] when it is 15 minutes old ([`MAX_STREAM_LIFETIME`](crate::MAX_STREAM_LIFETIME)), counted
    /// from this call. Without a clock it goes on to its end.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.chunks.lifetime().start(clock);
        self
    }

    /// The next verified bytes: those of a chunk that `read` has not given out. `None` at the verified end.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] if the stream is not what was sealed, from here or before; [`OpenError::Read`] if the
    /// reader fails; [`OpenError::Stopped`] if the key is stopped and the stream too old for that.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>, OpenError> {
        self.fill()?;
        Ok(self.chunks.give_all())
    }

    /// Opens chunks until there are bytes to give out, or the end.
    fn fill(&mut self) -> Result<(), OpenError> {
        while self.chunks.wants_more()? {
            self.read_chunks().map_err(OpenError::Read)?;
            self.chunks.open()?;
        }
        Ok(())
    }

    /// Reads as much as there is room for. After an error of the reader it goes on where it was.
    fn read_chunks(&mut self) -> io::Result<()> {
        while let Some(room) = self.chunks.room() {
            match self.reader.read(room) {
                Ok(0) => break,
                Ok(read) => self.chunks.came(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    /// Fails with the reader's own error, or with one of kind `InvalidData` that holds the [`OpenError`].
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        self.fill()?;
        let read = self.chunks.ready().read(out)?;
        self.chunks.give(read);
        Ok(read)
    }
}

impl<R: Read> fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (next, then) = self.chunks.progress();
        f.debug_struct("Opener").field("next_chunk", &next).field("then", &then).finish_non_exhaustive()
    }
}
