//! Against other people's code: the official AWS Encryption SDK in both directions, and a second implementation of
//! Cobblestone-256.

mod peer;

use std::io::{Read, Write};

use qsec_crypto::esdk::{FrameLength, RawAesKey, RawAesKeyring, UnopenedMessage};
use qsec_crypto::{Context, Inspection, OpenError, Purpose, RawKey, SecretKey, TenantId, inspect};
use ring::hkdf::{HKDF_SHA512, KeyType, Prk};

use peer::{Key, Peer};

const KEYS: [Key<'static>; 3] =
    [("qsec-test", "name-0", [0x20; 32]), ("qsec-test", "name-1", [0x21; 32]), ("ünïcödé", "🔑", [0x22; 32])];

const SIZES: [usize; 9] = [0, 1, 127, 128, 4_095, 4_096, 4_097, 100_000, 8 << 20];

/// Keys around the places where orders of text differ: by bytes, U+FFFD is before U+1F600.
const PAIRS: [&[(&str, &str)]; 3] =
    [&[], &[("table", "orders"), ("row", "17")], &[("😀", "x"), ("\u{FFFD}", "y"), ("Z", "ß"), ("a", "with value")]];

fn keyring(keys: &[Key<'_>]) -> RawAesKeyring {
    let key = |(namespace, name, key): &Key<'_>| RawAesKey::new(*namespace, *name, SecretKey::copy_from(key)).unwrap();
    RawAesKeyring::new(keys.iter().map(key)).unwrap()
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

fn stream(keyring: &RawAesKeyring, sealed: &[u8], context: &Context) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let opener = keyring.opener(sealed, context).map_err(Into::into);
    let opened = opener.and_then(|mut opener| opener.read_to_end(&mut out));
    (out, opened.is_ok())
}

#[test]
fn the_official_sdk_opens_what_we_seal() {
    let Some(mut peer) = Peer::start() else { return };
    for (turn, length) in SIZES.into_iter().enumerate() {
        let keys = &KEYS[..=turn % 3];
        let pairs = PAIRS[turn % 3];
        let context = Context::new(pairs.iter().copied()).unwrap();
        let frame_length = FrameLength::new([1_000, 4_096, 65_536][turn % 3]).unwrap();
        let mut sealer = keyring(keys).sealer(Vec::new(), &context, frame_length).unwrap();
        sealer.write_all(&plaintext(length)).unwrap();
        for sealed in [sealer.finish().unwrap(), keyring(keys).seal(&plaintext(length), &context).unwrap()] {
            for key in keys {
                let (opened, found) = peer.open(&[*key], &sealed).unwrap();
                assert!(opened == plaintext(length), "{length} bytes");
                let found = found.as_object().unwrap();
                assert_eq!(found.len(), pairs.len());
                assert!(pairs.iter().all(|(key, value)| found[*key] == *value), "{found:?}");
            }
        }
    }
}

#[test]
fn the_official_sdk_refuses_what_we_refuse() {
    let Some(mut peer) = Peer::start() else { return };
    let sealed = keyring(&KEYS[..1]).seal(b"hello", &Context::from([("table", "orders")])).unwrap();
    for at in [2, 20, 45, 70, sealed.len() - 80, sealed.len() - 50, sealed.len() - 18, sealed.len() - 1] {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        assert!(keyring(&KEYS[..1]).open(&flipped, &Context::empty()).is_err(), "byte {at}");
        assert!(peer.open(&KEYS[..1], &flipped).is_err(), "byte {at}");
    }
    assert!(peer.open(&KEYS[1..2], &sealed).is_err());
}

#[test]
fn we_open_what_the_official_sdk_seals() {
    let Some(mut peer) = Peer::start() else { return };
    for (turn, length) in SIZES.into_iter().enumerate() {
        let keys = &KEYS[..=turn % 3];
        let pairs = PAIRS[(turn + 1) % 3];
        let context = Context::new(pairs.iter().copied()).unwrap();
        for suite in ["0x0478", "0x0578"] {
            for frame_length in [0, 128, 4_096] {
                // 65,536 frames of the other side take it seconds.
                let frame_length = if length > 1 << 20 { frame_length * 32 } else { frame_length };
                let what = format!("{length} bytes, {suite}, frames of {frame_length}");
                let sealed = peer.seal(keys, pairs, suite, frame_length, &plaintext(length));
                for key in keys {
                    let keyring = keyring(&[*key]);
                    assert!(keyring.open(&sealed, &context).unwrap() == plaintext(length), "{what}");
                    assert!(stream(&keyring, &sealed, &context) == (plaintext(length), true), "{what}");
                }
                let Ok(Inspection::Esdk(header)) = inspect(&sealed, None) else { panic!("{what}") };
                assert_eq!((header.suite().name(), header.data_keys().len()), (suite, keys.len()));
                let theirs = header.context().filter(|(key, _)| !key.starts_with("aws-crypto-"));
                assert_eq!(theirs.count(), pairs.len(), "{what}");
            }
        }
    }
}

#[test]
fn nothing_of_a_signed_message_leaves_before_its_signature_verifies() {
    let Some(mut peer) = Peer::start() else { return };
    let keyring = keyring(&KEYS[..1]);
    for frame_length in [0, 128] {
        let sealed = peer.seal(&KEYS[..1], &[("table", "orders")], "0x0578", frame_length, &plaintext(300));
        let message = UnopenedMessage::read(sealed.as_slice()).unwrap();
        let body = message.header().header_bytes() + 16;
        assert!(message.header().suite().is_signed());
        let refused = |sealed: &[u8], what: &str| {
            assert!(keyring.open(sealed, &Context::empty()).is_err(), "{what}");
            assert_eq!(stream(&keyring, sealed, &Context::empty()), (Vec::new(), false), "{what}");
        };
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            refused(&flipped, &format!("byte {at}"));
        }
        for length in 0..sealed.len() {
            refused(&sealed[..length], &format!("cut to {length}"));
        }
        for extra in [&[0][..], &sealed[body..]] {
            refused(&[&sealed, extra].concat(), "longer");
        }
        // The signature of another message of the same sender does not sign this one.
        let other = peer.seal(&KEYS[..1], &[("table", "orders")], "0x0578", frame_length, &plaintext(300));
        refused(&[&sealed[..sealed.len() - 90], &other[other.len() - 90..]].concat(), "the end of another");
    }
}

#[test]
fn bytes_behind_the_end_are_refused_also_where_the_official_sdk_ignores_them() {
    let Some(mut peer) = Peer::start() else { return };
    for suite in ["0x0478", "0x0578"] {
        let sealed = peer.seal(&KEYS[..1], &[], suite, 4_096, b"hello");
        let longer = [sealed.as_slice(), b"!"].concat();
        let error = keyring(&KEYS[..1]).open(&longer, &Context::empty()).unwrap_err();
        assert!(matches!(error, OpenError::NotOpened), "{suite}");
    }
}

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// The derivation of the specification, written once more.
fn expand(key: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    Prk::new_less_safe(HKDF_SHA512, key).expand(info, Bytes(32)).unwrap().fill(&mut out).unwrap();
    out
}

const TENANT_KEY: [u8; 32] = [7; 32];

#[test]
fn the_official_sdk_opens_a_tenants_message_with_the_interchange_key() {
    let Some(mut peer) = Peer::start() else { return };
    let raw = RawKey::new(SecretKey::copy_from(&TENANT_KEY)).for_tenant(TenantId::new("acme").unwrap());
    let key = raw.at_version(3).unwrap();
    let sealed = key.seal_esdk(b"4,200 EUR", &Context::from([("table", "orders")])).unwrap();
    let Ok(Inspection::Esdk(header)) = inspect(&sealed, None) else { panic!("another format") };
    assert_eq!(header.tenant_key_version(&TenantId::new("acme").unwrap(), &Purpose::data()), Some(3));

    let name = header.data_keys()[0].key().into_owned();
    let salt = hex::decode(name.strip_prefix("acme/data/3/").unwrap()).unwrap();
    let wrapping = expand(&TENANT_KEY, &[b"qsec/v1/esdk-wrap", &salt]);
    let (opened, context) = peer.open(&[("qsec", &name, wrapping)], &sealed).unwrap();
    assert_eq!(opened, b"4,200 EUR");
    assert_eq!(context["qsec:tenant"], "acme");

    // And back: a message that the other side sealed under that key, with the tenant's pairs.
    let pairs = [("qsec:tenant", "acme"), ("qsec:purpose", "data"), ("table", "orders")];
    let sealed = peer.seal(&[("qsec", &name, wrapping)], &pairs, "0x0478", 4_096, b"hello");
    assert_eq!(key.open_esdk(&sealed, &Context::from([("table", "orders")])).unwrap(), b"hello");
    let sealed = peer.seal(&[("qsec", &name, wrapping)], &[("qsec:tenant", "acme")], "0x0478", 4_096, b"hello");
    assert!(key.open_esdk(&sealed, &Context::empty()).is_err(), "without its purpose it is not a tenant's message");
}

#[test]
fn another_implementation_of_cobblestone_opens_and_seals_native_bodies() {
    let Some(mut peer) = Peer::start() else { return };
    let key = RawKey::new(SecretKey::copy_from(&TENANT_KEY)).at_version(3).unwrap();
    let record_key = expand(&TENANT_KEY, &[b"qsec/v1/record", &[1]]);
    let header = [0xF5, 1, 0, 0, 0, 3];
    let binding = [&header[..], b"\0\x03raw\0\x04data", b"\0\x01\0\x03row\0\x0217"].concat();
    let context = Context::from([("row", "17")]);
    for length in [0, 1, 16_383, 16_384, 16_385, 40_000, 1 << 20] {
        let sealed = key.seal(&plaintext(length), &context).unwrap();
        assert_eq!(sealed[..6], header);
        let opened = peer.cobblestone("open", &record_key, &binding, &sealed[6..]).unwrap();
        assert!(opened == plaintext(length), "{length} bytes opened there");
        assert!(peer.cobblestone("open", &record_key, &binding[..6], &sealed[6..]).is_err());

        let body = peer.cobblestone("seal", &record_key, &binding, &plaintext(length)).unwrap();
        let sealed = [&header[..], &body].concat();
        assert!(key.open(&sealed, &context).unwrap() == plaintext(length), "{length} bytes opened here");
    }
}
