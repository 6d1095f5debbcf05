//! Users and groups: what each of them has.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::change::Changed;
use crate::bits::{Bit, Set};
use crate::hash::IdMap;
use crate::pages::Pages;
use crate::policy::{Member, Space, Tenant};
use crate::snapshot::tenant::{CustomRole, Profile, TenantSnapshot, at, index};
use crate::tables::{SpaceRole, TenantRole};

/// The custom roles of a tenant.
pub(super) struct Roles<'p> {
    pub(super) custom: Vec<CustomRole>,
    index: HashMap<&'p str, u32>,
}

impl<'p> Roles<'p> {
    pub(super) fn new(policy: &'p Tenant) -> Self {
        let mut roles = Self { custom: Vec::new(), index: HashMap::new() };
        for (name, permissions) in &policy.roles {
            roles.index.insert(name, index(roles.custom.len()));
            roles.custom.push(CustomRole { name: name.as_str().into(), permissions: permissions.0 });
        }
        roles
    }

    /// Adds to a profile what a role of that name holds.
    fn give(&self, profile: &mut Profile, name: &str, texts: &mut Texts) {
        profile.role_names.push(texts.shared(name));
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

/// Names of roles and groups, each kept once, however many have it.
#[derive(Default)]
struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// Users or groups by name. Who is gone keeps the number, and has nothing.
#[derive(Clone, Default)]
pub(super) struct Interned {
    pub(super) index: Arc<IdMap<Arc<str>, u32>>,
    pub(super) profiles: Pages<Profile>,
}

impl Interned {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.index.get(name) {
            return *number;
        }
        let (number, name): (_, Arc<str>) = (index(self.profiles.len()), name.into());
        Arc::make_mut(&mut self.index).insert(Arc::clone(&name), number);
        self.profiles.push(Profile { name, ..Profile::default() });
        number
    }

    fn profile(&mut self, name: &str) -> Option<&mut Profile> {
        let number = self.number(name);
        self.profiles.get_mut(number)
    }

    fn named(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(*self.index.get(name)?)
    }

    /// Takes away all that somebody has. Who was never named is not named now.
    fn clear(&mut self, name: &str) -> Option<u32> {
        let number = *self.index.get(name)?;
        let profile = self.profiles.get_mut(number)?;
        *profile = Profile { name: Arc::clone(&profile.name), ..Profile::default() };
        Some(number)
    }

    fn join(&mut self, name: &str, space: u32, roles: Set<SpaceRole>) {
        if let Some(profile) = self.profile(name) {
            profile.memberships.push((space, roles));
        }
    }

    fn sort(&mut self, number: u32) {
        let Some(profile) = self.profiles.get_mut(number) else { return };
        profile.memberships = merged(&profile.memberships);
        profile.custom_roles.sort_unstable();
        profile.custom_roles.dedup();
        profile.custom_roles.shrink_to_fit();
        profile.role_names.sort_unstable();
        profile.role_names.dedup();
        profile.role_names.shrink_to_fit();
        profile.group_names.shrink_to_fit();
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

/// The users and groups of a tenant.
#[derive(Clone, Default)]
pub(super) struct People {
    pub(super) users: Interned,
    pub(super) groups: Interned,
}

/// Whose profiles were made anew, by their numbers.
#[derive(Default)]
pub(super) struct Renewed {
    pub(super) users: BTreeSet<u32>,
    pub(super) groups: BTreeSet<u32>,
}

impl People {
    pub(super) fn of(tenant: &TenantSnapshot) -> Self {
        let (users, groups) = (Arc::clone(&tenant.users), Arc::clone(&tenant.groups));
        Self {
            users: Interned { index: users, profiles: tenant.user_profiles.clone() },
            groups: Interned { index: groups, profiles: tenant.group_profiles.clone() },
        }
    }

    /// How many names there are.
    pub(super) fn count(&self) -> usize {
        self.users.profiles.len().saturating_add(self.groups.profiles.len())
    }

    /// Makes the profiles anew of those who changed. The numbers of spaces are their positions.
    pub(super) fn renew(&mut self, policy: &Tenant, roles: &Roles<'_>, changed: &Changed) -> Renewed {
        let mut texts = Texts::default();
        for member in changed.listed() {
            match member {
                Member::User(id) => drop(self.users.clear(id)),
                Member::Group(name) => drop(self.groups.clear(name)),
            }
        }
        self.declare_groups(policy, roles, changed, &mut texts);
        for (position, space) in policy.spaces.values().enumerate() {
            self.join(space, index(position), changed);
        }
        let groups = numbers(&self.groups, changed.groups());
        for group in &groups {
            self.groups.sort(*group);
        }
        self.declare_users(policy, roles, changed, &mut texts);
        let users = numbers(&self.users, changed.users());
        for user in &users {
            self.users.sort(*user);
        }
        Renewed { users, groups }
    }

    fn declare_groups(&mut self, policy: &Tenant, roles: &Roles<'_>, changed: &Changed, texts: &mut Texts) {
        for (name, group) in changed.of(&policy.groups, Member::Group) {
            if let Some(profile) = self.groups.profile(name) {
                group.roles.iter().for_each(|role| roles.give(profile, role, texts));
            }
        }
    }

    fn join(&mut self, space: &Space, number: u32, changed: &Changed) {
        if let Some(owner) = space.owner.as_ref().filter(|owner| changed.has_user(owner)) {
            self.users.join(owner, number, Set::of(&[SpaceRole::Owner]));
        }
        for (member, roles) in changed.members(&space.members) {
            match member {
                Member::User(id) => self.users.join(id, number, roles.0),
                Member::Group(name) => self.groups.join(name, number, roles.0),
            }
        }
    }

    /// A user has what it was given and what each of its groups has. A user that is not listed has no groups here; those
    /// of its token are added when it asks.
    fn declare_users(&mut self, policy: &Tenant, roles: &Roles<'_>, changed: &Changed, texts: &mut Texts) {
        let groups = &self.groups;
        for (id, user) in changed.of(&policy.users, Member::User) {
            let Some(profile) = self.users.profile(id) else { continue };
            profile.disabled = user.disabled;
            user.roles.iter().for_each(|role| roles.give(profile, role, texts));
            for name in &user.groups {
                profile.group_names.push(texts.shared(name));
                let Some(group) = groups.named(name) else { continue };
                profile.roles = profile.roles.or(group.roles);
                profile.permissions = profile.permissions.or(group.permissions);
                profile.custom_roles.extend(&group.custom_roles);
                profile.memberships.extend(&group.memberships);
                profile.role_names.extend(group.role_names.iter().cloned());
            }
        }
    }
}

/// The numbers of these; of all, if there is no list.
fn numbers<'n>(known: &Interned, names: Option<impl Iterator<Item = &'n str>>) -> BTreeSet<u32> {
    match names {
        Some(names) => names.filter_map(|name| known.index.get(name).copied()).collect(),
        None => (0..index(known.profiles.len())).collect(),
    }
}
