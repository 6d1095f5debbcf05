//! The JOSE vectors of Wycheproof against the JWS core: header, key, signature; the payload stays octets.

use std::path::PathBuf;

use serde_json::Value;

use super::algorithm::Algorithm;
use super::json::{self, Limits};
use super::jws::{self, Expected, Header, MAX_TOKEN_BYTES, Segments};
use super::key_set::KeySet;
use crate::rejection::Reason;

/// Cases in which we answer otherwise than the label says, each with its reason.
const EXCEPTIONS: [(u64, &str); 8] = [
    (346, "a PS384 token; the key says PS256"),
    (347, "ES512 is not supported"),
    (350, "a PS384 token; the key says PS256"),
    (351, "ES512 is not supported"),
    (367, "labelled invalid, but the text is that of the valid token"),
    (370, "labelled invalid, but the text is that of the valid token"),
    (372, "labelled valid, with a `?` within a segment"),
    (373, "labelled valid, with a `?` within a segment"),
];

#[test]
fn signature_vectors_pass_but_for_the_written_exceptions() {
    let Some(suite) = suite("json_web_signature.json") else { return };
    let (ran, differing) = run(&suite, |_| true);
    assert_eq!(ran, 401);
    assert_eq!(differing, EXCEPTIONS.map(|(id, _)| id));
}

#[test]
fn key_vectors_all_pass() {
    let Some(suite) = suite("json_web_key.json") else { return };
    assert_eq!(run(&suite, |_| true), (26, vec![]));
}

#[test]
fn signature_groups_of_the_crypto_vectors_all_pass() {
    let Some(suite) = suite("json_web_crypto.json") else { return };
    assert_eq!(run(&suite, |group| group["comment"].as_str().unwrap().starts_with("jws_")), (49, vec![]));
}

/// How many cases ran, and the ids of those whose answer is not the label.
fn run(suite: &Value, wanted: impl Fn(&Value) -> bool) -> (usize, Vec<u64>) {
    let mut ran = 0;
    let mut differing = Vec::new();
    for group in suite["testGroups"].as_array().unwrap().iter().filter(|group| wanted(group)) {
        let key = group.get("public").unwrap_or(&group["private"]);
        let set = if key.get("keys").is_some() { key.to_string() } else { format!("{{\"keys\":[{key}]}}") };
        for case in group["tests"].as_array().unwrap() {
            ran += 1;
            let jws = case["jws"].as_str().map_or_else(|| case["jws"].to_string(), str::to_owned);
            if verify(&jws, &set) != (case["result"] == "valid") {
                differing.push(case["tcId"].as_u64().unwrap());
            }
        }
    }
    (ran, differing)
}

fn verify(token: &str, set: &str) -> bool {
    let attempt = || -> Result<(), Reason> {
        let keys = KeySet::parse(set).map_err(|_| Reason::KeysUnavailable)?;
        let segments = Segments::split(token.as_bytes(), MAX_TOKEN_BYTES)?;
        let members = json::parse_object(&segments.header, Limits::TOKEN).map_err(|error| error.fault)?;
        let expected = Expected { typ: &[], algorithms: &Algorithm::ALL, kid_required: false, own_key: false };
        let header = Header::check(&members, expected)?;
        jws::verify(&segments, header, &keys, expected).map(|_| ())
    };
    attempt().is_ok()
}

#[expect(clippy::disallowed_methods, reason = "the folder of the vectors is named by the environment of the test")]
fn suite(file: &str) -> Option<Value> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = std::env::var("QSEC_VECTORS").map_or_else(|_| beside(), PathBuf::from);
    let text = std::fs::read(folder.join("wycheproof").join(file)).ok();
    if text.is_none() {
        println!("not run: wycheproof {file}: vectors not found");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "the vectors must be there");
    }
    Some(serde_json::from_slice(&text?).unwrap())
}
