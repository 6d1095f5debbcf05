//! The tenant's lifecycle: which states there are, who may change them, and what each change does.
//!
//! ```text
//! create ─▶ Provisioning ─▶ Active ◀──enable-users── UserAccessDisabled
//!                             │  └────disable-users──────▲    │
//!                             ▼                               ▼
//!                        Deactivated ◀────────deactivate──────┘
//!                             └──reactivate──▶ Active
//! ```
//! Every transition goes the same way: check its guard, record the event durably, compare-and-set the row. If the compare
//! fails, the caller learns what it lost to, and the event is followed by its failure.
//!
//! A transition that is refused is recorded too, once, with its reason.
//!
//! Tokens and sessions from before a deactivation never come back, and users' from before their access was disabled do
//! not either: the row keeps the second before which nothing that was issued counts.
//!
//! The functions here are pure: a row and `now` in, a row and an event out. [`crate::Deployment`] does the rest.

use std::time::{Duration, SystemTime};

use qsec_audit::{Actor, Event, catalogue};
use qsec_store::TenantRow;
use serde::{Deserialize, Serialize};

use crate::clock::{self, Stamp};
use crate::hex;

/// Fewest days between deactivation and purge.
pub const MIN_DAYS: u32 = 10;
/// Most days between deactivation and purge.
pub const MAX_DAYS: u32 = 90;
/// Days between deactivation and purge where none are given.
pub const DEFAULT_DAYS: u32 = 30;
/// Most bytes of a tenant id: that of a DNS label.
pub const MAX_ID_BYTES: usize = 63;
/// Most bytes of a tenant's name.
pub const MAX_NAME_BYTES: usize = 256;
/// Most bytes of a region's name.
pub const MAX_REGION_BYTES: usize = 64;

/// Where a tenant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TenantState {
    /// The id is reserved, keys are being made; nothing answers.
    Provisioning,
    /// Normal.
    Active,
    /// Members cannot use it; its administrators can.
    UserAccessDisabled,
    /// Nothing runs, nothing is lost.
    Deactivated,
    /// Past the point of no return.
    Purging,
    /// Only a key of ours that a KMS still holds is left.
    PurgedPendingKms,
    /// A tombstone, for ever.
    Purged,
}

impl TenantState {
    /// The name in rows and answers: stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::UserAccessDisabled => "user_access_disabled",
            Self::Deactivated => "deactivated",
            Self::Purging => "purging",
            Self::PurgedPendingKms => "purged_pending_kms",
            Self::Purged => "purged",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Provisioning,
            Self::Active,
            Self::UserAccessDisabled,
            Self::Deactivated,
            Self::Purging,
            Self::PurgedPendingKms,
            Self::Purged,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }

    /// Whether anything but reading its state, its keys and its log may be done.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Active | Self::UserAccessDisabled)
    }
}

/// Why a transition did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// There is no such tenant.
    #[error("there is no tenant `{id}`")]
    NotFound {
        /// The id.
        id: String,
    },
    /// The id was used before; ids are never given twice.
    #[error("the tenant id `{id}` was used before; ids are never given twice")]
    IdUsed {
        /// The id.
        id: String,
    },
    /// The deployment does not run in that region.
    #[error("the region `{region}` is not one of this deployment, which runs in `{known}`")]
    RegionUnknown {
        /// The region that was asked for.
        region: String,
        /// The deployment's.
        known: String,
    },
    /// The tenant is neither active nor open to its administrators. Tell a caller no more than this.
    #[error("the tenant is not active")]
    Inactive,
    /// Not in the table of transitions.
    #[error("a tenant that is `{}` cannot be {verb}", from.as_str())]
    TransitionNotAllowed {
        /// Where it stands.
        from: TenantState,
        /// What was asked.
        verb: &'static str,
    },
    /// Someone else changed it meanwhile.
    #[error("tenant `{id}` was changed meanwhile; it is at version {version}")]
    Changed {
        /// The id.
        id: String,
        /// Its version now.
        version: u64,
    },
    /// It is protected against deactivation.
    #[error("tenant `{id}` is protected against deactivation")]
    DeactivationProtected {
        /// The id.
        id: String,
    },
    /// Taking the protection off and deactivating need two different actors.
    #[error("whoever took the protection off tenant `{id}` may not deactivate it")]
    SameActor {
        /// The id.
        id: String,
    },
    /// The text typed to confirm is another one.
    #[error("the confirmation is not the tenant's name")]
    ConfirmMismatch,
    /// The purge has begun.
    #[error("the purge of tenant `{id}` has begun")]
    PurgeStarted {
        /// The id.
        id: String,
    },
    /// An argument is out of range.
    #[error("{what}")]
    Usage {
        /// Which, and what is allowed.
        what: String,
    },
    /// The row cannot be read.
    #[error("the record of tenant `{id}` is damaged")]
    Damaged {
        /// The id.
        id: String,
    },
}

