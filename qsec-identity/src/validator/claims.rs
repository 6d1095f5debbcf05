//! Step F: the claims that a type of token defines, read once, with their types and contents.

use std::cell::Cell;

use crate::jose::base64url;
use crate::jose::json::{Object, Value};
use crate::jose::key::is_plain;
use crate::policy::{MAX_AUDIENCES, MAX_IDENTIFIER, MAX_SCOPES, MAX_URL, TokenPolicy, is_scope};
use crate::principal::PrincipalKind;
use crate::rejection::Reason;
use crate::token_type::TokenType;

/// Bytes of a display name.
const MAX_NAME: usize = 1024;
/// Bytes of an e-mail address: 64 before the `@`, 255 after it (RFC 5321 section 4.5.3.1).
const MAX_EMAIL: usize = 320;
/// Groups of a token.
const MAX_GROUPS: usize = 1000;
/// Requesting workloads of a transaction token.
const MAX_WORKLOADS: usize = 8;
/// Actors within one another.
const MAX_ACTORS: usize = 4;
/// The last second of the year 9999.
const MAX_NUMERIC_DATE: i64 = 253_402_300_799;

/// What `cnf` demands (RFC 7800).
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Confirmation<'a> {
    /// Thumbprint of the key of a `DPoP` proof.
    pub(super) jkt: Option<&'a str>,
    /// SHA-256 of the certificate of the connection.
    pub(super) certificate: Option<[u8; 32]>,
    /// A member that is not understood, or none that is.
    pub(super) unsupported: bool,
}

#[derive(Debug)]
pub(super) struct Claims<'a> {
    pub(super) sub: &'a str,
    pub(super) subject: &'a str,
    pub(super) audience: Vec<&'a str>,
    pub(super) exp: i64,
    pub(super) iat: i64,
    pub(super) nbf: Option<i64>,
    pub(super) jti: Option<&'a str>,
    pub(super) tenant_id: Option<&'a str>,
    pub(super) client_id: Option<&'a str>,
    pub(super) azp: Option<&'a str>,
    pub(super) nonce: Option<&'a str>,
    pub(super) sid: Option<&'a str>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) groups: Vec<String>,
    pub(super) name: Option<&'a str>,
    pub(super) email: Option<&'a str>,
    pub(super) email_verified: Option<bool>,
    pub(super) subject_type: Option<PrincipalKind>,
    pub(super) actor: Option<&'a str>,
    pub(super) auth_time: Option<i64>,
    pub(super) confirmation: Option<Confirmation<'a>>,
}

impl<'a> Claims<'a> {
    /// Reads everything before it judges: a missing claim is reported before one of the wrong type, and that before one
    /// whose content is wrong, wherever they stand.
    pub(super) fn read(payload: &'a Object<'a>, policy: &TokenPolicy) -> Result<Self, Reason> {
        let (token_type, rules) = (policy.token_type, policy.token_type.rules());
        let reader = Reader { payload, worst: Cell::new(None) };
        reader.require(policy);
        let when = |reads: bool, name, max| if reads { reader.text(name, max) } else { None };
        let is = |wanted| token_type == wanted;
        reader.text("iss", MAX_URL);
        let sub = reader.text("sub", MAX_IDENTIFIER);
        let subject = policy.subject_claim.as_deref().map_or(sub, |claim| reader.text(claim, MAX_IDENTIFIER));
        let groups_claim = policy.groups_claim.as_deref().unwrap_or("groups");
        let claims = Self {
            sub: sub.unwrap_or_default(),
            subject: subject.unwrap_or_default(),
            audience: reader.texts_or_one("aud", MAX_AUDIENCES, MAX_URL),
            exp: reader.date("exp").unwrap_or_default(),
            iat: reader.date("iat").unwrap_or_default(),
            nbf: reader.date("nbf"),
            jti: reader.text("jti", MAX_IDENTIFIER),
            tenant_id: reader.text("tenant_id", MAX_IDENTIFIER),
            client_id: when(is(TokenType::Access), "client_id", MAX_IDENTIFIER),
            azp: when(is(TokenType::Id), "azp", MAX_IDENTIFIER),
            nonce: when(is(TokenType::Id), "nonce", MAX_IDENTIFIER),
            sid: when(is(TokenType::Session), "sid", MAX_IDENTIFIER),
            scopes: if rules.reads_scope { reader.scopes() } else { None },
            groups: if rules.reads_groups { reader.groups(groups_claim) } else { Vec::new() },
            name: when(rules.reads_profile, "name", MAX_NAME),
            email: when(rules.reads_profile, "email", MAX_EMAIL),
            email_verified: if rules.reads_profile { reader.boolean("email_verified") } else { None },
            subject_type: if rules.reads_subject_type { reader.subject_type(token_type) } else { None },
            actor: if rules.reads_actor { reader.actor() } else { None },
            auth_time: if policy.max_age.is_some() || is(TokenType::Session) { reader.date("auth_time") } else { None },
            confirmation: reader.confirmation(),
        };
        if is(TokenType::Txn) {
            reader.text("txn", MAX_IDENTIFIER);
            if reader.texts_or_one("req_wl", MAX_WORKLOADS, MAX_IDENTIFIER).is_empty() {
                reader.note(Reason::ClaimInvalid);
            }
        }
        reader.forbid(policy, &claims);
        reader.worst.get().map_or(Ok(claims), Err)
    }
}

