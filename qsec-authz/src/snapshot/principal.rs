//! Who asks, as this tenant knows them.

use super::tenant::{NONE, Profile, TenantSnapshot, at};
use crate::bits::Set;
use crate::request::Subject;
use crate::tables::{MATRIX, Permission, SpaceRole, TenantRole};

/// How many groups of a token are kept without allocating, out of those that the policy knows.
const NEAR: usize = 16;

/// Groups of a token that the policy knows.
#[derive(Debug, Default)]
struct Groups {
    near: [u32; NEAR],
    count: usize,
    far: Vec<u32>,
}

impl Groups {
    fn push(&mut self, group: u32) {
        match self.near.get_mut(self.count) {
            Some(slot) => {
                *slot = group;
                self.count = self.count.saturating_add(1);
            }
            None => self.far.push(group),
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        self.near.iter().take(self.count).chain(&self.far).copied()
    }
}

/// A subject with all that it has in this tenant.
#[derive(Debug)]
pub(crate) struct Principal<'t> {
    tenant: &'t TenantSnapshot,
    pub(crate) known: bool,
    /// The number of the user; [`NONE`] for anonymous and for users that the policy names nowhere.
    pub(crate) user: u32,
    profile: Option<&'t Profile>,
    groups: Groups,
    pub(crate) roles: Set<TenantRole>,
    pub(crate) permissions: Set<Permission>,
}

impl<'t> Principal<'t> {
    pub(crate) fn new(tenant: &'t TenantSnapshot, subject: &Subject) -> Self {
        let id = subject.user_id();
        let user = id.and_then(|id| tenant.users.get(id)).copied().unwrap_or(NONE);
        let profile = tenant.user_profiles.get(user);
        let everybody = if id.is_some() { tenant.default_permissions } else { Set::EMPTY };
        let mut principal = Self {
            tenant,
            known: id.is_some(),
            user,
            profile,
            groups: Groups::default(),
            roles: profile.map_or(Set::EMPTY, |profile| profile.roles),
            permissions: profile.map_or(Set::EMPTY, |profile| profile.permissions).or(everybody),
        };
        // Of anonymous there are none, and none would count.
        let groups = if id.is_some() { subject.token_groups() } else { &[] };
        for group in groups {
            if let Some(number) = tenant.groups.get(group.as_str()).copied() {
                principal.join(number);
            }
        }
        principal
    }

    fn join(&mut self, group: u32) {
        if let Some(profile) = self.tenant.group_profiles.get(group) {
            self.roles = self.roles.or(profile.roles);
            self.permissions = self.permissions.or(profile.permissions);
            self.groups.push(group);
        }
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.profile.is_some_and(|profile| profile.disabled)
    }

    pub(crate) fn is_administrator(&self) -> bool {
        self.roles.meets(MATRIX.admin_roles)
    }

    pub(crate) fn is_restricted(&self) -> bool {
        self.roles.has(TenantRole::EmbeddedAnalyticsUser)
    }

    /// The roles in a space: all memberships together.
    pub(crate) fn space_roles(&self, space: u32) -> Set<SpaceRole> {
        let own = self.profile.map_or(Set::EMPTY, |profile| profile.space_roles(space));
        self.joined().fold(own, |roles, profile| roles.or(profile.space_roles(space)))
    }

    /// For each of so many spaces, whether the principal is a member.
    pub(crate) fn spaces(&self, spaces: usize) -> Vec<bool> {
        let mut member = vec![false; spaces];
        for (space, _) in self.profiles().flat_map(|profile| &profile.memberships) {
            if let Some(slot) = usize::try_from(*space).ok().and_then(|space| member.get_mut(space)) {
                *slot = true;
            }
        }
        member
    }

    fn joined(&self) -> impl Iterator<Item = &'t Profile> {
        self.groups.iter().filter_map(|group| self.tenant.group_profiles.get(group))
    }

    fn profiles(&self) -> impl Iterator<Item = &'t Profile> {
        self.profile.into_iter().chain(self.joined())
    }

    /// The groups of the token that the policy knows.
    pub(crate) fn token_group_numbers(&self) -> impl Iterator<Item = u32> {
        self.groups.iter()
    }

    /// The custom roles that hold any of these permissions.
    pub(crate) fn custom_roles_with(&self, permissions: Set<Permission>) -> impl Iterator<Item = &'t str> {
        self.profiles()
            .flat_map(|profile| &profile.custom_roles)
            .filter_map(|number| at(&self.tenant.custom_roles, *number))
            .filter(move |role| role.permissions.meets(permissions))
            .map(|role| &*role.name)
    }

    /// The names of all roles.
    pub(crate) fn role_names(&self) -> impl Iterator<Item = &'t str> {
        self.profiles().flat_map(|profile| &profile.role_names).map(|name| &**name)
    }

    /// The names of the groups that the policy gives.
    pub(crate) fn group_names(&self) -> impl Iterator<Item = &'t str> {
        self.profile.into_iter().flat_map(|profile| &profile.group_names).map(|name| &**name)
    }
}