impl LifecycleError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "tenant_not_found",
            Self::IdUsed { .. } => "id_used",
            Self::RegionUnknown { .. } => "region_unknown",
            Self::Inactive => "tenant_inactive",
            Self::TransitionNotAllowed { .. } => "transition_not_allowed",
            Self::Changed { .. } => "tenant_changed",
            Self::DeactivationProtected { .. } => "deactivation_protected",
            Self::SameActor { .. } => "same_actor",
            Self::ConfirmMismatch => "confirm_mismatch",
            Self::PurgeStarted { .. } => "purge_started",
            Self::Usage { .. } => "usage",
            Self::Damaged { .. } => "internal",
        }
    }
}

/// A tenant to be made.
///
/// ```
/// use qsec::NewTenant;
///
/// let acme = NewTenant::new("acme").name("Acme Ltd");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) issuer: Option<String>,
}

impl NewTenant {
    /// A tenant with that id: `[a-z0-9][a-z0-9-]{0,62}`, checked when it is made.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), name: None, region: None, issuer: None }
    }

    /// Its name for people; the id if none is given. Destructive verbs ask for it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Its region, which must be the deployment's; that one if none is given.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The issuer of its tokens, `https://<deployment>/<id>` if none is given.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }
}

/// What is known of a tenant: the answer of every lifecycle verb.
///
/// ```no_run
/// # async fn show(deployment: qsec::Deployment) -> Result<(), qsec::Error> {
/// let acme = deployment.tenant_record("acme").await?;
/// println!("{} is {}", acme.name(), acme.state().as_str());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRecord {
    pub(crate) id: String,
    pub(crate) state: TenantState,
    pub(crate) version: u64,
    pub(crate) body: Body,
}

/// What a row holds beside id, state and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) issuer: String,
    pub(crate) created_at: Stamp,
    pub(crate) last_time: Stamp,
    pub(crate) deactivated_at: Option<Stamp>,
    pub(crate) days: Option<u32>,
    pub(crate) purge_at: Option<Stamp>,
    pub(crate) protected: bool,
    pub(crate) unprotected_by: Option<String>,
    /// What was issued before this second does not count any more, whoever's it is.
    #[serde(default)]
    pub(crate) revoked_before: Option<Stamp>,
    /// The same for what was issued to users.
    #[serde(default)]
    pub(crate) users_revoked_before: Option<Stamp>,
}

