//! Messages of the AWS Encryption SDK from outside: what opens, what does not, and what is never let out.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use qsec_crypto::esdk::{Content, DataKey, FrameLength, MessageContext, RawAesKey, RawAesKeyring, UnopenedMessage};
use qsec_crypto::kms::KeyId;
use qsec_crypto::{Context, Inspection, OpenError, Purpose, RawKey, SecretKey, TenantId, TenantKey, inspect};

use crate::world::Memory;

fn raw_key(name: &str, byte: u8) -> RawAesKey {
    RawAesKey::new("qsec-test", name, SecretKey::copy_from(&[byte; 32])).unwrap()
}

fn keyring() -> RawAesKeyring {
    RawAesKeyring::new([raw_key("name-0", 0x20)]).unwrap()
}

fn context() -> Context {
    Context::from([("table", "orders"), ("row", "17")])
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

fn frames(bytes: u32) -> FrameLength {
    FrameLength::new(bytes).unwrap()
}

fn seal(length: usize, frame_length: u32) -> Vec<u8> {
    let mut sealer = keyring().sealer(Vec::new(), &context(), frames(frame_length)).unwrap();
    sealer.write_all(&plaintext(length)).unwrap();
    sealer.finish().unwrap()
}

/// Where the body of a message under `keyring` and `context` starts.
fn body_start(sealed: &[u8]) -> usize {
    UnopenedMessage::read(sealed).unwrap().header().header_bytes() + 16
}

/// Opens in memory and as a stream. Both must refuse, and the stream must have given out verified bytes only.
fn refused(sealed: &[u8], what: &str) -> String {
    let in_memory = keyring().open(sealed, &context()).unwrap_err();
    let mut out = Vec::new();
    let stream = keyring().opener(sealed, &context()).map_err(Into::into);
    let stream = stream.and_then(|mut opener| opener.read_to_end(&mut out));
    assert!(stream.is_err(), "{what}: the stream opens");
    assert!(plaintext(out.len()) == out, "{what}: bytes went out that were not sealed");
    in_memory.code().to_owned()
}

#[test]
fn what_is_sealed_opens_at_every_length_around_a_frame() {
    for length in [0, 1, 127, 128, 129, 255, 256, 257, 1_000] {
        let sealed = seal(length, 128);
        assert_eq!(keyring().open(&sealed, &context()).unwrap(), plaintext(length), "{length}");
        let last_frames = length.saturating_sub(1) / 128;
        assert_eq!(sealed.len(), body_start(&sealed) + length + 32 * last_frames + 40, "{length}");
        let mut opened = Vec::new();
        keyring().opener(sealed.as_slice(), &context()).unwrap().read_to_end(&mut opened).unwrap();
        assert_eq!(opened, plaintext(length));
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = seal(150, 128);
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            refused(&flipped, &format!("byte {at}, bit {bit}"));
        }
    }
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let sealed = seal(150, 128);
    let body = body_start(&sealed);
    for length in 0..sealed.len() {
        let expected = if length < body { "malformed" } else { "not_opened" };
        assert_eq!(refused(&sealed[..length], &format!("cut to {length}")), expected, "cut to {length}");
    }
    for extra in [&[0][..], &[0; 40], &sealed, &sealed[body..]] {
        assert_eq!(refused(&[&sealed, extra].concat(), "longer"), "not_opened");
    }
}

#[test]
fn frames_that_are_dropped_repeated_or_reordered_are_refused() {
    let sealed = seal(128 * 3 + 10, 128);
    let (header, body) = sealed.split_at(body_start(&sealed));
    let pieces: Vec<&[u8]> = body.chunks(160).collect();
    let [a, b, c, last] = pieces[..] else { panic!("{} frames", pieces.len()) };
    for (what, pieces) in [
        ("last dropped", vec![a, b, c]),
        ("all dropped", vec![]),
        ("first dropped", vec![b, c, last]),
        ("one dropped", vec![a, c, last]),
        ("repeated", vec![a, a, b, c, last]),
        ("swapped", vec![b, a, c, last]),
        ("last first", vec![last, a, b, c]),
        ("last twice", vec![a, b, c, last, last]),
        ("more after the last", vec![a, b, c, last, a]),
    ] {
        assert_eq!(refused(&[header, &pieces.concat()].concat(), what), "not_opened", "{what}");
    }
}

