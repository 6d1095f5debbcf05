//! Which grants did nobody need?

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::action::Action;
use crate::bits::{Bit, Set};
use crate::management::{Holder, Trait, grants_through, presence_matters};
use crate::policy::{Member, Model, Policy, Rule, Tenant, TenantStatus};
use crate::rule::{ReadRule, persona};
use crate::tables::{Cell, Kind, MATRIX, Permission, Place, SpaceRole, SpaceType, TenantRole};

/// A decision that allowed something, as an audit log remembers it.
///
/// ```
/// use qsec_authz::{Action, Use};
/// use std::time::SystemTime;
/// let read = Use::new(SystemTime::UNIX_EPOCH, "ana", Action::Read, "q3", ["space:consumer@sales"]);
/// # let _ = read;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    time: SystemTime,
    user: String,
    action: Action,
    resource: String,
    by: Vec<String>,
}

impl Use {
    /// Who did what to which resource when, and what granted it: [`crate::Allowed::by`].
    pub fn new<T: Into<String>>(
        time: SystemTime,
        user: impl Into<String>,
        action: Action,
        resource: impl Into<String>,
        by: impl IntoIterator<Item = T>,
    ) -> Self {
        let by = by.into_iter().map(Into::into).collect();
        Self { time, user: user.into(), action, resource: resource.into(), by }
    }
}

/// The time that the uses are of, and whether all of them are here.
///
/// ```
/// use qsec_authz::Period;
/// use std::time::{Duration, SystemTime};
/// let from = SystemTime::UNIX_EPOCH;
/// let quarter = Period::new(from, from + Duration::from_secs(90 * 86_400)).dropped(3);
/// assert!(!quarter.is_complete());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    from: SystemTime,
    to: SystemTime,
    dropped: u64,
}

impl Period {
    /// From a time, up to another one and without it.
    pub fn new(from: SystemTime, to: SystemTime) -> Self {
        Self { from, to, dropped: 0 }
    }

    /// So many uses of this time were not recorded.
    #[must_use]
    pub fn dropped(self, dropped: u64) -> Self {
        Self { dropped, ..self }
    }

    /// How long it is; nothing if it ends before it begins.
    pub fn length(&self) -> Duration {
        self.to.duration_since(self.from).unwrap_or_default()
    }

    /// Whether no use was dropped.
    pub fn is_complete(&self) -> bool {
        self.dropped == 0
    }
}

/// What a grant is.
///
/// ```
/// use qsec_authz::{Grant, Holder};
/// let grant = Grant::RoleAssignment { holder: Holder::user("ana"), role: "Steward".into() };
/// let json = serde_json::to_string(&grant).unwrap();
/// assert_eq!(json, r#"{"grant":"role_assignment","holder":"user:ana","role":"Steward"}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "grant")]
#[non_exhaustive]
pub enum Grant {
    /// A user or group has a tenant role or a custom role.
    RoleAssignment {
        /// Who has it.
        holder: Holder,
        /// The role.
        role: String,
    },
    /// A user or group has a role in a space.
    SpaceMembership {
        /// Who has it.
        holder: Holder,
        /// The space.
        space: String,
        /// The role there.
        role: String,
    },
    /// A custom role holds a permission.
    RolePermission {
        /// The custom role.
        role: String,
        /// The permission.
        permission: String,
    },
    /// A security rule.
    Rule {
        /// Its name.
        rule: String,
    },
}

/// A grant that no use needed, and what would be lost with it: actions by type of resource, or by the filter of a rule. What only
/// its owner may do is among them; a role that only rules read loses nothing of its own.
///
/// ```
/// use qsec_authz::{Period, Policy, Unused};
/// use std::time::SystemTime;
/// let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["Developer"]}}}}}"#)?;
/// let period = Period::new(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
/// let unused = Unused::of(&policy, "acme", period, []);
/// assert!(unused.grants()[0].lost().eq([("ApiKey", &["create", "read", "delete"][..])]));
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnusedGrant {
    #[serde(flatten)]
    grant: Grant,
    lost: BTreeMap<String, Vec<&'static str>>,
}

