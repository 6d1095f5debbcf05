//! Whatever is opened was sealed: no input opens that we did not seal, and none makes the reader panic.

use std::io::Read;

use qsec_crypto::{Context, RawKey, SecretKey, inspect};

pub fn check(sealed: &[u8]) {
    let _ = inspect(sealed, u64::try_from(sealed.len()).ok());
    let key = RawKey::new(SecretKey::copy_from(&[7; 32]));
    let Ok(key) = key.for_sealed(sealed) else { return };
    let whole = key.open(sealed, &Context::empty());
    let mut streamed = Vec::new();
    let in_parts =
        key.opener(sealed, &Context::empty()).is_ok_and(|mut opener| opener.read_to_end(&mut streamed).is_ok());
    // Both readers see the same bytes, so they agree.
    assert_eq!(whole.is_ok(), in_parts);
    if let Ok(plaintext) = whole {
        assert_eq!(plaintext, streamed);
    }
}
