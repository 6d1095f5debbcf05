//! `qsec tenant policy`: where a tenant's data may be, whether it is health data, its optional features, its storage.

use std::path::PathBuf;

use clap::Args;
use qsec::{StorageKind, TenantPolicy};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::kms::Access;
use crate::nouns::{Session, operator};
use crate::output::facts;
use crate::{Exit, files, home, moment};

/// Most bytes of such a file: 64 features with their addresses, 64 agreements and 64 regions.
const MAX_POLICY_BYTES: u64 = 256 * 1024;

/// `tenant policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyOf {
    /// The tenant's id
    id: String,
    /// Replace it by this: `{"phi":true,"agreements":["BAA-2026-17"],"regions":["eu-central-1"]}`
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

pub(super) async fn run(of: &PolicyOf, session: &Session<'_>) -> Result<Exit, Failure> {
    let given = session.global.now;
    let now = if of.set.is_none() { moment::checking(given) } else { moment::changing(given)? };
    let wanted = of.set.as_deref().map(|file| {
        let text = files::read_text(file, MAX_POLICY_BYTES, "malformed")?;
        Ok::<_, Failure>(TenantPolicy::parse(&text)?)
    });
    let wanted = wanted.transpose()?;
    let deployment = home::open(session.global).await?;
    let outcome = Box::pin(async {
        let tenant = deployment.tenant_for_operator(&of.id).await?;
        if let Some(wanted) = &wanted {
            // Names of keys in AWS KMS say where they are; of others their KMS must be asked.
            of.access.reach_if_possible(&deployment, &tenant, session, now).await?;
            tenant.set_tenant_policy(wanted, &operator(), now).await?;
        }
        Ok::<_, Failure>(tenant.tenant_policy(now).await?)
    })
    .await;
    let policy = home::close(deployment, outcome, now).await?;
    session.output.answer(&object(&of.id, &policy)?, |_| text(&of.id, &policy))?;
    Ok(Exit::Yes)
}

/// The tenant, and what `--set` takes.
fn object(id: &str, policy: &TenantPolicy) -> Result<Value, Failure> {
    let mut object: Value = serde_json::from_str(&policy.to_json())
        .map_err(|error| Failure::internal(format!("a policy that is no JSON: {error}")))?;
    if let Some(members) = object.as_object_mut() {
        members.insert("tenant".to_owned(), json!(id));
    }
    Ok(object)
}

fn text(id: &str, policy: &TenantPolicy) -> String {
    let keys = policy.key_policy();
    let list = |words: Vec<&str>, none: &str| if words.is_empty() { none.to_owned() } else { words.join(", ") };
    let regions = keys.regions().map(|regions| regions.iter().map(String::as_str).collect());
    let yes = |demanded| if demanded { "yes" } else { "no" }.to_owned();
    let mut rows = vec![
        ("tenant", id.to_owned()),
        ("PHI", yes(keys.is_phi())),
        ("agreements", list(policy.agreements().collect(), "none")),
        ("keys in several regions only", yes(keys.is_multi_region_required())),
        ("regions of KMS keys", list(regions.unwrap_or_default(), "any")),
    ];
    rows.extend(policy.features().map(|(name, feature)| {
        let state = if feature.is_on() { "on" } else { "off" };
        ("feature", format!("{name}, {state}: {} in {}", feature.endpoint(), feature.region()))
    }));
    if let Some(storage) = policy.configured_storage() {
        let whose = if storage.kind() == StorageKind::Customer { "the customer's" } else { "managed" };
        let (landing, staging) = (storage.landing(), storage.staging());
        rows.push(("storage", format!("{whose}: {} in {}", landing.address(), landing.region())));
        rows.push(("staging", format!("{} in {}", staging.address(), staging.region())));
    }
    facts(rows)
}
