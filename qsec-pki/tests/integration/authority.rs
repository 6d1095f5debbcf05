//! What the authority issues, refuses and records.

use std::time::Duration;

use qsec_pki::{
    Admit, Authority, CertificateRequest, CertificateState, Curve, IntermediateProfile, LeafProfile, Ledger,
    MemoryLedger, PrivateKey, PublicKey, Role, TrustZone, Zone,
};

use crate::forge::{NOW, ZONE, at, authority, name, tlv};

fn request(key: &PrivateKey) -> CertificateRequest {
    CertificateRequest::parse(&key.request().unwrap()).unwrap()
}

fn fresh() -> CertificateRequest {
    request(&PrivateKey::generate().unwrap())
}

fn server() -> LeafProfile {
    LeafProfile::server("svc/engine/node/n7").dns(["n7.svc.zone-a.internal"])
}

#[test]
fn leaf_says_what_the_profile_says_and_members_take_it() {
    for curve in [Curve::P256, Curve::P384] {
        let authority = Authority::create_on(Zone::parse(ZONE).unwrap(), curve, at(NOW)).unwrap().commit();
        let zone = TrustZone::new(authority.bundle()).admit_peer_leaves();
        for (role, leaf_curve) in Role::ALL.into_iter().flat_map(|role| [(role, Curve::P256), (role, Curve::P384)]) {
            let key = PrivateKey::generate_on(leaf_curve).unwrap();
            let profile = LeafProfile::of(role, "svc/engine/node/n7").dns(["n7.svc"]).ttl(Duration::from_hours(1));
            let issued = authority.issue(&request(&key), &profile, at(NOW)).unwrap();
            assert_eq!((issued.not_before(), issued.not_after()), (at(NOW - 300), at(NOW + 3_600)));
            assert_eq!(issued.certificate().subject(), "O=zone-a.internal, CN=n7");
            assert_eq!(issued.certificate().issuer(), "O=zone-a.internal, CN=qsec root 1");
            assert_eq!(issued.certificate().role(), Some(role));
            assert_eq!(issued.issuer_serial(), authority.root().serial());
            assert_eq!(issued.spki_sha256(), key.public_key().spki_sha256());
            let peer = zone.verify(issued.chain(), role, None, &Admit::all_members(), at(NOW)).unwrap();
            assert_eq!((peer.id(), peer.serial(), peer.leaf_role()), (issued.id(), issued.serial(), role));
        }
    }
}

#[test]
fn root_is_made_as_the_profile_says() {
    let authority = authority(at(NOW));
    let root = authority.root();
    assert_eq!(
        (root.subject(), root.issuer()),
        ("O=zone-a.internal, CN=qsec root 1", "O=zone-a.internal, CN=qsec root 1")
    );
    assert_eq!((root.not_before(), root.not_after()), (at(NOW - 300), at(NOW + 3_650 * 86_400)));
    let next = authority.successor(at(NOW)).unwrap().commit();
    assert_eq!(next.root().subject(), "O=zone-a.internal, CN=qsec root 2");
    assert_eq!(next.zone(), authority.zone());
    assert_ne!(next.root().spki_sha256(), authority.root().spki_sha256());
}

#[test]
fn authority_opens_with_its_own_key_only() {
    let made = authority(at(NOW));
    let key = PrivateKey::from_pkcs8(made.key().unwrap().expose_secret()).unwrap();
    let opened = Authority::open(made.root().der(), key).unwrap();
    opened.issue(&fresh(), &server(), at(NOW)).unwrap();
    let other = PrivateKey::generate().unwrap();
    assert_eq!(
        Authority::open_external(made.root().der(), other.public_key()).unwrap_err().code(),
        "issuer_key_mismatch"
    );
    assert_eq!(Authority::open(made.root().der(), other).unwrap_err().code(), "issuer_key_mismatch");
    let leaf = made.issue(&fresh(), &server(), at(NOW)).unwrap();
    let error = Authority::open(leaf.certificate().der(), PrivateKey::generate().unwrap()).unwrap_err();
    assert_eq!(error.code(), "root_unacceptable");
}

