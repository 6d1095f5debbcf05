//! From the policy as data to the tenant that decides.

mod rules;

use std::collections::{BTreeMap, HashMap};

use super::tenant::{Class, CustomRole, NONE, Profile, TenantSnapshot, Thing, at, index};
use crate::bits::{Bit, Set};
use crate::hash::IdMap;
use crate::policy::{Member, Tenant};
use crate::resource::Resource;
use crate::tables::{Kind, Permission, Place, SpaceRole, SpaceType, TenantRole};

/// How far "an object is in its app's space" is followed. An object is part of an app, not of another object; a chain
/// is accepted for what it is, and one that is longer, or runs in a circle, ends in no space and is nobody's own.
const MAX_APP_CHAIN: u32 = 8;

/// Compiles a tenant.
pub(super) fn tenant(policy: &Tenant) -> TenantSnapshot {
    let roles = Roles::new(policy);
    let mut things = Things::new(policy);
    let mut users = Interned::default();
    let mut groups = Interned::default();
    declare_groups(policy, &roles, &mut groups);
    join_spaces(policy, &things, &mut users, &mut groups);
    groups.sort_memberships();
    declare_users(policy, &roles, &mut users, &groups);
    users.sort_memberships();
    things.place(policy, &mut users);
    let rules = rules::rules(
        policy,
        &rules::Numbers {
            users: &users.index,
            user_profiles: &users.profiles,
            group_profiles: &groups.profiles,
            thing_ids: &things.ids,
            thing_index: &things.index,
            type_names: &things.type_names,
        },
    );
    TenantSnapshot {
        rules,
        version: policy.version,
        status: policy.status(),
        model: policy.model(),
        default_permissions: policy.settings.user_default.map_or_else(Permission::user_default, |list| list.0),
        custom_roles: roles.custom,
        users: users.index,
        user_profiles: users.profiles,
        groups: groups.index,
        group_profiles: groups.profiles,
        things: things.placed,
        thing_ids: things.ids,
        thing_index: things.index,
        apps: things.apps,
        classes: things.classes,
        type_names: things.type_names,
    }
}

struct Roles<'p> {
    custom: Vec<CustomRole>,
    index: HashMap<&'p str, u32>,
}

impl<'p> Roles<'p> {
    fn new(policy: &'p Tenant) -> Self {
        let mut roles = Self { custom: Vec::new(), index: HashMap::new() };
        for (name, permissions) in &policy.roles {
            roles.index.insert(name, index(roles.custom.len()));
            roles.custom.push(CustomRole { name: name.as_str().into(), permissions: permissions.0 });
        }
        roles
    }

    /// Adds to a profile what a role of that name holds.
    fn give(&self, profile: &mut Profile, name: &str) {
        profile.role_names.push(name.into());
        if let Some(role) = TenantRole::named(name) {
            profile.roles.add(role);
        }
        if let Some(custom) = self.index.get(name)
            && let Some(role) = at(&self.custom, *custom)
        {
            profile.permissions = profile.permissions.or(role.permissions);
            profile.custom_roles.push(*custom);
        }
    }
}

/// Users or groups by name.
#[derive(Default)]
struct Interned {
    index: IdMap<Box<str>, u32>,
    profiles: Vec<Profile>,
}

impl Interned {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.index.get(name) {
            return *number;
        }
        let number = index(self.profiles.len());
        self.index.insert(name.into(), number);
        self.profiles.push(Profile::default());
        number
    }

    fn profile(&mut self, name: &str) -> Option<&mut Profile> {
        let number = self.number(name);
        self.profiles.get_mut(usize::try_from(number).ok()?)
    }

    fn named(&self, name: &str) -> Option<&Profile> {
        at(&self.profiles, *self.index.get(name)?)
    }

    fn join(&mut self, name: &str, space: u32, roles: Set<SpaceRole>) {
        if let Some(profile) = self.profile(name) {
            profile.memberships.push((space, roles));
        }
    }

    fn sort_memberships(&mut self) {
        for profile in &mut self.profiles {
            profile.memberships = merged(&profile.memberships);
            profile.custom_roles.sort_unstable();
            profile.custom_roles.dedup();
            profile.role_names.sort_unstable();
            profile.role_names.dedup();
        }
    }
}

/// One entry a space, in the order of spaces: roles of several memberships add up.
fn merged(memberships: &[(u32, Set<SpaceRole>)]) -> Vec<(u32, Set<SpaceRole>)> {
    let mut spaces: BTreeMap<u32, Set<SpaceRole>> = BTreeMap::new();
    for (space, roles) in memberships {
        let before = spaces.entry(*space).or_default();
        *before = before.or(*roles);
    }
    spaces.into_iter().collect()
}

fn declare_groups(policy: &Tenant, roles: &Roles<'_>, groups: &mut Interned) {
    for (name, group) in &policy.groups {
        if let Some(profile) = groups.profile(name) {
            group.roles.iter().for_each(|role| roles.give(profile, role));
        }
    }
}

fn join_spaces(policy: &Tenant, things: &Things, users: &mut Interned, groups: &mut Interned) {
    for (id, space) in &policy.spaces {
        let number = things.number(id);
        if let Some(owner) = &space.owner {
            users.join(owner, number, Set::of(&[SpaceRole::Owner]));
        }
        for (member, roles) in &space.members {
            match member {
                Member::User(id) => users.join(id, number, roles.0),
                Member::Group(name) => groups.join(name, number, roles.0),
            }
        }
    }
}

