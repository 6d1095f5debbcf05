//! The rules of a tenant, found by type, action and what the requester has.
//!
//! A rule is listed for each action under each type that its filter names, or under every type. If its condition can hold
//! only for requesters that have a certain group, role, id or directory (a *guard*), it is listed under that, and nobody else ever
//! looks at it. What is found so is only a candidate: filter, context and condition are always checked whole.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use super::condition::{Node, Test, folded};
use super::details::{Names, ThingDetails, UserDetails};
use super::principal::Principal;
use super::tenant::{NONE, at};
use crate::action::Action;
use crate::bits::Set;
use crate::hash::{IdMap, Keyed};
use crate::pages::Pages;
use crate::request::Subject;
use crate::rule::Sides;
use crate::rule::filter::Filter;

/// A rule that can be evaluated.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) name: Box<str>,
    pub(crate) disabled: bool,
    pub(crate) filter: Filter,
    /// Every resource under whose type it is listed is meant.
    pub(crate) means_all: bool,
    pub(crate) actions: Set<Action>,
    pub(crate) sides: Sides,
    pub(crate) condition: Node,
}

/// What a guard asks the requester for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trait {
    Group,
    Role,
    Id,
    Directory,
}

/// Guards by their text in lower case.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Guards {
    pub(super) groups: IdMap<Box<str>, u32>,
    pub(super) roles: IdMap<Box<str>, u32>,
    pub(super) ids: IdMap<Box<str>, u32>,
    pub(super) directories: IdMap<Box<str>, u32>,
    pub(super) count: u32,
}

impl Guards {
    fn of(&self, what: Trait) -> &IdMap<Box<str>, u32> {
        match what {
            Trait::Group => &self.groups,
            Trait::Role => &self.roles,
            Trait::Id => &self.ids,
            Trait::Directory => &self.directories,
        }
    }

    /// The guard that a text satisfies, if some rule has it.
    pub(super) fn find(&self, what: Trait, text: &str) -> Option<u32> {
        let guards = self.of(what);
        if guards.is_empty() { None } else { guards.get(&*folded(text)).copied() }
    }
}

/// The guards of a requester: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum HeldGuards<'r> {
    Known(&'r [u32]),
    Collected(Rc<[u32]>),
}

impl Deref for HeldGuards<'_> {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match self {
            Self::Known(guards) => guards,
            Self::Collected(guards) => guards,
        }
    }
}

/// Rules for one action under one type, or under every type.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// For whoever asks.
    pub(super) open: Vec<u32>,
    /// For whoever has the guard.
    pub(super) guarded: Guarded,
    /// For the resource of that id.
    pub(super) by_id: IdMap<Box<str>, Vec<u32>>,
}

impl Bucket {
    fn for_id(&self, id: Option<&str>) -> &[u32] {
        if self.by_id.is_empty() {
            return &[];
        }
        id.and_then(|id| self.by_id.get(id)).map_or(&[], Vec::as_slice)
    }
}

/// Rules by their guard.
#[derive(Debug, Default)]
pub(crate) struct Guarded {
    rules: HashMap<u32, Vec<u32>, Keyed>,
    /// The guards modulo the size of a word: what is not marked is not asked for.
    marks: u64,
}

impl Guarded {
    pub(super) fn add(&mut self, guard: u32, rule: u32) {
        self.marks |= 1_u64.wrapping_shl(guard);
        let rules = self.rules.entry(guard).or_default();
        if rules.last() != Some(&rule) {
            rules.push(rule);
        }
    }

    /// Rules for whoever has the guard.
    #[inline]
    fn of(&self, guard: u32) -> &[u32] {
        if self.marks.wrapping_shr(guard) & 1 == 0 {
            return &[];
        }
        self.rules.get(&guard).map_or(&[], Vec::as_slice)
    }
}

/// The rules of a tenant, whoever and whatever it has.
#[derive(Debug)]
pub(crate) struct RuleSet {
    /// In the order of the policy, those of personas first.
    pub(crate) all: Vec<CompiledRule>,
    pub(super) buckets: HashMap<(u32, Action), Bucket, Keyed>,
    /// The types that filters name.
    pub(super) types: IdMap<Box<str>, u32>,
    pub(super) guards: Guards,
    pub(crate) facts: Vec<Test>,
    pub(crate) names: Names,
}

