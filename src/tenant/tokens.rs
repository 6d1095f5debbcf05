//! Tokens of the tenant: whose they are, and who made them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use qsec_audit::catalogue::{ReplayKind, TokenKind};
use qsec_audit::{Actor, catalogue};
use qsec_identity::{
    Algorithm, Binding, Collection, IdentityStore, Issued, Issuer, KeySet, Presented, Principal, Purpose, Reason,
    Rejection, Row, SigningKey, SigningKeyRing, TokenDraft, TokenPolicy, TokenType, Validator,
};

use super::Tenant;
use crate::deployment::{RINGS, signing_key_record};
use crate::error::{Error, NO_ACTIVE_KEY};
use crate::lifecycle::TenantRecord;

/// The validators that were made, by the purpose of the keys they trust.
#[derive(Debug, Default)]
pub(super) struct Validators(Mutex<HashMap<Purpose, (Basis, Arc<Validator>)>>);

/// What a validator follows from. If any of it is another one, so is the validator.
#[derive(Debug, PartialEq, Eq)]
struct Basis {
    ring: u64,
    issuer: String,
    revoked_before: Option<SystemTime>,
}

impl Validators {
    fn find(&self, purpose: Purpose, basis: &Basis) -> Option<Arc<Validator>> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(&purpose).filter(|(of, _)| of == basis).map(|(_, validator)| Arc::clone(validator))
    }

    fn keep(&self, purpose: Purpose, basis: Basis, validator: &Arc<Validator>) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(purpose, (basis, Arc::clone(validator)));
    }
}

impl Tenant {
    /// Says who is calling: validates a session or access token of this tenant.
    ///
    /// A refusal is recorded with its exact reason before this returns; the caller learns no more than
    /// [`Rejection::public`].
    ///
    /// # Errors
    /// [`Error::Token`] with the rejection, [`Error::Record`] if the refusal could not be recorded.
    pub async fn authenticate(&self, token: &str, presented: &Presented, now: SystemTime) -> Result<Principal, Error> {
        match self.admit(token, presented, now).await? {
            Ok(principal) => Ok(principal),
            Err(rejection) => Err(self.reject(rejection, now)),
        }
    }

    /// Issues a token of this tenant: signed by its active key, and handed to the log before it leaves.
    ///
    /// The tenant and the issuer are set here; audience, subject and the rest are the draft's.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active, [`Error::Issue`] for a draft out of bounds,
    /// [`Error::NotFound`] if there is no active key of that kind, [`Error::Log`] if the log does not open.
    pub async fn issue_token(&self, draft: TokenDraft, actor: &Actor, now: SystemTime) -> Result<Issued, Error> {
        let record = self.pass("token", now).await?;
        let is_session = draft.token_type() == TokenType::Session;
        let kind = if is_session { TokenKind::Session } else { TokenKind::Access };
        let issued = self.sign(draft, &record, now).await?;
        let event = catalogue::TokenIssued::new().jti(issued.jti()).kind(kind).exp(issued.expires_at());
        self.note(event.by(actor.clone()).subject(format!("token/{}", issued.jti())), now)?;
        Ok(issued)
    }

