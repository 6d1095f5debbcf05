//! `qsec policy`: the roles, users and spaces of a tenant in a deployment.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{Session, operator};
use crate::failure::Failure;
use crate::{Exit, home, moment};

/// Verbs on a tenant's policy.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Replace the tenant's policy by the tenant of the same id in a policy file
    #[command(after_help = "Example:\n  qsec policy activate --tenant acme --policy policy.toml")]
    Activate {
        /// The tenant's id
        #[arg(long, value_name = "ID")]
        tenant: String,
        /// The policy file, JSON or TOML
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
    },
}

pub(crate) async fn run(verb: Policy, session: &Session<'_>) -> Result<Exit, Failure> {
    let Policy::Activate { tenant, policy } = verb;
    let now = moment::changing(session.global.now)?;
    let policy = super::decide::policy(&policy)?;
    let deployment = home::open(session.global).await?;
    let outcome = async {
        let room = deployment.tenant(&tenant).await?;
        Ok::<_, Failure>(room.activate_policy(&policy, &operator(), now).await?)
    }
    .await;
    let version = home::close(deployment, outcome, now).await?;
    let answer = json!({"tenant": tenant, "version": version});
    session.output.answer(&answer, |_| format!("the policy of `{tenant}` is at version {version}"))?;
    Ok(Exit::Yes)
}
