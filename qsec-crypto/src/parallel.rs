//! Chunks on several threads. A chunk has its own nonce and tag, so they can be done in any order; what comes out is what
//! one thread makes.

#![deny(clippy::arithmetic_side_effects)]

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::{iter, mem, thread};

use zeroize::Zeroizing;

use crate::backend::TAG_BYTES;
use crate::cobblestone::MessageKey;
use crate::cobblestone::layout::{self, CHUNK_BYTES, MAX_MESSAGE_BYTES, SEALED_CHUNK_BYTES};
use crate::context::Context;
use crate::error::{OpenError, SealError};
use crate::header::{Header, Suite};
use crate::kdf::Broken;
use crate::refusal::Refusal;
use crate::tenant_key::TenantKey;

/// Most threads that one call starts: each of a stream holds 1 MiB, and memory is the bottleneck long before.
pub const MAX_THREADS: usize = 64;

/// Chunks that a thread takes at once: 256 KiB, some 60 µs of work, so that taking is nothing and all end together.
const PART_CHUNKS: usize = 16;
const PART_BYTES: usize = PART_CHUNKS * CHUNK_BYTES;
const SEALED_PART_BYTES: usize = PART_CHUNKS * SEALED_CHUNK_BYTES;

/// How many threads work on one message: 1 to 64. They are started and ended within each call.
///
/// ```
/// use qsec_crypto::{Context, RawKey, SecretKey, Threads};
///
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let (four, context) = (Threads::new(4)?, Context::from([("file", "backup")]));
/// let backup = vec![0x5A; 3_000_000];
///
/// let sealed = key.seal_parallel(&backup, &context, four)?;
/// assert!(key.open(&sealed, &context)? == backup);                // one thread opens it as well
/// assert!(key.open_parallel(&sealed, &context, four)? == backup);
/// assert!(Threads::new(0).is_err() && Threads::new(65).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Threads(NonZeroUsize);

/// A message cannot be given so many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to {MAX_THREADS} threads work on a message, not {count}")]
#[non_exhaustive]
pub struct ThreadsError {
    /// How many were asked for.
    pub count: usize,
}

impl ThreadsError {
    /// The stable name of this error, `usage`.
    pub fn code(&self) -> &'static str {
        "usage"
    }
}

impl Threads {
    /// The caller's own, and no other.
    pub const ONE: Self = Self(NonZeroUsize::MIN);

    /// Takes a number of threads, the caller's own among them.
    ///
    /// # Errors
    /// [`ThreadsError`] for 0 and for more than [`MAX_THREADS`].
    pub fn new(count: usize) -> Result<Self, ThreadsError> {
        let threads = NonZeroUsize::new(count).filter(|threads| threads.get() <= MAX_THREADS);
        threads.map(Self).ok_or(ThreadsError { count })
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.0.get()
    }
}

impl TenantKey {
    /// Seals as [`TenantKey::seal`] does, on several threads: for messages of a megabyte and more. One thread opens what
    /// many sealed, and the other way round.
    ///
    /// # Errors
    /// As [`TenantKey::seal`].
    pub fn seal_parallel(&self, plaintext: &[u8], context: &Context, threads: Threads) -> Result<Vec<u8>, SealError> {
        let (key, prefix) = self.begin(context)?;
        let length = layout::body_len(plaintext.len()).and_then(|body| body.checked_add(prefix.len()));
        // Zeros from the system are there when they are first touched, which is on the thread that overwrites them.
        let mut sealed = vec![0; length.ok_or(SealError::MessageTooLong { limit: MAX_MESSAGE_BYTES })?];
        let (start, body) = sealed.split_at_mut_checked(prefix.len()).ok_or(SealError::Internal)?;
        start.copy_from_slice(&prefix);
        seal(&key, plaintext, body, threads)?;
        Ok(sealed)
    }

    /// Opens as [`TenantKey::open`] does, on several threads. Nothing is given out before all of it has verified. The
    /// compact format has no chunks and is opened by one.
    ///
    /// # Errors
    /// As [`TenantKey::open`].
    pub fn open_parallel(&self, sealed: &[u8], context: &Context, threads: Threads) -> Result<Vec<u8>, OpenError> {
        if Header::parse(sealed).is_ok_and(|header| header.suite != Suite::Cobblestone256) {
            return self.open(sealed, context);
        }
        let mut body = sealed;
        let key = self.read_prefix(&mut body, context)?;
        let opened = layout::opened_len(body.len()).ok_or(Refusal::End).and_then(|length| {
            let mut plaintext = Zeroizing::new(vec![0; length]);
            open(&key, body, &mut plaintext, threads)?;
            Ok(mem::take(&mut *plaintext))
        });
        opened.map_err(|refusal| self.reporter().refused(refusal))
    }
}