#[test]
fn parts_of_two_messages_do_not_make_a_third() {
    let (one, two) = (seal(150, 128), seal(150, 128));
    let body = body_start(&one);
    for cut in [40, body - 48, body - 16, body, body + 160] {
        refused(&[&one[..cut], &two[cut..]].concat(), &format!("spliced at {cut}"));
    }
}

#[test]
fn a_reader_demands_the_pairs_it_names_and_no_others() {
    let sealed = seal(5, 128);
    for demanded in [Context::empty(), Context::from([("row", "17")]), context()] {
        assert_eq!(keyring().open(&sealed, &demanded).unwrap(), plaintext(5));
    }
    for demanded in [
        Context::from([("row", "18")]),
        Context::from([("Row", "17")]),
        Context::from([("row", "")]),
        Context::from([("row", "17"), ("column", "")]),
    ] {
        assert!(matches!(keyring().open(&sealed, &demanded), Err(OpenError::NotOpened)), "{demanded:?}");
    }
    for reserved in ["qsec:tenant", "aws-crypto-public-key"] {
        let context = Context::from([(reserved, "x")]);
        assert_eq!(keyring().seal(b"", &context).unwrap_err().code(), "context_invalid");
        assert_eq!(keyring().open(&sealed, &context).unwrap_err().code(), "context_invalid");
    }
}

#[test]
fn each_of_several_keys_opens_and_a_key_of_another_name_does_not() {
    let keys = || [raw_key("a", 1), raw_key("b", 2), raw_key("c", 3)];
    let sealed = RawAesKeyring::new(keys()).unwrap().seal(b"hello", &context()).unwrap();
    for key in keys() {
        assert_eq!(RawAesKeyring::new([key]).unwrap().open(&sealed, &context()).unwrap(), b"hello");
    }
    for other in [
        raw_key("d", 1),
        raw_key("a", 2),
        raw_key("a\0", 1),
        RawAesKey::new("other", "a", SecretKey::copy_from(&[1; 32])).unwrap(),
    ] {
        let error = RawAesKeyring::new([other]).unwrap().open(&sealed, &context()).unwrap_err();
        assert!(matches!(error, OpenError::NotOpened));
    }
    assert_eq!(RawAesKeyring::new([]).unwrap_err().code(), "usage");
    assert_eq!(RawAesKeyring::new((0..9).map(|i| raw_key("k", i))).unwrap_err().code(), "usage");
}

#[test]
fn names_of_raw_aes_keys_are_checked() {
    let new = |namespace: &str, name: &str| RawAesKey::new(namespace, name, SecretKey::copy_from(&[1; 32]));
    for (namespace, name) in [("", "a"), ("a", ""), ("aws-kms", "a"), ("aws-kms-mrk", "a"), ("a", &"x".repeat(8_193))] {
        assert_eq!(new(namespace, name).unwrap_err().code(), "usage", "{namespace}");
    }
    let shown = format!("{:?}", new("a", "b").unwrap());
    assert_eq!(shown, "RawAesKey { namespace: \"a\", name: \"b\", .. }");
    // 8 keys with the longest names still make a header that is read.
    let keys = (0..8).map(|i| RawAesKey::new("n".repeat(8_192), "k".repeat(8_192), SecretKey::copy_from(&[i; 32])));
    let keyring = RawAesKeyring::new(keys.map(Result::unwrap)).unwrap();
    let sealed = keyring.seal(b"x", &context()).unwrap();
    assert_eq!(keyring.open(&sealed, &context()).unwrap(), b"x");
}

