//! `qsec doctor`

use qsec::{Check, CheckState, Error, HomeError};
use serde_json::json;

use super::Session;
use crate::failure::Failure;
use crate::output::table;
use crate::{Exit, home, moment};

pub(crate) async fn run(session: &Session<'_>) -> Result<Exit, Failure> {
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
