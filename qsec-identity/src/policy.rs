//! Which tokens are accepted: one type, from one issuer, for these audiences, under these algorithms.

mod file;

use std::time::{Duration, SystemTime};

use crate::jose::Algorithm;
use crate::jose::key::is_plain;
use crate::members::MemberFault;
use crate::time::unix_seconds;
use crate::token_type::TokenType;

/// Bytes of `iss` and of an audience.
pub(crate) const MAX_URL: usize = 2048;
/// Bytes of any other identifier.
pub(crate) const MAX_IDENTIFIER: usize = 256;
/// Audiences of a policy and of a token.
pub(crate) const MAX_AUDIENCES: usize = 8;
/// Algorithms of a policy.
const MAX_ALGORITHMS: usize = 8;
/// Scopes of a token, and scopes that a policy demands.
pub(crate) const MAX_SCOPES: usize = 64;
/// Claims that a policy demands besides those of the type.
const MAX_REQUIRED_CLAIMS: usize = 64;
/// Token ids that a policy names as revoked: what fits a file of 256 KiB.
const MAX_REVOKED: usize = 8192;
/// Seconds that two clocks may differ.
const MAX_CLOCK_SKEW: i64 = 300;
/// Seconds that a token may outlive its `exp`.
const MAX_EXP_LEEWAY: i64 = 60;
/// Seconds since a login: one year.
const MAX_AUTH_AGE: i64 = 31_536_000;
/// `typ` values of an override.
const MAX_TYPES: usize = 8;

/// Why a policy was refused. Code: `policy_invalid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy is not valid: `{member}` {fault}")]
pub struct PolicyError {
    member: String,
    fault: String,
}

impl PolicyError {
    pub(crate) fn new(member: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { member: member.into(), fault: fault.into() }
    }

    fn unused(member: &str, token_type: TokenType) -> Self {
        Self::new(member, format!("is not used by tokens of type `{token_type}`"))
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        "policy_invalid"
    }

    /// The member at fault, under its name in the file.
    pub fn member(&self) -> &str {
        &self.member
    }
}

impl From<MemberFault> for PolicyError {
    fn from(MemberFault { member, fault }: MemberFault) -> Self {
        Self { member, fault }
    }
}

/// What a token must be to be accepted. Every check is expected or ignored in writing: a policy that names no audience or
/// no algorithm is refused by [`Validator::new`](crate::Validator::new), it does not accept everything.
///
/// ```
/// use qsec_identity::{Algorithm, TokenPolicy};
///
/// let written = TokenPolicy::access("https://acme.example")
///     .audience("https://api.acme.example")
///     .algorithms([Algorithm::Es256])
///     .tenant("t-acme");
/// let read = TokenPolicy::parse(
///     r#"{"version":1,"token_type":"access","issuer":"https://acme.example",
///         "audience":["https://api.acme.example"],"algorithms":["ES256"],"tenant":"t-acme"}"#,
/// )?;
/// assert_eq!(written, read);
/// # Ok::<(), qsec_identity::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the file, read by name and never passed on")]
pub struct TokenPolicy {
    pub(crate) token_type: TokenType,
    pub(crate) issuer: String,
    pub(crate) audience: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) tenant: Option<String>,
    pub(crate) kid_required: bool,
    pub(crate) clock_skew: i64,
    pub(crate) exp_leeway: i64,
    pub(crate) max_lifetime: i64,
    pub(crate) max_age: Option<i64>,
    pub(crate) nonce: Option<String>,
    pub(crate) binding_required: bool,
    pub(crate) required_scopes: Vec<String>,
    pub(crate) required_claims: Vec<String>,
    pub(crate) verified_email: bool,
    pub(crate) groups_claim: Option<String>,
    pub(crate) subject_claim: Option<String>,
    pub(crate) revoked_before: Option<i64>,
    pub(crate) revoked_jti: Vec<String>,
    pub(crate) typ: Option<Vec<Option<String>>>,
    pub(crate) symmetric: bool,
}

