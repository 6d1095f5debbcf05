//! `qsec client`

use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use qsec::Deployment;
use qsec::identity::oauth::{Client as Registered, ClientAuth, ClientRegistration, ClientSecret, ClientType};
use serde_json::{Value, json};

use super::{Session, operator};
use crate::failure::Failure;
use crate::output::{facts, table};
use crate::{Exit, home, moment};

/// Verbs on a tenant's OAuth clients.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Register a client; its secret is shown once
    #[command(
        after_help = "Example: qsec client create --tenant acme --type m2m --name \"nightly report\" --scope apps:read --show-secret"
    )]
    Create(Create),
    /// Show one client
    #[command(after_help = "Example: qsec client show --tenant acme c_7d")]
    Show(Named),
    /// Show all clients of a tenant
    #[command(after_help = "Example: qsec client list --tenant acme")]
    List {
        /// The tenant's id
        #[arg(long, value_name = "ID")]
        tenant: String,
    },
    /// Switch a client off: it gets no more tokens
    #[command(after_help = "Example: qsec client disable --tenant acme c_7d")]
    Disable(Named),
    /// Switch it on again
    #[command(after_help = "Example: qsec client enable --tenant acme c_7d")]
    Enable(Named),
}

/// A client of a tenant.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The tenant's id
    #[arg(long, value_name = "ID")]
    tenant: String,
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
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// An origin from which a browser may call
    #[arg(long, value_name = "O")]
    origin: Vec<String>,
    /// A scope that it may ask for
    #[arg(long, value_name = "S")]
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
    let outcome = answer(&deployment, verb, session, now).await;
    home::close(deployment, outcome, now).await
}

async fn answer(
    deployment: &Deployment,
    verb: Client,
    session: &Session<'_>,
    now: SystemTime,
) -> Result<Exit, Failure> {
    let actor = operator();
    let client = match verb {
        Client::Create(create) => return create.run(deployment, session, now).await,
        Client::List { tenant } => return list(deployment, &tenant, session).await,
        Client::Show(named) => deployment.tenant_for_operator(&named.tenant).await?.client(&named.client).await?,
        Client::Disable(named) => {
            deployment.tenant(&named.tenant).await?.disable_client(&named.client, &actor, now).await?
        }
        Client::Enable(named) => {
            deployment.tenant(&named.tenant).await?.enable_client(&named.client, &actor, now).await?
        }
    };
    session.output.answer(&object(&client), |_| text(&client));
    Ok(Exit::Yes)
}

impl Create {
    async fn run(self, deployment: &Deployment, session: &Session<'_>, now: SystemTime) -> Result<Exit, Failure> {
        let tenant = deployment.tenant(&self.tenant).await?;
        let (client, secret) = tenant.create_client(self.registration(), &operator(), now).await?;
        let mut answer = object(&client);
        let shown = secret.as_ref().map(ClientSecret::expose_secret);
        if let Value::Object(members) = &mut answer {
            members.insert("client_secret".to_owned(), shown.map_or(Value::Null, Value::from));
        }
        session.output.answer(&answer, |_| {
            let mut shown_text = text(&client);
            if let Some(secret) = shown {
                let line = if self.show_secret { secret } else { "made, not shown; `--show-secret` shows it" };
                shown_text.push_str(&format!("\nsecret  {line}"));
            }
            shown_text
        });
        Ok(Exit::Yes)
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

async fn list(deployment: &Deployment, tenant: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let clients = deployment.tenant_for_operator(tenant).await?.clients().await?;
    let answer = json!({"clients": clients.iter().map(object).collect::<Vec<_>>()});
    session.output.answer(&answer, |_| {
        let rows = clients.iter().map(|client| {
            let state = if client.is_disabled() { "disabled" } else { "enabled" };
            vec![client.id().to_owned(), client.kind().as_str().to_owned(), state.to_owned(), client.scopes().join(" ")]
        });
        table(["CLIENT", "TYPE", "STATE", "SCOPES"], rows)
    });
    Ok(Exit::Yes)
}

fn object(client: &Registered) -> Value {
    let auth = client.auth().as_str();
    json!({
        "client_id": client.id(), "type": client.kind().as_str(), "name": client.name(), "auth": auth,
        "redirect_uris": client.redirect_uris(), "scopes": client.scopes(),
        "pkce": if client.uses_pkce() { Value::from("S256") } else { Value::Null },
        "trusted": client.is_trusted(), "disabled": client.is_disabled(), "secret_hints": client.secret_hints(),
    })
}

fn text(client: &Registered) -> String {
    facts([
        ("client", client.id().to_owned()),
        ("name", client.name().to_owned()),
        ("type", client.kind().as_str().to_owned()),
        ("authenticates by", client.auth().as_str().to_owned()),
        ("scopes", client.scopes().join(" ")),
        ("state", if client.is_disabled() { "disabled" } else { "enabled" }.to_owned()),
    ])
}
