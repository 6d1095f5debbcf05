//! `qsec key provider` and `qsec rewrap`: under which KMS keys a tenant's keys are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use clap::{Args, ValueEnum};
use qsec::crypto::kms::{KeyId, Kms};
use qsec::crypto::{Migration, Purpose};
use qsec::{Deployment, Tenant};
use serde_json::{Map, Value, json};

use super::{Need, migration_object, warn};
use crate::failure::Failure;
use crate::kms::Access;
use crate::nouns::reencrypt::{self, Manner, Walk};
use crate::nouns::{Session, operator};
use crate::output::facts;
use crate::{Exit, home, moment};

/// `qsec key provider`.
#[derive(Debug, Args)]
pub(crate) struct Provider {
    /// The tenant's id
    tenant: String,
    /// Move the tenant's keys there
    #[arg(long, value_name = "PROVIDER")]
    to: Option<Target>,
    /// A KMS key there: the first is primary, others are replicas
    #[arg(long, value_name = "ARN", requires = "to", value_parser = key_id)]
    key_id: Vec<KeyId>,
    /// Where the vault is, or AWS KMS if not at its usual place: kept with the tenant's keys
    #[arg(long, value_name = "URL", requires = "to")]
    endpoint: Option<String>,
    /// Call off a move that has not switched yet
    #[arg(long, conflicts_with_all = ["to", "keep_old", "reencrypt"])]
    abort: bool,
    /// Keep the old wrappings for so many days as a way back
    #[arg(long, value_name = "DAYS", requires = "to", value_parser = clap::value_parser!(u32).range(0..=30))]
    keep_old: Option<u32>,
    /// Make a new key version first, and seal the objects under it once the keys have moved
    #[arg(long, requires = "to", requires = "objects", requires = "cursor")]
    reencrypt: bool,
    /// What the new key version is for (default: data)
    #[arg(long, value_name = "P", requires = "reencrypt")]
    purpose: Option<String>,
    /// The objects: one path a line
    #[arg(long, value_name = "LIST", requires = "reencrypt")]
    objects: Option<PathBuf>,
    /// Where it is written down how far it has come: a rerun goes on there
    #[arg(long, value_name = "FILE", requires = "reencrypt")]
    cursor: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    access: Access,
}

/// Where keys can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The deployment's own KMS
    Internal,
    /// AWS KMS, under keys that a customer owns; named by their ARNs
    Aws,
    /// A PKCS#11 token; its keys are named by their labels
    Pkcs11,
    /// The transit engine of a vault; its keys have names
    Vault,
}

impl Target {
    /// The provider's name in a binding.
    fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Aws => "aws",
            Self::Pkcs11 => "pkcs11",
            Self::Vault => "vault",
        }
    }
}

/// `qsec rewrap`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec rewrap --tenant acme")]
pub(crate) struct Rewrap {
    /// The tenant whose key versions are wrapped again
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// A KMS key of the same provider to wrap them under as well
    #[arg(long, value_name = "ARN", value_parser = key_id)]
    add_key_id: Vec<KeyId>,
    /// A KMS key whose wrappings go
    #[arg(long, value_name = "ARN", value_parser = key_id)]
    remove_key_id: Vec<KeyId>,
    #[command(flatten)]
    access: Access,
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::new(text).map_err(|error| error.to_string())
}

impl Provider {
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Calling a move off needs no KMS, and showing where the keys are hardly any.
    pub(super) fn need(&self) -> Need {
        match (self.to, self.abort) {
            (Some(_), _) => Need::Kms,
            (None, true) => Need::Store,
            (None, false) => Need::KmsIfItCanBe,
        }
    }

    /// Whether it only shows where the keys are.
    pub(super) fn only_shows(&self) -> bool {
        self.to.is_none() && !self.abort
    }

    /// The options must fit the provider before anything is asked.
    fn check(&self, target: Target) -> Result<(), Failure> {
        match (target, self.endpoint.is_some()) {
            (Target::Internal | Target::Pkcs11, true) => {
                return Err(Failure::usage("`--endpoint` is for `--to aws` and `--to vault`"));
            }
            (Target::Vault, false) => return Err(Failure::usage("`--endpoint` must say where the vault is")),
            _ => {}
        }
        match (target, self.key_id.is_empty()) {
            (Target::Internal, false) => {
                Err(Failure::usage("`--to internal` makes its own key: `--key-id` is for others"))
            }
            (Target::Aws | Target::Pkcs11 | Target::Vault, true) => {
                Err(Failure::usage("`--key-id` must name the KMS key there"))
            }
            _ => Ok(()),
        }
    }

    async fn move_to(&self, target: Target, tenant: &Tenant, now: SystemTime) -> Result<Migration, Failure> {
        let (keep_old, actor) = (self.keep_old.unwrap_or(0), operator());
        let kms: Arc<dyn Kms> = match target {
            Target::Internal => return Ok(tenant.revert_keys(keep_old, &actor, now).await?),
            Target::Aws => self.access.aws(self.endpoint.as_deref())?,
            Target::Pkcs11 => self.access.pkcs11().await?,
            Target::Vault => self.access.vault(self.endpoint.as_deref().unwrap_or_default())?,
        };
        Ok(tenant.change_key_provider(kms, &self.key_id, keep_old, &actor, now).await?)
    }

