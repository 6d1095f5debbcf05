//! Tokens are accepted here, or refused for the first reason that was found.

mod binding;
mod claims;
mod dpop;
mod lifetime;

use std::time::SystemTime;

use crate::jose::json::Object;
use crate::jose::jws::{self, Expected, Header, MAX_TOKEN_BYTES, Segments};
use crate::jose::{KeySet, VerifyingKey};
use crate::policy::{PolicyError, TokenPolicy};
use crate::presented::Presented;
use crate::principal::{Principal, PrincipalKind};
use crate::rejection::{ClaimsSeen, Reason, Rejection, cleaned};
use crate::replay::ReplayKey;
use crate::store::ReplayStore;
use crate::time::{system_time, unix_seconds};
use crate::token_type::{AudienceMode, TokenType};
use binding::Proved;
use claims::Claims;
pub(crate) use dpop::at_server as proof_at_server;

/// One policy and the keys of its issuer.
///
/// Checks run in a fixed order and the first failure wins: shape, header, issuer, key, signature, claims, audience,
/// tenant, subject, time, purpose, binding, scopes, revocation. Up to the signature they depend on public data alone.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_identity::{Algorithm, KeySet, Presented, TokenPolicy, Validator};
///
/// # fn serve(_: qsec_identity::Principal) {}
/// # fn respond(_: qsec_identity::PublicCode) {}
/// # fn record(_: qsec_identity::Reason) {}
/// # let (jwks, token, now) = (r#"{"keys":[]}"#, "", SystemTime::UNIX_EPOCH);
/// let policy = TokenPolicy::access("https://acme.example")
///     .audience("https://api.acme.example")
///     .algorithms([Algorithm::Es256])
///     .tenant("acme");
/// let validator = Validator::new(policy, KeySet::parse(jwks)?)?;
///
/// match validator.validate(token, &Presented::bearer(), now) {
///     Ok(principal) => serve(principal),
///     Err(rejection) => {
///         respond(rejection.public());
///         record(rejection.reason());
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Validator {
    policy: TokenPolicy,
    keys: KeySet,
}

impl Validator {
    /// Binds a policy to the keys of its issuer. The keys must belong to that issuer alone.
    ///
    /// # Errors
    /// [`PolicyError`] if a member of the policy is missing, out of range, or of no use for the type.
    pub fn new(policy: TokenPolicy, keys: KeySet) -> Result<Self, PolicyError> {
        policy.check()?;
        Ok(Self { policy, keys })
    }

    /// The policy.
    pub fn policy(&self) -> &TokenPolicy {
        &self.policy
    }

    /// Checks a token, as text or octets, but remembers nothing: for a single-use token the caller still has to consult a
    /// replay store, last, with [`Principal::replay_keys`], or call [`Self::validate_once`] instead.
    ///
    /// # Errors
    /// [`Rejection`] for the first check that failed.
    pub fn validate(
        &self,
        token: impl AsRef<[u8]>,
        presented: &Presented,
        now: SystemTime,
    ) -> Result<Principal, Rejection> {
        let mut seen = ClaimsSeen::default();
        self.check(token.as_ref(), presented, now, &mut seen).map_err(|reason| {
            let scopes = self.policy.required_scopes.join(" ");
            Rejection::of(reason, self.policy.token_type, seen, presented.proof.is_some(), scopes)
        })
    }

    /// Checks a token and uses it up: a single-use token, or a `DPoP` proof, is accepted once.
    ///
    /// # Errors
    /// [`Rejection`] as [`Self::validate`], and with [`Reason::Replayed`] for a second use, or
    /// [`Reason::StoreUnavailable`] when the store cannot say: never accepted then.
    pub async fn validate_once(
        &self,
        token: impl AsRef<[u8]>,
        presented: &Presented,
        store: &dyn ReplayStore,
        now: SystemTime,
    ) -> Result<Principal, Rejection> {
        let principal = self.validate(token, presented, now)?;
        self.consume(principal, store, now).await
    }

