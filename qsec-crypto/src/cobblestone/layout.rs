//! Where the bytes of a message are.

#![deny(clippy::arithmetic_side_effects)]

/// Plaintext bytes of every chunk but the last, which holds fewer. c2sp.org/chunked-encryption: 16 KiB.
pub(crate) const CHUNK_BYTES: usize = 16_384;
/// Bytes of an AES-GCM tag.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes of a full chunk and its tag.
pub(crate) const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
/// Bytes of the salt, fresh for each message: 2⁸⁰ messages under one key collide with probability 2⁻³³.
pub(crate) const SALT_BYTES: usize = 24;
/// Bytes of the commitment.
pub(crate) const COMMITMENT_BYTES: usize = 32;
/// Bytes of salt and commitment.
pub(crate) const PREFIX_BYTES: usize = SALT_BYTES + COMMITMENT_BYTES;

/// The sizes again, for positions in files.
pub(crate) const CHUNK: u64 = 16_384;
pub(crate) const SEALED_CHUNK: u64 = 16_400;
const TAG: u64 = 16;
/// Where the first chunk starts in native sealed bytes: after header, salt and commitment.
pub(crate) const FIRST: u64 = 62;

/// Most chunks of a message: 2³², so that its number fits the counter we use.
const MAX_CHUNKS: u64 = 1 << 32;
/// Most plaintext bytes of a message, 64 TiB − 1: 2³² chunks, the last of them short.
pub(crate) const MAX_MESSAGE_BYTES: u64 = 0x3FFF_FFFF_FFFF;

/// Length of the chunks with their tags, for a plaintext. `None` if it is too long.
pub(crate) fn body_len(plaintext: usize) -> Option<usize> {
    if u64::try_from(plaintext).ok()? > MAX_MESSAGE_BYTES {
        return None;
    }
    let chunks = (plaintext / CHUNK_BYTES).checked_add(1)?;
    plaintext.checked_add(chunks.checked_mul(TAG_BYTES)?)
}

/// Length of the plaintext, for the length of the chunks with their tags. `None` if they do not end in a short chunk.
pub(crate) fn opened_len(body: usize) -> Option<usize> {
    let (full, last) = (body / SEALED_CHUNK_BYTES, body % SEALED_CHUNK_BYTES);
    full.checked_mul(CHUNK_BYTES)?.checked_add(last.checked_sub(TAG_BYTES)?)
}

/// Length of the plaintext, for the whole length of native sealed bytes. `None` for a length that sealing never makes.
pub(crate) fn plaintext_len(sealed: u64) -> Option<u64> {
    let body = sealed.checked_sub(FIRST)?;
    let (full, last) = (body / SEALED_CHUNK, body % SEALED_CHUNK);
    if full >= MAX_CHUNKS {
        return None;
    }
    full.checked_mul(CHUNK)?.checked_add(last.checked_sub(TAG)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_agree_in_memory_and_in_files() {
        assert_eq!([CHUNK, SEALED_CHUNK, TAG], [CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES].map(|size| size as u64));
        assert_eq!(FIRST, (crate::header::HEADER_BYTES + PREFIX_BYTES) as u64);
    }

    #[test]
    fn lengths_follow_the_formula_of_the_format() {
        // sealed length = 78 + n + 16·⌊n/16384⌋
        for n in (0..100_000).step_by(7).chain([16_383, 16_384, 16_385, 32_768]) {
            let sealed = 78 + n + 16 * (n / 16_384);
            assert_eq!(body_len(n), Some(sealed - 62));
            assert_eq!(opened_len(sealed - 62), Some(n));
            assert_eq!(plaintext_len(sealed as u64), Some(n as u64));
        }
    }

    #[test]
    fn lengths_without_a_short_last_chunk_are_none() {
        for chunks in 0..3 {
            for left_over in 0..16 {
                assert_eq!(opened_len(chunks * 16_400 + left_over), None);
                assert_eq!(plaintext_len((62 + chunks * 16_400 + left_over) as u64), None);
            }
        }
        assert_eq!(plaintext_len(61), None);
    }

    #[test]
    fn messages_end_at_64_tib() {
        assert_eq!(MAX_MESSAGE_BYTES, (1 << 46) - 1);
        let longest = usize::try_from(MAX_MESSAGE_BYTES).unwrap();
        let body = body_len(longest).unwrap();
        assert_eq!(plaintext_len(body as u64 + 62), Some(MAX_MESSAGE_BYTES));
        assert_eq!(body_len(longest + 1), None);
        assert_eq!(plaintext_len(body as u64 + 62 + 17), None);
        assert_eq!(plaintext_len(u64::MAX), None);
    }
}