/// Seals a plaintext into a body that has the right length for it.
pub(crate) fn seal(key: &MessageKey, plaintext: &[u8], body: &mut [u8], threads: Threads) -> Result<(), Broken> {
    let count = body.len().div_ceil(SEALED_PART_BYTES);
    let texts = plaintext.chunks(PART_BYTES).chain(iter::repeat(&[][..]));
    let parts = body.chunks_mut(SEALED_PART_BYTES).zip(texts).zip(indices(0));
    each(threads, count, parts, |((sealed, text), first)| {
        let texts = text.chunks(CHUNK_BYTES).chain(iter::repeat(&[][..]));
        for ((chunk, text), index) in sealed.chunks_mut(SEALED_CHUNK_BYTES).zip(texts).zip(first..=u32::MAX) {
            let place = chunk.split_last_chunk_mut::<TAG_BYTES>().ok_or(Broken)?.0;
            if place.len() != text.len() {
                return Err(Broken);
            }
            place.copy_from_slice(text);
            seal_chunk(key, index, chunk)?;
        }
        Ok(())
    })
}

/// Opens a body into a plaintext that has the right length for it. After a refusal it holds bytes that must not leave.
pub(crate) fn open(key: &MessageKey, body: &[u8], plaintext: &mut [u8], threads: Threads) -> Result<(), Refusal> {
    let count = body.len().div_ceil(SEALED_PART_BYTES);
    let texts = plaintext.chunks_mut(PART_BYTES).chain(iter::repeat_with(|| &mut [][..]));
    let parts = body.chunks(SEALED_PART_BYTES).zip(texts).zip(indices(0));
    each(threads, count, parts, |((sealed, text), first)| {
        let texts = text.chunks_mut(CHUNK_BYTES).chain(iter::repeat_with(|| &mut [][..]));
        for ((chunk, text), index) in sealed.chunks(SEALED_CHUNK_BYTES).zip(texts).zip(first..=u32::MAX) {
            let (chunk, tag) = chunk.split_last_chunk().ok_or(Refusal::End)?;
            if text.len() != chunk.len() {
                return Err(Refusal::Broken);
            }
            text.copy_from_slice(chunk);
            key.open_chunk(index, text, *tag)?;
        }
        Ok(())
    })
}

/// Seals chunks in place, from number `first` on. Each ends in room for its tag.
pub(crate) fn seal_in_place(key: &MessageKey, first: u32, chunks: &mut [u8], threads: Threads) -> Result<(), Broken> {
    let count = chunks.len().div_ceil(SEALED_PART_BYTES);
    let parts = chunks.chunks_mut(SEALED_PART_BYTES).zip(indices(first));
    each(threads, count, parts, |(part, first)| {
        let mut chunks = part.chunks_mut(SEALED_CHUNK_BYTES).zip(first..=u32::MAX);
        chunks.try_for_each(|(chunk, index)| seal_chunk(key, index, chunk))
    })
}