macro_rules! constructors {
    ($($(#[doc = $doc:literal])+ $name:ident => $variant:ident;)+) => {
        $(
            $(#[doc = $doc])+
            pub fn $name(issuer: impl Into<String>) -> Self {
                Self::new(TokenType::$variant, issuer)
            }
        )+
    };
}

impl TokenPolicy {
    constructors! {
        /// Access tokens of this issuer.
        access => Access;
        /// ID tokens of this OpenID provider.
        id => Id;
        /// Login tokens of this customer's back end.
        jwt_idp => JwtIdp;
        /// Transaction tokens of this service.
        txn => Txn;
        /// Assertions of this client: the issuer is the client id.
        client_assertion => ClientAssertion;
        /// Sessions of this issuer.
        session => Session;
        /// Gateway tokens of this issuer.
        gateway => Gateway;
    }

    /// Tokens of that type from that issuer, compared octet by octet.
    pub fn new(token_type: TokenType, issuer: impl Into<String>) -> Self {
        let rules = token_type.rules();
        Self {
            token_type,
            issuer: issuer.into(),
            audience: Vec::new(),
            algorithms: Vec::new(),
            tenant: None,
            kid_required: true,
            clock_skew: 30,
            exp_leeway: 0,
            max_lifetime: rules.max_lifetime,
            max_age: None,
            nonce: None,
            binding_required: rules.binding_always_required,
            required_scopes: Vec::new(),
            required_claims: Vec::new(),
            verified_email: false,
            groups_claim: None,
            subject_claim: None,
            revoked_before: None,
            revoked_jti: Vec::new(),
            typ: None,
            symmetric: false,
        }
    }

    /// Reads the policy file: one strict JSON object, unknown members refused.
    ///
    /// # Errors
    /// [`PolicyError`] names the member that is unknown, of the wrong type, out of range, or out of place.
    pub fn parse(json: impl AsRef<[u8]>) -> Result<Self, PolicyError> {
        file::parse(json.as_ref())
    }

    /// Adds an audience.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Sets the algorithms that a token may use.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// The tenant that the principal will belong to.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Permits tokens without `kid`, where a single key of the set can be meant. Without effect on `jwt_idp`, whose tokens
    /// always name their key.
    #[must_use]
    pub fn kid_optional(mut self) -> Self {
        self.kid_required = self.token_type.rules().kid_always_required;
        self
    }

    /// Tolerance for `nbf`, `iat` and `auth_time` lying in the future, 30 s unless set, at most 300 s. Never added to `exp`.
    #[must_use]
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = whole_seconds(skew);
        self
    }

    /// Added to `exp`: 0 unless set, at most 60 s.
    #[must_use]
    pub fn exp_leeway(mut self, leeway: Duration) -> Self {
        self.exp_leeway = whole_seconds(leeway);
        self
    }

    /// The longest life of a token, from `iat` and from `nbf` to `exp`.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = whole_seconds(lifetime);
        self
    }

    /// Demands `auth_time`, and that the login is at most this long ago.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(whole_seconds(age));
        self
    }

    /// The `nonce` of this login.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Refuses tokens that are not bound to a key.
    #[must_use]
    pub fn require_binding(mut self) -> Self {
        self.binding_required = true;
        self
    }

    /// Scopes that must all be in the token.
    #[must_use]
    pub fn require_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.required_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Claims that must be there besides those of the type.
    #[must_use]
    pub fn require_claims<S: Into<String>>(mut self, claims: impl IntoIterator<Item = S>) -> Self {
        self.required_claims = claims.into_iter().map(Into::into).collect();
        self
    }

    /// Demands `email`, and `email_verified` to be `true`.
    #[must_use]
    pub fn require_verified_email(mut self) -> Self {
        self.verified_email = true;
        self
    }

    /// The claim that holds the groups, instead of `groups`.
    #[must_use]
    pub fn groups_claim(mut self, claim: impl Into<String>) -> Self {
        self.groups_claim = Some(claim.into());
        self
    }

    /// The claim that becomes the subject, instead of `sub`, which stays required.
    #[must_use]
    pub fn subject_claim(mut self, claim: impl Into<String>) -> Self {
        self.subject_claim = Some(claim.into());
        self
    }

    /// Refuses tokens that were issued before that second.
    #[must_use]
    pub fn revoked_before(mut self, time: SystemTime) -> Self {
        self.revoked_before = Some(unix_seconds(time));
        self
    }

    /// Refuses tokens with one of these ids.
    #[must_use]
    pub fn revoked_jti<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.revoked_jti = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts exactly these values of `typ` (`None`: absent) instead of the type's. Tokens of another purpose may then
    /// be accepted: what keeps the types apart is gone.
    #[must_use]
    pub fn danger_accept_typ<'a>(mut self, typ: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        self.typ = Some(typ.into_iter().map(|typ| typ.map(str::to_owned)).collect());
        self
    }

    /// Permits HMAC algorithms: whoever verifies can then also issue.
    #[must_use]
    pub fn danger_symmetric(mut self) -> Self {
        self.symmetric = true;
        self
    }

    /// The type that is accepted.
    pub fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// The issuer that is accepted.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether every member is in range and in place.
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let rules = self.token_type.rules();
        plain("issuer", &self.issuer, MAX_URL)?;
        list("audience", &self.audience, 1, MAX_AUDIENCES, |entry| is_plain(entry, MAX_URL))?;
        self.check_algorithms()?;
        for (member, value) in [
            ("tenant", &self.tenant),
            ("nonce", &self.nonce),
            ("groups_claim", &self.groups_claim),
            ("subject_claim", &self.subject_claim),
        ] {
            value.as_ref().map_or(Ok(()), |value| plain(member, value, MAX_IDENTIFIER))?;
        }
        range("clock_skew_s", self.clock_skew, 0, MAX_CLOCK_SKEW)?;
        range("exp_leeway_s", self.exp_leeway, 0, MAX_EXP_LEEWAY)?;
        range("max_lifetime_s", self.max_lifetime, 1, rules.lifetime_cap)?;
        self.max_age.map_or(Ok(()), |age| range("max_age_s", age, 0, MAX_AUTH_AGE))?;
        list("required_scopes", &self.required_scopes, 0, MAX_SCOPES, |entry| is_scope(entry))?;
        list("require_claims", &self.required_claims, 0, MAX_REQUIRED_CLAIMS, |entry| is_plain(entry, MAX_IDENTIFIER))?;
        list("revoked_jti", &self.revoked_jti, 0, MAX_REVOKED, |entry| is_plain(entry, MAX_IDENTIFIER))?;
        if let Some(typ) = &self.typ {
            list("danger.typ", typ, 1, MAX_TYPES, |typ| typ.as_ref().is_none_or(|typ| is_plain(typ, MAX_IDENTIFIER)))?;
        }
        self.check_places()
    }

    fn check_algorithms(&self) -> Result<(), PolicyError> {
        list("algorithms", &self.algorithms, 1, MAX_ALGORITHMS, |_| true)?;
        let symmetric = self.algorithms.iter().filter(|algorithm| algorithm.is_symmetric()).count();
        if symmetric != 0 && symmetric != self.algorithms.len() {
            return Err(PolicyError::new("algorithms", "holds HMAC algorithms beside others"));
        }
        if symmetric != 0 && !self.symmetric {
            return Err(PolicyError::new("algorithms", "holds HMAC algorithms without `danger.symmetric`"));
        }
        Ok(())
    }

    /// Members on a type that does not use them: whoever wrote them expects a check that would not happen.
    fn check_places(&self) -> Result<(), PolicyError> {
        let rules = self.token_type.rules();
        let misplaced = [
            ("nonce", self.nonce.is_some() && self.token_type != TokenType::Id),
            ("max_age_s", self.max_age.is_some() && !rules.max_age),
            ("required_scopes", !self.required_scopes.is_empty() && !rules.reads_scope),
            ("require_verified_email", self.verified_email && !rules.reads_profile),
            ("groups_claim", self.groups_claim.is_some() && !rules.reads_groups),
            ("subject_claim", self.subject_claim.is_some() && !rules.reads_profile),
        ];
        match misplaced.into_iter().find(|(_, misplaced)| *misplaced) {
            Some((member, _)) => Err(PolicyError::unused(member, self.token_type)),
            None => Ok(()),
        }
    }
}

