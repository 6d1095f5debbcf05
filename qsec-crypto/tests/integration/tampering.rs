//! Whatever is done to sealed bytes, they do not open.

use std::io::{Cursor, Read};
use std::sync::Arc;

use proptest::prelude::*;
use qsec_crypto::{Context, OpenError, RawKey, SecretKey, TenantKey};

use crate::world::Memory;

fn key() -> TenantKey {
    RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(3).unwrap()
}

fn context() -> Context {
    Context::from([("table", "orders"), ("row", "17")])
}

/// Opens in memory, as a stream and seekable. All three must agree that nothing opens whole.
fn refused(key: &TenantKey, sealed: &[u8], what: &str) {
    let in_memory = key.open(sealed, &context()).unwrap_err();
    let stream = key.opener(sealed, &context()).map_err(Into::into);
    let stream = stream.and_then(|mut opener| opener.read_to_end(&mut Vec::new()));
    assert!(stream.is_err(), "{what}: the stream opens");
    let seekable = key.seekable(Cursor::new(sealed), &context()).map_err(Into::into);
    let seekable = seekable.and_then(|mut opener| opener.read_to_end(&mut Vec::new()));
    assert!(seekable.is_err(), "{what}: the seekable reader opens");

    let expected =
        if sealed.len() < 6 || sealed[0] != 0xF5 || !matches!(sealed[1], 1 | 2) { "malformed" } else { "not_opened" };
    let expected = if matches!(sealed.first(), Some(1 | 2)) { "unsupported_suite" } else { expected };
    assert_eq!(in_memory.code(), expected, "{what}: {in_memory}");
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = key().seal(b"4,200 EUR", &context()).unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            refused(&key(), &flipped, &format!("byte {at}, bit {bit}"));
        }
    }
}

#[test]
fn every_truncation_and_extension_of_a_short_message_is_refused() {
    let sealed = key().seal(b"4,200 EUR", &context()).unwrap();
    for length in 0..sealed.len() {
        refused(&key(), &sealed[..length], &format!("cut to {length}"));
    }
    for extra in [&[0][..], &[0; 16], &[0; 17], &sealed] {
        refused(&key(), &[&sealed, extra].concat(), &format!("longer by {}", extra.len()));
    }
}

#[test]
fn chunks_that_are_cut_dropped_repeated_or_reordered_are_refused() {
    let sealed = key().seal(&vec![0x5A; 3 * 16_384 + 100], &context()).unwrap();
    let (prefix, body) = sealed.split_at(62);
    let chunks: Vec<&[u8]> = body.chunks(16_400).collect();
    let [a, b, c, last] = chunks[..] else { panic!("{} chunks", chunks.len()) };
    for (what, chunks) in [
        ("last dropped", vec![a, b, c]),
        ("last two dropped", vec![a, b]),
        ("all dropped", vec![]),
        ("first dropped", vec![b, c, last]),
        ("one dropped in the middle", vec![a, c, last]),
        ("repeated", vec![a, a, b, c, last]),
        ("swapped", vec![b, a, c, last]),
        ("last first", vec![last, a, b, c]),
        ("last twice", vec![a, b, c, last, last]),
        ("more after the last", vec![a, b, c, last, a]),
        ("cut in the last tag", vec![a, b, c, &last[..last.len() - 1]]),
        ("cut to a tag", vec![a, b, c, &last[..16]]),
        ("cut below a tag", vec![a, b, c, &last[..15]]),
        ("cut in a full chunk", vec![a, b, &c[..16_399]]),
    ] {
        refused(&key(), &[prefix, &chunks.concat()].concat(), what);
    }
}

#[test]
fn parts_of_two_messages_do_not_make_a_third() {
    let [one, two] = [b"message one", b"message two"].map(|text| key().seal(text, &context()).unwrap());
    // Enough of the salt that two messages do not agree in it by chance.
    for cut in [14, 30, 62, 70] {
        refused(&key(), &[&one[..cut], &two[cut..]].concat(), &format!("spliced at {cut}"));
    }
}

#[test]
fn another_key_and_another_version_do_not_open() {
    let sealed = key().seal(b"x", &context()).unwrap();
    refused(&RawKey::new(SecretKey::copy_from(&[8; 32])).at_version(3).unwrap(), &sealed, "another key");
    refused(&RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(4).unwrap(), &sealed, "another version");
    // The version in the header is bound: rolling it does not help either.
    let mut rolled = sealed;
    rolled[5] = 4;
    refused(&RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(4).unwrap(), &rolled, "a rolled version");
}

#[test]
fn the_reason_goes_to_the_observer_only() {
    let observer = Arc::new(Memory::default());
    let key = RawKey::new(SecretKey::copy_from(&[7; 32])).observed_by(observer.clone()).at_version(3).unwrap();
    let sealed = key.seal(&vec![1; 20_000], &context()).unwrap();
    let flipped = |at: usize| {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        flipped
    };
    let errors = [flipped(5), flipped(40), flipped(100), sealed[..60].to_vec(), sealed[..16_462].to_vec()]
        .map(|sealed| key.open(&sealed, &context()).unwrap_err());
    assert!(errors.iter().all(|error| matches!(error, OpenError::NotOpened)));
    assert!(errors.iter().all(|error| error.to_string() == errors[0].to_string()));
    let reasons = ["key version", "commitment", "chunk", "salt or commitment cut off", "end"];
    assert_eq!(observer.take(), reasons.map(|reason| format!("open.refused {reason}")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens_and_any_change_does_not(
        length in prop_oneof![0_usize..200, 16_300_usize..16_500, 32_700_usize..32_800],
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        pairs in prop::collection::btree_map("[a-z]{1,4}", ".{0,6}", 0..4),
    ) {
        let context = Context::new(&pairs).unwrap();
        let plaintext: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
        let sealed = key().seal(&plaintext, &context).unwrap();
        prop_assert_eq!(key().open(&sealed, &context).unwrap(), plaintext);
        let mut flipped = sealed.clone();
        flipped[at.index(sealed.len())] ^= 1 << bit;
        prop_assert!(key().open(&flipped, &context).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = qsec_crypto::inspect(&bytes, Some(u64::MAX));
        prop_assert!(key().open(&bytes, &Context::empty()).is_err());
        let native = [&[0xF5, 1, 0, 0, 0, 3], &bytes[..]].concat();
        prop_assert!(key().open(&native, &Context::empty()).is_err());
        prop_assert!(key().seekable(Cursor::new(native), &Context::empty()).is_err());
    }
}