struct Reader<'a> {
    payload: &'a Object<'a>,
    worst: Cell<Option<Reason>>,
}

impl<'a> Reader<'a> {
    /// Keeps the first reason in the order of the checks.
    fn note(&self, reason: Reason) {
        self.worst.set(Some(self.worst.get().map_or(reason, |worst| worst.min(reason))));
    }

    fn require(&self, policy: &TokenPolicy) {
        let rules = policy.token_type.rules();
        let of_policy = policy.required_claims.iter().chain(&policy.subject_claim).map(String::as_str);
        let tenant = Some("tenant_id").filter(|_| policy.tenant.is_some() && rules.tenant_claim);
        for name in rules.required.iter().copied().chain(of_policy).chain(tenant) {
            match self.payload.get(name) {
                None => self.note(Reason::ClaimMissing),
                Some(Value::Null) => self.note(Reason::ClaimType),
                Some(_) => {}
            }
        }
    }

    /// A claim of the right JSON type; `null` is a wrong type.
    fn typed<T>(&self, name: &str, read: impl FnOnce(&'a Value<'a>) -> Option<T>) -> Option<T> {
        let read = read(self.payload.get(name)?);
        if read.is_none() {
            self.note(Reason::ClaimType);
        }
        read
    }

    fn plain(&self, text: &str, max: usize) {
        if !is_plain(text, max) {
            self.note(Reason::ClaimInvalid);
        }
    }

