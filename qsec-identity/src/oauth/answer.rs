//! What the endpoints answer (RFC 6749 sections 5.1 and 5.2).

use std::fmt;

use serde_json::json;

/// The code that a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OAuthErrorCode {
    /// A parameter is missing, repeated or malformed, or the client authenticated twice.
    InvalidRequest,
    /// The client is unknown, its credentials are wrong, or the method is not the registered one.
    InvalidClient,
    /// The client may not use this grant, or is disabled.
    UnauthorizedClient,
    /// There is no such grant.
    UnsupportedGrantType,
    /// A scope is unknown or not allowed, or none is left.
    InvalidScope,
    /// The resource is not one that the client may ask for.
    InvalidTarget,
    /// The `DPoP` proof is faulty, missing or was used before.
    InvalidDpopProof,
    /// A store or key cannot be reached.
    TemporarilyUnavailable,
}

impl OAuthErrorCode {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// The status over HTTP.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidClient => 401,
            Self::TemporarilyUnavailable => 503,
            Self::InvalidRequest
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::InvalidTarget
            | Self::InvalidDpopProof => 400,
        }
    }

    /// One text for each code: which of several causes it was is for the operator alone.
    fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest => "the request is not well formed",
            Self::InvalidClient => "the client is not authenticated",
            Self::UnauthorizedClient => "the client may not use this grant",
            Self::UnsupportedGrantType => "the grant is not supported",
            Self::InvalidScope => "a scope is not available to the client",
            Self::InvalidTarget => "the resource is not available to the client",
            Self::InvalidDpopProof => "the proof is not valid",
            Self::TemporarilyUnavailable => "try again later",
        }
    }
}

/// A refused request: the code is for the client, the reason for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    code: OAuthErrorCode,
    reason: &'static str,
    challenge: bool,
}

impl OAuthError {
    /// A refusal for a check that lies outside, such as a store that is away.
    pub fn new(code: OAuthErrorCode, reason: &'static str) -> Self {
        Self { code, reason, challenge: false }
    }

    /// Demands Basic authentication in the answer: the client tried it.
    pub(crate) fn challenging(mut self, challenge: bool) -> Self {
        self.challenge = challenge && self.code == OAuthErrorCode::InvalidClient;
        self
    }

    /// What the client may learn.
    pub fn code(&self) -> OAuthErrorCode {
        self.code
    }

    /// What the log may say: a stable `snake_case` word.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The answer to send.
    pub fn response(&self) -> Response {
        let body = json!({"error": self.code.as_str(), "error_description": self.code.description()});
        let mut response = Response::json(self.code.http_status(), &body);
        if self.challenge {
            response.headers.push(("WWW-Authenticate", "Basic realm=\"oauth\", charset=\"UTF-8\"".to_owned()));
        }
        response
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.reason)
    }
}

impl std::error::Error for OAuthError {}

/// An answer, to be sent as it is. It may hold a token: its debug form does not show the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Response {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            ("Pragma", "no-cache".to_owned()),
        ];
        Self { status, headers, body: body.to_string() }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Names and values.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// JSON.
    pub fn body(&self) -> &str {
        &self.body
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).field("headers", &self.headers).finish_non_exhaustive()
    }
}
