//! `qsec tenant`

use clap::{Args, Subcommand};
use qsec::{Deployment, NewTenant, TenantRecord};
use serde_json::{Map, Value, json};

use super::{Session, operator};
use crate::failure::Failure;
use crate::output::{facts, table};
use crate::{Exit, home, moment};

/// Verbs on tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Make a tenant: active when it answers, with its first key version and token signing keys
    #[command(after_help = "Example: qsec tenant create acme --name \"Acme Ltd\"")]
    Create(Create),
    /// Show one tenant
    #[command(after_help = "Example: qsec tenant show acme")]
    Show(Named),
    /// Show all tenants
    #[command(after_help = "Example: qsec tenant list --state active")]
    List {
        /// Only those in this state
        #[arg(long)]
        state: Option<String>,
        /// Purged ones too
        #[arg(long)]
        all: bool,
    },
    /// Close a tenant to its users; its administrators stay
    #[command(after_help = "Example: qsec tenant disable-users acme")]
    DisableUsers(Named),
    /// Open it to its users again
    #[command(after_help = "Example: qsec tenant enable-users acme")]
    EnableUsers(Named),
    /// Switch a tenant off; it may be purged after the given days
    #[command(after_help = "Example: qsec tenant deactivate acme --days 30 --confirm \"Acme Ltd\"")]
    Deactivate(Deactivate),
    /// Switch a deactivated tenant on again
    #[command(after_help = "Example: qsec tenant reactivate acme")]
    Reactivate(Named),
    /// Forbid its deactivation
    #[command(after_help = "Example: qsec tenant protect acme")]
    Protect(Named),
    /// Allow it again
    #[command(after_help = "Example: qsec tenant unprotect acme")]
    Unprotect(Named),
}

/// A tenant by its id.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The tenant's id
    id: String,
    /// Only if the tenant is still at this version
    #[arg(long, value_name = "V")]
    if_version: Option<u64>,
}

/// `tenant create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The id: 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit
    id: String,
    /// The name for people (default: the id)
    #[arg(long)]
    name: Option<String>,
    /// The region (default: the deployment's)
    #[arg(long)]
    region: Option<String>,
    /// The issuer of its tokens (default: https://DEPLOYMENT/ID)
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

/// `tenant deactivate`.
#[derive(Debug, Args)]
pub(crate) struct Deactivate {
    #[command(flatten)]
    named: Named,
    /// Days until it may be purged
    #[arg(long, default_value_t = qsec::lifecycle::DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(10..=90))]
    days: u32,
    /// The tenant's name, typed in
    #[arg(long, value_name = "NAME")]
    confirm: String,
}

pub(crate) async fn run(verb: Tenant, session: &Session<'_>) -> Result<Exit, Failure> {
    let reads = matches!(verb, Tenant::Show(_) | Tenant::List { .. });
    let now = if reads { moment::checking(session.global.now) } else { moment::changing(session.global.now)? };
    let deployment = home::open(session.global).await?;
    let outcome = answer(&deployment, verb, session, now).await;
    home::close(deployment, outcome, now).await
}

async fn answer(
    deployment: &Deployment,
    verb: Tenant,
    session: &Session<'_>,
    now: std::time::SystemTime,
) -> Result<Exit, Failure> {
    let actor = operator();
    let record = match verb {
        Tenant::List { state, all } => return list(deployment, state.as_deref(), all, session).await,
        Tenant::Create(create) => deployment.create_tenant(&create.tenant(), &actor, now).await?.record(),
        Tenant::Show(named) => deployment.tenant_record(&named.id).await?,
        Tenant::DisableUsers(named) => deployment.disable_users(named.check(deployment).await?, &actor, now).await?,
        Tenant::EnableUsers(named) => deployment.enable_users(named.check(deployment).await?, &actor, now).await?,
        Tenant::Reactivate(named) => deployment.reactivate(named.check(deployment).await?, &actor, now).await?,
        Tenant::Protect(named) => deployment.protect(named.check(deployment).await?, &actor, now).await?,
        Tenant::Unprotect(named) => deployment.unprotect(named.check(deployment).await?, &actor, now).await?,
        Tenant::Deactivate(Deactivate { named, days, confirm }) => {
            let id = named.check(deployment).await?;
            deployment.deactivate(id, days, &confirm, &actor, now).await?
        }
    };
    session.output.answer(&json!({"tenant": object(&record)}), |_| text(&record));
    Ok(Exit::Yes)
}

async fn list(deployment: &Deployment, state: Option<&str>, all: bool, session: &Session<'_>) -> Result<Exit, Failure> {
    let records = deployment.tenants().await?;
    let shown: Vec<_> = records
        .iter()
        .filter(|record| all || record.state() != qsec::TenantState::Purged)
        .filter(|record| state.is_none_or(|state| record.state().as_str() == state))
        .collect();
    let answer = json!({"tenants": shown.iter().map(|record| object(record)).collect::<Vec<_>>()});
    session.output.answer(&answer, |_| {
        let row = |record: &&TenantRecord| {
            vec![
                record.id().to_owned(),
                record.name().to_owned(),
                record.state().as_str().to_owned(),
                record.region().to_owned(),
            ]
        };
        table(["ID", "NAME", "STATE", "REGION"], shown.iter().map(row))
    });
    Ok(Exit::Yes)
}

impl Create {
    fn tenant(self) -> NewTenant {
        let mut new = NewTenant::new(self.id);
        if let Some(name) = self.name {
            new = new.name(name);
        }
        if let Some(region) = self.region {
            new = new.region(region);
        }
        if let Some(issuer) = self.issuer {
            new = new.issuer(issuer);
        }
        new
    }
}

impl Named {
    /// The id, if the tenant is at the version that was asked for.
    async fn check(&self, deployment: &Deployment) -> Result<&str, Failure> {
        if let Some(wanted) = self.if_version {
            let version = deployment.tenant_record(&self.id).await?.version();
            if version != wanted {
                let id = self.id.clone();
                return Err(qsec::LifecycleError::Changed { id, version }.into());
            }
        }
        Ok(&self.id)
    }
}

fn object(record: &TenantRecord) -> Value {
    let mut object = Map::new();
    object.insert("id".into(), record.id().into());
    object.insert("name".into(), record.name().into());
    object.insert("state".into(), record.state().as_str().into());
    object.insert("version".into(), record.version().into());
    object.insert("region".into(), record.region().into());
    object.insert("issuer".into(), record.issuer().into());
    let flags = json!({
        "legal_hold": [], "deactivation_protected": record.is_deactivation_protected(),
        "key_available": record.is_key_available(), "export_gate": false,
    });
    object.insert("flags".into(), flags);
    if let Some((at, days, purge_at)) = record.deactivation() {
        object.insert("deactivated_at".into(), moment::rfc3339(at).into());
        object.insert("days".into(), days.into());
        object.insert("purge_at".into(), moment::rfc3339(purge_at).into());
    }
    Value::Object(object)
}

fn text(record: &TenantRecord) -> String {
    let mut rows = vec![
        ("id", record.id().to_owned()),
        ("name", record.name().to_owned()),
        ("state", record.state().as_str().to_owned()),
        ("version", record.version().to_string()),
        ("region", record.region().to_owned()),
        ("issuer", record.issuer().to_owned()),
    ];
    if record.is_deactivation_protected() {
        rows.push(("protected", "against deactivation".to_owned()));
    }
    if let Some((at, days, purge_at)) = record.deactivation() {
        rows.push(("deactivated", format!("{} for {days} days", moment::rfc3339(at))));
        rows.push(("purge due", moment::rfc3339(purge_at)));
    }
    facts(rows)
}
