//! Tokens of ours: written, signed by a key at hand or by one in a KMS.

use std::fmt;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::jose::json::{self, Limits};
use crate::jose::jws::MAX_TOKEN_BYTES;
use crate::jose::key::is_plain;
use crate::jose::{Algorithm, VerifyingKey, base64url};
use crate::policy::{MAX_URL, TokenPolicy};
use crate::principal::PrincipalKind;
use crate::rejection::Reason;
use crate::signing_key::{SigningKey, random_text};
use crate::time::{system_time, unix_seconds};
use crate::token_draft::TokenDraft;
use crate::token_type::TokenType;
use crate::validator;

/// Why a token was not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The issuer's name is empty, too long, or holds control characters.
    #[error("the issuer is not a text of 1 to 2048 bytes without control characters")]
    IssuerInvalid,
    /// Tokens of this type are made by others.
    #[error("tokens of type `{0}` are not issued here")]
    TypeNotIssued(TokenType),
    /// The life is zero, or longer than the type permits.
    #[error("the token would live {seconds} s, permitted are 1 to {cap} s")]
    TtlOutOfRange {
        /// What was asked for.
        seconds: i64,
        /// The cap of the type.
        cap: i64,
    },
    /// A gateway token without a key or certificate that it is bound to.
    #[error("the token must be bound to a key or a certificate")]
    BindingRequired,
    /// A claim that the issuer sets itself.
    #[error("the claim `{name}` is set by the issuer")]
    ClaimReserved {
        /// Its name.
        name: String,
    },
    /// Additional claims that are not a strict JSON object.
    #[error("the additional claims are {what}")]
    Json {
        /// What is wrong, and at which byte.
        what: String,
    },
    /// Our own validator would not accept these claims.
    #[error("the token would be refused: {0}")]
    Unacceptable(Reason),
    /// The key is a shared secret, or does not say its algorithm, or has no `kid`.
    #[error("the key cannot sign tokens")]
    KeyUnsuitable,
    /// The signature that was handed back is not one by the key over the prepared octets.
    #[error("the signature is not that of the key over the prepared octets")]
    SignatureInvalid,
    /// The kernel gave no randomness: try again.
    #[error("the system has no randomness")]
    RandomnessUnavailable,
}

impl IssueError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IssuerInvalid => "issuer_invalid",
            Self::TypeNotIssued(_) => "token_type_not_issued",
            Self::TtlOutOfRange { .. } => "ttl_out_of_range",
            Self::BindingRequired => "binding_required",
            Self::ClaimReserved { .. } => "claim_reserved",
            Self::Json { .. } => "claims_not_json",
            Self::Unacceptable(reason) => reason.as_str(),
            Self::KeyUnsuitable => "key_unsuitable",
            Self::SignatureInvalid => "signature_invalid",
            Self::RandomnessUnavailable => "randomness_unavailable",
        }
    }
}

/// A signed token, and what the audit event says of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    token: String,
    jti: String,
    kid: String,
    algorithm: Algorithm,
    iat: i64,
    exp: i64,
}

impl Issued {
    /// The token itself: whoever has it can use it.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Its id.
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// The key that signed it.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `iat`.
    pub fn issued_at(&self) -> SystemTime {
        system_time(self.iat)
    }

    /// `exp`.
    pub fn expires_at(&self) -> SystemTime {
        system_time(self.exp)
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("jti", &self.jti)
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("expires_at", &self.exp)
            .finish_non_exhaustive()
    }
}

/// A token that waits for its signature, so that a key in a KMS can make it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use qsec_identity::{Algorithm, Issuer, SigningKey, TokenDraft};
///
/// # let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// # let key = SigningKey::generate(Algorithm::EdDsa)?;
/// let issuer = Issuer::new("https://acme.example")?;
/// let draft = TokenDraft::access("ada", "spa").audience("https://api.acme.example");
/// let prepared = issuer.prepare(&draft, key.verifying_key(), now)?;
/// let wrong = vec![0; 64];                     // a KMS signs `prepared.signing_input()`
/// assert_eq!(prepared.finish(&wrong).unwrap_err().code(), "signature_invalid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Prepared<'k> {
    signing_input: String,
    key: &'k VerifyingKey,
    issued: Issued,
}