#[test]
fn the_reason_goes_to_the_observer_only() {
    let observer = Arc::new(Memory::default());
    let keyring = keyring().observed_by(observer.clone());
    let sealed = seal(300, 128);
    let body = body_start(&sealed);
    let flipped = |at: usize| {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        flipped
    };
    let cases = [
        (flipped(60), "data key"),
        (flipped(body - 20), "commitment"),
        (flipped(body - 1), "header tag"),
        (flipped(body + 3), "frame"),
        (flipped(body + 20), "frame"),
        (sealed[..body + 160].to_vec(), "end"),
        ([sealed.as_slice(), b"!"].concat(), "end"),
    ];
    for (sealed, reason) in cases {
        let error = keyring.open(&sealed, &context()).unwrap_err();
        assert_eq!(error.to_string(), "these bytes do not open with this key, tenant and context");
        assert_eq!(observer.take(), [format!("open.refused {reason}")]);
    }
    keyring.open(&sealed, &Context::from([("row", "18")])).unwrap_err();
    assert_eq!(observer.take(), ["open.refused context pair"]);
}

#[test]
fn a_tenants_message_opens_under_its_tenant_purpose_and_version_only() {
    let key = |tenant: &str, purpose: &str, version| -> TenantKey {
        let raw = RawKey::new(SecretKey::copy_from(&[7; 32])).for_tenant(TenantId::new(tenant).unwrap());
        raw.for_purpose(Purpose::new(purpose).unwrap()).at_version(version).unwrap()
    };
    let acme = key("acme", "data", 3);
    let sealed = acme.seal_esdk(b"hello", &context()).unwrap();
    assert_eq!(acme.open_esdk(&sealed, &Context::from([("row", "17")])).unwrap(), b"hello");
    assert_ne!(acme.seal_esdk(b"hello", &context()).unwrap(), sealed);

    let Ok(Inspection::Esdk(header)) = inspect(&sealed, None) else { panic!("another format") };
    let pairs = [("qsec:purpose", "data"), ("qsec:tenant", "acme"), ("row", "17"), ("table", "orders")];
    assert!(header.context().eq(pairs));
    assert_eq!(header.data_keys()[0].provider(), "qsec");
    assert!(header.data_keys()[0].key().starts_with("acme/data/3/"));
    assert_eq!(header.tenant_key_version(&TenantId::new("acme").unwrap(), &Purpose::data()), Some(3));
    assert_eq!(header.tenant_key_version(&TenantId::new("acmf").unwrap(), &Purpose::data()), None);

    for other in [key("acmf", "data", 3), key("acme", "date", 3), key("acme", "data", 4), key("acme/data", "3", 3)] {
        assert!(matches!(other.open_esdk(&sealed, &Context::empty()), Err(OpenError::NotOpened)), "{other:?}");
        assert!(other.esdk_opener(sealed.as_slice(), &Context::empty()).is_err());
    }
    assert!(acme.open_esdk(&sealed, &Context::from([("row", "18")])).is_err());
    assert_eq!(acme.open(&sealed, &context()).unwrap_err().code(), "unsupported_suite");

    let mut sealer = acme.esdk_sealer(Vec::new(), &context(), frames(7)).unwrap();
    sealer.write_all(&plaintext(100)).unwrap();
    let sealed = sealer.finish().unwrap();
    let mut opened = Vec::new();
    acme.esdk_opener(sealed.as_slice(), &Context::empty()).unwrap().read_to_end(&mut opened).unwrap();
    assert_eq!(opened, plaintext(100));
}