/// Opens chunks in place, from number `first` on: how many have verified before the first that does not, and why that one
/// does not. Those behind it may hold plaintext, which must not leave.
pub(crate) fn open_in_place(
    key: &MessageKey,
    first: u32,
    chunks: &mut [u8],
    threads: Threads,
) -> (usize, Option<Refusal>) {
    let (all, count) = (chunks.len().div_ceil(SEALED_CHUNK_BYTES), chunks.len().div_ceil(SEALED_PART_BYTES));
    let parts = chunks.chunks_mut(SEALED_PART_BYTES).zip(indices(first)).zip((0..).step_by(PART_CHUNKS));
    // Parts are taken in their order, and one that was taken is done up to its first refusal. So every chunk before the
    // earliest refusal has verified, whichever thread meets one first.
    let earliest = Mutex::new((all, None));
    let _ = each(threads, count, parts, |((part, first), place)| {
        for ((chunk, index), place) in part.chunks_mut(SEALED_CHUNK_BYTES).zip(first..=u32::MAX).zip(place..) {
            if let Err(refusal) = open_chunk(key, index, chunk) {
                let mut earliest = earliest.lock().unwrap_or_else(PoisonError::into_inner);
                if place < earliest.0 {
                    *earliest = (place, Some(refusal));
                }
                return Err(());
            }
        }
        Ok(())
    });
    earliest.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn seal_chunk(key: &MessageKey, index: u32, chunk: &mut [u8]) -> Result<(), Broken> {
    let (text, tag) = chunk.split_last_chunk_mut().ok_or(Broken)?;
    *tag = key.seal_chunk(index, text)?;
    Ok(())
}

fn open_chunk(key: &MessageKey, index: u32, chunk: &mut [u8]) -> Result<(), Refusal> {
    let (text, tag) = chunk.split_last_chunk_mut().ok_or(Refusal::End)?;
    key.open_chunk(index, text, *tag)
}

/// The number of the first chunk of each part.
fn indices(first: u32) -> impl Iterator<Item = u32> + Send {
    (first..=u32::MAX).step_by(PART_CHUNKS)
}

/// Gives the parts, in their order, to whichever thread is free. After a refusal no further part is begun.
fn each<T: Send, E: Send>(
    threads: Threads,
    count: usize,
    parts: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let todo = Mutex::new((parts, None));
    let run = || {
        loop {
            let part = match &mut *todo.lock().unwrap_or_else(PoisonError::into_inner) {
                (parts, None) => parts.next(),
                (_, Some(_)) => None,
            };
            let Some(part) = part else { return };
            if let Err(refusal) = work(part) {
                todo.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(refusal);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.count().min(count) {
            // A thread that the system does not give is missed by nobody: the others take its parts.
            let _ = thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
    todo.into_inner().unwrap_or_else(PoisonError::into_inner).1.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cobblestone::layout::{PREFIX_BYTES, body_len, opened_len};
    use crate::kdf::ExpandKey;
    use crate::secret::SecretKey;
    use proptest::prelude::*;

    const SALT: [u8; 24] = [9; 24];
    const BINDING: [&[u8]; 3] = [b"binding", b"", b""];

    fn expand_key() -> ExpandKey {
        ExpandKey::new(&SecretKey::copy_from(&[7; 32]))
    }

    fn key() -> MessageKey {
        MessageKey::derive(&expand_key(), &SALT, &BINDING).unwrap().0
    }

    fn plaintext(length: usize) -> Vec<u8> {
        (0..251).cycle().take(length).collect()
    }

    fn serial(plaintext: &[u8]) -> Vec<u8> {
        crate::cobblestone::seal(&expand_key(), &SALT, b"", &BINDING, plaintext).unwrap().split_off(PREFIX_BYTES)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn any_number_of_threads_makes_the_bytes_of_one(
            length in prop_oneof![0_usize..40_000, 262_100_usize..262_200, 524_280_usize..524_300, 0_usize..1_500_000],
            threads in 1_usize..9,
        ) {
            let (plaintext, threads) = (plaintext(length), Threads::new(threads).unwrap());
            let mut body = vec![0; body_len(length).unwrap()];
            seal(&key(), &plaintext, &mut body, threads).unwrap();
            prop_assert!(body == serial(&plaintext));

            let mut opened = vec![0; opened_len(body.len()).unwrap()];
            open(&key(), &body, &mut opened, threads).unwrap();
            prop_assert!(opened == plaintext);
        }

        #[test]
        fn chunks_before_the_first_forged_one_have_verified_and_no_others_count(
            forged in prop::collection::btree_set(0_usize..100, 0..4),
            threads in 1_usize..9,
        ) {
            let plaintext = plaintext(100 * CHUNK_BYTES - 5);
            let mut body = serial(&plaintext);
            for (_, chunk) in body.chunks_mut(SEALED_CHUNK_BYTES).enumerate().filter(|(place, _)| forged.contains(place)) {
                chunk[3] ^= 1;
            }
            let (verified, refusal) = open_in_place(&key(), 0, &mut body, Threads::new(threads).unwrap());
            prop_assert_eq!(verified, forged.first().copied().unwrap_or(100));
            prop_assert_eq!(refusal, (!forged.is_empty()).then_some(Refusal::Chunk));
            for (sealed, text) in body.chunks(SEALED_CHUNK_BYTES).zip(plaintext.chunks(CHUNK_BYTES)).take(verified) {
                prop_assert!(sealed[..text.len()] == *text);
            }
        }
    }

    #[test]
    fn a_refusal_stops_the_rest() {
        let mut body = serial(&plaintext(3_000_000));
        body[5] ^= 1;
        for threads in [1, 4] {
            let mut opened = vec![0; 3_000_000];
            assert_eq!(open(&key(), &body, &mut opened, Threads::new(threads).unwrap()), Err(Refusal::Chunk));
        }
    }
}
