//! From rules as written to rules that are found quickly.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::people::{People, Renewed};
use crate::hash::{IdMap, Keyed};
use crate::pages::Pages;
use crate::policy::Tenant;
use crate::rule::filter::Types;
use crate::rule::syntax::{Expression, Operand, Operator, Path as Written, Root, Segment, Sort};
use crate::rule::{ReadRule, persona};
use crate::snapshot::condition::{Node, OfResource, OfUser, Path, Step, Test, Texts, folded, same};
use crate::snapshot::details::{self, Names};
use crate::snapshot::rules::{Bucket, CompiledRule, Guards, RuleSet, Rules, Trait};
use crate::snapshot::tenant::{NONE, Profile, Things, index};

/// Most texts for which a rule is listed; one that names more is for whoever asks.
const MAX_GUARDS: usize = 1024;

/// What the rest of the tenant has numbers for.
pub(super) struct Numbers<'a> {
    pub(super) people: &'a People,
    pub(super) things: &'a Things,
}

/// What was compiled before, and what of it still holds.
pub(super) struct Previous<'a> {
    pub(super) rules: &'a Rules,
    pub(super) same_rules: bool,
    pub(super) same_things: bool,
    pub(super) renewed: &'a Renewed,
}

/// Compiles the rules of a tenant; `None` if it has neither rules nor personas.
pub(super) fn rules(policy: &Tenant, numbers: &Numbers<'_>, previous: Option<&Previous<'_>>) -> Option<Box<Rules>> {
    if policy.rules.is_empty() && policy.settings.personas.is_empty() {
        return None;
    }
    let set = match previous.filter(|previous| previous.same_rules) {
        Some(previous) => Arc::clone(&previous.rules.set),
        None => Arc::new(set(policy)),
    };
    // What is kept of users and resources is what rules ask for.
    let known = previous.filter(|previous| previous.same_rules || previous.rules.set.asks_as(&set));
    let (renewed, no_one) = (known.map(|known| known.renewed), Renewed::default());
    let Renewed { users: renewed_users, groups: renewed_groups } = renewed.unwrap_or(&no_one);
    let (mut users, mut user_guards, mut group_guards) = known
        .map_or_else(Default::default, |Previous { rules, .. }| {
            (rules.users.clone(), rules.user_guards.clone(), rules.group_guards.clone())
        });
    let People { users: all_users, groups: all_groups } = numbers.people;
    renew(&mut users, &all_users.profiles, renewed_users, |_, user| {
        details::user(policy.users.get(&*user.name), &set.names)
    });
    renew(&mut user_guards, &all_users.profiles, renewed_users, |number, user| {
        guards_of_user(&set.guards, user, users.get(number).and_then(|details| details.directory.as_deref()))
    });
    renew(&mut group_guards, &all_groups.profiles, renewed_groups, |_, group| guards_of_group(&set.guards, group));
    let things = match known.filter(|known| known.same_things) {
        Some(known) => Arc::clone(&known.rules.things),
        None => details::things(policy, &set.names, numbers.things),
    };
    let stored = |name: &str| set.types.get(name).copied().unwrap_or(NONE);
    let stored_types = numbers.things.type_names.iter().map(|name| stored(name)).collect();
    Some(Box::new(Rules { set, stored_types, user_guards, group_guards, users, things }))
}

/// Makes anew what is kept of those who changed, and of those who are new.
fn renew<T: Clone>(
    kept: &mut Pages<T>,
    profiles: &Pages<Profile>,
    renewed: &BTreeSet<u32>,
    make: impl Fn(u32, &Profile) -> T,
) {
    let known = index(kept.len());
    for number in renewed.range(..known) {
        if let (Some(slot), Some(profile)) = (kept.get_mut(*number), profiles.get(*number)) {
            *slot = make(*number, profile);
        }
    }
    for number in known..index(profiles.len()) {
        if let Some(profile) = profiles.get(number) {
            kept.push(make(number, profile));
        }
    }
}

fn set(policy: &Tenant) -> RuleSet {
    let mut compiler = Compiler::default();
    for (persona, groups) in &policy.settings.personas {
        for (name, rule) in persona::rules(persona, groups) {
            compiler.add(&name, false, &rule);
        }
    }
    for rule in &policy.rules {
        compiler.add(&rule.name, rule.disabled, &rule.read);
    }
    compiler.finish()
}

#[derive(Default)]
struct Compiler {
    all: Vec<CompiledRule>,
    buckets: HashMap<(u32, crate::Action), Bucket, Keyed>,
    types: IdMap<Box<str>, u32>,
    guards: Guards,
    facts: Vec<Test>,
    known_facts: HashMap<Test, u32>,
    names: Names,
}