impl TenantRecord {
    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        &self.body.name
    }

    /// Where it stands.
    pub fn state(&self) -> TenantState {
        self.state
    }

    /// One more with each transition.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.body.region
    }

    /// The issuer of its tokens.
    pub fn issuer(&self) -> &str {
        &self.body.issuer
    }

    /// Whether deactivation is refused.
    pub fn is_deactivation_protected(&self) -> bool {
        self.body.protected
    }

    /// When it was deactivated, for how many days, and when the purge is due.
    pub fn deactivation(&self) -> Option<(SystemTime, u32, SystemTime)> {
        Some((self.body.deactivated_at?.time(), self.body.days?, self.body.purge_at?.time()))
    }

    /// The second before which no token of the tenant counts.
    pub(crate) fn revoked_before(&self) -> Option<SystemTime> {
        self.body.revoked_before.map(Stamp::time)
    }

    /// The same for users' sessions and tokens.
    pub(crate) fn users_revoked_before(&self) -> Option<SystemTime> {
        self.body.users_revoked_before.max(self.body.revoked_before).map(Stamp::time)
    }

    /// Whether only administrators, clients and operators are let in.
    pub(crate) fn is_closed_to_members(&self) -> bool {
        self.state == TenantState::UserAccessDisabled
    }

    pub(crate) fn provisioning(
        new: &NewTenant,
        defaults: &Defaults<'_>,
        now: SystemTime,
    ) -> Result<Self, LifecycleError> {
        check_id(&new.id)?;
        let name = new.name.clone().unwrap_or_else(|| new.id.clone());
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(usage(format!("a tenant's name has 1 to {MAX_NAME_BYTES} bytes and no control characters")));
        }
        let region = new.region.clone().unwrap_or_else(|| defaults.region.to_owned());
        if region != defaults.region {
            return Err(LifecycleError::RegionUnknown { region, known: defaults.region.to_owned() });
        }
        let issuer = new.issuer.clone().unwrap_or_else(|| format!("https://{}/{}", defaults.deployment, new.id));
        qsec_identity::Issuer::new(&issuer)
            .map_err(|_| usage("an issuer has 1 to 2048 bytes and no control characters".to_owned()))?;
        let at = Stamp::from(now);
        Ok(Self {
            id: new.id.clone(),
            state: TenantState::Provisioning,
            version: 1,
            body: Body {
                name,
                region,
                issuer,
                created_at: at,
                last_time: at,
                deactivated_at: None,
                days: None,
                purge_at: None,
                protected: false,
                unprotected_by: None,
                revoked_before: None,
                users_revoked_before: None,
            },
        })
    }

    pub(crate) fn from_row(row: &TenantRow) -> Result<Self, LifecycleError> {
        let damaged = || LifecycleError::Damaged { id: row.id.clone() };
        let state = TenantState::parse(&row.state).ok_or_else(damaged)?;
        let body = serde_json::from_slice(&row.body).map_err(|_| damaged())?;
        Ok(Self { id: row.id.clone(), state, version: row.version, body })
    }

    pub(crate) fn to_row(&self) -> Result<TenantRow, LifecycleError> {
        let body = serde_json::to_vec(&self.body).map_err(|_| LifecycleError::Damaged { id: self.id.clone() })?;
        Ok(TenantRow { id: self.id.clone(), version: self.version, state: self.state.as_str().to_owned(), body })
    }

    /// The tenant after a verb, and the event that must be durable before. Pure: this is the table of transitions.
    pub(crate) fn after(&self, verb: &Verb, actor: &Actor, now: SystemTime) -> Result<(Self, Event), LifecycleError> {
        // The row's time never goes back, so a clock that does cannot bring a purge nearer or undo an order of events.
        let now = now.max(self.body.last_time.time());
        let mut next = self.clone();
        next.version = self.version.checked_add(1).ok_or_else(|| LifecycleError::Damaged { id: self.id.clone() })?;
        next.body.last_time = Stamp::from(now);
        next.state = verb.target(self.state)?;
        match verb {
            Verb::Deactivate { days } => self.deactivate(&mut next, *days, actor, now)?,
            Verb::Reactivate => {
                (next.body.deactivated_at, next.body.days, next.body.purge_at) = (None, None, None);
                next.body.revoked_before = Some(second_after(now));
            }
            Verb::EnableUsers => next.body.users_revoked_before = Some(second_after(now)),
            Verb::Protect => (next.body.protected, next.body.unprotected_by) = (true, None),
            // Who finds it off already did not take it off: the one who did stays barred.
            Verb::Unprotect if !self.body.protected => {}
            Verb::Unprotect => {
                next.body.protected = false;
                next.body.unprotected_by = Some(actor_name(actor));
            }
            Verb::Activate | Verb::DisableUsers => {}
        }
        let event = verb.event(self, &next, actor);
        Ok((next, event))
    }

    /// The event of the first transition: from nothing to here, the id reserved.
    pub(crate) fn reservation(&self, actor: &Actor) -> Event {
        let event = catalogue::TenantCreated::new()
            .to(self.state.as_str())
            .version(i64::try_from(self.version).unwrap_or(i64::MAX))
            .region(self.region())
            .name_digest(hex::sha256(self.name().as_bytes()));
        event.by(actor.clone()).subject(format!("tenant/{}", self.id))
    }

    /// The event of a transition that was refused: from here to here.
    pub(crate) fn refusal(&self, verb: &Verb, actor: &Actor, why: &LifecycleError) -> Event {
        verb.event(self, self, actor).denied(why.code())
    }

    fn deactivate(&self, next: &mut Self, days: u32, actor: &Actor, now: SystemTime) -> Result<(), LifecycleError> {
        if !(MIN_DAYS..=MAX_DAYS).contains(&days) {
            return Err(usage(format!("a tenant is deactivated for {MIN_DAYS} to {MAX_DAYS} days, not for {days}")));
        }
        if self.body.purge_at.is_some_and(|due| due.time() <= now) {
            // What is due is purged or reactivated; putting it off once more would be neither.
            return Err(LifecycleError::TransitionNotAllowed { from: self.state, verb: "deactivated anew once due" });
        }
        if self.body.protected {
            return Err(LifecycleError::DeactivationProtected { id: self.id.clone() });
        }
        if self.body.unprotected_by.as_ref().is_some_and(|by| *by == actor_name(actor)) {
            return Err(LifecycleError::SameActor { id: self.id.clone() });
        }
        let due = now.checked_add(Duration::from_secs(u64::from(days) * clock::DAY_SECONDS));
        next.body.deactivated_at = Some(self.body.deactivated_at.unwrap_or(Stamp::from(now)));
        next.body.days = Some(days);
        next.body.purge_at = Some(Stamp::from(due.ok_or_else(|| usage("the clock is beyond all dates".to_owned()))?));
        Ok(())
    }
}

