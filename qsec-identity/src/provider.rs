//! Identity providers of a tenant whose word is a signed token: a customer's own back end.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::jose::json::Value;
use crate::jose::jws::{self, Expected, Header};
use crate::jose::key::is_plain;
use crate::jose::{Algorithm, KeySet, KeySetError, VerifyingKey};
use crate::members::{self, MemberFault, Members, entries, text};
use crate::policy::{MAX_IDENTIFIER, MAX_URL, PolicyError, TokenPolicy};
use crate::presented::Presented;
use crate::principal::Principal;
use crate::rejection::{ClaimsSeen, Reason, Rejection};
use crate::token_type::TokenType;
use crate::validator::{Validator, claims_seen, split_token};

/// What the token of a JWT provider is addressed to: the login endpoint.
pub const LOGIN_AUDIENCE: &str = "qlik.api/login/jwt-session";

/// Static keys of a provider: one, and its successor during a rotation.
const MAX_STATIC_KEYS: usize = 2;
/// JWT providers of a tenant.
const MAX_PROVIDERS: usize = 64;
/// E-mail domains of a provider.
const MAX_DOMAINS: usize = 64;
/// Bytes that are put before each group.
const MAX_PREFIX: usize = 64;

const MEMBERS: [&str; 12] = [
    "name",
    "subject_claim",
    "groups_claim",
    "groups_prefix",
    "email_domains",
    "create_users",
    "clock_skew_s",
    "require_verified_email",
    "issuer",
    "keys",
    "jwks_uri",
    "algorithms",
];

/// Why the configuration of a provider was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// A member is unknown, missing, of the wrong type or out of range.
    #[error("the provider is not valid: `{member}` {fault}")]
    Invalid {
        /// The member.
        member: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The static keys cannot be used.
    #[error("the keys of the provider are not valid")]
    Keys(#[source] KeySetError),
    /// Keys behind a URL need a key source, and this build has none.
    #[error("`jwks_uri` needs a key source, which is not available")]
    KeySourceUnavailable,
    /// Another provider of the tenant has that issuer.
    #[error("another provider of the tenant has the issuer `{issuer}`")]
    IssuerTaken {
        /// The issuer.
        issuer: String,
    },
    /// Another provider of the tenant has that id.
    #[error("another provider of the tenant has the id `{id}`")]
    IdTaken {
        /// The id.
        id: String,
    },
    /// The tenant has as many providers as it can.
    #[error("a tenant has at most {MAX_PROVIDERS} JWT providers")]
    TooMany,
}

impl ProviderError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "provider_invalid",
            Self::Keys(_) => "keyset_invalid",
            Self::KeySourceUnavailable => "key_source_unavailable",
            Self::IssuerTaken { .. } => "issuer_taken",
            Self::IdTaken { .. } => "provider_exists",
            Self::TooMany => "too_many_providers",
        }
    }
}

impl From<MemberFault> for ProviderError {
    fn from(MemberFault { member, fault }: MemberFault) -> Self {
        Self::Invalid { member, fault }
    }
}

impl From<PolicyError> for ProviderError {
    fn from(error: PolicyError) -> Self {
        Self::Invalid { member: error.member().to_owned(), fault: error.to_string() }
    }
}

/// A back end whose signed tokens log users in, once each. The keys verify nothing but tokens of this issuer.
///
/// ```
/// use qsec_identity::{Algorithm, JwtProvider, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::Es256)?;
/// let jwk = key.verifying_key().to_jwk().expect("an asymmetric key has a public form");
/// let provider = JwtProvider::parse(format!(
///     r#"{{"issuer":"https://backend.example","keys":{{"keys":[{jwk}]}},"algorithms":["ES256"]}}"#
/// ))?;
/// assert_eq!(provider.issuer(), "https://backend.example");
/// assert_eq!(provider.key_ids(), [key.kid()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JwtProvider {
    name: Option<String>,
    issuer: String,
    algorithms: Vec<Algorithm>,
    keys: KeySet,
    subject_claim: Option<String>,
    groups_claim: Option<String>,
    groups_prefix: String,
    email_domains: Vec<String>,
    create_users: bool,
    clock_skew: i64,
    verified_email: bool,
    source: String,
}

