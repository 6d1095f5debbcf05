//! `qsec doctor`

use clap::Args;
use qsec::crypto::DrillOutcome;
use qsec::{Check, CheckState, Error, HomeError};
use serde_json::json;

use super::Session;
use crate::failure::Failure;
use crate::kms::Access;
use crate::output::table;
use crate::{Exit, home, moment};

/// `qsec doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec doctor")]
pub(crate) struct Doctor {
    /// Only this tenant's keys: a drill of what is left when all other regions are lost
    #[arg(long, value_name = "ID", requires = "region")]
    tenant: Option<String>,
    /// The region, or the KMS key, through which alone each key version is unwrapped
    #[arg(long, value_name = "R", requires = "tenant")]
    region: Option<String>,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn run(doctor: Doctor, session: &Session<'_>) -> Result<Exit, Failure> {
    if let (Some(tenant), Some(region)) = (&doctor.tenant, &doctor.region) {
        return drill(tenant, region, &doctor.access, session).await;
    }
    let now = moment::checking(session.global.now);
    let deployment = match home::try_open(session.global).await? {
        Ok(deployment) => deployment,
        Err(error) => return not_opened(error, session),
    };
    let outcome = async { Ok::<_, Failure>(deployment.examine(now).await?) }.await;
    let checks = home::close(deployment, outcome, now).await?;
    let objects: Vec<_> = checks
        .iter()
        .map(|check| json!({"name": check.name(), "state": check.state().as_str(), "detail": check.detail(), "fix": check.fix()}))
        .collect();
    session.output.answer(&json!({"checks": objects}), |_| {
        let row = |check: &Check| {
            vec![
                check.state().as_str().to_owned(),
                check.name().to_owned(),
                check.detail().to_owned(),
                check.fix().unwrap_or_default().to_owned(),
            ]
        };
        table(["STATE", "CHECK", "FOUND", "DO"], checks.iter().map(row))
    })?;
    let failed = checks.iter().any(|check| check.state() == CheckState::Fail);
    Ok(if failed { Exit::No } else { Exit::Yes })
}

/// Unwraps each key version of a tenant through one region only. Nothing is changed, but the KMS is asked: at its own time.
async fn drill(id: &str, region: &str, access: &Access, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let deployment = home::open(session.global).await?;
    let outcome = async {
        let tenant = deployment.tenant(id).await?;
        access.reach(&deployment, &tenant, now).await?;
        Ok::<_, Failure>(tenant.drill_keys(region, now).await?)
    }
    .await;
    let drill = home::close(deployment, outcome, now).await?;
    let found = drill.versions.iter().map(|version| {
        let name = format!("key of {id}: {} {} through {region}", version.purpose, version.version);
        let key = &version.key_id;
        let (state, detail, fix) = match version.outcome {
            DrillOutcome::Opened => ("ok", format!("is unwrapped by `{key}`"), None),
            DrillOutcome::Missing => {
                ("fail", format!("is not under `{key}`"), Some(format!("qsec rewrap --tenant {id}")))
            }
            DrillOutcome::Refused(code) => {
                ("fail", format!("is refused by `{key}`: {code}"), Some("ask the key's owner".to_owned()))
            }
            _ => ("fail", format!("is not unwrapped by `{key}`"), None),
        };
        (state, name, detail, fix)
    });
    let found: Vec<_> = found.collect();
    let objects: Vec<_> = found
        .iter()
        .map(|(state, name, detail, fix)| json!({"name": name, "state": state, "detail": detail, "fix": fix}))
        .collect();
    session.output.answer(&json!({"checks": objects}), |_| {
        let rows = found.iter().map(|(state, name, detail, fix)| {
            vec![(*state).to_owned(), name.clone(), detail.clone(), fix.clone().unwrap_or_default()]
        });
        table(["STATE", "CHECK", "FOUND", "DO"], rows)
    })?;
    Ok(if drill.is_passed() { Exit::Yes } else { Exit::No })
}

/// What keeps a deployment from opening is a finding too, unless there is none or it is at work.
fn not_opened(error: Error, session: &Session<'_>) -> Result<Exit, Failure> {
    let Error::Home(home) = &error else { return Err(error.into()) };
    let (name, fix) = match home {
        HomeError::Permissions { mode, .. } => ("folder", format!("chmod {mode:o}")),
        HomeError::RootKey { .. } => ("root key", "name the key that the deployment was made with".to_owned()),
        HomeError::Damaged { .. } => ("folder", "restore the deployment from its backup".to_owned()),
        HomeError::Missing { .. } | _ => return Err(error.into()),
    };
    let detail = error.to_string();
    let check = json!({"name": name, "state": "fail", "detail": detail, "fix": fix});
    session.output.answer(&json!({"checks": [check]}), |_| {
        table(["", "CHECK", "FOUND", "DO"], [vec!["fail".to_owned(), name.to_owned(), detail.clone(), fix.clone()]])
    })?;
    Ok(Exit::No)
}