/// What the deployment supplies where a new tenant says nothing.
#[derive(Debug)]
pub(crate) struct Defaults<'a> {
    pub(crate) deployment: &'a str,
    pub(crate) region: &'a str,
}

/// The verbs of the lifecycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    Activate,
    DisableUsers,
    EnableUsers,
    Deactivate { days: u32 },
    Reactivate,
    Protect,
    Unprotect,
}

impl Verb {
    /// The state that the verb leads to from another one; what is not here is refused.
    fn target(&self, from: TenantState) -> Result<TenantState, LifecycleError> {
        use TenantState as S;
        match (self, from) {
            (Self::Activate, S::Provisioning)
            | (Self::EnableUsers, S::UserAccessDisabled)
            | (Self::Reactivate, S::Deactivated) => Ok(S::Active),
            (Self::DisableUsers, S::Active) => Ok(S::UserAccessDisabled),
            (Self::Deactivate { .. }, S::Active | S::UserAccessDisabled | S::Deactivated) => Ok(S::Deactivated),
            (Self::Protect | Self::Unprotect, S::Active | S::UserAccessDisabled) => Ok(from),
            (_, from) => Err(LifecycleError::TransitionNotAllowed { from, verb: self.participle() }),
        }
    }

    fn participle(&self) -> &'static str {
        match self {
            Self::Activate => "activated",
            Self::DisableUsers => "closed to its users",
            Self::EnableUsers => "opened to its users",
            Self::Deactivate { .. } => "deactivated",
            Self::Reactivate => "reactivated",
            Self::Protect => "protected",
            Self::Unprotect => "unprotected",
        }
    }

    fn event(&self, from: &TenantRecord, to: &TenantRecord, actor: &Actor) -> Event {
        let version = i64::try_from(to.version).unwrap_or(i64::MAX);
        /// Every lifecycle event says from where, to where, and at which version.
        macro_rules! moved {
            ($event:ident) => {
                catalogue::$event::new().from(from.state.as_str()).to(to.state.as_str()).version(version)
            };
        }
        let actor = actor.clone();
        let event = match self {
            Self::Activate => {
                let name = hex::sha256(to.body.name.as_bytes());
                moved!(TenantCreated).region(to.body.region.as_str()).name_digest(name).by(actor)
            }
            Self::DisableUsers => moved!(TenantUserAccessDisabled).by(actor),
            Self::EnableUsers => moved!(TenantUserAccessEnabled).by(actor),
            Self::Deactivate { days } => {
                let days = i64::from(*days);
                match (from.body.purge_at, to.body.purge_at) {
                    (None, None) => moved!(TenantDeactivated).days(days).by(actor),
                    (None, Some(due)) => moved!(TenantDeactivated).days(days).purge_at(due.time()).by(actor),
                    (Some(previous), due) => {
                        let event = moved!(TenantPurgeRescheduled).days(days).previous(previous.time());
                        due.into_iter().fold(event, |event, due| event.purge_at(due.time())).by(actor)
                    }
                }
            }
            Self::Reactivate => moved!(TenantReactivated).by(actor),
            Self::Protect => moved!(TenantProtectionEnabled).by(actor),
            Self::Unprotect => moved!(TenantProtectionDisabled).by(actor),
        };
        event.subject(format!("tenant/{}", from.id))
    }
}

/// Tokens count whole seconds: what was issued within the second of the change was issued before it.
fn second_after(now: SystemTime) -> Stamp {
    Stamp::from(now).whole_seconds().after(Duration::from_secs(1))
}

/// Who an actor is, for the rule that two of them are needed: an id is the same one in every capacity.
fn actor_name(actor: &Actor) -> String {
    actor.id().unwrap_or_else(|| actor.kind().as_str()).to_owned()
}

pub(crate) fn check_region(region: &str) -> Result<(), LifecycleError> {
    if region.is_empty() || region.len() > MAX_REGION_BYTES || region.chars().any(char::is_control) {
        return Err(usage(format!("a region has 1 to {MAX_REGION_BYTES} bytes and no control characters")));
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), LifecycleError> {
    let mut bytes = id.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if first && rest && id.len() <= MAX_ID_BYTES {
        return Ok(());
    }
    Err(usage("a tenant id has 1 to 63 of `a-z`, `0-9` and `-`, and begins with a letter or digit".to_owned()))
}

fn usage(what: String) -> LifecycleError {
    LifecycleError::Usage { what }
}

#[cfg(test)]
mod properties;
