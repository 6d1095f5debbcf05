//! Do the rules of a tenant grant this? Conditions are evaluated as they are written, left to right, and stop early.
//!
//! What fails grants nothing, and what depends on a failure fails too: a question that comes back to itself, or goes too deep,
//! never opens anything by being denied.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::condition::{Node, Path};
use super::principal::Principal;
use super::rules::{CompiledRule, HeldGuards, Rules};
use super::tenant::{Class, NONE, TenantSnapshot};
use super::{Side, Where};
use crate::action::Action;
use crate::explanation::Reason;
use crate::hash::Keyed;
use crate::request::{Request, ResourceRef};
use crate::resource::Resource;
use crate::tables::Place;

mod asked;
pub(crate) mod compare;
pub(crate) mod survey;
mod walk;

use asked::{Answers, Asked, Known};
use walk::{Value, Who};

/// How deep questions may lead to questions: given by the language.
pub(crate) const MAX_DEPTH: usize = 16;
/// Most parts of conditions, values and rules that one decision looks at. One that needs more denies what it has not found by
/// then.
const MAX_STEPS: u32 = 1_000_000;
/// The same for all decisions of one list.
const MAX_LIST_STEPS: u32 = 64_000_000;

/// How many facts are kept.
const FACTS: usize = 16;

/// The evaluation cannot say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// A resource: a stored one, or the one that the request describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    Stored(u32),
    Described,
}

/// A question: may the requester do this to that?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) what: What,
    pub(crate) action: Action,
}

/// A resource that is looked at as if it stood in a target already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moved {
    what: What,
    space: u32,
    place: Place,
}

/// The rules as one requester meets them in one request.
#[derive(Debug)]
pub(crate) struct Evaluation<'e> {
    tenant: &'e TenantSnapshot,
    rules: &'e Rules,
    principal: &'e Principal<'e>,
    request: &'e Request,
    described: Option<(&'e Resource, Class)>,
    moved: Option<Moved>,
    guards: HeldGuards<'e>,
    /// Facts that were looked up, and whether they hold, each at its number modulo the size.
    facts: [(u32, bool); FACTS],
    known: Answers,
    /// Whether answers may be taken from `known`.
    recalls: bool,
    asked: Asked,
    /// In a survey, all that was ever asked.
    surveyed: Option<HashSet<Question, Keyed>>,
    deepest: usize,
    failures: Cell<u32>,
    /// Steps that are left to this decision, and to those after it.
    steps: Cell<u32>,
    reserve: u32,
}

impl<'e> Evaluation<'e> {
    /// `class` is that of the resource that the request describes.
    pub(crate) fn new(
        tenant: &'e TenantSnapshot,
        rules: &'e Rules,
        principal: &'e Principal<'e>,
        request: &'e Request,
        class: Class,
    ) -> Self {
        let described = match request.resource() {
            ResourceRef::Inline(resource) => Some((&**resource, class)),
            ResourceRef::Id(_) | ResourceRef::Any(_) => None,
        };
        Self {
            tenant,
            rules,
            principal,
            request,
            described,
            moved: None,
            guards: rules.guards_of(principal, request.subject()),
            facts: [(NONE, false); FACTS],
            known: Answers::default(),
            recalls: true,
            asked: Asked::new(),
            surveyed: None,
            deepest: 0,
            failures: Cell::new(0),
            steps: Cell::new(0),
            reserve: MAX_LIST_STEPS,
        }
    }

    /// Whether any rule could grant the action on a resource of the class, whichever it is.
    pub(crate) fn may_grant(&self, class: Class, action: Action) -> bool {
        self.rules.may_grant(self.rules.type_number(class.type_name, ""), action, &self.guards)
    }

    /// Whether a rule grants it.
    pub(crate) fn grants(&mut self, what: What, seen: (&Side, Where)) -> bool {
        let question = self.begin(what, seen);
        self.by_rules(question) == Ok(true)
    }

