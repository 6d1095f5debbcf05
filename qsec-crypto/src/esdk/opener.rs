//! Opening a message as a stream. Nothing leaves before its tag has verified.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use super::body::{self, BodyKey, Frame, Kind, Step};
use super::header::{MessageHeader, TAG_BYTES};
use crate::error::OpenError;
use crate::refusal::Refusal;
use crate::stopped::Stopped;
use crate::stream::{Clock, Lifetime};

/// Most bytes by which the buffer of a frame grows ahead of what has come: 64 KiB.
const MAX_GROWTH_BYTES: usize = 64 << 10;

/// Opens what it reads from another reader, frame by frame. Made by
/// [`RawAesKeyring::opener`](super::RawAesKeyring::opener), [`UnopenedMessage::open`](super::UnopenedMessage::open) and
/// [`TenantKey::esdk_opener`](crate::TenantKey::esdk_opener).
///
/// Each frame is given out when it has verified; that the stream is whole is known only at its end. A reader must
/// therefore throw away what it got if an error follows. Of a signed message, and of one in one block, nothing is given
/// out before the whole has verified. After an error of the cryptography every further call fails; after an error of the
/// reader beneath, the call may be repeated.
///
/// ```
/// use std::io::Read;
/// use qsec_crypto::esdk::{RawAesKey, RawAesKeyring};
/// use qsec_crypto::{Context, SecretKey};
///
/// let keyring = RawAesKeyring::new([RawAesKey::new("acme", "2030", SecretKey::generate()?)?])?;
/// let sealed = keyring.seal(b"4,200 EUR", &Context::from([("table", "orders")]))?;
///
/// let mut opener = keyring.opener(sealed.as_slice(), &Context::empty())?;
/// assert!(opener.header().context().eq([("table", "orders")]));    // verified: it is what was sealed
/// let mut opened = String::new();
/// opener.read_to_string(&mut opened)?;
/// assert_eq!(opened, "4,200 EUR");
///
/// let longer = [sealed.as_slice(), b"!"].concat();
/// assert!(keyring.opener(longer.as_slice(), &Context::empty())?.read_to_end(&mut Vec::new()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EsdkOpener<R: Read> {
    header: MessageHeader,
    key: BodyKey,
    source: Source<R>,
    /// The number of the next frame.
    next: u32,
    /// One frame: sealed while it is read, then plaintext in `given..plaintext`.
    frame: Zeroizing<Vec<u8>>,
    given: usize,
    plaintext: usize,
    state: State,
    lifetime: Lifetime,
}

