//! Opening a stream in constant memory. Nothing leaves before its tag has verified.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::io::{self, Read};

use zeroize::{Zeroize, Zeroizing};

use crate::cobblestone::MessageKey;
use crate::cobblestone::layout::{SEALED_CHUNK_BYTES, TAG_BYTES};
use crate::error::OpenError;
use crate::refusal::{Refusal, Reporter};

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
/// let unverified = &opener.chunk;
/// ```
pub struct Opener<R: Read> {
    reader: R,
    key: MessageKey,
    next: Option<u32>,
    /// Room for one sealed chunk: sealed up to `filled` while it is read, then plaintext up to `plaintext`.
    chunk: Zeroizing<Vec<u8>>,
    filled: usize,
    plaintext: usize,
    given: usize,
    state: State,
    reporter: Reporter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

impl<R: Read> Opener<R> {
    pub(crate) fn start(reader: R, key: MessageKey, reporter: Reporter) -> Self {
        Self {
            reader,
            key,
            next: Some(0),
            chunk: Zeroizing::new(vec![0; SEALED_CHUNK_BYTES]),
            filled: 0,
            plaintext: 0,
            given: 0,
            state: State::Reading,
            reporter,
        }
    }

    /// The next verified bytes: those of a chunk that `read` has not given out. `None` at the verified end.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] if the stream is not what was sealed, from here or before; [`OpenError::Read`] if the
    /// reader fails.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>, OpenError> {
        self.fill()?;
        let bytes = self.chunk.get(self.given..self.plaintext).filter(|bytes| !bytes.is_empty());
        self.given = self.plaintext;
        Ok(bytes)
    }

    /// Opens chunks until there are bytes to give out, or the end.
    fn fill(&mut self) -> Result<(), OpenError> {
        while self.given == self.plaintext {
            match self.state {
                State::Reading => self.open_chunk()?,
                State::Ended => break,
                State::Failed => return Err(OpenError::NotOpened),
            }
        }
        Ok(())
    }

    fn open_chunk(&mut self) -> Result<(), OpenError> {
        self.read_chunk().map_err(OpenError::Read)?;
        self.verify_chunk().map_err(|refusal| {
            self.state = State::Failed;
            (self.plaintext, self.given) = (0, 0);
            self.chunk.as_mut_slice().zeroize();
            self.reporter.refused(refusal)
        })
    }

    /// Reads up to a full chunk. After an error of the reader it goes on where it was.
    fn read_chunk(&mut self) -> io::Result<()> {
        while let Some(room) = self.chunk.get_mut(self.filled..).filter(|room| !room.is_empty()) {
            match self.reader.read(room) {
                Ok(0) => break,
                Ok(read) => self.filled = self.filled.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn verify_chunk(&mut self) -> Result<(), Refusal> {
        let index = self.next.ok_or(Refusal::End)?;
        // A full chunk is never the last, so a stream that ends after one is cut: its end is the empty chunk here.
        let is_last = self.filled < SEALED_CHUNK_BYTES;
        let sealed = self.chunk.get_mut(..self.filled).ok_or(Refusal::Broken)?;
        let (chunk, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>().ok_or(Refusal::End)?;
        self.key.open_chunk(index, chunk, *tag)?;
        (self.plaintext, self.given, self.filled) = (chunk.len(), 0, 0);
        self.next = index.checked_add(1);
        if is_last {
            self.state = State::Ended;
        }
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    /// Fails with the reader's own error, or with one of kind `InvalidData` that holds [`OpenError::NotOpened`].
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        self.fill()?;
        let mut ready = self.chunk.get(self.given..self.plaintext).unwrap_or_default();
        let read = ready.read(out)?;
        self.given = self.given.saturating_add(read);
        Ok(read)
    }
}

impl<R: Read> fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("next_chunk", &self.next).field("state", &self.state).finish_non_exhaustive()
    }
}
