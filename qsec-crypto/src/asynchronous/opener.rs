//! Opening what a task reads.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};

use futures_io::AsyncRead;

use crate::TenantKey;
use crate::cobblestone::layout::PREFIX_BYTES;
use crate::context::Context;
use crate::error::OpenError;
use crate::header::HEADER_BYTES;
use crate::stream::{Clock, Opening};

/// Bytes before the first chunk.
const START_BYTES: usize = HEADER_BYTES + PREFIX_BYTES;

/// Opens what it reads from another asynchronous reader, chunk by chunk. Made by [`TenantKey::async_opener`].
///
/// Each chunk is given out when it has verified; that the stream is whole is known only at its end, so throw away what
/// came if an error follows. A read that was given up, by dropping its future, has lost nothing: the next one goes on.
/// Memory: one chunk.
///
/// ```
/// use qsec_crypto::{Context, RawKey, SecretKey};
///
/// # pollster::block_on(async {
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let sealed = key.seal(b"4,200 EUR", &Context::empty())?;
///
/// let mut opener = key.async_opener(sealed.as_slice(), &Context::empty())?;
/// assert_eq!(opener.next_chunk().await?, Some(&b"4,200 EUR"[..]));
/// assert_eq!(opener.next_chunk().await?, None);                   // the end, verified
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct AsyncOpener<R: AsyncRead + Unpin> {
    reader: R,
    state: State,
    clock: Option<Arc<dyn Clock>>,
}

enum State {
    /// Header, salt and commitment are being read.
    Beginning(Box<Beginning>),
    Chunks(Box<Opening>),
    /// They were refused, and are not looked at again.
    Refused,
}

struct Beginning {
    key: TenantKey,
    context: Context,
    start: [u8; START_BYTES],
    filled: usize,
}

impl TenantKey {
    /// Opens a stream that a task reads, in constant memory. The header and the commitment are read and checked by the
    /// first read; until then the stream holds this key.
    ///
    /// # Errors
    /// [`OpenError::Stopped`] if this key must not open any more; [`OpenError::Context`] if the context is none.
    pub fn async_opener<R: AsyncRead + Unpin>(
        &self,
        reader: R,
        context: &Context,
    ) -> Result<AsyncOpener<R>, OpenError> {
        self.is_not_stopped()?;
        context.check()?;
        let (key, context) = (self.clone(), context.clone());
        let beginning = Beginning { key, context, start: [0; START_BYTES], filled: 0 };
        Ok(AsyncOpener { reader, state: State::Beginning(Box::new(beginning)), clock: None })
    }
}

impl Beginning {
    /// The chunks behind what has come, if that is right.
    fn check(&self) -> Result<Opening, OpenError> {
        let mut start = self.start.get(..self.filled).unwrap_or_default();
        let key = self.key.read_prefix(&mut start, &self.context)?;
        Ok(Opening::new(key, self.key.lifetime()))
    }
}

impl<R: AsyncRead + Unpin> AsyncOpener<R> {
    /// Lets the stream end early, as [`Opener::with_clock`](crate::Opener::with_clock) does; its age counts from its first
    /// verified byte.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        if let State::Chunks(chunks) = &mut self.state {
            chunks.lifetime().start(Arc::clone(&clock));
        }
        self.clock = Some(clock);
        self
    }

    /// The next verified bytes: those of a chunk that was not given out. `None` at the verified end.
    ///
    /// # Errors
    /// As [`TenantKey::opener`] for the first, then as [`Opener::next_chunk`](crate::Opener::next_chunk).
    pub async fn next_chunk(&mut self) -> Result<Option<&[u8]>, OpenError> {
        poll_fn(|task| self.poll_fill(task)).await?;
        match &mut self.state {
            State::Chunks(chunks) => Ok(chunks.give_all()),
            State::Beginning(_) | State::Refused => Err(OpenError::Internal),
        }
    }

    /// Reads and opens until there are bytes to give out, or the end.
    fn poll_fill(&mut self, task: &mut Task<'_>) -> Poll<Result<(), OpenError>> {
        loop {
            match &mut self.state {
                State::Beginning(beginning) => {
                    while let Some(room) = beginning.start.get_mut(beginning.filled..).filter(|room| !room.is_empty()) {
                        match ready!(poll_read(&mut self.reader, task, room))? {
                            0 => break,
                            read => beginning.filled = beginning.filled.saturating_add(read),
                        }
                    }
                    let checked = beginning.check();
                    self.state = State::Refused;
                    let mut chunks = checked?;
                    if let Some(clock) = &self.clock {
                        chunks.lifetime().start(Arc::clone(clock));
                    }
                    self.state = State::Chunks(Box::new(chunks));
                }
                State::Chunks(chunks) => {
                    if !chunks.wants_more()? {
                        return Poll::Ready(Ok(()));
                    }
                    while let Some(room) = chunks.room() {
                        match ready!(poll_read(&mut self.reader, task, room))? {
                            0 => break,
                            read => chunks.came(read),
                        }
                    }
                    chunks.open()?;
                }
                State::Refused => return Poll::Ready(Err(OpenError::NotOpened)),
            }
        }
    }
}

fn poll_read<R: AsyncRead + Unpin>(
    reader: &mut R,
    task: &mut Task<'_>,
    room: &mut [u8],
) -> Poll<Result<usize, OpenError>> {
    loop {
        match ready!(Pin::new(&mut *reader).poll_read(task, room)) {
            // A reader that claims more than there was room for would make us take old bytes for new ones.
            Ok(read) => return Poll::Ready(Ok(read.min(room.len()))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(OpenError::Read(error))),
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AsyncOpener<R> {
    /// Fails with the reader's own error, or with one of kind `InvalidData` that holds the [`OpenError`].
    fn poll_read(self: Pin<&mut Self>, task: &mut Task<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        if out.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let this = self.get_mut();
        ready!(this.poll_fill(task))?;
        let State::Chunks(chunks) = &mut this.state else { return Poll::Ready(Err(OpenError::Internal.into())) };
        let read = chunks.ready().read(out)?;
        chunks.give(read);
        Poll::Ready(Ok(read))
    }
}

impl<R: AsyncRead + Unpin> fmt::Debug for AsyncOpener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = if let State::Chunks(chunks) = &self.state { Some(chunks.progress()) } else { None };
        f.debug_struct("AsyncOpener").field("progress", &progress).finish_non_exhaustive()
    }
}