impl UnusedGrant {
    /// The grant.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The names of the actions that would be lost, by type of resource or filter.
    pub fn lost(&self) -> impl Iterator<Item = (&str, &[&'static str])> {
        self.lost.iter().map(|(on, actions)| (on.as_str(), actions.as_slice()))
    }
}

/// The grants of a tenant that no use of a period needed.
///
/// A use needs every grant that is among those that allowed it, the capability that its action asks for, and all that the rules
/// among them read or ask: a grant is called unused only if taking it away, together with all others that are called so, leaves
/// every use allowed. So two grants for the same thing are both used. The restrictive role, user defaults, personas and ownership
/// are not reported.
///
/// ```
/// use qsec_authz::{Action, Grant, Holder, Period, Policy, Unused, Use};
/// use std::time::{Duration, SystemTime};
/// let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["Steward"]}},
///     "spaces":{"sales":{"type":"managed","members":{"user:ana":["consumer"]}}},
///     "resources":{"q3":{"type":"App","space":"sales"}}}}}"#)?;
/// let from = SystemTime::UNIX_EPOCH;
/// let uses = [Use::new(from, "ana", Action::Read, "q3", ["space:consumer@sales"])];
/// let unused = Unused::of(&policy, "acme", Period::new(from, from + Duration::from_secs(86_400)), uses);
/// let grants: Vec<_> = unused.grants().iter().map(|unused| unused.grant().clone()).collect();
/// assert_eq!(grants, [Grant::RoleAssignment { holder: Holder::user("ana"), role: "Steward".into() }]);
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unused {
    tenant: String,
    seconds: u64,
    uses: u64,
    dropped: u64,
    #[serde(rename = "unused")]
    grants: Vec<UnusedGrant>,
}

impl Unused {
    /// Goes through the uses of a period; those of another time do not count. A tenant that the policy lacks has no grants.
    pub fn of(policy: &Policy, tenant: &str, period: Period, uses: impl IntoIterator<Item = Use>) -> Self {
        let mut counted = 0_u64;
        let unused = policy.tenant(tenant).map(|tenant| {
            let mut needed = Needed::new(tenant);
            for one in uses.into_iter().filter(|one| (period.from..period.to).contains(&one.time)) {
                counted = counted.saturating_add(1);
                needed.add(&one);
            }
            needed.unused()
        });
        Self {
            tenant: tenant.to_owned(),
            seconds: period.length().as_secs(),
            uses: counted,
            dropped: period.dropped,
            grants: unused.unwrap_or_default(),
        }
    }

    /// What nobody needed, sorted.
    pub fn grants(&self) -> &[UnusedGrant] {
        &self.grants
    }

    /// How many uses were counted.
    pub fn uses(&self) -> u64 {
        self.uses
    }

    /// How many were dropped before they came here. If any, what looks unused may have been used.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How long the period was.
    pub fn period(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// What uses need, by and by.
struct Needed<'a> {
    tenant: &'a Tenant,
    rules: BTreeMap<String, ReadRule>,
    roles: BTreeSet<(Holder, String)>,
    memberships: BTreeSet<(Holder, String, SpaceRole)>,
    permissions: BTreeSet<(String, Permission)>,
    used_rules: BTreeSet<String>,
    /// Users who were granted something by a rule.
    by_rule: BTreeSet<String>,
}

impl<'a> Needed<'a> {
    fn new(tenant: &'a Tenant) -> Self {
        let personas = tenant.settings.personas.iter().flat_map(|(name, groups)| persona::rules(name, groups));
        let own =
            tenant.rules.iter().filter(|rule| !rule.disabled).map(|rule| (rule.name.clone(), (*rule.read).clone()));
        Self {
            tenant,
            rules: personas.chain(own).collect(),
            roles: BTreeSet::new(),
            memberships: BTreeSet::new(),
            permissions: BTreeSet::new(),
            used_rules: BTreeSet::new(),
            by_rule: BTreeSet::new(),
        }
    }

