//! What issuing and verifying cost beside the raw signatures that they contain, in one run.

use std::hint::black_box;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use criterion::{Criterion, criterion_group, criterion_main};
use qsec_pki::{Admit, Authority, Bundle, CertificateRequest, LeafProfile, PrivateKey, Role, TrustZone, Zone};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};

/// 2026-07-01T10:00:00Z.
fn instant() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(495_250)
}

fn raw_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap()
}

/// From the bytes of a request, so with its proof of possession, to a leaf that was judged.
fn issue(c: &mut Criterion) {
    let now = instant();
    let authority = Authority::create(Zone::parse("zone-a.internal").unwrap(), now).unwrap().commit();
    let csr = PrivateKey::generate().unwrap().request().unwrap();
    let profile = LeafProfile::server("svc/engine/node/n7").dns(["n7.svc.zone-a.internal"]);
    c.bench_function("issue/leaf/qsec", |b| {
        b.iter(|| {
            let request = CertificateRequest::parse(black_box(&csr)).unwrap();
            authority.issue(&request, &profile, now).unwrap()
        });
    });
    let (key, random, message) = (raw_key(), SystemRandom::new(), vec![7; 500]);
    c.bench_function("issue/leaf/ring-sign", |b| b.iter(|| key.sign(&random, black_box(&message)).unwrap()));
}

fn verify(c: &mut Criterion) {
    let now = instant();
    let authority = Authority::create(Zone::parse("zone-a.internal").unwrap(), now).unwrap().commit();
    let request = CertificateRequest::parse(&PrivateKey::generate().unwrap().request().unwrap()).unwrap();
    let leaf = authority.issue(&request, &LeafProfile::server("svc/engine/node/n7"), now).unwrap();
    let admit = Admit::ids(["svc/engine/*"]);
    let bundle = Bundle::new(&[authority.root().der()]).unwrap();
    c.bench_function("verify/chain/qsec", |b| {
        b.iter_batched(
            || TrustZone::new(bundle.clone()),
            |zone| zone.verify(black_box(leaf.chain()), Role::Server, None, &admit, now).unwrap(),
            criterion::BatchSize::SmallInput,
        );
    });
    let zone = TrustZone::new(bundle.clone());
    c.bench_function("verify/chain-remembered/qsec", |b| {
        b.iter(|| zone.verify(black_box(leaf.chain()), Role::Server, None, &admit, now).unwrap());
    });
    let (key, message) = (raw_key(), vec![7; 500]);
    let signature = key.sign(&SystemRandom::new(), &message).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref());
    c.bench_function("verify/chain/ring-verify", |b| {
        b.iter(|| public.verify(black_box(&message), signature.as_ref()).unwrap());
    });
}

criterion_group!(benches, issue, verify);
criterion_main!(benches);
