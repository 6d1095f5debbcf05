//! Proof of possession, and single use.

use qsec_identity::store::{BoxFuture, MemoryStore, StoreError};
use qsec_identity::{
    Algorithm, Binding, Presented, Principal, PublicCode, Reason, Rejection, ReplayStore, TokenPolicy, TokenType,
    Validator,
};
use serde_json::{Value, json};
use std::time::SystemTime;

use crate::workshop::{self, CERTIFICATE, NOW, Signer, base64url, now, policy, sha256};

const URL: &str = "https://api.acme.example/apps";

struct Bound {
    issuer: Signer,
    holder: Signer,
}

impl Bound {
    fn new() -> Self {
        Self { issuer: Signer::new(Algorithm::Es256), holder: Signer::new(Algorithm::Es256) }
    }

    fn token(&self, confirmation: &Value) -> String {
        let mut claims = workshop::default_claims(TokenType::Access);
        claims["cnf"] = confirmation.clone();
        self.issuer.token(TokenType::Access, &claims)
    }

    fn jkt(&self) -> Value {
        json!({"jkt": self.holder.public().thumbprint().unwrap()})
    }

    fn proof(&self, token: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let mut header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.holder.jwk()});
        let mut claims = json!({"jti": "p-1", "htm": "GET", "htu": URL, "iat": NOW, "ath": sha256(token.as_bytes())});
        change(&mut header, &mut claims);
        self.holder.token_with(&header, &claims)
    }

    fn judge(&self, policy: TokenPolicy, token: &str, presented: &Presented) -> Result<Principal, Rejection> {
        Validator::new(policy, self.issuer.keys()).unwrap().validate(token, presented, now())
    }

    fn reason(&self, confirmation: &Value, presented: &Presented) -> Result<Binding, Reason> {
        let token = self.token(confirmation);
        let answer = self.judge(policy(TokenType::Access), &token, presented);
        answer.map(|principal| principal.binding()).map_err(|rejection| rejection.reason())
    }
}

#[test]
fn bound_token_without_its_proof_is_refused_whatever_the_policy() {
    let bound = Bound::new();
    let certificate = json!({"x5t#S256": sha256(CERTIFICATE)});
    assert_eq!(bound.reason(&certificate, &Presented::bearer()), Err(Reason::BindingMissing));
    assert_eq!(bound.reason(&bound.jkt(), &Presented::bearer()), Err(Reason::BindingMissing));
    assert_eq!(bound.reason(&bound.jkt(), &workshop::presented()), Err(Reason::BindingMissing));
}

#[test]
fn certificate_of_the_connection_must_be_the_one_in_the_token() {
    let bound = Bound::new();
    let confirmation = json!({"x5t#S256": sha256(CERTIFICATE)});
    assert_eq!(bound.reason(&confirmation, &workshop::presented()), Ok(Binding::Mtls));
    let other = Presented::bearer().client_certificate(b"another certificate");
    assert_eq!(bound.reason(&confirmation, &other), Err(Reason::BindingMismatch));
}

#[test]
fn unknown_ways_to_bind_are_refused_not_ignored() {
    let bound = Bound::new();
    let presented = workshop::presented();
    assert_eq!(bound.reason(&json!({}), &presented), Err(Reason::BindingUnsupported));
    assert_eq!(bound.reason(&json!({"jwk": {}}), &presented), Err(Reason::BindingUnsupported));
    let both = json!({"x5t#S256": sha256(CERTIFICATE), "kid": "k"});
    assert_eq!(bound.reason(&both, &presented), Err(Reason::BindingUnsupported));
}

#[test]
fn policy_can_demand_a_binding() {
    let bound = Bound::new();
    let token = bound.issuer.token(TokenType::Access, &workshop::default_claims(TokenType::Access));
    let demanding = policy(TokenType::Access).require_binding();
    let rejection = bound.judge(demanding, &token, &workshop::presented()).unwrap_err();
    assert_eq!(rejection.reason(), Reason::BindingRequired);
    let principal = bound.judge(policy(TokenType::Access), &token, &workshop::presented()).unwrap();
    assert_eq!(principal.binding(), Binding::None);
}

