//! All implementations make the same bytes, and each opens what another made.

use proptest::prelude::*;
use serde_json::Value;

use super::{Aead, WrongTag, aws_lc, in_ring, portable};
use crate::cobblestone::vectors::vectors;
use crate::cobblestone::{self, Binding};
use crate::kdf::ExpandKey;
use crate::refusal::Refusal;
use crate::secret::SecretKey;
use crate::xaes::XaesKey;

/// What is sealed: key, salt or nonce, binding, and a plaintext of this length.
type Case = ([u8; 32], [u8; 24], Vec<u8>, Vec<u8>);

fn case() -> impl Strategy<Value = Case> {
    // Around nothing, around a block, around the end of a chunk, and some chunks.
    let lengths = prop_oneof![0_usize..40, 16_380_usize..16_390, 32_760_usize..32_776, 0_usize..70_000];
    let plaintext = (lengths, any::<u8>())
        .prop_map(|(length, first)| (0..=u8::MAX).cycle().skip(first.into()).take(length).collect::<Vec<u8>>());
    (any::<[u8; 32]>(), any::<[u8; 24]>(), prop::collection::vec(any::<u8>(), 0..100), plaintext)
}

fn native<A: Aead>((key, salt, binding, plaintext): &Case) -> Vec<u8> {
    let binding: Binding<'_> = [b"", binding, b""];
    cobblestone::seal_by::<A>(&ExpandKey::new(&SecretKey::copy_from(key)), salt, b"", &binding, plaintext).unwrap()
}

fn native_opened<A: Aead>((key, _, binding, _): &Case, sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
    cobblestone::open_by::<A>(&ExpandKey::new(&SecretKey::copy_from(key)), &[b"", binding, b""], sealed)
}

fn compact<A: Aead>((key, nonce, binding, plaintext): &Case) -> Vec<u8> {
    XaesKey::new(&SecretKey::copy_from(key)).seal_by::<A>(nonce, b"", binding, plaintext).unwrap()
}

fn compact_opened<A: Aead>((key, _, binding, _): &Case, sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
    XaesKey::new(&SecretKey::copy_from(key)).open_by::<A>(binding, sealed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn native_messages_are_equal_and_open_everywhere(case in case()) {
        let sealed = native::<in_ring::Key>(&case);
        prop_assert!(native::<aws_lc::Key>(&case) == sealed);
        prop_assert!(native::<portable::Key>(&case) == sealed);
        prop_assert!(native_opened::<in_ring::Key>(&case, &sealed).as_ref() == Ok(&case.3));
        prop_assert!(native_opened::<aws_lc::Key>(&case, &sealed).as_ref() == Ok(&case.3));
        prop_assert!(native_opened::<portable::Key>(&case, &sealed).as_ref() == Ok(&case.3));
    }

    #[test]
    fn compact_messages_are_equal_and_open_everywhere(case in case()) {
        let sealed = compact::<in_ring::Key>(&case);
        prop_assert!(compact::<aws_lc::Key>(&case) == sealed);
        prop_assert!(compact::<portable::Key>(&case) == sealed);
        prop_assert!(compact_opened::<in_ring::Key>(&case, &sealed).as_ref() == Ok(&case.3));
        prop_assert!(compact_opened::<aws_lc::Key>(&case, &sealed).as_ref() == Ok(&case.3));
        prop_assert!(compact_opened::<portable::Key>(&case, &sealed).as_ref() == Ok(&case.3));
    }

    #[test]
    fn what_is_forged_is_refused_everywhere_for_the_same_reason(case in case(), at in any::<prop::sample::Index>()) {
        let (mut sealed, mut small) = (native::<in_ring::Key>(&case), compact::<in_ring::Key>(&case));
        let (at, in_small) = (at.index(sealed.len()), at.index(small.len()));
        sealed[at] ^= 1;
        small[in_small] ^= 1;
        let expected = native_opened::<in_ring::Key>(&case, &sealed);
        prop_assert!(expected.is_err());
        prop_assert_eq!(&native_opened::<aws_lc::Key>(&case, &sealed), &expected);
        prop_assert_eq!(&native_opened::<portable::Key>(&case, &sealed), &expected);
        prop_assert_eq!(compact_opened::<in_ring::Key>(&case, &small), Err(Refusal::Tag));
        prop_assert_eq!(compact_opened::<aws_lc::Key>(&case, &small), Err(Refusal::Tag));
        prop_assert_eq!(compact_opened::<portable::Key>(&case, &small), Err(Refusal::Tag));
    }

    #[test]
    fn associated_data_is_bound_by_all(key: [u8; 32], nonce: [u8; 12], aad: [u8; 20], text: [u8; 33]) {
        fn run<A: Aead>(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], text: &[u8]) -> (Vec<u8>, [u8; 16]) {
            let (key, mut sealed) = (A::new(key).unwrap(), text.to_vec());
            let tag = key.seal(nonce, aad, &mut sealed).unwrap();
            assert_eq!(key.open(nonce, &aad[1..], &mut sealed.clone(), tag), Err(WrongTag));
            let mut opened = sealed.clone();
            assert_eq!((key.open(nonce, aad, &mut opened, tag), opened.as_slice()), (Ok(()), text));
            (sealed, tag)
        }
        let sealed = run::<in_ring::Key>(&key, nonce, &aad, &text);
        prop_assert_eq!(&run::<aws_lc::Key>(&key, nonce, &aad, &text), &sealed);
        prop_assert_eq!(&run::<portable::Key>(&key, nonce, &aad, &text), &sealed);
    }
}

const FILE: &str = "wycheproof/aes_gcm.json";

/// Runs Wycheproof's vectors with our lengths of key, nonce and tag. Others cannot be given: the types have no other.
fn wycheproof<A: Aead>(file: &Value) -> usize {
    let ours = |group: &&Value| [&group["keySize"], &group["ivSize"], &group["tagSize"]] == [256, 96, 128];
    let groups = file["testGroups"].as_array().unwrap().iter().filter(ours);
    let tests = groups.flat_map(|group| group["tests"].as_array().unwrap());
    tests.map(|test| run::<A>(test, test["result"] == "valid")).count()
}

fn run<A: Aead>(test: &Value, is_valid: bool) {
    let bytes = |name: &str| hex::decode(test[name].as_str().unwrap()).unwrap();
    let key = A::new(&bytes("key").try_into().unwrap()).unwrap();
    let (nonce, aad, tag) = (bytes("iv").try_into().unwrap(), bytes("aad"), bytes("tag").try_into().unwrap());
    let (plaintext, ciphertext, id) = (bytes("msg"), bytes("ct"), &test["tcId"]);

    let mut opened = ciphertext.clone();
    let is_open = key.open(nonce, &aad, &mut opened, tag).is_ok();
    assert_eq!((is_open, is_open && opened == plaintext), (is_valid, is_valid), "vector {id}");
    let mut sealed = plaintext;
    let made = key.seal(nonce, &aad, &mut sealed).unwrap();
    assert_eq!((sealed, made) == (ciphertext, tag), is_valid, "vector {id}");
}

#[test]
fn wycheproof_aes_gcm_everywhere() {
    let Some(file) = vectors(FILE) else { return };
    let file: Value = serde_json::from_slice(&file).unwrap();
    let run = [wycheproof::<in_ring::Key>(&file), wycheproof::<aws_lc::Key>(&file), wycheproof::<portable::Key>(&file)];
    println!("run: {FILE}: {run:?} vectors, none excepted");
    assert_eq!(run, [66; 3]);
}
