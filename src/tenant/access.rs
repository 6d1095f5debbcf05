//! What a caller may do in the tenant, and which rows and columns are theirs.

use std::time::SystemTime;

use qsec_audit::{Actor, catalogue};
use qsec_authz::section::{CheckedAccess, Identity, ReduceError, Reducible};
use qsec_authz::{Action, Allowed, Decision, Denied, Policy, PolicyChange, PolicyStore, Request, ResourceRef, Subject};
use qsec_identity::{Principal, PrincipalKind};

use super::Tenant;
use super::sign_in::CLIENT_PREFIX;
use crate::error::Error;

impl Tenant {
    /// Replaces the tenant's policy by the tenant of the same id in a policy file.
    ///
    /// # Errors
    /// [`Error::Policy`] points into the file; [`Error::NotFound`] if it has no such tenant. Nothing is changed then.
    pub async fn activate_policy(&self, policy: &Policy, actor: &Actor, now: SystemTime) -> Result<u64, Error> {
        self.pass("policy", now).await?;
        let missing = || Error::NotFound { noun: "policy", id: self.id().to_owned() };
        let entries = policy.tenant(self.id()).ok_or_else(missing)?.entries()?;
        // What does not compile is never stored.
        Policy::from_entries(self.id(), &entries)?.compile()?;
        let store = &self.deployment.inner.store;
        let stored = PolicyStore::load(store, self.id()).await?;
        let removed =
            stored.entries.iter().filter(|old| !entries.iter().any(|new| new.kind == old.kind && new.id == old.id));
        let mut changes: Vec<PolicyChange> =
            removed.map(|old| PolicyChange::Remove { kind: old.kind, id: old.id.clone() }).collect();
        changes.extend(entries.iter().filter(|new| !stored.entries.contains(new)).cloned().map(PolicyChange::Put));
        let event = catalogue::PolicyActivated::new().rules(0).by(actor.clone());
        self.announce(event.subject(format!("policy/{}", self.id())), now).await?;
        let version = PolicyStore::apply(store, self.id(), stored.version, &changes).await?;
        self.load_policy(now).await?;
        Ok(version)
    }

    /// Decides whether a caller may do something here. The yes is a value that only this can make.
    ///
    /// # Errors
    /// [`Error::Denied`] says what was missing; the denial is handed to the log before this returns.
    pub fn decide(
        &self,
        who: &Principal,
        action: Action,
        resource: impl Into<ResourceRef>,
        now: SystemTime,
    ) -> Result<Allowed, Error> {
        self.pass_here("decide", now)?;
        let subject = self.subject(who, now)?;
        let request = Request::new(self.id(), &subject, action, resource);
        match self.deployment.inner.policies.decide(&request) {
            Decision::Allow(allowed) => Ok(allowed),
            Decision::Deny(denied) => Err(self.deny(denied, who, now)),
        }
    }

    /// Reduces data to what section access shows the subject of a decision.
    ///
    /// # Errors
    /// [`Error::Reduce`]: not listed, excluded, or data that does not fit the tables; recorded before this returns.
    pub fn reduce<D: Reducible>(
        &self,
        allowed: &Allowed,
        access: &CheckedAccess,
        data: &D,
        now: SystemTime,
    ) -> Result<D, Error> {
        self.pass_here("reduce", now)?;
        if allowed.tenant() != self.id() {
            return Err(self.other_tenant("decision", now));
        }
        let reduced = access.reduction(self.identity(allowed)).and_then(|reduction| reduction.apply(data));
        let app = allowed.resource_id().unwrap_or_default();
        let actor = allowed.subject().user_id().map_or_else(Actor::anonymous, Actor::user);
        match reduced {
            Ok(reduced) => {
                let event = catalogue::SectionAccessReduced::new().app(app).by(actor).subject(format!("app/{app}"));
                self.note(event, now)?;
                Ok(reduced)
            }
            Err(error) => Err(self.not_reduced(error, app, actor, now)),
        }
    }

    /// Brings the snapshot of this tenant up to the stored version.
    pub(crate) async fn load_policy(&self, _now: SystemTime) -> Result<(), Error> {
        let stored = PolicyStore::load(&self.deployment.inner.store, self.id()).await?;
        self.deployment.inner.policies.merge(&Policy::from_stored(self.id(), &stored)?.compile()?);
        Ok(())
    }

    /// Whether the policy has an entry for a user.
    pub(super) async fn policy_names(&self, user: &str) -> Result<bool, Error> {
        let stored = PolicyStore::load(&self.deployment.inner.store, self.id()).await?;
        Ok(stored.entries.iter().any(|entry| entry.kind == qsec_authz::EntryKind::User && entry.id == user))
    }

    /// A principal is proved; a subject is plain data. This is the only way from the one to the other.
    fn subject(&self, who: &Principal, now: SystemTime) -> Result<Subject, Error> {
        if who.tenant() != Some(self.id()) {
            return Err(self.other_tenant("principal", now));
        }
        let subject = match who.kind() {
            PrincipalKind::User => Subject::user(who.subject()),
            PrincipalKind::Client | PrincipalKind::Gateway | _ => {
                Subject::user(format!("{CLIENT_PREFIX}{}", who.subject()))
            }
        };
        let subject = subject.groups(who.groups());
        // No ceiling and the empty ceiling are opposites: the first is a signed-in browser, the second admits nothing.
        Ok(match who.scopes() {
            Some(scopes) => subject.scopes(scopes),
            None => subject,
        })
    }

    /// Groups of the token and of the policy both count, as they do for roles.
    fn identity(&self, allowed: &Allowed) -> Identity {
        let subject = allowed.subject();
        let groups = self.deployment.inner.policies.load().groups_of(self.id(), subject);
        let identity = Identity::new().groups(groups);
        match subject.user_id() {
            Some(user) => identity.id(user),
            None => identity,
        }
    }

    /// Whoever mixes tenants up has a defect or an intent; the log of the tenant that was asked has it either way.
    fn other_tenant(&self, what: &'static str, now: SystemTime) -> Error {
        let event = catalogue::DecisionDenied::new().by(Actor::system()).denied("tenant_mismatch");
        match self.note(event, now) {
            Ok(()) => Error::OtherTenant { what },
            Err(error) => error,
        }
    }

    fn deny(&self, denied: Denied, who: &Principal, now: SystemTime) -> Error {
        let actor = match who.kind() {
            PrincipalKind::User => Actor::user(who.subject()),
            PrincipalKind::Client | PrincipalKind::Gateway | _ => Actor::client(who.subject()),
        };
        let event = catalogue::DecisionDenied::new()
            .action(denied.action().as_str())
            .missing(denied.missing())
            .by(actor)
            .denied(denied.code().as_str());
        match self.note(event, now) {
            Ok(()) => denied.into(),
            Err(error) => error,
        }
    }

    fn not_reduced(&self, error: ReduceError, app: &str, actor: Actor, now: SystemTime) -> Error {
        let event = catalogue::SectionAccessDenied::new().app(app).cause(error.code()).by(actor);
        match self.note(event.subject(format!("app/{app}")).denied(error.code()), now) {
            Ok(()) => error.into(),
            Err(error) => error,
        }
    }
}
