//! Does a change give somebody more than the actor holds?
//!
//! The old and the new tenant are compared entry by entry, whatever the change was called: what nobody thought of as a grant is
//! found as one.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::Touched;
use super::holdings::Holdings;
use super::reaction::{Reaction, Trait, denies_by_privilege, reaction};
use crate::action::Action;
use crate::bits::{Bit, Set};
use crate::policy::{Group, Member, Model, Permissions, Rule, Space, SpaceRoles, Tenant, User};
use crate::request::{Context, Subject};
use crate::resource::AttributeValue;
use crate::rule::{ReadRule, lexer, persona};
use crate::snapshot::Snapshot;
use crate::store::EntryKind;
use crate::tables::{Permission, SpaceRole, TenantRole};

/// The old and the new tenant, and what the change gives that the actor does not hold.
pub(super) struct Comparison<'a> {
    pub(super) old: &'a Tenant,
    pub(super) new: &'a Tenant,
    pub(super) before: &'a Snapshot,
    pub(super) after: &'a Snapshot,
    pub(super) holdings: &'a Holdings<'a>,
    exceeding: BTreeSet<String>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        (old, before): (&'a Tenant, &'a Snapshot),
        (new, after): (&'a Tenant, &'a Snapshot),
        holdings: &'a Holdings<'a>,
    ) -> Self {
        Self { old, new, before, after, holdings, exceeding: BTreeSet::new() }
    }

    /// What the actor does not hold, sorted; nothing if the change may be made.
    pub(super) fn exceeding(mut self, touched: &Touched) -> Vec<String> {
        if self.holdings.is_top() {
            return Vec::new();
        }
        for (kind, id) in touched {
            match kind {
                EntryKind::Tenant => self.settings(),
                EntryKind::Role => self.custom_role(id),
                EntryKind::Group => self.group(id),
                EntryKind::User => self.user(id),
                EntryKind::Space => self.space(id),
                EntryKind::Resource => self.resource(id),
                EntryKind::Rule => self.rule(id),
            }
        }
        self.denials_by_privilege();
        self.exceeding.into_iter().collect()
    }

    fn demand(&mut self, held: bool, what: impl FnOnce() -> String) {
        if !held {
            self.exceeding.insert(what());
        }
    }

    fn settings(&mut self) {
        let default =
            |tenant: &Tenant| tenant.settings.user_default.map_or_else(Permission::user_default, |list| list.0);
        let gained = default(self.new).without(default(self.old));
        self.demand_permissions(gained, || "default".to_owned());
        for (name, groups) in &self.new.settings.personas {
            let had = self.old.settings.personas.get(name);
            if groups.iter().any(|group| had.is_none_or(|had| !had.contains(group))) {
                for (rule, read) in persona::rules(name, groups) {
                    self.demand(self.holdings.covers(&read), || format!("rule:{rule}"));
                }
            }
        }
    }

    fn demand_permissions(&mut self, gained: Set<Permission>, what: impl FnOnce() -> String) {
        let held = self.new.model() == Model::Enterprise || self.holdings.has_permissions(gained);
        self.demand(held, what);
    }

    fn custom_role(&mut self, name: &str) {
        let permissions = |tenant: &Tenant| tenant.roles.get(name).map_or(Set::EMPTY, |list: &Permissions| list.0);
        let gained = permissions(self.new).without(permissions(self.old));
        self.demand_permissions(gained, || format!("role:{name}"));
    }

    fn group(&mut self, name: &str) {
        let nothing = Group::default();
        let (old, new) = (self.old.groups.get(name).unwrap_or(&nothing), self.new.groups.get(name).unwrap_or(&nothing));
        new.roles.difference(&old.roles).for_each(|role| self.role_gained(role));
        old.roles.difference(&new.roles).for_each(|role| self.role_lost(role));
    }

    fn role_gained(&mut self, name: &str) {
        if self.new.model() == Model::Cloud {
            match (TenantRole::named(name), self.new.roles.get(name)) {
                (Some(role), _) => self.demand(self.holdings.has_role(role), || format!("role:{name}")),
                (None, Some(list)) => self.demand_permissions(list.0, || format!("role:{name}")),
                (None, None) => self.demand(false, || format!("role:{name}")),
            }
        }
        self.trait_changed(Trait::Role(name), true, self.holdings.has_role_name(name));
    }

    fn role_lost(&mut self, name: &str) {
        // It is the one role that takes away: to lose it is to gain all the rest.
        let restrictive = TenantRole::named(name) == Some(TenantRole::EmbeddedAnalyticsUser);
        self.demand(!restrictive || self.old.model() == Model::Enterprise, || format!("role:{name}"));
        self.trait_changed(Trait::Role(name), false, !self.holdings.has_role_name(name));
    }

    fn user(&mut self, id: &str) {
        let nobody = User::default();
        let old = self.old.users.get(id).unwrap_or(&nobody);
        let new = self.new.users.get(id).unwrap_or(&nobody);
        let wakes = old.disabled && !new.disabled;
        // Whoever may act again gains all that it has, not what was written just now.
        let old = if wakes { &nobody } else { old };
        new.roles.difference(&old.roles).for_each(|role| self.role_gained(role));
        old.roles.difference(&new.roles).for_each(|role| self.role_lost(role));
        new.groups.difference(&old.groups).for_each(|group| self.group_gained(group));
        old.groups.difference(&new.groups).for_each(|group| self.group_lost(group));
        if wakes {
            self.memberships_gained(&Member::User(id.to_owned()));
            let spaces = self.new.spaces.iter().filter(|(_, space)| space.owner.as_deref() == Some(id));
            spaces.for_each(|(space, _)| self.space_gained(space, Set::of(&[SpaceRole::Owner])));
            // A rule may name nobody but this one.
            self.trait_changed(Trait::Id(id), true, self.holdings.user_id() == id);
        }
        self.attributes(old, new);
    }

    fn group_gained(&mut self, name: &str) {
        if let Some(group) = self.new.groups.get(name) {
            group.roles.iter().for_each(|role| self.role_gained(role));
        }
        self.memberships_gained(&Member::Group(name.to_owned()));
        self.trait_changed(Trait::Group(name), true, self.holdings.is_in_group(name));
    }

    fn group_lost(&mut self, name: &str) {
        if let Some(group) = self.old.groups.get(name) {
            group.roles.iter().for_each(|role| self.role_lost(role));
        }
        self.trait_changed(Trait::Group(name), false, !self.holdings.is_in_group(name));
    }

    fn memberships_gained(&mut self, member: &Member) {
        for (id, space) in &self.new.spaces {
            if let Some(roles) = space.members.get(member) {
                self.space_gained(id, roles.0);
            }
        }
    }

    fn space_gained(&mut self, space: &str, roles: Set<SpaceRole>) {
        if self.new.model() == Model::Enterprise {
            return;
        }
        for role in roles.iter() {
            self.demand(self.holdings.has_space_role(space, role), || format!("space:{}@{space}", role.name()));
        }
    }

    /// What rules read of a user besides groups and roles.
    fn attributes(&mut self, old: &User, new: &User) {
        let actor = self.holdings.entry();
        if old.directory != new.directory {
            for (value, gained) in [(&old.directory, false), (&new.directory, true)] {
                let same = actor.is_some_and(|actor| actor.directory == *value);
                if let Some(value) = value {
                    self.trait_changed(Trait::Directory(value), gained, same == gained);
                }
            }
        }
        if old.name != new.name {
            self.trait_changed(Trait::Name, true, actor.is_some_and(|actor| actor.name == new.name));
            self.trait_changed(Trait::Name, false, false);
        }
        let attributes = (&old.attributes, &new.attributes, actor.map(|actor| &actor.attributes));
        self.values(attributes, Trait::Attribute);
        let custom = (&old.custom, &new.custom, actor.map(|actor| &actor.custom));
        self.values(custom, Trait::Custom);
    }

    fn values<'n>(
        &mut self,
        (old, new, actors): (&'n Values, &'n Values, Option<&'n Values>),
        of: fn(&'n str) -> Trait<'n>,
    ) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names.into_iter().filter(|name| old.get(*name) != new.get(*name)) {
            let same = actors.is_some_and(|actors| actors.get(name) == new.get(name));
            if new.contains_key(name) {
                self.trait_changed(of(name), true, same);
            }
            if old.contains_key(name) {
                self.trait_changed(of(name), false, same);
            }
        }
    }

    /// Rules that could turn true: each is harmless if the actor stands on that side itself, or holds what the rule grants.
    fn trait_changed(&mut self, one: Trait<'_>, gained: bool, actor_too: bool) {
        let actor_too = actor_too && self.holdings.is_unscoped();
        for (name, read) in active_rules(self.new) {
            let harmless = match reaction(&read, one, gained) {
                Reaction::None => true,
                Reaction::OfRequester => actor_too || self.holdings.covers(&read),
                Reaction::OfOwner => self.holdings.covers(&read),
            };
            self.demand(harmless, || format!("rule:{name}"));
        }
    }

    fn space(&mut self, id: &str) {
        // A new space is empty: its owner gains nothing that was there.
        let (Some(old), Some(new)) = (self.old.spaces.get(id), self.new.spaces.get(id)) else { return };
        if old.owner != new.owner {
            self.space_gained(id, Set::of(&[SpaceRole::Owner]));
            if let Some(owner) = &new.owner {
                self.demand_decisions(id, owner);
            }
        }
        if old.name != new.name {
            // Rules may read the name: nobody raises themselves by it.
            let actor = self.holdings.user_id().to_owned();
            self.demand_decisions(id, &actor);
        }
        self.members(id, old, new);
    }

    fn members(&mut self, id: &str, old: &Space, new: &Space) {
        for (member, roles) in &new.members {
            let had = old.members.get(member).map_or(Set::EMPTY, |roles: &SpaceRoles| roles.0);
            self.space_gained(id, roles.0.without(had));
        }
    }

    /// Who owns content is content, not a role: whoever may change it decides that. But nobody raises themselves.
    fn resource(&mut self, id: &str) {
        let (Some(old), Some(new)) = (self.old.resources.get(id), self.new.resources.get(id)) else { return };
        if old.owner != new.owner {
            let actor = self.holdings.user_id().to_owned();
            self.demand_decisions(id, &actor);
        }
    }

    /// What the user may do after the change and could not before, the actor could: with the thing, and with all that leads to it
    /// by links, for rules follow them. Wherever they ask from: rules tell that apart, too.
    fn demand_decisions(&mut self, id: &str, user: &str) {
        let actor = self.holdings.subject();
        let subject = if user == self.holdings.user_id() { actor.clone() } else { Subject::user(user) };
        let follows = active_rules(self.new).next().is_some() || active_rules(self.old).next().is_some();
        let things = if follows { leading_to(self.new, id) } else { BTreeSet::from([id]) };
        for thing in things {
            for action in Action::ALL {
                for context in [Context::Hub, Context::Admin, Context::Embed] {
                    let ask = |subject| self.holdings.ask(subject, *action, thing, context);
                    let request = ask(&subject);
                    let gained = self.after.decide(&request).is_allowed() && !self.before.decide(&request).is_allowed();
                    let held = !gained || self.before.decide(&ask(&actor)).is_allowed();
                    self.demand(held, || format!("{action}@{thing}"));
                }
            }
        }
    }

    fn rule(&mut self, name: &str) {
        let find = |tenant: &'a Tenant| tenant.rules.iter().find(|rule| rule.name == name && !rule.disabled);
        let Some(new) = find(self.new) else { return };
        if find(self.old).is_none_or(|old| !is_narrower(new, old)) {
            self.demand(self.holdings.covers(&new.read), || format!("rule:{name}"));
        }
    }

    /// Whatever changes, somebody may no longer do something, and a rule that waits for that would open.
    fn denials_by_privilege(&mut self) {
        for rule in self.new.rules.iter().filter(|rule| !rule.disabled && denies_by_privilege(&rule.read)) {
            self.demand(self.holdings.covers(&rule.read), || format!("rule:{}", rule.name));
        }
    }
}

