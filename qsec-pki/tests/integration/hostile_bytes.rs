//! Certificates with one byte changed or cut off: refused, never a panic, never another certificate.

use proptest::prelude::*;
use qsec_pki::{Admit, Bundle, Certificate, LeafProfile, Role, TrustZone};

use crate::forge::{Ca, NOW, at, authority, issue};

fn accepts(zone: &TrustZone, chain: &[Vec<u8>]) -> bool {
    zone.verify(chain, Role::Server, None, &Admit::all_members(), at(NOW)).is_ok()
}

#[test]
fn every_byte_of_a_leaf_counts() {
    let authority = authority(at(NOW));
    let (chain, _) = issue(&authority, &LeafProfile::server("svc/engine/node/n7").dns(["n7.svc"]), at(NOW));
    let zone = TrustZone::new(authority.bundle());
    assert!(accepts(&zone, &chain));
    for index in 0..chain[0].len() {
        for change in [0x01, 0x20, 0x80, 0xff] {
            let mut leaf = chain[0].clone();
            leaf[index] ^= change;
            assert!(!accepts(&zone, &[leaf]), "byte {index} xor {change:x}");
        }
    }
    for end in 0..chain[0].len() {
        assert!(!accepts(&zone, &[chain[0][..end].to_vec()]), "cut at {end}");
    }
}

#[test]
fn every_byte_of_a_root_counts() {
    let root = Ca::root().der;
    for index in 0..root.len() {
        let mut changed = root.clone();
        changed[index] ^= 0x01;
        assert_eq!(Bundle::new(&[changed]).unwrap_err().code(), "root_unacceptable", "byte {index}");
    }
    for end in 0..root.len() {
        assert!(Bundle::new(&[&root[..end]]).is_err());
    }
}

#[test]
fn every_byte_of_an_intermediate_counts() {
    let root = Ca::root();
    let middle = root.intermediate();
    let (zone, leaf) = (root.zone(), middle.leaf(|_| {}));
    assert!(accepts(&zone, &[leaf.clone(), middle.der.clone()]));
    for index in 0..middle.der.len() {
        let mut changed = middle.der.clone();
        changed[index] ^= 0x01;
        assert!(!accepts(&zone, &[leaf.clone(), changed]), "byte {index}");
    }
}

proptest! {
    #[test]
    fn damage_is_judged_without_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let root = Ca::root();
        let mut leaf = root.leaf(|_| {});
        for (index, byte) in cuts {
            let at = index.index(leaf.len());
            leaf[at] = byte;
        }
        leaf.truncate(keep.index(leaf.len()) + 1);
        let _ = Certificate::parse(&leaf);
        let _ = qsec_pki::CertificateRequest::parse(&leaf);
        prop_assert!(qsec_pki::Crls::read(&[&leaf]).len() == 1);
    }

    #[test]
    fn junk_is_judged_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Certificate::parse(&bytes).is_err());
        prop_assert!(qsec_pki::CertificateRequest::parse(&bytes).is_err());
    }
}
