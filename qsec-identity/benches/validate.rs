//! What a validation costs beside the signature check that it contains, over the same octets in the same run.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use qsec_identity::{Algorithm, Issuer, KeySet, Presented, SigningKey, TokenDraft, TokenPolicy, Validator};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};

const ISSUER: &str = "https://acme.example";
const AUDIENCE: &str = "https://api.acme.example";

fn public_key(key: &SigningKey) -> Vec<u8> {
    let pkcs8 = key.private_bytes().expose_secret();
    if key.algorithm() == Algorithm::Es256 {
        let random = ring::rand::SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random);
        pair.expect("a key").public_key().as_ref().to_vec()
    } else {
        Ed25519KeyPair::from_pkcs8(pkcs8).expect("a key").public_key().as_ref().to_vec()
    }
}

fn compare(criterion: &mut Criterion, name: &str, algorithm: Algorithm, raw: &'static dyn VerificationAlgorithm) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let key = SigningKey::generate(algorithm).expect("randomness");
    let draft = TokenDraft::access("ada", "spa").audience(AUDIENCE).tenant("t-acme").scope("apps:read apps:write");
    let issued = Issuer::new(ISSUER).and_then(|issuer| issuer.issue(&draft, &key, now)).expect("a token");
    let policy = TokenPolicy::access(ISSUER).audience(AUDIENCE).algorithms([algorithm]).tenant("t-acme");
    let keys = KeySet::of([key.verifying_key()]).expect("a set");
    let validator = Validator::new(policy, keys).expect("a policy");
    let bearer = Presented::bearer();

    let (input, signature) = issued.token().rsplit_once('.').expect("three segments");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let public = UnparsedPublicKey::new(raw, public_key(&key));

    let mut group = criterion.benchmark_group(format!("validate/{name}"));
    group.measurement_time(Duration::from_secs(8));
    group.bench_function("qsec", |bencher| {
        bencher.iter(|| validator.validate(black_box(issued.token()), &bearer, now).expect("valid"));
    });
    group.bench_function("ring", |bencher| {
        bencher.iter(|| public.verify(black_box(input.as_bytes()), &signature).expect("valid"));
    });
    group.finish();
}

fn validate(criterion: &mut Criterion) {
    compare(criterion, "es256", Algorithm::Es256, &ECDSA_P256_SHA256_FIXED);
    compare(criterion, "eddsa", Algorithm::EdDsa, &ED25519);
}

criterion_group!(benches, validate);
criterion_main!(benches);