    /// Uses up what [`Self::validate`] accepted, after the caller's own checks.
    ///
    /// # Errors
    /// [`Rejection`] with [`Reason::Replayed`] or [`Reason::StoreUnavailable`].
    pub async fn consume(
        &self,
        principal: Principal,
        store: &dyn ReplayStore,
        now: SystemTime,
    ) -> Result<Principal, Rejection> {
        for key in principal.replay_keys() {
            let reason = match store.insert(key.tenant(), key.key(), key.keep_until(), now).await {
                Ok(true) => continue,
                Ok(false) => Reason::Replayed,
                Err(_) => Reason::StoreUnavailable,
            };
            let seen = ClaimsSeen {
                iss: Some(cleaned(&principal.issuer)),
                sub: Some(cleaned(&principal.subject)),
                jti: principal.jti.as_deref().map(cleaned),
                kid: principal.key_id.as_deref().map(cleaned),
                verified: true,
            };
            return Err(Rejection::of(reason, self.policy.token_type, seen, false, String::new()));
        }
        Ok(principal)
    }

    fn check(
        &self,
        token: &[u8],
        presented: &Presented,
        now: SystemTime,
        seen: &mut ClaimsSeen,
    ) -> Result<Principal, Reason> {
        let policy = &self.policy;
        let segments = split_token(token)?;
        let (header, payload) = jws::objects(&segments.header, &segments.payload)?;
        *seen = claims_seen(&header, &payload);
        let typ = accepted_types(policy);
        let expected =
            Expected { typ: &typ, algorithms: &policy.algorithms, kid_required: policy.kid_required, own_key: false };
        let header = Header::check(&header, expected)?;
        routed(&payload, policy)?;
        let key = jws::verify(&segments, header, &self.keys, expected)?;
        seen.verified = true;

        let claims = Claims::read(&payload, policy)?;
        addressed(&claims, policy)?;
        lifetime::check(&claims, policy, unix_seconds(now))?;
        serves_its_purpose(&claims, policy)?;
        let proved = binding::check(&claims, policy, presented, token, now)?;
        within_ceiling(&claims, policy)?;
        not_revoked(&claims, policy)?;
        Ok(principal(claims, policy, proved, header, key))
    }
}

/// Step A, up to the parsing of JSON.
pub(crate) fn split_token(token: &[u8]) -> Result<Segments<'_>, Reason> {
    let segments = Segments::split(token, MAX_TOKEN_BYTES)?;
    if segments.payload.is_empty() { Err(Reason::NotCompactJws) } else { Ok(segments) }
}

/// Whether our own validator would accept these claims, apart from signature, binding and revocation: what is issued is
/// held to what is accepted.
pub(crate) fn acceptable(payload: &Object<'_>, policy: &TokenPolicy, now: SystemTime) -> Result<(), Reason> {
    let claims = Claims::read(payload, policy)?;
    addressed(&claims, policy)?;
    lifetime::check(&claims, policy, unix_seconds(now))
}

pub(crate) fn claims_seen(header: &Object<'_>, payload: &Object<'_>) -> ClaimsSeen {
    let claim = |name| payload.get(name).and_then(|value| value.as_str()).map(cleaned);
    ClaimsSeen {
        iss: claim("iss"),
        sub: claim("sub"),
        jti: claim("jti"),
        kid: header.get("kid").and_then(|value| value.as_str()).map(cleaned),
        verified: false,
    }
}

fn accepted_types(policy: &TokenPolicy) -> Vec<Option<&str>> {
    match &policy.typ {
        Some(typ) => typ.iter().map(Option::as_deref).collect(),
        None => policy.token_type.rules().typ.to_vec(),
    }
}

/// Step C: whose token this claims to be decides whose keys are asked, so it is checked before any key is.
fn routed(payload: &Object<'_>, policy: &TokenPolicy) -> Result<(), Reason> {
    let issuer = payload.get("iss").ok_or(Reason::ClaimMissing)?.as_str().ok_or(Reason::ClaimType)?;
    if issuer == policy.issuer { Ok(()) } else { Err(Reason::IssMismatch) }
}

