//! What the actor holds, so that it can be compared with what a change gives.

use std::collections::BTreeMap;

use super::Actor;
use super::reaction::is_about_requester;
use crate::action::Action;
use crate::bits::{Bit, Set};
use crate::policy::{Model, Policy, Rule, RuleActions, Settings, Tenant, User};
use crate::request::{Context, Request, ResourceRef, Subject};
use crate::resource::Resource;
use crate::rule::{ReadRule, Reading};
use crate::snapshot::principal::Principal;
use crate::snapshot::{Snapshot, TenantSnapshot};
use crate::tables::{Cell, Kind, Level, MATRIX, Permission, Place, Scope, SpaceRole, TenantRole};

/// The actor as the old policy knows it.
pub(super) struct Holdings<'a> {
    tenant: &'a Tenant,
    compiled: &'a TenantSnapshot,
    actor: &'a Actor,
    principal: Principal<'a>,
}

impl<'a> Holdings<'a> {
    pub(super) fn new(tenant: &'a Tenant, compiled: &'a TenantSnapshot, actor: &'a Actor) -> Self {
        Self { tenant, compiled, actor, principal: Principal::new(compiled, &actor.subject) }
    }

    /// Whether nothing is more than this. `TenantAdmin` has every action on users, groups and roles: there is nothing that it
    /// cannot come to hold, and somebody has to give what nobody has yet. A token counts only if it lets administrators' rights
    /// through.
    pub(super) fn is_top(&self) -> bool {
        let scoped = self.ceiling().is_none_or(|scopes| scopes.has(Scope::AdminClassic));
        self.tenant.model() == Model::Cloud && self.principal.roles.has(TenantRole::TenantAdmin) && scoped
    }

    /// Whether no scope of a token holds anything back. What has no cell in the tables is held only then.
    pub(super) fn is_unscoped(&self) -> bool {
        let everything = Set::of(&[Scope::AdminClassic, Scope::UserDefault]);
        self.ceiling().is_none_or(|ceiling| everything.without(ceiling).is_empty())
    }

    fn ceiling(&self) -> Option<Set<Scope>> {
        self.actor.subject.ceiling()
    }

    pub(super) fn user_id(&self) -> &str {
        self.actor.subject.user_id().unwrap_or_default()
    }

    /// The actor without the ceiling of its token.
    pub(super) fn subject(&self) -> Subject {
        Subject::user(self.user_id()).groups(self.actor.subject.token_groups().iter().cloned())
    }

    /// A question of somebody where the actor is, but for the context.
    pub(super) fn ask(&self, subject: &Subject, action: Action, thing: &str, context: Context) -> Request {
        let request = Request::new(self.tenant.id(), subject, action, ResourceRef::id(thing)).context(context);
        let environment = self.actor.environment.iter();
        environment.fold(request, |request, (name, value)| request.environment(name, value.clone()))
    }