impl Prepared<'_> {
    /// The octets to sign.
    pub fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// Adds the signature: raw r and s for ECDSA, as RFC 7518 section 3.4 writes it. It is verified first, so that no
    /// token leaves that nobody will accept.
    ///
    /// # Errors
    /// [`IssueError::SignatureInvalid`].
    pub fn finish(self, signature: &[u8]) -> Result<Issued, IssueError> {
        if !self.key.verify(self.issued.algorithm, self.signing_input.as_bytes(), signature) {
            return Err(IssueError::SignatureInvalid);
        }
        Ok(self.complete(signature))
    }

    fn complete(self, signature: &[u8]) -> Issued {
        let mut token = self.signing_input;
        token.push('.');
        token.push_str(&base64url::encode(signature));
        Issued { token, ..self.issued }
    }
}

/// Issues tokens in one name.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use qsec_identity::{Algorithm, Issuer, SigningKey, TokenDraft};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let key = SigningKey::generate(Algorithm::Es256)?;
/// let issuer = Issuer::new("https://acme.example")?;
/// let draft = TokenDraft::access("ada", "spa").audience("https://api.acme.example").scope("apps:read");
/// let issued = issuer.issue(&draft, &key, now)?;
/// assert_eq!(issued.kid(), key.kid());
/// assert_eq!(issued.expires_at(), now + Duration::from_secs(600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    name: String,
}

impl Issuer {
    /// The issuer of that name: what `iss` will say.
    ///
    /// # Errors
    /// [`IssueError::IssuerInvalid`].
    pub fn new(name: impl Into<String>) -> Result<Self, IssueError> {
        let name = name.into();
        if is_plain(&name, MAX_URL) { Ok(Self { name }) } else { Err(IssueError::IssuerInvalid) }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes and signs a token.
    ///
    /// # Errors
    /// [`IssueError`] when the draft asks for what the type does not permit, or our own validator would refuse it.
    pub fn issue(&self, draft: &TokenDraft, key: &SigningKey, now: SystemTime) -> Result<Issued, IssueError> {
        let prepared = self.prepare(draft, key.verifying_key(), now)?;
        let signature = key.sign(prepared.signing_input()).ok_or(IssueError::RandomnessUnavailable)?;
        Ok(prepared.complete(&signature))
    }

    /// Writes a token that `key` is to sign elsewhere.
    ///
    /// # Errors
    /// As [`Self::issue`], and [`IssueError::KeyUnsuitable`].
    pub fn prepare<'k>(
        &self,
        draft: &TokenDraft,
        key: &'k VerifyingKey,
        now: SystemTime,
    ) -> Result<Prepared<'k>, IssueError> {
        let (Some(kid), Some(algorithm), false) = (key.kid(), key.algorithm(), key.is_symmetric()) else {
            return Err(IssueError::KeyUnsuitable);
        };
        let ttl = lifetime(draft)?;
        let issued_at = unix_seconds(now);
        let expires_at = issued_at.saturating_add(ttl);
        let jti = random_text::<16>().ok_or(IssueError::RandomnessUnavailable)?;
        let claims = self.claims(draft, &jti, issued_at, expires_at)?;
        self.check(draft, &claims, now)?;