/// A fraction counts as a whole second: a limit is never widened by rounding, and zero stays zero.
fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn plain(member: &str, value: &str, max: usize) -> Result<(), PolicyError> {
    if is_plain(value, max) {
        Ok(())
    } else {
        Err(PolicyError::new(member, format!("is not a text of 1 to {max} bytes without control characters")))
    }
}

fn range(member: &str, value: i64, min: i64, max: i64) -> Result<(), PolicyError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(PolicyError::new(member, format!("is not between {min} and {max}")))
    }
}

fn list<T: Ord>(
    member: &str,
    entries: &[T],
    min: usize,
    max: usize,
    valid: impl Fn(&T) -> bool,
) -> Result<(), PolicyError> {
    if !(min..=max).contains(&entries.len()) {
        return Err(PolicyError::new(member, format!("does not have {min} to {max} entries")));
    }
    if !entries.iter().all(valid) {
        return Err(PolicyError::new(member, "holds an entry that is not valid"));
    }
    let mut sorted: Vec<&T> = entries.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == entries.len() { Ok(()) } else { Err(PolicyError::new(member, "repeats an entry")) }
}

/// RFC 6749 section 3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
pub(crate) fn is_scope(token: &str) -> bool {
    is_plain(token, MAX_IDENTIFIER) && token.bytes().all(|octet| matches!(octet, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