    /// The public keys with which anyone validates this tenant's access tokens: a JWK Set, no private member ever.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn jwks(&self) -> Result<String, Error> {
        Ok(ring(&self.ring_row(Purpose::Access).await?)?.jwks())
    }

    /// A signed token that nobody has yet.
    pub(super) async fn sign(
        &self,
        draft: TokenDraft,
        record: &TenantRecord,
        now: SystemTime,
    ) -> Result<Issued, Error> {
        let purpose = Purpose::of(draft.token_type()).filter(|purpose| RINGS.contains(purpose));
        let no_key = || Error::NotFound { noun: NO_ACTIVE_KEY, id: draft.token_type().as_str().to_owned() };
        let purpose = purpose.ok_or_else(no_key)?;
        // Tokens count whole seconds: one of the second in which the tenant came back must not look like one from before.
        let now = record.users_revoked_before().map_or(now, |border| border.max(now));
        let key = self.active_key(purpose).await?;
        Ok(Issuer::new(record.issuer())?.issue(&draft.tenant(self.id()), &key, now)?)
    }

    /// Records a refusal and makes the error of it.
    pub(super) fn reject(&self, rejection: Rejection, now: SystemTime) -> Error {
        let seen = rejection.claims_seen();
        let mut event = catalogue::TokenRejected::new().check(rejection.reason().as_str());
        if let Some(jti) = seen.jti() {
            event = event.jti(jti);
        }
        if let Some(issuer) = seen.iss() {
            event = event.issuer(issuer);
        }
        if let Some(kid) = seen.kid() {
            event = event.kid(kid);
        }
        let event = event.by(Actor::anonymous()).denied(rejection.reason().as_str());
        match self.note(event, now) {
            Ok(()) => Error::Token(rejection),
            Err(error) => error,
        }
    }

    /// Something that is good once came a second time: an alarm beside the refusal.
    pub(super) fn note_replay(&self, kind: ReplayKind, now: SystemTime) -> Result<(), Error> {
        self.note(catalogue::ReplayDetected::new().kind(kind).by(Actor::anonymous()).denied("replayed"), now)
    }

    /// Token, then tenant, then replay. Whether the tenant is active is told only to a caller whose token is good, and a
    /// token refused for another cause is not used up.
    async fn admit(
        &self,
        token: &str,
        presented: &Presented,
        now: SystemTime,
    ) -> Result<Result<Principal, Rejection>, Error> {
        self.deployment.inner.recorder.ready(now).await?;
        let record = self.fresh_record().await?;
        let validator = match qsec_identity::inspect(token) {
            Ok(inspection) => self.validator(inspection.looks_like(), &record).await?,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let principal = match validator.validate(token, presented, now) {
            Ok(principal) => principal,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if !record.state().is_usable() {
            return Ok(Err(Rejection::new(Reason::TenantInactive)));
        }
        if let Some(reason) = self.objection(&record, &principal) {
            return Ok(Err(Rejection::new(reason)));
        }
        let kind = good_once(&principal);
        let consumed = validator.consume(principal, &self.deployment.inner.store, now).await;
        if consumed.as_ref().is_err_and(|rejection| rejection.reason() == Reason::Replayed) {
            self.note_replay(kind, now)?;
        }
        Ok(consumed)
    }

    /// Which of the two kinds a token says it is decides which keys and rules it is held against; a lie fails there.
    async fn validator(&self, looks_like: &[TokenType], record: &TenantRecord) -> Result<Arc<Validator>, Error> {
        let is_session = looks_like.contains(&TokenType::Session);
        let purpose = if is_session { Purpose::Session } else { Purpose::Access };
        let row = self.ring_row(purpose).await?;
        let issuer = record.issuer().to_owned();
        let basis = Basis { ring: row.generation, issuer, revoked_before: record.revoked_before() };
        if let Some(validator) = self.room.validators.find(purpose, &basis) {
            return Ok(validator);
        }
        let new = if is_session { TokenPolicy::session } else { TokenPolicy::access };
        let policy =
            new(basis.issuer.as_str()).audience(&basis.issuer).algorithms([Algorithm::Es256]).tenant(self.id());
        let policy = basis.revoked_before.into_iter().fold(policy, TokenPolicy::revoked_before);
        let keys = KeySet::parse(ring(&row)?.jwks()).map_err(|error| Error::internal(error.to_string()))?;
        let validator = Arc::new(Validator::new(policy, keys).map_err(|error| Error::internal(error.to_string()))?);
        self.room.validators.keep(purpose, basis, &validator);
        Ok(validator)
    }

    async fn ring_row(&self, purpose: Purpose) -> Result<Row, Error> {
        let store = &self.deployment.inner.store;
        let row = IdentityStore::get(store, self.id(), Collection::SigningKey, purpose.as_str()).await?;
        row.ok_or_else(|| Error::NotFound { noun: "signing key ring", id: purpose.as_str().to_owned() })
    }

    async fn active_key(&self, purpose: Purpose) -> Result<SigningKey, Error> {
        let ring = ring(&self.ring_row(purpose).await?)?;
        let missing = || Error::NotFound { noun: NO_ACTIVE_KEY, id: purpose.as_str().to_owned() };
        let record = ring.active().ok_or_else(missing)?;
        let wrapped = record.wrapped().ok_or_else(missing)?;
        let name = signing_key_record(self.id(), purpose, record.kid());
        let pkcs8 = self.deployment.inner.token_keys.open(&name, wrapped)?;
        SigningKey::from_pkcs8(record.algorithm(), &pkcs8).map_err(|error| Error::internal(error.to_string()))
    }
}

/// What of a principal is used up: the proof of a bound token, else the token. Where both are, the token comes first, and a
/// second one with the same proof does not get so far: a proof names its token (RFC 9449, section 4.3).
fn good_once(principal: &Principal) -> ReplayKind {
    let is_bound = matches!(principal.binding(), Binding::Dpop | Binding::DpopAndMtls);
    if is_bound && principal.replay_keys().len() == 1 { ReplayKind::Dpop } else { ReplayKind::Jti }
}

fn ring(row: &Row) -> Result<SigningKeyRing, Error> {
    SigningKeyRing::from_row(row).map_err(|error| Error::internal(error.to_string()))
}
