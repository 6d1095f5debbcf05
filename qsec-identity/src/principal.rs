//! Who is calling, proved.

use std::fmt;
use std::time::SystemTime;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::jose::Algorithm;
use crate::replay::ReplayKey;
use crate::time::system_time;
use crate::token_type::TokenType;

/// What kind of caller a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program on its own behalf.
    Client,
    /// A gateway at a customer's site.
    Gateway,
}

impl PrincipalKind {
    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::User, Self::Client, Self::Gateway].into_iter().find(|kind| kind.as_str() == name)
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
            Self::Gateway => "gateway",
        }
    }
}

/// Which proof of possession was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binding {
    /// None: the token is a bearer token.
    None,
    /// A `DPoP` proof.
    Dpop,
    /// The client certificate of the connection.
    Mtls,
    /// Both.
    DpopAndMtls,
}

impl Binding {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dpop => "dpop",
            Self::Mtls => "mtls",
            Self::DpopAndMtls => "dpop+mtls",
        }
    }
}

/// The caller that a token proved. Only a [`Validator`](crate::Validator) makes one; claims that the type of token does
/// not define are not in it.
///
/// It serialises to the object `principal` of the program's answer.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use qsec_identity::{Algorithm, Issuer, KeySet, Presented, SigningKey, TokenDraft, TokenPolicy, Validator};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let key = SigningKey::generate(Algorithm::Es256)?;
/// let draft = TokenDraft::access("ada", "spa").audience("https://api.acme.example").scope("apps:read");
/// let issued = Issuer::new("https://acme.example")?.issue(&draft, &key, now)?;
///
/// let policy = TokenPolicy::access("https://acme.example")
///     .audience("https://api.acme.example")
///     .algorithms([Algorithm::Es256])
///     .tenant("t-acme");
/// # let draft = draft.tenant("t-acme");
/// # let issued = Issuer::new("https://acme.example")?.issue(&draft, &key, now)?;
/// let validator = Validator::new(policy, KeySet::of([key.verifying_key()])?)?;
/// let principal = validator.validate(issued.token(), &Presented::bearer(), now)?;
/// assert_eq!((principal.subject(), principal.tenant()), ("ada", Some("t-acme")));
/// assert_eq!(principal.scopes(), Some(&["apps:read".to_owned()][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail
/// let forged = qsec_identity::Principal { subject: "root".to_owned() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub(crate) tenant: Option<String>,
    pub(crate) kind: PrincipalKind,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) token_type: TokenType,
    pub(crate) client_id: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) groups: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: Option<bool>,
    pub(crate) actor: Option<String>,
    pub(crate) binding: Binding,
    pub(crate) jti: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) auth_time: Option<i64>,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) key_id: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) replay_keys: Vec<ReplayKey>,
}

impl Principal {
    /// The tenant of the policy, else the one that the token names.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// User, client or gateway.
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The subject: meaningful only together with tenant and issuer.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who says so.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The type of the token.
    pub fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// The client that the token was issued to.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The ceiling of what may be done with the token.
    ///
    /// `None`: there is no ceiling (only a session without `scope`). `Some(&[])`: the ceiling is empty, nothing is
    /// admitted. The two must not be confused: a token without scopes would gain all the rights of its user.
    pub fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }

    /// Groups, each once, in the order of the token.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The display name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The e-mail address: an attribute, never an identity.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// Whether the issuer says that the address was verified.
    pub fn email_verified(&self) -> Option<bool> {
        self.email_verified
    }

    /// Who acts in the subject's name: the outermost actor.
    pub fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// The proof of possession that was checked.
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// The id of the token.
    pub fn jti(&self) -> Option<&str> {
        self.jti.as_deref()
    }

    /// The id of the session, for a session token.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// When the user logged in, where the policy asked for it or the token is a session.
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.auth_time.map(system_time)
    }

    /// `iat`.
    pub fn issued_at(&self) -> SystemTime {
        system_time(self.issued_at)
    }

    /// `exp`.
    pub fn expires_at(&self) -> SystemTime {
        system_time(self.expires_at)
    }

    /// The `kid` of the key that verified the token.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The algorithm, in the token's spelling.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What a replay store must not have seen before this principal may act: of a single-use token and of a `DPoP` proof.
    /// [`Validator::validate_once`](crate::Validator::validate_once) consults it.
    pub fn replay_keys(&self) -> &[ReplayKey] {
        &self.replay_keys
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Principal", 16)?;
        object.serialize_field("tenant", &self.tenant)?;
        object.serialize_field("kind", self.kind.as_str())?;
        object.serialize_field("subject", &self.subject)?;
        object.serialize_field("issuer", &self.issuer)?;
        object.serialize_field("token_type", self.token_type.as_str())?;
        object.serialize_field("client_id", &self.client_id)?;
        object.serialize_field("scopes", self.scopes.as_deref().unwrap_or_default())?;
        object.serialize_field("groups", &self.groups)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("email", &self.email)?;
        object.serialize_field("email_verified", &self.email_verified)?;
        object.serialize_field("actor", &self.actor)?;
        object.serialize_field("binding", self.binding.as_str())?;
        object.serialize_field("jti", &self.jti)?;
        object.serialize_field("issued_at", &self.issued_at)?;
        object.serialize_field("expires_at", &self.expires_at)?;
        object.end()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` of `{}`", self.kind.as_str(), self.subject, self.issuer)
    }
}
