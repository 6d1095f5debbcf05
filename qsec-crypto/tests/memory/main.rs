//! How much memory streams hold, and that sizes which are only announced take none: counted by the allocator, so in a
//! program of its own. What the process holds is measured by the example `constant_memory`.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;
use qsec_crypto::esdk::{FrameLength, MAX_HEADER_BYTES, MAX_SIGNED_BYTES, RawAesKey, RawAesKeyring, UnopenedMessage};
use qsec_crypto::{Context, RawKey, SecretKey, TenantKey, Threads};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// One test at a time, for they share the allocator.
static TURN: Mutex<()> = Mutex::new(());

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The most bytes that were held at once beyond those that were held before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let answer = work();
    (answer, ALLOCATOR.peak_usage().saturating_sub(before))
}

fn key() -> TenantKey {
    RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(3).unwrap()
}

fn keyring() -> RawAesKeyring {
    RawAesKeyring::new([RawAesKey::new("qsec-test", "name-0", SecretKey::copy_from(&[0x20; 32])).unwrap()]).unwrap()
}

/// Writes so many bytes into a pipe's end, in pieces, while `open` reads the other.
fn through<O: Read, E>(
    bytes: usize,
    seal: impl FnOnce(io::PipeWriter, &mut dyn FnMut(&mut dyn Write)) + Send,
    open: impl FnOnce(io::PipeReader) -> Result<O, E>,
) -> u64
where
    E: std::fmt::Debug,
{
    let (reader, writer) = io::pipe().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            seal(writer, &mut |sealer| {
                let piece = vec![0x5A; 64 * KIB];
                (0..bytes / piece.len()).for_each(|_| sealer.write_all(&piece).unwrap());
            });
        });
        io::copy(&mut open(reader).unwrap(), &mut io::sink()).unwrap()
    })
}

#[test]
fn a_stream_of_256_mib_holds_a_chunk() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let ((), held) = peak(|| {
        let seal = |writer, write: &mut dyn FnMut(&mut dyn Write)| {
            let mut sealer = key().sealer(writer, &Context::empty()).unwrap();
            write(&mut sealer);
            sealer.finish().unwrap();
        };
        assert_eq!(through(256 * MIB, seal, |reader| key().opener(reader, &Context::empty())), 256 << 20);
    });
    // Two chunks of 16 KiB, the 64 KiB piece of this test, and what threads and keys take.
    assert!(held < 256 * KIB, "{held} bytes");
}

#[test]
fn a_stream_on_two_threads_holds_a_mebibyte_for_each() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let two = Threads::new(2).unwrap();
    let ((), held) = peak(|| {
        let seal = |writer, write: &mut dyn FnMut(&mut dyn Write)| {
            let mut sealer = key().sealer(writer, &Context::empty()).unwrap().with_threads(two);
            write(&mut sealer);
            sealer.finish().unwrap();
        };
        let open = |reader| key().opener(reader, &Context::empty()).map(|opener| opener.with_threads(two));
        assert_eq!(through(64 * MIB, seal, open), 64 << 20);
    });
    assert!(held < 4 * MIB + 512 * KIB, "{held} bytes: 2 MiB sealing, 2 MiB opening");
}

#[test]
fn a_stream_of_the_interchange_format_holds_a_frame() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let ((), held) = peak(|| {
        let seal = |writer, write: &mut dyn FnMut(&mut dyn Write)| {
            let mut sealer = keyring().sealer(writer, &Context::empty(), FrameLength::default()).unwrap();
            write(&mut sealer);
            sealer.finish().unwrap();
        };
        assert_eq!(through(64 * MIB, seal, |reader| keyring().opener(reader, &Context::empty())), 64 << 20);
    });
    assert!(held < 512 * KIB, "{held} bytes");
}

/// A reader that says it is huge, and has what is given and then zeros.
struct Huge(Cursor<Vec<u8>>, u64);

impl Read for Huge {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => io::repeat(0).read(out),
            read => Ok(read),
        }
    }
}

impl Seek for Huge {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let SeekFrom::End(_) = to { Ok(self.1) } else { self.0.seek(to) }
    }
}

#[test]
fn a_native_message_that_seems_huge_takes_a_chunk() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let sealed = key().seal(b"hello", &Context::empty()).unwrap();
    let ((), held) = peak(|| {
        for length in [62 + 16_400 * (1 << 31) + 20, (1 << 46) + (1 << 36), u64::MAX] {
            let huge = Huge(Cursor::new(sealed.clone()), length);
            let opener = key().seekable(huge, &Context::empty()).map_err(io::Error::from);
            assert!(opener.and_then(|mut opener| opener.read_to_end(&mut Vec::new())).is_err(), "{length}");
        }
        let endless = sealed.as_slice().chain(io::repeat(0));
        let mut opener = key().opener(endless, &Context::empty()).unwrap();
        assert!(opener.read_to_end(&mut Vec::new()).is_err());
        assert!(key().open_parallel(&sealed[..70], &Context::empty(), Threads::new(8).unwrap()).is_err());
    });
    assert!(held < 64 * KIB, "{held} bytes");
}

