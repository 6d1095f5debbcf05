//! Changing a policy: who may, and how much.
//!
//! A change is *planned* on the policy as it is stored, which decides it and stores nothing; the plan's event is recorded; the plan
//! is *committed* if nobody else changed the policy meanwhile. One change is one new version, one new snapshot and one event.
//!
//! Two questions are asked, both of the snapshot of the version that is changed:
//!
//! 1. **May the actor make this change?** Each is an action on the `User`, `Group`, `Role`, `Space`, `SystemRule`, `Tenant` or
//!    resource that it changes; [`Edit`] says which. Denied by default, with scopes and capabilities, as every decision. A rule is
//!    asked about as a `SystemRule` with the attributes `category` (`Security`) and `resourceFilter_text`; in a tenant of the cloud
//!    model, where no role grants anything on rules, `update` on the `Tenant` will do.
//! 2. **Does it give anybody more than the actor holds?** See below.
//!
//! A plan reads the policy with the change once more as a whole, so that what is stored can always be read: it takes as long as
//! reading the tenant does. Compiled is only what changed ([`crate::Snapshot::with`]).
//!
//! # Nobody grants more than they hold
//!
//! The tenant before and after are compared entry by entry, whatever the change was called. What is new must be held:
//!
//! | new | held by |
//! |---|---|
//! | a tenant role, a permission of a custom role or of everybody's default | who is granted each of its cells (type, place, own or any, action), at least at its level, by tenant roles and permissions |
//! | a role that is a capability; a permission to export | who has that role or permission itself |
//! | an administrator role | who has an administrator role, and its cells |
//! | a role in a space, being its owner | who is granted each of its cells in that space, by roles there or in the tenant |
//! | a membership of a group | who holds all roles and memberships that the group has |
//! | a rule, a wider rule, a persona | who may each of its actions by a rule with a wider filter and context, whose condition is about the requester alone and true for the actor |
//! | what rules read of a user: groups, role names, directory, name, attributes, custom properties | who has the same, or holds what the rules grant that it could turn true |
//! | a user that may act again | who holds all that this user has |
//!
//! It is never enough to hold some of it, and what is not seen to be held counts as not held. So it is conservative where a right
//! comes from rules (it does not count towards roles and spaces), where groups of tokens matter (only those of the policy are
//! seen), and for administrators of spaces: they remove members, and add only those whose role grants no more than they have.
//!
//! - **`TenantAdmin` holds everything** in a tenant of the cloud model: it has every action on users, groups and roles. With the
//!   scopes of a token it does so only if `admin_classic` is one of them. Under [`crate::Model::Enterprise`] nobody holds
//!   everything by name; the usual `RootAdmin` does by its rule.
//! - **The restrictive role** is the other way round: only who holds everything takes it away from somebody.
//! - **Losses** can open a rule that waits for them: `!(user.group = "Guests")`, `!resource.HasPrivilege("read")`. Such a rule must
//!   be held too.
//! - **The last active `TenantAdmin`** is never removed, disabled or restricted, by nobody.
//! - **The group of a token** and the entry of a group are two things: a group that the policy lacks can still be read by rules.
//! - **Content is not a role**: who owns an app and in which space it stands is decided by `change_owner` and `change_space`
//!   alone, but nobody makes a change of owner, or of the name of a space, by which they may more than before. Two who act together
//!   can hand content to and fro.

use std::collections::BTreeMap;

use crate::decision::{Decision, Denied, DenyCode};
use crate::policy::{Group, Model, Policy, Tenant, User};
use crate::request::{Context, Request, Subject};
use crate::resource::AttributeValue;
use crate::snapshot::Snapshot;
use crate::store::{EntryKind, PolicyChange, PolicyEntry, PolicyStore, StoreError, StoredPolicy};
use crate::tables::TenantRole;

mod apply;
mod edit;
mod error;
mod event;
mod gain;
mod holdings;
mod question;
mod reaction;

use apply::Touched;
pub use edit::{Edit, Holder, RuleText};
pub use error::ManageError;
pub use event::PolicyEvent;
use gain::Comparison;
use holdings::Holdings;
use question::Question;
pub(crate) use reaction::{Trait, grants_through, presence_matters};

/// Who changes, from where. Plain data, as the [`Subject`] in it.
///
/// ```
/// use qsec_authz::{Actor, Context, Subject};
/// let actor = Actor::new(&Subject::user("ana")).context(Context::Api).environment("ip", "10.0.0.1");
/// # let _ = actor;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    subject: Subject,
    context: Context,
    environment: BTreeMap<String, AttributeValue>,
}