impl JwtProvider {
    /// Reads the configuration: one strict JSON object, unknown members refused.
    ///
    /// # Errors
    /// [`ProviderError`] names the member at fault; [`ProviderError::KeySourceUnavailable`] for a valid `jwks_uri`.
    pub fn parse(json: impl AsRef<[u8]>) -> Result<Self, ProviderError> {
        let object = members::parse(json.as_ref())?;
        let members = Members(&object);
        members.known(&MEMBERS)?;
        let provider = Self {
            name: members.text("name")?,
            issuer: members.required("issuer", text, "a string")?,
            algorithms: members
                .optional("algorithms", algorithms, "an array of algorithm names")?
                .unwrap_or_else(|| vec![Algorithm::Rs256]),
            keys: static_keys(members)?,
            subject_claim: members.text("subject_claim")?,
            groups_claim: members.text("groups_claim")?,
            groups_prefix: members.text("groups_prefix")?.unwrap_or_default(),
            email_domains: members.texts("email_domains")?,
            create_users: members.boolean("create_users")?.unwrap_or(false),
            clock_skew: members.integer("clock_skew_s")?.unwrap_or(30),
            verified_email: members.boolean("require_verified_email")?.unwrap_or(false),
            source: object.to_string(),
        };
        provider.check()?;
        Ok(provider)
    }

    fn check(&self) -> Result<(), ProviderError> {
        let plain = |member: &str, value: &str, max| {
            if is_plain(value, max) {
                Ok(())
            } else {
                Err(MemberFault::new(member, "is empty, too long or holds control characters"))
            }
        };
        self.name.as_deref().map_or(Ok(()), |name| plain("name", name, MAX_IDENTIFIER))?;
        plain("issuer", &self.issuer, MAX_URL)?;
        if !self.groups_prefix.is_empty() {
            plain("groups_prefix", &self.groups_prefix, MAX_PREFIX)?;
        }
        let domain =
            |domain: &String| is_plain(domain, 253) && !domain.contains('@') && *domain == domain.to_ascii_lowercase();
        if self.email_domains.len() > MAX_DOMAINS || !self.email_domains.iter().all(domain) {
            return Err(MemberFault::new("email_domains", "is not a list of at most 64 domains in lower case").into());
        }
        self.policy("t")?.check()?;
        let usable = |key: &VerifyingKey| key.kid().is_some() && self.fits(key);
        if self.keys.unusable().next().is_some() || !self.keys.usable().all(usable) {
            return Err(
                MemberFault::new("keys", "holds a key without kid, or that cannot be used under `algorithms`").into()
            );
        }
        Ok(())
    }

    fn fits(&self, key: &VerifyingKey) -> bool {
        let of_key = key.algorithm_under(&self.algorithms);
        of_key.is_some_and(|of_key| self.algorithms.iter().any(|permitted| permitted.same_as(of_key)))
    }

    /// The display name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whose tokens these are.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The ids of the keys.
    pub fn key_ids(&self) -> Vec<&str> {
        self.keys.usable().filter_map(VerifyingKey::kid).collect()
    }

    /// The keys.
    pub fn key_set(&self) -> &KeySet {
        &self.keys
    }

    /// Whether a first login makes an account.
    pub fn create_users(&self) -> bool {
        self.create_users
    }

    /// The configuration as compact JSON, to be stored; it holds public keys only.
    pub fn to_json(&self) -> &str {
        &self.source
    }

