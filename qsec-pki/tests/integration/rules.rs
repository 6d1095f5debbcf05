//! Every row of the acceptance rules, by a chain that breaks it and nothing before it.

use std::sync::{Arc, Mutex};

use qsec_pki::{
    Admit, Bundle, Curve, Event, ExpectedName, Observer, Peer, Position, PrivateKey, Rejection, Role, TrustZone,
};

use crate::forge::{
    AKI, ANY, BC, CLIENT, CODE_SIGNING, Ca, Draft, ECDSA_SHA384, EKU, KU, NC, NOW, SAN, SERVER, SKI, ZONE, at, ca, dns,
    ext, name, sans, tlv, uri,
};

fn verify(zone: &TrustZone, chain: &[Vec<u8>]) -> Result<Peer, Rejection> {
    zone.verify(chain, Role::Server, None, &Admit::all_members(), at(NOW))
}

fn code(outcome: Result<Peer, Rejection>) -> &'static str {
    outcome.map_or_else(|rejection| rejection.code(), |_| "ok")
}

/// What becomes of a leaf under a root after a change.
fn leaf(change: impl FnOnce(&mut Draft)) -> &'static str {
    let root = Ca::root();
    let leaf = root.leaf(change);
    code(verify(&root.zone(), &[leaf]))
}

/// What becomes of a good leaf under an intermediate after a change of that.
fn intermediate(change: impl FnOnce(&mut Draft)) -> &'static str {
    let root = Ca::root();
    let intermediate = root.intermediate_with(change);
    code(verify(&root.zone(), &[intermediate.leaf(|_| {}), intermediate.der.clone()]))
}

fn root(change: impl FnOnce(&mut Draft)) -> &'static str {
    Bundle::new(&[Ca::root_with(change).der]).map_or_else(|rejection| rejection.code(), |_| "ok")
}

fn id(path: &str) -> Vec<u8> {
    uri(&format!("spiffe://{ZONE}/{path}"))
}

#[test]
fn forged_chains_are_good_until_they_are_changed() {
    assert_eq!(leaf(|_| {}), "ok");
    assert_eq!(intermediate(|_| {}), "ok");
    assert_eq!(root(|_| {}), "ok");
    let ca = Ca::root();
    let peer = verify(&ca.zone(), &[ca.leaf(|_| {})]).unwrap();
    assert_eq!(peer.id().as_str(), "spiffe://zone-a.internal/svc/engine/node/n7");
    assert_eq!((peer.serial().to_string().as_str(), peer.path().len()), ("4f1c9a", 2));
    assert_eq!((peer.role(), peer.leaf_role(), peer.not_after()), (Role::Server, Role::Server, at(NOW + 86_400)));
    assert_eq!(peer.dns()[0].as_str(), "n7.svc.zone-a.internal");
}

#[test]
fn row_1_roots_have_the_shape_of_a_zone_root() {
    for (what, found) in [
        ("no authority", root(|d| d.set(BC, tlv(0x30, &[])))),
        ("no basic constraints", root(|d| d.remove(BC))),
        ("keyCertSign alone", root(|d| d.set(KU, vec![3, 2, 2, 4]))),
        ("more usages", root(|d| d.set(KU, vec![3, 2, 1, 0x86]))),
        ("EKU", root(|d| d.push(ext(EKU, false, tlv(0x30, &[SERVER]))))),
        ("NC", root(|d| d.push(ext(NC, true, tlv(0x30, &[&tlv(0xa0, &[&tlv(0x30, &[&dns("a")])])]))))),
        ("path", root(|d| d.set(SAN, sans(&[id("svc")])))),
        ("two names", root(|d| d.set(SAN, sans(&[uri("spiffe://a"), uri("spiffe://b")])))),
        ("no name", root(|d| d.remove(SAN))),
        ("not self-issued", root(|d| d.issuer = name(ZONE, "another"))),
        ("no SKI", root(|d| d.remove(SKI))),
        ("another's AKI", root(|d| d.push(ext(AKI, false, tlv(0x30, &[&tlv(0x80, &[&[1; 20]])]))))),
        ("version 1", root(|d| d.version.clear())),
        ("serial 0", root(|d| d.serial = vec![0])),
        ("unknown critical", root(|d| d.push(ext(0x36, true, vec![5, 0])))),
        ("another's signature", root(|d| d.spki = PrivateKey::generate().unwrap().public_key().spki_der().to_vec())),
    ] {
        assert_eq!(found, "root_unacceptable", "{what}");
    }
    let (a, b) = (Ca::root(), Ca::root_with(|d| d.set(SAN, sans(&[uri("spiffe://zone-b.internal")]))));
    assert_eq!(Bundle::new(&[a.der.clone(), b.der]).unwrap_err().code(), "root_unacceptable");
    assert_eq!(Bundle::new::<Vec<u8>>(&[]).unwrap_err().at(), Position::Root);
    assert!(Bundle::new(&vec![a.der.clone(); 4]).is_ok());
    assert_eq!(Bundle::new(&vec![a.der; 5]).unwrap_err().code(), "root_unacceptable");
}

