//! `qsec tenant policy`: what a tenant demands of the KMS keys that its own keys are under.

use std::path::PathBuf;

use clap::Args;
use qsec::crypto::KeyPolicy;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::kms::Access;
use crate::nouns::{Session, operator};
use crate::output::facts;
use crate::{Exit, files, home, moment};

/// Most bytes of such a file: some flags, and 64 names of regions.
const MAX_POLICY_BYTES: u64 = 64 * 1024;

/// `tenant policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyOf {
    /// The tenant's id
    id: String,
    /// Replace it by this: `{"phi":true,"require_multi_region":true,"regions":["eu-central-1"]}`
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// The file. What is left out is not demanded.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Demands {
    phi: bool,
    require_multi_region: bool,
    regions: Option<Vec<String>>,
}

impl Demands {
    fn policy(self) -> Result<KeyPolicy, Failure> {
        let mut policy = KeyPolicy::new();
        if self.phi {
            policy = policy.phi();
        }
        if self.require_multi_region {
            policy = policy.require_multi_region();
        }
        Ok(match self.regions {
            Some(regions) => policy.in_regions(regions).map_err(qsec::Error::from)?,
            None => policy,
        })
    }
}

pub(super) async fn run(of: &PolicyOf, session: &Session<'_>) -> Result<Exit, Failure> {
    let given = session.global.now;
    let now = if of.set.is_none() { moment::checking(given) } else { moment::changing(given)? };
    let wanted = of.set.as_deref().map(|file| {
        let text = files::read_text(file, MAX_POLICY_BYTES, "malformed")?;
        let demands: Demands = serde_json::from_str(&text)
            .map_err(|error| Failure::misuse("malformed", format!("`{}`: {error}", file.display())))?;
        demands.policy()
    });
    let wanted = wanted.transpose()?;
    let deployment = home::open(session.global).await?;
    let outcome = Box::pin(async {
        let tenant = deployment.tenant_for_operator(&of.id).await?;
        if let Some(wanted) = &wanted {
            // Names of keys in AWS KMS say where they are; of others their KMS must be asked.
            of.access.reach_if_possible(&deployment, &tenant, session, now).await?;
            tenant.set_key_policy(wanted, &operator(), now).await?;
        }
        Ok::<_, Failure>(tenant.key_policy(now).await?)
    })
    .await;
    let policy = home::close(deployment, outcome, now).await?;
    session.output.answer(&object(&of.id, &policy), |_| text(&of.id, &policy))?;
    Ok(Exit::Yes)
}

fn object(id: &str, policy: &KeyPolicy) -> Value {
    json!({
        "tenant": id, "phi": policy.is_phi(), "require_multi_region": policy.is_multi_region_required(),
        "regions": policy.regions(),
    })
}

fn text(id: &str, policy: &KeyPolicy) -> String {
    let regions = policy
        .regions()
        .map_or_else(|| "any".to_owned(), |regions| regions.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    let yes = |demanded| if demanded { "yes" } else { "no" }.to_owned();
    facts([
        ("tenant", id.to_owned()),
        ("PHI", yes(policy.is_phi())),
        ("keys in several regions only", yes(policy.is_multi_region_required())),
        ("regions of KMS keys", regions),
    ])
}
