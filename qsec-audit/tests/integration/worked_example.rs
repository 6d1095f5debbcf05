//! The worked example of the format: checkpoint, proof and key, byte for byte.

use qsec_audit::{Checkpoint, InclusionProof, SigningKey, VerifierKey, merkle};

const ORIGIN: &str = "qsec.example/n1/acme";
const VKEY: &str = "qsec.example/n1/acme+cbb89b36+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const LEAVES: [&str; 2] = [include_str!("../data/leaf0.json"), include_str!("../data/leaf1.json")];
const PROOF: &str = include_str!("../data/leaf1.tlog-proof");

fn key() -> SigningKey {
    let seed: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
    SigningKey::from_seed(&seed).unwrap()
}

#[test]
fn checkpoint_and_proof_are_reproduced_byte_for_byte() {
    let mut tree = merkle::Tree::new();
    for leaf in LEAVES {
        tree.push(merkle::leaf_hash(leaf.as_bytes()));
    }
    let note = Checkpoint::new(ORIGIN, 2, tree.root()).sign(&key()).unwrap();
    let proof = InclusionProof::new(1, tree.inclusion(1, 2).unwrap(), &note);
    assert_eq!(proof.encode(), PROOF);
    assert_eq!(key().verifier_key(ORIGIN).to_string(), VKEY);
}

#[test]
fn proof_of_the_example_verifies_for_its_leaf_alone() {
    let keys = [VerifierKey::parse(VKEY).unwrap()];
    let proof = InclusionProof::parse(PROOF).unwrap();
    assert_eq!(proof.verify(LEAVES[1].as_bytes(), &keys).unwrap().size(), 2);
    assert_eq!(proof.verify(LEAVES[0].as_bytes(), &keys).unwrap_err().code(), "proof_invalid");
    assert_eq!(proof.verify(LEAVES[1].as_bytes(), &[]).unwrap_err().code(), "checkpoint_unknown_key");
}

#[test]
fn proof_with_any_bit_flipped_is_refused() {
    let keys = [VerifierKey::parse(VKEY).unwrap()];
    for at in 0..PROOF.len() * 8 {
        let mut bytes = PROOF.as_bytes().to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let verdict = InclusionProof::parse(&text).and_then(|proof| proof.verify(LEAVES[1].as_bytes(), &keys));
        assert!(verdict.is_err(), "bit {at}");
    }
}

#[test]
fn proof_is_read_strictly_and_an_extra_line_is_accepted() {
    let keys = [VerifierKey::parse(VKEY).unwrap()];
    let extra = PROOF.replacen("index 1", "extra AAAA\nindex 1", 1);
    InclusionProof::parse(&extra).unwrap().verify(LEAVES[1].as_bytes(), &keys).unwrap();
    for (from, to) in [
        ("index 1", "index 01"),
        ("index 1", "index +1"),
        ("v1\n", "v2\n"),
        ("index 1", "extra A\nindex 1"),
        ("index 1\n", ""),
    ] {
        let error = InclusionProof::parse(&PROOF.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.code(), "proof_malformed", "{from} -> {to}");
    }
    let long = PROOF.replacen(
        "index 1\n",
        &format!("index 1\n{}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".repeat(63)),
        1,
    );
    assert_eq!(InclusionProof::parse(&long).unwrap_err().code(), "proof_malformed");
}