#[test]
fn a_data_key_of_a_kms_is_found_by_the_callers_arn_and_opens() {
    let arn = |region: &str, id: &str| KeyId::new(format!("arn:aws:kms:{region}:111122223333:key/{id}")).unwrap();
    let mut data_key = DataKey::generate(MessageContext::new(&context()).unwrap()).unwrap();
    let unwrapped = SecretKey::copy_from(data_key.expose_secret());
    data_key.add_kms(&arn("eu-central-1", "mrk-12"), b"blob one".to_vec()).unwrap();
    data_key.add_kms(&arn("eu-central-1", "34"), b"blob two".to_vec()).unwrap();
    let sealed = data_key.seal(b"hello", FrameLength::default()).unwrap();

    let message = || UnopenedMessage::read(sealed.as_slice()).unwrap();
    let found = |key_id: &KeyId| -> Vec<Vec<u8>> {
        message().header().kms_data_keys(key_id).map(|data_key| data_key.ciphertext().to_vec()).collect()
    };
    assert_eq!(found(&arn("eu-central-1", "mrk-12")), [b"blob one"]);
    assert_eq!(found(&arn("us-east-1", "mrk-12")), [b"blob one"], "a replica of the same key");
    assert_eq!(found(&arn("eu-central-1", "34")), [b"blob two"]);
    assert_eq!(found(&arn("us-east-1", "34")), Vec::<Vec<u8>>::new(), "another key");

    let demanded = MessageContext::new(&Context::from([("row", "17")])).unwrap();
    let mut opened = Vec::new();
    message().open(&unwrapped, &demanded).unwrap().read_to_end(&mut opened).unwrap();
    assert_eq!(opened, b"hello");
    let other = MessageContext::new(&Context::from([("row", "18")])).unwrap();
    assert!(matches!(message().open(&unwrapped, &other), Err(OpenError::NotOpened)));
    assert!(matches!(message().open(&SecretKey::copy_from(&[1; 32]), &demanded), Err(OpenError::NotOpened)));
    assert!(matches!(keyring().open(&sealed, &context()), Err(OpenError::NotOpened)), "no raw key opens it");
}

#[test]
fn inspection_shows_what_the_header_says() {
    let sealed = seal(5, 4_096);
    let Ok(Inspection::Esdk(header)) = inspect(&sealed, None) else { panic!("another format") };
    assert_eq!((header.suite().name(), header.suite().is_signed()), ("0x0478", false));
    assert!(matches!(header.content(), Content::Framed { frame_length: 4_096, .. }));
    assert_eq!(header.message_id().as_slice(), &sealed[3..35]);
    assert_eq!(header.header_bytes() + 16 + 24 + 5 + 16, sealed.len());
    let [data_key] = header.data_keys() else { panic!("one key wrapped it") };
    assert_eq!((data_key.provider(), &*data_key.key(), data_key.ciphertext().len()), ("qsec-test", "name-0", 48));
}

/// A second header under one data key and message id would repeat a nonce of GCM. So the tag of a header is made in one
/// place, which takes the data key with it; and the functions that see a header that was read, and give back bytes, their
/// own type, a header, a data key or a sealer, are known one by one: none of them gives back another header.
#[test]
fn no_function_takes_a_header_and_returns_another() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/esdk");
    let files = fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let code: Vec<String> = files.map(|file| file.split("#[cfg(test)]").next().unwrap().to_owned()).collect();
    assert!(code.len() >= 10, "{} files", code.len());
    let code = code.join("\n");
    assert_eq!(code.matches(".header_tag(").count(), 1, "the tag of a header is made in one place");
    let (before, _) = code.split_once(".header_tag(").unwrap();
    let (_, writer) = before.rsplit_once("fn ").unwrap();
    let parameters = writer.split_once(')').unwrap().0.split_whitespace().collect::<String>();
    assert!(parameters.starts_with("begin<A:Aead>(self,"), "which takes the data key with it: {parameters}");

    let mut seen = BTreeSet::new();
    for block in code.split("\nimpl").flat_map(|block| block.split("\nfn ").chain(block.split("\npub(super) fn "))) {
        let of_header = block.starts_with(" MessageHeader") || block.starts_with("<R: Read> UnopenedMessage");
        for signature in block.split("fn ").map(|rest| rest.split(['{', ';']).next().unwrap()) {
            let Some((name, rest)) = signature.split_once('(') else { continue };
            let Some((parameters, returned)) = rest.rsplit_once("->") else { continue };
            let sees = parameters.contains("MessageHeader") || (of_header && parameters.contains("self"));
            let gives = ["Self", "MessageHeader", " DataKey", "<DataKey", "Sealer", "Vec<u8>"];
            if sees && gives.iter().any(|type_name| returned.contains(type_name)) {
                seen.insert(name.split('<').next().unwrap().to_owned());
            }
        }
    }
    // An opener from a header (`start`, `of_verified_body`, `over`), the key of the body (`check`), the same unopened
    // message (`observed_by`), its header to look at (`header`), the plaintext (`open`), the sealed body (`read_signed`).
    let known = ["check", "header", "observed_by", "of_verified_body", "open", "over", "read_signed", "start"];
    assert!(seen.iter().eq(known), "{seen:?}");
}

