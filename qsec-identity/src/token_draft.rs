//! What a token is to say, before it is signed.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::issuer::IssueError;
use crate::jose::base64url;
use crate::jose::json::{self, Limits};
use crate::presented::thumbprint;
use crate::principal::PrincipalKind;
use crate::time::unix_seconds;
use crate::token_type::TokenType;

/// Claims that the issuer writes itself, or that have a method of their own.
const RESERVED: [&str; 21] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "tenant_id",
    "subType",
    "scope",
    "cnf",
    "act",
    "sid",
    "auth_time",
    "txn",
    "req_wl",
    "azp",
    "nonce",
    "groups",
    "events",
];

/// The contents of a token that an [`Issuer`](crate::Issuer) is asked for.
///
/// ```
/// use std::time::Duration;
/// use qsec_identity::TokenDraft;
///
/// let draft = TokenDraft::access("ada", "spa")
///     .audience("https://api.acme.example")
///     .scope("apps:read apps:write")
///     .tenant("t-acme")
///     .ttl(Duration::from_secs(300));
/// # let _ = draft;
/// ```
#[derive(Clone)]
pub struct TokenDraft {
    pub(crate) token_type: TokenType,
    pub(crate) subject: String,
    pub(crate) audience: Vec<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) subject_kind: Option<PrincipalKind>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) actor: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) proof_key: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) auth_time: Option<i64>,
    pub(crate) nonce: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) transaction: Option<String>,
    pub(crate) workload: Option<String>,
    pub(crate) more: Vec<(String, String)>,
}

impl TokenDraft {
    /// An access token (RFC 9068) for a client.
    pub fn access(subject: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self::new(TokenType::Access, subject).client_id(client_id)
    }

    /// A token of that type. Required claims that are not set get a value of their own: a random `sid` and `txn`, the
    /// time of issue as `auth_time`, the client (else the subject) as `req_wl`.
    pub fn new(token_type: TokenType, subject: impl Into<String>) -> Self {
        Self {
            token_type,
            subject: subject.into(),
            audience: Vec::new(),
            client_id: None,
            scope: None,
            tenant: None,
            subject_kind: None,
            ttl: None,
            actor: None,
            certificate: None,
            proof_key: None,
            session_id: None,
            auth_time: None,
            nonce: None,
            groups: Vec::new(),
            transaction: None,
            workload: None,
            more: Vec::new(),
        }
    }

    /// Adds an audience.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// The client that the token is issued to: `client_id` of an access token, `azp` of an ID token.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// The scopes, separated by single spaces.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// `tenant_id`.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// `subType`, where it does not follow from subject and client.
    #[must_use]
    pub fn subject_kind(mut self, kind: PrincipalKind) -> Self {
        self.subject_kind = Some(kind);
        self
    }

    /// How long the token lives, in whole seconds; unless set, as long as its type does by default.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Who acts in the subject's name. Record the impersonation before the token leaves.
    #[must_use]
    pub fn actor(mut self, subject: impl Into<String>) -> Self {
        self.actor = Some(subject.into());
        self
    }

    /// Binds the token to a client certificate, given as DER (RFC 8705).
    #[must_use]
    pub fn bind_certificate(mut self, der: &[u8]) -> Self {
        self.certificate = Some(base64url::encode(thumbprint(der)));
        self
    }

    /// Binds the token to the key with that RFC 7638 thumbprint (RFC 9449).
    #[must_use]
    pub fn bind_thumbprint(mut self, jkt: impl Into<String>) -> Self {
        self.proof_key = Some(jkt.into());
        self
    }

    /// `sid` of a session.
    #[must_use]
    pub fn session_id(mut self, session_id: impl Into<String>) -> Self {
        self.session_id = Some(session_id.into());
        self
    }

    /// When the user logged in.
    #[must_use]
    pub fn auth_time(mut self, time: SystemTime) -> Self {
        self.auth_time = Some(unix_seconds(time));
        self
    }

    /// `nonce` of an ID token.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// The groups of the subject.
    #[must_use]
    pub fn groups<S: Into<String>>(mut self, groups: impl IntoIterator<Item = S>) -> Self {
        self.groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// `txn` and `req_wl` of a transaction token: the id that stays with the call chain, and who asked.
    #[must_use]
    pub fn transaction(mut self, txn: impl Into<String>, requesting_workload: impl Into<String>) -> Self {
        self.transaction = Some(txn.into());
        self.workload = Some(requesting_workload.into());
        self
    }

    /// Adds the members of a JSON object as claims.
    ///
    /// # Errors
    /// [`IssueError::ClaimReserved`] for a claim that the issuer sets itself, [`IssueError::Json`] for text that is not a
    /// strict JSON object.
    pub fn claims_json(mut self, json: impl AsRef<[u8]>) -> Result<Self, IssueError> {
        let members = json::parse_object(json.as_ref(), Limits::TOKEN)
            .map_err(|error| IssueError::Json { what: error.to_string() })?;
        for (name, value) in members.iter() {
            if RESERVED.contains(&name) {
                return Err(IssueError::ClaimReserved { name: name.to_owned() });
            }
            self.more.push((name.to_owned(), value.to_string()));
        }
        Ok(self)
    }

    /// The type of the token.
    pub fn token_type(&self) -> TokenType {
        self.token_type
    }
}

impl fmt::Debug for TokenDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDraft")
            .field("token_type", &self.token_type)
            .field("subject", &self.subject)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
