//! Checkpoints and proofs of a stranger: none verifies under a key that signed nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qsec_audit::{Checkpoint, ConsistencyProof, InclusionProof, SigningKey, VerifierKey};

fuzz_target!(|text: &str| {
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
});
