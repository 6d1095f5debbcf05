//! Revocation lists, forged: each stage of their check, and that their order never matters.

use std::time::Duration;

use qsec_pki::{
    Admit, Crls, IntermediateProfile, LeafProfile, Peer, Position, PrivateKey, Rejection, Revocation, RevocationReason,
    RevokedCertificate, Role, Serial, TrustZone,
};

use crate::forge::{Ca, KU, List, NOW, at, ext, name, tlv};

fn verify(zone: &TrustZone, chain: &[Vec<u8>]) -> Result<Peer, Rejection> {
    zone.verify(chain, Role::Server, None, &Admit::all_members(), at(NOW))
}

fn code(outcome: Result<Peer, Rejection>) -> &'static str {
    outcome.map_or_else(|rejection| rejection.code(), |_| "ok")
}

/// What becomes of a good leaf when its root's list is changed.
fn list(change: impl FnOnce(&mut List)) -> &'static str {
    let root = Ca::root();
    let zone = root.zone();
    zone.require_crls(Crls::read(&[root.crl(change)]));
    code(verify(&zone, &[root.leaf(|_| {})]))
}

#[test]
fn good_list_is_checked_and_revoked_serial_is_refused() {
    let root = Ca::root();
    let zone = root.zone();
    zone.require_crls(Crls::read(&[root.crl(|l| l.revoked = vec![vec![1], vec![0x4f, 0x1c, 0x9b]])]));
    assert_eq!(verify(&zone, &[root.leaf(|_| {})]).unwrap().revocation(), Revocation::Checked);
    assert_eq!(list(|l| l.revoked = vec![vec![0x4f, 0x1c, 0x9a]]), "revoked");
    let reason = ext(0x15, false, vec![10, 1, 1]);
    assert_eq!(
        list(|l| {
            l.revoked = vec![vec![0x4f, 0x1c, 0x9a]];
            l.entry_extension = Some(reason);
        }),
        "revoked"
    );
    let long_lived = root.leaf(|d| d.not_after = d.not_before + 7 * 86_400);
    assert_eq!(code(verify(&zone, &[long_lived])), "ok");
}

#[test]
fn malformed_lists_are_refused() {
    for (what, found) in [
        ("version 1", list(|l| l.version.clear())),
        ("no number", list(|l| l.number = None)),
        ("unknown critical", list(|l| l.extra = vec![ext(0x36, true, vec![5, 0])])),
        ("partial", list(|l| l.extra = vec![ext(0x1c, false, tlv(0x30, &[]))])),
        ("delta", list(|l| l.extra = vec![ext(0x1b, true, vec![2, 1, 1])])),
        (
            "unknown critical of an entry",
            list(|l| {
                l.revoked = vec![vec![1]];
                l.entry_extension = Some(ext(0x1d, true, tlv(0x30, &[])));
            }),
        ),
        ("serial 0", list(|l| l.revoked = vec![vec![0]])),
    ] {
        assert_eq!(found, "crl_malformed", "{what}");
    }
    assert_eq!(list(|l| l.extra = vec![ext(0x36, false, vec![5, 0])]), "ok");
}

#[test]
fn every_issuer_of_the_path_needs_a_list() {
    let root = Ca::root();
    let middle = root.intermediate();
    let chain = [middle.leaf(|_| {}), middle.der.clone()];
    let with = |lists: &[Vec<u8>]| {
        let zone = root.zone();
        zone.require_crls(Crls::read(lists));
        verify(&zone, &chain)
    };
    let (of_root, of_middle) = (root.crl(|_| {}), middle.crl(|_| {}));
    assert_eq!(code(with(&[])), "crl_missing");
    assert_eq!(with(std::slice::from_ref(&of_root)).unwrap_err().at(), Position::Certificate(1));
    assert_eq!(with(std::slice::from_ref(&of_middle)).unwrap_err().at(), Position::Root);
    assert_eq!(code(with(&[of_root.clone(), of_middle.clone()])), "ok");
    assert_eq!(code(with(&[of_middle.clone(), of_root.clone()])), "ok");
    let revoked = with(&[root.crl(|l| l.revoked = vec![vec![0x4f, 0x1c, 0x9a]]), of_middle.clone()]).unwrap_err();
    assert_eq!((revoked.code(), revoked.at()), ("revoked", Position::Certificate(1)));
    let stranger = root.crl(|l| l.issuer = name("zone-b.internal", "qsec root 1"));
    let rejection = with(&[of_root, of_middle, stranger]).unwrap_err();
    assert_eq!((rejection.code(), rejection.at()), ("crl_wrong_issuer", Position::Crl(2)));
}

#[test]
fn crl_issuer_needs_crl_sign() {
    let root = Ca::root();
    let middle = root.intermediate_with(|d| d.set(KU, vec![3, 2, 2, 4]));
    let zone = root.zone();
    zone.require_crls(Crls::read(&[root.crl(|_| {}), middle.crl(|_| {})]));
    assert_eq!(code(verify(&zone, &[middle.leaf(|_| {}), middle.der.clone()])), "crl_issuer_key_usage");
}

