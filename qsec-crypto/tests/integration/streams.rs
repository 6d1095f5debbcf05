//! Streams: the same bytes as in memory, however they are cut, and errors of the reader beneath.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use proptest::prelude::*;
use qsec_crypto::{Context, OpenError, RawKey, SecretKey, TenantKey, Threads};

fn key() -> TenantKey {
    RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(3).unwrap()
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

/// Gives at most so many bytes at a time, and every third call an interruption.
struct Dribble<'a>(&'a [u8], usize, u32);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.2 += 1;
        if self.2.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = out.len().min(self.1);
        self.0.read(&mut out[..most])
    }
}

#[test]
fn a_stream_opens_however_the_reader_cuts_it() {
    for length in [0, 1, 16_383, 16_384, 16_385, 50_000] {
        let sealed = key().seal(&plaintext(length), &Context::empty()).unwrap();
        for piece in [1, 61, 4_096, 100_000] {
            let mut opened = Vec::new();
            let mut opener = key().opener(Dribble(&sealed, piece, 0), &Context::empty()).unwrap();
            opener.read_to_end(&mut opened).unwrap();
            assert!(opened == plaintext(length), "{length} bytes in pieces of {piece}");
            assert_eq!(opener.read(&mut [0]).unwrap(), 0);
            assert!(opener.next_chunk().unwrap().is_none());
        }
    }
}

#[test]
fn several_threads_open_what_one_opens_and_fail_where_it_fails() {
    let context = Context::empty();
    for (length, threads) in
        [(0, 2), (16_384, 3), (64 * 16_384, 1), (2 * 64 * 16_384, 2), (5_000_000, 2), (5_000_000, 5)]
    {
        let threads = Threads::new(threads).unwrap();
        let plain = plaintext(length);
        let sealed = key().seal_parallel(&plain, &context, threads).unwrap();
        assert!(key().open(&sealed, &context).unwrap() == plain);
        let mut opened = Vec::new();
        let mut opener = key().opener(Dribble(&sealed, 100_000, 0), &context).unwrap().with_threads(threads);
        opener.read_to_end(&mut opened).unwrap();
        assert!(opened == plain, "{length} bytes on {threads:?}");

        // Cut behind every 60th chunk and in its middle: what went before it leaves, and nothing else.
        for cut in
            (0..sealed.len() / 16_400).step_by(60).flat_map(|chunk| [62 + chunk * 16_400, 62 + chunk * 16_400 + 99])
        {
            let cut_off = &sealed[..cut.min(sealed.len() - 1)];
            assert!(key().open_parallel(cut_off, &context, threads).is_err());
            let mut opened = Vec::new();
            let mut opener = key().opener(cut_off, &context).unwrap().with_threads(threads);
            assert!(opener.read_to_end(&mut opened).is_err());
            assert!(opened == plain[..(cut_off.len() - 62) / 16_400 * 16_384], "{length} bytes cut at {cut}");
            assert!(matches!(opener.next_chunk(), Err(OpenError::NotOpened)));
        }
    }
}

#[test]
fn nothing_behind_a_forged_chunk_leaves_whichever_thread_opened_it() {
    let (context, threads) = (Context::empty(), Threads::new(4).unwrap());
    let plain = plaintext(8_000_000);
    let sealed = key().seal(&plain, &context).unwrap();
    for forged in [0, 1, 40, 63, 64, 255, 256, 300, 488] {
        let mut sealed = sealed.clone();
        sealed[62 + forged * 16_400 + 7] ^= 1;
        assert!(matches!(key().open_parallel(&sealed, &context, threads), Err(OpenError::NotOpened)));
        let (mut opened, mut opener) = (Vec::new(), key().opener(sealed.as_slice(), &context).unwrap());
        opener = opener.with_threads(threads);
        assert!(opener.read_to_end(&mut opened).is_err());
        assert!(opened == plain[..forged * 16_384], "chunk {forged}");
    }
}

#[test]
fn what_has_no_chunks_is_opened_by_one_thread() {
    let (context, threads) = (Context::empty(), Threads::new(4).unwrap());
    let sealed = key().seal_compact_uncommitted(b"x", &context).unwrap();
    assert_eq!(key().open_parallel(&sealed, &context, threads).unwrap(), b"x");
    assert_eq!(key().open_parallel(b"plain", &context, threads).unwrap_err().code(), "malformed");
    for count in [0, 65] {
        assert_eq!(Threads::new(count).unwrap_err().code(), "usage");
    }
}

#[test]
fn chunks_and_reads_can_be_mixed() {
    let sealed = key().seal(&plaintext(40_000), &Context::empty()).unwrap();
    let mut opener = key().opener(sealed.as_slice(), &Context::empty()).unwrap();
    let mut opened = vec![0; 100];
    opener.read_exact(&mut opened).unwrap();
    while let Some(chunk) = opener.next_chunk().unwrap() {
        opened.extend_from_slice(chunk);
    }
    assert!(opened == plaintext(40_000));
}

