//! Bytes as people compare them.

use ring::digest::{SHA256, digest};

/// Lowercase hex without separators.
pub(crate) fn lower(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

/// SHA-256, as events name what is too large or too telling to be in them.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    lower(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    #[test]
    fn hex_is_lowercase_and_has_two_digits_a_byte() {
        assert_eq!(super::lower(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
        assert!(super::sha256(b"abc").starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }
}