        let mut header = vec![("alg", json!(algorithm.as_str())), ("kid", json!(kid))];
        if let Some(typ) = draft.token_type.rules().typ.iter().flatten().next() {
            header.push(("typ", json!(typ)));
        }
        let header = object(header.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())));
        let signing_input = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
        // 684 octets are the base64url form of the longest signature, RSA of 4096 bits.
        if signing_input.len() > MAX_TOKEN_BYTES.saturating_sub(684) {
            return Err(IssueError::Unacceptable(Reason::TooLarge));
        }
        let kid = kid.to_owned();
        let issued = Issued { token: String::new(), jti, kid, algorithm, iat: issued_at, exp: expires_at };
        Ok(Prepared { signing_input, key, issued })
    }

    fn claims(&self, draft: &TokenDraft, jti: &str, issued_at: i64, expires_at: i64) -> Result<String, IssueError> {
        let mut claims = Vec::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims.push((name.to_owned(), value.to_string()));
            }
        };
        add("iss", Some(json!(self.name)));
        add("sub", Some(json!(draft.subject)));
        add("aud", Some(if let [only] = draft.audience.as_slice() { json!(only) } else { json!(draft.audience) }));
        add("exp", Some(json!(expires_at)));
        add("iat", Some(json!(issued_at)));
        add("jti", Some(json!(jti)));
        add("tenant_id", draft.tenant.as_ref().map(|tenant| json!(tenant)));
        add("scope", draft.scope.as_ref().map(|scope| json!(scope)));
        add("cnf", confirmation(draft));
        add("act", draft.actor.as_ref().map(|actor| json!({"sub": actor})));
        add("nonce", draft.nonce.as_ref().map(|nonce| json!(nonce)));
        add("groups", (!draft.groups.is_empty()).then(|| json!(draft.groups)));
        for (name, value) in of_type(draft, issued_at)? {
            add(name, Some(value));
        }
        claims.extend(draft.more.iter().cloned());
        Ok(object(claims.into_iter()))
    }

    /// Holds the claims to the rules of our own validator.
    fn check(&self, draft: &TokenDraft, claims: &str, now: SystemTime) -> Result<(), IssueError> {
        let mut policy = TokenPolicy::new(draft.token_type, self.name.as_str());
        policy.audience.clone_from(&draft.audience);
        policy.audience.extend(draft.client_id.clone().filter(|_| draft.token_type == TokenType::Id));
        policy.tenant.clone_from(&draft.tenant);
        policy.max_lifetime = draft.token_type.rules().lifetime_cap;
        let claims = json::parse_object(claims.as_bytes(), Limits::TOKEN)
            .map_err(|error| IssueError::Unacceptable(error.fault.into()))?;
        validator::acceptable(&claims, &policy, now).map_err(IssueError::Unacceptable)
    }
}

fn lifetime(draft: &TokenDraft) -> Result<i64, IssueError> {
    let rules = draft.token_type.rules();
    let default = rules.issued_for.ok_or(IssueError::TypeNotIssued(draft.token_type))?;
    let seconds = draft.ttl.map_or(default, |ttl| i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
    let cap = rules.issue_cap;
    if (1..=cap).contains(&seconds) { Ok(seconds) } else { Err(IssueError::TtlOutOfRange { seconds, cap }) }
}

fn confirmation(draft: &TokenDraft) -> Option<Value> {
    let mut members = serde_json::Map::new();
    let mut add = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            members.insert(name.to_owned(), json!(value));
        }
    };
    add("jkt", &draft.proof_key);
    add("x5t#S256", &draft.certificate);
    (!members.is_empty()).then_some(Value::Object(members))
}

/// The claims that one type has and another has not.
fn of_type(draft: &TokenDraft, issued_at: i64) -> Result<Vec<(&'static str, Value)>, IssueError> {
    let random = || random_text::<16>().ok_or(IssueError::RandomnessUnavailable);
    let client = draft.client_id.as_deref();
    let mut claims = Vec::new();
    match draft.token_type {
        TokenType::Access => {
            let own = if client == Some(draft.subject.as_str()) { PrincipalKind::Client } else { PrincipalKind::User };
            claims.extend(client.map(|client| ("client_id", json!(client))));
            claims.push(("subType", json!(draft.subject_kind.unwrap_or(own).as_str())));
        }
        TokenType::Id => {
            claims.extend(client.map(|client| ("azp", json!(client))));
            claims.extend(draft.auth_time.map(|time| ("auth_time", json!(time))));
        }
        TokenType::Session => {
            let sid = draft.session_id.clone().map_or_else(random, Ok)?;
            claims.push(("sid", json!(sid)));
            claims.push(("auth_time", json!(draft.auth_time.unwrap_or(issued_at))));
        }
        TokenType::Txn => {
            let txn = draft.transaction.clone().map_or_else(random, Ok)?;
            let workload = draft.workload.as_deref().or(client).unwrap_or(&draft.subject);
            claims.push(("txn", json!(txn)));
            claims.push(("req_wl", json!(workload)));
            claims.extend(draft.subject_kind.map(|kind| ("subType", json!(kind.as_str()))));
        }
        TokenType::Gateway => {
            if draft.certificate.is_none() && draft.proof_key.is_none() {
                return Err(IssueError::BindingRequired);
            }
        }
        TokenType::JwtIdp | TokenType::ClientAssertion => return Err(IssueError::TypeNotIssued(draft.token_type)),
    }
    Ok(claims)
}

/// A JSON object of members whose values are JSON already.
fn object(members: impl Iterator<Item = (String, String)>) -> String {
    let members: Vec<String> = members.map(|(name, value)| format!("{}:{value}", Value::from(name))).collect();
    format!("{{{}}}", members.join(","))
}