/// Where the body comes from.
enum Source<R> {
    Reader(R),
    /// The body of a signed message, still sealed.
    Verified(Cursor<Vec<u8>>),
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Reader(reader) => reader.read(out),
            Self::Verified(body) => body.read(out),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

/// Why a frame is not there: refused for ever, or not read yet.
enum Stop {
    Refused(Refusal),
    Stopped(Stopped),
    Read(io::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Stopped> for Stop {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl<R: Read> EsdkOpener<R> {
    pub(super) fn start(header: MessageHeader, key: BodyKey, reader: R, lifetime: Lifetime) -> Self {
        Self::over(header, key, Source::Reader(reader), lifetime)
    }

    pub(super) fn of_verified_body(header: MessageHeader, key: BodyKey, body: Vec<u8>, lifetime: Lifetime) -> Self {
        Self::over(header, key, Source::Verified(Cursor::new(body)), lifetime)
    }

    fn over(header: MessageHeader, key: BodyKey, source: Source<R>, lifetime: Lifetime) -> Self {
        let frame = Zeroizing::new(Vec::new());
        Self { header, key, source, next: 1, frame, given: 0, plaintext: 0, state: State::Reading, lifetime }
    }

    /// Lets the stream end early: once the tenant's key that it was made with is stopped, as far as this node knows, it
    /// fails with [`OpenError::Stopped`] when it is 15 minutes old
    /// ([`MAX_STREAM_LIFETIME`](crate::MAX_STREAM_LIFETIME)), counted from this call. Without a clock, or under keys of the
    /// caller's own, it goes on to its end.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.lifetime.start(clock);
        self
    }

    /// The header, which has verified.
    pub fn header(&self) -> &MessageHeader {
        &self.header
    }

    /// The next verified bytes: those of a frame that `read` has not given out. `None` at the verified end.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] if the stream is not what was sealed, from here or before;
    /// [`OpenError::BudgetExceeded`] if it is one block that is too long; [`OpenError::Read`] if the reader fails;
    /// [`OpenError::Stopped`] if the key is stopped and the stream too old for that.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, OpenError> {
        self.fill()?;
        let bytes = self.frame.get(self.given..self.plaintext).filter(|bytes| !bytes.is_empty());
        self.given = self.plaintext;
        Ok(bytes)
    }

    /// Opens frames until there are bytes to give out, or the end.
    fn fill(&mut self) -> Result<(), OpenError> {
        while self.given == self.plaintext {
            match self.state {
                State::Reading => self.open_frame()?,
                State::Ended => break,
                State::Failed => {
                    self.lifetime.check("open.refused")?;
                    return Err(OpenError::NotOpened);
                }
            }
        }
        Ok(())
    }

    fn open_frame(&mut self) -> Result<(), OpenError> {
        if self.plaintext > 0 {
            // Emptied here, so that a larger frame does not move the plaintext of this one around in memory.
            self.frame.zeroize();
            (self.plaintext, self.given) = (0, 0);
        }
        self.read_and_verify().map_err(|stop| {
            let error = match stop {
                Stop::Read(error) => return OpenError::Read(error),
                Stop::Refused(refusal) => self.lifetime.reporter().refused(refusal),
                Stop::Stopped(stopped) => stopped.into(),
            };
            self.state = State::Failed;
            (self.plaintext, self.given) = (0, 0);
            self.frame.zeroize();
            error
        })
    }

    fn read_and_verify(&mut self) -> Result<(), Stop> {
        let frame = self.read_frame()?;
        self.lifetime.check("open.refused")?;
        Ok(self.verify_frame(&frame)?)
    }

    /// Reads a frame, and the end behind the last one. After an error of the reader it goes on where it was.
    fn read_frame(&mut self) -> Result<Frame, Stop> {
        loop {
            match body::measure(&self.frame, self.header.content(), self.next)? {
                Step::Needs(length) => self.read_up_to(length)?,
                Step::Whole(frame) => {
                    if frame.kind != Kind::Regular {
                        self.read_end()?;
                    }
                    return Ok(frame);
                }
            }
        }
    }

    /// Fills the frame up to a length that the stream announced. Memory grows with what comes.
    fn read_up_to(&mut self, length: usize) -> Result<(), Stop> {
        while self.frame.len() < length {
            let filled = self.frame.len();
            self.frame.resize(length.min(filled.saturating_add(MAX_GROWTH_BYTES)), 0);
            let read = self.source.read(self.frame.get_mut(filled..).unwrap_or_default());
            self.frame.truncate(filled.saturating_add(*read.as_ref().unwrap_or(&0)));
            match read {
                Ok(0) => return Err(Refusal::End.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The end is the end: a byte behind it is not of this message.
    fn read_end(&mut self) -> Result<(), Stop> {
        loop {
            match self.source.read(&mut [0]) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(Refusal::End.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn verify_frame(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let (text, tag) = self.frame.split_last_chunk_mut::<TAG_BYTES>().ok_or(Refusal::Broken)?;
        self.key.open_frame(frame, text.get_mut(frame.ciphertext.clone()).ok_or(Refusal::Broken)?, *tag)?;
        (self.given, self.plaintext) = (frame.ciphertext.start, frame.ciphertext.end);
        if frame.kind == Kind::Regular {
            self.next = self.next.checked_add(1).ok_or(Refusal::Frame)?;
        } else {
            self.state = State::Ended;
        }
        Ok(())
    }
}

impl<R: Read> Read for EsdkOpener<R> {
    /// Fails with the reader's own error, or with one of kind `InvalidData` that holds the [`OpenError`].
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        self.fill()?;
        let mut ready = self.frame.get(self.given..self.plaintext).unwrap_or_default();
        let read = ready.read(out)?;
        self.given = self.given.saturating_add(read);
        Ok(read)
    }
}

impl<R: Read> fmt::Debug for EsdkOpener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EsdkOpener").field("next_frame", &self.next).field("state", &self.state).finish_non_exhaustive()
    }
}