    fn add(&mut self, one: &Use) {
        for source in &one.by {
            match source.split_once(':') {
                Some(("role", role)) => self.add_role(one, role),
                Some(("space", place)) => self.add_membership(one, place),
                Some(("rule", rule)) => {
                    self.used_rules.insert(rule.to_owned());
                    self.by_rule.insert(one.user.clone());
                }
                _ => {}
            }
        }
        self.add_capability(one);
        if self.tenant.status() == TenantStatus::UserAccessDisabled {
            for role in TenantRole::administrators().iter() {
                self.keep_role(&one.user, role.name());
            }
        }
    }

    fn groups_of(&self, user: &str) -> Vec<&'a str> {
        self.tenant.users.get(user).into_iter().flat_map(|user| &user.groups).map(String::as_str).collect()
    }

    /// Who gives a role to the user: itself, its groups, or else any group that a token may have named.
    fn holders(&self, user: &str, has: impl Fn(&Holder) -> bool) -> Vec<Holder> {
        let groups = self.groups_of(user).into_iter().map(Holder::group);
        let near: Vec<_> = [Holder::user(user)].into_iter().chain(groups).filter(|holder| has(holder)).collect();
        if !near.is_empty() {
            return near;
        }
        let mut all: BTreeSet<Holder> = self.tenant.groups.keys().map(Holder::group).collect();
        all.extend(self.tenant.spaces.values().flat_map(|space| space.members.keys()).filter_map(
            |member| match member {
                Member::Group(name) => Some(Holder::group(name)),
                Member::User(_) => None,
            },
        ));
        all.into_iter().filter(has).collect()
    }

    fn has_role(&self, holder: &Holder, role: &str) -> bool {
        let roles = match holder {
            Holder::User(id) => self.tenant.users.get(id).map(|user| &user.roles),
            Holder::Group(name) => self.tenant.groups.get(name).map(|group| &group.roles),
        };
        roles.is_some_and(|roles| roles.contains(role))
    }

    fn keep_role(&mut self, user: &str, role: &str) {
        for holder in self.holders(user, |holder| self.has_role(holder, role)) {
            self.roles.insert((holder, role.to_owned()));
        }
    }

    fn add_role(&mut self, one: &Use, role: &str) {
        self.keep_role(&one.user, role);
        let Some(list) = self.tenant.roles.get(role) else { return };
        let useful =
            list.0.iter().filter(|permission| any_cell(&[one.action], |cell| cell.permissions.has(*permission)));
        self.permissions.extend(useful.map(|permission| (role.to_owned(), permission)));
    }

    fn space_roles(&self, holder: &Holder, space: &str) -> Set<SpaceRole> {
        let member = match holder {
            Holder::User(id) => Member::User(id.clone()),
            Holder::Group(name) => Member::Group(name.clone()),
        };
        let space = self.tenant.spaces.get(space);
        space.and_then(|space| space.members.get(&member)).map_or(Set::EMPTY, |roles| roles.0)
    }

    /// `ROLE@SPACE`.
    fn add_membership(&mut self, one: &Use, place: &str) {
        let Some((role, space)) = place.split_once('@') else { return };
        let Some(role) = SpaceRole::named(role) else { return };
        for holder in self.holders(&one.user, |holder| self.space_roles(holder, space).has(role)) {
            self.memberships.insert((holder, space.to_owned(), role));
        }
    }

