//! `qsec client`

use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use qsec::Deployment;
use qsec::identity::oauth::{
    Client as Registered, ClientAuth, ClientRegistration, ClientSecret, ClientType, SecretHint,
};
use serde_json::{Value, json};

use super::{Session, operator};
use crate::failure::Failure;
use crate::output::{facts, table};
use crate::{Exit, home, moment};

/// Verbs on a tenant's OAuth clients.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Register a client; its secret is shown once
    #[command(after_help = "Example:\n  qsec client create --tenant acme --type m2m --name nightly --show-secret")]
    Create(Create),
    /// Show one client
    #[command(after_help = "Example:\n  qsec client show c_7d")]
    Show(Named),
    /// Show all clients
    #[command(after_help = "Example:\n  qsec client list --tenant acme")]
    List {
        /// Only this tenant's
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
    },
    /// Switch a client off: it gets no more tokens
    #[command(after_help = "Example:\n  qsec client disable c_7d")]
    Disable(Named),
    /// Switch it on again
    #[command(after_help = "Example:\n  qsec client enable c_7d")]
    Enable(Named),
}

/// A client by its id.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The tenant's id, if the client must be this one's
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// The client's id
    client: String,
}

/// `client create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The tenant's id
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// What kind of program it is
    #[arg(long, value_name = "TYPE")]
    r#type: Kind,
    /// The name for people
    #[arg(long)]
    name: String,
    /// Where a browser may be sent back to
    #[arg(long, value_name = "URI", num_args = 1..)]
    redirect_uri: Vec<String>,
    /// An origin from which a browser may call
    #[arg(long, value_name = "ORIGIN", num_args = 1..)]
    origin: Vec<String>,
    /// A scope that it may ask for
    #[arg(long, value_name = "SCOPE", num_args = 1..)]
    scope: Vec<String>,
    /// How it proves who it is (default: what its type demands)
    #[arg(long, value_name = "METHOD", value_parser = parse_method)]
    auth: Option<ClientAuth>,
    /// Users need not consent
    #[arg(long)]
    trusted: bool,
    /// Tokens are bound to the client's key
    #[arg(long)]
    dpop: bool,
    /// Print the secret (always there under --json)
    #[arg(long)]
    show_secret: bool,
}

/// What kind of program a client is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// A page in a browser: no secret
    Spa,
    /// A program on a person's device: no secret
    Native,
    /// A web server
    Web,
    /// A machine on its own behalf
    M2m,
    /// A machine on a user's behalf
    M2mImpersonation,
}

impl From<Kind> for ClientType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Spa => Self::Spa,
            Kind::Native => Self::Native,
            Kind::Web => Self::Web,
            Kind::M2m => Self::M2m,
            Kind::M2mImpersonation => Self::M2mImpersonation,
        }
    }
}

fn parse_method(text: &str) -> Result<ClientAuth, String> {
    ClientAuth::parse(text).ok_or_else(|| "no such way to authenticate".to_owned())
}

pub(crate) async fn run(verb: Client, session: &Session<'_>) -> Result<Exit, Failure> {
    let reads = matches!(verb, Client::Show(_) | Client::List { .. });
    let now = if reads { moment::checking(session.global.now) } else { moment::changing(session.global.now)? };
    let deployment = home::open(session.global).await?;
    match verb {
        Client::Create(create) => {
            let outcome = create.run(&deployment, now).await;
            let (client, secret) = home::close(deployment, outcome, now).await?;
            create.answer(&client, secret.as_ref(), session)?;
        }
        Client::List { tenant } => {
            let outcome = all(&deployment, tenant.as_deref()).await;
            let clients = home::close(deployment, outcome, now).await?;
            let answer = json!({"clients": clients.iter().map(object).collect::<Vec<_>>()});
            session
                .output
                .answer(&answer, |_| table(["CLIENT", "TYPE", "STATE", "SCOPES"], clients.iter().map(row)))?;
        }
        Client::Show(named) => {
            let outcome = named.find(&deployment).await;
            let (_, client) = home::close(deployment, outcome, now).await?;
            session.output.answer(&object(&client), |_| text(&client))?;
        }
        Client::Disable(named) => {
            let outcome = named.switch(&deployment, false, now).await;
            let client = home::close(deployment, outcome, now).await?;
            session.output.answer(&object(&client), |_| text(&client))?;
        }
        Client::Enable(named) => {
            let outcome = named.switch(&deployment, true, now).await;
            let client = home::close(deployment, outcome, now).await?;
            session.output.answer(&object(&client), |_| text(&client))?;
        }
    }
    Ok(Exit::Yes)
}