/// Gives the bytes one by one, an interruption before every third, and one error midway.
struct Dribble<'a>(&'a [u8], u32, bool);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.2 && self.0.len() < 100 {
            self.2 = false;
            return Err(io::ErrorKind::TimedOut.into());
        }
        let most = out.len().min(1);
        self.0.read(&mut out[..most])
    }
}

#[test]
fn a_stream_opens_however_it_comes_and_goes_on_after_an_error_of_the_reader() {
    let sealed = seal(300, 128);
    let mut opener = keyring().opener(Dribble(&sealed, 0, true), &context()).unwrap();
    let mut opened = Vec::new();
    assert_eq!(opener.read_to_end(&mut opened).unwrap_err().kind(), io::ErrorKind::TimedOut);
    opener.read_to_end(&mut opened).unwrap();
    assert_eq!(opened, plaintext(300));
    assert!(opener.next_frame().unwrap().is_none());

    let mut forged = sealed;
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut opener = keyring().opener(forged.as_slice(), &context()).unwrap();
    assert_eq!(opener.next_frame().unwrap(), Some(&plaintext(300)[..128]));
    assert_eq!(opener.next_frame().unwrap(), Some(&plaintext(300)[128..256]));
    for _ in 0..3 {
        assert!(matches!(opener.next_frame(), Err(OpenError::NotOpened)));
    }
}

#[test]
fn a_frame_that_is_announced_and_does_not_come_takes_no_memory() {
    // A header of the caller's own making, so that everything up to the frame verifies: 16 MiB frames, and 10 bytes.
    let sealed = seal(5, 16 << 20);
    let body = body_start(&sealed);
    let announced = [&sealed[..body], &1_u32.to_be_bytes(), &[0; 8], &1_u32.to_be_bytes(), &[0; 10]].concat();
    assert_eq!(refused(&announced, "a huge frame"), "not_opened");
}

/// Messages that the official SDK for Python (4.0.7) sealed: 300 bytes under `keyring()`, for `{table: orders}`.
const OFFICIAL: [(&str, &str); 4] = [
    ("frames", include_str!("../data/esdk-frames.hex")),
    ("block", include_str!("../data/esdk-block.hex")),
    ("signed frames", include_str!("../data/esdk-signed-frames.hex")),
    ("signed block", include_str!("../data/esdk-signed-block.hex")),
];

fn official() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    OFFICIAL.iter().map(|(name, digits)| (*name, hex::decode(digits.replace('\n', "")).unwrap()))
}

/// What a stream gives out, and whether it came to a good end.
fn stream(sealed: &[u8], demanded: &Context) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let opener = keyring().opener(sealed, demanded).map_err(Into::into);
    let opened = opener.and_then(|mut opener| opener.read_to_end(&mut out));
    (out, opened.is_ok())
}

#[test]
fn messages_of_the_official_sdk_open() {
    let demanded = Context::from([("table", "orders")]);
    for (name, sealed) in official() {
        assert_eq!(keyring().open(&sealed, &demanded).unwrap(), plaintext(300), "{name}");
        assert_eq!(stream(&sealed, &demanded), (plaintext(300), true), "{name}");
        let Ok(Inspection::Esdk(header)) = inspect(&sealed, None) else { panic!("another format") };
        assert_eq!(header.suite().is_signed(), name.starts_with("signed"));
        assert_eq!(matches!(header.content(), Content::OneBlock), name.ends_with("block"));
    }
}

