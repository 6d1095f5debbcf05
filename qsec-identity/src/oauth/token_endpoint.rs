//! The decision of the token endpoint: pure, so that it needs neither store nor runtime.

use std::time::SystemTime;

use serde_json::json;

use super::answer::{OAuthError, OAuthErrorCode, Response};
use super::client::{Client, ClientType};
use super::token_request::TokenRequest;
use crate::issuer::Issued;
use crate::policy::{MAX_SCOPES, is_scope};
use crate::principal::PrincipalKind;
use crate::replay::ReplayKey;
use crate::token_draft::TokenDraft;
use crate::validator::proof_at_server;

/// Scopes that mean something only for a user.
const OF_USERS: [&str; 2] = ["openid", "offline_access"];

/// The token endpoint of one tenant.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use qsec_identity::oauth::{ClientAuth, ClientRegistration, ClientType, TokenEndpoint, TokenRequest};
/// use qsec_identity::{Algorithm, Issuer, SigningKey};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let registration = ClientRegistration::new(ClientType::M2m, "robot").auth(ClientAuth::ClientSecretPost).scope("apps:read");
/// let (client, secret) = registration.register(&["apps:read"], now)?;
/// let secret = secret.expect("a confidential client has a secret");
///
/// let endpoint = TokenEndpoint::new("t-acme", "https://acme.example/oauth/token", "https://api.acme.example");
/// # let body = format!("grant_type=client_credentials&client_id={}&client_secret={}", client.id(), secret.expose_secret());
/// # let headers: [(&str, &[u8]); 1] = [("Content-Type", b"application/x-www-form-urlencoded")];
/// let request = TokenRequest::parse("POST", &headers, body.as_bytes())?;
/// // load the client that `request.client_id()` names, then:
/// # let key = SigningKey::generate(Algorithm::Es256)?;
/// let grant = endpoint.decide(&request, Some(&client), now)?;
/// let issued = Issuer::new("https://acme.example")?.issue(grant.draft(), &key, now)?;
/// assert_eq!(grant.response(&issued).status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEndpoint {
    tenant: String,
    url: String,
    audience: String,
}

/// What was decided: issue the draft, consult a replay store if there are keys, send the response.
#[derive(Debug, Clone)]
pub struct Grant {
    draft: TokenDraft,
    scope: String,
    bound: bool,
    replay_keys: Vec<ReplayKey>,
}

impl Grant {
    /// The token to issue.
    pub fn draft(&self) -> &TokenDraft {
        &self.draft
    }

    /// The grant, under its registered name.
    pub fn grant_type(&self) -> &'static str {
        "client_credentials"
    }

    /// The scopes that were granted, separated by spaces.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// What a replay store must not have seen before: the `DPoP` proof, if there was one. A second use is
    /// `invalid_dpop_proof`.
    pub fn replay_keys(&self) -> &[ReplayKey] {
        &self.replay_keys
    }

    /// The answer (RFC 6749 section 5.1); `scope` is always in it.
    pub fn response(&self, issued: &Issued) -> Response {
        let lifetime = issued.expires_at().duration_since(issued.issued_at()).unwrap_or_default();
        let body = json!({
            "access_token": issued.token(),
            "token_type": if self.bound { "DPoP" } else { "Bearer" },
            "expires_in": lifetime.as_secs(),
            "scope": self.scope,
        });
        Response::json(200, &body)
    }
}

