//! Sealing what is written by a task.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};

use futures_io::AsyncWrite;

use crate::TenantKey;
use crate::context::Context;
use crate::error::SealError;
use crate::stream::{Clock, Sealing};

/// Seals what a task writes to it, and writes the sealed bytes to another asynchronous writer. Made by
/// [`TenantKey::async_sealer`].
///
/// [`AsyncSealer::finish`] writes the end, and so does closing. A stream that was dropped before does not open. A write
/// or a close that was given up, by dropping its future, has taken either nothing or what it said; the next one goes on.
/// Memory: one chunk.
///
/// ```
/// use qsec_crypto::{Context, RawKey, SecretKey};
///
/// # pollster::block_on(async {
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let mut sealer = key.async_sealer(Vec::new(), &Context::empty())?;
/// sealer.write_all(b"4,200 EUR").await?;
/// let sealed = sealer.finish().await?;
/// assert_eq!(key.open(&sealed, &Context::empty())?, b"4,200 EUR");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "a sealed stream has no end, and does not open, until `finish` is called"]
pub struct AsyncSealer<W: AsyncWrite + Unpin> {
    writer: W,
    chunks: Sealing,
    /// Header, salt and commitment, until they are written.
    prefix: Vec<u8>,
    /// How much of the prefix, and then of the chunks that are sealed, is written.
    written: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The prefix is being written.
    Beginning,
    /// Plaintext is being taken.
    Taking,
    /// What was sealed is being written; then more is taken.
    Writing,
    /// The last chunk is being written.
    Ending,
    /// All is written.
    Ended,
    /// The writer failed, or the stream was stopped: where the writer stands is unknown.
    Failed,
}

impl TenantKey {
    /// Seals a stream that a task writes, in constant memory. Nothing is written before the first write is polled.
    ///
    /// # Errors
    /// As [`TenantKey::sealer`].
    pub fn async_sealer<W: AsyncWrite + Unpin>(
        &self,
        writer: W,
        context: &Context,
    ) -> Result<AsyncSealer<W>, SealError> {
        let (key, prefix) = self.begin(context)?;
        let chunks = Sealing::new(key, self.lifetime());
        Ok(AsyncSealer { writer, chunks, prefix, written: 0, state: State::Beginning })
    }
}

impl<W: AsyncWrite + Unpin> AsyncSealer<W> {
    /// Lets the stream end early, as [`Sealer::with_clock`](crate::Sealer::with_clock) does.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.chunks.lifetime().start(clock);
        self
    }

    /// Takes all bytes. If it is given up, some of them may have been taken.
    ///
    /// # Errors
    /// [`SealError::Write`] if the writer fails, now or before; [`SealError::MessageTooLong`] beyond 64 TiB;
    /// [`SealError::Stopped`] if the key is stopped and the stream too old for that.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), SealError> {
        while !bytes.is_empty() {
            let taken = poll_fn(|task| self.poll_take(task, bytes)).await?;
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Seals the last chunk, which marks the end, and returns the writer, flushed and not closed.
    ///
    /// # Errors
    /// As [`Self::write_all`].
    pub async fn finish(mut self) -> Result<W, SealError> {
        poll_fn(|task| self.poll_end(task)).await?;
        poll_fn(|task| Pin::new(&mut self.writer).poll_flush(task)).await.map_err(SealError::Write)?;
        Ok(self.writer)
    }

    fn poll_take(&mut self, task: &mut Task<'_>, bytes: &[u8]) -> Poll<Result<usize, SealError>> {
        // What was sealed goes first, so that there is room; only then is anything taken.
        ready!(self.poll_write_sealed(task))?;
        if matches!(self.state, State::Ending | State::Ended) {
            return Poll::Ready(Err(SealError::Write(io::Error::other("the stream has ended"))));
        }
        let taken = self.chunks.take(bytes);
        if self.chunks.is_full() {
            self.seal(Sealing::seal, State::Writing)?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_end(&mut self, task: &mut Task<'_>) -> Poll<Result<(), SealError>> {
        ready!(self.poll_write_sealed(task))?;
        if self.state == State::Taking {
            self.seal(Sealing::seal_end, State::Ending)?;
        }
        self.poll_write_sealed(task)
    }

    fn seal(&mut self, seal: fn(&mut Sealing) -> Result<&[u8], SealError>, then: State) -> Result<(), SealError> {
        // Set first: if it fails nothing more is sealed.
        self.state = State::Failed;
        seal(&mut self.chunks)?;
        (self.state, self.written) = (then, 0);
        Ok(())
    }

    /// Writes what is sealed already.
    fn poll_write_sealed(&mut self, task: &mut Task<'_>) -> Poll<Result<(), SealError>> {
        let sealed = match self.state {
            State::Beginning => self.prefix.as_slice(),
            State::Writing | State::Ending => self.chunks.sealed(),
            State::Taking | State::Ended => return Poll::Ready(Ok(())),
            State::Failed => {
                self.chunks.lifetime().check("seal.refused")?;
                return Poll::Ready(Err(SealError::Write(io::Error::other("an earlier write failed"))));
            }
        };
        while let Some(rest) = sealed.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.writer).poll_write(task, rest)) {
                Ok(written) if written > 0 => self.written = self.written.saturating_add(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                refused => {
                    self.state = State::Failed;
                    let error = refused.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                    return Poll::Ready(Err(SealError::Write(error)));
                }
            }
        }
        self.state = if self.state == State::Ending { State::Ended } else { State::Taking };
        self.chunks.clear();
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for AsyncSealer<W> {
    fn poll_write(self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_take(task, bytes).map_err(Into::into)
    }

    /// Passes on what is sealed already; the bytes of an unfinished chunk stay here.
    fn poll_flush(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_sealed(task))?;
        Pin::new(&mut this.writer).poll_flush(task)
    }

    /// Seals the last chunk, which marks the end, and closes the writer.
    fn poll_close(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_end(task))?;
        Pin::new(&mut this.writer).poll_close(task)
    }
}

impl<W: AsyncWrite + Unpin> fmt::Debug for AsyncSealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.chunks.next;
        f.debug_struct("AsyncSealer").field("next_chunk", &next).field("state", &self.state).finish_non_exhaustive()
    }
}
