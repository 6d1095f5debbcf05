//! What is issued, and what is refused before it is.

use std::time::Duration;

use qsec_identity::{Algorithm, Issuer, Reason, TokenDraft, TokenType, VerifyingKey, inspect};
use serde_json::{Value, json};

use crate::workshop::{self, AUDIENCE, CERTIFICATE, ISSUER, NOW, Signer, now, policy, sha256};

fn issuer() -> Issuer {
    Issuer::new(ISSUER).unwrap()
}

fn access() -> TokenDraft {
    TokenDraft::access("ada", "spa").audience(AUDIENCE).tenant("t-acme")
}

fn code(draft: &TokenDraft) -> &'static str {
    let signer = Signer::new(Algorithm::Es256);
    issuer().issue(draft, signer.key(), now()).map_or_else(|error| error.code(), |_| "")
}

#[test]
fn access_token_is_that_of_rfc_9068() {
    let signer = Signer::new(Algorithm::Es256);
    let issued = issuer().issue(&access().scope("apps:read").actor("robot"), signer.key(), now()).unwrap();
    let seen = inspect(issued.token()).unwrap();
    let header: Value = serde_json::from_str(seen.header_json()).unwrap();
    assert_eq!(header, json!({"alg": "ES256", "kid": signer.kid(), "typ": "at+jwt"}));
    let claims: Value = serde_json::from_str(seen.claims_json()).unwrap();
    assert_eq!(
        claims,
        json!({
            "iss": ISSUER, "sub": "ada", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW, "jti": issued.jti(),
            "tenant_id": "t-acme", "scope": "apps:read", "act": {"sub": "robot"}, "client_id": "spa", "subType": "user",
        })
    );
    assert_eq!((seen.looks_like(), seen.warnings().len()), (&[TokenType::Access][..], 0));
    let principal = workshop::judge(&signer, policy(TokenType::Access), issued.token()).unwrap();
    assert_eq!(principal.actor(), Some("robot"));
}

#[test]
fn ids_of_tokens_are_random_and_of_128_bits() {
    let signer = Signer::new(Algorithm::Es256);
    let jti = || issuer().issue(&access(), signer.key(), now()).unwrap().jti().to_owned();
    let (one, other) = (jti(), jti());
    assert!(one.len() == 22 && one != other);
}

#[test]
fn life_is_bounded_by_the_type() {
    assert_eq!(code(&access().ttl(Duration::from_hours(24))), "");
    assert_eq!(code(&access().ttl(Duration::from_secs(86_401))), "ttl_out_of_range");
    assert_eq!(code(&access().ttl(Duration::ZERO)), "ttl_out_of_range");
    let txn =
        |seconds| TokenDraft::new(TokenType::Txn, "ada").audience("zone").scope("a").ttl(Duration::from_secs(seconds));
    assert_eq!((code(&txn(300)), code(&txn(301))), ("", "ttl_out_of_range"));
}