#[test]
fn leaf_never_outlives_its_issuer() {
    let authority = authority(at(NOW));
    let end = NOW + 3_650 * 86_400;
    let issue = |now| authority.issue(&fresh(), &server(), at(now)).map_or_else(|error| error.code(), |_| "ok");
    assert_eq!(issue(end - 86_400), "ok");
    assert_eq!(issue(end - 86_399), "issuer_expiring");
    assert_eq!(issue(end + 1), "issuer_expiring");
    assert_eq!(issue(NOW - 300), "ok");
    assert_eq!(issue(NOW - 301), "issuer_not_yet_valid");
}

#[test]
fn years_that_need_the_long_time_are_written_so() {
    let late = 2_524_607_000; // 2049-12-31T23:43:20Z
    let authority = authority(at(late));
    let issued = authority.issue(&fresh(), &server(), at(late)).unwrap();
    let zone = TrustZone::new(authority.bundle());
    zone.verify(issued.chain(), Role::Server, None, &Admit::all_members(), at(late + 3_600)).unwrap();
    let beyond = Authority::create(Zone::parse(ZONE).unwrap(), at(253_402_300_799));
    assert_eq!(beyond.unwrap_err().code(), "time_out_of_range");
}

/// A request as an attacker would write it: a subject, a password, and an extension request for CA.
fn greedy_request(key: &PrivateKey) -> Vec<u8> {
    let attribute = |arc: u8, value: Vec<u8>| {
        tlv(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, arc], &tlv(0x31, &[&value])])
    };
    let ca = tlv(0x30, &[&tlv(0x30, &[&[6, 3, 0x55, 0x1d, 0x13, 1, 1, 0xff], &tlv(4, &[&crate::forge::ca(Some(5))])])]);
    let mut attributes =
        [attribute(14, ca), attribute(7, tlv(0x0c, &[b"secret"])), attribute(2, tlv(0x0c, &[b"name"]))];
    attributes.sort();
    signed_request(key, &name("evil", "qsec root 9"), &attributes.concat())
}

fn signed_request(key: &PrivateKey, subject: &[u8], attributes: &[u8]) -> Vec<u8> {
    let info = tlv(0x30, &[&[2, 1, 0], subject, key.public_key().spki_der(), &tlv(0xa0, &[attributes])]);
    let signature = key.sign(&info).unwrap();
    tlv(0x30, &[&info, crate::forge::ECDSA_SHA256, &tlv(3, &[&[0], &signature])])
}

#[test]
fn csr_cannot_ask_for_ca() {
    let key = PrivateKey::generate().unwrap();
    let request = CertificateRequest::parse(&greedy_request(&key)).unwrap();
    let issued = authority(at(NOW)).issue(&request, &server(), at(NOW)).unwrap();
    let mut extras = issued.csr_extras_ignored().to_vec();
    extras.sort_unstable();
    assert_eq!(extras, ["attribute", "challenge_password", "extension_request", "subject"]);
    assert!(!issued.certificate().is_ca());
    assert_eq!(issued.certificate().subject(), "O=zone-a.internal, CN=n7");
    assert_eq!(issued.not_after(), at(NOW + 86_400));
}

#[test]
fn requests_are_judged_by_size_encoding_key_and_signature() {
    let key = PrivateKey::generate().unwrap();
    let code = |der: &[u8]| CertificateRequest::parse(der).map_or_else(|error| error.code(), |_| "ok");
    let good = key.request().unwrap();
    assert_eq!(code(&good), "ok");
    assert_eq!(code(&vec![0x30; 8 * 1024 + 1]), "csr_too_large");
    assert_eq!(code(&[&good[..], &[0]].concat()), "csr_malformed");
    for end in 0..good.len() {
        assert_eq!(code(&good[..end]), "csr_malformed");
    }
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x01;
        assert_ne!(code(&changed), "ok", "byte {at}");
    }
    let attribute = |arc| [0x30, 7, 6, 1, arc, 0x31, 2, 5, 0];
    assert_eq!(code(&signed_request(&key, &[0x30, 0], &[attribute(0x2a), attribute(0x2b)].concat())), "ok");
    assert_eq!(code(&signed_request(&key, &[0x30, 0], &[attribute(0x2b), attribute(0x2a)].concat())), "csr_malformed");
    let other = PrivateKey::generate().unwrap();
    let info = tlv(0x30, &[&[2, 1, 0, 0x30, 0], key.public_key().spki_der(), &[0xa0, 0]]);
    let stolen = tlv(0x30, &[&info, crate::forge::ECDSA_SHA256, &tlv(3, &[&[0], &other.sign(&info).unwrap()])]);
    assert_eq!(code(&stolen), "csr_signature_invalid");
    let mut off_curve = key.public_key().spki_der().to_vec();
    *off_curve.last_mut().unwrap() ^= 1;
    let info = tlv(0x30, &[&[2, 1, 0, 0x30, 0], &off_curve, &[0xa0, 0]]);
    let bad_key = tlv(0x30, &[&info, crate::forge::ECDSA_SHA256, &tlv(3, &[&[0], &key.sign(&info).unwrap()])]);
    assert_eq!(code(&bad_key), "key_not_allowed");
}