#[test]
fn list_is_signed_by_its_issuer() {
    let (root, stranger) = (Ca::root(), Ca::root());
    let zone = root.zone();
    zone.require_crls(Crls::read(&[stranger.crl(|_| {})]));
    assert_eq!(code(verify(&zone, &[root.leaf(|_| {})])), "crl_signature_invalid");
}

#[test]
fn expired_crl_is_refused() {
    assert_eq!(list(|l| l.next_update = Some(NOW)), "ok");
    assert_eq!(list(|l| l.next_update = Some(NOW - 1)), "crl_expired");
    assert_eq!(list(|l| l.next_update = None), "crl_expired");
}

#[test]
fn future_crl_is_refused() {
    assert_eq!(list(|l| l.this_update = NOW), "ok");
    assert_eq!(list(|l| l.this_update = NOW + 1), "crl_not_yet_valid");
}

#[test]
fn crl_order_does_not_matter() {
    let root = Ca::root();
    let chain = [root.leaf(|_| {})];
    let first = root.crl(|_| {});
    let second = root.crl(|l| {
        l.number = Some(vec![2]);
        l.revoked = vec![vec![0x4f, 0x1c, 0x9a]];
    });
    let third = root.crl(|l| l.number = Some(vec![3]));
    let expired = root.crl(|l| l.next_update = Some(NOW - 1));
    let both_ways = |a: &Vec<u8>, b: &Vec<u8>| {
        [[a, b], [b, a]].map(|lists| {
            let zone = root.zone();
            zone.require_crls(Crls::read(&lists));
            [code(verify(&zone, &chain)), code(verify(&zone, &chain))]
        })
    };
    assert_eq!(both_ways(&first, &second), [["revoked"; 2]; 2]);
    assert_eq!(both_ways(&second, &third), [["ok"; 2]; 2]);
    assert_eq!(both_ways(&third, &expired), [["crl_expired"; 2]; 2]);
    assert_eq!(both_ways(&third, &b"junk".to_vec()), [["crl_malformed"; 2]; 2]);
}

#[test]
fn older_list_is_a_rollback() {
    let root = Ca::root();
    let (zone, chain) = (root.zone(), [root.leaf(|_| {})]);
    let numbered = |number: u8| Crls::read(&[root.crl(|l| l.number = Some(vec![number]))]);
    for (number, due) in [(2, "ok"), (1, "crl_rolled_back"), (2, "ok"), (3, "ok"), (2, "crl_rolled_back")] {
        zone.require_crls(numbered(number));
        assert_eq!(code(verify(&zone, &chain)), due, "{number}");
    }
}

#[test]
fn lists_that_we_issue_are_lists_that_we_take() {
    let root = crate::forge::authority(at(NOW));
    let issuing =
        root.intermediate(PrivateKey::generate().unwrap(), &IntermediateProfile::new(1), at(NOW)).unwrap().commit();
    let (chain, _) = crate::forge::issue(&issuing, &LeafProfile::server("svc/engine/node/n7"), at(NOW));
    let leaf = qsec_pki::Certificate::parse(&chain[0]).unwrap();
    let zone = TrustZone::new(root.bundle());
    let revoke = |serial: &Serial, not_after| {
        RevokedCertificate::new(*serial, at(NOW), RevocationReason::KeyCompromise, not_after)
    };
    let other = Serial::parse("01").unwrap();
    let of_root = root.issue_crl(1, &[], at(NOW)).unwrap();
    let mut of_issuing = issuing.issue_crl(1, &[revoke(&other, at(NOW))], at(NOW)).unwrap();
    zone.require_crls(Crls::read(&[of_root.der(), of_issuing.der()]));
    assert_eq!(verify(&zone, &chain).unwrap().revocation(), Revocation::Checked);

    let both = [revoke(leaf.serial(), leaf.not_after()), revoke(&other, at(NOW)), revoke(&other, at(NOW))];
    of_issuing = issuing.issue_crl(2, &both, at(NOW)).unwrap();
    assert_eq!(
        (of_issuing.number(), of_issuing.entries(), of_issuing.issuer_serial()),
        (2, 2, issuing.certificate().serial())
    );
    assert_eq!(of_issuing.next_update(), at(NOW + 86_400));
    zone.require_crls(Crls::read(&[of_root.der(), of_issuing.der()]));
    assert_eq!(code(verify(&zone, &chain)), "revoked");

    // What ended more than seven days ago is not listed any more.
    let week = at(NOW) + Duration::from_hours(7 * 24);
    assert_eq!(issuing.issue_crl(3, &both, week).unwrap().entries(), 2);
    assert_eq!(issuing.issue_crl(3, &both, week + Duration::from_secs(1)).unwrap().entries(), 1);

    let prepared = issuing.prepare_crl(4, &both, at(NOW)).unwrap();
    let signature = root.key().unwrap().sign(prepared.tbs()).unwrap();
    assert_eq!(issuing.finish_crl(prepared, &signature, at(NOW)).unwrap_err().code(), "signature_invalid");
    let prepared = issuing.prepare_crl(4, &both, at(NOW)).unwrap();
    assert_eq!(root.finish_crl(prepared, &signature, at(NOW)).unwrap_err().code(), "issuer_key_mismatch");
}
