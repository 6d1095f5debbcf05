//! The token endpoint, from the octets of a request to the octets of the answer.

use base64::Engine as _;
use qsec_identity::oauth::{
    Client, ClientAuth, ClientRegistration, ClientSecret, ClientType, Grant, OAuthError, TokenEndpoint, TokenRequest,
};
use qsec_identity::{Algorithm, Binding, Issuer, Presented, PrincipalKind, TokenPolicy, Validator};
use serde_json::{Value, json};

use crate::workshop::{AUDIENCE, ISSUER, NOW, Signer, now, sha256};

const FORM: (&str, &[u8]) = ("Content-Type", b"application/x-www-form-urlencoded");
const KNOWN: [&str; 4] = ["apps:read", "apps:write", "openid", "admin"];
const URL: &str = "https://acme.example/oauth/token";

struct Robot {
    client: Client,
    secret: ClientSecret,
}

impl Robot {
    fn new(auth: ClientAuth) -> Self {
        let registration = ClientRegistration::new(ClientType::M2m, "robot").auth(auth);
        let registration = registration.scope("apps:read").scope("apps:write").scope("openid");
        let (client, secret) = registration.register(&KNOWN, now()).unwrap();
        Self { client, secret: secret.unwrap() }
    }

    fn authorization(&self) -> Vec<u8> {
        let pair = format!("{}:{}", self.client.id(), self.secret.expose_secret());
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)).into_bytes()
    }

    fn post(&self, more: &str) -> String {
        let (id, secret) = (self.client.id(), self.secret.expose_secret());
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}{more}")
    }

    fn decide_post(&self, more: &str) -> Result<Grant, OAuthError> {
        decide(&[FORM], &self.post(more), Some(&self.client))
    }
}

fn endpoint() -> TokenEndpoint {
    TokenEndpoint::new("t-acme", URL, AUDIENCE)
}

fn decide(headers: &[(&str, &[u8])], body: &str, client: Option<&Client>) -> Result<Grant, OAuthError> {
    let request = TokenRequest::parse("POST", headers, body.as_bytes())?;
    endpoint().decide(&request, client, now())
}

fn refusal(answer: Result<Grant, OAuthError>) -> (u16, Value, &'static str) {
    let error = answer.unwrap_err();
    let response = error.response();
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    let body: Value = serde_json::from_str(response.body()).unwrap();
    (response.status(), body["error"].clone(), error.reason())
}

#[test]
fn client_credentials_yield_a_token_of_the_client_for_the_tenant() {
    let robot = Robot::new(ClientAuth::ClientSecretPost);
    let grant = robot.decide_post("&scope=apps:read").unwrap();
    let signer = Signer::new(Algorithm::Es256);
    let issued = Issuer::new(ISSUER).unwrap().issue(grant.draft(), signer.key(), now()).unwrap();
    let response = grant.response(&issued);
    assert_eq!((response.status(), response.header("cache-control")), (200, Some("no-store")));
    let body: Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&json!("Bearer"), &json!(600), &json!("apps:read"))
    );
    assert!(!format!("{response:?}").contains(issued.token()));

    let policy = TokenPolicy::access(ISSUER).audience(AUDIENCE).algorithms([Algorithm::Es256]).tenant("t-acme");
    let validator = Validator::new(policy, signer.keys()).unwrap();
    let token = body["access_token"].as_str().unwrap();
    let principal = validator.validate(token, &Presented::bearer(), now()).unwrap();
    assert_eq!((principal.kind(), principal.client_id()), (PrincipalKind::Client, Some(robot.client.id())));
    assert_eq!(principal.scopes().unwrap(), ["apps:read"]);
}

#[test]
fn registered_method_is_the_only_one() {
    let (post, basic) = (Robot::new(ClientAuth::ClientSecretPost), Robot::new(ClientAuth::ClientSecretBasic));
    let header = basic.authorization();
    let answer = decide(&[FORM, ("Authorization", &header)], "grant_type=client_credentials", Some(&basic.client));
    assert!(answer.is_ok());
    assert_eq!(refusal(basic.decide_post("")), (401, json!("invalid_client"), "method_not_registered"));
    let header = post.authorization();
    let answer = decide(&[FORM, ("Authorization", &header)], "grant_type=client_credentials", Some(&post.client));
    assert_eq!(answer.as_ref().unwrap_err().response().header("WWW-Authenticate").map(|v| &v[..6]), Some("Basic "));
    assert_eq!(refusal(answer), (401, json!("invalid_client"), "method_not_registered"));
    let anonymous = format!("grant_type=client_credentials&client_id={}", post.client.id());
    assert_eq!(refusal(decide(&[FORM], &anonymous, Some(&post.client))).0, 401);
}

#[test]
fn unknown_client_wrong_secret_and_foreign_client_look_the_same() {
    let (robot, other) = (Robot::new(ClientAuth::ClientSecretPost), Robot::new(ClientAuth::ClientSecretPost));
    let unknown = decide(&[FORM], &robot.post(""), None).unwrap_err();
    let foreign = decide(&[FORM], &robot.post(""), Some(&other.client)).unwrap_err();
    let wrong = robot.post("").replace(robot.secret.expose_secret(), other.secret.expose_secret());
    let wrong = decide(&[FORM], &wrong, Some(&robot.client)).unwrap_err();
    assert_eq!(unknown.response(), wrong.response());
    assert_eq!(foreign.response(), wrong.response());
    assert_eq!((unknown.reason(), wrong.reason()), ("client_unknown", "secret_wrong"));
}