    /// What the policy says of the actor.
    pub(super) fn entry(&self) -> Option<&'a User> {
        self.tenant.users.get(self.user_id())
    }

    pub(super) fn is_in_group(&self, name: &str) -> bool {
        let listed = self.entry().is_some_and(|user| user.groups.contains(name));
        listed || self.actor.subject.token_groups().iter().any(|group| group == name)
    }

    pub(super) fn has_role_name(&self, name: &str) -> bool {
        self.principal.role_names().any(|role| role == name)
    }

    /// Whether all that a tenant role grants is held: each cell of the tables, the standing of an administrator, and of a role
    /// that is a capability the role itself.
    pub(super) fn has_role(&self, role: TenantRole) -> bool {
        let capability = [TenantRole::DataServicesContributor, TenantRole::DataProductManager].contains(&role);
        let admin = MATRIX.admin_roles.has(role);
        let level = if admin { Level::Admin } else { Level::User };
        let standing = if admin { self.principal.is_administrator() } else { true };
        let itself = !capability || (self.is_unscoped() && self.principal.roles.has(role));
        standing && itself && self.has_cells(Place::ALL, None, |cell| cell.roles.has(role).then_some(level))
    }

    /// Whether all that these permissions grant is held; those of exports are capabilities, and are held themselves.
    pub(super) fn has_permissions(&self, wanted: Set<Permission>) -> bool {
        wanted.iter().all(|permission| {
            let admin = MATRIX.admin_permissions.has(permission);
            let level = if admin { Level::Admin } else { Level::User };
            let exports = Set::of(&[Permission::AppsDataExport, Permission::AppsImageExport]);
            let itself = if permission == Permission::AppsDataExport {
                self.is_unscoped() && self.principal.permissions.has(permission)
            } else {
                let one_of_them = self.is_unscoped() && self.principal.permissions.meets(exports);
                permission != Permission::AppsImageExport || one_of_them
            };
            itself && self.has_cells(Place::ALL, None, |cell| cell.permissions.has(permission).then_some(level))
        })
    }

    /// Whether all that a role in a space grants there is held there.
    pub(super) fn has_space_role(&self, space: &str, role: SpaceRole) -> bool {
        let Some(number) = self.compiled.things.index.get(space) else { return false };
        let Some(place) = self.tenant.spaces.get(space).map(|space| space.kind.place()) else { return false };
        let wanted = |cell: &Cell| cell.space_roles.has(role).then_some(Level::User);
        self.has_cells(&[place], Some(*number), wanted)
    }

    fn has_cells(&self, places: &[Place], space: Option<u32>, wanted: impl Fn(&Cell) -> Option<Level>) -> bool {
        let here = space.map_or(Set::EMPTY, |space| self.principal.space_roles(space));
        let cells = Kind::ALL.iter().flat_map(|kind| places.iter().map(move |place| (*kind, *place)));
        let cells = cells.flat_map(|(kind, place)| [false, true].map(|own| (kind, place, own)));
        cells.into_iter().all(|(kind, place, own)| {
            Action::ALL.iter().all(|action| {
                let cell = MATRIX.cell(kind, place, own, *action);
                wanted(cell).is_none_or(|level| self.has_cell(cell, level, here))
            })
        })
    }

    /// A right of an administrator is more than the same right of a user: it needs no capability.
    fn has_cell(&self, cell: &Cell, level: Level, here: Set<SpaceRole>) -> bool {
        let (roles, permissions) =
            (self.principal.roles.and(cell.roles), self.principal.permissions.and(cell.permissions));
        let admits = |scopes: Set<Scope>| self.ceiling().is_none_or(|ceiling| ceiling.meets(scopes));
        let admin = roles.meets(MATRIX.admin_roles) || permissions.meets(MATRIX.admin_permissions);
        let user = !roles.without(MATRIX.admin_roles).is_empty()
            || !permissions.without(MATRIX.admin_permissions).is_empty()
            || here.meets(cell.space_roles);
        let as_admin = admin && admits(cell.admin_scopes);
        match level {
            Level::Admin => as_admin,
            Level::User => as_admin || (user && admits(cell.user_scopes)),
        }
    }

    /// Whether the actor may do all that a rule allows, whatever its condition: each action by some rule with a wider filter and
    /// context, whose condition is about the requester alone and true for the actor.
    pub(super) fn covers(&self, rule: &ReadRule) -> bool {
        if !self.is_unscoped() {
            return false;
        }
        let wider = |one: &&Rule| {
            !one.disabled
                && one.read.actions.meets(rule.actions)
                && one.read.sides.covers(rule.sides)
                && one.read.filter.covers(&rule.filter)
                && is_about_requester(&one.read)
        };
        let mut left = rule.actions;
        for one in self.tenant.rules.iter().filter(wider) {
            if left.is_empty() {
                break;
            }
            if one.read.actions.meets(left) && self.satisfies(one) {
                left = left.without(one.read.actions);
            }
        }
        left.is_empty()
    }

    /// Whether a condition about the requester alone is true for the actor: asked of a tenant that has nothing but this rule.
    fn satisfies(&self, rule: &Rule) -> bool {
        let actions = RuleActions::Names(vec![Action::Read.as_str().to_owned()]);
        let open = ReadRule::read("*", &actions, None, "", &mut Reading::default());
        let Ok(read) = open.map(|open| ReadRule { condition: rule.read.condition.clone(), ..open }) else {
            return false;
        };
        let probe = Rule { actions, read: read.into(), ..rule.clone() };
        let groups = self.tenant.groups.iter().filter(|(name, _)| self.is_in_group(name));
        let tenant = Tenant {
            id: self.tenant.id.clone(),
            version: 0,
            settings: Settings { model: Model::Enterprise, ..Settings::default() },
            roles: BTreeMap::new(),
            groups: groups.map(|(name, group)| (name.clone(), group.clone())).collect(),
            users: self.entry().map(|user| (self.user_id().to_owned(), user.clone())).into_iter().collect(),
            spaces: BTreeMap::new(),
            resources: BTreeMap::new(),
            rules: vec![probe],
        };
        let policy = Policy { tenants: [(tenant.id.clone(), tenant)].into() };
        let question = Request::new(self.tenant.id(), &self.subject(), Action::Read, Resource::new("Probe"));
        Snapshot::compile(&policy).decide(&question).is_allowed()
    }
}