#[test]
fn a_reader_that_fails_can_be_read_on_and_a_forgery_cannot() {
    struct FailsOnce<'a>(&'a [u8], bool);
    impl Read for FailsOnce<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if !self.1 && self.0.len() < 10_000 {
                self.1 = true;
                return Err(io::ErrorKind::TimedOut.into());
            }
            let most = out.len().min(5_000);
            self.0.read(&mut out[..most])
        }
    }
    let sealed = key().seal(&plaintext(20_000), &Context::empty()).unwrap();
    let mut opener = key().opener(FailsOnce(&sealed, false), &Context::empty()).unwrap();
    let mut opened = Vec::new();
    assert_eq!(opener.read_to_end(&mut opened).unwrap_err().kind(), io::ErrorKind::TimedOut);
    opener.read_to_end(&mut opened).unwrap();
    assert!(opened == plaintext(20_000));

    let mut forged = sealed;
    forged[17_000] ^= 1;
    let mut opener = key().opener(forged.as_slice(), &Context::empty()).unwrap();
    let mut opened = Vec::new();
    let error = opener.read_to_end(&mut opened).unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<OpenError>());
    assert!(matches!(inner, Some(OpenError::NotOpened)), "{error:?}");
    assert!(opened == plaintext(16_384), "what verified went out, and nothing else");
    for _ in 0..3 {
        assert!(opener.read(&mut [0; 10]).is_err());
        assert!(matches!(opener.next_chunk(), Err(OpenError::NotOpened)));
    }
}

#[test]
fn header_and_commitment_are_checked_before_anything_is_read() {
    let sealed = key().seal(b"hello", &Context::empty()).unwrap();
    let open = |sealed: &[u8], context: &Context| key().opener(sealed, context).unwrap_err().code();
    assert_eq!(open(&sealed, &Context::from([("row", "17")])), "not_opened");
    assert_eq!(open(&sealed[..61], &Context::empty()), "not_opened");
    assert_eq!(open(&sealed[..5], &Context::empty()), "malformed");
    assert_eq!(open(b"", &Context::empty()), "malformed");
    assert_eq!(open(&[2, 4, 0x78, 0, 0, 0], &Context::empty()), "unsupported_suite");
    let seek = |sealed: &[u8]| key().seekable(Cursor::new(sealed), &Context::empty()).unwrap_err().code();
    assert_eq!((seek(&sealed[..62]), seek(&sealed[..5])), ("not_opened", "malformed"));
}

#[test]
fn parts_are_read_without_the_rest() {
    let sealed = key().seal(&plaintext(100_000), &Context::empty()).unwrap();
    // Every chunk but the second and the last is destroyed; what lies in those two still opens.
    let mut sparse = sealed.clone();
    sparse[62..62 + 16_400].fill(0);
    sparse[62 + 2 * 16_400..62 + 6 * 16_400].fill(0);
    let mut opener = key().seekable(Cursor::new(&sparse), &Context::empty()).unwrap();
    let mut part = vec![0; 1_000];
    opener.seek(SeekFrom::Start(20_000)).unwrap();
    opener.read_exact(&mut part).unwrap();
    assert!(part == plaintext(100_000)[20_000..21_000]);

    assert_eq!(opener.seek(SeekFrom::End(-500)).unwrap(), 99_500);
    assert_eq!(opener.plaintext_len().unwrap(), 100_000);
    part.clear();
    opener.read_to_end(&mut part).unwrap();
    assert!(part == plaintext(100_000)[99_500..]);

    opener.seek(SeekFrom::Start(5)).unwrap();
    assert!(opener.read(&mut [0; 10]).is_err());
    opener.seek(SeekFrom::Start(20_000)).unwrap();
    assert!(opener.read(&mut [0; 10]).is_err(), "a reader that failed keeps failing");
}

#[test]
fn a_claim_about_the_length_opens_the_last_chunk_first() {
    let mut sealed = key().seal(&plaintext(20_000), &Context::empty()).unwrap();
    let end = sealed.len() - 1;
    sealed[end] ^= 1;
    let opener = || key().seekable(Cursor::new(&sealed), &Context::empty()).unwrap();
    assert!(opener().plaintext_len().is_err());
    assert!(opener().seek(SeekFrom::End(0)).is_err());
    let mut beyond = opener();
    beyond.seek(SeekFrom::Start(1 << 50)).unwrap();
    assert!(beyond.read(&mut [0]).is_err(), "no end without its tag");
    assert_eq!(opener().read(&mut [0; 10]).unwrap(), 10, "the first chunk needs no end");
    assert_eq!(opener().seek(SeekFrom::Current(-1)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn seeking_reads_what_a_cursor_over_the_plaintext_reads(
        length in prop_oneof![Just(0_usize), Just(16_384), Just(32_768), 1_usize..40_000],
        steps in prop::collection::vec((0_u8..3, -40_000_i64..40_000, 0_usize..20_000), 1..12),
    ) {
        let plain = plaintext(length);
        let mut sealer = key().sealer(Vec::new(), &Context::empty()).unwrap();
        sealer.write_all(&plain).unwrap();
        let mut ours = key().seekable(Cursor::new(sealer.finish().unwrap()), &Context::empty()).unwrap();
        let mut model = Cursor::new(plain);
        for (whence, by, read) in steps {
            let to = match whence {
                0 => SeekFrom::Start(by.unsigned_abs()),
                1 => SeekFrom::Current(by),
                _ => SeekFrom::End(by),
            };
            prop_assert_eq!(ours.seek(to).ok(), model.seek(to).ok());
            let (mut a, mut b) = (Vec::new(), Vec::new());
            (&mut ours).take(read as u64).read_to_end(&mut a).unwrap();
            (&mut model).take(read as u64).read_to_end(&mut b).unwrap();
            prop_assert!(a == b);
        }
    }
}
