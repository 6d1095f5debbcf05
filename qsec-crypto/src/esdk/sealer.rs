//! Sealing a message as a stream.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::MAX_WRITTEN_FRAME_BYTES;
use super::body::{self, BodyKey, Kind, MAX_FRAMES};
use super::header::TAG_BYTES;
use crate::error::SealError;
use crate::stream::{Clock, Lifetime};

/// How many bytes a frame holds: 1 to 16 MiB, 65,536 unless said.
///
/// ```
/// use qsec_crypto::esdk::FrameLength;
///
/// assert_eq!(FrameLength::default().bytes(), 65_536);
/// assert_eq!(FrameLength::new(4_096)?.bytes(), 4_096);
/// assert!(FrameLength::new(0).is_err() && FrameLength::new(16_777_217).is_err());
/// # Ok::<(), qsec_crypto::esdk::FrameLengthError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameLength(u32);

/// A frame cannot have this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame has 1 to {MAX_WRITTEN_FRAME_BYTES} bytes, not {bytes}")]
#[non_exhaustive]
pub struct FrameLengthError {
    /// The length.
    pub bytes: u32,
}

impl FrameLengthError {
    /// The stable name of this error, `usage`.
    pub fn code(&self) -> &'static str {
        "usage"
    }
}

impl FrameLength {
    /// Takes a number of bytes.
    ///
    /// # Errors
    /// [`FrameLengthError`] for 0 and for more than 16 MiB.
    pub fn new(bytes: u32) -> Result<Self, FrameLengthError> {
        if (1..=MAX_WRITTEN_FRAME_BYTES).contains(&bytes) { Ok(Self(bytes)) } else { Err(FrameLengthError { bytes }) }
    }

    /// The number of bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }

    pub(super) fn message_too_long(self) -> SealError {
        SealError::MessageTooLong { limit: u64::from(self.0).saturating_mul(MAX_FRAMES.into()) }
    }
}

impl Default for FrameLength {
    fn default() -> Self {
        Self(65_536)
    }
}

/// Seals what is written to it as a message of the AWS Encryption SDK, and writes that to another writer. Made by
/// [`RawAesKeyring::sealer`](super::RawAesKeyring::sealer), [`DataKey::sealer`](super::DataKey::sealer) and
/// [`TenantKey::esdk_sealer`](crate::TenantKey::esdk_sealer).
///
/// [`EsdkSealer::finish`] writes the end. A stream that was dropped before does not open: its final frame is missing.
/// Memory: one frame. `flush` passes on what is sealed already.
///
/// ```
/// use std::io::Write;
/// use qsec_crypto::esdk::{FrameLength, RawAesKey, RawAesKeyring};
/// use qsec_crypto::{Context, SecretKey};
///
/// let keyring = RawAesKeyring::new([RawAesKey::new("acme", "2030", SecretKey::generate()?)?])?;
/// let mut sealer = keyring.sealer(Vec::new(), &Context::empty(), FrameLength::new(1_024)?)?;
/// sealer.write_all(&[0x5A; 3_000])?;
/// let sealed = sealer.finish()?;
/// assert_eq!(keyring.open(&sealed, &Context::empty())?, [0x5A; 3_000]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a sealed stream has no end, and does not open, until `finish` is called"]
pub struct EsdkSealer<W: Write> {
    writer: W,
    key: BodyKey,
    frame_length: FrameLength,
    /// The number of the next frame; `None` after the last that can be counted.
    next: Option<u32>,
    /// Plaintext of the frame that is being filled; never longer than a frame, never reallocated.
    frame: Zeroizing<Vec<u8>>,
    /// A write failed midway: where the writer stands is unknown, so nothing more is written.
    broken: bool,
    lifetime: Lifetime,
}

impl<W: Write> EsdkSealer<W> {
    pub(super) fn start(
        mut writer: W,
        key: BodyKey,
        header: &[u8],
        frame_length: FrameLength,
        lifetime: Lifetime,
    ) -> Result<Self, SealError> {
        writer.write_all(header).map_err(SealError::Write)?;
        let room = usize::try_from(frame_length.bytes()).map_err(|_| SealError::Internal)?;
        let frame = Zeroizing::new(Vec::with_capacity(room.saturating_add(TAG_BYTES)));
        Ok(Self { writer, key, frame_length, next: Some(1), frame, broken: false, lifetime })
    }

