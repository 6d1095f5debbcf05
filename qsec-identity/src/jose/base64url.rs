//! Base64url without padding, in its one canonical spelling (RFC 7515 section 2, RFC 4648 section 3.5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The octets, or `None`: another alphabet, padding, white space, a length of 1 modulo 4, or unused bits that are not zero.
///
/// A second spelling of the same octets would be a second text of the same token, past every list that names the first.
pub(crate) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Exactly `N` octets, or `None`.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

pub(crate) fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_alphabets_padding_white_space_and_impossible_lengths_are_refused() {
        for text in ["AA==", "AA=", "+/8A", "A", "AAAAA", " AAA", "AAA\n", "AA AA", "AA.A", "ÄÄ"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn unused_bits_must_be_zero() {
        assert_eq!(decode("AA"), Some(vec![0]));
        assert_eq!(decode("AB"), None);
        assert_eq!(decode("AAA"), Some(vec![0, 0]));
        assert_eq!(decode("AAB"), None);
    }

    proptest! {
        #[test]
        fn what_decodes_has_one_spelling(text in "[A-Za-z0-9_-]{0,40}") {
            if let Some(octets) = decode(&text) {
                prop_assert_eq!(encode(octets), text);
            }
        }

        #[test]
        fn octets_come_back(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decode(encode(&octets)), Some(octets));
        }
    }
}
