//! Logins by a customer's own back end.

use qsec_identity::{Algorithm, JwtProvider, LOGIN_AUDIENCE, Login, Providers, Reason, TokenType};
use serde_json::{Value, json};

use crate::workshop::{self, Signer, now, presented};

const BACKEND: &str = "https://backend.example";

fn configuration(signer: &Signer, issuer: &str) -> Value {
    json!({"issuer": issuer, "keys": {"keys": [signer.jwk()]}, "algorithms": ["ES256"]})
}

fn provider(configuration: &Value) -> JwtProvider {
    JwtProvider::parse(configuration.to_string()).unwrap()
}

fn code(configuration: &Value) -> Option<&'static str> {
    JwtProvider::parse(configuration.to_string()).err().map(|error| error.code())
}

fn claims(issuer: &str) -> Value {
    workshop::claims(TokenType::JwtIdp, issuer, LOGIN_AUDIENCE, "t-acme")
}

fn login(providers: &Providers, token: &str) -> Result<Login, Reason> {
    providers.login(token, &presented(), now()).map_err(|rejection| rejection.reason())
}

#[test]
fn token_of_a_configured_back_end_logs_in() {
    let signer = Signer::new(Algorithm::Es256);
    let mut configuration = configuration(&signer, BACKEND);
    configuration["groups_prefix"] = json!("b:");
    configuration["email_domains"] = json!(["acme.example"]);
    let mut providers = Providers::new("t-acme");
    providers.add("idp_2", provider(&configuration)).unwrap();
    let mut claims = claims(BACKEND);
    claims["groups"] = json!(["finance"]);
    let token = signer.token(TokenType::JwtIdp, &claims);
    let login = login(&providers, &token).unwrap();
    assert_eq!((login.provider(), login.method()), ("idp_2", "jwt"));
    assert_eq!(login.principal().groups(), ["b:finance"]);
    assert_eq!(login.principal().tenant(), Some("t-acme"));
    assert_eq!(login.principal().replay_keys().len(), 1);
    assert!(login.may_link_by_email() && !login.create_user() && !login.groups_incomplete());
}

#[test]
fn keys_of_one_provider_never_verify_the_tokens_of_another() {
    let (a, b) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let mut providers = Providers::new("t-acme");
    providers.add("a", provider(&configuration(&a, "https://a.example"))).unwrap();
    providers.add("b", provider(&configuration(&b, "https://b.example"))).unwrap();
    let forged = a.token(TokenType::JwtIdp, &claims("https://b.example"));
    assert_eq!(login(&providers, &forged), Err(Reason::UnknownKey));
    let named = a.token_with(&json!({"alg": "ES256", "kid": b.kid()}), &claims("https://b.example"));
    assert_eq!(login(&providers, &named), Err(Reason::SignatureInvalid));
    let own = a.token(TokenType::JwtIdp, &claims("https://a.example"));
    assert_eq!(login(&providers, &own).unwrap().provider(), "a");
}

#[test]
fn provider_of_another_tenant_does_not_exist() {
    let signer = Signer::new(Algorithm::Es256);
    let token = signer.token(TokenType::JwtIdp, &claims(BACKEND));
    assert_eq!(login(&Providers::new("t-beta"), &token), Err(Reason::IssMismatch));
    let mut named_tenant = claims(BACKEND);
    named_tenant["tenant_id"] = json!("t-acme");
    let mut providers = Providers::new("t-beta");
    providers.add("idp", provider(&configuration(&signer, BACKEND))).unwrap();
    let token = signer.token(TokenType::JwtIdp, &named_tenant);
    assert_eq!(login(&providers, &token), Err(Reason::TenantMismatch));
}

