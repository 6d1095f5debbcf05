//! What rules can ask about stored resources and users; nothing else of them is kept.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::tenant::{NONE, Things, at, index};
use crate::hash::IdMap;
use crate::policy::{Tenant, User};
use crate::resource::{AttributeValue, Attributes, Resource};

/// Names of attributes, links and custom properties that rules use, in lower case.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Names {
    index: HashMap<Box<str>, u32>,
    list: Vec<Box<str>>,
}

impl Names {
    /// The number of a name in lower case, a new one if need be.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.index.get(name) {
            return *number;
        }
        let number = index(self.list.len());
        self.index.insert(name.into(), number);
        self.list.push(name.into());
        number
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        at(&self.list, number).map_or("", |name| name)
    }

    fn of(&self, name: &str) -> Option<u32> {
        self.index.get(&*name.to_lowercase()).copied()
    }
}

/// Values by the number of their name.
#[derive(Debug, Clone)]
pub(crate) struct Table<T>(Box<[(u32, Box<[T]>)]>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T> Table<T> {
    fn new(entries: impl Iterator<Item = (u32, Vec<T>)>) -> Self {
        Self(entries.map(|(name, values)| (name, values.into())).collect())
    }

    pub(crate) fn get(&self, name: u32) -> &[T] {
        // A thing has few names that rules use.
        self.0.iter().find(|(one, _)| *one == name).map_or(&[], |(_, values)| values)
    }
}

/// A resource or space.
#[derive(Debug, Default)]
pub(crate) struct ThingDetails {
    pub(crate) name: Option<Box<str>>,
    pub(crate) app: u32,
    pub(crate) stream: u32,
    pub(crate) links: Table<u32>,
    pub(crate) attributes: Table<Box<str>>,
    pub(crate) custom: Table<Box<str>>,
}

/// A user.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserDetails {
    pub(crate) directory: Option<Box<str>>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) attributes: Table<Box<str>>,
    pub(crate) custom: Table<Box<str>>,
}

/// Spaces and resources of a tenant, in the order of their numbers.
pub(crate) fn things(policy: &Tenant, names: &Names, things: &Things) -> Arc<[ThingDetails]> {
    let of = |id: &str| match (policy.spaces.get(id), policy.resources.get(id)) {
        (Some(space), _) => {
            // As a resource of the type `Space` that is not stored says it.
            let kind = names.of("type").map(|name| (name, vec![crate::bits::Bit::name(space.kind).into()]));
            ThingDetails {
                name: text(space.name.as_deref()),
                app: NONE,
                stream: NONE,
                attributes: Table::new(kind.into_iter()),
                ..ThingDetails::default()
            }
        }
        (None, Some(resource)) => thing(resource, names, &things.index),
        (None, None) => ThingDetails { app: NONE, stream: NONE, ..ThingDetails::default() },
    };
    things.ids.iter().map(|id| of(id)).collect()
}

fn thing(resource: &Resource, names: &Names, numbers: &IdMap<Arc<str>, u32>) -> ThingDetails {
    let number = |id: &str| numbers.get(id).copied().unwrap_or(NONE);
    let one = |id: Option<&String>| id.map_or(NONE, |id| number(id));
    let links = resource.links.iter().filter_map(|(name, ids)| {
        Some((names.of(name)?, ids.iter().map(|id| number(id)).filter(|number| *number != NONE).collect()))
    });
    ThingDetails {
        name: text(resource.name.as_deref()),
        app: one(resource.app.as_ref()),
        stream: one(resource.stream.as_ref()),
        links: Table::new(links),
        attributes: values(&resource.attributes, names),
        custom: values(&resource.custom, names),
    }
}

/// A user, if the policy lists it.
pub(crate) fn user(user: Option<&User>, names: &Names) -> UserDetails {
    let Some(user) = user else { return UserDetails::default() };
    UserDetails {
        directory: text(user.directory.as_deref()),
        name: text(user.name.as_deref()),
        attributes: values(&user.attributes, names),
        custom: values(&user.custom, names),
    }
}

fn values(attributes: &Attributes, names: &Names) -> Table<Box<str>> {
    let entries = attributes.iter().filter_map(|(name, value)| {
        let mut texts = Vec::new();
        each_text(value, &mut |text| {
            texts.push(text.into());
            false
        });
        Some((names.of(name)?, texts))
    });
    Table::new(entries)
}

/// Gives the texts of a value, until told to stop: an empty one is none. Whether it was told to stop.
pub(crate) fn each_text<'v>(value: &'v AttributeValue, found: &mut dyn FnMut(Cow<'v, str>) -> bool) -> bool {
    match value {
        AttributeValue::Null => false,
        AttributeValue::Bool(value) => found(Cow::Borrowed(if *value { "true" } else { "false" })),
        AttributeValue::Integer(value) => found(Cow::Owned(value.to_string())),
        AttributeValue::Text(text) => !text.is_empty() && found(Cow::Borrowed(text)),
        AttributeValue::List(values) => values.iter().any(|value| each_text(value, found)),
    }
}

fn text(text: Option<&str>) -> Option<Box<str>> {
    text.filter(|text| !text.is_empty()).map(Into::into)
}
