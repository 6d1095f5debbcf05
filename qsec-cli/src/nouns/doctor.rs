//! `qsec doctor`

use qsec::{Check, CheckState};
use serde_json::json;

use super::Session;
use crate::failure::Failure;
use crate::output::table;
use crate::{Exit, home, moment};

pub(crate) async fn run(session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::checking(session.global.now);
    let deployment = home::open(session.global).await?;
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
        table(["", "CHECK", "FOUND", "DO"], checks.iter().map(row))
    });
    let failed = checks.iter().any(|check| check.state() == CheckState::Fail);
    Ok(if failed { Exit::No } else { Exit::Yes })
}
