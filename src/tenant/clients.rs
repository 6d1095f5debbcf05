//! OAuth clients of the tenant, and the endpoint that gives them tokens.

use std::time::SystemTime;

use qsec_audit::catalogue::ReplayKind;
use qsec_audit::{Actor, catalogue};
use qsec_identity::oauth::{
    Client, ClientRegistration, ClientSecret, ClientType, OAuthError, OAuthErrorCode, Response, TokenEndpoint,
    TokenRequest,
};
use qsec_identity::{Collection, IdentityStore, ReplayStore, Row};

use super::Tenant;
use crate::error::Error;

impl Tenant {
    /// Registers an OAuth client. Its secret is in the answer and nowhere else: it is shown once.
    ///
    /// # Errors
    /// [`Error::Registration`] names the rule that an impossible combination breaks.
    pub async fn create_client(
        &self,
        registration: ClientRegistration,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<(Client, Option<ClientSecret>), Error> {
        self.pass("client", now).await?;
        let (client, secret) = registration.register(&qsec_authz::client_scopes().collect::<Vec<_>>(), now)?;
        let event = catalogue::OauthClientCreated::new()
            .kind(client.kind().as_str())
            .grants(grants(&client))
            .scopes(client.scopes().iter().cloned())
            .by(actor.clone());
        let subject = format!("client/{}", client.id());
        self.carry_out(event.subject(&subject), now, self.write(&client)).await?;
        if secret.is_some() {
            // On disk before anybody sees the secret, which is its effect.
            let event = catalogue::OauthClientSecretCreated::new().by(actor.clone()).subject(subject);
            self.carry_out(event, now, async { Ok(()) }).await?;
        }
        Ok((client, secret))
    }

    /// The client of that id.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this tenant has none.
    pub async fn client(&self, id: &str) -> Result<Client, Error> {
        let missing = || Error::NotFound { noun: "client", id: id.to_owned() };
        self.load_client(id).await?.ok_or_else(missing)
    }

    /// Every client of the tenant.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn clients(&self) -> Result<Vec<Client>, Error> {
        let rows = self.deployment.inner.store.list(self.id(), Collection::Client).await?;
        rows.iter().map(read).collect()
    }

    /// Switches a client off: it gets no more tokens.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn disable_client(&self, id: &str, actor: &Actor, now: SystemTime) -> Result<Client, Error> {
        self.change_client(id, "disabled", Client::disable, actor, now).await
    }

    /// Switches it on again.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn enable_client(&self, id: &str, actor: &Actor, now: SystemTime) -> Result<Client, Error> {
        self.change_client(id, "enabled", Client::enable, actor, now).await
    }

    /// The token endpoint: an HTTP request in, an HTTP answer out. A refusal is an answer.
    ///
    /// # Errors
    /// Only what is no answer to the client: the store, the log, our own faults.
    pub async fn token_endpoint(
        &self,
        method: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        now: SystemTime,
    ) -> Result<Response, Error> {
        let record = self.pass("token", now).await?;
        let request = match TokenRequest::parse(method, headers, body) {
            Ok(request) => request,
            Err(error) => return self.refuse_token(&error, None, now),
        };
        let client = match request.client_id() {
            Some(id) => self.load_client(id).await?,
            None => None,
        };
        let issuer = record.issuer();
        let endpoint = TokenEndpoint::new(self.id(), format!("{issuer}/oauth/token"), issuer);
        let grant = match endpoint.decide(&request, client.as_ref(), now) {
            Ok(grant) => grant,
            Err(error) => return self.refuse_token(&error, client.as_ref(), now),
        };
        for key in grant.replay_keys() {
            if !ReplayStore::insert(&self.deployment.inner.store, self.id(), key.key(), key.keep_until(), now).await? {
                let replayed = OAuthError::new(OAuthErrorCode::InvalidDpopProof, "replayed");
                // The one thing of a grant that is good once is its proof.
                self.note_replay(ReplayKind::Dpop, now)?;
                return self.refuse_token(&replayed, client.as_ref(), now);
            }
        }
        let issued = self.sign(grant.draft().clone(), &record, now).await?;
        let event = catalogue::OauthTokenIssued::new()
            .jti(issued.jti())
            .grant(grant.grant_type())
            .scopes(grant.scope().split(' '))
            .exp(issued.expires_at())
            .by(client.as_ref().map_or_else(Actor::anonymous, |client| Actor::client(client.id())));
        self.note(event.subject(format!("token/{}", issued.jti())), now)?;
        Ok(grant.response(&issued))
    }

    /// The client that was named is not the actor: that it was the client is what was not proved.
    fn refuse_token(&self, error: &OAuthError, named: Option<&Client>, now: SystemTime) -> Result<Response, Error> {
        let event = catalogue::OauthTokenRefused::new().by(Actor::anonymous()).denied(error.reason());
        let event = named.into_iter().fold(event, |event, client| event.client(client.id()));
        self.note(event, now)?;
        Ok(error.response())
    }

    async fn change_client(
        &self,
        id: &str,
        changed: &str,
        change: impl FnOnce(&mut Client),
        actor: &Actor,
        now: SystemTime,
    ) -> Result<Client, Error> {
        self.pass("client", now).await?;
        let _alone = self.room.changes.lock().await;
        let mut client = self.client(id).await?;
        change(&mut client);
        let event = catalogue::OauthClientUpdated::new()
            .kind(client.kind().as_str())
            .grants(grants(&client))
            .scopes(client.scopes().iter().cloned())
            .changed([changed])
            .by(actor.clone());
        self.carry_out(event.subject(format!("client/{id}")), now, self.write(&client)).await?;
        // As it is stored now: the next change of it begins with the generation that was written.
        self.client(id).await
    }

    async fn write(&self, client: &Client) -> Result<(), Error> {
        let store = &self.deployment.inner.store;
        Ok(IdentityStore::write(store, self.id(), Collection::Client, &client.to_row()).await?)
    }

    async fn load_client(&self, id: &str) -> Result<Option<Client>, Error> {
        let row = IdentityStore::get(&self.deployment.inner.store, self.id(), Collection::Client, id).await?;
        row.as_ref().map(read).transpose()
    }
}

/// What the token endpoint gives this kind of client.
fn grants(client: &Client) -> Option<&'static str> {
    let machine = matches!(client.kind(), ClientType::M2m | ClientType::M2mImpersonation);
    machine.then_some("client_credentials")
}

fn read(row: &Row) -> Result<Client, Error> {
    Client::from_row(row).map_err(|error| Error::internal(error.to_string()))
}
