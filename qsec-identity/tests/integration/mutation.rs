//! A token that was changed anywhere is never accepted, and no input makes the validator panic.

use proptest::prelude::*;
use qsec_identity::{Algorithm, KeySet, Presented, TokenPolicy, TokenType, Validator, inspect};

use crate::workshop::{self, Signer, now, presented};

fn fixture() -> (String, Validator) {
    let signer = Signer::new(Algorithm::Es256);
    let token = signer.token(TokenType::Access, &workshop::default_claims(TokenType::Access));
    let validator = Validator::new(workshop::policy(TokenType::Access), signer.keys()).unwrap();
    assert!(validator.validate(&token, &presented(), now()).is_ok());
    (token, validator)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_octet_changed_is_never_accepted(at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let (token, validator) = fixture();
        let mut octets = token.into_bytes();
        let at = at.index(octets.len());
        prop_assume!(octets[at] != octet);
        octets[at] = octet;
        prop_assert!(validator.validate(&octets, &presented(), now()).is_err());
    }

    #[test]
    fn octets_inserted_or_removed_are_never_accepted(at in any::<prop::sample::Index>(), more in proptest::collection::vec(any::<u8>(), 0..4)) {
        let (token, validator) = fixture();
        let mut octets = token.into_bytes();
        let at = at.index(octets.len());
        if more.is_empty() { octets.remove(at); } else { octets.splice(at..at, more); }
        prop_assert!(validator.validate(&octets, &presented(), now()).is_err());
    }

    #[test]
    fn any_text_is_answered(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let validator = Validator::new(workshop::policy(TokenType::Access), KeySet::parse(r#"{"keys":[]}"#).unwrap()).unwrap();
        prop_assert!(validator.validate(&text, &Presented::bearer(), now()).is_err());
        let _ = (inspect(&text), KeySet::parse(&text), TokenPolicy::parse(&text));
    }
}

#[test]
fn every_proper_prefix_is_refused() {
    let (token, validator) = fixture();
    for end in 0..token.len() {
        assert!(validator.validate(&token[..end], &presented(), now()).is_err(), "{end}");
    }
}

#[test]
fn high_s_twin_of_a_signature_is_accepted_and_is_why_no_rule_is_keyed_on_the_text() {
    // n - s: the same signature by RFC 7515, another text. Replay is keyed on `jti` for this reason.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let signer = Signer::new(Algorithm::Es256);
    let header = workshop::header(&signer, TokenType::Access).to_string();
    let payload = workshop::default_claims(TokenType::Access).to_string();
    let input = format!("{}.{}", workshop::base64url(header), workshop::base64url(payload));
    let mut signature = signer.sign(input.as_bytes());
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let digit = i16::from(ORDER[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(digit < 0);
        signature[32 + at] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    let twin = format!("{input}.{}", workshop::base64url(signature));
    assert!(workshop::judge(&signer, workshop::policy(TokenType::Access), &twin).is_ok());
}
