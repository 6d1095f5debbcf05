//! `qsec key`

mod provider;

use std::time::SystemTime;

use clap::{Args, Subcommand};
use qsec::Deployment;
use qsec::crypto::kms::KeyId;
use qsec::crypto::{KeyringDescription, Migration, Purpose};
use serde_json::{Value, json};

use self::provider::Provider;
pub(crate) use self::provider::{Rewrap, rewrap};
use super::{Session, operator};
use crate::failure::Failure;
use crate::kms::Access;
use crate::output::{facts, table};
use crate::{Exit, home, moment};

/// Verbs on a tenant's keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Show binding, versions, states and wrappings
    #[command(after_help = "Example:\n  qsec key list acme")]
    List(Named),
    /// Make a new version: new bytes are sealed under it, old ones stay readable
    #[command(after_help = "Example:\n  qsec key rotate acme")]
    Rotate {
        #[command(flatten)]
        named: Named,
        /// What the key is for
        #[arg(long, default_value = "data")]
        purpose: String,
    },
    /// Lock the tenant's key: nothing opens, nothing is lost
    #[command(after_help = "Example:\n  qsec key disable acme")]
    Disable(Named),
    /// Unlock it
    #[command(after_help = "Example:\n  qsec key enable acme")]
    Enable(Named),
    /// Lock the key now and destroy it after 7 to 30 days
    #[command(after_help = "Example:\n  qsec key schedule-deletion acme --days 30 --confirm acme")]
    ScheduleDeletion {
        #[command(flatten)]
        named: Named,
        /// Days until it is destroyed
        #[arg(long, value_parser = clap::value_parser!(u32).range(7..=30))]
        days: u32,
        /// The tenant's id, typed in
        #[arg(long, value_name = "TENANT")]
        confirm: String,
    },
    /// Cancel the deletion; the key stays disabled until it is enabled
    #[command(after_help = "Example:\n  qsec key cancel-deletion acme")]
    CancelDeletion(Named),
    /// Destroy one retired version for good: what it sealed opens no more
    #[command(after_help = "Example:\n  qsec key shred acme --version 1 --confirm acme")]
    Shred {
        #[command(flatten)]
        named: Named,
        /// What the key is for
        #[arg(long, default_value = "data")]
        purpose: String,
        /// The version
        #[arg(long, value_name = "N")]
        version: u32,
        /// The tenant's id, typed in
        #[arg(long, value_name = "TENANT")]
        confirm: String,
    },
    /// Show where the tenant's keys are, or move them to other KMS keys without touching a record
    #[command(after_help = "Example:\n  qsec key provider acme")]
    Provider(Provider),
}

/// A tenant by its id.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The tenant's id
    tenant: String,
    #[command(flatten)]
    access: Access,
}

/// What a verb on a tenant's keys cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The KMS that the keys are bound to, and the credentials for it.
    Kms,
    /// It says more if that KMS can be asked, and the rest all the same.
    KmsIfItCanBe,
    /// The store alone.
    Store,
}

impl KeyVerb {
    fn tenant(&self) -> &str {
        self.named().map_or_else(Provider::tenant, |named| &named.tenant)
    }

    fn access(&self) -> &Access {
        self.named().map_or_else(Provider::access, |named| &named.access)
    }

    fn named(&self) -> Result<&Named, &Provider> {
        match self {
            Self::List(named)
            | Self::Disable(named)
            | Self::Enable(named)
            | Self::CancelDeletion(named)
            | Self::Rotate { named, .. }
            | Self::ScheduleDeletion { named, .. }
            | Self::Shred { named, .. } => Ok(named),
            Self::Provider(provider) => Err(provider),
        }
    }

    /// What was typed in to confirm, where something is destroyed.
    fn confirmation(&self) -> Option<&str> {
        match self {
            Self::ScheduleDeletion { confirm, .. } | Self::Shred { confirm, .. } => Some(confirm),
            Self::List(_)
            | Self::Rotate { .. }
            | Self::Disable(_)
            | Self::Enable(_)
            | Self::CancelDeletion(_)
            | Self::Provider(_) => None,
        }
    }

    /// What it cannot do without. A lock never waits for the lock's owner.
    fn need(&self) -> Need {
        match self {
            Self::List(_) => Need::KmsIfItCanBe,
            Self::Rotate { .. } => Need::Kms,
            Self::Disable(_)
            | Self::Enable(_)
            | Self::ScheduleDeletion { .. }
            | Self::CancelDeletion(_)
            | Self::Shred { .. } => Need::Store,
            Self::Provider(provider) => provider.need(),
        }
    }

    fn only_reads(&self) -> bool {
        match self {
            Self::List(_) => true,
            Self::Provider(provider) => provider.only_shows(),
            Self::Rotate { .. }
            | Self::Disable(_)
            | Self::Enable(_)
            | Self::ScheduleDeletion { .. }
            | Self::CancelDeletion(_)
            | Self::Shred { .. } => false,
        }
    }
}

pub(crate) async fn run(verb: KeyVerb, session: &Session<'_>) -> Result<Exit, Failure> {
    let given = session.global.now;
    let now = if verb.only_reads() { moment::checking(given) } else { moment::changing(given)? };
    if verb.confirmation().is_some_and(|typed| typed != verb.tenant()) {
        return Err(Failure::misuse("confirm_mismatch", "the confirmation is not the tenant's id"));
    }
    let deployment = home::open(session.global).await?;
    let outcome = Box::pin(done(&deployment, &verb, session, now)).await;
    let (answer, text, exit) = home::close(deployment, outcome, now).await?;
    session.output.answer(&answer, |_| text)?;
    Ok(exit)
}

