//! Opening parts of sealed bytes: only the chunks that are wanted.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use crate::cobblestone::MessageKey;
use crate::cobblestone::layout::{self, CHUNK, CHUNK_BYTES, FIRST, SEALED_CHUNK, SEALED_CHUNK_BYTES, TAG_BYTES};
use crate::error::OpenError;
use crate::refusal::Refusal;
use crate::stream::{Clock, Lifetime};

/// Reads anywhere in sealed bytes, opening the chunks it needs. Made by
/// [`TenantKey::seekable`](crate::TenantKey::seekable).
///
/// The sealed bytes are the whole of the reader beneath. Each chunk verifies before a byte of it is given out. Whatever
/// depends on the *length* (a seek from the end, a read that answers "no more", [`SeekOpener::plaintext_len`]) first
/// opens the last chunk, so a cut file cannot pass for a shorter one.
///
/// ```
/// use std::io::{Cursor, Read, Seek, SeekFrom};
/// use qsec_crypto::{Context, RawKey, SecretKey};
///
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let sealed = key.seal(b"4,200 EUR", &Context::empty())?;
///
/// let mut opener = key.seekable(Cursor::new(sealed), &Context::empty())?;
/// opener.seek(SeekFrom::End(-3))?;
/// let mut currency = String::new();
/// opener.read_to_string(&mut currency)?;
/// assert_eq!((currency.as_str(), opener.plaintext_len()?), ("EUR", 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SeekOpener<R: Read + Seek> {
    reader: R,
    key: MessageKey,
    /// What the length of the sealed bytes says the plaintext has; believed when the last chunk has verified.
    claimed: u64,
    end_verified: bool,
    position: u64,
    /// The plaintext of `current`, if there is one.
    chunk: Zeroizing<Vec<u8>>,
    current: Option<u32>,
    failed: bool,
    lifetime: Lifetime,
}

impl<R: Read + Seek> SeekOpener<R> {
    /// `sealed` is the whole length of the reader, whose header and prefix have been checked.
    pub(crate) fn start(reader: R, key: MessageKey, sealed: u64, lifetime: Lifetime) -> Result<Self, Refusal> {
        let claimed = layout::plaintext_len(sealed).ok_or(Refusal::End)?;
        let chunk = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES));
        Ok(Self {
            reader,
            key,
            claimed,
            end_verified: false,
            position: 0,
            chunk,
            current: None,
            failed: false,
            lifetime,
        })
    }

    /// Lets the reader end early: once the key that it was made with is stopped, as far as this node knows, it fails with
    /// [`OpenError::Stopped`] when it is 15 minutes old ([`MAX_STREAM_LIFETIME`](crate::MAX_STREAM_LIFETIME)), counted
    /// from this call. Without a clock it does not.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.lifetime.start(clock);
        self
    }

    /// The length of the plaintext, after the last chunk has verified.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] if the last chunk is not the one that was sealed; [`OpenError::Read`] if the reader
    /// fails; [`OpenError::Stopped`] if the key is stopped and this reader too old for that.
    pub fn plaintext_len(&mut self) -> Result<u64, OpenError> {
        if !self.end_verified {
            self.open_chunk_of(self.claimed)?;
        }
        Ok(self.claimed)
    }

    /// Opens the chunk that holds the byte at `position`, unless it is open already.
    fn open_chunk_of(&mut self, position: u64) -> Result<(), OpenError> {
        if self.failed {
            return Err(OpenError::NotOpened);
        }
        let (index, _) = place(position).map_err(|refusal| self.lifetime.reporter().refused(refusal))?;
        if self.current == Some(index) {
            return Ok(());
        }
        self.current = None;
        self.lifetime.check("open.refused").inspect_err(|_| self.chunk.zeroize())?;
        let verified = match self.read_chunk(index) {
            Ok(()) => self.verify_chunk(index),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Refusal::End),
            Err(error) => return Err(OpenError::Read(error)),
        };
        verified.map_err(|refusal| {
            self.failed = true;
            self.chunk.zeroize();
            self.lifetime.reporter().refused(refusal)
        })
    }

    fn read_chunk(&mut self, index: u32) -> io::Result<()> {
        let start = u64::from(index).saturating_mul(SEALED_CHUNK).saturating_add(FIRST);
        self.reader.seek(SeekFrom::Start(start))?;
        let plaintext = if self.is_last(index) { place(self.claimed).map_or(0, |(_, left)| left) } else { CHUNK_BYTES };
        self.chunk.zeroize();
        self.chunk.resize(plaintext.saturating_add(TAG_BYTES), 0);
        self.reader.read_exact(&mut self.chunk)
    }

    fn verify_chunk(&mut self, index: u32) -> Result<(), Refusal> {
        let (chunk, tag) = self.chunk.split_last_chunk_mut::<TAG_BYTES>().ok_or(Refusal::End)?;
        self.key.open_chunk(index, chunk, *tag)?;
        let plaintext = chunk.len();
        self.chunk.truncate(plaintext);
        self.current = Some(index);
        self.end_verified |= self.is_last(index);
        Ok(())
    }

    fn is_last(&self, index: u32) -> bool {
        place(self.claimed).is_ok_and(|(last, _)| last == index)
    }
}

/// The chunk that holds a byte of the plaintext, and where in it.
fn place(position: u64) -> Result<(u32, usize), Refusal> {
    let index = u32::try_from(position / CHUNK).map_err(|_| Refusal::End)?;
    let within = usize::try_from(position % CHUNK).map_err(|_| Refusal::Broken)?;
    Ok((index, within))
}

impl<R: Read + Seek> Read for SeekOpener<R> {
    /// Fails with the reader's own error, or with one of kind `InvalidData` that holds [`OpenError::NotOpened`].
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.position >= self.claimed {
            self.plaintext_len()?;
            return Ok(0);
        }
        self.open_chunk_of(self.position)?;
        let (_, within) = place(self.position).map_err(|refusal| self.lifetime.reporter().refused(refusal))?;
        let mut ready = self.chunk.get(within..).unwrap_or_default();
        let read = ready.read(out)?;
        self.position = self.position.saturating_add(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for SeekOpener<R> {
    /// A seek from the end first opens the last chunk, and fails as `read` does.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.plaintext_len()?.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl<R: Read + Seek> fmt::Debug for SeekOpener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeekOpener")
            .field("position", &self.position)
            .field("end_verified", &self.end_verified)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