/// Step G.
fn addressed(claims: &Claims<'_>, policy: &TokenPolicy) -> Result<(), Reason> {
    let ours = |audience: &&str| policy.audience.iter().any(|ours| ours == audience);
    let accepted = match policy.token_type.rules().audience {
        AudienceMode::Any => claims.audience.iter().any(ours),
        AudienceMode::Only => !claims.audience.is_empty() && claims.audience.iter().all(ours),
        AudienceMode::Single => claims.audience.len() == 1 && claims.audience.iter().all(ours),
    };
    if !accepted {
        return Err(Reason::AudMismatch);
    }
    if policy.token_type == TokenType::Id {
        // OpenID Connect Core section 2: needed when there are several audiences.
        let authorized = claims.azp.map_or(claims.audience.len() == 1, |azp| ours(&azp));
        if !authorized {
            return Err(Reason::AzpMismatch);
        }
    }
    if let (Some(expected), Some(found)) = (policy.tenant.as_deref(), claims.tenant_id)
        && expected != found
    {
        return Err(Reason::TenantMismatch);
    }
    if policy.token_type == TokenType::ClientAssertion && claims.sub != policy.issuer {
        return Err(Reason::SubjectMismatch);
    }
    Ok(())
}

/// Step I.
fn serves_its_purpose(claims: &Claims<'_>, policy: &TokenPolicy) -> Result<(), Reason> {
    if policy.nonce.is_some() && claims.nonce != policy.nonce.as_deref() {
        return Err(Reason::NonceMismatch);
    }
    if policy.verified_email && !(claims.email.is_some() && claims.email_verified == Some(true)) {
        return Err(Reason::EmailUnverified);
    }
    Ok(())
}

/// Step K.
fn within_ceiling(claims: &Claims<'_>, policy: &TokenPolicy) -> Result<(), Reason> {
    let held = claims.scopes.as_deref().unwrap_or_default();
    if policy.required_scopes.iter().all(|scope| held.contains(scope)) {
        Ok(())
    } else {
        Err(Reason::InsufficientScope)
    }
}

/// The part of step L that needs no store.
fn not_revoked(claims: &Claims<'_>, policy: &TokenPolicy) -> Result<(), Reason> {
    let listed = claims.jti.is_some_and(|jti| policy.revoked_jti.iter().any(|revoked| revoked == jti));
    let early = policy.revoked_before.is_some_and(|border| claims.iat < border);
    if listed || early { Err(Reason::Revoked) } else { Ok(()) }
}

fn principal(
    claims: Claims<'_>,
    policy: &TokenPolicy,
    proved: Proved,
    header: Header<'_>,
    key: &VerifyingKey,
) -> Principal {
    let token_type = policy.token_type;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let tenant = policy.tenant.clone().or_else(|| owned(claims.tenant_id));
    let mut replay_keys = proved.replay_keys;
    if let (true, Some(jti)) = (token_type.rules().single_use, claims.jti) {
        let until = claims.exp.saturating_add(policy.exp_leeway).saturating_add(policy.clock_skew);
        let tenant = tenant.as_deref().unwrap_or_default();
        replay_keys.insert(0, ReplayKey::new(token_type.as_str(), tenant, &policy.issuer, jti, system_time(until)));
    }
    let no_ceiling = token_type == TokenType::Session && claims.scopes.is_none();
    Principal {
        tenant,
        kind: kind(&claims, token_type),
        subject: claims.subject.to_owned(),
        issuer: policy.issuer.clone(),
        token_type,
        client_id: match token_type {
            TokenType::Access => owned(claims.client_id),
            TokenType::ClientAssertion => Some(claims.sub.to_owned()),
            TokenType::Id => owned(claims.azp),
            TokenType::JwtIdp | TokenType::Txn | TokenType::Session | TokenType::Gateway => None,
        },
        scopes: if no_ceiling { None } else { Some(claims.scopes.unwrap_or_default()) },
        groups: claims.groups,
        name: owned(claims.name),
        email: owned(claims.email),
        email_verified: claims.email_verified,
        actor: owned(claims.actor),
        binding: proved.binding,
        jti: owned(claims.jti),
        session_id: owned(claims.sid),
        auth_time: claims.auth_time,
        issued_at: claims.iat,
        expires_at: claims.exp,
        key_id: owned(key.kid()),
        algorithm: header.algorithm,
        replay_keys,
    }
}

fn kind(claims: &Claims<'_>, token_type: TokenType) -> PrincipalKind {
    match token_type {
        TokenType::Id | TokenType::JwtIdp | TokenType::Session => PrincipalKind::User,
        TokenType::ClientAssertion => PrincipalKind::Client,
        TokenType::Gateway => PrincipalKind::Gateway,
        TokenType::Access | TokenType::Txn => claims.subject_type.unwrap_or({
            if claims.client_id == Some(claims.sub) { PrincipalKind::Client } else { PrincipalKind::User }
        }),
    }
}