    /// The policy for tokens of this provider in that tenant.
    ///
    /// # Errors
    /// [`PolicyError`] for a tenant that is not an identifier.
    pub fn policy(&self, tenant: &str) -> Result<TokenPolicy, PolicyError> {
        let mut policy = TokenPolicy::jwt_idp(self.issuer.as_str())
            .audience(LOGIN_AUDIENCE)
            .algorithms(self.algorithms.iter().copied())
            .tenant(tenant);
        policy.clock_skew = self.clock_skew;
        policy.verified_email = self.verified_email;
        policy.subject_claim.clone_from(&self.subject_claim);
        policy.groups_claim.clone_from(&self.groups_claim);
        policy.check()?;
        Ok(policy)
    }

    /// RFC 5321: the part after the last `@`, whose case means nothing.
    fn lists_domain_of(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        domain.is_some_and(|domain| self.email_domains.contains(&domain))
    }
}

fn algorithms(value: &Value<'_>) -> Option<Vec<Algorithm>> {
    let algorithms = entries(value, |name| name.as_str().and_then(Algorithm::parse))?;
    algorithms.iter().all(|algorithm| !algorithm.is_symmetric()).then_some(algorithms)
}

fn static_keys(members: Members<'_, '_>) -> Result<KeySet, ProviderError> {
    let uri = members.text("jwks_uri")?;
    let keys = members.optional(
        "keys",
        |value| if let Value::Object(keys) = value { Some(keys) } else { None },
        "a JWK Set",
    )?;
    match (keys, uri) {
        (Some(_), Some(_)) => Err(MemberFault::new("jwks_uri", "stands beside `keys`").into()),
        (None, None) => Err(MemberFault::new("keys", "is missing").into()),
        (None, Some(uri)) => {
            let https =
                uri.strip_prefix("https://").is_some_and(|rest| is_plain(rest, MAX_URL) && !rest.starts_with('/'));
            Err(if https {
                ProviderError::KeySourceUnavailable
            } else {
                MemberFault::new("jwks_uri", "is not an https URL").into()
            })
        }
        (Some(keys), None) => {
            let keys = KeySet::from_object(keys).map_err(ProviderError::Keys)?;
            let count = keys.usable().count();
            if (1..=MAX_STATIC_KEYS).contains(&count) {
                Ok(keys)
            } else {
                Err(MemberFault::new("keys", "does not hold one usable key, or two during a rotation").into())
            }
        }
    }
}

/// A login that a provider's token proved. The caller checks the tenant, uses up the token
/// ([`Principal::replay_keys`]), finds the account by (tenant, provider, subject), and starts a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    provider: String,
    principal: Principal,
    groups_incomplete: bool,
    may_link_by_email: bool,
    create_user: bool,
}

impl Login {
    /// The id of the provider: part of the identity, as subjects of two providers are two people.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Who logged in, groups already prefixed.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// How, for the event `login.succeeded`.
    pub fn method(&self) -> &'static str {
        "jwt"
    }

    /// Whether the provider said that the list of groups did not fit: the login then has none.
    pub fn groups_incomplete(&self) -> bool {
        self.groups_incomplete
    }

    /// Whether the address is verified and of a domain that the provider speaks for. Only then may a first login be linked
    /// to an existing account, and never to one with an administrator role.
    pub fn may_link_by_email(&self) -> bool {
        self.may_link_by_email
    }

    /// Whether a first login makes an account.
    pub fn create_user(&self) -> bool {
        self.create_user
    }
}

/// The JWT providers of one tenant. A provider of another tenant does not exist from here.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_identity::{Presented, Providers};
///
/// let providers = Providers::new("t-acme");
/// let rejection = providers.login("no token", &Presented::bearer(), SystemTime::UNIX_EPOCH).unwrap_err();
/// assert_eq!(rejection.reason().as_str(), "not_compact_jws");
/// ```
#[derive(Debug, Clone)]
pub struct Providers {
    tenant: String,
    by_issuer: BTreeMap<String, Registered>,
}