impl Compiler {
    fn add(&mut self, name: &str, disabled: bool, rule: &ReadRule) {
        let condition = rule.condition.as_ref().map_or(Node::Constant(true), |condition| self.node(condition));
        if !disabled {
            self.list(index(self.all.len()), rule, &condition);
        }
        self.all.push(CompiledRule {
            name: name.into(),
            disabled,
            filter: rule.filter.clone(),
            means_all: rule.filter.means_all(),
            actions: rule.actions,
            sides: rule.sides,
            condition,
        });
    }

    fn list(&mut self, number: u32, rule: &ReadRule, condition: &Node) {
        let guards = guards(condition).filter(|guards| guards.len() <= MAX_GUARDS);
        for pattern in &rule.filter.patterns {
            let type_number = match &pattern.types {
                Types::One(name) => self.type_number(name),
                Types::Every | Types::Beginning(_) => NONE,
            };
            let id = if type_number == NONE { None } else { pattern.glob.literal().filter(|id| !id.is_empty()) };
            for action in rule.actions.iter() {
                let bucket = self.buckets.entry((type_number, action)).or_default();
                match (id, &guards) {
                    (Some(id), _) => bucket.by_id.entry(id.into()).or_default().push(number),
                    (None, Some(guards)) => {
                        for guard in guards {
                            bucket.guarded.add(*guard, number);
                        }
                    }
                    (None, None) => bucket.open.push(number),
                }
            }
        }
    }

    fn type_number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.types.get(name) {
            return *number;
        }
        let number = index(self.types.len());
        self.types.insert(name.into(), number);
        number
    }

    fn guard(&mut self, what: Trait, text: &str) -> u32 {
        let next = self.guards.count;
        let guards = match what {
            Trait::Group => &mut self.guards.groups,
            Trait::Role => &mut self.guards.roles,
            Trait::Id => &mut self.guards.ids,
            Trait::Directory => &mut self.guards.directories,
        };
        let number = *guards.entry(text.into()).or_insert(next);
        self.guards.count = next.max(number.saturating_add(1));
        number
    }

    fn node(&mut self, written: &Expression) -> Node {
        match written {
            Expression::Constant(value) => Node::Constant(*value),
            Expression::Not(inner) => Node::Not(Box::new(self.node(inner))),
            Expression::All(all) => Node::All(all.iter().map(|one| self.node(one)).collect()),
            Expression::Any(all) => Node::Any(all.iter().map(|one| self.node(one)).collect()),
            Expression::Compare(left, operator, right) => self.comparison(left, *operator, right),
            Expression::Like(Operand::Path(path), glob) => {
                let test = Test::Like(self.path(path), glob.clone());
                self.test(test)
            }
            Expression::Matches(Operand::Path(path), pattern) => {
                let test = Test::Matches(self.path(path), pattern.clone());
                self.test(test)
            }
            Expression::Like(Operand::Texts(texts), glob) => {
                Node::Constant(texts.iter().any(|text| glob.matches(&folded(text))))
            }
            Expression::Matches(Operand::Texts(texts), pattern) => {
                Node::Constant(texts.iter().any(|text| pattern.matches(text)))
            }
            Expression::IsAnonymous => Node::IsAnonymous,
            Expression::IsOwned(path) => Node::IsOwned(self.path(path)),
            Expression::Empty(path) => Node::Empty(self.path(path)),
            Expression::HasPrivilege(path, action) => Node::HasPrivilege(self.path(path), *action),
        }
    }

    fn comparison(&mut self, left: &Operand, operator: Operator, right: &Operand) -> Node {
        match (left, right) {
            (Operand::Path(path), Operand::Texts(texts)) | (Operand::Texts(texts), Operand::Path(path)) => {
                let test = Test::Texts(self.path(path), operator, Texts::new(texts));
                self.test(test)
            }
            (Operand::Path(left), Operand::Path(right)) => {
                let test = Test::Paths(self.path(left), operator, self.path(right));
                self.test(test)
            }
            (Operand::Texts(left), Operand::Texts(right)) => {
                let (equal, strict) = match operator {
                    Operator::Equal => (true, false),
                    Operator::StrictEqual => (true, true),
                    Operator::Unequal => (false, false),
                    Operator::StrictUnequal => (false, true),
                };
                let pairs = |left: &String| right.iter().any(|right| same(strict, left, right) == equal);
                Node::Constant(left.iter().any(pairs))
            }
        }
    }

    fn test(&mut self, test: Test) -> Node {
        let of_requester =
            |path: &Path| path.root == Root::User && !matches!(path.steps.first(), Some(Step::Environment));
        let is_fact = match &test {
            Test::Texts(path, ..) | Test::Like(path, _) | Test::Matches(path, _) => of_requester(path),
            Test::Paths(left, _, right) => of_requester(left) && of_requester(right),
        };
        if !is_fact {
            return Node::Test(test);
        }
        if let Some((what, texts)) = guarding(&test) {
            let mut guards: Vec<u32> = texts.iter().map(|text| self.guard(what, text)).collect();
            guards.sort_unstable();
            return Node::Has(guards.into());
        }
        if let Some(number) = self.known_facts.get(&test) {
            return Node::Fact(*number);
        }
        let number = index(self.facts.len());
        self.facts.push(test.clone());
        self.known_facts.insert(test, number);
        Node::Fact(number)
    }

    fn path(&mut self, written: &Written) -> Path {
        let mut sort = if written.root == Root::User { Sort::User } else { Sort::Resource };
        let mut steps = Vec::with_capacity(written.segments.len());
        for segment in &written.segments {
            steps.push(self.step(sort, segment));
            sort = sort.then(segment);
        }
        Path { root: written.root, steps: steps.into() }
    }

    fn step(&mut self, sort: Sort, segment: &Segment) -> Step {
        match (sort, segment) {
            (Sort::Resource | Sort::Linked, Segment::Custom(name)) => {
                Step::Resource(OfResource::Custom(self.names.number(name)))
            }
            (Sort::Resource | Sort::Linked, Segment::Name(name)) => Step::Resource(match name.as_str() {
                "id" => OfResource::Id,
                "name" => OfResource::Name,
                "resourcetype" => OfResource::Type,
                "resourcefilter" => OfResource::Filter,
                "space" => OfResource::Space,
                "owner" => OfResource::Owner,
                "app" => OfResource::App,
                "stream" => OfResource::Stream,
                _ => OfResource::Linked(self.names.number(name)),
            }),
            (Sort::User, Segment::Custom(name)) => Step::User(OfUser::Custom(self.names.number(name))),
            (Sort::User, Segment::Name(name)) => match name.as_str() {
                "userid" => Step::User(OfUser::Id),
                "userdirectory" => Step::User(OfUser::Directory),
                "name" => Step::User(OfUser::Name),
                "group" => Step::User(OfUser::Group),
                "role" | "roles" => Step::User(OfUser::Role),
                "environment" => Step::Environment,
                _ => Step::User(OfUser::Attribute(self.names.number(name))),
            },
            (Sort::Environment, Segment::Name(name)) => Step::Variable(name.as_str().into()),
            (Sort::Environment, Segment::Custom(_)) | (Sort::Text, _) => Step::Nothing,
        }
    }

    fn finish(mut self) -> RuleSet {
        self.buckets.values_mut().for_each(|bucket| bucket.open.dedup());
        RuleSet {
            all: self.all,
            buckets: self.buckets,
            types: self.types,
            guards: self.guards,
            facts: self.facts,
            names: self.names,
        }
    }
}