impl Actor {
    /// Somebody at the console of administrators.
    pub fn new(subject: &Subject) -> Self {
        Self { subject: subject.clone(), context: Context::Admin, environment: BTreeMap::new() }
    }

    /// From another context.
    #[must_use]
    pub fn context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// With what rules read as `user.environment`.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    fn ask(&self, tenant: &str, question: Question) -> Request {
        let request = Request::new(tenant, &self.subject, question.action, question.resource).context(self.context);
        let environment = self.environment.iter();
        let request = environment.fold(request, |request, (name, value)| request.environment(name, value.clone()));
        match question.target {
            Some(space) => request.target(space),
            None => request,
        }
    }
}

/// The policy of one tenant as it is stored, and the snapshot made of it: what changes are decided on and made to.
///
/// ```
/// use qsec_authz::{Actor, Edit, Holder, LivePolicy, MemoryStore, Policy, PolicyChange, PolicyStore, Register, Subject};
/// # pollster::block_on(async {
/// # let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["TenantAdmin"]},"ben":{}}}}}"#)?;
/// # let store = MemoryStore::new();
/// # let entries = policy.tenant("acme").unwrap().entries()?;
/// # store.apply("acme", 0, &entries.into_iter().map(PolicyChange::Put).collect::<Vec<_>>()).await?;
/// # let live = LivePolicy::new(policy.compile()?);
/// let register = Register::load(&store, "acme").await?;
/// let edit = Edit::AssignRole { role: "Steward".into(), to: Holder::user("ben") };
/// let plan = register.plan(&Actor::new(&Subject::user("ana")), &edit)?;     // decided, not stored
/// println!("{:?}", plan.event());                                           // recorded
/// let register = plan.commit(&store).await?;                                // stored, or a conflict
/// live.merge(register.snapshot());
/// # assert_eq!(register.version(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Register {
    tenant: String,
    stored: StoredPolicy,
    policy: Policy,
    snapshot: Snapshot,
}

impl Register {
    /// Reads what is stored.
    ///
    /// # Errors
    /// [`ManageError::Store`] if it cannot be read, [`ManageError::Policy`] if it is no policy.
    pub async fn load(store: &dyn PolicyStore, tenant: &str) -> Result<Self, ManageError> {
        Self::from_stored(tenant, store.load(tenant).await?)
    }

