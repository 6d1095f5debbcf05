//! Frames behind a header that verifies: both readers agree, and what leaves is what was sealed.

use std::io::Read;
use std::sync::LazyLock;

use qsec_crypto::esdk::{RawAesKey, RawAesKeyring, UnopenedMessage};
use qsec_crypto::{Context, SecretKey};

/// Messages that the official SDK for Python sealed: 300 bytes, in frames and in one block, without and with a signature.
const OFFICIAL: [&str; 4] = [
    include_str!("../../qsec-crypto/tests/data/esdk-frames.hex"),
    include_str!("../../qsec-crypto/tests/data/esdk-block.hex"),
    include_str!("../../qsec-crypto/tests/data/esdk-signed-frames.hex"),
    include_str!("../../qsec-crypto/tests/data/esdk-signed-block.hex"),
];

/// Their headers with the tags.
static HEADERS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let bytes = |digits: &str| -> Vec<u8> {
        let digits: Vec<u8> =
            digits.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|d| d as u8).collect();
        digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    };
    let header = |message: Vec<u8>| {
        let length = UnopenedMessage::read(message.as_slice()).expect("it is official").header().header_bytes();
        message[..length + 16].to_vec()
    };
    OFFICIAL.into_iter().map(bytes).map(header).collect()
});

/// The first byte chooses the header.
pub fn check(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let key = RawAesKey::new("qsec-test", "name-0", SecretKey::copy_from(&[0x20; 32])).expect("a name");
    let keyring = RawAesKeyring::new([key]).expect("one key");
    let message = [&HEADERS[usize::from(choice % 4)], body].concat();
    let whole = keyring.open(&message, &Context::empty());
    let mut streamed = Vec::new();
    let opener = keyring.opener(message.as_slice(), &Context::empty());
    let ended = opener.is_ok_and(|mut opener| opener.read_to_end(&mut streamed).is_ok());
    assert_eq!(whole.is_ok(), ended);
    let sealed: Vec<u8> = (0..251).cycle().take(300).collect();
    assert!(sealed.starts_with(&streamed));
    if let Ok(plaintext) = whole {
        assert_eq!(plaintext, sealed);
    }
}
