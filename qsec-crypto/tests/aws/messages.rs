//! Messages whose data keys AWS KMS wrapped: with the official SDK in both directions, and what is refused.

use std::io::{Read, Write};
use std::sync::Arc;

use qsec_crypto::esdk::{DataKey, FrameLength, KmsKeyring, MessageContext};
use qsec_crypto::kms::KeyId;
use qsec_crypto::{Context, Inspection, Purpose, TenantId, inspect};
use serde_json::{Value, json};

use crate::fault::{Answer, Server};
use crate::localstack::LocalStack;
use crate::peer::Peer;
use crate::world::{ARN, Memory, REGION, acme, at, key_id, kms_at, run};

const SIZES: [usize; 5] = [0, 1, 4_096, 1 << 20, 8 << 20];

const PAIRS: [&[(&str, &str)]; 3] =
    [&[], &[("table", "orders"), ("row", "17")], &[("😀", "x"), ("\u{FFFD}", "y"), ("Z", "ß"), ("a", "with value")]];

fn plaintext(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

fn peer(localstack: &LocalStack) -> Option<Peer> {
    Peer::start_with([
        ("AWS_ENDPOINT_URL_KMS", localstack.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", REGION),
    ])
}

fn keyring(url: &str, keys: &[KeyId]) -> KmsKeyring {
    KmsKeyring::new(Arc::new(kms_at(url)), keys.iter().cloned()).unwrap()
}

fn names(keys: &[KeyId]) -> Vec<&str> {
    keys.iter().map(KeyId::as_str).collect()
}

fn open_there(peer: &mut Peer, keys: &[&str], sealed: &[u8]) -> Result<(Vec<u8>, Value), String> {
    let (opened, answer) = peer.ask(json!({ "do": "open", "keys": keys }), sealed)?;
    Ok((opened, answer["context"].clone()))
}

fn seal_there(peer: &mut Peer, keys: &[&str], pairs: &[(&str, &str)], suite: &str, plaintext: &[u8]) -> Vec<u8> {
    let context: Value = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let request = json!({ "do": "seal", "keys": keys, "context": context, "suite": suite, "frame_length": 65_536 });
    peer.ask(request, plaintext).unwrap().0
}

/// A key of one region alone, and one of two regions.
fn key_sets(localstack: &LocalStack) -> [Vec<KeyId>; 2] {
    [
        vec![localstack.create_key(REGION, &json!({}))],
        localstack.create_multi_region_key([REGION, "us-east-1"]).to_vec(),
    ]
}

#[test]
fn the_official_sdk_opens_what_we_seal() {
    let Some(localstack) = LocalStack::find() else { return };
    let Some(mut peer) = peer(&localstack) else { return };
    for keys in key_sets(&localstack) {
        let keyring = keyring(&localstack.url, &keys);
        for (turn, length) in SIZES.into_iter().enumerate() {
            let pairs = PAIRS[turn % 3];
            let context = Context::new(pairs.iter().copied()).unwrap();
            let sealed = run(keyring.seal(&plaintext(length), &context, at(0))).unwrap();
            for key in &keys {
                let (opened, found) = open_there(&mut peer, &[key.as_str()], &sealed).unwrap();
                assert!(opened == plaintext(length), "{length} bytes by {key}");
                let found = found.as_object().unwrap();
                assert_eq!(found.len(), pairs.len());
                assert!(pairs.iter().all(|(key, value)| found[*key] == *value), "{found:?}");
            }
        }
    }
}

#[test]
fn we_open_what_the_official_sdk_seals() {
    let Some(localstack) = LocalStack::find() else { return };
    let Some(mut peer) = peer(&localstack) else { return };
    for keys in key_sets(&localstack) {
        for (turn, length) in SIZES.into_iter().enumerate() {
            let pairs = PAIRS[(turn + 1) % 3];
            let context = Context::new(pairs.iter().copied()).unwrap();
            for suite in ["0x0478", "0x0578"] {
                let sealed = seal_there(&mut peer, &names(&keys), pairs, suite, &plaintext(length));
                let Ok(Inspection::Esdk(header)) = inspect(&sealed, None) else { panic!("another format") };
                assert_eq!((header.suite().name(), header.data_keys().len()), (suite, keys.len()));
                for key in &keys {
                    let keyring = keyring(&localstack.url, std::slice::from_ref(key));
                    let opened = run(keyring.open(&sealed, &context, at(0))).unwrap();
                    assert!(opened == plaintext(length), "{length} bytes, {suite}, by {key}");
                    let mut opened = Vec::new();
                    let mut opener = run(keyring.opener(sealed.as_slice(), &context, at(0))).unwrap();
                    opener.read_to_end(&mut opened).unwrap();
                    assert!(opened == plaintext(length), "{length} bytes as a stream, {suite}, by {key}");
                }
            }
        }
    }
}

/// A message that was sealed in one region alone opens in the other, by the same key there.
#[test]
fn a_replica_opens_what_the_primary_sealed_here_and_there() {
    let Some(localstack) = LocalStack::find() else { return };
    let [primary, replica] = localstack.create_multi_region_key([REGION, "us-east-1"]);
    let at_primary = keyring(&localstack.url, std::slice::from_ref(&primary));
    let at_replica = keyring(&localstack.url, std::slice::from_ref(&replica));
    let sealed = run(at_primary.seal(b"4,200 EUR", &Context::empty(), at(0))).unwrap();
    assert_eq!(run(at_replica.open(&sealed, &Context::empty(), at(0))).unwrap(), b"4,200 EUR");

    let Some(mut peer) = peer(&localstack) else { return };
    assert_eq!(open_there(&mut peer, &[replica.as_str()], &sealed).unwrap().0, b"4,200 EUR");
    let sealed = seal_there(&mut peer, &[primary.as_str()], &[], "0x0478", b"4,200 EUR");
    assert_eq!(run(at_replica.open(&sealed, &Context::empty(), at(0))).unwrap(), b"4,200 EUR");
    let other = localstack.create_key(REGION, &json!({}));
    assert!(open_there(&mut peer, &[other.as_str()], &sealed).is_err());
}

#[test]
fn the_official_sdk_opens_a_tenants_message_by_the_tenants_own_key() {
    let Some(localstack) = LocalStack::find() else { return };
    let Some(mut peer) = peer(&localstack) else { return };
    let [keys, _] = key_sets(&localstack);
    let of = |tenant: &str| keyring(&localstack.url, &keys).for_tenant(TenantId::new(tenant).unwrap(), Purpose::data());
    let context = Context::from([("table", "orders")]);
    let mut sealer = run(of("acme").sealer(Vec::new(), &context, FrameLength::new(1_000).unwrap(), at(0))).unwrap();
    sealer.write_all(&plaintext(4_096)).unwrap();
    let sealed = sealer.finish().unwrap();
    let (opened, found) = open_there(&mut peer, &names(&keys), &sealed).unwrap();
    assert_eq!(opened, plaintext(4_096));
    assert_eq!(found, json!({ "qsec:purpose": "data", "qsec:tenant": "acme", "table": "orders" }));

    let pairs = [("qsec:tenant", "acme"), ("qsec:purpose", "data"), ("table", "orders")];
    let sealed = seal_there(&mut peer, &names(&keys), &pairs, "0x0578", b"4,200 EUR");
    assert_eq!(run(of("acme").open(&sealed, &context, at(0))).unwrap(), b"4,200 EUR");
    assert_eq!(run(of("acmf").open(&sealed, &context, at(0))).unwrap_err().code(), "not_opened");
}

#[test]
fn every_byte_of_a_message_counts() {
    let Some(localstack) = LocalStack::find() else { return };
    let [keys, _] = key_sets(&localstack);
    let keyring = keyring(&localstack.url, &keys);
    run(async {
        let sealed = keyring.seal(b"4,200 EUR", &Context::from([("table", "orders")]), at(0)).await.unwrap();
        for at_byte in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at_byte] ^= 1;
            let error = keyring.open(&flipped, &Context::empty(), at(0)).await.unwrap_err();
            assert!(!error.is_retryable(), "byte {at_byte}: {error:?}");
        }
    });
}