    /// The same of what was read already.
    ///
    /// # Errors
    /// [`ManageError::Policy`] if it is no policy.
    pub fn from_stored(tenant: &str, mut stored: StoredPolicy) -> Result<Self, ManageError> {
        stored.entries.sort_by(|left, right| key(left).cmp(&key(right)));
        let policy = Policy::from_stored(tenant, &stored)?;
        let snapshot = policy.compile()?;
        Ok(Self { tenant: tenant.to_owned(), stored, policy, snapshot })
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The version of the policy.
    pub fn version(&self) -> u64 {
        self.stored.version
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What decides.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Decides a change, and makes all that it needs; stores nothing.
    ///
    /// # Errors
    /// [`ManageError::Denied`] and [`ManageError::Exceeds`] if the actor may not, [`ManageError::LastAdministrator`] if nobody may;
    /// [`ManageError::NotFound`], [`ManageError::Exists`], [`ManageError::InUse`], [`ManageError::Refused`],
    /// [`ManageError::Unchanged`] and [`ManageError::Policy`] if there is no such change. Who is not granted the change does not
    /// learn which.
    pub fn plan(&self, actor: &Actor, edit: &Edit) -> Result<Plan, ManageError> {
        let old = self.own_tenant()?;
        let mut by = self.decide(actor, question::asked(edit, old))?;
        let edit = owned(edit, actor);
        let mut new = old.clone();
        let touched = apply::apply(&edit, &mut new)?;
        let changes = self.changes(&new, &touched)?;
        let next = self.after(&changes)?;
        if question::is_update(&edit) {
            by.extend(self.decide(actor, question::asked(&edit, &new))?);
        }
        self.compare(actor, &next, &touched)?;
        by.sort_unstable();
        by.dedup();
        let event = PolicyEvent {
            name: edit.name(),
            tenant: self.tenant.clone(),
            actor: actor.subject.user_id().unwrap_or_default().to_owned(),
            by,
            previous: self.version(),
            version: next.version(),
            subject: event::subject(&edit, &self.tenant),
            data: event::data(&edit),
        };
        Ok(Plan { expected: self.version(), changes, next, event })
    }

    fn own_tenant(&self) -> Result<&Tenant, ManageError> {
        let missing = || ManageError::NotFound { what: format!("tenant `{}`", self.tenant) };
        self.policy.tenant(&self.tenant).ok_or_else(missing)
    }

    /// What grants it.
    fn decide(&self, actor: &Actor, question: Question) -> Result<Vec<String>, ManageError> {
        let or_tenant = question.or_tenant && self.own_tenant()?.model() == Model::Cloud;
        let request = actor.ask(&self.tenant, question);
        if actor.subject.user_id().is_none() {
            // Rules may let anonymous change an app of theirs; a policy is changed by somebody.
            return Err(ManageError::Denied(Box::new(Denied::new(&request, None, DenyCode::NoGrant, None))));
        }
        let denied = match self.snapshot.decide(&request) {
            Decision::Allow(allowed) => return Ok(allowed.by()),
            Decision::Deny(denied) => denied,
        };
        if or_tenant {
            let request = actor.ask(&self.tenant, question::on_tenant(self.own_tenant()?));
            if let Decision::Allow(allowed) = self.snapshot.decide(&request) {
                return Ok(allowed.by());
            }
        }
        Err(ManageError::Denied(Box::new(denied)))
    }

    fn compare(&self, actor: &Actor, next: &Self, touched: &Touched) -> Result<(), ManageError> {
        let (old, new) = (self.own_tenant()?, next.own_tenant()?);
        let Some(compiled) = self.snapshot.tenants.get(self.tenant.as_str()) else {
            return Err(ManageError::NotFound { what: format!("tenant `{}`", self.tenant) });
        };
        let holdings = Holdings::new(old, compiled, actor);
        let comparison = Comparison::new((old, &self.snapshot), (new, &next.snapshot), &holdings);
        let what = comparison.exceeding(touched);
        if !what.is_empty() {
            return Err(ManageError::Exceeds { what });
        }
        let (before, after) = (administrators(old), administrators(new));
        if (before.users > 0 && after.users == 0) || (before.groups > 0 && after.users == 0 && after.groups == 0) {
            return Err(ManageError::LastAdministrator { tenant: self.tenant.clone() });
        }
        Ok(())
    }

    /// The entries that differ, as a store takes them.
    fn changes(&self, new: &Tenant, touched: &Touched) -> Result<Vec<PolicyChange>, ManageError> {
        let mut changes = Vec::new();
        for (kind, name) in touched {
            let id = if *kind == EntryKind::Rule { self.rule_id(name)? } else { name.clone() };
            let old = self.stored.entries.binary_search_by(|entry| key(entry).cmp(&(*kind, &id))).ok();
            let old = old.and_then(|at| self.stored.entries.get(at));
            match new.entry_body(*kind, name) {
                Some(body) if old.is_some_and(|old| old.body == body) => {}
                Some(body) => changes.push(PolicyChange::Put(PolicyEntry { kind: *kind, id, body })),
                None => changes.push(PolicyChange::Remove { kind: *kind, id }),
            }
        }
        // A body may be written otherwise than we write it, and mean the same.
        let same = self.policy.tenant(&self.tenant) == Some(new);
        if same || changes.is_empty() { Err(ManageError::Unchanged) } else { Ok(changes) }
    }

    /// The id under which a rule is stored: its own, or the next.
    fn rule_id(&self, name: &str) -> Result<String, ManageError> {
        let ids = || self.stored.entries.iter().filter(|entry| entry.kind == EntryKind::Rule).map(|entry| &entry.id);
        let place = self.own_tenant()?.rules.iter().position(|rule| rule.name == name);
        if let Some(id) = place.and_then(|place| ids().nth(place)) {
            return Ok(id.clone());
        }
        let last: u64 =
            ids().next_back().map_or(Ok(0), |id| id.parse().map(|id: u64| id.saturating_add(1))).unwrap_or(u64::MAX);
        let id = format!("{last:010}");
        if id.len() == 10 { Ok(id) } else { Err(ManageError::refused("there is no place after the last rule")) }
    }

    /// The policy with the changes, read again as a whole: a policy that cannot be read is never stored.
    fn after(&self, changes: &[PolicyChange]) -> Result<Self, ManageError> {
        let mut entries = self.stored.entries.clone();
        for change in changes {
            let (kind, id) = match change {
                PolicyChange::Put(entry) => (entry.kind, &entry.id),
                PolicyChange::Remove { kind, id } => (*kind, id),
            };
            match (entries.binary_search_by(|entry| key(entry).cmp(&(kind, id))), change) {
                (Ok(at), PolicyChange::Put(entry)) => entries.splice(at..=at, [entry.clone()]).for_each(drop),
                (Err(at), PolicyChange::Put(entry)) => entries.insert(at, entry.clone()),
                (Ok(at), PolicyChange::Remove { .. }) => drop(entries.remove(at)),
                (Err(_), PolicyChange::Remove { .. }) => {}
            }
        }
        let version = self.version().checked_add(1).ok_or_else(|| ManageError::refused("there is no next version"))?;
        let stored = StoredPolicy { version, entries };
        let policy = Policy::from_stored(&self.tenant, &stored)?;
        let snapshot = self.snapshot.with(&self.policy, &policy);
        Ok(Self { tenant: self.tenant.clone(), stored, policy, snapshot })
    }
}

fn key(entry: &PolicyEntry) -> (EntryKind, &String) {
    (entry.kind, &entry.id)
}

/// A resource that is created without an owner is its creator's: so it was decided.
fn owned(edit: &Edit, actor: &Actor) -> Edit {
    match (edit, actor.subject.user_id()) {
        (Edit::CreateResource { id, resource }, Some(user)) if resource.owner.is_none() => {
            Edit::CreateResource { id: id.clone(), resource: resource.clone().owner(user) }
        }
        _ => edit.clone(),
    }
}

/// Who administers a tenant of the cloud model: users of the policy that may act, and groups, whose members tokens may name.
struct Administrators {
    users: usize,
    groups: usize,
}

fn administrators(tenant: &Tenant) -> Administrators {
    let role = TenantRole::TenantAdmin;
    let restrictive = TenantRole::EmbeddedAnalyticsUser;
    let has = |user: &User, role: TenantRole| {
        let groups = user.groups.iter().filter_map(|group| tenant.groups.get(group));
        user.roles.contains(crate::bits::Bit::name(role))
            || groups.into_iter().any(|group| group.roles.contains(crate::bits::Bit::name(role)))
    };
    if tenant.model() == Model::Enterprise {
        return Administrators { users: 0, groups: 0 };
    }
    let acts = |user: &&User| !user.disabled && has(user, role) && !has(user, restrictive);
    let holds = |group: &&Group, role: TenantRole| group.roles.contains(crate::bits::Bit::name(role));
    let groups = tenant.groups.values().filter(|group| holds(group, role) && !holds(group, restrictive));
    Administrators { users: tenant.users.values().filter(acts).count(), groups: groups.count() }
}

/// A change that was decided: what will be stored, what it makes, and the event that records it. It is committed once.
///
/// ```
/// use qsec_authz::{Actor, Edit, Policy, Register, StoredPolicy, Subject};
/// let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["TenantAdmin"]}}}}}"#)?;
/// let entries = policy.tenant("acme").unwrap().entries()?;
/// let register = Register::from_stored("acme", StoredPolicy { version: 7, entries })?;
/// let edit = Edit::CreateGroup { name: "finance".into() };
/// let plan = register.plan(&Actor::new(&Subject::user("ana")), &edit)?;
/// assert_eq!((plan.expected(), plan.next().version(), plan.changes().len()), (7, 8, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a plan that is not committed changes nothing"]
pub struct Plan {
    expected: u64,
    changes: Vec<PolicyChange>,
    next: Register,
    event: PolicyEvent,
}

impl Plan {
    /// What to record, before or with the commit.
    pub fn event(&self) -> &PolicyEvent {
        &self.event
    }

    /// What will be stored.
    pub fn changes(&self) -> &[PolicyChange] {
        &self.changes
    }

    /// The version that must still be there.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// The policy as it will be.
    pub fn next(&self) -> &Register {
        &self.next
    }

    /// Stores the change, if the policy is still the one on which it was decided.
    ///
    /// # Errors
    /// [`ManageError::Store`]: with the code `conflict` if somebody else was faster, and nothing is stored: load the policy and plan
    /// again, because what was granted then may not be now.
    pub async fn commit(self, store: &dyn PolicyStore) -> Result<Register, ManageError> {
        let version = store.apply(&self.next.tenant, self.expected, &self.changes).await?;
        if version == self.next.version() {
            return Ok(self.next);
        }
        let what = format!("version {version} of `{}` after {}", self.next.tenant, self.expected);
        Err(ManageError::Store(StoreError::Damaged { what }))
    }
}
