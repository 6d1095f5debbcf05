//! A key file holds 32 bytes in one of the documented spellings, or nothing.

use qsec_crypto::SecretKey;

pub fn check(text: &[u8]) {
    let _ = SecretKey::parse(text);
}