    /// What the action asks for besides a grant. Of a resource that is not there any more, the type is not known.
    fn add_capability(&mut self, one: &Use) {
        if [Action::ExportData, Action::ExportImage].contains(&one.action) {
            let exports = Set::of(&[Permission::AppsDataExport, Permission::AppsImageExport]);
            for (role, list) in &self.tenant.roles {
                let held = list.0.and(exports);
                if !held.is_empty() {
                    self.keep_role(&one.user, role);
                    self.permissions.extend(held.iter().map(|permission| (role.clone(), permission)));
                }
            }
        }
        let listed = self.tenant.resources.get(&one.resource).map(|resource| Kind::of(resource.type_name()));
        let kind = listed.or_else(|| self.tenant.spaces.get(&one.resource).map(|_| Kind::Space));
        if kind.is_none_or(|kind| [Kind::DataProject, Kind::DataTask].contains(&kind)) {
            self.keep_role(&one.user, TenantRole::DataServicesContributor.name());
        }
        if kind.is_none_or(|kind| kind == Kind::DataProduct) {
            self.keep_role(&one.user, TenantRole::DataProductManager.name());
        }
    }

    /// What the used rules read and ask: roles by name, and rights, which other rules and roles give.
    fn follow_rules(&mut self) {
        let mut asked: Set<Action> = Set::EMPTY;
        loop {
            let used = self.rules.iter().filter(|(name, _)| self.used_rules.contains(*name));
            let asks = used.fold(Set::EMPTY, |asks: Set<Action>, (_, rule)| asks.or(grants_through(rule)));
            let before = self.used_rules.len();
            let giving = self.rules.iter().filter(|(_, rule)| rule.actions.meets(asks)).map(|(name, _)| name.clone());
            let giving: Vec<_> = giving.collect();
            self.used_rules.extend(giving);
            if (asks, self.used_rules.len()) == (asked, before) {
                break;
            }
            asked = asks;
        }
        self.keep_what_rules_read();
        self.keep_what_gives(asked);
    }

    fn keep_what_rules_read(&mut self) {
        let used: Vec<&ReadRule> =
            self.rules.iter().filter(|(name, _)| self.used_rules.contains(*name)).map(|(_, rule)| rule).collect();
        let read = |role: &str| used.iter().any(|rule| presence_matters(rule, Trait::Role(role)));
        let kept: Vec<_> = assignments(self.tenant).filter(|(_, role)| read(role)).collect();
        self.roles.extend(kept.into_iter().map(|(holder, role)| (holder, role.to_owned())));
    }

    /// Roles and memberships that give one of these actions on anything.
    fn keep_what_gives(&mut self, asked: Set<Action>) {
        let asked: Vec<Action> = asked.iter().collect();
        if asked.is_empty() || self.by_rule.is_empty() {
            return;
        }
        let gives = |permission: Permission| any_cell(&asked, |cell| cell.permissions.has(permission));
        for (role, list) in &self.tenant.roles {
            self.permissions.extend(list.0.iter().filter(|one| gives(*one)).map(|one| (role.clone(), one)));
        }
        for (holder, role) in assignments(self.tenant) {
            let built_in = TenantRole::named(role);
            let custom = self.tenant.roles.get(role);
            if built_in.is_some_and(|role| any_cell(&asked, |cell| cell.roles.has(role)))
                || custom.is_some_and(|list| list.0.iter().any(gives))
            {
                self.roles.insert((holder, role.to_owned()));
            }
        }
        for (holder, space, role) in memberships(self.tenant) {
            if any_cell(&asked, |cell| cell.space_roles.has(role)) {
                self.memberships.insert((holder, space.to_owned(), role));
            }
        }
    }

