//! The compact format from outside: what it holds, and that nothing else opens as one.

use std::io::Cursor;

use proptest::prelude::*;
use qsec_crypto::{Context, Inspection, MAX_COMPACT_BYTES, OpenError, RawKey, SecretKey, Suite, TenantKey, inspect};

fn key() -> TenantKey {
    RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(3).unwrap()
}

fn context() -> Context {
    Context::from([("table", "orders"), ("row", "17")])
}

#[test]
fn a_mebibyte_is_sealed_and_a_byte_more_is_not() {
    for length in [0, 1, 15, 16, 17, MAX_COMPACT_BYTES] {
        let plaintext = vec![0x5A; length];
        let sealed = key().seal_compact_uncommitted(&plaintext, &context()).unwrap();
        assert_eq!((sealed.len(), sealed.capacity()), (length + 46, length + 46));
        assert!(key().open(&sealed, &context()).unwrap() == plaintext, "{length}");
        let Ok(Inspection::Native(facts)) = inspect(&sealed[..6], Some(sealed.len() as u64)) else {
            panic!("malformed")
        };
        assert_eq!((facts.suite(), facts.key_version()), (Suite::Xaes256Gcm, 3));
        assert_eq!(facts.plaintext_bytes(), Some(length as u64));
    }
    let error = key().seal_compact_uncommitted(&vec![0; MAX_COMPACT_BYTES + 1], &context()).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("too_large_for_compact", false));
    assert!(error.to_string().contains("1048576"), "{error}");
}

#[test]
fn every_flipped_bit_truncation_and_extension_is_refused() {
    let sealed = key().seal_compact_uncommitted(b"4,200 EUR", &context()).unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            let expected = if at == 0 || (at == 1 && flipped[1] != 1) { "malformed" } else { "not_opened" };
            assert_eq!(key().open(&flipped, &context()).unwrap_err().code(), expected, "byte {at}, bit {bit}");
        }
    }
    for length in 0..sealed.len() {
        let expected = if length < 6 { "malformed" } else { "not_opened" };
        assert_eq!(key().open(&sealed[..length], &context()).unwrap_err().code(), expected, "cut to {length}");
    }
    for extra in [&[0][..], &[0; 16], &sealed] {
        assert!(matches!(key().open(&[&sealed, extra].concat(), &context()), Err(OpenError::NotOpened)));
    }
}

#[test]
fn bytes_of_one_suite_do_not_open_as_the_other() {
    let compact = key().seal_compact_uncommitted(&[0x5A; 100], &context()).unwrap();
    let native = key().seal(&[0x5A; 100], &context()).unwrap();
    for (sealed, suite) in [(compact, 1), (native, 2)] {
        let mut swapped = sealed;
        swapped[1] = suite;
        assert!(matches!(key().open(&swapped, &context()), Err(OpenError::NotOpened)), "as suite {suite}");
    }
}

#[test]
fn another_key_version_or_context_does_not_open() {
    let sealed = key().seal_compact_uncommitted(b"x", &context()).unwrap();
    let raw = |byte| RawKey::new(SecretKey::copy_from(&[byte; 32]));
    assert!(raw(8).at_version(3).unwrap().open(&sealed, &context()).is_err());
    let mut rolled = sealed.clone();
    rolled[5] = 4;
    for sealed in [&sealed, &rolled] {
        assert!(matches!(raw(7).at_version(4).unwrap().open(sealed, &context()), Err(OpenError::NotOpened)));
    }
    for other in [Context::empty(), Context::from([("table", "orders")]), Context::from([("table1", "7orders")])] {
        assert!(matches!(key().open(&sealed, &other), Err(OpenError::NotOpened)), "{other:?}");
    }
    let long = Context::from([("k", "x".repeat(8_180))]);
    assert_eq!(key().seal_compact_uncommitted(b"", &long).unwrap_err().code(), "context_invalid");
}

#[test]
fn streams_refuse_the_compact_format_by_name() {
    let sealed = key().seal_compact_uncommitted(b"x", &context()).unwrap();
    let error = key().opener(sealed.as_slice(), &context()).unwrap_err();
    assert!(matches!(error, OpenError::UnsupportedSuite { suite: "xaes-256-gcm" }), "{error}");
    assert_eq!(key().seekable(Cursor::new(sealed), &context()).unwrap_err().code(), "unsupported_suite");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens_and_any_change_does_not(
        plaintext in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        pairs in prop::collection::btree_map("[a-z]{1,4}", ".{0,6}", 0..4),
    ) {
        let context = Context::new(&pairs).unwrap();
        let sealed = key().seal_compact_uncommitted(&plaintext, &context).unwrap();
        prop_assert_eq!(key().open(&sealed, &context).unwrap(), plaintext);
        let mut flipped = sealed.clone();
        flipped[at.index(sealed.len())] ^= 1 << bit;
        prop_assert!(key().open(&flipped, &context).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let sealed = [&[0xF5, 2, 0, 0, 0, 3], &bytes[..]].concat();
        prop_assert!(key().open(&sealed, &Context::empty()).is_err());
    }
}
