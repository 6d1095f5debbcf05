//! A key set that is accepted has a bounded number of keys, usable or not.

use qsec_identity::KeySet;

pub fn check(json: &[u8]) {
    if let Ok(keys) = KeySet::parse(json) {
        assert!(keys.usable().count() + keys.unusable().count() < 10_000);
    }
}
