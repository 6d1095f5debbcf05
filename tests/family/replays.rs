//! What is good once and comes a second time: the log says what it was.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use qsec::identity::{Presented, TokenDraft};
use qsec::{Deployment, Tenant};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::{acme, deployment, now, operator, recorded};

const URL: &str = "https://api.acme.example/apps";

/// Somebody with a key of their own, which nothing of qsec made.
struct Outsider(EcdsaKeyPair);

impl Outsider {
    fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    fn coordinates(&self) -> (String, String) {
        let point = self.0.public_key().as_ref();
        (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..65]))
    }

    /// RFC 7638, section 3: the required members in their order.
    fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        BASE64URL.encode(digest(&SHA256, canonical.as_bytes()))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", BASE64URL.encode(signature))
    }

    /// RFC 9449, section 4.2.
    fn proof(&self, jti: &str, token: &str) -> Presented {
        let (x, y) = self.coordinates();
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}});
        let ath = BASE64URL.encode(digest(&SHA256, token.as_bytes()));
        let claims = json!({"jti": jti, "htm": "GET", "htu": URL, "iat": seconds(now()), "ath": ath});
        Presented::bearer().dpop(self.sign(&header, &claims), "GET", URL)
    }

    fn provider(&self) -> String {
        let (x, y) = self.coordinates();
        let key = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "key-1", "x": x, "y": y});
        json!({"issuer": "https://customer.example", "algorithms": ["ES256"], "keys": {"keys": [key]}}).to_string()
    }

    fn login(&self, jti: &str) -> String {
        let at = seconds(now());
        let claims = json!({
            "iss": "https://customer.example", "aud": "qlik.api/login/jwt-session", "sub": "ana", "subType": "user",
            "name": "Ana", "email": "ana@customer.example", "email_verified": true, "groups": [],
            "iat": at, "nbf": at, "exp": at + 600, "jti": jti,
        });
        self.sign(&json!({"alg": "ES256", "typ": "JWT", "kid": "key-1"}), &claims)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn tenant(folder: &tempfile::TempDir) -> (Deployment, Tenant) {
    let deployment = deployment(&folder.path().join("home")).await;
    let acme = acme(&deployment).await;
    (deployment, acme)
}

fn detected(deployment: &Deployment, kind: &str) -> usize {
    recorded(deployment, &["\"type\":\"replay.detected\"", &format!("\"kind\":\"{kind}\""), "\"reason\":\"replayed\""])
}

#[tokio::test]
async fn a_proof_that_comes_twice_is_recorded_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let holder = Outsider::new();
    let draft = TokenDraft::access("ana", "app").audience(acme.issuer()).scope("apps:read");
    let draft = draft.bind_thumbprint(holder.thumbprint());
    let token = acme.issue_token(draft, &operator(), now()).await.unwrap();
    let show = async |jti: &str| {
        let shown = acme.authenticate(token.token(), &holder.proof(jti, token.token()), now()).await;
        shown.map(drop).map_err(|error| error.to_string())
    };
    show("proof-1").await.unwrap();
    show("proof-1").await.unwrap_err();
    show("proof-2").await.unwrap();
    deployment.clone().close(now() + Duration::from_secs(1)).await.unwrap();
    assert_eq!((detected(&deployment, "dpop"), detected(&deployment, "jti")), (1, 0));
    assert_eq!(recorded(&deployment, &["\"type\":\"token.rejected\"", "\"check\":\"replayed\""]), 1);
}

#[tokio::test]
async fn a_login_that_comes_twice_is_recorded_as_the_tokens_id() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let customer = Outsider::new();
    acme.add_provider(&customer.provider(), &operator(), now()).await.unwrap();
    let token = customer.login("login-1");
    assert_eq!(acme.sign_in(&token, now()).await.unwrap().user(), "ana");
    acme.sign_in(&token, now()).await.unwrap_err();
    deployment.clone().close(now() + Duration::from_secs(1)).await.unwrap();
    assert_eq!((detected(&deployment, "dpop"), detected(&deployment, "jti")), (0, 1));
    assert_eq!(recorded(&deployment, &["\"type\":\"login.failed\"", "\"reason\":\"replayed\""]), 1);
}