#[derive(Debug, Clone)]
struct Registered {
    id: String,
    provider: JwtProvider,
    validator: Validator,
}

impl Providers {
    /// No providers yet.
    pub fn new(tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), by_issuer: BTreeMap::new() }
    }

    /// Adds a provider under its id.
    ///
    /// # Errors
    /// [`ProviderError`] when id or issuer are taken in this tenant, or there are 64.
    pub fn add(&mut self, id: impl Into<String>, provider: JwtProvider) -> Result<(), ProviderError> {
        let id = id.into();
        if self.by_issuer.len() >= MAX_PROVIDERS {
            return Err(ProviderError::TooMany);
        }
        if self.by_issuer.contains_key(provider.issuer()) {
            return Err(ProviderError::IssuerTaken { issuer: provider.issuer().to_owned() });
        }
        if self.by_issuer.values().any(|registered| registered.id == id) {
            return Err(ProviderError::IdTaken { id });
        }
        let validator = Validator::new(provider.policy(&self.tenant)?, provider.keys.clone())?;
        self.by_issuer.insert(provider.issuer.clone(), Registered { id, provider, validator });
        Ok(())
    }

    /// Checks a token against the one provider of this tenant that its `iss` names. Nothing is remembered: the token is
    /// single-use, and the caller still has to consult a replay store with [`Principal::replay_keys`].
    ///
    /// # Errors
    /// [`Rejection`] as [`Validator::validate`]; [`Reason::IssMismatch`] when no provider of this tenant is meant.
    pub fn login(&self, token: impl AsRef<[u8]>, presented: &Presented, now: SystemTime) -> Result<Login, Rejection> {
        let token = token.as_ref();
        let mut seen = ClaimsSeen::default();
        let (issuer, groups_incomplete) = self.route(token, &mut seen).map_err(|reason| {
            Rejection::of(reason, TokenType::JwtIdp, seen.clone(), presented.proof.is_some(), String::new())
        })?;
        let Some(registered) = self.by_issuer.get(&issuer) else {
            return Err(Rejection::of(Reason::IssMismatch, TokenType::JwtIdp, seen, false, String::new()));
        };
        let mut principal = registered.validator.validate(token, presented, now)?;
        let provider = &registered.provider;
        if groups_incomplete {
            principal.groups.clear();
        }
        for group in &mut principal.groups {
            group.insert_str(0, &provider.groups_prefix);
        }
        let verified = principal.email_verified == Some(true);
        let may_link_by_email = verified && principal.email().is_some_and(|email| provider.lists_domain_of(email));
        Ok(Login {
            provider: registered.id.clone(),
            principal,
            groups_incomplete,
            may_link_by_email,
            create_user: provider.create_users,
        })
    }

    /// Steps A to C without a provider: which one is meant, and whether its list of groups is cut short.
    fn route(&self, token: &[u8], seen: &mut ClaimsSeen) -> Result<(String, bool), Reason> {
        let segments = split_token(token)?;
        let (header, payload) = jws::objects(&segments.header, &segments.payload)?;
        *seen = claims_seen(&header, &payload);
        let expected = Expected {
            typ: TokenType::JwtIdp.rules().typ,
            algorithms: &Algorithm::ALL,
            kid_required: true,
            own_key: false,
        };
        Header::check(&header, expected)?;
        let issuer = payload.get("iss").ok_or(Reason::ClaimMissing)?.as_str().ok_or(Reason::ClaimType)?;
        let groups_claim = self.by_issuer.get(issuer).and_then(|found| found.provider.groups_claim.as_deref());
        // Entra ID, "groups overage claim": the groups are elsewhere, and whatever stands here is not all of them.
        let incomplete = match payload.get("_claim_names") {
            Some(Value::Object(names)) => names.contains(groups_claim.unwrap_or("groups")),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => false,
        };
        Ok((issuer.to_owned(), incomplete))
    }
}