    /// Lets the stream end early: once the tenant's key that it was made with is stopped, as far as this node knows, it
    /// fails with [`SealError::Stopped`] when it is 15 minutes old
    /// ([`MAX_STREAM_LIFETIME`](crate::MAX_STREAM_LIFETIME)), counted from this call. Without a clock, or under keys of the
    /// caller's own, it goes on to its end.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.lifetime.start(clock);
        self
    }

    /// Seals the final frame, which marks the end, and returns the writer.
    ///
    /// # Errors
    /// [`SealError::Write`] if the writer fails, now or before; [`SealError::MessageTooLong`] beyond 2³² − 1 frames;
    /// [`SealError::Stopped`] if the key is stopped and the stream too old for that.
    pub fn finish(mut self) -> Result<W, SealError> {
        self.write_frame(Kind::Final)?;
        self.writer.flush().map_err(SealError::Write)?;
        Ok(self.writer)
    }

    fn write_frame(&mut self, kind: Kind) -> Result<(), SealError> {
        self.lifetime.check("seal.refused").inspect_err(|_| self.broken = true)?;
        if self.broken {
            return Err(SealError::Write(io::Error::other("an earlier write failed")));
        }
        // Set first: a writer that fails, or panics, midway must not see the rest of the message at the wrong place.
        self.broken = true;
        let number = self.next.ok_or_else(|| self.frame_length.message_too_long())?;
        let length = u32::try_from(self.frame.len()).map_err(|_| SealError::Internal)?;
        let tag = self.key.seal_frame(kind, number, &mut self.frame)?;
        self.frame.extend_from_slice(&tag);
        let prefix = match kind {
            Kind::Final => self.writer.write_all(&body::final_prefix(number, length)),
            // The last number is the mark of the final frame, so no regular one may have it.
            Kind::Regular | Kind::Block if number == u32::MAX => return Err(self.frame_length.message_too_long()),
            Kind::Regular | Kind::Block => self.writer.write_all(&body::regular_prefix(number)),
        };
        prefix.and_then(|()| self.writer.write_all(&self.frame)).map_err(SealError::Write)?;
        self.frame.clear();
        self.next = number.checked_add(1);
        self.broken = false;
        Ok(())
    }

    fn room(&self) -> usize {
        usize::try_from(self.frame_length.bytes()).unwrap_or(usize::MAX).saturating_sub(self.frame.len())
    }
}

impl<W: Write> Write for EsdkSealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full frame may be the final one, so it goes when there is more.
        if self.broken || (!bytes.is_empty() && self.room() == 0) {
            self.write_frame(Kind::Regular)?;
        }
        let taken = bytes.get(..self.room()).unwrap_or(bytes);
        self.frame.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W: Write> fmt::Debug for EsdkSealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EsdkSealer")
            .field("next_frame", &self.next)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esdk::EsdkSuite;
    use crate::secret::SecretKey;

    fn sealer<W: Write>(writer: W) -> EsdkSealer<W> {
        let (key, _) = BodyKey::derive(EsdkSuite::Committing, &[1; 32], &SecretKey::copy_from(&[2; 32])).unwrap();
        EsdkSealer::start(writer, key, b"", FrameLength(10), Lifetime::unlimited(Arc::new(()))).unwrap()
    }

    #[test]
    fn a_full_frame_waits_until_it_is_known_whether_it_is_the_final_one() {
        let mut sealed = Vec::new();
        let mut sealer = sealer(&mut sealed);
        sealer.write_all(&[0; 10]).unwrap();
        assert_eq!(sealer.next, Some(1));
        sealer.write_all(&[0]).unwrap();
        assert_eq!(sealer.next, Some(2));
        sealer.finish().unwrap();
        assert_eq!(sealed.len(), (16 + 10 + 16) + (24 + 1 + 16));
    }

    #[test]
    fn a_message_ends_at_the_last_frame_that_can_be_counted() {
        let mut last = sealer(io::sink());
        last.next = Some(u32::MAX);
        last.write_all(&[0; 10]).unwrap();
        assert!(last.finish().is_ok());

        let mut beyond = sealer(io::sink());
        beyond.next = Some(u32::MAX);
        let error = beyond.write_all(&[0; 11]).unwrap_err();
        assert!(error.to_string().contains("42949672950"), "{error}");
        assert!(matches!(beyond.finish(), Err(SealError::Write(_))));
    }

    #[test]
    fn after_a_failed_write_nothing_more_is_written() {
        /// Takes nothing once, and would take everything afterwards.
        struct Flaky(usize);
        impl Write for Flaky {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 == 2 { Err(io::Error::other("disk full")) } else { Ok(bytes.len()) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = Flaky(0);
        let mut sealer = sealer(&mut writer);
        assert_eq!(sealer.write_all(&[0; 11]).unwrap_err().to_string(), "disk full");
        assert!(sealer.write_all(&[0]).is_err());
        assert!(matches!(sealer.finish(), Err(SealError::Write(_))));
        assert_eq!(writer.0, 2);
    }
}