#[test]
fn proof_of_the_right_key_for_this_request_and_token_is_accepted() {
    let bound = Bound::new();
    let token = bound.token(&bound.jkt());
    let proof = bound.proof(&token, |_, _| ());
    let presented = Presented::bearer().dpop(proof, "GET", format!("{URL}?page=2"));
    let principal = bound.judge(policy(TokenType::Access), &token, &presented).unwrap();
    assert_eq!((principal.binding(), principal.replay_keys().len()), (Binding::Dpop, 1));
    assert_eq!(principal.replay_keys()[0].keep_until(), workshop::at(NOW + 60));
}

#[test]
fn token_can_be_bound_to_both() {
    let bound = Bound::new();
    let mut confirmation = bound.jkt();
    confirmation["x5t#S256"] = json!(sha256(CERTIFICATE));
    let token = bound.token(&confirmation);
    let proof = bound.proof(&token, |_, _| ());
    let presented =
        |certificate: &[u8]| Presented::bearer().client_certificate(certificate).dpop(proof.as_str(), "GET", URL);
    let judge = |presented: Presented| bound.judge(policy(TokenType::Access), &token, &presented);
    assert_eq!(judge(presented(CERTIFICATE)).unwrap().binding(), Binding::DpopAndMtls);
    assert_eq!(judge(presented(b"other")).unwrap_err().reason(), Reason::BindingMismatch);
    let without = Presented::bearer().dpop(proof.as_str(), "GET", URL);
    assert_eq!(judge(without).unwrap_err().reason(), Reason::BindingMissing);
}