/// The thing and all resources from which links lead to it, by whatever way.
fn leading_to<'t>(tenant: &'t Tenant, id: &'t str) -> BTreeSet<&'t str> {
    let mut from: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (resource, body) in &tenant.resources {
        for (_, to) in body.references() {
            from.entry(to).or_default().push(resource);
        }
    }
    let (mut found, mut next) = (BTreeSet::from([id]), vec![id]);
    while let Some(to) = next.pop() {
        let new = from.get(to).into_iter().flatten().copied().filter(|one| found.insert(one));
        next.extend(new);
    }
    found
}

type Values = BTreeMap<String, AttributeValue>;

/// The rules that can grant, those of personas too.
fn active_rules(tenant: &Tenant) -> impl Iterator<Item = (String, std::borrow::Cow<'_, ReadRule>)> {
    let personas = tenant.settings.personas.iter().flat_map(|(name, groups)| persona::rules(name, groups));
    let own = tenant.rules.iter().filter(|rule| !rule.disabled);
    personas
        .map(|(name, read)| (name, std::borrow::Cow::Owned(read)))
        .chain(own.map(|rule| (rule.name.clone(), std::borrow::Cow::Borrowed(&*rule.read))))
}

/// Whether the new rule grants nothing that the old one did not: the same condition, and no more resources, actions or contexts.
fn is_narrower(new: &Rule, old: &Rule) -> bool {
    let words = |rule: &Rule| lexer::normal(rule.condition.as_deref().unwrap_or_default());
    words(new) == words(old)
        && new.read.actions.without(old.read.actions).is_empty()
        && old.read.sides.covers(new.read.sides)
        && old.read.filter.covers(&new.read.filter)
}