    fn unused(mut self) -> Vec<UnusedGrant> {
        self.follow_rules();
        let tenant = self.tenant;
        let restrictive = TenantRole::EmbeddedAnalyticsUser.name();
        let roles = assignments(tenant)
            .filter(|(holder, role)| {
                *role != restrictive && !self.roles.contains(&(holder.clone(), (*role).to_owned()))
            })
            .map(|(holder, role)| UnusedGrant {
                lost: lost_with_role(tenant, role),
                grant: Grant::RoleAssignment { holder, role: role.to_owned() },
            });
        let spaces = memberships(tenant)
            .filter(|(holder, space, role)| !self.memberships.contains(&(holder.clone(), (*space).to_owned(), *role)))
            .map(|(holder, space, role)| UnusedGrant {
                lost: lost_in_space(tenant, space, role),
                grant: Grant::SpaceMembership { holder, space: space.to_owned(), role: role.name().to_owned() },
            });
        let permissions = tenant.roles.iter().flat_map(|(role, list)| list.0.iter().map(move |one| (role, one)));
        let permissions = permissions.filter(|(role, one)| !self.permissions.contains(&((*role).clone(), *one))).map(
            |(role, one)| UnusedGrant {
                lost: lost_where(Place::ALL, |cell| cell.permissions.has(one)),
                grant: Grant::RolePermission { role: role.clone(), permission: one.name().to_owned() },
            },
        );
        let rules = tenant.rules.iter().filter(|rule| !rule.disabled && !self.used_rules.contains(&rule.name));
        let mut all: Vec<_> = roles.chain(spaces).chain(permissions).chain(rules.map(unused_rule)).collect();
        all.sort_by(|left, right| left.grant.cmp(&right.grant));
        all
    }
}

fn assignments(tenant: &Tenant) -> impl Iterator<Item = (Holder, &str)> {
    let users = tenant.users.iter().map(|(id, user)| (Holder::user(id), &user.roles));
    let groups = tenant.groups.iter().map(|(name, group)| (Holder::group(name), &group.roles));
    users.chain(groups).flat_map(|(holder, roles)| roles.iter().map(move |role| (holder.clone(), role.as_str())))
}

fn memberships(tenant: &Tenant) -> impl Iterator<Item = (Holder, &str, SpaceRole)> {
    tenant.spaces.iter().flat_map(|(space, entry)| {
        entry.members.iter().flat_map(move |(member, roles)| {
            let holder = match member {
                Member::User(id) => Holder::user(id),
                Member::Group(name) => Holder::group(name),
            };
            roles.0.iter().map(move |role| (holder.clone(), space.as_str(), role))
        })
    })
}

/// Whether any cell of these actions has it.
fn any_cell(actions: &[Action], has: impl Fn(&Cell) -> bool) -> bool {
    let kinds = Kind::ALL.iter().flat_map(|kind| Place::ALL.iter().map(move |place| (*kind, *place)));
    let mut cells =
        kinds.flat_map(|(kind, place)| actions.iter().map(move |action| MATRIX.cell(kind, place, true, *action)));
    cells.any(has)
}

type Lost = BTreeMap<String, Vec<&'static str>>;

fn lost_where(places: &[Place], has: impl Fn(&Cell) -> bool) -> Lost {
    let mut lost = Lost::new();
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Other) {
        let granted = |action: &&Action| places.iter().any(|place| has(MATRIX.cell(*kind, *place, true, **action)));
        let actions: Vec<_> = Action::ALL.iter().filter(granted).map(|action| action.as_str()).collect();
        if !actions.is_empty() {
            lost.insert(kind.name().to_owned(), actions);
        }
    }
    lost
}

fn lost_with_role(tenant: &Tenant, role: &str) -> Lost {
    if tenant.model() == Model::Enterprise {
        return Lost::new();
    }
    match (TenantRole::named(role), tenant.roles.get(role)) {
        (Some(role), _) => lost_where(Place::ALL, |cell| cell.roles.has(role)),
        (None, Some(list)) => lost_where(Place::ALL, |cell| cell.permissions.meets(list.0)),
        (None, None) => Lost::new(),
    }
}

fn lost_in_space(tenant: &Tenant, space: &str, role: SpaceRole) -> Lost {
    let place = tenant.spaces.get(space).map(|space| SpaceType::place(space.kind));
    let grants = tenant.model() == Model::Cloud;
    place.filter(|_| grants).map_or_else(Lost::new, |place| lost_where(&[place], |cell| cell.space_roles.has(role)))
}

fn unused_rule(rule: &Rule) -> UnusedGrant {
    let actions = rule.read.actions.iter().map(Action::as_str).collect();
    UnusedGrant { lost: Lost::from([(rule.filter.clone(), actions)]), grant: Grant::Rule { rule: rule.name.clone() } }
}