#[test]
fn every_fault_of_a_proof_has_one_answer() {
    let bound = Bound::new();
    let token = bound.token(&bound.jkt());
    let changes: [fn(&mut Value, &mut Value); 19] = [
        |header, _| header["typ"] = json!("JWT"),
        |header, _| header["alg"] = json!("HS256"),
        |header, _| header["alg"] = json!("none"),
        |header, _| header["alg"] = json!("ES384"),
        |header, _| header["jku"] = json!("https://evil.example"),
        |header, _| header["crit"] = json!([]),
        |header, _| header["jwk"]["d"] = json!("AA"),
        |header, _| header["jwk"]["use"] = json!("enc"),
        |header, _| header["jwk"] = json!("x"),
        |header, _| {
            header.as_object_mut().unwrap().remove("jwk");
        },
        |_, claims| claims["htm"] = json!("get"),
        |_, claims| claims["htu"] = json!("https://api.acme.example/other"),
        |_, claims| claims["iat"] = json!(NOW - 61),
        |_, claims| claims["iat"] = json!(NOW + 31),
        |_, claims| claims["iat"] = json!("now"),
        |_, claims| claims["ath"] = json!(sha256(b"another token")),
        |_, claims| claims["jti"] = json!(""),
        |_, claims| {
            claims.as_object_mut().unwrap().remove("jti");
        },
        |_, claims| {
            claims.as_object_mut().unwrap().remove("ath");
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let presented = Presented::bearer().dpop(bound.proof(&token, change), "GET", URL);
        let rejection = bound.judge(policy(TokenType::Access), &token, &presented).unwrap_err();
        assert_eq!(rejection.reason(), Reason::DpopInvalid, "{index}");
        assert_eq!(rejection.public(), PublicCode::InvalidDpopProof);
    }
    for proof in ["", "a.b", "e30.e30.AA", &"A".repeat(9000)] {
        let presented = Presented::bearer().dpop(proof, "GET", URL);
        let rejection = bound.judge(policy(TokenType::Access), &token, &presented).unwrap_err();
        assert_eq!(rejection.reason(), Reason::DpopInvalid, "{proof}");
    }
    for iat in [NOW - 60, NOW + 30] {
        let proof = bound.proof(&token, |_, claims| claims["iat"] = json!(iat));
        let presented = Presented::bearer().dpop(proof, "GET", URL);
        assert!(bound.judge(policy(TokenType::Access), &token, &presented).is_ok(), "{iat}");
    }
}

#[test]
fn proof_of_another_key_or_with_an_unbound_token_is_a_mismatch() {
    let bound = Bound::new();
    let token = bound.token(&json!({"jkt": base64url([7; 32])}));
    let presented = Presented::bearer().dpop(bound.proof(&token, |_, _| ()), "GET", URL);
    let rejection = bound.judge(policy(TokenType::Access), &token, &presented).unwrap_err();
    assert_eq!((rejection.reason(), rejection.public()), (Reason::BindingMismatch, PublicCode::InvalidDpopProof));
    let unbound = bound.issuer.token(TokenType::Access, &workshop::default_claims(TokenType::Access));
    let presented = Presented::bearer().dpop(bound.proof(&unbound, |_, _| ()), "GET", URL);
    let rejection = bound.judge(policy(TokenType::Access), &unbound, &presented).unwrap_err();
    assert_eq!(rejection.reason(), Reason::BindingMismatch);
}

fn once(validator: &Validator, token: &str, store: &dyn ReplayStore) -> Result<Principal, Reason> {
    let answer = pollster::block_on(validator.validate_once(token, &workshop::presented(), store, now()));
    answer.map_err(|rejection| rejection.reason())
}

#[test]
fn single_use_tokens_are_accepted_once_in_each_tenant() {
    for token_type in [TokenType::JwtIdp, TokenType::ClientAssertion] {
        let (signer, store) = (Signer::new(Algorithm::Es256), MemoryStore::new());
        let token = signer.token(token_type, &workshop::default_claims(token_type));
        let validator = Validator::new(policy(token_type), signer.keys()).unwrap();
        assert!(once(&validator, &token, &store).is_ok());
        assert_eq!(once(&validator, &token, &store), Err(Reason::Replayed), "{token_type}");
        let elsewhere = Validator::new(policy(token_type).tenant("t-beta"), signer.keys()).unwrap();
        assert!(once(&elsewhere, &token, &store).is_ok());
    }
}

#[test]
fn token_that_is_refused_for_another_cause_does_not_use_up_its_id() {
    let (signer, store) = (Signer::new(Algorithm::Es256), MemoryStore::new());
    let token = signer.token(TokenType::JwtIdp, &workshop::default_claims(TokenType::JwtIdp));
    let elsewhere = TokenPolicy::jwt_idp(workshop::ISSUER).audience("elsewhere").algorithms([Algorithm::Es256]);
    let refusing = Validator::new(elsewhere.tenant("t-acme"), signer.keys()).unwrap();
    assert_eq!(once(&refusing, &token, &store), Err(Reason::AudMismatch));
    let accepting = Validator::new(policy(TokenType::JwtIdp), signer.keys()).unwrap();
    assert!(once(&accepting, &token, &store).is_ok());
}

#[test]
fn entry_is_kept_until_the_token_has_expired_for_every_clock() {
    let signer = Signer::new(Algorithm::Es256);
    let token = signer.token(TokenType::JwtIdp, &workshop::default_claims(TokenType::JwtIdp));
    let lenient = policy(TokenType::JwtIdp).exp_leeway(std::time::Duration::from_secs(10));
    let principal = workshop::judge(&signer, lenient, &token).unwrap();
    assert_eq!(principal.replay_keys()[0].keep_until(), workshop::at(NOW + 250 + 10 + 30));
    assert_eq!(principal.replay_keys()[0].tenant(), "t-acme");
}

#[derive(Debug)]
struct Away;

impl ReplayStore for Away {
    fn insert<'a>(
        &'a self,
        _tenant: &'a str,
        _key: &'a [u8; 32],
        _keep_until: SystemTime,
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async { Err(StoreError::Unavailable("no route".into())) })
    }
}

#[test]
fn store_that_is_away_accepts_nothing() {
    let signer = Signer::new(Algorithm::Es256);
    let token = signer.token(TokenType::JwtIdp, &workshop::default_claims(TokenType::JwtIdp));
    let validator = Validator::new(policy(TokenType::JwtIdp), signer.keys()).unwrap();
    let answer = pollster::block_on(validator.validate_once(&token, &Presented::bearer(), &Away, now()));
    let rejection = answer.unwrap_err();
    assert_eq!(rejection.reason(), Reason::StoreUnavailable);
    assert_eq!(rejection.public(), PublicCode::TemporarilyUnavailable);
}