#[test]
fn what_our_own_validator_would_refuse_is_not_issued() {
    assert_eq!(code(&TokenDraft::new(TokenType::Access, "ada").audience(AUDIENCE)), "claim_missing");
    assert_eq!(code(&TokenDraft::access("ada", "spa")), "aud_mismatch");
    assert_eq!(code(&access().scope("a  b")), "claim_invalid");
    assert_eq!(code(&TokenDraft::access("a\nb", "spa").audience(AUDIENCE)), "claim_invalid");
    assert_eq!(code(&access().bind_thumbprint("short")), "claim_invalid");
    assert_eq!(code(&TokenDraft::new(TokenType::Txn, "ada").audience("zone")), "claim_missing");
    assert_eq!(code(&TokenDraft::new(TokenType::Session, "ada").audience("front")), "claim_missing");
    let gateway = TokenDraft::new(TokenType::Gateway, "gw").audience("control").tenant("t-acme");
    assert_eq!(code(&gateway), "binding_required");
    assert_eq!(code(&gateway.clone().bind_certificate(CERTIFICATE)), "");
    assert_eq!(code(&gateway.bind_thumbprint(sha256(b"key"))), "");
    for token_type in [TokenType::JwtIdp, TokenType::ClientAssertion] {
        assert_eq!(code(&TokenDraft::new(token_type, "x").audience("y")), "token_type_not_issued");
    }
    let large = access().claims_json(format!(r#"{{"x":"{}"}}"#, "x".repeat(12_000))).unwrap();
    assert_eq!(code(&large), "too_large");
}

#[test]
fn additional_claims_never_replace_those_of_the_issuer() {
    for name in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "cnf", "scope", "tenant_id", "subType", "act", "sid"]
    {
        let refused = access().claims_json(format!(r#"{{"{name}":1}}"#)).unwrap_err();
        assert_eq!(refused.code(), "claim_reserved", "{name}");
    }
    assert_eq!(access().claims_json("[]").unwrap_err().code(), "claims_not_json");
    assert_eq!(access().claims_json(r#"{"a":1,"a":2}"#).unwrap_err().code(), "claims_not_json");
    let twice = access().claims_json(r#"{"a":1}"#).unwrap().claims_json(r#"{"a":2}"#).unwrap();
    assert_eq!(code(&twice), "duplicate_member");
    let id = TokenDraft::new(TokenType::Id, "ada").audience("spa").claims_json(r#"{"name":"Ada","x":1.50}"#).unwrap();
    let signer = Signer::new(Algorithm::Es256);
    let issued = issuer().issue(&id, signer.key(), now()).unwrap();
    assert!(inspect(issued.token()).unwrap().claims_json().contains("\"x\":1.50"));
}

#[test]
fn key_elsewhere_signs_in_two_phases_and_a_wrong_signature_never_leaves() {
    let (signer, other) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let prepare = || issuer().prepare(&access(), signer.public(), now()).unwrap();
    let prepared = prepare();
    let signature = signer.sign(prepared.signing_input());
    let issued = prepared.finish(&signature).unwrap();
    assert!(workshop::judge(&signer, policy(TokenType::Access), issued.token()).is_ok());
    let prepared = prepare();
    let signature = other.sign(prepared.signing_input());
    assert_eq!(prepared.finish(&signature).unwrap_err().code(), "signature_invalid");
}

#[test]
fn key_without_a_name_signs_nothing() {
    let signer = Signer::new(Algorithm::Es256);
    let mut jwk = signer.jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    let nameless = VerifyingKey::parse(jwk.to_string()).unwrap();
    assert_eq!(issuer().prepare(&access(), &nameless, now()).unwrap_err().code(), "key_unsuitable");
    assert_eq!(Issuer::new("").unwrap_err().code(), "issuer_invalid");
}

#[test]
fn debug_form_of_an_issued_token_hides_it() {
    let signer = Signer::new(Algorithm::Es256);
    let issued = issuer().issue(&access(), signer.key(), now()).unwrap();
    assert!(!format!("{issued:?}").contains(issued.token()));
}

#[test]
fn principal_serialises_to_the_answer_of_the_program() {
    let signer = Signer::new(Algorithm::Es256);
    let issued = issuer().issue(&access().scope("apps:read"), signer.key(), now()).unwrap();
    let principal = workshop::judge(&signer, policy(TokenType::Access), issued.token()).unwrap();
    assert_eq!(
        serde_json::to_value(&principal).unwrap(),
        json!({
            "tenant": "t-acme", "kind": "user", "subject": "ada", "issuer": ISSUER, "token_type": "access",
            "client_id": "spa", "scopes": ["apps:read"], "groups": [], "name": null, "email": null,
            "email_verified": null, "actor": null, "binding": "none", "jti": issued.jti(), "issued_at": NOW,
            "expires_at": NOW + 600,
        })
    );
}

#[test]
fn inspection_never_verifies_and_says_so() {
    let unsigned = format!("{}.{}.", workshop::base64url(r#"{"alg":"none"}"#), workshop::base64url(r#"{"exp":"x"}"#));
    let seen = inspect(&unsigned).unwrap();
    let answer: Value = serde_json::from_str(&seen.to_json()).unwrap();
    assert_eq!((&answer["verified"], &answer["bytes"]), (&json!(false), &json!(unsigned.len())));
    for warning in ["no signature", "alg is none", "no kid", "no jti", "exp is not an integer"] {
        assert!(seen.warnings().iter().any(|found| found == warning), "{warning}");
    }
    assert_eq!(inspect("a.b").unwrap_err().reason(), Reason::NotCompactJws);
    assert_eq!(inspect("e30..").unwrap_err().reason(), Reason::NotCompactJws);
}
