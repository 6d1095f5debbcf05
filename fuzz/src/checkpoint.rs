//! Checkpoints and proofs of a stranger: none verifies under a key that signed nothing.

use qsec_audit::{Checkpoint, ConsistencyProof, InclusionProof, SigningKey, VerifierKey};

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let key = SigningKey::from_seed(&[7; 32]).expect("the seed is fixed");
    let keys = [key.verifier_key("qsec.example/n1")];
    assert!(Checkpoint::verify(text, &keys).is_err());
    let _ = VerifierKey::parse(text);
    if let Ok(proof) = InclusionProof::parse(text) {
        assert_eq!(proof.encode(), text);
        assert!(proof.verify(b"entry", &keys).is_err());
    }
    if let Ok(proof) = ConsistencyProof::parse(text) {
        assert_eq!(proof.encode(), text);
    }
}
