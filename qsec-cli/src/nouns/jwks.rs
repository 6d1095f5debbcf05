//! `qsec jwks`

use std::path::PathBuf;

use clap::Subcommand;
use qsec::identity::{Algorithm, KeySet};
use serde_json::{Value, json};

use super::Session;
use crate::failure::Failure;
use crate::output::table;
use crate::{Exit, files, home, moment};

/// Most bytes of a key set.
const MAX_SET_BYTES: u64 = 256 * 1024;

/// Verbs on key sets.
#[derive(Debug, Subcommand)]
pub(crate) enum Jwks {
    /// Print a tenant's public keys as a JWK Set
    #[command(after_help = "Example:\n  qsec jwks show --tenant acme > acme.jwks")]
    Show {
        /// The tenant's id
        #[arg(long, value_name = "ID")]
        tenant: String,
    },
    /// Say which keys of a foreign set could be used, and why the others could not
    #[command(after_help = "Example:\n  qsec jwks check foreign.jwks")]
    Check {
        /// The set
        file: PathBuf,
    },
}

pub(crate) async fn run(verb: Jwks, session: &Session<'_>) -> Result<Exit, Failure> {
    match verb {
        Jwks::Show { tenant } => show(&tenant, session).await,
        Jwks::Check { file } => check(&file, session),
    }
}

async fn show(tenant: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::checking(session.global.now);
    let deployment = home::open(session.global).await?;
    let outcome = async { Ok::<_, Failure>(deployment.tenant_for_operator(tenant).await?.jwks().await?) }.await;
    let set = home::close(deployment, outcome, now).await?;
    let object: Value = serde_json::from_str(&set).map_err(|error| Failure::internal(error.to_string()))?;
    session.output.answer(&object, |_| set.clone())?;
    Ok(Exit::Yes)
}

fn check(file: &std::path::Path, session: &Session<'_>) -> Result<Exit, Failure> {
    let set = KeySet::parse(files::read(file, MAX_SET_BYTES, "keyset_invalid")?)
        .map_err(|error| Failure::misuse("keyset_invalid", error.to_string()))?;
    let usable: Vec<(Option<&str>, Option<&str>)> =
        set.usable().map(|key| (key.kid(), key.algorithm().map(Algorithm::as_str))).collect();
    let unusable: Vec<(Option<&str>, &str)> = set.unusable().map(|key| (key.kid(), key.why().as_str())).collect();
    let answer = json!({
        "usable": usable.iter().map(|(kid, alg)| json!({"kid": kid, "alg": alg})).collect::<Vec<_>>(),
        "unusable": unusable.iter().map(|(kid, why)| json!({"kid": kid, "why": why})).collect::<Vec<_>>(),
    });
    session.output.answer(&answer, |_| {
        let good = usable.iter().map(|(kid, alg)| row(*kid, "usable", alg.unwrap_or("by the policy")));
        let bad = unusable.iter().map(|(kid, why)| row(*kid, "refused", why));
        table(["KID", "", "ALGORITHM OR REASON"], good.chain(bad))
    })?;
    Ok(if usable.is_empty() { Exit::No } else { Exit::Yes })
}

fn row(kid: Option<&str>, verdict: &str, detail: &str) -> Vec<String> {
    vec![kid.unwrap_or("-").to_owned(), verdict.to_owned(), detail.to_owned()]
}
