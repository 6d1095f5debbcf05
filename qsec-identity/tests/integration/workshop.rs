//! Tokens of any shape, signed by a key that the test holds.

use std::time::{Duration, SystemTime};

use qsec_identity::{
    Algorithm, KeySet, Presented, Principal, Reason, SigningKey, TokenPolicy, TokenType, Validator, VerifyingKey,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use serde_json::{Value, json};

pub(crate) const NOW: i64 = 1_700_000_000;
pub(crate) const ISSUER: &str = "https://acme.example";
pub(crate) const AUDIENCE: &str = "https://api.acme.example";
/// SHA-256 of the octets that tests present as a certificate.
pub(crate) const CERTIFICATE: &[u8] = b"a certificate";

pub(crate) fn now() -> SystemTime {
    at(NOW)
}

pub(crate) fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap())
}

pub(crate) fn base64url(octets: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets)
}

pub(crate) fn sha256(octets: &[u8]) -> String {
    base64url(ring::digest::digest(&ring::digest::SHA256, octets))
}

/// A key, and signatures by it over anything.
pub(crate) struct Signer {
    key: SigningKey,
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self { key: SigningKey::generate(algorithm).unwrap() }
    }

    pub(crate) fn kid(&self) -> &str {
        self.key.kid()
    }

    pub(crate) fn public(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(crate) fn jwk(&self) -> Value {
        serde_json::from_str(&self.public().to_jwk().unwrap()).unwrap()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let pkcs8 = self.key.private_bytes().expose_secret();
        let random = SystemRandom::new();
        if self.key.algorithm() == Algorithm::Es256 {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).unwrap();
            pair.sign(&random, message).unwrap().as_ref().to_vec()
        } else {
            Ed25519KeyPair::from_pkcs8(pkcs8).unwrap().sign(message).as_ref().to_vec()
        }
    }

    pub(crate) fn jws(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", base64url(header), base64url(payload));
        let signature = self.sign(input.as_bytes());
        format!("{input}.{}", base64url(signature))
    }

    /// A token of that type as it should be; `typ` as the type wants it.
    pub(crate) fn token(&self, token_type: TokenType, claims: &Value) -> String {
        self.token_with(&header(self, token_type), claims)
    }

    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.jws(&header.to_string(), &claims.to_string())
    }

    pub(crate) fn keys(&self) -> KeySet {
        KeySet::of([self.public()]).unwrap()
    }
}

pub(crate) fn header(signer: &Signer, token_type: TokenType) -> Value {
    let mut header = json!({"alg": signer.key.algorithm().as_str(), "kid": signer.kid()});
    if let Some(typ) = typ(token_type) {
        header["typ"] = json!(typ);
    }
    header
}

fn typ(token_type: TokenType) -> Option<&'static str> {
    match token_type {
        TokenType::Access => Some("at+jwt"),
        TokenType::Txn => Some("txntoken+jwt"),
        TokenType::Session => Some("session+jwt"),
        TokenType::Gateway => Some("gateway+jwt"),
        TokenType::Id | TokenType::JwtIdp | TokenType::ClientAssertion | _ => None,
    }
}

/// Every required claim of the type, and `tenant_id` of `tenant` where a policy with a tenant demands it.
pub(crate) fn claims(token_type: TokenType, issuer: &str, audience: &str, tenant: &str) -> Value {
    let mut claims = json!({
        "iss": issuer, "sub": "ada", "aud": audience, "exp": NOW + 250, "iat": NOW, "jti": "j-1",
    });
    let more = match token_type {
        TokenType::Access => json!({"client_id": "spa", "tenant_id": tenant, "subType": "user", "scope": "apps:read"}),
        TokenType::JwtIdp => json!({
            "nbf": NOW, "name": "Ada", "email": "ada@acme.example", "email_verified": true, "subType": "user",
        }),
        TokenType::Txn => json!({"txn": "t-1", "scope": "apps:read", "req_wl": "edge", "tenant_id": tenant}),
        TokenType::ClientAssertion => json!({"sub": issuer}),
        TokenType::Session => json!({"sid": "s-1", "tenant_id": tenant, "auth_time": NOW}),
        TokenType::Gateway => json!({"tenant_id": tenant, "cnf": {"x5t#S256": sha256(CERTIFICATE)}}),
        TokenType::Id | _ => json!({}),
    };
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

pub(crate) fn default_claims(token_type: TokenType) -> Value {
    claims(token_type, ISSUER, AUDIENCE, "t-acme")
}

pub(crate) fn policy(token_type: TokenType) -> TokenPolicy {
    TokenPolicy::new(token_type, ISSUER)
        .audience(AUDIENCE)
        .algorithms([Algorithm::Es256, Algorithm::EdDsa])
        .tenant("t-acme")
}

pub(crate) fn presented() -> Presented {
    Presented::bearer().client_certificate(CERTIFICATE)
}

/// Validates at [`NOW`] with the certificate presented.
pub(crate) fn judge(signer: &Signer, policy: TokenPolicy, token: &str) -> Result<Principal, Reason> {
    let validator = Validator::new(policy, signer.keys()).unwrap();
    validator.validate(token, &presented(), now()).map_err(|rejection| rejection.reason())
}

/// The default token of the type with one claim set, or removed by `null` in a one-element array.
#[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
pub(crate) fn judge_with(token_type: TokenType, name: &str, value: Value) -> Result<Principal, Reason> {
    judge_claims(token_type, policy(token_type), |claims| claims[name] = value.clone())
}

pub(crate) fn judge_without(token_type: TokenType, name: &str) -> Result<Principal, Reason> {
    judge_claims(token_type, policy(token_type), |claims| {
        claims.as_object_mut().unwrap().remove(name);
    })
}

pub(crate) fn judge_claims(
    token_type: TokenType,
    policy: TokenPolicy,
    change: impl FnOnce(&mut Value),
) -> Result<Principal, Reason> {
    let signer = Signer::new(Algorithm::Es256);
    let mut claims = default_claims(token_type);
    change(&mut claims);
    judge(&signer, policy, &signer.token(token_type, &claims))
}