#[test]
fn same_key_gets_two_serials() {
    let key = PrivateKey::generate().unwrap();
    let authority = authority(at(NOW));
    let issue = |ledger: &MemoryLedger| {
        pollster::block_on(authority.issue_recorded(ledger, &request(&key), &server(), at(NOW)))
    };
    let (one, two) = (MemoryLedger::new(), MemoryLedger::new());
    let (first, second) = (issue(&one).unwrap(), issue(&two).unwrap());
    assert_ne!(first.serial(), second.serial());
    assert_eq!(issue(&one).unwrap_err().code(), "key_reused");

    let rows = pollster::block_on(one.list()).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].serial, first.serial().to_string());
    assert_eq!((rows[0].state, rows[0].spki_sha256), (CertificateState::Issued, first.spki_sha256()));
    assert_eq!(rows[0].not_after, u64::try_from(NOW + 86_400).unwrap());
    let body = String::from_utf8(rows[0].body.clone()).unwrap();
    let due = r#"{"kind":"leaf","id":"spiffe://zone-a.internal/svc/engine/node/n7","role":"server","dns":["n7.svc.zone-a.internal"],"issuer_serial":""#;
    assert!(body.starts_with(due) && body.ends_with(r#""}"#), "{body}");
}

#[test]
fn authoritys_own_key_is_not_certified_again() {
    let authority = authority(at(NOW));
    let own = request(authority.key().unwrap());
    assert_eq!(authority.issue(&own, &server(), at(NOW)).unwrap_err().code(), "key_reused");
}

#[test]
fn key_in_a_kms_signs_in_two_phases() {
    let kms = PrivateKey::generate().unwrap();
    let public = PublicKey::from_spki(kms.public_key().spki_der()).unwrap();
    let prepared = Authority::prepare_root(Zone::parse(ZONE).unwrap(), &public, 1, at(NOW)).unwrap();
    let signature = kms.sign(prepared.tbs()).unwrap();
    let planned = prepared.finish(&signature, at(NOW + 1)).unwrap();
    assert!(
        planned.key().is_none()
            && planned.ledger_row().body.starts_with(br#"{"kind":"root","id":"spiffe://zone-a.internal","dns":[]"#)
    );
    let authority = planned.commit();
    assert_eq!(authority.issue(&fresh(), &server(), at(NOW)).unwrap_err().code(), "signer_not_here");

    let ledger = MemoryLedger::new();
    let request = fresh();
    let prepared = pollster::block_on(authority.prepare_recorded(&ledger, &request, &server(), at(NOW))).unwrap();
    let serial = prepared.serial().to_string();
    assert_eq!(pollster::block_on(ledger.get(&serial)).unwrap().unwrap().state, CertificateState::Prepared);
    assert_eq!(prepared.digest(), ring::digest::digest(&ring::digest::SHA256, prepared.tbs()).as_ref());
    let signature = kms.sign(prepared.tbs()).unwrap();
    let issued = pollster::block_on(authority.finish_recorded(&ledger, prepared, &signature, at(NOW + 60))).unwrap();
    assert_eq!(pollster::block_on(ledger.get(&serial)).unwrap().unwrap(), issued.ledger_row());
    let again = pollster::block_on(authority.prepare_recorded(&ledger, &request, &server(), at(NOW))).unwrap_err();
    assert_eq!(again.code(), "key_reused");
}

#[test]
fn finish_takes_nothing_on_trust() {
    let authority = authority(at(NOW));
    let key = authority.key().unwrap();
    let prepare = || authority.prepare(&fresh(), &server(), at(NOW)).unwrap();
    let code = |signature: &[u8], prepared, now| authority.finish(prepared, signature, now).unwrap_err().code();

    let prepared = prepare();
    let good = key.sign(prepared.tbs()).unwrap();
    assert_eq!(code(&good, prepared, at(NOW + 61)), "prepared_stale");
    assert_eq!(code(&good, prepare(), at(NOW)), "signature_invalid", "of another certificate");
    let prepared = prepare();
    let good = key.sign(prepared.tbs()).unwrap();
    assert_eq!(code(&[&good[..], &[0]].concat(), prepared, at(NOW)), "signature_invalid", "trailing byte");
    let prepared = prepare();
    assert_eq!(code(&[7; 64], prepared, at(NOW)), "signature_invalid", "P1363");
    let prepared = prepare();
    let others = PrivateKey::generate().unwrap().sign(prepared.tbs()).unwrap();
    assert_eq!(code(&others, prepared, at(NOW)), "signature_invalid", "another key");
    let elsewhere = crate::forge::authority(at(NOW)).prepare(&fresh(), &server(), at(NOW)).unwrap();
    let signature = key.sign(elsewhere.tbs()).unwrap();
    assert_eq!(code(&signature, elsewhere, at(NOW)), "issuer_key_mismatch");
}

#[test]
fn intermediate_issues_what_it_may_name() {
    let root = authority(at(NOW));
    let zone = TrustZone::new(root.bundle());
    let accept = |issuing: &Authority, profile: &LeafProfile| {
        let issued = issuing.issue(&fresh(), profile, at(NOW)).map_err(|error| error.code())?;
        assert_eq!((issued.chain().len(), issued.issuer_serial()), (2, issuing.certificate().serial()));
        zone.verify(issued.chain(), Role::Server, None, &Admit::all_members(), at(NOW))
            .map_err(|rejection| rejection.code())
    };
    let bare = LeafProfile::server("svc/engine/node/n7");
    let without = IntermediateProfile::new(1);
    let within = IntermediateProfile::new(2).dns_suffixes(["zone-a.internal"]).constrain_uri();
    for (profile, named) in [(without, Err("name_not_in_zone")), (within, Ok(()))] {
        let key = PrivateKey::generate().unwrap();
        let planned = root.intermediate(key, &profile, at(NOW)).unwrap();
        assert!(planned.ledger_row().body.starts_with(br#"{"kind":"intermediate""#) && planned.key().is_some());
        let issuing = planned.commit();
        assert_eq!(issuing.certificate().not_after(), at(NOW + 365 * 86_400));
        assert!(accept(&issuing, &bare).is_ok());
        assert_eq!(accept(&issuing, &server()).map(|_| ()), named);
        assert_eq!(accept(&issuing, &bare.clone().dns(["n7.example"])).unwrap_err(), "name_not_in_zone");
        let below = issuing.intermediate(PrivateKey::generate().unwrap(), &profile, at(NOW));
        assert_eq!(below.unwrap_err().code(), "issuer_is_intermediate");

        let key = PrivateKey::from_pkcs8(issuing.key().unwrap().expose_secret()).unwrap();
        let opened = Authority::open_intermediate(root.root().der(), issuing.certificate().der(), key).unwrap();
        assert!(accept(&opened, &bare).is_ok());
        let wrong = Authority::open_intermediate(
            root.root().der(),
            issuing.certificate().der(),
            PrivateKey::generate().unwrap(),
        );
        assert_eq!(wrong.unwrap_err().code(), "issuer_key_mismatch");
        let elsewhere = authority(at(NOW));
        let stranger = Authority::open_intermediate_external(
            elsewhere.root().der(),
            issuing.certificate().der(),
            issuing.certificate().public_key(),
        );
        assert_eq!(stranger.unwrap_err().code(), "intermediate_unacceptable");
    }
    let ttl = |hours| {
        let profile = IntermediateProfile::new(1).ttl(Duration::from_hours(hours));
        root.intermediate(PrivateKey::generate().unwrap(), &profile, at(NOW))
            .map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!([167, 168, 8_760, 8_761].map(ttl), ["ttl_out_of_range", "ok", "ok", "ttl_out_of_range"]);
}