    fn text(&self, name: &str, max: usize) -> Option<&'a str> {
        let text = self.typed(name, Value::as_str)?;
        self.plain(text, max);
        Some(text)
    }

    fn boolean(&self, name: &str) -> Option<bool> {
        self.typed(name, Value::as_bool)
    }

    /// RFC 7519 section 2, narrowed to integers.
    fn date(&self, name: &str) -> Option<i64> {
        let seconds = self.typed(name, Value::as_i64)?;
        if !(0..=MAX_NUMERIC_DATE).contains(&seconds) {
            self.note(Reason::ClaimInvalid);
        }
        Some(seconds)
    }

    fn texts(&self, items: &'a [Value<'a>], max_items: usize, max: usize) -> Vec<&'a str> {
        if items.len() > max_items {
            self.note(Reason::ClaimInvalid);
        }
        let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
        if texts.len() != items.len() {
            self.note(Reason::ClaimType);
        }
        for text in &texts {
            self.plain(text, max);
        }
        texts
    }

    fn texts_or_one(&self, name: &str, max_items: usize, max: usize) -> Vec<&'a str> {
        match self.payload.get(name) {
            Some(Value::String(text)) => {
                self.plain(text, max);
                vec![text.as_ref()]
            }
            Some(Value::Array(items)) => self.texts(items, max_items, max),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                self.note(Reason::ClaimType);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// RFC 6749 section 3.3. `None` only for a claim that is absent.
    fn scopes(&self) -> Option<Vec<String>> {
        let text = self.typed("scope", Value::as_str)?;
        let mut scopes: Vec<String> = Vec::new();
        for (index, scope) in text.split(' ').filter(|_| !text.is_empty()).enumerate() {
            if !is_scope(scope) || index >= MAX_SCOPES {
                self.note(Reason::ClaimInvalid);
                break;
            }
            if !scopes.iter().any(|seen| seen == scope) {
                scopes.push(scope.to_owned());
            }
        }
        Some(scopes)
    }

    fn groups(&self, name: &str) -> Vec<String> {
        let items = self.typed(name, |value| if let Value::Array(items) = value { Some(items) } else { None });
        let groups = items.map_or_else(Vec::new, |items| self.texts(items, MAX_GROUPS, MAX_IDENTIFIER));
        let mut seen = std::collections::HashSet::with_capacity(groups.len());
        groups.into_iter().filter(|group| seen.insert(*group)).map(str::to_owned).collect()
    }

    fn subject_type(&self, token_type: TokenType) -> Option<PrincipalKind> {
        let kind = PrincipalKind::parse(self.typed("subType", Value::as_str)?);
        let permitted = kind.is_some() && (token_type != TokenType::JwtIdp || kind == Some(PrincipalKind::User));
        if !permitted {
            self.note(Reason::ClaimInvalid);
        }
        kind
    }

    /// RFC 8693 section 4.1: only the outermost actor decides, the others are history.
    fn actor(&self) -> Option<&'a str> {
        let outermost = self.typed("act", object)?;
        let mut next = Some(outermost);
        let mut depth = 0_usize;
        while let Some(actor) = next {
            depth = depth.saturating_add(1);
            match actor.get("sub").map(Value::as_str) {
                None => self.note(Reason::ClaimInvalid),
                Some(None) => self.note(Reason::ClaimType),
                Some(Some(sub)) => self.plain(sub, MAX_IDENTIFIER),
            }
            next = actor.get("act").and_then(|inner| {
                let inner = object(inner);
                if inner.is_none() {
                    self.note(Reason::ClaimType);
                }
                inner
            });
        }
        if depth > MAX_ACTORS {
            self.note(Reason::ClaimInvalid);
        }
        outermost.get("sub").and_then(Value::as_str)
    }

    fn confirmation(&self) -> Option<Confirmation<'a>> {
        let members = self.typed("cnf", object)?;
        let mut confirmation = Confirmation { unsupported: members.len() == 0, ..Confirmation::default() };
        for (name, value) in members.iter() {
            let hash = || {
                let text = value.as_str()?;
                Some((text, base64url::decode_array::<32>(text)?))
            };
            match name {
                "jkt" => confirmation.jkt = hash().map(|(text, _)| text),
                "x5t#S256" => confirmation.certificate = hash().map(|(_, hash)| hash),
                _ => {
                    confirmation.unsupported = true;
                    continue;
                }
            }
            if hash().is_none() {
                self.note(Reason::ClaimInvalid);
            }
        }
        Some(confirmation)
    }

    /// The untyped three have one `typ` and may share an issuer, a key and an audience. What only another of them has is
    /// a sign that this is not a login (RFC 8725 section 3.12).
    fn forbid(&self, policy: &TokenPolicy, claims: &Claims<'_>) {
        let foreign = ["events", "subType"].iter().any(|name| self.payload.contains(name));
        if policy.token_type == TokenType::Id && (foreign || claims.sub == policy.issuer) {
            self.note(Reason::ClaimForbidden);
        }
    }
}

fn object<'a>(value: &'a Value<'a>) -> Option<&'a Object<'a>> {
    if let Value::Object(object) = value { Some(object) } else { None }
}
