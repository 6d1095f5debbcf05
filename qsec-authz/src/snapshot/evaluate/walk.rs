//! From the requester or a resource along a path to its values.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use super::{Evaluation, Failed, Question, What};
use crate::resource::{Attributes, Resource};
use crate::rule::syntax::Root;
use crate::snapshot::condition::{OfResource, OfUser, Path, Step, same};
use crate::snapshot::details::{Table, ThingDetails, UserDetails, each_text};
use crate::snapshot::tenant::{NONE, Profile, at};

/// A user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who<'e> {
    /// Whoever asks, however reached.
    Requester,
    /// By its number.
    Known(u32),
    /// One that the policy names nowhere.
    Named(&'e str),
}

/// A value at the end of a path.
#[derive(Debug, Clone)]
pub(super) enum Value<'e> {
    Text(Cow<'e, str>),
    User(Who<'e>),
    Resource(What),
}

/// What has values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder<'e> {
    User(Who<'e>),
    Environment,
    Resource(What),
}

/// So many bytes of a text count as a step: more would make long texts cheaper than short ones.
const STEP_BYTES: usize = 64;

/// Takes values, and says when it has enough.
pub(super) trait Found<'e>: FnMut(Value<'e>) -> bool {}

impl<'e, F: FnMut(Value<'e>) -> bool> Found<'e> for F {}

impl<'e> Evaluation<'e> {
    /// Gives the values of a path, until told to stop. Whether it was told to stop.
    pub(super) fn walk(&self, path: &'e Path, question: Question, found: &mut impl Found<'e>) -> Result<bool, Failed> {
        let root = match path.root {
            Root::User => Holder::User(Who::Requester),
            Root::Resource => Holder::Resource(question.what),
        };
        self.follow(root, &path.steps, question, found)
    }

    /// The same from where a path has led to.
    pub(super) fn follow(
        &self,
        mut holder: Holder<'e>,
        steps: &'e [Step],
        question: Question,
        found: &mut impl Found<'e>,
    ) -> Result<bool, Failed> {
        let Some((last, before)) = steps.split_last() else {
            return Ok(match holder {
                // Anonymous is nobody to compare with; another user is, whoever asks.
                Holder::User(who) => (self.principal.known || who != Who::Requester) && found(Value::User(who)),
                Holder::Resource(what) => found(Value::Resource(what)),
                Holder::Environment => false,
            });
        };
        let mut rest = before.iter();
        for step in rest.by_ref() {
            match self.one(holder, step, question) {
                One::Holder(next) => holder = next,
                One::Nothing => return Ok(false),
                One::Several => {
                    let found = &mut |value| found(value);
                    return self.walk_many(holder, step, (rest.as_slice(), last), question, found);
                }
            }
        }
        self.give(holder, last, question, found)
    }

