//! Signing in through the tenant's own identity provider.

use std::time::SystemTime;

use qsec_audit::{Actor, catalogue};
use qsec_crypto::SecretKey;
use qsec_identity::{
    Collection, IdentityStore, Issued, JwtProvider, Login, Presented, Providers, Reason, Rejection, ReplayStore, Row,
    TokenDraft, TokenType,
};
use serde::{Deserialize, Serialize};

use super::Tenant;
use crate::error::Error;
use crate::hex;

/// Users and clients share the subjects of decisions; no identity provider may speak in a client's name.
pub(super) const CLIENT_PREFIX: &str = "client:";

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
        let mut providers = self.providers().await?;
        let taken = self.deployment.inner.store.list(self.id(), Collection::Provider).await?.len();
        let id = format!("idp_{}", taken.saturating_add(1));
        providers.add(&id, provider.clone())?;
        let event =
            catalogue::IdpCreated::new().kind(catalogue::IdpKind::Jwt).issuer(provider.issuer()).by(actor.clone());
        self.announce(event.subject(format!("idp/{id}")), now).await?;
        let row = Row { id: id.clone(), generation: 1, body: provider.to_json().as_bytes().to_vec() };
        IdentityStore::write(&self.deployment.inner.store, self.id(), Collection::Provider, &row).await?;
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
    /// # Errors
    /// [`Error::Token`] with the rejection, recorded before this returns.
    pub async fn sign_in(&self, token: &str, now: SystemTime) -> Result<SignedIn, Error> {
        let login = match self.providers().await?.login(token, &Presented::bearer(), now) {
            Ok(login) => login,
            Err(rejection) => return Err(self.login_failed(rejection, now)),
        };
        if let Err(rejection) = self.admit_login(&login, now).await? {
            return Err(self.login_failed(rejection, now));
        }
        let user = login.principal().subject().to_owned();
        let session = self.start_session(&login, &user, now).await?;
        Ok(SignedIn { user, provider: login.provider().to_owned(), session })
    }

    /// The checks that need the store, replay last: a login refused for another cause does not burn its token.
    async fn admit_login(&self, login: &Login, now: SystemTime) -> Result<Result<(), Rejection>, Error> {
        let store = &self.deployment.inner.store;
        if login.principal().subject().starts_with(CLIENT_PREFIX) {
            return Ok(Err(Rejection::new(Reason::SubjectMismatch)));
        }
        if !self.deployment.tenant_record(self.id()).await?.state().is_usable() {
            return Ok(Err(Rejection::new(Reason::TenantInactive)));
        }
        if !self.link(login, now).await? {
            return Ok(Err(Rejection::new(Reason::SubjectMismatch)));
        }
        for key in login.principal().replay_keys() {
            if !ReplayStore::insert(store, self.id(), key.key(), key.keep_until(), now).await? {
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
        self.announce(event.subject(format!("user/{subject}")), now).await?;
        let row = Row { id: subject.to_owned(), generation: 1, body };
        IdentityStore::write(store, self.id(), Collection::User, &row).await?;
        Ok(true)
    }

    async fn start_session(&self, login: &Login, user: &str, now: SystemTime) -> Result<Issued, Error> {
        let actor = Actor::user(user);
        let random = SecretKey::generate().map_err(|_| Error::internal("the kernel gave no randomness"))?;
        let id = hex::lower(random.expose_secret().split_at(16).0);
        let succeeded = catalogue::LoginSucceeded::new().idp(login.provider()).method(login.method()).mfa(false);
        self.note(succeeded.by(actor.clone()).subject(format!("user/{user}")).session(id.as_str()), now)?;
        let started = catalogue::SessionStarted::new().idp(login.provider()).recovery(false);
        self.note(started.by(actor.clone()).subject(format!("session/{id}")), now)?;
        let groups = login.principal().groups().iter().map(String::as_str);
        let draft = TokenDraft::new(TokenType::Session, user)
            .audience(self.issuer())
            .session_id(&id)
            .auth_time(now)
            .groups(groups);
        self.issue_token(draft, &actor, now).await
    }

    async fn providers(&self) -> Result<Providers, Error> {
        let mut providers = Providers::new(self.id());
        for (id, provider) in self.list_providers().await? {
            providers.add(&id, provider)?;
        }
        Ok(providers)
    }

    fn login_failed(&self, rejection: Rejection, now: SystemTime) -> Error {
        let event = catalogue::LoginFailed::new().method("jwt").by(Actor::anonymous());
        match self.note(event.denied(rejection.reason().as_str()), now) {
            Ok(()) => Error::Token(rejection),
            Err(error) => error,
        }
    }
}