#[test]
fn rows_2_and_3_sizes_are_bounded() {
    let root = Ca::root();
    let zone = root.zone();
    let good = root.leaf(|_| {});
    let large = root.leaf(|d| d.push(ext(0x36, false, vec![0; 16 * 1024])));
    assert_eq!(code(verify(&zone, std::slice::from_ref(&large))), "too_large");
    let many: Vec<_> = std::iter::repeat_n(good.clone(), 64 * 1024 / good.len() + 1).collect();
    assert_eq!(code(verify(&zone, &many)), "too_large");
    assert_eq!(code(verify(&zone, &[])), "chain_empty");
    assert_eq!(code(verify(&zone, std::slice::from_ref(&root.der))), "chain_empty");
    assert_eq!(code(verify(&zone, &[good.clone(), root.der.clone(), root.der.clone()])), "ok");
    assert_eq!(code(verify(&zone, &vec![good; 4])), "chain_too_long");
}

#[test]
fn row_4_what_has_two_encodings_has_one_here() {
    for (what, found) in [
        ("serial with a leading zero", leaf(|d| d.serial = vec![0, 1])),
        ("version 1, encoded", leaf(|d| d.version = vec![0xa0, 3, 2, 1, 0])),
        ("CA false, encoded", leaf(|d| d.set(BC, tlv(0x30, &[&[1, 1, 0]])))),
        ("boolean 01", leaf(|d| d.set(BC, tlv(0x30, &[&[1, 1, 1]])))),
        ("key usage with zeros", leaf(|d| d.set(KU, vec![3, 2, 0, 0x80]))),
        ("empty EKU", leaf(|d| d.set(EKU, tlv(0x30, &[])))),
        ("empty SAN", leaf(|d| d.set(SAN, tlv(0x30, &[])))),
        ("empty NC", leaf(|d| d.push(ext(NC, true, tlv(0x30, &[]))))),
        ("bytes behind an extension", leaf(|d| d.set(KU, vec![3, 2, 7, 0x80, 0]))),
        ("indefinite length inside", leaf(|d| d.set(EKU, [&[0x30, 0x80], SERVER, &[0, 0]].concat()))),
        ("long length", leaf(|d| d.set(EKU, [&[0x30, 0x81, 10], SERVER].concat()))),
    ] {
        assert_eq!(found, "malformed", "{what}");
    }
    let root = Ca::root();
    let trailing = [root.leaf(|_| {}), vec![0]].concat();
    assert_eq!(code(verify(&root.zone(), &[trailing])), "malformed");
}