/// The rules of a tenant, with what they ask of its users and resources.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(super) set: Arc<RuleSet>,
    /// The types that filters name, by the tenant's own numbers of types.
    pub(super) stored_types: Box<[u32]>,
    /// The guards that users and groups of the policy satisfy, by number.
    pub(super) user_guards: Pages<Box<[u32]>>,
    pub(super) group_guards: Pages<Box<[u32]>>,
    pub(crate) users: Pages<UserDetails>,
    pub(crate) things: Arc<[ThingDetails]>,
}

impl RuleSet {
    /// Whether other rules ask the same of users and resources, by the same numbers.
    pub(super) fn asks_as(&self, other: &Self) -> bool {
        self.names == other.names && self.guards == other.guards
    }
}

impl Deref for Rules {
    type Target = RuleSet;

    fn deref(&self) -> &RuleSet {
        &self.set
    }
}

impl Rules {
    /// The guards that a requester satisfies, sorted.
    pub(crate) fn guards_of(&self, principal: &Principal<'_>, subject: &Subject) -> HeldGuards<'_> {
        let known = self.user_guards.get(principal.user);
        let Some(id) = subject.user_id().filter(|_| self.guards.count > 0) else { return HeldGuards::Known(&[]) };
        if let (Some(known), []) = (known, subject.token_groups()) {
            return HeldGuards::Known(known);
        }
        let mut guards = known.map_or_else(Vec::new, |known| known.to_vec());
        if known.is_none() {
            guards.extend(self.guards.find(Trait::Id, id));
        }
        for group in subject.token_groups() {
            guards.extend(self.guards.find(Trait::Group, group));
        }
        for group in principal.token_group_numbers() {
            guards.extend(self.group_guards.get(group).into_iter().flatten());
        }
        guards.sort_unstable();
        guards.dedup();
        HeldGuards::Collected(guards.into())
    }

    /// A keyed hash.
    pub(crate) fn keyed(&self) -> Keyed {
        self.buckets.hasher().clone()
    }

    /// The number of a type, of the tenant's own or by name.
    pub(crate) fn type_number(&self, stored: u32, name: &str) -> u32 {
        let number = if stored == NONE { self.types.get(name) } else { at(&self.stored_types, stored) };
        number.copied().unwrap_or(NONE)
    }

    fn buckets(&self, type_number: u32, action: Action) -> impl Iterator<Item = &Bucket> + use<'_> {
        let own = if type_number == NONE { None } else { self.buckets.get(&(type_number, action)) };
        own.into_iter().chain(self.buckets.get(&(NONE, action)))
    }

    /// Whether any rule could grant the action on a resource of the type: if not, none does.
    pub(crate) fn may_grant(&self, type_number: u32, action: Action, guards: &[u32]) -> bool {
        self.buckets(type_number, action).any(|bucket| {
            !bucket.open.is_empty()
                || !bucket.by_id.is_empty()
                || guards.iter().any(|guard| !bucket.guarded.of(*guard).is_empty())
        })
    }

    /// All rules that could grant the action on some resource of the type, each once.
    pub(crate) fn possible(&self, type_number: u32, action: Action, guards: &[u32]) -> BTreeSet<u32> {
        let mut all = BTreeSet::new();
        for bucket in self.buckets(type_number, action) {
            all.extend(bucket.open.iter().chain(bucket.by_id.values().flatten()));
            all.extend(guards.iter().flat_map(|guard| bucket.guarded.of(*guard)));
        }
        all
    }

    /// The groups that conditions compare with, in lower case.
    pub(crate) fn named_groups(&self) -> impl Iterator<Item = &str> {
        self.guards.groups.keys().map(|name| &**name)
    }

    /// The types that filters name.
    pub(crate) fn named_types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(|name| &**name)
    }

    /// Gives the rules that could grant the action on this resource, until told to stop; one may come twice.
    pub(crate) fn candidates<'r>(
        &'r self,
        (type_number, action): (u32, Action),
        id: Option<&str>,
        guards: &[u32],
        mut found: impl FnMut(&'r CompiledRule) -> bool,
    ) {
        let mut give = |numbers: &[u32]| numbers.iter().any(|number| at(&self.all, *number).is_some_and(&mut found));
        for bucket in self.buckets(type_number, action) {
            if give(&bucket.open)
                || give(bucket.for_id(id))
                || guards.iter().any(|guard| give(bucket.guarded.of(*guard)))
            {
                return;
            }
        }
    }
}
