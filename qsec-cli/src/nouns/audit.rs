//! `qsec audit`

mod append;
mod draft;
mod prove;
mod schema;
mod tail;
mod verify;

use std::time::SystemTime;

use clap::Subcommand;
use qsec::Deployment;
use qsec::audit::ReadLogError;
use serde_json::json;

use super::Session;
use crate::failure::Failure;
use crate::{Exit, home, moment};

/// Most bytes of a proof, a key file or an entry: all are bounded by the log's own limits.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Verbs on the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Record events, one draft a line
    #[command(
        after_help = "Example:\n  echo '{\"type\":\"app.opened\",\"data\":{\"app\":\"a-1\"}}' | qsec audit append --tenant acme"
    )]
    Append(append::Append),
    /// Verify the deployment's log, or a proof without any deployment
    #[command(after_help = "Example:\n  qsec audit verify")]
    Verify(verify::Verify),
    /// Prove that an event is in a tenant's log
    #[command(
        after_help = "Example:\n  qsec audit prove --tenant acme --index 1 --out e1.tlog-proof --entry-out e1.json"
    )]
    Prove(prove::Prove),
    /// Print the key that verifies a tenant's proofs
    #[command(after_help = "Example:\n  qsec audit key --tenant acme > acme.vkey")]
    Key {
        /// The tenant's id
        #[arg(long, value_name = "ID")]
        tenant: String,
    },
    /// Print events, one a line, as they are stored
    #[command(after_help = "Example:\n  qsec audit tail --tenant acme --type key.")]
    Tail(tail::Tail),
    /// Print the catalogue of events
    #[command(after_help = "Example:\n  qsec --json audit schema key.disabled")]
    Schema {
        /// Only this type
        r#type: Option<String>,
    },
}

pub(crate) async fn run(verb: Audit, session: &Session<'_>) -> Result<Exit, Failure> {
    match verb {
        Audit::Append(append) => append.run(session).await,
        Audit::Verify(verify) => verify.run(session).await,
        Audit::Prove(prove) => prove.run(session).await,
        Audit::Key { tenant } => key(&tenant, session).await,
        Audit::Tail(tail) => tail.run(session).await,
        Audit::Schema { r#type } => schema::run(r#type.as_deref(), session),
    }
}

async fn key(tenant: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::checking(session.global.now);
    let deployment = home::open(session.global).await?;
    let outcome = key_of(&deployment, tenant, now).await;
    let key = home::close(deployment, outcome, now).await?;
    session.output.answer(&json!({"vkey": key}), |_| key.clone())?;
    Ok(Exit::Yes)
}

async fn key_of(deployment: &Deployment, tenant: &str, now: SystemTime) -> Result<String, Failure> {
    Ok(deployment.tenant_for_operator(tenant).await?.verifier_key(now).await?.to_string())
}

/// A log that cannot be read now, or that is damaged where it was read.
fn unreadable(error: &ReadLogError) -> Failure {
    let exit = if error.code() == "audit_unavailable" { Exit::Unavailable } else { Exit::No };
    Failure::new(exit, error.code(), error.to_string())
}
