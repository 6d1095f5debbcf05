//! An identity provider of a customer: not part of qsec, so it makes its keys and tokens with nothing of it.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

/// A back end that signs JSON web tokens (RFC 7519) with ES256.
pub(crate) struct IdentityProvider {
    issuer: String,
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl IdentityProvider {
    pub(crate) fn new(issuer: &str) -> Result<Self, Box<dyn Error>> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| "no key")?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
            .map_err(|_| "no key")?;
        Ok(Self { issuer: issuer.to_owned(), key, random })
    }

    /// What the tenant's administrator registers: issuer and public key.
    pub(crate) fn configuration(&self) -> String {
        let point = self.key.public_key().as_ref();
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "key-1",
            "x": BASE64URL.encode(&point[1..33]), "y": BASE64URL.encode(&point[33..65]),
        });
        json!({"name": "customer's portal", "issuer": self.issuer, "algorithms": ["ES256"], "keys": {"keys": [jwk]}})
            .to_string()
    }

    /// A login token: good once, for ten minutes.
    pub(crate) fn token(&self, user: &str, groups: &[&str], now: SystemTime) -> Result<String, Box<dyn Error>> {
        let seconds = now.duration_since(UNIX_EPOCH)?.as_secs();
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": "key-1"});
        let mut jti = [0; 16];
        ring::rand::SecureRandom::fill(&self.random, &mut jti).map_err(|_| "no randomness")?;
        let claims = json!({
            "iss": self.issuer, "aud": "qlik.api/login/jwt-session", "sub": user, "subType": "user",
            "name": user, "email": format!("{user}@customer.example"), "email_verified": true, "groups": groups,
            "iat": seconds, "nbf": seconds, "exp": seconds + 600, "jti": BASE64URL.encode(jti),
        });
        let input = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        let signature = self.key.sign(&self.random, input.as_bytes()).map_err(|_| "not signed")?;
        Ok(format!("{input}.{}", BASE64URL.encode(signature)))
    }
}
