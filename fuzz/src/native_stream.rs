//! However sealed bytes are read, every reader agrees with the one that opens them whole, and gives out no other byte.

use std::io::{Cursor, Read, Seek, SeekFrom};

use qsec_crypto::{Context, RawKey, SecretKey, Threads};

/// Mostly one: starting threads takes most of the time of an input.
const THREADS: [usize; 8] = [1, 1, 1, 1, 1, 1, 2, 3];

/// Gives so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let most = out.len().min(self.1);
        self.0.read(&mut out[..most])
    }
}

/// The first two bytes choose how it is read.
pub fn check(input: &[u8]) {
    let Some((choice, sealed)) = input.split_first_chunk() else { return };
    let choice = u16::from_le_bytes(*choice);
    let (context, piece) = (Context::empty(), usize::from(choice) + 1);
    let Ok(key) = RawKey::new(SecretKey::copy_from(&[7; 32])).for_sealed(sealed) else { return };
    let whole = key.open(sealed, &context).ok();
    let Ok(threads) = Threads::new(THREADS[usize::from(choice % 8)]) else { return };
    assert_eq!(key.open_parallel(sealed, &context, threads).ok(), whole);

    let mut streamed = Vec::new();
    let opener = key.opener(Pieces(sealed, piece), &context);
    let ended = opener.is_ok_and(|opener| opener.with_threads(threads).read_to_end(&mut streamed).is_ok());
    // The compact format is no stream.
    if sealed.get(1) == Some(&1) {
        assert_eq!(whole.is_some(), ended);
    }
    let Ok(mut opener) = key.seekable(Cursor::new(sealed), &context) else { return };
    let mut part = vec![0; 100];
    let found = opener.seek(SeekFrom::Start(choice.into())).and_then(|_| opener.read(&mut part));
    if let (Some(plaintext), Ok(read)) = (&whole, &found) {
        let rest = plaintext.get(usize::from(choice)..).unwrap_or_default();
        assert!(rest.starts_with(&part[..*read]) && (*read > 0 || rest.is_empty()));
        assert!(plaintext.starts_with(&streamed));
    }
    if let Ok(length) = opener.seek(SeekFrom::End(0)) {
        assert!(whole.is_none_or(|plaintext| plaintext.len() as u64 == length));
    }
}
