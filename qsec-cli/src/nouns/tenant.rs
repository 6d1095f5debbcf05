//! `qsec tenant`

mod policy;

use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use qsec::crypto::TenantKeyState;
use qsec::tenant_policy::OUTSIDE_CUSTOMER_KEY;
use qsec::{Deployment, NewTenant, TenantRecord, TenantState};
use serde_json::{Value, json};

use self::policy::PolicyOf;
use super::{Session, operator};
use crate::failure::Failure;
use crate::output::{facts, table};
use crate::{Exit, home, moment};

/// Verbs on tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Make a tenant: active when it answers, with its first key version and token signing keys
    #[command(after_help = "Example:\n  qsec tenant create acme --name \"Acme Ltd\"")]
    Create(Create),
    /// Show one tenant
    #[command(after_help = "Example:\n  qsec tenant show acme")]
    Show(Shows),
    /// Show all tenants
    #[command(after_help = "Example:\n  qsec tenant list --state active")]
    List {
        /// Only those in this state
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        /// Purged ones too
        #[arg(long)]
        all: bool,
    },
    /// Close a tenant to its users; its administrators stay
    #[command(after_help = "Example:\n  qsec tenant disable-users acme")]
    DisableUsers(Named),
    /// Open it to its users again
    #[command(after_help = "Example:\n  qsec tenant enable-users acme")]
    EnableUsers(Named),
    /// Switch a tenant off; it may be purged after the given days
    #[command(after_help = "Example:\n  qsec tenant deactivate acme --days 30 --confirm \"Acme Ltd\"")]
    Deactivate(Deactivate),
    /// Switch a deactivated tenant on again
    #[command(after_help = "Example:\n  qsec tenant reactivate acme")]
    Reactivate(Named),
    /// Forbid its deactivation
    #[command(after_help = "Example:\n  qsec tenant protect acme")]
    Protect(Named),
    /// Allow it again
    #[command(after_help = "Example:\n  qsec tenant unprotect acme")]
    Unprotect(Named),
    /// Show or set its policies: regions, health data and agreements, optional features, storage
    #[command(after_help = "Example:\n  qsec tenant policy acme --set demands.json")]
    Policy(PolicyOf),
}

/// `tenant show`.
#[derive(Debug, Args)]
pub(crate) struct Shows {
    /// The tenant's id
    id: String,
}

/// A tenant that is to be changed, by its id.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The tenant's id
    id: String,
    /// Only if the tenant is still at this version
    #[arg(long, value_name = "V")]
    if_version: Option<u64>,
}

/// Where a tenant stands.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum State {
    /// Its keys are being made
    Provisioning,
    /// Normal
    Active,
    /// Closed to its users, open to its administrators
    UserAccessDisabled,
    /// Switched off, nothing lost
    Deactivated,
    /// Past the point of no return
    Purging,
    /// Only a key that a KMS still holds is left
    PurgedPendingKms,
    /// A tombstone
    Purged,
}

impl From<State> for TenantState {
    fn from(state: State) -> Self {
        match state {
            State::Provisioning => Self::Provisioning,
            State::Active => Self::Active,
            State::UserAccessDisabled => Self::UserAccessDisabled,
            State::Deactivated => Self::Deactivated,
            State::Purging => Self::Purging,
            State::PurgedPendingKms => Self::PurgedPendingKms,
            State::Purged => Self::Purged,
        }
    }
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
    #[arg(long, value_name = "URL", help = "The issuer of its tokens (default: https://DEPLOYMENT/ID)")]
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
    if let Tenant::Policy(of) = &verb {
        return policy::run(of, session).await;
    }
    let reads = matches!(verb, Tenant::Show(_) | Tenant::List { .. });
    let now = if reads { moment::checking(session.global.now) } else { moment::changing(session.global.now)? };
    let deployment = home::open(session.global).await?;
    if let Tenant::List { state, all } = verb {
        let outcome = list(&deployment, state, all, now).await;
        let shown = home::close(deployment, outcome, now).await?;
        let answer = json!({"tenants": shown.iter().map(Shown::object).collect::<Vec<_>>()});
        session.output.answer(&answer, |_| table(["ID", "NAME", "STATE", "REGION"], shown.iter().map(Shown::row)))?;
        return Ok(Exit::Yes);
    }
    let is_shown = matches!(verb, Tenant::Show(_));
    let outcome = one(&deployment, verb, now).await;
    let shown = home::close(deployment, outcome, now).await?;
    let mut object = shown.object();
    if let (true, Some(members)) = (is_shown, object.as_object_mut()) {
        members.insert("outside_customer_key".to_owned(), json!(OUTSIDE_CUSTOMER_KEY));
    }
    let outside = || facts([("outside a customer's key", OUTSIDE_CUSTOMER_KEY.join(", "))]);
    let text = |_: &Value| if is_shown { format!("{}\n{}", shown.text(), outside()) } else { shown.text() };
    session.output.answer(&json!({"tenant": object}), text)?;
    Ok(Exit::Yes)
}