/// Up to the field of a header that announces something: version, suite and message id.
fn announcing(fields: &[&[u8]]) -> Vec<u8> {
    [&[&[2, 4, 0x78], &[9; 32][..]], fields].concat().concat()
}

#[test]
fn what_a_header_announces_is_refused_before_memory_is_taken() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let no_key =
        |content: &[u8]| announcing(&[&[0, 0], &[0, 1], &[0, 1, b'p', 0, 1, b'i', 0, 1, b'c'], content, &[0; 48]]);
    let cases = [
        ("a context of 64 KiB", announcing(&[&[0xFF, 0xFF]]), "malformed"),
        ("65,535 data keys", announcing(&[&[0, 0], &[0xFF, 0xFF]]), "budget_exceeded"),
        ("9 data keys", announcing(&[&[0, 0], &[0, 9]]), "budget_exceeded"),
        ("a provider of 64 KiB", announcing(&[&[0, 0], &[0, 1], &[0xFF, 0xFF]]), "malformed"),
        ("a data key of 64 KiB", announcing(&[&[0, 0], &[0, 1], &[0, 0, 0, 0, 0xFF, 0xFF]]), "budget_exceeded"),
        ("a frame of 4 GiB", no_key(&[2, 0xFF, 0xFF, 0xFF, 0xFF]), "budget_exceeded"),
        ("a frame of 32 MiB and a byte", no_key(&[2, 2, 0, 0, 1]), "budget_exceeded"),
    ];
    for (what, message, code) in &cases {
        let ((), held) = peak(|| {
            assert_eq!(keyring().open(message, &Context::empty()).unwrap_err().code(), *code, "{what}");
            let endless = message.as_slice().chain(io::repeat(0));
            assert!(UnopenedMessage::read(endless).is_err() || *code == "malformed", "{what}");
            assert!(qsec_crypto::inspect(message, None).is_err(), "{what}");
        });
        // The budget of a header, in a buffer that doubles.
        assert!(held <= 2 * MAX_HEADER_BYTES, "{what}: {held} bytes");
    }
}

#[test]
fn frames_and_blocks_that_are_announced_and_do_not_come_take_little_memory() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let longest = FrameLength::new(16 << 20).unwrap();
    let mut sealer = keyring().sealer(Vec::new(), &Context::empty(), longest).unwrap();
    sealer.write_all(b"hello").unwrap();
    let sealed = sealer.finish().unwrap();
    let body = UnopenedMessage::read(sealed.as_slice()).unwrap().header().header_bytes() + 16;
    let first = [&sealed[..body], &1_u32.to_be_bytes(), &[0; 8], &1_u32.to_be_bytes(), &[0; 1_000]].concat();

    let block = hex::decode(include_str!("../data/esdk-block.hex").replace('\n', "")).unwrap();
    let body = UnopenedMessage::read(block.as_slice()).unwrap().header().header_bytes() + 16;
    let with_length = |length: u64| {
        let mut block = block.clone();
        block[body + 12..body + 20].copy_from_slice(&length.to_be_bytes());
        block
    };
    for (what, message, code) in [
        ("a frame of 16 MiB", first, "not_opened"),
        ("a block of 64 MiB", with_length(64 << 20), "not_opened"),
        ("a block of 64 MiB and a byte", with_length((64 << 20) + 1), "budget_exceeded"),
        ("a block of 2⁶⁴ − 1 bytes", with_length(u64::MAX), "budget_exceeded"),
    ] {
        let ((), held) = peak(|| {
            assert_eq!(keyring().open(&message, &Context::empty()).unwrap_err().code(), code, "{what}");
            let mut opener = keyring().opener(message.as_slice(), &Context::empty()).unwrap();
            assert_eq!(opener.next_frame().unwrap_err().code(), code, "{what}");
        });
        assert!(held < 256 * KIB, "{what}: {held} bytes");
    }
}

#[test]
fn an_endless_signed_message_takes_no_more_than_its_budget_and_its_growth() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let signed = hex::decode(include_str!("../data/esdk-signed-frames.hex").replace('\n', "")).unwrap();
    let (error, held) = peak(|| {
        let endless = signed.as_slice().chain(io::repeat(0));
        keyring().opener(endless, &Context::empty()).unwrap_err()
    });
    assert_eq!(error.code(), "budget_exceeded");
    // A buffer that doubles, and may be copied once while it does.
    assert!(held <= 3 * MAX_SIGNED_BYTES + MIB, "{held} bytes");
}