#[test]
fn issuer_and_id_are_taken_once_in_a_tenant() {
    let signer = Signer::new(Algorithm::Es256);
    let mut providers = Providers::new("t-acme");
    providers.add("a", provider(&configuration(&signer, BACKEND))).unwrap();
    let again = providers.add("b", provider(&configuration(&signer, BACKEND)));
    assert_eq!(again.unwrap_err().code(), "issuer_taken");
    let same_id = providers.add("a", provider(&configuration(&signer, "https://other.example")));
    assert_eq!(same_id.unwrap_err().code(), "provider_exists");
    for n in 1..64 {
        let issuer = format!("https://p{n}.example");
        providers.add(format!("p{n}"), provider(&configuration(&signer, &issuer))).unwrap();
    }
    let more = providers.add("more", provider(&configuration(&signer, "https://more.example")));
    assert_eq!(more.unwrap_err().code(), "too_many_providers");
}

#[test]
fn groups_that_did_not_fit_are_none_and_the_login_says_so() {
    let signer = Signer::new(Algorithm::Es256);
    let mut providers = Providers::new("t-acme");
    providers.add("idp", provider(&configuration(&signer, BACKEND))).unwrap();
    let mut claims = claims(BACKEND);
    claims["_claim_names"] = json!({"groups": "src1"});
    claims["groups"] = json!(["some"]);
    let login = login(&providers, &signer.token(TokenType::JwtIdp, &claims)).unwrap();
    assert!(login.groups_incomplete() && login.principal().groups().is_empty());
}

#[test]
fn unverified_or_foreign_address_never_links() {
    let signer = Signer::new(Algorithm::Es256);
    let mut configuration = configuration(&signer, BACKEND);
    configuration["email_domains"] = json!(["acme.example"]);
    let mut providers = Providers::new("t-acme");
    providers.add("idp", provider(&configuration)).unwrap();
    let links = |email: &str, verified: bool| {
        let mut claims = claims(BACKEND);
        claims["email"] = json!(email);
        claims["email_verified"] = json!(verified);
        login(&providers, &signer.token(TokenType::JwtIdp, &claims)).unwrap().may_link_by_email()
    };
    assert!(links("ada@acme.example", true) && links("ada@ACME.example", true));
    assert!(!links("ada@acme.example", false));
    assert!(!links("ada@acme.example@evil.example", true) && !links("acme.example", true));
}

#[test]
fn configuration_is_strict() {
    let signer = Signer::new(Algorithm::Es256);
    let good = configuration(&signer, BACKEND);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        code(&changed)
    };
    assert_eq!(code(&good), None);
    assert_eq!(code(&json!({"issuer": BACKEND})), Some("provider_invalid"));
    assert_eq!(with("unknown", json!(1)), Some("provider_invalid"));
    assert_eq!(with("clock_skew_s", json!(301)), Some("provider_invalid"));
    assert_eq!(with("algorithms", json!(["HS256"])), Some("provider_invalid"));
    assert_eq!(with("algorithms", json!(["RS256"])), Some("provider_invalid"));
    assert_eq!(with("algorithms", json!([])), Some("provider_invalid"));
    assert_eq!(with("jwks_uri", json!("https://a.example/jwks")), Some("provider_invalid"));
    assert_eq!(with("email_domains", json!(["@a.example"])), Some("provider_invalid"));
    assert_eq!(with("keys", json!({"keys": []})), Some("provider_invalid"));
    assert_eq!(with("keys", json!({"keys": [signer.jwk(), signer.jwk()]})), Some("keyset_invalid"));
    let others: Vec<Value> = (0..3).map(|_| Signer::new(Algorithm::Es256).jwk()).collect();
    assert_eq!(with("keys", json!({"keys": &others[..2]})), None);
    assert_eq!(with("keys", json!({"keys": others})), Some("provider_invalid"));
    let mut by_url = good.clone();
    by_url.as_object_mut().unwrap().remove("keys");
    by_url["jwks_uri"] = json!("https://backend.example/jwks");
    assert_eq!(code(&by_url), Some("key_source_unavailable"));
    by_url["jwks_uri"] = json!("http://backend.example/jwks");
    assert_eq!(code(&by_url), Some("provider_invalid"));
}

#[test]
fn stored_configuration_reads_back() {
    let signer = Signer::new(Algorithm::Es256);
    let first = provider(&configuration(&signer, BACKEND));
    let again = JwtProvider::parse(first.to_json()).unwrap();
    assert_eq!((again.issuer(), again.key_ids()), (first.issuer(), first.key_ids()));
}