    /// From the first step that can lead to several. Each holder is kept once: values count, not how often they are reached.
    fn walk_many(
        &self,
        holder: Holder<'e>,
        step: &'e Step,
        (rest, last): (&'e [Step], &'e Step),
        question: Question,
        found: &mut dyn FnMut(Value<'e>) -> bool,
    ) -> Result<bool, Failed> {
        let mut holders = vec![holder];
        for step in std::iter::once(step).chain(rest) {
            let mut next = Vec::new();
            for holder in holders {
                match self.one(holder, step, question) {
                    One::Nothing => self.step()?,
                    One::Holder(one) => {
                        self.step()?;
                        next.push(one);
                    }
                    One::Several => {
                        self.give(holder, step, question, &mut |value| {
                            next.extend(if let Value::Resource(what) = value {
                                Some(Holder::Resource(what))
                            } else {
                                None
                            });
                            false
                        })?;
                    }
                }
            }
            next.sort_unstable();
            next.dedup();
            holders = next;
        }
        for holder in holders {
            if self.give(holder, last, question, &mut |value| found(value))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A step that leads to one holder at most.
    fn one(&self, holder: Holder<'e>, step: &Step, question: Question) -> One<'e> {
        let next = match (holder, step) {
            (Holder::User(Who::Requester), Step::Environment) => Some(Holder::Environment),
            (Holder::Resource(what), Step::Resource(OfResource::Owner)) => self.owner(what, question).map(Holder::User),
            (Holder::Resource(what), Step::Resource(OfResource::App)) => self.app(what).map(Holder::Resource),
            (Holder::Resource(what), Step::Resource(OfResource::Stream)) => self.stream(what).map(Holder::Resource),
            (Holder::Resource(_), Step::Resource(OfResource::Linked(_))) => return One::Several,
            _ => None,
        };
        next.map_or(One::Nothing, One::Holder)
    }

    /// The values of one step.
    fn give(
        &self,
        holder: Holder<'e>,
        step: &Step,
        question: Question,
        found: &mut impl Found<'e>,
    ) -> Result<bool, Failed> {
        let mut failed = self.step();
        let mut counted = |value| {
            let length = if let Value::Text(text) = &value { text.len() } else { 0 };
            failed = self.spend((length / STEP_BYTES).saturating_add(1));
            failed.is_err() || found(value)
        };
        let stopped = match (holder, step) {
            (Holder::Resource(what), Step::Resource(asked)) => self.of_resource(what, *asked, question, &mut counted),
            (Holder::User(who), Step::User(asked)) => self.of_user(who, *asked, &mut counted),
            (Holder::Environment, Step::Variable(name)) => of_attributes(self.request.variables(), name, &mut counted),
            _ => false,
        };
        failed.map(|()| stopped)
    }

    fn of_resource(&self, what: What, asked: OfResource, question: Question, found: &mut impl Found<'e>) -> bool {
        match asked {
            OfResource::Id => text(self.id(what), found),
            OfResource::Name => text(self.name(what), found),
            OfResource::Type => text(Some(self.type_name(what)), found),
            OfResource::Filter => {
                let written = format!("{}_{}", self.type_name(what), self.id(what).unwrap_or_default());
                found(Value::Text(Cow::Owned(written)))
            }
            OfResource::Space => {
                let space = self.class(what).map(|class| class.space).filter(|space| *space != NONE);
                text(space.map(|space| self.tenant.thing_id(space)), found)
            }
            OfResource::Owner => self.owner(what, question).is_some_and(|who| found(Value::User(who))),
            OfResource::App => self.app(what).is_some_and(|app| found(Value::Resource(app))),
            OfResource::Stream => self.stream(what).is_some_and(|stream| found(Value::Resource(stream))),
            OfResource::Linked(name) => {
                self.of_links(what, name, found)
                    || self.of_table(what, name, |details| &details.attributes, |resource| &resource.attributes, found)
            }
            OfResource::Custom(name) => {
                self.of_table(what, name, |details| &details.custom, |resource| &resource.custom, found)
            }
        }
    }

    fn details(&self, what: What) -> Option<&'e ThingDetails> {
        match what {
            What::Stored(thing) => at(&self.rules.things, thing),
            What::Described => None,
        }
    }

    fn described_as(&self, what: What) -> Option<&'e Resource> {
        if what == What::Described { self.described.map(|(resource, _)| resource) } else { None }
    }

    fn name(&self, what: What) -> Option<&'e str> {
        let stored = self.details(what).and_then(|details| details.name.as_deref());
        stored.or_else(|| self.described_as(what).and_then(|resource| resource.name.as_deref()))
    }

    fn app(&self, what: What) -> Option<What> {
        let described = self.described_as(what).and_then(|resource| resource.app.as_deref());
        self.stored(self.details(what).map(|details| details.app), described)
    }

    fn stream(&self, what: What) -> Option<What> {
        let described = self.described_as(what).and_then(|resource| resource.stream.as_deref());
        self.stored(self.details(what).map(|details| details.stream), described)
    }

    fn stored(&self, number: Option<u32>, id: Option<&str>) -> Option<What> {
        let number = number.or_else(|| id.and_then(|id| self.tenant.things.index.get(id)).copied());
        number.filter(|number| *number != NONE).map(What::Stored)
    }

    fn of_links(&self, what: What, name: u32, found: &mut impl Found<'e>) -> bool {
        if let Some(details) = self.details(what) {
            return details.links.get(name).iter().any(|thing| found(Value::Resource(What::Stored(*thing))));
        }
        let Some(resource) = self.described_as(what) else { return false };
        let name = self.rules.names.name(name);
        let links = resource.links.iter().filter(|(link, _)| same(false, link, name));
        links
            .flat_map(|(_, ids)| ids)
            .any(|id| self.stored(None, Some(id)).is_some_and(|what| found(Value::Resource(what))))
    }

    fn of_table(
        &self,
        what: What,
        name: u32,
        stored: fn(&ThingDetails) -> &Table<Box<str>>,
        described: fn(&Resource) -> &Attributes,
        found: &mut impl Found<'e>,
    ) -> bool {
        if let Some(details) = self.details(what) {
            return texts(stored(details).get(name), found);
        }
        let name = self.rules.names.name(name);
        self.described_as(what).is_some_and(|resource| of_attributes(described(resource), name, found))
    }

    fn of_user(&self, who: Who<'e>, asked: OfUser, found: &mut impl Found<'e>) -> bool {
        let details = self.user(who);
        match asked {
            OfUser::Id => text(self.user_id(who), found),
            OfUser::Directory => text(details.and_then(|details| details.directory.as_deref()), found),
            OfUser::Name => text(details.and_then(|details| details.name.as_deref()), found),
            OfUser::Group => match who {
                Who::Requester => {
                    let of_token = self.request.subject().token_groups().iter().map(String::as_str);
                    self.principal.group_names().chain(of_token).any(|name| text(Some(name), found))
                }
                Who::Known(_) | Who::Named(_) => self.of_profile(who, |profile| &profile.group_names, found),
            },
            OfUser::Role => match who {
                Who::Requester => self.principal.role_names().any(|name| text(Some(name), found)),
                Who::Known(_) | Who::Named(_) => self.of_profile(who, |profile| &profile.role_names, found),
            },
            OfUser::Attribute(name) => details.is_some_and(|details| texts(details.attributes.get(name), found)),
            OfUser::Custom(name) => details.is_some_and(|details| texts(details.custom.get(name), found)),
        }
    }

    fn user(&self, who: Who<'e>) -> Option<&'e UserDetails> {
        match who {
            Who::Requester => self.rules.users.get(self.principal.user),
            Who::Known(user) => self.rules.users.get(user),
            Who::Named(_) => None,
        }
    }

    fn user_id(&self, who: Who<'e>) -> Option<&'e str> {
        match who {
            Who::Requester => self.request.subject().user_id(),
            Who::Known(user) => self.tenant.user_profiles.get(user).map(|profile| &*profile.name),
            Who::Named(id) => Some(id),
        }
    }

    fn of_profile(&self, who: Who<'e>, list: fn(&Profile) -> &Vec<Arc<str>>, found: &mut impl Found<'e>) -> bool {
        let Who::Known(user) = who else { return false };
        self.tenant.user_profiles.get(user).is_some_and(|profile| texts(list(profile), found))
    }

    /// A value as a text: users and resources are their ids, if they have one.
    pub(super) fn text_of<'v>(&self, value: &'v Value<'e>) -> Option<Cow<'v, str>>
    where
        'e: 'v,
    {
        match value {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Resource(what) => self.id(*what).map(Cow::Borrowed),
            Value::User(who) => {
                let id = self.user_id(*who)?;
                Some(match self.user(*who).and_then(|details| details.directory.as_deref()) {
                    Some(directory) => Cow::Owned(format!("{directory}\\{id}")),
                    None => Cow::Borrowed(id),
                })
            }
        }
    }
}

/// Where a step leads that is not the last.
enum One<'e> {
    Holder(Holder<'e>),
    Nothing,
    Several,
}

fn text<'e>(text: Option<&'e str>, found: &mut impl Found<'e>) -> bool {
    text.is_some_and(|text| !text.is_empty() && found(Value::Text(Cow::Borrowed(text))))
}

fn texts<'e, T: Deref<Target = str>>(all: &'e [T], found: &mut impl Found<'e>) -> bool {
    all.iter().any(|one| text(Some(one), found))
}

fn of_attributes<'e>(attributes: &'e Attributes, name: &str, found: &mut impl Found<'e>) -> bool {
    let named = attributes.iter().filter(|(one, _)| same(false, one, name));
    named.into_iter().any(|(_, value)| each_text(value, &mut |text| found(Value::Text(text))))
}