/// Does it, and says what was done: to a machine, to people, and by the exit status.
async fn done(
    deployment: &Deployment,
    verb: &KeyVerb,
    session: &Session<'_>,
    now: SystemTime,
) -> Result<(Value, String, Exit), Failure> {
    // Keys are looked at, and locked, in every state of the tenant.
    let tenant = deployment.tenant_for_operator(verb.tenant()).await?;
    match verb.need() {
        Need::Kms => verb.access().reach(deployment, &tenant, now).await?,
        Need::KmsIfItCanBe => verb.access().reach_if_possible(deployment, &tenant, session, now).await?,
        Need::Store => {}
    }
    let actor = operator();
    let id = tenant.id();
    let (answer, text) = match verb {
        KeyVerb::List(_) => {
            let keys = tenant.describe_keys(now).await?;
            warn(&keys, session);
            (object(&keys), text(&keys))
        }
        KeyVerb::Rotate { purpose, .. } => {
            let rotation = tenant.rotate_key(&named_purpose(purpose)?, &actor, now).await?;
            let (version, previous) = (rotation.version, rotation.previous);
            let answer = json!({"tenant": id, "version": version, "previous": previous});
            (answer, format!("version {version} is active; version {previous} still opens"))
        }
        KeyVerb::Disable(_) => {
            tenant.disable_key(&actor, now).await?;
            (json!({"tenant": id, "state": "disabled"}), format!("the key of `{id}` is disabled"))
        }
        KeyVerb::Enable(_) => {
            tenant.enable_key(&actor, now).await?;
            (json!({"tenant": id, "state": "active"}), format!("the key of `{id}` is enabled"))
        }
        KeyVerb::ScheduleDeletion { days, .. } => {
            let due = moment::rfc3339(tenant.schedule_key_deletion(*days, &actor, now).await?);
            let answer = json!({"tenant": id, "state": "pending_deletion", "deletion_date": due});
            (answer, format!("the key of `{id}` is locked, and will be destroyed at {due}"))
        }
        KeyVerb::CancelDeletion(_) => {
            tenant.cancel_key_deletion(&actor, now).await?;
            let text = format!("the key of `{id}` stays; `qsec key enable {id}` opens it again");
            (json!({"tenant": id, "state": "disabled"}), text)
        }
        KeyVerb::Shred { purpose, version, .. } => {
            let shredded = tenant.shred_key(&named_purpose(purpose)?, *version, &actor, now).await?;
            let remains: Vec<String> = shredded.remains.iter().map(ToString::to_string).collect();
            let answer = json!({"tenant": id, "version": version, "state": "destroyed", "remains": remains});
            (answer, format!("version {version} is destroyed; what remains: {}", remains.join(", ")))
        }
        KeyVerb::Provider(provider) => return provider.done(&tenant, session, now).await,
    };
    Ok((answer, text, Exit::Yes))
}

fn named_purpose(purpose: &str) -> Result<Purpose, Failure> {
    Purpose::new(purpose).map_err(|error| Failure::usage(error.to_string()))
}

/// Says of which KMS keys the state is not known, and what is not as it should be.
fn warn(keys: &KeyringDescription, session: &Session<'_>) {
    for answer in &keys.kms {
        // A KMS that could not be reached for want of credentials was spoken of before.
        if let Err(code) = answer.state
            && code != "usage"
        {
            let message =
                format!("KMS key `{}` was not described; what is shown is the tenant's own state", answer.key_id);
            session.output.warning(code, &message);
        }
    }
    for warning in &keys.warnings {
        session.output.warning(warning.code(), &warning.to_string());
    }
}

fn object(keys: &KeyringDescription) -> Value {
    let versions: Vec<Value> = keys
        .versions
        .iter()
        .map(|version| {
            let wrappings: Vec<Value> = version
                .wrappings
                .iter()
                .map(|wrapping| {
                    json!({
                        "provider": wrapping.provider, "key_id": wrapping.key_id.as_str(),
                        "role": wrapping.role.name(), "verified": moment::rfc3339(wrapping.verified),
                    })
                })
                .collect();
            json!({
                "version": version.version, "purpose": version.purpose.as_str(), "state": version.state.name(),
                "created": moment::rfc3339(version.created), "wrappings": wrappings,
            })
        })
        .collect();
    json!({
        "tenant": keys.tenant.as_str(), "state": keys.state.name(), "by": keys.by.iter().map(|by| by.name()).collect::<Vec<_>>(),
        "provider": keys.provider, "key_ids": keys.key_ids.iter().map(KeyId::as_str).collect::<Vec<_>>(),
        "versions": versions, "migration": keys.migration.as_ref().map(migration_object),
    })
}

fn migration_object(moving: &Migration) -> Value {
    json!({
        "state": moving.state.name(), "provider": moving.provider,
        "key_ids": moving.key_ids.iter().map(KeyId::as_str).collect::<Vec<_>>(),
        "versions": moving.versions, "versions_rewrapped": moving.versions_rewrapped, "kms_calls": moving.kms_calls,
        "keep_old_until": moving.keep_old_until.map(moment::rfc3339),
    })
}

fn text(keys: &KeyringDescription) -> String {
    let ids: Vec<_> = keys.key_ids.iter().map(KeyId::as_str).collect();
    let head = facts([
        ("tenant", keys.tenant.to_string()),
        ("state", keys.state.name().to_owned()),
        ("provider", keys.provider.clone()),
        ("KMS keys", ids.join(", ")),
    ]);
    let rows = keys.versions.iter().map(|version| {
        vec![
            version.version.to_string(),
            version.purpose.to_string(),
            version.state.name().to_owned(),
            moment::rfc3339(version.created),
            version.wrappings.len().to_string(),
        ]
    });
    format!("{head}\n\n{}", table(["VERSION", "PURPOSE", "STATE", "CREATED", "WRAPPINGS"], rows))
}