#[test]
fn rows_5_to_10_forms_are_judged_in_order() {
    assert_eq!(
        leaf(|d| {
            d.version.clear();
            d.serial = vec![0];
        }),
        "not_v3"
    );
    assert_eq!(leaf(|d| d.version = vec![0xa0, 3, 2, 1, 1]), "not_v3");
    for serial in [vec![0], vec![0x80], vec![1; 21]] {
        assert_eq!(leaf(|d| d.serial = serial), "serial_invalid");
    }
    assert_eq!(leaf(|d| d.push(ext(KU, true, vec![3, 2, 7, 0x80]))), "duplicate_extension");
    assert_eq!(leaf(|d| d.push(ext(0x36, true, vec![5, 0]))), "unknown_critical_extension");
    assert_eq!(leaf(|d| d.push(ext(0x36, false, vec![5, 0]))), "ok");
    for arc in [BC, KU, SAN, EKU, SKI, AKI] {
        let found = leaf(|d| {
            let extension = d.extensions.iter_mut().find(|extension| extension.arc == arc).unwrap();
            extension.critical = !extension.critical;
        });
        assert_eq!(found, "extension_criticality", "{arc:x}");
    }
    assert_eq!(leaf(|d| d.outer = ECDSA_SHA384.to_vec()), "signature_algorithm_mismatch");
    let with_null = [&[0x30, 12], &crate::forge::ECDSA_SHA256[2..], &[5, 0]].concat();
    assert_eq!(
        leaf(|d| {
            d.inner = with_null.clone();
            d.outer = with_null;
        }),
        "signature_algorithm_not_allowed"
    );
    assert_eq!(leaf(|d| *d.spki.last_mut().unwrap() ^= 1), "key_not_allowed");
    assert_eq!(
        leaf(|d| d.spki =
            hex::decode("302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
                .unwrap()),
        "key_not_allowed"
    );
    let p384 = PrivateKey::generate_on(Curve::P384).unwrap();
    assert_eq!(leaf(|d| d.spki = p384.public_key().spki_der().to_vec()), "ok");
}

#[test]
fn rows_11_and_12_leaf_is_no_authority() {
    assert_eq!(leaf(|d| d.set(BC, ca(None))), "leaf_is_ca");
    assert_eq!(leaf(|d| d.set(BC, vec![0x30, 3, 2, 1, 0])), "leaf_is_ca");
    assert_eq!(leaf(|d| d.remove(BC)), "ok");
    let constraints = tlv(0x30, &[&tlv(0xa0, &[&tlv(0x30, &[&dns("a")])])]);
    assert_eq!(leaf(|d| d.push(ext(NC, true, constraints))), "leaf_has_name_constraints");
    for usage in [vec![3, 2, 2, 0x84], vec![3, 2, 3, 8], vec![3, 1, 0], vec![3, 3, 7, 0x80, 0x80]] {
        assert_eq!(leaf(|d| d.set(KU, usage)), "leaf_key_usage");
    }
    assert_eq!(leaf(|d| d.remove(KU)), "leaf_key_usage");
}

#[test]
fn leaf_without_eku_is_refused() {
    assert_eq!(leaf(|d| d.remove(EKU)), "eku_missing");
    for purposes in [&[ANY][..], &[SERVER, ANY], &[SERVER, CODE_SIGNING], &[SERVER, SERVER], &[SERVER, CLIENT]] {
        assert_eq!(leaf(|d| d.set(EKU, tlv(0x30, purposes))), "eku_not_exact");
    }
    assert_eq!(leaf(|d| d.set(EKU, tlv(0x30, &[CLIENT]))), "eku_wrong_role");

    let root = Ca::root();
    let both = [root.leaf(|d| d.set(EKU, tlv(0x30, &[CLIENT, SERVER])))];
    let zone = root.zone().admit_peer_leaves();
    for role in Role::ALL {
        let peer = zone.verify(&both, role, None, &Admit::all_members(), at(NOW)).unwrap();
        assert_eq!((peer.role(), peer.leaf_role()), (role, Role::Peer));
    }
    let one = [root.leaf(|_| {})];
    assert_eq!(code(zone.verify(&one, Role::Peer, None, &Admit::all_members(), at(NOW))), "eku_wrong_role");
}

#[test]
fn leaf_needs_exactly_one_spiffe_uri() {
    assert_eq!(leaf(|d| d.remove(SAN)), "san_missing");
    let email = tlv(0x81, &[b"a@b"]);
    let address = tlv(0x87, &[&[127, 0, 0, 1]]);
    for other in [email, address, tlv(0xa4, &[&name("a", "b")])] {
        assert_eq!(leaf(|d| d.set(SAN, sans(&[id("svc"), other]))), "san_type_not_allowed");
    }
    assert_eq!(leaf(|d| d.set(SAN, sans(&[dns("n7")]))), "uri_not_exactly_one");
    assert_eq!(leaf(|d| d.set(SAN, sans(&[id("svc/a"), id("svc/b")]))), "uri_not_exactly_one");
    for bad in [
        "https://zone-a.internal/svc",
        "spiffe://zone-a.internal",
        "spiffe://Zone-a.internal/svc",
        "spiffe://zone-a.internal/a/../b",
    ] {
        assert_eq!(leaf(|d| d.set(SAN, sans(&[uri(bad)]))), "spiffe_id_malformed", "{bad}");
    }
    for bad in ["*.zone-a.internal", "N7", "a_b", "127.0.0.1", "a.", ""] {
        assert_eq!(leaf(|d| d.set(SAN, sans(&[id("svc"), dns(bad)]))), "dns_name_malformed", "{bad}");
    }
    let many = |count: usize| [vec![id("svc")], (0..count).map(|n| dns(&format!("n{n}"))).collect()].concat();
    assert_eq!(leaf(|d| d.set(SAN, sans(&many(16)))), "ok");
    assert_eq!(leaf(|d| d.set(SAN, sans(&many(17)))), "dns_name_malformed");
}

#[test]
fn row_15_and_16_chain_leads_to_our_root() {
    assert_eq!(leaf(|d| d.set(SAN, sans(&[uri("spiffe://zone-b.internal/svc")]))), "wrong_zone");
    assert_eq!(leaf(|d| d.issuer = name(ZONE, "somebody")), "untrusted_root");
    assert_eq!(leaf(|d| d.remove(AKI)), "key_identifier_mismatch");
    assert_eq!(leaf(|d| d.set(AKI, tlv(0x30, &[&tlv(0x80, &[&[1; 20]])]))), "key_identifier_mismatch");

    let (root, stranger) = (Ca::root(), Ca::root());
    assert_eq!(code(verify(&root.zone(), &[stranger.leaf(|_| {})])), "key_identifier_mismatch");
    let posing = stranger.leaf(|d| d.set(AKI, tlv(0x30, &[&tlv(0x80, &[&root.ski])])));
    assert_eq!(code(verify(&root.zone(), &[posing])), "signature_invalid");

    let middle = root.intermediate();
    let leaf = middle.leaf(|_| {});
    assert_eq!(code(verify(&root.zone(), &[middle.der.clone(), leaf.clone()])), "leaf_is_ca");
    assert_eq!(code(verify(&root.zone(), &[root.leaf(|_| {}), middle.der.clone()])), "chain_not_linear");
    assert_eq!(code(verify(&root.zone(), &[leaf])), "untrusted_root");
    assert_eq!(intermediate(|d| d.remove(SKI)), "key_identifier_mismatch");
    let astray = middle.leaf(|d| d.set(AKI, tlv(0x30, &[&tlv(0x80, &[&root.ski])])));
    assert_eq!(code(verify(&root.zone(), &[astray, middle.der.clone()])), "key_identifier_mismatch");
}

#[test]
fn intermediate_without_key_cert_sign_is_refused() {
    assert_eq!(intermediate(|d| d.set(KU, vec![3, 2, 1, 2])), "issuer_key_usage");
    assert_eq!(intermediate(|d| d.set(KU, vec![3, 2, 7, 0x80])), "issuer_key_usage");
    assert_eq!(intermediate(|d| d.remove(KU)), "issuer_key_usage");
    assert_eq!(intermediate(|d| d.remove(BC)), "issuer_not_ca");
    assert_eq!(intermediate(|d| d.set(BC, tlv(0x30, &[]))), "issuer_not_ca");
    assert_eq!(intermediate(|d| d.set(BC, ca(None))), "intermediate_profile");
    assert_eq!(intermediate(|d| d.set(BC, ca(Some(1)))), "intermediate_profile");
    assert_eq!(intermediate(|d| d.remove(SAN)), "intermediate_profile");
    assert_eq!(intermediate(|d| d.set(SAN, sans(&[uri("spiffe://zone-b.internal")]))), "intermediate_profile");
    assert_eq!(intermediate(|d| d.remove(EKU)), "intermediate_profile");
    assert_eq!(intermediate(|d| d.set(EKU, tlv(0x30, &[CLIENT]))), "intermediate_profile");
}

#[test]
fn row_18_and_19_one_intermediate_and_every_signature() {
    let root = Ca::root();
    let upper = root.intermediate();
    let lower = upper.intermediate();
    assert_eq!(code(verify(&root.zone(), &[lower.leaf(|_| {}), lower.der.clone(), upper.der])), "path_length_exceeded");
    let narrow = Ca::root_with(|d| d.set(BC, ca(Some(0))));
    let middle = narrow.intermediate();
    assert_eq!(code(verify(&narrow.zone(), &[middle.leaf(|_| {}), middle.der.clone()])), "path_length_exceeded");

    for which in 0..2 {
        let middle = root.intermediate();
        let mut chain = [middle.leaf(|_| {}), middle.der.clone()];
        *chain[which].last_mut().unwrap() ^= 1;
        let rejection = verify(&root.zone(), &chain).unwrap_err();
        assert_eq!((rejection.code(), rejection.at()), ("signature_invalid", Position::Certificate(which)));
    }
}

#[test]
fn rows_20_and_21_validity_has_no_grace() {
    let root = Ca::root();
    let chain = [root.leaf(|_| {})];
    let when = |now| code(root.zone().verify(&chain, Role::Server, None, &Admit::all_members(), now));
    assert_eq!(when(at(NOW - 300)), "ok");
    assert_eq!(when(at(NOW - 301)), "not_yet_valid");
    assert_eq!(when(at(NOW + 86_400)), "ok");
    assert_eq!(when(at(NOW + 86_400) + std::time::Duration::from_millis(1)), "expired");
    assert_eq!(intermediate(|d| d.not_before = NOW + 1), "not_yet_valid");
    assert_eq!(intermediate(|d| d.not_after = NOW - 1), "expired");
    assert_eq!(intermediate(|d| d.not_after = NOW + 1), "outlives_issuer");
    assert_eq!(intermediate(|d| d.not_after = NOW + 3_651 * 86_400), "outlives_issuer");
    assert_eq!(leaf(|d| d.not_after = d.not_before + 7 * 86_400 + 601), "validity_too_long");
    assert_eq!(leaf(|d| d.not_after = d.not_before + 7 * 86_400 + 600), "crl_missing");
    assert_eq!(leaf(|d| d.not_after = d.not_before + 25 * 3_600), "ok");
    assert_eq!(leaf(|d| d.not_after = d.not_before + 25 * 3_600 + 1), "crl_missing");
}

#[test]
fn expired_root_is_refused() {
    for (change, due) in [(NOW - 1, "expired"), (NOW + 86_399, "outlives_issuer")] {
        let root = Ca::root_with(|d| d.not_after = change);
        let rejection = verify(&root.zone(), &[root.leaf(|_| {})]).unwrap_err();
        assert_eq!(rejection.code(), due);
    }
    let root = Ca::root_with(|d| d.not_before = NOW + 1);
    let rejection = verify(&root.zone(), &[root.leaf(|_| {})]).unwrap_err();
    assert_eq!((rejection.code(), rejection.at()), ("not_yet_valid", Position::Root));
}

fn constrained(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> &'static str {
    let list = |tag, names: &[Vec<u8>]| {
        let subtrees: Vec<_> = names.iter().map(|name| tlv(0x30, &[name])).collect();
        if names.is_empty() { Vec::new() } else { tlv(tag, &[&subtrees.concat()]) }
    };
    let value = tlv(0x30, &[&list(0xa0, permitted), &list(0xa1, excluded)]);
    intermediate(|d| d.push(ext(NC, true, value)))
}

#[test]
fn uri_constraint_is_enforced() {
    assert_eq!(constrained(&[uri(ZONE)], &[]), "ok");
    assert_eq!(constrained(&[uri("zone-b.internal")], &[]), "name_constraint_violated");
    assert_eq!(constrained(&[], &[uri(ZONE)]), "name_constraint_violated");
    assert_eq!(constrained(&[dns("svc.zone-a.internal")], &[]), "ok");
    assert_eq!(constrained(&[dns("zone-b.internal")], &[]), "name_constraint_violated");
    assert_eq!(constrained(&[], &[dns("")]), "name_constraint_violated");
    let everywhere = [tlv(0x87, &[&[0; 8]]), tlv(0x87, &[&[0; 32]])];
    assert_eq!(constrained(&[dns("zone-a.internal")], &everywhere), "ok");
    assert_eq!(constrained(&[], &[tlv(0x87, &[&[0; 7]])]), "name_constraint_unsupported");
    assert_eq!(constrained(&[tlv(0xa4, &[&name("a", "b")])], &[]), "name_constraint_unsupported");
    assert_eq!(constrained(&[], &[tlv(0x81, &[b"a.b"])]), "name_constraint_unsupported");
}

#[test]
fn rows_24_and_25_name_and_admission_are_the_callers() {
    let root = Ca::root();
    let chain = [root.leaf(|_| {})];
    let check = |name: &str, admit: &Admit| {
        let expected = ExpectedName::parse(name).unwrap();
        code(root.zone().verify(&chain, Role::Server, Some(&expected), admit, at(NOW)))
    };
    let (all, nobody) = (Admit::all_members(), Admit::ids(Vec::<String>::new()));
    assert_eq!(check("spiffe://zone-a.internal/svc/engine/node/n7", &all), "ok");
    assert_eq!(check("n7.svc.zone-a.internal", &all), "ok");
    assert_eq!(check("spiffe://zone-a.internal/svc/engine/node/n8", &all), "name_mismatch");
    assert_eq!(check("svc.zone-a.internal", &nobody), "name_mismatch");
    assert_eq!(check("n7.svc.zone-a.internal", &nobody), "peer_not_authorised");
    assert_eq!(check("n7.svc.zone-a.internal", &Admit::ids(["svc/proxy/*"])), "peer_not_authorised");
    assert_eq!(check("n7.svc.zone-a.internal", &Admit::ids(["svc/engine/*"])), "ok");
    for bad in ["N7.svc", "spiffe://zone-a.internal", "10.0.0.1", "https://a/b"] {
        assert_eq!(ExpectedName::parse(bad).unwrap_err().code(), "name_malformed");
    }
}

#[derive(Debug, Default)]
struct Events(Mutex<Vec<String>>);

impl Observer for Events {
    fn observe(&self, event: &Event<'_>) {
        let code = if let Event::PeerRejected { rejection, .. } = event { rejection.code() } else { "" };
        self.0.lock().unwrap().push(format!("{} {code}", event.name()));
    }
}

#[test]
fn observer_is_told_the_reason() {
    let root = Ca::root();
    let events = Arc::new(Events::default());
    let zone = root.zone().observer(Arc::<Events>::clone(&events));
    verify(&zone, &[root.leaf(|_| {})]).unwrap();
    verify(&zone, &[root.leaf(|d| d.remove(EKU))]).unwrap_err();
    assert_eq!(*events.0.lock().unwrap(), ["peer.admitted ", "peer.rejected eku_missing"]);
}

#[test]
fn remembered_chain_is_judged_again_but_for_signatures() {
    let root = Ca::root();
    let zone = root.zone();
    let chain = [root.leaf(|_| {})];
    verify(&zone, &chain).unwrap();
    let again = |role, admit: &Admit, now| code(zone.verify(&chain, role, None, admit, now));
    let all = Admit::all_members();
    assert_eq!(again(Role::Server, &all, at(NOW)), "ok");
    assert_eq!(again(Role::Client, &all, at(NOW)), "eku_wrong_role");
    assert_eq!(again(Role::Server, &all, at(NOW + 86_401)), "expired");
    assert_eq!(again(Role::Server, &Admit::ids(["svc/proxy/*"]), at(NOW)), "peer_not_authorised");
    let mut forged = chain[0].clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(code(verify(&zone, &[forged])), "signature_invalid");
    let epoch = zone.revocation_epoch();
    zone.replace_bundle(Bundle::new(&[Ca::root().der]).unwrap()).unwrap();
    assert_eq!((again(Role::Server, &all, at(NOW)), zone.revocation_epoch()), ("key_identifier_mismatch", epoch + 1));
}