    /// Does it, and says what was done: to a machine, to people, and by the exit status.
    pub(super) async fn done(
        &self,
        tenant: &Tenant,
        session: &Session<'_>,
        now: SystemTime,
    ) -> Result<(Value, String, Exit), Failure> {
        if self.abort {
            tenant.abort_key_migration(&operator(), now).await?;
            let answer = json!({"tenant": tenant.id(), "state": "aborted"});
            return Ok((answer, format!("the keys of `{}` stay where they are", tenant.id()), Exit::Yes));
        }
        let Some(target) = self.to else { return shown(tenant, session, now).await };
        self.check(target)?;
        let walk = match (&self.objects, &self.cursor) {
            (Some(objects), Some(cursor)) => Some(Walk::new(objects, cursor, &self.manner)?),
            _ => None,
        };
        #[expect(clippy::disallowed_methods, reason = "the answer tells how long it took")]
        let began = Instant::now();
        let took = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(walk) = walk else {
            let migration = self.move_to(target, tenant, now).await?;
            return Ok((moved(tenant, &migration, took()).into(), moved_text(&migration), Exit::Yes));
        };
        let purpose = Purpose::new(self.purpose.as_deref().unwrap_or("data"));
        let purpose = purpose.map_err(|error| Failure::usage(error.to_string()))?;
        if self.begins(target, tenant, now).await? {
            tenant.rotate_key(&purpose, &operator(), now).await?;
        }
        let migration = self.move_to(target, tenant, now).await?;
        let done = walk.run(tenant, &purpose, session, now).await?;
        let mut answer = moved(tenant, &migration, took());
        answer.insert("records_rewritten".into(), done.progress.done().into());
        answer.extend(reencrypt::members(&done));
        let text = format!("{}\n{}", moved_text(&migration), reencrypt::text(&done));
        Ok((answer.into(), text, reencrypt::exit(&done)))
    }

    /// Whether this begins a move, and does not go on with one: said again, it must make no further key version.
    async fn begins(&self, target: Target, tenant: &Tenant, now: SystemTime) -> Result<bool, Failure> {
        let binding = tenant.key_binding(now).await?;
        let is_there =
            binding.provider == target.name() && (target == Target::Internal || binding.key_ids == self.key_id);
        Ok(binding.migration.is_none() && !is_there)
    }
}

fn moved(tenant: &Tenant, migration: &Migration, took_ms: u64) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("tenant".into(), tenant.id().into());
    answer.insert("provider".into(), migration.provider.as_str().into());
    answer.insert("state".into(), migration.state.name().into());
    answer.insert("versions_rewrapped".into(), migration.versions_rewrapped.into());
    answer.insert("kms_calls".into(), migration.kms_calls.into());
    answer.insert("records_rewritten".into(), 0.into());
    answer.insert("took_ms".into(), took_ms.into());
    answer
}

fn moved_text(migration: &Migration) -> String {
    let (versions, calls) = (migration.versions_rewrapped, migration.kms_calls);
    let head = format!(
        "under `{}`: {versions} versions wrapped again by {calls} KMS calls, no record rewritten",
        migration.provider
    );
    match migration.keep_old_until {
        Some(until) => format!("{head}; the way back is open until {}", moment::rfc3339(until)),
        None => head,
    }
}

async fn shown(tenant: &Tenant, session: &Session<'_>, now: SystemTime) -> Result<(Value, String, Exit), Failure> {
    let keys = tenant.describe_keys(now).await?;
    warn(&keys, session);
    let ids: Vec<&str> = keys.key_ids.iter().map(KeyId::as_str).collect();
    let answer = json!({
        "tenant": keys.tenant.as_str(), "state": keys.state.name(),
        "by": keys.by.iter().map(|by| by.name()).collect::<Vec<_>>(),
        "provider": keys.provider, "key_ids": ids, "migration": keys.migration.as_ref().map(migration_object),
    });
    let moving = keys.migration.as_ref().map_or_else(
        || "none".to_owned(),
        |moving| {
            format!(
                "to `{}`, {}: {} of {} versions",
                moving.provider,
                moving.state.name(),
                moving.versions_rewrapped,
                moving.versions
            )
        },
    );
    let text = facts([
        ("tenant", keys.tenant.to_string()),
        ("state", keys.state.name().to_owned()),
        ("provider", keys.provider.clone()),
        ("KMS keys", ids.join(", ")),
        ("migration", moving),
    ]);
    Ok((answer, text, Exit::Yes))
}

/// `qsec rewrap`.
pub(crate) async fn rewrap(rewrap: Rewrap, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let deployment = home::open(session.global).await?;
    let outcome = rewrapped(&deployment, &rewrap, now).await;
    let done = home::close(deployment, outcome, now).await?;
    let answer = json!({
        "tenant": rewrap.tenant, "versions_rewrapped": done.versions_rewrapped, "kms_calls": done.kms_calls,
        "records_rewritten": 0, "state": "done",
    });
    session.output.answer(&answer, |_| {
        let (versions, calls) = (done.versions_rewrapped, done.kms_calls);
        format!("{versions} versions wrapped again by {calls} KMS calls, no record rewritten")
    })?;
    Ok(Exit::Yes)
}

async fn rewrapped(deployment: &Deployment, rewrap: &Rewrap, now: SystemTime) -> Result<qsec::crypto::Rewrap, Failure> {
    let tenant = deployment.tenant(&rewrap.tenant).await?;
    rewrap.access.reach(deployment, &tenant, now).await?;
    Ok(tenant.rewrap_keys(&rewrap.add_key_id, &rewrap.remove_key_id, &operator(), now).await?)
}