/// A user has what it was given and what each of its groups has. A user that is not listed has no groups here; those
/// of its token are added when it asks.
fn declare_users(policy: &Tenant, roles: &Roles<'_>, users: &mut Interned, groups: &Interned) {
    for (id, user) in &policy.users {
        let Some(profile) = users.profile(id) else { continue };
        profile.disabled = user.disabled;
        user.roles.iter().for_each(|role| roles.give(profile, role));
        for name in &user.groups {
            profile.group_names.push(name.as_str().into());
            let Some(group) = groups.named(name) else { continue };
            profile.roles = profile.roles.or(group.roles);
            profile.permissions = profile.permissions.or(group.permissions);
            profile.custom_roles.extend(&group.custom_roles);
            profile.memberships.extend(&group.memberships);
            profile.role_names.extend(group.role_names.iter().cloned());
        }
    }
}

struct Things {
    ids: Vec<Box<str>>,
    index: IdMap<Box<str>, u32>,
    placed: Vec<Thing>,
    apps: Vec<(u32, u32)>,
    classes: Vec<Class>,
    type_names: Vec<Box<str>>,
}

impl Things {
    fn new(policy: &Tenant) -> Self {
        let mut ids: Vec<Box<str>> =
            policy.spaces.keys().chain(policy.resources.keys()).map(|id| id.as_str().into()).collect();
        ids.sort_unstable();
        let numbers = ids.iter().enumerate().map(|(position, id)| (id.clone(), index(position))).collect();
        Self { ids, index: numbers, placed: Vec::new(), apps: Vec::new(), classes: Vec::new(), type_names: Vec::new() }
    }

    fn number(&self, id: &str) -> u32 {
        self.index.get(id).copied().unwrap_or(NONE)
    }

    /// Says where each thing stands and who owns it.
    fn place(&mut self, policy: &Tenant, users: &mut Interned) {
        let mut known: HashMap<Class, u32> = HashMap::new();
        let mut types: HashMap<String, u32> = HashMap::new();
        for position in 0..self.ids.len() {
            let Some(id) = self.ids.get(position).map(ToString::to_string) else { continue };
            let (type_name, owner) = match (policy.spaces.get(&id), policy.resources.get(&id)) {
                (Some(space), _) => ("Space", space.owner.as_deref()),
                (None, Some(resource)) => (resource.type_name(), resource.owner.as_deref()),
                (None, None) => continue,
            };
            let type_number = *types.entry(type_name.to_owned()).or_insert_with(|| {
                self.type_names.push(type_name.into());
                index(self.type_names.len().saturating_sub(1))
            });
            let class = self.class(policy, &id, type_number);
            let number = *known.entry(class).or_insert_with(|| {
                self.classes.push(class);
                index(self.classes.len().saturating_sub(1))
            });
            let owner = owner.map_or(NONE, |owner| users.number(owner));
            let app = policy.resources.get(&id).and_then(|resource| resource.app.as_deref());
            self.apps.extend(app.map(|app| (index(position), self.number(app))));
            self.placed.push(Thing { class: number, owner });
        }
    }

    fn class(&self, policy: &Tenant, id: &str, type_name: u32) -> Class {
        if let Some(space) = policy.spaces.get(id) {
            let place = space.kind.place();
            return Class { type_name, kind: Kind::Space, place, space: self.number(id), alone: false };
        }
        let Some(resource) = policy.resources.get(id) else {
            return Class { type_name, kind: Kind::Other, place: Place::Elsewhere, space: NONE, alone: false };
        };
        let kind = Kind::of(resource.type_name());
        let (space, alone) = standing(policy, resource, 0);
        let space_type = space.and_then(|space| policy.spaces.get(space)).map(|space| space.kind);
        let place = place(kind, resource, space_type, alone);
        // A space stands in itself, and one that is not listed under `spaces` has no members.
        let space = space.filter(|_| kind != Kind::Space);
        Class { type_name, kind, place, space: space.map_or(NONE, |space| self.number(space)), alone }
    }
}

/// Where a resource stands, given the type of its space. A space that the policy does not list is described by its
/// own `type`: it stands in a space of that type, which has no members yet.
pub(crate) fn place(kind: Kind, resource: &Resource, space_type: Option<SpaceType>, alone: bool) -> Place {
    if kind == Kind::Space {
        return resource.own_space_type().map_or(Place::Elsewhere, SpaceType::place);
    }
    match space_type {
        Some(space_type) => space_type.place(),
        None if alone && kind.can_be_personal() => Place::Personal,
        None => Place::Elsewhere,
    }
}

/// The space that a resource is in, and whether it is in no space and no stream, nor its app.
pub(crate) fn standing<'p>(policy: &'p Tenant, resource: &'p Resource, depth: u32) -> (Option<&'p str>, bool) {
    if let Some(space) = &resource.space {
        return (Some(space), false);
    }
    if depth > MAX_APP_CHAIN {
        return (None, false);
    }
    let (app_space, app_alone) = match resource.app.as_deref() {
        None => (None, true),
        Some(app) => match policy.resources.get(app) {
            Some(app) => standing(policy, app, depth.saturating_add(1)),
            None => (Some(app), false),
        },
    };
    let space = app_space.filter(|_| Kind::of(resource.type_name()) == Kind::AppObject);
    (space, app_alone && resource.stream.is_none())
}
