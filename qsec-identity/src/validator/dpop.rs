//! `DPoP` proofs (RFC 9449 section 4.3).

use std::time::SystemTime;

use crate::hash::sha256_text;
use crate::jose::Algorithm;
use crate::jose::json::{Object, Value};
use crate::jose::jws::{self, Expected, Header, Segments};
use crate::jose::key::is_plain;
use crate::policy::{MAX_IDENTIFIER, TokenPolicy};
use crate::presented::Proof;
use crate::rejection::Reason;
use crate::replay::ReplayKey;
use crate::time::{system_time, unix_seconds};

/// Bytes of a proof: one with an RSA key of 4096 bits has 2,000.
const MAX_PROOF_BYTES: usize = 8192;
/// Seconds for which a proof is good after it was made.
const MAX_PROOF_AGE: i64 = 60;
/// Seconds that the clock of a client may run ahead of the token endpoint's.
const SERVER_SKEW: i64 = 30;

const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Ed25519, Algorithm::Rs256, Algorithm::Ps256];

/// A proof that is valid in itself: by which key is for the caller to compare.
#[derive(Debug)]
pub(super) struct CheckedProof {
    pub(super) thumbprint: String,
    jti: String,
    iat: i64,
}

impl CheckedProof {
    pub(super) fn replay_key(&self, tenant: &str) -> ReplayKey {
        let until = self.iat.saturating_add(MAX_PROOF_AGE);
        ReplayKey::new("dpop", tenant, &self.thumbprint, &self.jti, system_time(until))
    }
}

/// Any fault is [`Reason::DpopInvalid`]: whoever sent it learns no more.
pub(super) fn check(
    proof: &Proof,
    token: &[u8],
    policy: &TokenPolicy,
    now: SystemTime,
) -> Result<CheckedProof, Reason> {
    attempt(proof, Some(token), policy.clock_skew, unix_seconds(now)).ok_or(Reason::DpopInvalid)
}

/// At the token endpoint there is no token yet that the proof could name: its key, and the entry of a replay store.
pub(crate) fn at_server(jws: &str, url: &str, tenant: &str, now: SystemTime) -> Option<(String, ReplayKey)> {
    let proof = Proof { jws: jws.to_owned(), method: "POST".to_owned(), url: url.to_owned() };
    let checked = attempt(&proof, None, SERVER_SKEW, unix_seconds(now))?;
    let replay_key = checked.replay_key(tenant);
    Some((checked.thumbprint, replay_key))
}

fn attempt(proof: &Proof, token: Option<&[u8]>, skew: i64, now: i64) -> Option<CheckedProof> {
    let segments = Segments::split(proof.jws.as_bytes(), MAX_PROOF_BYTES).ok()?;
    let (members, claims) = jws::objects(&segments.header, &segments.payload).ok()?;
    let typ = [Some("dpop+jwt")];
    let expected = Expected { typ: &typ, algorithms: &ALGORITHMS, kid_required: false, own_key: true };
    let header = Header::check(&members, expected).ok()?;
    let key = jws::own_key(&members)?;
    let algorithm = key.algorithm_under(&[header.algorithm]).filter(|of_key| of_key.same_as(header.algorithm))?;
    // None for a shared secret: a proof by a key that others hold proves nothing.
    let thumbprint = key.thumbprint()?;
    if !key.verify(algorithm, segments.signing_input, &segments.signature) {
        return None;
    }
    let jti = text(&claims, "jti").filter(|jti| is_plain(jti, MAX_IDENTIFIER))?;
    let iat = claims.get("iat").and_then(Value::as_i64)?;
    let fresh = (now.saturating_sub(MAX_PROOF_AGE)..=now.saturating_add(skew)).contains(&iat);
    let of_request = text(&claims, "htm")? == proof.method
        && target(text(&claims, "htu")?).is_some_and(|found| Some(found) == target(&proof.url))
        && token.is_none_or(|token| text(&claims, "ath") == Some(sha256_text(token).as_str()));
    (fresh && of_request).then(|| CheckedProof { thumbprint, jti: jti.to_owned(), iat })
}

fn text<'a>(claims: &'a Object<'_>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// The URL as RFC 9449 section 4.3 compares it: without query and fragment, scheme and host in lower case, without the
/// default port, `/` for an empty path.
fn target(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let path_at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(path_at)?;
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(port).unwrap_or(&host);
    if host.is_empty() || host.contains('@') {
        return None;
    }
    Some(format!("{scheme}://{host}{}", if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_compared_without_what_a_proxy_may_change() {
        let same = "https://api.example/a/B";
        for url in [same, "HTTPS://API.example/a/B?q=1#f", "https://api.example:443/a/B", "https://api.example/a/B#f"] {
            assert_eq!(target(url).as_deref(), Some(same), "{url}");
        }
        for other in [
            "https://api.example/a/b",
            "https://api.example/a/B/",
            "http://api.example/a/B",
            "https://api.example:8443/a/B",
        ] {
            assert_ne!(target(other).as_deref(), Some(same), "{other}");
        }
        assert_eq!(target("https://api.example"), target("https://api.example:443/?x"));
        for no in ["", "/a", "api.example/a", "ftp://a/b", "https://", "https:///a", "https://u@a/"] {
            assert_eq!(target(no), None, "{no}");
        }
    }
}
