//! Least privilege: what somebody may see, who may do something, and which grants nobody needed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qsec_audit::{Actor, Entry, ReadLogError, catalogue};
use qsec_authz::visibility::Visibility;
use qsec_authz::{Action, Allowed, Period, Policy, PolicyStore, Request, ResourceRef, Subject, Unused, Use, WhoMay};
use qsec_identity::Principal;
use qsec_store::{SettingRow, SettingStore, Store};

use super::access::{actor, subject_id};
use super::policies::policy_changed;
use super::{Tenant, setting};
use crate::error::Error;

/// Whether what was allowed is recorded, as the store has it.
const RECORD_USES: &str = "record-uses";

/// Since when what was allowed is recorded, in microseconds of the Unix time, as the log writes it; 0 if it is not.
#[derive(Debug, Default)]
pub(super) struct Uses(AtomicU64);

impl Uses {
    /// What the store says; anything but a number is no.
    pub(super) async fn load(&self, store: &Store, tenant: &str) -> Result<(), Error> {
        let row = SettingStore::get(store, &setting(tenant, RECORD_USES)).await?;
        let since = row.and_then(|row| String::from_utf8(row.body).ok()?.parse().ok());
        self.0.store(since.unwrap_or(0), Ordering::Release);
        Ok(())
    }

    fn since(&self) -> Option<SystemTime> {
        let micros = self.0.load(Ordering::Acquire);
        if micros == 0 { None } else { UNIX_EPOCH.checked_add(Duration::from_micros(micros)) }
    }
}

impl Tenant {
    /// Which resources a caller may do something to: all, none, or those of which a predicate holds. Of one type, or of
    /// every type.
    ///
    /// The predicate is as old as the policy that made it: keep it no longer than a decision. What is read through it is no
    /// use that [`Tenant::unused_grants`] sees.
    ///
    /// # Errors
    /// As [`Tenant::decide`], apart from [`Error::Denied`]: who may see nothing sees none.
    pub fn visibility(
        &self,
        who: &Principal,
        action: Action,
        resource_type: Option<&str>,
        now: SystemTime,
    ) -> Result<Visibility, Error> {
        let record = self.pass_here("decide", now)?;
        let subject = self.vouch(&record, who, action, now)?;
        let request = Request::new(self.id(), &subject, action, ResourceRef::Any(resource_type.map(Into::into)));
        Ok(self.room.policy.snapshot().visibility(&request))
    }

    /// Who may do something to a resource, by the policy as it is stored: for those who administer the tenant, and are
    /// asked whether they may know.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active, [`Error::Policy`] and [`Error::Store`] if the policy cannot be read.
    pub async fn who_may(
        &self,
        action: Action,
        resource: impl Into<ResourceRef>,
        now: SystemTime,
    ) -> Result<WhoMay, Error> {
        let request = Request::new(self.id(), &Subject::anonymous(), action, resource);
        self.pass("policy", now).await?;
        Ok(WhoMay::of(&self.stored_policy().await?, &request)?)
    }

    /// Whether each decision that allows something is recorded, as `decision.allowed`: what [`Tenant::unused_grants`] is
    /// made of. It is not, until this says so, unless it was a change of the policy; the choice is stored.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active; [`Error::Record`] and [`Error::Store`] change nothing.
    pub async fn record_uses(&self, on: bool, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let record = self.pass("policy", now).await?;
        let _alone = self.room.changes.lock().await;
        if self.room.uses.since().is_some() == on {
            return Ok(());
        }
        let (store, name) = (&self.deployment.inner.store, setting(self.id(), RECORD_USES));
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let since = if on { u64::try_from(since).unwrap_or(u64::MAX) } else { 0 };
        let changed = if on { "record_uses_on" } else { "record_uses_off" };
        let event = policy_changed(&record, &[changed]).by(actor.clone()).subject(format!("tenant/{}", self.id()));
        let effect = async {
            let stored = SettingStore::get(store, &name).await?.map_or(0, |row| row.generation);
            let row = SettingRow { name, generation: stored.saturating_add(1), body: since.to_string().into_bytes() };
            SettingStore::write(store, &row).await?;
            self.room.uses.0.store(since, Ordering::Release);
            Ok(())
        };
        self.carry_out(event, now, effect).await
    }