#[test]
fn nothing_of_a_signed_message_or_of_one_block_leaves_before_all_of_it_verifies() {
    let demanded = Context::from([("table", "orders")]);
    for (name, sealed) in official().filter(|(name, _)| *name != "frames") {
        let refused = |sealed: &[u8], what: &str| {
            assert!(keyring().open(sealed, &demanded).is_err(), "{name}, {what}");
            assert_eq!(stream(sealed, &demanded), (Vec::new(), false), "{name}, {what}");
        };
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << (at % 8);
            refused(&flipped, &format!("byte {at}"));
            refused(&sealed[..at], &format!("cut to {at}"));
        }
        refused(&[&sealed[..], &[0]].concat(), "longer");
        refused(&[&sealed[..], &sealed].concat(), "twice");
    }
}

#[test]
fn a_wrong_signature_is_told_to_the_observer() {
    let observer = Arc::new(Memory::default());
    let keyring = keyring().observed_by(observer.clone());
    for (_, mut sealed) in official().filter(|(name, _)| name.starts_with("signed")) {
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        assert!(keyring.open(&sealed, &Context::empty()).is_err());
        assert!(keyring.opener(sealed.as_slice(), &Context::empty()).is_err());
        assert_eq!(observer.take(), ["open.refused signature"; 2]);
    }
}

#[test]
fn a_signed_stream_that_does_not_end_is_refused_at_64_mib() {
    let (_, sealed) = official().find(|(name, _)| *name == "signed frames").unwrap();
    let endless = sealed.as_slice().chain(io::repeat(0));
    let error = keyring().opener(endless, &Context::empty()).unwrap_err();
    assert!(matches!(error, OpenError::BudgetExceeded { limit: 67_108_864, .. }), "{error}");
    assert_eq!(error.to_string(), "a message with more than 67108864 bytes and a signature is not opened here");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_stream_and_a_whole_message_open_each_other_and_no_change_does(
        length in 0_usize..700,
        frame_length in 1_u32..300,
        piece in 1_usize..200,
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        pairs in prop::collection::btree_map("[a-z]{1,4}", ".{0,6}", 0..4),
    ) {
        let context = Context::new(&pairs).unwrap();
        let mut sealer = keyring().sealer(Vec::new(), &context, frames(frame_length)).unwrap();
        plaintext(length).chunks(piece).for_each(|piece| sealer.write_all(piece).unwrap());
        let sealed = sealer.finish().unwrap();
        prop_assert_eq!(keyring().open(&sealed, &context).unwrap(), plaintext(length));
        let mut flipped = sealed.clone();
        flipped[at.index(sealed.len())] ^= 1 << bit;
        prop_assert!(keyring().open(&flipped, &context).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let message = [&[2, 4, 0x78], &bytes[..]].concat();
        let _ = inspect(&message, None);
        prop_assert!(keyring().open(&message, &Context::empty()).is_err());
        prop_assert!(keyring().opener(message.as_slice(), &Context::empty()).is_err());
    }

    #[test]
    fn a_header_of_plausible_fields_is_refused_or_read_without_a_panic(
        context in prop::collection::vec(any::<u8>(), 0..40),
        keys in 0_u16..12,
        lengths in prop::collection::vec(0_u16..40, 36),
        content in any::<[u8; 5]>(),
    ) {
        let mut message = vec![2, 4, 0x78];
        message.extend([9; 32]);
        message.extend(u16::try_from(context.len()).unwrap().to_be_bytes());
        message.extend(&context);
        message.extend(keys.to_be_bytes());
        for length in lengths.iter().take(usize::from(keys) * 3) {
            message.extend(length.to_be_bytes());
            message.extend(vec![b'x'; usize::from(*length)]);
        }
        message.extend(content);
        message.extend([0; 100]);
        let _ = inspect(&message, None);
        prop_assert!(keyring().open(&message, &Context::empty()).is_err());
    }
}