impl TokenEndpoint {
    /// The endpoint of a tenant: its own URL, which proofs name, and the audience of its tokens.
    pub fn new(tenant: impl Into<String>, url: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), url: url.into(), audience: audience.into() }
    }

    /// Decides a request. `client` is the client of this tenant that the request names, if there is one.
    ///
    /// # Errors
    /// [`OAuthError`]: send its response, log its reason.
    pub fn decide(
        &self,
        request: &TokenRequest,
        client: Option<&Client>,
        now: SystemTime,
    ) -> Result<Grant, OAuthError> {
        let grant_type = request.parameter("grant_type");
        let grant_type = grant_type.ok_or_else(|| refuse(OAuthErrorCode::InvalidRequest, "grant_type_missing"))?;
        let client = authenticated(request, client, now)?;
        if client.is_disabled() {
            return Err(refuse(OAuthErrorCode::UnauthorizedClient, "client_disabled"));
        }
        if grant_type != "client_credentials" {
            return Err(refuse(OAuthErrorCode::UnsupportedGrantType, "grant_type_unknown"));
        }
        if !matches!(client.kind(), ClientType::M2m | ClientType::M2mImpersonation) {
            return Err(refuse(OAuthErrorCode::UnauthorizedClient, "grant_not_registered"));
        }
        let scope = scope(request.parameter("scope"), client)?;
        self.check_target(request)?;
        self.grant(request, client, scope, now)
    }

    fn check_target(&self, request: &TokenRequest) -> Result<(), OAuthError> {
        let foreign = |name| request.parameter(name).is_some_and(|target| target != self.audience);
        if foreign("resource") || foreign("audience") {
            return Err(refuse(OAuthErrorCode::InvalidTarget, "target_not_registered"));
        }
        Ok(())
    }

    fn grant(
        &self,
        request: &TokenRequest,
        client: &Client,
        scope: String,
        now: SystemTime,
    ) -> Result<Grant, OAuthError> {
        let mut draft = TokenDraft::access(client.id(), client.id())
            .subject_kind(PrincipalKind::Client)
            .audience(self.audience.as_str())
            .tenant(self.tenant.as_str())
            .scope(scope.as_str());
        let mut replay_keys = Vec::new();
        if let Some(proof) = &request.proof {
            let (thumbprint, replay_key) = proof_at_server(proof, &self.url, &self.tenant, now)
                .ok_or_else(|| refuse(OAuthErrorCode::InvalidDpopProof, "proof_invalid"))?;
            draft = draft.bind_thumbprint(thumbprint);
            replay_keys.push(replay_key);
        } else if client.requires_dpop() {
            return Err(refuse(OAuthErrorCode::InvalidDpopProof, "proof_missing"));
        }
        Ok(Grant { draft, scope, bound: request.proof.is_some(), replay_keys })
    }
}

fn refuse(code: OAuthErrorCode, reason: &'static str) -> OAuthError {
    OAuthError::new(code, reason)
}

/// Unknown client, wrong secret and wrong method are one answer, and take one path.
fn authenticated<'c>(
    request: &TokenRequest,
    client: Option<&'c Client>,
    now: SystemTime,
) -> Result<&'c Client, OAuthError> {
    let method = request.credentials.method();
    // A caller that loaded another client than the request names must not have it authenticated.
    let client = client.filter(|client| Some(client.id()) == request.client_id());
    let known = Client::has_secret(client, request.credentials.secret(), now);
    let challenge = method == super::ClientAuth::ClientSecretBasic;
    let refused = |reason| refuse(OAuthErrorCode::InvalidClient, reason).challenging(challenge);
    let client = client.ok_or_else(|| refused("client_unknown"))?;
    if client.auth() != method {
        return Err(refused("method_not_registered"));
    }
    // Public clients identify themselves only; no grant that is supported here is open to them.
    if method.uses_secret() && !known {
        return Err(refused("secret_wrong"));
    }
    Ok(client)
}

/// RFC 6749 section 3.3, without silent narrowing: what was asked for is granted, or nothing is.
fn scope(asked: Option<&str>, client: &Client) -> Result<String, OAuthError> {
    let refused = |reason| Err(refuse(OAuthErrorCode::InvalidScope, reason));
    let Some(asked) = asked else {
        let all: Vec<&str> =
            client.scopes().iter().map(String::as_str).filter(|scope| !OF_USERS.contains(scope)).collect();
        return if all.is_empty() { refused("no_scope") } else { Ok(all.join(" ")) };
    };
    let mut granted: Vec<&str> = Vec::new();
    for scope in asked.split(' ') {
        if !is_scope(scope) || granted.len() >= MAX_SCOPES {
            return refused("scope_malformed");
        }
        if OF_USERS.contains(&scope) {
            return refused("scope_of_users");
        }
        if !client.scopes().iter().any(|allowed| allowed == scope) {
            return refused("scope_not_allowed");
        }
        if !granted.contains(&scope) {
            granted.push(scope);
        }
    }
    Ok(granted.join(" "))
}