impl Named {
    /// The client, and whose it is: ids are random, so that one tenant at most has it.
    async fn find(&self, deployment: &Deployment) -> Result<(String, Registered), Failure> {
        if let Some(tenant) = &self.tenant {
            let room = deployment.tenant_for_operator(tenant).await?;
            return Ok((tenant.clone(), room.client(&self.client).await?));
        }
        for record in deployment.tenants().await? {
            match deployment.tenant_for_operator(record.id()).await?.client(&self.client).await {
                Ok(client) => return Ok((record.id().to_owned(), client)),
                Err(qsec::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(Exit::No, "client_not_found", format!("there is no client `{}`", self.client)))
    }

    async fn switch(&self, deployment: &Deployment, on: bool, now: SystemTime) -> Result<Registered, Failure> {
        let (tenant, _) = self.find(deployment).await?;
        let room = deployment.tenant(&tenant).await?;
        Ok(if on {
            room.enable_client(&self.client, &operator(), now).await?
        } else {
            room.disable_client(&self.client, &operator(), now).await?
        })
    }
}

async fn all(deployment: &Deployment, tenant: Option<&str>) -> Result<Vec<Registered>, Failure> {
    if let Some(tenant) = tenant {
        return Ok(deployment.tenant_for_operator(tenant).await?.clients().await?);
    }
    let mut clients = Vec::new();
    for record in deployment.tenants().await? {
        clients.extend(deployment.tenant_for_operator(record.id()).await?.clients().await?);
    }
    Ok(clients)
}

impl Create {
    async fn run(
        &self,
        deployment: &Deployment,
        now: SystemTime,
    ) -> Result<(Registered, Option<ClientSecret>), Failure> {
        let tenant = deployment.tenant(&self.tenant).await?;
        Ok(tenant.create_client(self.registration(), &operator(), now).await?)
    }

    /// The one time that the secret is shown: it is kept as a hash.
    fn answer(&self, client: &Registered, secret: Option<&ClientSecret>, session: &Session<'_>) -> Result<(), Failure> {
        let shown = secret.map(ClientSecret::expose_secret);
        let mut answer = object(client);
        if let Some(members) = answer.as_object_mut() {
            members.insert("client_secret".to_owned(), shown.map_or(Value::Null, Value::from));
        }
        session.output.answer(&answer, |_| match shown {
            None => text(client),
            Some(secret) if self.show_secret => format!("{}\nsecret  {secret}", text(client)),
            Some(_) => format!("{}\nsecret  made and not shown: `--show-secret` shows it, once", text(client)),
        })
    }

    fn registration(&self) -> ClientRegistration {
        let mut registration = ClientRegistration::new(self.r#type.into(), self.name.as_str());
        for uri in &self.redirect_uri {
            registration = registration.redirect_uri(uri);
        }
        for origin in &self.origin {
            registration = registration.origin(origin);
        }
        for scope in &self.scope {
            registration = registration.scope(scope);
        }
        if let Some(method) = self.auth {
            registration = registration.auth(method);
        }
        if self.trusted {
            registration = registration.trusted();
        }
        if self.dpop {
            registration = registration.require_dpop();
        }
        registration
    }
}

fn row(client: &Registered) -> Vec<String> {
    vec![client.id().to_owned(), client.kind().as_str().to_owned(), state(client).to_owned(), client.scopes().join(" ")]
}

fn state(client: &Registered) -> &'static str {
    if client.is_disabled() { "disabled" } else { "enabled" }
}

fn object(client: &Registered) -> Value {
    let hint = |hint: &SecretHint| {
        let ends = hint.ends().map(moment::rfc3339);
        json!({"hint": hint.hint(), "created": moment::rfc3339(hint.created()), "ends": ends})
    };
    // Whoever is sent through a browser proves with PKCE that the code was for them.
    let pkce = matches!(client.kind(), ClientType::Spa | ClientType::Native | ClientType::Web).then_some("S256");
    json!({
        "client_id": client.id(), "type": client.kind().as_str(), "name": client.name(), "auth": client.auth().as_str(),
        "redirect_uris": client.redirect_uris(), "origins": client.origins(), "scopes": client.scopes(), "pkce": pkce,
        "dpop": client.requires_dpop(), "trusted": client.is_trusted(), "disabled": client.is_disabled(),
        "secrets": client.secret_hints().iter().map(hint).collect::<Vec<_>>(),
    })
}

fn text(client: &Registered) -> String {
    facts([
        ("client", client.id().to_owned()),
        ("name", client.name().to_owned()),
        ("type", client.kind().as_str().to_owned()),
        ("authenticates by", client.auth().as_str().to_owned()),
        ("scopes", client.scopes().join(" ")),
        ("state", state(client).to_owned()),
    ])
}
