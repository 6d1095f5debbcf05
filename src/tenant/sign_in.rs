//! Signing in through the tenant's own identity provider.

use std::time::SystemTime;

use qsec_audit::catalogue::ReplayKind;
use qsec_audit::{Actor, catalogue};
use qsec_crypto::SecretKey;
use qsec_identity::{
    Collection, IdentityStore, Issued, JwtProvider, Login, Presented, Providers, Reason, Rejection, ReplayStore, Row,
    TokenDraft, TokenType,
};
use serde::{Deserialize, Serialize};

use super::Tenant;
use super::access::{is_reserved, subject_of};
use crate::error::Error;
use crate::hex;
use crate::lifecycle::TenantRecord;

/// What the ids of providers begin with; a number follows, and is not given again.
const PROVIDER_PREFIX: &str = "idp_";

/// A user who signed in, and the session token that says so.
///
/// ```no_run
/// # async fn sign_in(acme: qsec::Tenant, provider_token: &str, now: std::time::SystemTime) -> Result<(), qsec::Error> {
/// let signed_in = acme.sign_in(provider_token, now).await?;
/// println!("{} came through {}", signed_in.user(), signed_in.provider());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SignedIn {
    user: String,
    provider: String,
    session: Issued,
}

impl SignedIn {
    /// The user's id in this tenant.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The identity provider.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The session token: what [`Tenant::authenticate`] takes from now on.
    pub fn session(&self) -> &Issued {
        &self.session
    }
}

/// Which provider a user comes through: two providers that assert one subject are two people, and the second is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserLink {
    provider: String,
    subject: String,
}

impl Tenant {
    /// Adds a JWT identity provider: its issuer and keys, as one JSON object. The answer is its id.
    ///
    /// # Errors
    /// [`Error::Provider`] for a configuration that is malformed or whose issuer another provider has.
    pub async fn add_provider(&self, configuration: &str, actor: &Actor, now: SystemTime) -> Result<String, Error> {
        self.pass("idp", now).await?;
        let provider = JwtProvider::parse(configuration)?;
        let _alone = self.room.changes.lock().await;
        let known = self.list_providers().await?;
        let id = next_id(known.iter().map(|(id, _)| id.as_str()));
        self.registered(known)?.add(&id, provider.clone())?;
        let event =
            catalogue::IdpCreated::new().kind(catalogue::IdpKind::Jwt).issuer(provider.issuer()).by(actor.clone());
        let row = Row { id: id.clone(), generation: 1, body: provider.to_json().as_bytes().to_vec() };
        let store = &self.deployment.inner.store;
        let write = async { Ok(IdentityStore::write(store, self.id(), Collection::Provider, &row).await?) };
        self.carry_out(event.subject(format!("idp/{id}")), now, write).await?;
        Ok(id)
    }

    /// The identity provider of that id.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this tenant has none.
    pub async fn provider(&self, id: &str) -> Result<JwtProvider, Error> {
        let missing = || Error::NotFound { noun: "identity provider", id: id.to_owned() };
        self.list_providers()
            .await?
            .into_iter()
            .find(|(known, _)| known == id)
            .map(|(_, found)| found)
            .ok_or_else(missing)
    }

