//! Resources and spaces: where each stands, and whose it is.

use std::collections::HashMap;
use std::sync::Arc;

use super::people::Interned;
use super::{place, standing};
use crate::hash::IdMap;
use crate::policy::Tenant;
use crate::resource::Resource;
use crate::snapshot::grouped::Grouped;
use crate::snapshot::tenant::{Class, NONE, Thing, Things, index};
use crate::tables::Kind;

/// Numbers and places all spaces and resources.
pub(super) fn things(policy: &Tenant, users: &mut Interned) -> Things {
    let ids = ids(policy);
    let numbers: IdMap<Arc<str>, u32> =
        ids.iter().enumerate().map(|(position, id)| (Arc::clone(id), index(position))).collect();
    let mut placing = Placing::new(&numbers);
    for (id, space) in &policy.spaces {
        let type_name = placing.type_number("Space");
        let (kind, place) = (Kind::Space, space.kind.place());
        let class = Class { type_name, kind, place, space: placing.number(id), alone: false };
        placing.put(class, space.owner.as_deref(), users);
    }
    for (id, resource) in resources(policy) {
        let class = placing.class(policy, resource);
        let app = resource.app.as_deref().map(|app| (placing.number(id), placing.number(app)));
        placing.apps.extend(app);
        placing.put(class, resource.owner.as_deref(), users);
    }
    Things {
        spaces: policy.spaces.len(),
        by_class: Arc::new(Grouped::new(placing.placed.iter().map(|thing| thing.class))),
        by_owner: Arc::new(Grouped::new(placing.placed.iter().map(|thing| thing.owner.wrapping_add(1)))),
        placed: placing.placed.into(),
        apps: placing.apps.into(),
        classes: placing.classes.into(),
        type_names: placing.type_names.into(),
        ids,
        index: Arc::new(numbers),
    }
}

/// All spaces, then all resources, each in the order of ids: a space keeps its number when resources come and go.
fn ids(policy: &Tenant) -> Arc<[Arc<str>]> {
    policy.spaces.keys().chain(resources(policy).map(|(id, _)| id)).map(|id| id.as_str().into()).collect()
}

/// The id of a resource is never that of a space.
fn resources(policy: &Tenant) -> impl Iterator<Item = (&String, &Resource)> {
    policy.resources.iter().filter(|(id, _)| !policy.spaces.contains_key(*id))
}

struct Placing<'n> {
    numbers: &'n IdMap<Arc<str>, u32>,
    known: HashMap<Class, u32>,
    types: HashMap<Box<str>, u32>,
    placed: Vec<Thing>,
    apps: Vec<(u32, u32)>,
    classes: Vec<Class>,
    type_names: Vec<Box<str>>,
}

impl<'n> Placing<'n> {
    fn new(numbers: &'n IdMap<Arc<str>, u32>) -> Self {
        Self {
            numbers,
            known: HashMap::new(),
            types: HashMap::new(),
            placed: Vec::with_capacity(numbers.len()),
            apps: Vec::new(),
            classes: Vec::new(),
            type_names: Vec::new(),
        }
    }

    fn number(&self, id: &str) -> u32 {
        self.numbers.get(id).copied().unwrap_or(NONE)
    }

    fn type_number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.types.get(name) {
            return *number;
        }
        let number = index(self.type_names.len());
        self.types.insert(name.into(), number);
        self.type_names.push(name.into());
        number
    }

    fn class(&mut self, policy: &Tenant, resource: &Resource) -> Class {
        let kind = Kind::of(resource.type_name());
        let (space, alone) = standing(policy, resource, 0);
        let space_type = space.and_then(|space| policy.spaces.get(space)).map(|space| space.kind);
        let place = place(kind, resource, space_type, alone);
        // A space stands in itself, and one that is not listed under `spaces` has no members.
        let space = space.filter(|_| kind != Kind::Space).map_or(NONE, |space| self.number(space));
        Class { type_name: self.type_number(resource.type_name()), kind, place, space, alone }
    }

    fn put(&mut self, class: Class, owner: Option<&str>, users: &mut Interned) {
        let class = *self.known.entry(class).or_insert_with(|| {
            self.classes.push(class);
            index(self.classes.len().saturating_sub(1))
        });
        let owner = owner.map_or(NONE, |owner| users.number(owner));
        self.placed.push(Thing { class, owner });
    }
}
