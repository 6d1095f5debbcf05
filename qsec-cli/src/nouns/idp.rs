//! `qsec idp`

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::{Session, operator};
use crate::failure::Failure;
use crate::output::table;
use crate::{Exit, files, home, moment};

/// Most bytes of a provider's configuration: the size of a key set.
const MAX_CONFIG_BYTES: u64 = 256 * 1024;

/// Verbs on a tenant's identity providers.
#[derive(Debug, Subcommand)]
pub(crate) enum Idp {
    /// Add a provider from its configuration, one JSON object
    #[command(after_help = "Example: qsec idp add jwt --tenant acme --config backend.json")]
    Add {
        /// The kind of provider
        kind: Kind,
        /// The tenant's id
        #[arg(long, value_name = "ID")]
        tenant: String,
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show a tenant's providers
    #[command(after_help = "Example: qsec idp list --tenant acme")]
    List {
        /// The tenant's id
        #[arg(long, value_name = "ID")]
        tenant: String,
    },
}

/// Which kind of identity provider.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// A back end that signs tokens with its own key
    Jwt,
}

pub(crate) async fn run(verb: Idp, session: &Session<'_>) -> Result<Exit, Failure> {
    match verb {
        Idp::Add { kind: Kind::Jwt, tenant, config } => add(&tenant, &config, session).await,
        Idp::List { tenant } => list(&tenant, session).await,
    }
}

async fn add(tenant: &str, config: &std::path::Path, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let config = files::read_text(config, MAX_CONFIG_BYTES)?;
    let deployment = home::open(session.global).await?;
    let outcome = async {
        let room = deployment.tenant(tenant).await?;
        let id = room.add_provider(&config, &operator(), now).await?;
        Ok::<_, Failure>((room.provider(&id).await?, id))
    }
    .await;
    let (provider, id) = home::close(deployment, outcome, now).await?;
    let keys: Vec<&str> = provider.key_ids();
    let answer = json!({"id": id, "kind": "jwt", "issuer": provider.issuer(), "keys": keys, "state": "active"});
    session.output.answer(&answer, |_| format!("{id}: tokens of {} sign in to `{tenant}`", provider.issuer()));
    Ok(Exit::Yes)
}

async fn list(tenant: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::checking(session.global.now);
    let deployment = home::open(session.global).await?;
    let outcome =
        async { Ok::<_, Failure>(deployment.tenant_for_operator(tenant).await?.list_providers().await?) }.await;
    let providers = home::close(deployment, outcome, now).await?;
    let objects: Vec<_> = providers
        .iter()
        .map(|(id, provider)| {
            json!({"id": id, "kind": "jwt", "issuer": provider.issuer(), "keys": provider.key_ids(), "state": "active"})
        })
        .collect();
    session.output.answer(&json!({"providers": objects}), |_| {
        let rows = providers.iter().map(|(id, provider)| {
            vec![id.clone(), "jwt".to_owned(), provider.issuer().to_owned(), provider.key_ids().join(" ")]
        });
        table(["ID", "KIND", "ISSUER", "KEYS"], rows)
    });
    Ok(Exit::Yes)
}