fn guards_of_user(guards: &Guards, user: &Profile, directory: Option<&str>) -> Box<[u32]> {
    let groups = user.group_names.iter().filter_map(|name| guards.find(Trait::Group, name));
    let roles = user.role_names.iter().filter_map(|name| guards.find(Trait::Role, name));
    let directory = directory.and_then(|name| guards.find(Trait::Directory, name));
    let id = guards.find(Trait::Id, &user.name);
    let mut all: Vec<u32> = groups.chain(roles).chain(directory).chain(id).collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}

fn guards_of_group(guards: &Guards, group: &Profile) -> Box<[u32]> {
    group.role_names.iter().filter_map(|name| guards.find(Trait::Role, name)).collect()
}

/// What a requester must have one of for the condition to be true. Whoever has none makes it false, and not fail: what stands
/// before the guard cannot fail.
fn guards(node: &Node) -> Option<BTreeSet<u32>> {
    match node {
        Node::Constant(false) => Some(BTreeSet::new()),
        Node::Has(guards) => Some(guards.iter().copied().collect()),
        Node::Any(nodes) => {
            let all: Option<Vec<_>> = nodes.iter().map(guards).collect();
            all.map(|all| all.into_iter().flatten().collect())
        }
        Node::All(nodes) => {
            let first = nodes
                .iter()
                .map(|node| (guards(node), node.can_fail()))
                .find(|(found, fails)| found.is_some() || *fails);
            first.and_then(|(found, _)| found)
        }
        Node::Constant(true)
        | Node::Fact(_)
        | Node::Not(_)
        | Node::Test(_)
        | Node::IsAnonymous
        | Node::IsOwned(_)
        | Node::Empty(_)
        | Node::HasPrivilege(..) => None,
    }
}

/// The trait and the texts of a test that is true exactly for whoever has one of them.
fn guarding(test: &Test) -> Option<(Trait, &[Box<str>])> {
    let Test::Texts(path, Operator::Equal, texts) = test else { return None };
    let [Step::User(asked)] = &*path.steps else { return None };
    let what = match asked {
        OfUser::Group => Trait::Group,
        OfUser::Role => Trait::Role,
        OfUser::Id => Trait::Id,
        OfUser::Directory => Trait::Directory,
        OfUser::Name | OfUser::Attribute(_) | OfUser::Custom(_) => return None,
    };
    Some((what, texts.folded())).filter(|(_, texts)| texts.len() <= MAX_GUARDS)
}
