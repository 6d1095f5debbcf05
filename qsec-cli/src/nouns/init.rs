//! `qsec init`

use std::path::PathBuf;

use clap::Args;
use qsec::{Created, Deployment, Setup};
use serde_json::json;

use super::Session;
use crate::failure::Failure;
use crate::output::facts;
use crate::{Exit, files, home, moment};

/// Create a deployment in an empty or new folder.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec --home prod init --name qsec.example --audit-escrow prod.escrow")]
pub(crate) struct Init {
    /// The deployment's name, a host name by custom (default: a random one)
    #[arg(long)]
    name: Option<String>,
    /// The region in which it runs
    #[arg(long)]
    region: Option<String>,
    /// The name of its trust zone (default: a random one that no other deployment has)
    #[arg(long)]
    zone: Option<String>,
    /// Write the first key of the log's MAC chain there, outside the home, and keep no copy
    #[arg(long, value_name = "FILE")]
    audit_escrow: Option<PathBuf>,
}

pub(crate) async fn run(init: Init, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let mut setup = Setup::new().unlock(home::unlock(session.global)?);
    if let Some(name) = init.name {
        setup = setup.name(name);
    }
    if let Some(region) = init.region {
        setup = setup.region(region);
    }
    if let Some(zone) = init.zone {
        setup = setup.zone(zone);
    }
    if let Some(file) = init.audit_escrow {
        if file.exists() {
            return Err(files::exists(&file));
        }
        setup = setup.audit_escrow(file);
    }
    let created = Deployment::create(home::folder(session.global), setup, now).await?;
    let backup: Vec<_> = created.backup().iter().map(|kept| json!({"path": kept.path, "why": kept.why})).collect();
    let answer = json!({
        "home": created.home(), "deployment": created.deployment(), "zone": created.zone(),
        "root_spki_sha256": created.root_spki_sha256(), "origin": created.origin(), "backup": backup,
    });
    session.output.answer(&answer, |_| text(&created))?;
    Ok(Exit::Yes)
}

fn text(created: &Created) -> String {
    let rows = [
        ("deployment", created.deployment().to_owned()),
        ("home", created.home().display().to_string()),
        ("zone", created.zone().to_owned()),
        ("root", created.root_spki_sha256().to_owned()),
        ("log", created.origin().to_owned()),
    ];
    let backup = created.backup().iter().map(|kept| format!("\n  {}: {}", kept.path.display(), kept.why));
    format!("{}\n\nKeep elsewhere:{}", facts(rows), backup.collect::<String>())
}