    /// The grants of the tenant that nothing in a period needed, by the audit log: what was decided while
    /// [`Tenant::record_uses`] was on, and changes of the policy.
    ///
    /// The period begins with the recording if that is later, and ends now at the latest; the answer says how long it was,
    /// and how many uses were not kept. Whoever was let in by [`Tenant::visibility`] alone, or by a process that was killed
    /// within the last moments, left no use.
    ///
    /// # Errors
    /// [`Error::UsesNotRecorded`] if it is off; [`Error::ReadLog`] and [`Error::Log`] if the log cannot be read.
    pub async fn unused_grants(&self, from: SystemTime, to: SystemTime, now: SystemTime) -> Result<Unused, Error> {
        self.pass("policy", now).await?;
        let since = self.room.uses.since().ok_or(Error::UsesNotRecorded)?;
        let (from, to) = (from.max(since), to.min(now));
        let (policy, tree, id) = (self.stored_policy().await?, self.tree(), self.id().to_owned());
        self.with_log(now, move |log| {
            log.flush(now)?;
            let lost = log.tail(&tree, 0).map(|entry| Ok(Leaf::read(&entry?).lost(from, to)));
            let lost = lost.sum::<Result<u64, ReadLogError>>()?;
            let mut failed = None;
            let entries = log.tail(&tree, 0).map_while(|entry| entry.map_err(|error| failed = Some(error)).ok());
            let uses = entries.filter_map(|entry| Leaf::read(&entry).into_use());
            let unused = Unused::of(&policy, &id, Period::new(from, to).dropped(lost), uses);
            failed.map_or(Ok(unused), |error| Err(error.into()))
        })
        .await
    }

    /// What was allowed, if that is recorded.
    pub(super) fn note_use(&self, allowed: &Allowed, now: SystemTime) -> Result<(), Error> {
        if self.room.uses.since().is_none() {
            return Ok(());
        }
        let event = catalogue::DecisionAllowed::new()
            .action(allowed.action().as_str())
            .policy(allowed.policy_version().to_string())
            .because(allowed.by())
            .by(actor(allowed.subject()));
        let Some(resource) = allowed.resource_id() else { return self.note(event, now) };
        self.note(event.subject(format!("resource/{resource}")).data("resource", resource), now)
    }

    async fn stored_policy(&self) -> Result<Policy, Error> {
        let stored = PolicyStore::load(&self.deployment.inner.store, self.id()).await?;
        Ok(Policy::from_stored(self.id(), &stored)?)
    }
}

/// An event of the tenant's tree, read back. What cannot be read is nothing: the log says itself what it lacks.
struct Leaf(serde_json::Value);

impl Leaf {
    fn read(entry: &Entry) -> Self {
        Self(serde_json::from_str(entry.text()).unwrap_or_default())
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str()
    }

    fn time(&self, pointer: &str) -> Option<SystemTime> {
        self.text(pointer)?.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
    }

    fn because(&self) -> Option<&Vec<serde_json::Value>> {
        self.0.pointer("/data/because")?.as_array().filter(|_| self.text("/outcome") == Some("success"))
    }

    /// A decision, or a change of the policy, which is decided as well.
    fn into_use(self) -> Option<Use> {
        let by = self.because()?.iter().filter_map(serde_json::Value::as_str);
        let user = subject_id(self.text("/actortype")?, self.text("/actorid").unwrap_or_default());
        // A change of the policy is no action on one of its resources.
        let action = self.text("/data/action").and_then(Action::parse);
        let resource = action.and_then(|_| self.text("/data/resource")).unwrap_or_default();
        Some(Use::new(self.time("/time")?, user, action.unwrap_or(Action::Update), resource, by))
    }

    /// How many uses of the period are not in the log, or not whole.
    fn lost(&self, from: SystemTime, to: SystemTime) -> u64 {
        let within = |begin: Option<SystemTime>, end: Option<SystemTime>| {
            begin.is_none_or(|begin| begin < to) && end.is_none_or(|end| end >= from)
        };
        if self.text("/type") == Some("audit.events.dropped") {
            let count = self.0.pointer("/data/counts/decision.allowed").and_then(serde_json::Value::as_u64);
            return count.filter(|_| within(self.time("/data/from"), self.time("/data/to"))).unwrap_or(0);
        }
        let is_cut = self.because().is_some() && self.0.pointer("/data/cut").is_some();
        u64::from(is_cut && within(self.time("/time"), self.time("/time")))
    }
}