#[test]
fn scopes_are_granted_as_asked_or_not_at_all() {
    let robot = Robot::new(ClientAuth::ClientSecretPost);
    assert_eq!(robot.decide_post("&scope=apps:write+apps:read+apps:write").unwrap().scope(), "apps:write apps:read");
    assert_eq!(robot.decide_post("").unwrap().scope(), "apps:read apps:write");
    for (scope, reason) in [
        ("apps:read+admin", "scope_not_allowed"),
        ("Apps:read", "scope_not_allowed"),
        ("openid", "scope_of_users"),
        ("offline_access", "scope_of_users"),
        ("apps:read++apps:write", "scope_malformed"),
        ("+", "scope_malformed"),
        ("a%22b", "scope_malformed"),
    ] {
        let answer = refusal(robot.decide_post(&format!("&scope={scope}")));
        assert_eq!(answer, (400, json!("invalid_scope"), reason), "{scope}");
    }
    let (bare, secret) = ClientRegistration::new(ClientType::M2m, "bare")
        .auth(ClientAuth::ClientSecretPost)
        .register(&KNOWN, now())
        .unwrap();
    let bare = Robot { client: bare, secret: secret.unwrap() };
    assert_eq!(refusal(bare.decide_post("")), (400, json!("invalid_scope"), "no_scope"));
}

#[test]
fn grants_are_those_of_the_client_and_a_disabled_one_has_none() {
    let mut robot = Robot::new(ClientAuth::ClientSecretPost);
    for (grant, code, reason) in [
        ("password", "unsupported_grant_type", "grant_type_unknown"),
        ("implicit", "unsupported_grant_type", "grant_type_unknown"),
    ] {
        let body = robot.post("").replace("client_credentials", grant);
        assert_eq!(refusal(decide(&[FORM], &body, Some(&robot.client))), (400, json!(code), reason));
    }
    let without = robot.post("").replace("grant_type", "grant");
    let answer = refusal(decide(&[FORM], &without, Some(&robot.client)));
    assert_eq!(answer, (400, json!("invalid_request"), "grant_type_missing"));
    robot.client.disable();
    assert_eq!(refusal(robot.decide_post("")), (400, json!("unauthorized_client"), "client_disabled"));
    robot.client.enable();
    assert!(robot.decide_post("").is_ok());
    let registration = ClientRegistration::new(ClientType::Web, "web").redirect_uri("https://a.example/cb");
    let (client, secret) = registration.auth(ClientAuth::ClientSecretPost).register(&KNOWN, now()).unwrap();
    let web = Robot { client, secret: secret.unwrap() };
    assert_eq!(refusal(web.decide_post("")), (400, json!("unauthorized_client"), "grant_not_registered"));
}

#[test]
fn only_the_registered_target_can_be_asked_for() {
    let robot = Robot::new(ClientAuth::ClientSecretPost);
    assert!(robot.decide_post(&format!("&resource={AUDIENCE}")).is_ok());
    let answer = refusal(robot.decide_post("&resource=https://other.example"));
    assert_eq!(answer, (400, json!("invalid_target"), "target_not_registered"));
}

#[test]
fn proof_binds_the_token_to_its_key() {
    let (robot, holder) = (Robot::new(ClientAuth::ClientSecretPost), Signer::new(Algorithm::Es256));
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": holder.jwk()});
    let proof =
        |url: &str, jti: &str| holder.token_with(&header, &json!({"jti": jti, "htm": "POST", "htu": url, "iat": NOW}));
    let ask = |proof: &str| decide(&[FORM, ("DPoP", proof.as_bytes())], &robot.post(""), Some(&robot.client));
    let grant = ask(&proof(URL, "p-1")).unwrap();
    assert_eq!(grant.replay_keys().len(), 1);
    assert_eq!(refusal(ask(&proof("https://other.example/", "p-1"))).1, json!("invalid_dpop_proof"));

    let signer = Signer::new(Algorithm::Es256);
    let issued = Issuer::new(ISSUER).unwrap().issue(grant.draft(), signer.key(), now()).unwrap();
    assert!(grant.response(&issued).body().contains("\"token_type\":\"DPoP\""));
    let policy = TokenPolicy::access(ISSUER).audience(AUDIENCE).algorithms([Algorithm::Es256]).tenant("t-acme");
    let validator = Validator::new(policy, signer.keys()).unwrap();
    assert!(validator.validate(issued.token(), &Presented::bearer(), now()).is_err());
    let claims =
        json!({"jti": "p-2", "htm": "GET", "htu": AUDIENCE, "iat": NOW, "ath": sha256(issued.token().as_bytes())});
    let presented = Presented::bearer().dpop(holder.token_with(&header, &claims), "GET", AUDIENCE);
    assert_eq!(validator.validate(issued.token(), &presented, now()).unwrap().binding(), Binding::Dpop);
}

#[test]
fn client_that_must_bind_its_tokens_gets_none_without_a_proof() {
    let registration = ClientRegistration::new(ClientType::M2m, "robot").scope("apps:read").require_dpop();
    let (client, secret) = registration.auth(ClientAuth::ClientSecretPost).register(&KNOWN, now()).unwrap();
    let robot = Robot { client, secret: secret.unwrap() };
    assert_eq!(refusal(robot.decide_post("")), (400, json!("invalid_dpop_proof"), "proof_missing"));
}