async fn one(deployment: &Deployment, verb: Tenant, now: SystemTime) -> Result<Shown, Failure> {
    let actor = operator();
    let record = match verb {
        Tenant::Create(create) => deployment.create_tenant(&create.tenant(), &actor, now).await?.record(),
        Tenant::DisableUsers(named) => deployment.disable_users(named.check(deployment).await?, &actor, now).await?,
        Tenant::EnableUsers(named) => deployment.enable_users(named.check(deployment).await?, &actor, now).await?,
        Tenant::Reactivate(named) => deployment.reactivate(named.check(deployment).await?, &actor, now).await?,
        Tenant::Protect(named) => deployment.protect(named.check(deployment).await?, &actor, now).await?,
        Tenant::Unprotect(named) => deployment.unprotect(named.check(deployment).await?, &actor, now).await?,
        Tenant::Deactivate(Deactivate { named, days, confirm }) => {
            let id = named.check(deployment).await?;
            deployment.deactivate(id, days, &confirm, &actor, now).await?
        }
        Tenant::Show(Shows { id }) => deployment.tenant_record(&id).await?,
        Tenant::List { .. } | Tenant::Policy(_) => return Err(Failure::internal("it is answered elsewhere")),
    };
    Shown::of(deployment, record, now).await
}

async fn list(
    deployment: &Deployment,
    state: Option<State>,
    all: bool,
    now: SystemTime,
) -> Result<Vec<Shown>, Failure> {
    let mut shown = Vec::new();
    for record in deployment.tenants().await? {
        let wanted = match state {
            Some(state) => record.state() == state.into(),
            None => all || record.state() != TenantState::Purged,
        };
        if wanted {
            shown.push(Shown::of(deployment, record, now).await?);
        }
    }
    Ok(shown)
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

/// A tenant as answers show it.
struct Shown {
    record: TenantRecord,
    key_available: bool,
}

impl Shown {
    async fn of(deployment: &Deployment, record: TenantRecord, now: SystemTime) -> Result<Self, Failure> {
        let tenant = deployment.tenant_for_operator(record.id()).await?;
        let key_available = match tenant.describe_keys(now).await {
            // Of a KMS that does not answer us it is not known.
            Ok(keys) => keys.state == TenantKeyState::Active && keys.kms.iter().any(|answer| answer.state.is_ok()),
            Err(error) if error.is_retryable() => return Err(error.into()),
            // No key at all, or one that its owner keeps from us.
            Err(_) => false,
        };
        Ok(Self { record, key_available })
    }

    fn object(&self) -> Value {
        let record = &self.record;
        let mut object = json!({
            "id": record.id(), "name": record.name(), "state": record.state().as_str(), "version": record.version(),
            "region": record.region(), "issuer": record.issuer(),
            "flags": {
                "legal_hold": [], "deactivation_protected": record.is_deactivation_protected(),
                "key_available": self.key_available, "export_gate": false,
            },
        });
        if let (Some((at, days, purge_at)), Some(members)) = (record.deactivation(), object.as_object_mut()) {
            members.insert("deactivated_at".to_owned(), moment::rfc3339(at).into());
            members.insert("days".to_owned(), days.into());
            members.insert("purge_at".to_owned(), moment::rfc3339(purge_at).into());
        }
        object
    }

    fn row(&self) -> Vec<String> {
        let record = &self.record;
        [record.id(), record.name(), record.state().as_str(), record.region()].map(ToOwned::to_owned).to_vec()
    }

    fn text(&self) -> String {
        let record = &self.record;
        let mut rows = vec![
            ("id", record.id().to_owned()),
            ("name", record.name().to_owned()),
            ("state", record.state().as_str().to_owned()),
            ("version", record.version().to_string()),
            ("region", record.region().to_owned()),
            ("issuer", record.issuer().to_owned()),
            ("key", if self.key_available { "available" } else { "not available" }.to_owned()),
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
}