/// The server of a test that answers what KMS would, for one data key after another.
fn sealed_for(keys: &[&str], pairs: &[(&str, &str)]) -> (Vec<u8>, Value) {
    let context = Context::new(pairs.iter().copied()).unwrap();
    let mut data_key = DataKey::generate(MessageContext::new(&context).unwrap()).unwrap();
    let plaintext = data_key.expose_secret().to_vec();
    for key in keys {
        data_key.add_kms(&key_id(key), b"blob".to_vec()).unwrap();
    }
    let sealed = data_key.seal(b"4,200 EUR", FrameLength::default()).unwrap();
    (sealed, crate::errors::decrypted(keys[0], &plaintext))
}

#[test]
fn kms_is_given_the_whole_context_and_our_key() {
    let (sealed, answer) = sealed_for(&[ARN], &[("table", "orders"), ("row", "17")]);
    let server = Server::answering([Answer::Json(200, answer)]);
    let keyring = keyring(&server.url(), &[key_id(ARN)]);
    assert_eq!(run(keyring.open(&sealed, &Context::from([("row", "17")]), at(0))).unwrap(), b"4,200 EUR");
    let asked = &server.asked()[0].body;
    assert_eq!(asked["KeyId"], ARN);
    assert_eq!(asked["EncryptionContext"], json!({ "row": "17", "table": "orders" }));
}

