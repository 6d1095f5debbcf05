//! A key file holds 32 bytes in one of the documented spellings, or nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qsec_crypto::SecretKey;

fuzz_target!(|text: &[u8]| {
    let _ = SecretKey::parse(text);
});
