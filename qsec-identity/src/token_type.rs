//! The types of tokens, and the one table that tells them apart.

use std::fmt;

/// What a token is for. A token of one type is never accepted as another (RFC 8725 section 3.12).
///
/// ```
/// use qsec_identity::TokenType;
///
/// assert_eq!(TokenType::parse("access"), Some(TokenType::Access));
/// assert_eq!(TokenType::Txn.as_str(), "txn");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TokenType {
    /// An access token (RFC 9068): opens resource services.
    Access,
    /// An ID token (OpenID Connect Core): ends one login at the party that began it.
    Id,
    /// A token of a customer's back end: exchanged for a session at the login endpoint, once.
    JwtIdp,
    /// A transaction token: says on whose behalf a call runs inside the zone.
    Txn,
    /// A client's proof of itself at our token endpoint (RFC 7523), once.
    ClientAssertion,
    /// A browser's session.
    Session,
    /// A gateway's token for the control endpoint, always bound to the gateway's key.
    Gateway,
}

/// How many of a token's audiences must be the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AudienceMode {
    /// One of them.
    Any,
    /// All of them.
    Only,
    /// There is one, and it is.
    Single,
}

/// A row of the table. Lifetimes in seconds.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of a table")]
pub(crate) struct Rules {
    pub(crate) name: &'static str,
    /// Values of `typ`, `None` for absent.
    pub(crate) typ: &'static [Option<&'static str>],
    /// How long a token that we issue lives unless told otherwise; `None`: we issue none.
    pub(crate) issued_for: Option<i64>,
    /// The longest that a token of ours may live.
    pub(crate) issue_cap: i64,
    /// What a policy permits unless told otherwise.
    pub(crate) max_lifetime: i64,
    /// The most that a policy may permit.
    pub(crate) lifetime_cap: i64,
    pub(crate) required: &'static [&'static str],
    pub(crate) audience: AudienceMode,
    pub(crate) single_use: bool,
    pub(crate) kid_always_required: bool,
    pub(crate) binding_always_required: bool,
    /// Whether a policy with a tenant demands `tenant_id`.
    pub(crate) tenant_claim: bool,
    pub(crate) reads_scope: bool,
    pub(crate) reads_groups: bool,
    /// `name`, `email`, `email_verified`, and a subject from another claim.
    pub(crate) reads_profile: bool,
    pub(crate) reads_actor: bool,
    pub(crate) reads_subject_type: bool,
    pub(crate) max_age: bool,
}

const OTHER: Rules = Rules {
    name: "",
    typ: &[],
    issued_for: None,
    issue_cap: 0,
    max_lifetime: 0,
    lifetime_cap: 0,
    required: &[],
    audience: AudienceMode::Only,
    single_use: false,
    kid_always_required: false,
    binding_always_required: false,
    tenant_claim: false,
    reads_scope: false,
    reads_groups: false,
    reads_profile: false,
    reads_actor: false,
    reads_subject_type: false,
    max_age: false,
};

static ACCESS: Rules = Rules {
    name: "access",
    typ: &[Some("at+jwt")],
    issued_for: Some(600),
    issue_cap: 86_400,
    max_lifetime: 21_600,
    lifetime_cap: 86_400,
    required: &["iss", "sub", "aud", "exp", "iat", "jti", "client_id"],
    audience: AudienceMode::Any,
    tenant_claim: true,
    reads_scope: true,
    reads_groups: true,
    reads_actor: true,
    reads_subject_type: true,
    max_age: true,
    ..OTHER
};

static ID: Rules = Rules {
    name: "id",
    typ: &[None, Some("JWT")],
    issued_for: Some(300),
    issue_cap: 86_400,
    max_lifetime: 86_400,
    lifetime_cap: 86_400,
    required: &["iss", "sub", "aud", "exp", "iat"],
    reads_groups: true,
    reads_profile: true,
    max_age: true,
    ..OTHER
};

static JWT_IDP: Rules = Rules {
    name: "jwt_idp",
    typ: &[None, Some("JWT")],
    max_lifetime: 3_600,
    lifetime_cap: 3_600,
    required: &["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "name", "email", "email_verified", "subType"],
    single_use: true,
    kid_always_required: true,
    reads_groups: true,
    reads_profile: true,
    reads_subject_type: true,
    ..OTHER
};

static TXN: Rules = Rules {
    name: "txn",
    typ: &[Some("txntoken+jwt")],
    issued_for: Some(120),
    issue_cap: 300,
    max_lifetime: 300,
    lifetime_cap: 300,
    required: &["iss", "sub", "aud", "exp", "iat", "txn", "scope", "req_wl"],
    tenant_claim: true,
    reads_scope: true,
    reads_actor: true,
    reads_subject_type: true,
    ..OTHER
};

static CLIENT_ASSERTION: Rules = Rules {
    name: "client_assertion",
    typ: &[None, Some("JWT"), Some("client-authentication+jwt")],
    max_lifetime: 300,
    lifetime_cap: 300,
    required: &["iss", "sub", "aud", "exp", "iat", "jti"],
    audience: AudienceMode::Single,
    single_use: true,
    ..OTHER
};

static SESSION: Rules = Rules {
    name: "session",
    typ: &[Some("session+jwt")],
    issued_for: Some(1_200),
    issue_cap: 43_200,
    max_lifetime: 43_200,
    lifetime_cap: 86_400,
    required: &["iss", "sub", "aud", "exp", "iat", "jti", "sid", "tenant_id", "auth_time"],
    tenant_claim: true,
    reads_scope: true,
    reads_groups: true,
    max_age: true,
    ..OTHER
};

static GATEWAY: Rules = Rules {
    name: "gateway",
    typ: &[Some("gateway+jwt")],
    issued_for: Some(600),
    issue_cap: 3_600,
    max_lifetime: 3_600,
    lifetime_cap: 3_600,
    required: &["iss", "sub", "aud", "exp", "iat", "jti", "tenant_id", "cnf"],
    binding_always_required: true,
    tenant_claim: true,
    reads_scope: true,
    ..OTHER
};

impl TokenType {
    /// Every type.
    pub const ALL: [Self; 7] =
        [Self::Access, Self::Id, Self::JwtIdp, Self::Txn, Self::ClientAssertion, Self::Session, Self::Gateway];

    /// The type of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|token_type| token_type.as_str() == name)
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        self.rules().name
    }

    pub(crate) fn rules(self) -> &'static Rules {
        match self {
            Self::Access => &ACCESS,
            Self::Id => &ID,
            Self::JwtIdp => &JWT_IDP,
            Self::Txn => &TXN,
            Self::ClientAssertion => &CLIENT_ASSERTION,
            Self::Session => &SESSION,
            Self::Gateway => &GATEWAY,
        }
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
