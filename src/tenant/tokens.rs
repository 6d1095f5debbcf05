//! Tokens of the tenant: whose they are, and who made them.

use std::time::SystemTime;

use qsec_audit::catalogue::TokenKind;
use qsec_audit::{Actor, catalogue};
use qsec_identity::{
    Algorithm, Collection, IdentityStore, Issued, Issuer, KeySet, Presented, Principal, Purpose, Reason, Rejection,
    SigningKey, SigningKeyRing, TokenDraft, TokenPolicy, TokenType, Validator,
};

use super::Tenant;
use crate::deployment::signing_key_record;
use crate::error::{Error, NO_ACTIVE_KEY};

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

    /// Issues a token of this tenant: signed by its active key, recorded before it leaves.
    ///
    /// The tenant and the issuer are set here; audience, subject and the rest are the draft's.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active, [`Error::Issue`] for a draft out of bounds,
    /// [`Error::NotFound`] if there is no active key of that kind.
    pub async fn issue_token(&self, draft: TokenDraft, actor: &Actor, now: SystemTime) -> Result<Issued, Error> {
        self.pass("token", now).await?;
        let kind = draft.token_type();
        let (purpose, recorded) = if kind == TokenType::Access {
            (Purpose::Access, TokenKind::Access)
        } else if kind == TokenType::Session {
            (Purpose::Session, TokenKind::Session)
        } else {
            return Err(Error::NotFound { noun: NO_ACTIVE_KEY, id: kind.as_str().to_owned() });
        };
        let key = self.active_key(purpose).await?;
        let issued = Issuer::new(self.issuer())?.issue(&draft.tenant(self.id()), &key, now)?;
        let event =
            catalogue::TokenIssued::new().jti(issued.jti()).kind(recorded).exp(issued.expires_at()).by(actor.clone());
        self.announce(event.subject(format!("token/{}", issued.jti())), now).await?;
        Ok(issued)
    }

    /// The public keys with which anyone validates this tenant's access tokens: a JWK Set, no private member ever.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn jwks(&self) -> Result<String, Error> {
        Ok(self.ring(Purpose::Access).await?.jwks())
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

    /// Token, then tenant, then replay. Whether the tenant is active is told only to a caller whose token is good, and a
    /// token refused for another cause is not used up.
    async fn admit(
        &self,
        token: &str,
        presented: &Presented,
        now: SystemTime,
    ) -> Result<Result<Principal, Rejection>, Error> {
        let validator = match qsec_identity::inspect(token) {
            Ok(inspection) => self.validator(inspection.looks_like()).await?,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let principal = match validator.validate(token, presented, now) {
            Ok(principal) => principal,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if !self.deployment.tenant_record(self.id()).await?.state().is_usable() {
            return Ok(Err(Rejection::new(Reason::TenantInactive)));
        }
        Ok(validator.consume(principal, &self.deployment.inner.store, now).await)
    }

    /// Which of the two kinds a token says it is decides which keys and rules it is held against; a lie fails there.
    async fn validator(&self, looks_like: &[TokenType]) -> Result<Validator, Error> {
        let issuer = self.issuer();
        let (policy, purpose) = if looks_like.contains(&TokenType::Session) {
            (TokenPolicy::session(&issuer), Purpose::Session)
        } else {
            (TokenPolicy::access(&issuer), Purpose::Access)
        };
        let policy = policy.audience(&issuer).algorithms([Algorithm::Es256]).tenant(self.id());
        let keys =
            KeySet::parse(self.ring(purpose).await?.jwks()).map_err(|error| Error::internal(error.to_string()))?;
        Validator::new(policy, keys).map_err(|error| Error::internal(error.to_string()))
    }

    async fn ring(&self, purpose: Purpose) -> Result<SigningKeyRing, Error> {
        let store = &self.deployment.inner.store;
        let row = IdentityStore::get(store, self.id(), Collection::SigningKey, purpose.as_str()).await?;
        let row = row.ok_or_else(|| Error::NotFound { noun: "signing key ring", id: purpose.as_str().to_owned() })?;
        SigningKeyRing::from_row(&row).map_err(|error| Error::internal(error.to_string()))
    }

    async fn active_key(&self, purpose: Purpose) -> Result<SigningKey, Error> {
        let ring = self.ring(purpose).await?;
        let missing = || Error::NotFound { noun: NO_ACTIVE_KEY, id: purpose.as_str().to_owned() };
        let record = ring.active().ok_or_else(missing)?;
        let wrapped = record.wrapped().ok_or_else(missing)?;
        let name = signing_key_record(self.id(), purpose, record.kid());
        let pkcs8 = self.deployment.inner.token_keys.open(&name, wrapped)?;
        SigningKey::from_pkcs8(record.algorithm(), &pkcs8).map_err(|error| Error::internal(error.to_string()))
    }
}