    /// Every identity provider of the tenant, with its id.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn list_providers(&self) -> Result<Vec<(String, JwtProvider)>, Error> {
        let rows = self.deployment.inner.store.list(self.id(), Collection::Provider).await?;
        let read = |row: Row| {
            let text = std::str::from_utf8(&row.body).map_err(|error| Error::internal(error.to_string()))?;
            Ok((row.id, JwtProvider::parse(text)?))
        };
        rows.into_iter().map(read).collect()
    }

    /// Signs a user in by a token of one of the tenant's identity providers, which is good once.
    ///
    /// While the tenant is closed to its users, administrators get in.
    ///
    /// # Errors
    /// [`Error::Token`] with the rejection, recorded before this returns.
    pub async fn sign_in(&self, token: &str, now: SystemTime) -> Result<SignedIn, Error> {
        self.deployment.inner.recorder.ready(now).await?;
        let record = self.fresh_record().await?;
        let login = match self.registered(self.list_providers().await?)?.login(token, &Presented::bearer(), now) {
            Ok(login) => login,
            Err(rejection) => return Err(self.login_failed(rejection, None, now)),
        };
        if let Err(rejection) = self.admit_login(&login, &record, now).await? {
            return Err(self.login_failed(rejection, Some(login.provider()), now));
        }
        let user = login.principal().subject().to_owned();
        let session = self.start_session(&login, &record, now).await?;
        Ok(SignedIn { user, provider: login.provider().to_owned(), session })
    }

    /// The checks that need the store, replay last: a login refused for another cause does not burn its token.
    async fn admit_login(
        &self,
        login: &Login,
        record: &TenantRecord,
        now: SystemTime,
    ) -> Result<Result<(), Rejection>, Error> {
        let principal = login.principal();
        if is_reserved(principal.subject()) {
            return Ok(Err(Rejection::new(Reason::SubjectMismatch)));
        }
        let closed = record.is_closed_to_members() && !self.is_administrator(&subject_of(principal));
        if !record.state().is_usable() || closed {
            return Ok(Err(Rejection::new(Reason::TenantInactive)));
        }
        if !self.link(login, now).await? {
            return Ok(Err(Rejection::new(Reason::SubjectMismatch)));
        }
        for key in principal.replay_keys() {
            let store = &self.deployment.inner.store;
            if !ReplayStore::insert(store, self.id(), key.key(), key.keep_until(), now).await? {
                self.note_replay(ReplayKind::Jti, now)?;
                return Ok(Err(Rejection::new(Reason::Replayed)));
            }
        }
        Ok(Ok(()))
    }

    /// A user comes through one provider. The first login of a user whom the policy names, or whom the provider may
    /// create, makes the link; another provider that asserts the same subject does not get in by it.
    async fn link(&self, login: &Login, now: SystemTime) -> Result<bool, Error> {
        let store = &self.deployment.inner.store;
        let subject = login.principal().subject();
        let _alone = self.room.changes.lock().await;
        if let Some(row) = IdentityStore::get(store, self.id(), Collection::User, subject).await? {
            let link: UserLink =
                serde_json::from_slice(&row.body).map_err(|error| Error::internal(error.to_string()))?;
            return Ok(link.provider == login.provider() && link.subject == subject);
        }
        if !login.create_user() && !self.policy_names(subject).await? {
            return Ok(false);
        }
        let link = UserLink { provider: login.provider().to_owned(), subject: subject.to_owned() };
        let body = serde_json::to_vec(&link).map_err(|error| Error::internal(error.to_string()))?;
        let event = catalogue::UserLinked::new()
            .idp(login.provider())
            .by_source(catalogue::LinkedBy::Mapping)
            .by(Actor::user(subject));
        let row = Row { id: subject.to_owned(), generation: 1, body };
        let write = async { Ok(IdentityStore::write(store, self.id(), Collection::User, &row).await?) };
        self.carry_out(event.subject(format!("user/{subject}")), now, write).await?;
        Ok(true)
    }

    /// The session is made first and given away last: what the log says of it in between is then true.
    async fn start_session(&self, login: &Login, record: &TenantRecord, now: SystemTime) -> Result<Issued, Error> {
        let user = login.principal().subject();
        let random = SecretKey::generate().map_err(|_| Error::internal("the kernel gave no randomness"))?;
        let id = hex::lower(random.expose_secret().split_at(16).0);
        let draft = TokenDraft::new(TokenType::Session, user)
            .audience(record.issuer())
            .session_id(&id)
            .auth_time(now)
            .groups(login.principal().groups().iter().map(String::as_str));
        let issued = self.sign(draft, record, now).await?;
        let actor = Actor::user(user);
        let succeeded = catalogue::LoginSucceeded::new().idp(login.provider()).method(login.method()).mfa(false);
        self.note(succeeded.by(actor.clone()).subject(format!("user/{user}")).session(id.as_str()), now)?;
        let started = catalogue::SessionStarted::new().idp(login.provider()).recovery(false);
        self.note(started.by(actor.clone()).subject(format!("session/{id}")).session(id.as_str()), now)?;
        let token = catalogue::TokenIssued::new().jti(issued.jti()).audience(record.issuer());
        let token = token.kind(catalogue::TokenKind::Session).exp(issued.expires_at());
        self.note(token.by(actor).subject(format!("token/{}", issued.jti())).session(id), now)?;
        Ok(issued)
    }

    fn registered(&self, known: Vec<(String, JwtProvider)>) -> Result<Providers, Error> {
        let mut providers = Providers::new(self.id());
        for (id, provider) in known {
            providers.add(&id, provider)?;
        }
        Ok(providers)
    }

    fn login_failed(&self, rejection: Rejection, provider: Option<&str>, now: SystemTime) -> Error {
        let event = catalogue::LoginFailed::new().method("jwt");
        let event = provider.into_iter().fold(event, catalogue::LoginFailed::idp).by(Actor::anonymous());
        let event = event.denied(rejection.reason().as_str());
        match self.note(event, now) {
            Ok(()) => Error::Token(rejection),
            Err(error) => error,
        }
    }
}

/// One more than the greatest: the number of one that was removed from between is not given again.
fn next_id<'a>(known: impl Iterator<Item = &'a str>) -> String {
    let number = |id: &str| id.strip_prefix(PROVIDER_PREFIX)?.parse::<u64>().ok();
    let greatest = known.filter_map(number).max().unwrap_or(0);
    format!("{PROVIDER_PREFIX}{}", greatest.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::next_id;

    #[test]
    fn id_of_a_provider_that_was_removed_from_between_is_not_given_again() {
        assert_eq!(next_id([].into_iter()), "idp_1");
        assert_eq!(next_id(["idp_1", "idp_10", "idp_9", "other"].into_iter()), "idp_11");
    }
}