#[test]
fn nobody_is_asked_for_a_message_that_is_not_for_us() {
    let other = "arn:aws:kms:eu-central-1:111122223333:key/other";
    let server = Server::answering([]);
    let observer = Arc::new(Memory::default());
    let keyring = keyring(&server.url(), &[key_id(ARN)]).observed_by(observer.clone());
    let refused = |sealed: &[u8], context: &Context| {
        let error = run(keyring.open(sealed, context, at(0))).unwrap_err();
        assert_eq!(error.code(), "not_opened");
        let error = run(keyring.opener(sealed, context, at(0))).unwrap_err();
        assert_eq!(error.code(), "not_opened");
    };
    refused(&sealed_for(&[other], &[]).0, &Context::empty());
    assert_eq!(observer.take(), ["open.refused data key"; 2]);
    refused(&sealed_for(&[ARN], &[("table", "orders")]).0, &Context::from([("table", "secrets")]));
    assert_eq!(observer.take(), ["open.refused context pair"; 2]);
    let tenants = keyring_of_acme(&server);
    assert_eq!(
        run(tenants.open(&sealed_for(&[ARN], &[]).0, &Context::empty(), at(0))).unwrap_err().code(),
        "not_opened"
    );
    assert!(server.actions().is_empty());
}

fn keyring_of_acme(server: &Server) -> KmsKeyring {
    keyring(&server.url(), &[key_id(ARN)]).for_tenant(acme(), Purpose::data())
}

#[test]
fn the_next_key_is_asked_where_one_is_unavailable_and_not_where_it_says_no() {
    let second = "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd";
    let keys = [key_id(ARN), key_id(second)];
    for (first, expected) in [
        (Answer::Close, Ok(())),
        (Answer::error(400, "ThrottlingException"), Ok(())),
        (Answer::error(400, "DisabledException"), Err("key_disabled")),
        (Answer::error(400, "AccessDeniedException"), Err("kms_access_denied")),
        (Answer::error(400, "IncorrectKeyException"), Err("kms_wrong_key")),
        (Answer::error(400, "InvalidCiphertextException"), Err("not_opened")),
    ] {
        let (sealed, mut answer) = sealed_for(&[ARN, second], &[]);
        answer["KeyId"] = json!(second);
        let server = Server::answering([first, Answer::Json(200, answer)]);
        let opened = run(keyring(&server.url(), &keys).open(&sealed, &Context::empty(), at(0)));
        let opened = opened.map(|opened| assert_eq!(opened, b"4,200 EUR")).map_err(|error| error.code());
        assert_eq!((opened, server.actions().len()), (expected, if expected.is_ok() { 2 } else { 1 }));
    }
}

/// A message may hold 8 data keys; a reader with one key makes one call.
#[test]
fn a_message_costs_one_call_for_each_of_our_keys() {
    let server = Server::answering([]);
    server.always(Answer::Close);
    let replicas: Vec<String> =
        (0..8).map(|number| ARN.replace("eu-central-1", &format!("eu-test-{number}"))).collect();
    let replicas: Vec<&str> = replicas.iter().map(String::as_str).collect();
    let (sealed, _) = sealed_for(&replicas, &[]);
    let error = run(keyring(&server.url(), &[key_id(ARN)]).open(&sealed, &Context::empty(), at(0))).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("kms_unavailable", true));
    assert_eq!(server.actions(), ["Decrypt"]);
}

#[test]
fn another_data_key_than_the_one_that_sealed_does_not_open() {
    let (sealed, _) = sealed_for(&[ARN], &[]);
    let server = Server::answering([Answer::Json(200, crate::errors::decrypted(ARN, &[7; 32]))]);
    let error = run(keyring(&server.url(), &[key_id(ARN)]).open(&sealed, &Context::empty(), at(0))).unwrap_err();
    assert_eq!(error.code(), "not_opened");
}

#[test]
fn sealing_needs_every_key() {
    let Some(localstack) = LocalStack::find() else { return };
    let [_, keys] = key_sets(&localstack);
    let dead = Server::answering([]);
    dead.always(Answer::Close);
    let kms = kms_at(&localstack.url).with_region_endpoint("us-east-1", &dead.url()).unwrap();
    let observer = Arc::new(Memory::default());
    let keyring = KmsKeyring::new(Arc::new(kms), keys).unwrap().observed_by(observer.clone());
    let error = run(keyring.seal(b"4,200 EUR", &Context::empty(), at(0))).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("kms_unavailable", true));
    assert_eq!(observer.take(), ["key.wrapped ok", "key.wrapped kms_unavailable"]);
}

#[test]
fn a_keyring_has_1_to_8_keys_each_an_arn_and_each_once() {
    let kms = Arc::new(kms_at("http://[::1]:1"));
    let arn = |number: usize| key_id(&format!("{ARN}{number}"));
    for (keys, message) in [
        (vec![], "1 to 8"),
        ((0..9).map(arn).collect(), "1 to 8"),
        (vec![arn(1), arn(1)], "twice"),
        (vec![key_id("alias/acme")], "not the ARN"),
    ] {
        let error = KmsKeyring::new(kms.clone(), keys).unwrap_err();
        assert_eq!(error.code(), "usage");
        assert!(error.to_string().contains(message), "{error}");
    }
    let keyring = KmsKeyring::new(kms, (0..8).map(arn)).unwrap();
    let error = run(keyring.seal(b"", &Context::from([("qsec:tenant", "acme")]), at(0))).unwrap_err();
    assert_eq!(error.code(), "context_invalid");
}