    /// The rules that grant it.
    pub(crate) fn granting(&mut self, what: What, seen: (&Side, Where)) -> BTreeSet<&'e str> {
        let question = self.begin(what, seen);
        let mut names = BTreeSet::new();
        self.candidates(question, |this, rule| {
            let steps = rule.filter.steps();
            if this.spend(steps).is_ok()
                && this.applies(rule, what)
                && this.holds(&rule.condition, question) == Ok(true)
            {
                names.insert(&*rule.name);
            }
            false
        });
        names
    }

    /// Of each rule, why it does not grant it, or `match`.
    pub(crate) fn reasons(&mut self, what: What, seen: (&Side, Where)) -> BTreeMap<&'e str, Reason> {
        let question = self.begin(what, seen);
        let rules = self.rules;
        rules.all.iter().map(|rule| (&*rule.name, self.reason(rule, question))).collect()
    }

    fn reason(&mut self, rule: &'e CompiledRule, question: Question) -> Reason {
        if rule.disabled {
            Reason::Disabled
        } else if !rule.sides.has(self.request.from_context()) {
            Reason::Context
        } else if !rule.filter.matches(self.type_name(question.what), self.id(question.what)) {
            Reason::Filter
        } else if !rule.actions.has(question.action) {
            Reason::Action
        } else {
            match self.holds(&rule.condition, question) {
                Ok(true) => Reason::Match,
                Ok(false) => Reason::Condition,
                Err(Failed) => Reason::Error,
            }
        }
    }

    /// What was found for a resource where it is does not hold for it in a target.
    fn begin(&mut self, what: What, (side, seen): (&Side, Where)) -> Question {
        let moved = (seen == Where::There).then_some(Moved { what, space: side.space, place: side.place });
        if self.moved != moved {
            self.moved = moved;
            self.known = Answers::default();
        }
        self.reserve = self.reserve.saturating_add(self.steps.get());
        self.steps.set(self.reserve.min(MAX_STEPS));
        self.reserve = self.reserve.saturating_sub(self.steps.get());
        let question = Question { what, action: side.action };
        self.asked.clear();
        self.asked.push(question);
        // What was asked on the way to an answer that is known leads back to itself now: that answer was another question's.
        self.recalls = self.known.get(&question).is_none();
        question
    }

    fn fail(&self) -> Failed {
        self.failures.set(self.failures.get().wrapping_add(1));
        Failed
    }

    fn step(&self) -> Result<(), Failed> {
        self.spend(1)
    }

    fn spend(&self, steps: usize) -> Result<(), Failed> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.get().checked_sub(steps));
        self.steps.set(left.unwrap_or_default());
        left.map(|_| ()).ok_or_else(|| self.fail())
    }

    /// Gives the rules that could grant it, until told to stop.
    fn candidates(&mut self, question: Question, mut found: impl FnMut(&mut Self, &'e CompiledRule) -> bool) {
        let type_number = match self.class(question.what) {
            Some(class) if class.type_name != NONE => self.rules.type_number(class.type_name, ""),
            _ => self.rules.type_number(NONE, self.type_name(question.what)),
        };
        let (rules, guards, id) = (self.rules, self.guards.clone(), self.id(question.what));
        rules.candidates((type_number, question.action), id, &guards, |rule| found(self, rule));
    }

    /// Whether a candidate is a rule of this context and about this resource.
    fn applies(&self, rule: &CompiledRule, what: What) -> bool {
        let meant = || rule.means_all || rule.filter.matches(self.type_name(what), self.id(what));
        rule.sides.has(self.request.from_context()) && meant()
    }

    /// Whether some rule grants it; fails if none does and one failed.
    fn by_rules(&mut self, question: Question) -> Result<bool, Failed> {
        let mut answer = Ok(false);
        self.candidates(question, |this, rule| {
            if this.spend(rule.filter.steps()).is_err() {
                answer = Err(Failed);
                return true;
            }
            if this.applies(rule, question.what) {
                match this.holds(&rule.condition, question) {
                    Ok(true) => {
                        answer = Ok(true);
                        return true;
                    }
                    Ok(false) => {}
                    Err(Failed) => answer = Err(Failed),
                }
            }
            false
        });
        answer
    }

    /// Evaluates a condition. It calls itself, so what takes room on the stack stands apart.
    fn holds(&mut self, node: &'e Node, question: Question) -> Result<bool, Failed> {
        self.step()?;
        match node {
            Node::Constant(value) => Ok(*value),
            Node::Not(inner) => self.holds(inner, question).map(|held| !held),
            Node::All(nodes) => {
                for node in nodes {
                    if !self.holds(node, question)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Node::Any(nodes) => {
                for node in nodes {
                    if self.holds(node, question)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Node::Has(guards) => Ok(guards.iter().any(|guard| self.guards.binary_search(guard).is_ok())),
            Node::Fact(fact) => self.fact(*fact, question),
            Node::Test(test) => self.test(test, question),
            Node::IsAnonymous => Ok(!self.principal.known),
            Node::IsOwned(path) => self.is_owned(path, question),
            Node::Empty(path) => self.is_empty(path, question),
            Node::HasPrivilege(path, action) => self.has_privilege(path, *action, question),
        }
    }

    #[inline(never)]
    fn is_owned(&self, path: &'e Path, question: Question) -> Result<bool, Failed> {
        self.walk(path, question, &mut |value| match value {
            Value::Resource(what) => self.owner(what, question).is_some(),
            Value::Text(_) | Value::User(_) => false,
        })
    }

    #[inline(never)]
    fn is_empty(&self, path: &'e Path, question: Question) -> Result<bool, Failed> {
        self.walk(path, question, &mut |_| true).map(|found| !found)
    }

    #[inline(never)]
    fn fact(&mut self, fact: u32, question: Question) -> Result<bool, Failed> {
        let Some(test) = super::tenant::at(&self.rules.facts, fact) else { return Err(self.fail()) };
        let slot = usize::try_from(fact).map_or(0, |fact| fact % FACTS);
        if let Some((_, held)) = self.facts.get(slot).filter(|(one, _)| *one == fact) {
            return Ok(*held);
        }
        let held = self.test(test, question)?;
        if let Some(kept) = self.facts.get_mut(slot) {
            *kept = (fact, held);
        }
        Ok(held)
    }

    /// Whether the action is granted on any of the resources at the end of the path.
    #[inline(never)]
    fn has_privilege(&mut self, path: &'e Path, action: Action, question: Question) -> Result<bool, Failed> {
        let mut first = None;
        let mut others = BTreeSet::new();
        self.walk(path, question, &mut |value| {
            if let Value::Resource(what) = value
                && *first.get_or_insert(what) != what
            {
                others.insert(what);
            }
            false
        })?;
        self.any_granted(first.into_iter().chain(others), action)
    }

    fn any_granted(&mut self, all: impl IntoIterator<Item = What>, action: Action) -> Result<bool, Failed> {
        let mut answer = Ok(false);
        for what in all {
            match self.ask(Question { what, action }) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(Failed) => answer = Err(Failed),
            }
        }
        answer
    }

    /// All grants of the tenant's model. An answer below which nothing failed is kept: it is the same wherever the question comes
    /// up again, unless that is so deep that it would fail, or below a question that it led to.
    fn ask(&mut self, question: Question) -> Result<bool, Failed> {
        if let Some(surveyed) = &mut self.surveyed {
            surveyed.insert(question);
        }
        let level = self.asked.len();
        if level > MAX_DEPTH || self.asked.contains(&question) {
            return Err(self.fail());
        }
        let known = self.known.get(&question);
        if let Some(known) = known.filter(|known| self.recalls && level.saturating_add(known.height) <= MAX_DEPTH) {
            self.deepest = self.deepest.max(level.saturating_add(known.height));
            return Ok(known.granted);
        }
        let (outer, recalled, failures) = (self.deepest, self.recalls, self.failures.get());
        self.deepest = level;
        self.recalls = recalled && known.is_none();
        self.asked.push(question);
        let answer = if self.by_tables(question) { Ok(true) } else { self.by_rules(question) };
        self.asked.pop();
        if let (Ok(granted), true) = (answer, self.recalls && failures == self.failures.get()) {
            let height = self.deepest.saturating_sub(level);
            self.known.insert(question, Known { granted, height }, || self.rules.keyed());
        }
        self.recalls = recalled;
        self.deepest = self.deepest.max(outer);
        answer
    }

    /// Roles, permissions, personal content and space roles: without ceiling and capability.
    fn by_tables(&self, question: Question) -> bool {
        let Some(class) = self.class(question.what) else { return false };
        let own = self.owner(question.what, question) == Some(Who::Requester);
        let (kind, place, space) = (class.kind, class.place, class.space);
        let side = Side { own, ..Side::new(kind, place, space, question.action) };
        self.tenant.grants(self.principal, &side, side.cell()).any()
    }

    /// Where a resource stands.
    fn class(&self, what: What) -> Option<Class> {
        let class = match what {
            What::Stored(thing) => self.tenant.stored(thing)?.1,
            What::Described => self.described?.1,
        };
        Some(match self.moved.filter(|moved| moved.what == what) {
            Some(Moved { space, place, .. }) => Class { place, space, ..class },
            None => class,
        })
    }

    fn type_name(&self, what: What) -> &'e str {
        match what {
            What::Stored(thing) => {
                let class = self.tenant.stored(thing).map_or(NONE, |(_, class)| class.type_name);
                super::tenant::at(&self.tenant.things.type_names, class).map_or("", |name| name)
            }
            What::Described => self.described.map_or("", |(resource, _)| resource.type_name()),
        }
    }

    fn id(&self, what: What) -> Option<&'e str> {
        match what {
            What::Stored(thing) => Some(self.tenant.thing_id(thing)),
            What::Described => self.described.and_then(|(resource, _)| resource.id.as_deref()),
        }
    }

    /// Who owns it: whoever creates something without an owner will.
    fn owner(&self, what: What, question: Question) -> Option<Who<'e>> {
        let stays = self.moved.is_none_or(|moved| moved.what != what);
        let creates = question.action == Action::Create && question.what == what && stays && self.principal.known;
        let nobody = creates.then_some(Who::Requester);
        match what {
            What::Stored(thing) => match self.tenant.stored(thing)?.0.owner {
                NONE => nobody,
                owner if owner == self.principal.user => Some(Who::Requester),
                owner => Some(Who::Known(owner)),
            },
            What::Described => match self.described?.0.owner.as_deref() {
                None => nobody.filter(|_| self.described.is_some_and(|(resource, _)| !resource.is_entry)),
                Some(owner) if self.request.subject().user_id() == Some(owner) => Some(Who::Requester),
                Some(owner) => Some(self.tenant.users.get(owner).map_or(Who::Named(owner), |user| Who::Known(*user))),
            },
        }
    }
}
