//! Streams of tasks: the same bytes as in memory, however little comes at a time and however often a call is given up.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use proptest::prelude::*;
use qsec_crypto::{AsyncOpener, AsyncSealer, Context, OpenError, RawKey, SealError, SecretKey, TenantKey};

fn key() -> TenantKey {
    RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(3).unwrap()
}

fn context() -> Context {
    Context::from([("table", "orders"), ("row", "17")])
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

/// Gives and takes so many bytes at a time, and says `Pending` before each, and `Interrupted` now and then.
struct Slow {
    bytes: Vec<u8>,
    read: usize,
    piece: usize,
    calls: usize,
    is_closed: bool,
    /// Where it fails once.
    fails_at: Option<usize>,
}

impl Slow {
    fn new(bytes: &[u8], piece: usize) -> Self {
        Self { bytes: bytes.to_vec(), read: 0, piece, calls: 0, is_closed: false, fails_at: None }
    }

    fn turn(&mut self, task: &Task<'_>, at: usize) -> Poll<io::Result<()>> {
        self.calls += 1;
        if self.fails_at.is_some_and(|failing| at >= failing) {
            self.fails_at = None;
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.calls.is_multiple_of(7) {
            return Poll::Ready(Err(io::ErrorKind::Interrupted.into()));
        }
        if self.calls.is_multiple_of(2) {
            return Poll::Ready(Ok(()));
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Task<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let at = self.read;
        std::task::ready!(self.turn(task, at))?;
        let most = out.len().min(self.piece).min(self.bytes.len() - at);
        out[..most].copy_from_slice(&self.bytes[at..at + most]);
        self.read += most;
        Poll::Ready(Ok(most))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let at = self.bytes.len();
        std::task::ready!(self.turn(task, at))?;
        let most = bytes.len().min(self.piece);
        self.bytes.extend_from_slice(&bytes[..most]);
        Poll::Ready(Ok(most))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        while let Err(error) = std::task::ready!(self.turn(task, 0)) {
            assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.is_closed = true;
        Poll::Ready(Ok(()))
    }
}

/// Polls a future once and gives it up if it is not ready.
fn once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// Reads to the end, giving up each call that does not answer at once.
fn read_given_up(opener: &mut AsyncOpener<Slow>) -> Result<Vec<u8>, OpenError> {
    let mut opened = Vec::new();
    loop {
        match once(opener.next_chunk()) {
            None => {}
            Some(Ok(Some(chunk))) => opened.extend_from_slice(chunk),
            Some(Ok(None)) => return Ok(opened),
            Some(Err(error)) => return Err(error),
        }
    }
}

/// Writes all, giving up each call that does not answer at once.
fn write_given_up(sealer: &mut AsyncSealer<Slow>, mut bytes: &[u8], piece: usize) {
    while !bytes.is_empty() {
        let most = bytes.len().min(piece);
        let write = std::future::poll_fn(|task| Pin::new(&mut *sealer).poll_write(task, &bytes[..most]));
        if let Some(written) = once(write) {
            bytes = &bytes[written.unwrap()..];
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_given_up_nothing_is_lost_and_nothing_comes_twice(
        length in prop_oneof![0_usize..300, 16_380_usize..16_390, Just(32_768_usize), 0_usize..50_000],
        piece in prop_oneof![1_usize..5, 100_usize..20_000],
        given in 1_usize..20_000,
    ) {
        let mut sealer = key().async_sealer(Slow::new(b"", piece), &context()).unwrap();
        write_given_up(&mut sealer, &plaintext(length), given);
        let writer = pollster::block_on(sealer.finish()).unwrap();
        prop_assert!(key().open(&writer.bytes, &context()).unwrap() == plaintext(length));

        let mut opener = key().async_opener(Slow::new(&writer.bytes, piece), &context()).unwrap();
        prop_assert!(read_given_up(&mut opener).unwrap() == plaintext(length));
    }
}

#[test]
fn a_stream_in_pieces_of_one_byte_is_the_message() {
    let sealed = key().seal(&plaintext(17_000), &context()).unwrap();
    let mut opener = key().async_opener(Slow::new(&sealed, 1), &context()).unwrap();
    let mut opened = Vec::new();
    pollster::block_on(async {
        let mut some = [0; 1_000];
        loop {
            match std::future::poll_fn(|task| Pin::new(&mut opener).poll_read(task, &mut some)).await.unwrap() {
                0 => break,
                read => opened.extend_from_slice(&some[..read]),
            }
        }
    });
    assert!(opened == plaintext(17_000));
}

#[test]
fn closing_writes_the_end_once_and_closes_the_writer() {
    let mut sealer = key().async_sealer(Slow::new(b"", 1), &context()).unwrap();
    let (written, closed) = pollster::block_on(async {
        sealer.write_all(b"hello").await.unwrap();
        std::future::poll_fn(|task| Pin::new(&mut sealer).poll_close(task)).await.unwrap();
        std::future::poll_fn(|task| Pin::new(&mut sealer).poll_close(task)).await.unwrap();
        assert!(matches!(sealer.write_all(b"more").await, Err(SealError::Write(_))), "it has ended");
        let writer = sealer.finish().await.unwrap();
        (writer.bytes, writer.is_closed)
    });
    assert!(closed);
    assert_eq!(key().open(&written, &context()).unwrap(), b"hello");
}

#[test]
fn every_forgery_and_truncation_is_refused() {
    let sealed = key().seal(&plaintext(20_000), &context()).unwrap();
    for length in [0, 5, 6, 61, 62, 70, 16_461, 16_462, 16_463, 16_478, sealed.len() - 1] {
        let mut opener = key().async_opener(Slow::new(&sealed[..length], 5_000), &context()).unwrap();
        let error = read_given_up(&mut opener).unwrap_err();
        assert_eq!(error.code(), if length < 6 { "malformed" } else { "not_opened" }, "cut to {length}");
        assert!(matches!(read_given_up(&mut opener), Err(OpenError::NotOpened)), "it keeps failing");
    }
    for at in (0..100).chain([17_000, sealed.len() - 1]) {
        let mut forged = sealed.clone();
        forged[at] ^= 1;
        assert!(read_given_up(&mut key().async_opener(Slow::new(&forged, 5_000), &context()).unwrap()).is_err());
    }
    let compact = key().seal_compact_uncommitted(b"x", &context()).unwrap();
    let error = read_given_up(&mut key().async_opener(Slow::new(&compact, 99), &context()).unwrap()).unwrap_err();
    assert_eq!(error.code(), "unsupported_suite");
    let error = key().async_opener(Slow::new(b"", 1), &Context::from([("", "")])).unwrap_err();
    assert_eq!(error.code(), "context_invalid");
}

#[test]
fn a_reader_that_fails_can_be_read_on_and_a_writer_that_fails_is_not_written_on() {
    let sealed = key().seal(&plaintext(20_000), &context()).unwrap();
    for fails_at in [3, 40, 100, 18_000] {
        let reader = Slow { fails_at: Some(fails_at), ..Slow::new(&sealed, 5_000) };
        let mut opener = key().async_opener(reader, &context()).unwrap();
        let (mut opened, mut failures) = (Vec::new(), 0);
        while opened.len() < 20_000 {
            match pollster::block_on(opener.next_chunk()) {
                Ok(chunk) => opened.extend_from_slice(chunk.unwrap()),
                Err(error) => failures += u32::from(error.code() == "read_failed"),
            }
        }
        assert!(opened == plaintext(20_000) && failures == 1, "{fails_at}");
    }
    let writer = Slow { fails_at: Some(70), ..Slow::new(b"", 50) };
    let mut sealer = key().async_sealer(writer, &context()).unwrap();
    assert_eq!(pollster::block_on(sealer.write_all(&plaintext(40_000))).unwrap_err().code(), "write_failed");
    assert_eq!(pollster::block_on(sealer.write_all(b"x")).unwrap_err().code(), "write_failed");
    assert_eq!(pollster::block_on(sealer.finish()).map(|_| ()).unwrap_err().code(), "write_failed");
}

#[test]
fn a_stream_that_was_dropped_before_its_end_does_not_open() {
    for length in [0, 10, 16_384, 30_000] {
        let mut bytes = Vec::new();
        let mut sealer = key().async_sealer(&mut bytes, &context()).unwrap();
        pollster::block_on(sealer.write_all(&plaintext(length))).unwrap();
        drop(sealer);
        assert!(key().open(&bytes, &context()).is_err(), "{length}");
    }
}
