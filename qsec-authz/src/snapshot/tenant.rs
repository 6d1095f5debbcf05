//! A compiled tenant: ids interned, roles as bits, resources by class.

use std::sync::Arc;

use super::grouped::Grouped;
use super::rules::Rules;
use crate::bits::Set;
use crate::hash::IdMap;
use crate::pages::Pages;
use crate::policy::{Model, TenantStatus};
use crate::tables::{Kind, Permission, Place, SpaceRole, TenantRole};

/// An index that points to nothing.
pub(crate) const NONE: u32 = u32::MAX;

/// A tenant that decides. What a change of the policy leaves as it was is shared with the one before.
#[derive(Debug)]
pub(crate) struct TenantSnapshot {
    pub(crate) version: u64,
    pub(crate) status: TenantStatus,
    pub(crate) model: Model,
    pub(crate) default_permissions: Set<Permission>,
    pub(crate) custom_roles: Arc<[CustomRole]>,
    /// How many users and groups were named when the tenant was last compiled as a whole.
    pub(crate) names: usize,
    /// Users that the policy names anywhere: listed, owning something, or a member of a space; and some that it named before,
    /// who have nothing.
    pub(crate) users: Arc<IdMap<Arc<str>, u32>>,
    pub(crate) user_profiles: Pages<Profile>,
    pub(crate) groups: Arc<IdMap<Arc<str>, u32>>,
    pub(crate) group_profiles: Pages<Profile>,
    pub(crate) things: Things,
    /// `None` if the tenant has neither rules nor personas.
    pub(crate) rules: Option<Box<Rules>>,
}

/// All resources and spaces: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Things {
    /// How many are spaces of the policy: they have the first numbers.
    pub(crate) spaces: usize,
    /// Spaces, then resources, each in the order of their ids.
    pub(crate) placed: Arc<[Thing]>,
    pub(crate) ids: Arc<[Arc<str>]>,
    pub(crate) index: Arc<IdMap<Arc<str>, u32>>,
    /// Things that are part of an app, in the order of their numbers, with the app.
    pub(crate) apps: Arc<[(u32, u32)]>,
    pub(crate) classes: Arc<[Class]>,
    /// Things by the number of their class.
    pub(crate) by_class: Arc<Grouped>,
    /// Things by the number of their owner plus one, so that those of nobody come first.
    pub(crate) by_owner: Arc<Grouped>,
    pub(crate) type_names: Arc<[Box<str>]>,
}

impl Things {
    /// The number of a type; [`NONE`] if nothing is of it.
    pub(crate) fn type_number(&self, name: &str) -> u32 {
        self.type_names.iter().position(|known| **known == *name).map_or(NONE, index)
    }

    /// Those of an owner, or of nobody.
    pub(crate) fn owned_by(&self, owner: u32) -> &[u32] {
        self.by_owner.of(owner.wrapping_add(1))
    }
}

#[derive(Debug)]
pub(crate) struct CustomRole {
    pub(crate) name: Box<str>,
    pub(crate) permissions: Set<Permission>,
}

/// What a user has, with its groups of the policy; or what a group gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profile {
    /// The id of the user, the name of the group.
    pub(crate) name: Arc<str>,
    pub(crate) disabled: bool,
    pub(crate) roles: Set<TenantRole>,
    pub(crate) permissions: Set<Permission>,
    pub(crate) custom_roles: Vec<u32>,
    /// Sorted by space, one entry a space.
    pub(crate) memberships: Vec<(u32, Set<SpaceRole>)>,
    /// Names, for explanations.
    pub(crate) role_names: Vec<Arc<str>>,
    pub(crate) group_names: Vec<Arc<str>>,
}

impl Profile {
    pub(crate) fn space_roles(&self, space: u32) -> Set<SpaceRole> {
        match self.memberships.binary_search_by_key(&space, |(one, _)| *one) {
            Ok(found) => self.memberships.get(found).map_or(Set::EMPTY, |(_, roles)| *roles),
            Err(_) => Set::EMPTY,
        }
    }
}

/// A resource or space: what tells it from the others of its class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thing {
    pub(crate) class: u32,
    /// Who owns it; [`NONE`] if nobody.
    pub(crate) owner: u32,
}

/// What many things have in common, and all that the tables look at besides the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Class {
    pub(crate) type_name: u32,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    /// The space, as a thing; [`NONE`] if in none.
    pub(crate) space: u32,
    /// In no space and no stream, nor its app.
    pub(crate) alone: bool,
}

/// An index as it is kept: a policy has fewer than 2^32 of anything, by the bound on its size.
pub(crate) fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(NONE)
}

pub(crate) fn at<T>(list: &[T], index: u32) -> Option<&T> {
    list.get(usize::try_from(index).ok()?)
}

impl TenantSnapshot {
    pub(crate) fn thing(&self, id: &str) -> Option<(u32, Thing, Class)> {
        let index = *self.things.index.get(id)?;
        let (thing, class) = self.stored(index)?;
        Some((index, thing, class))
    }

    /// The thing of that number.
    pub(crate) fn stored(&self, index: u32) -> Option<(Thing, Class)> {
        let thing = *at(&self.things.placed, index)?;
        Some((thing, *at(&self.things.classes, thing.class)?))
    }

    /// The app that a thing is part of.
    pub(crate) fn app_of(&self, index: u32) -> Option<u32> {
        let found = self.things.apps.binary_search_by_key(&index, |(thing, _)| *thing).ok()?;
        self.things.apps.get(found).map(|(_, app)| *app)
    }

    pub(crate) fn thing_id(&self, index: u32) -> &str {
        at(&self.things.ids, index).map_or("", |id| id)
    }
}
