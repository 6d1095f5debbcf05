//! What the rules add to a predicate: conditions with all that concerns the requester worked out.
//!
//! A condition is true, false or fails; a failing one grants nothing, under `not` either. So the predicate of a condition is
//! asked for twice where it can fail: when is it true, when is it false.

use super::build::{Builder, Counting, MAX_IDS, TOO_LARGE, TOO_MANY_IDS, Type};
use super::columns::Column;
use super::expression::{Expression, Source, ValueTest};
use crate::action::Action;
use crate::rule::filter::{Filter, FilterPattern, Types};
use crate::rule::glob::Glob;
use crate::rule::syntax::{Operator, Root};
use crate::snapshot::condition::{Node, OfResource, OfUser, Path, Step, Test, Texts};
use crate::snapshot::evaluate::survey::{Origin, Wanted};
use crate::snapshot::evaluate::{Failed, MAX_DEPTH};
use crate::snapshot::tenant::{NONE, index};
use crate::tables::Kind;

const TWO_SIDES: &str = "a rule compares two attributes of the resource";
const ITS_OWN: &str = "what is created may lead to itself, and whoever creates it owns it";
const TOO_LONG: &str = "the rules take too many steps";

impl<'e> Builder<'e> {
    /// When the rules grant an action (`granted`), or when none does and none fails.
    pub(super) fn by_rules(&mut self, of: Type<'_>, action: Action, granted: bool) -> Expression {
        let tenant = self.tenant;
        let (Some(rules), Some(evaluation)) = (&tenant.rules, &self.evaluation) else {
            return Expression::Always(!granted);
        };
        let type_number = of.name.map_or(NONE, |name| rules.type_number(NONE, name));
        let possible = rules.possible(type_number, action, evaluation.held_guards());
        let mut parts = Vec::new();
        for number in possible {
            let Some(rule) = crate::snapshot::tenant::at(&rules.all, number) else { continue };
            if !rule.sides.has(self.request.from_context()) {
                continue;
            }
            if !self.spend_all(named(&rule.filter, of).max(1)) {
                parts.push(Expression::Unknown(TOO_LARGE));
                break;
            }
            let filter = filter(&rule.filter, of);
            if filter == Expression::NO {
                continue;
            }
            let truth = self.truth(&rule.condition, granted, of, action);
            parts.push(if granted {
                Expression::all([filter, truth])
            } else {
                Expression::any([Expression::not(filter), truth])
            });
        }
        if granted { Expression::any(parts) } else { Expression::all(parts) }
    }

    /// When a condition comes out as wanted.
    fn truth(&mut self, node: &'e Node, wanted: bool, of: Type<'_>, action: Action) -> Expression {
        if !self.spend() {
            return Expression::Unknown(TOO_LARGE);
        }
        let plain = match node {
            Node::Not(inner) => return self.truth(inner, !wanted, of, action),
            Node::All(nodes) => return self.sequence(nodes, (true, wanted), of, action),
            Node::Any(nodes) => return self.sequence(nodes, (false, wanted), of, action),
            Node::HasPrivilege(path, asked) => return self.privilege(path, *asked, wanted, of),
            Node::Constant(value) => Expression::Always(*value),
            Node::Has(_) | Node::Fact(_) | Node::IsAnonymous => self.constant(node),
            Node::Test(test) => self.test(test, of, action),
            Node::IsOwned(path) => self.of_path(path, &Wanted::Owned, of, action),
            Node::Empty(path) => Expression::not(self.of_path(path, &Wanted::Any, of, action)),
        };
        if wanted { plain } else { Expression::not(plain) }
    }

    /// `and` goes on while parts are true, `or` while they are false; the last decides.
    fn sequence(
        &mut self,
        nodes: &'e [Node],
        (going_on, wanted): (bool, bool),
        of: Type<'_>,
        action: Action,
    ) -> Expression {
        if going_on == wanted {
            let mut parts = Vec::new();
            for node in nodes {
                parts.push(self.truth(node, wanted, of, action));
                if parts.last() == Some(&Expression::NO) {
                    break;
                }
            }
            return Expression::all(parts);
        }
        // Some part ends it, and each part before came out the other way rather than failing.
        let (mut parts, mut before) = (Vec::new(), Vec::new());
        for node in nodes {
            // What stands before is written out again for each.
            if !self.spend_all(before.len()) {
                parts.push(Expression::Unknown(TOO_LARGE));
                break;
            }
            let ends = self.truth(node, wanted, of, action);
            parts.push(Expression::all(before.iter().cloned().chain([ends])));
            if node.can_fail() {
                before.push(self.truth(node, !wanted, of, action));
            }
        }
        Expression::any(parts)
    }

    fn constant(&mut self, node: &'e Node) -> Expression {
        let held = self.evaluation.as_mut().map_or(Err(Failed), |evaluation| evaluation.constant(node));
        held.map_or(Expression::Unknown(TOO_LONG), Expression::Always)
    }

    fn test(&mut self, test: &'e Test, of: Type<'_>, action: Action) -> Expression {
        match test {
            Test::Texts(path, operator, texts) => self.of_path(path, &Wanted::Texts(*operator, texts), of, action),
            Test::Like(path, glob) => self.of_path(path, &Wanted::Like(glob), of, action),
            Test::Matches(path, pattern) => self.of_path(path, &Wanted::Matches(pattern), of, action),
            Test::Paths(left, operator, right) => match (left.root, right.root) {
                (Root::Resource, Root::Resource) => Expression::Unknown(TWO_SIDES),
                (Root::User, Root::Resource) => self.compared(right, *operator, left, of, action),
                (_, Root::User) => self.compared(left, *operator, right, of, action),
            },
        }
    }

    fn compared(
        &mut self,
        path: &'e Path,
        operator: Operator,
        user: &'e Path,
        of: Type<'_>,
        action: Action,
    ) -> Expression {
        let values = self.evaluation.as_ref().map(|evaluation| evaluation.of_requester(user));
        match values {
            Some(Ok(values)) if values.is_empty() => Expression::NO,
            Some(Ok(values)) => self.of_path(path, &Wanted::Values(operator, &values), of, action),
            Some(Err(Failed)) | None => Expression::Unknown(TOO_LONG),
        }
    }

    /// Some value at the end of the path is as wanted.
    fn of_path(&self, path: &'e Path, wanted: &Wanted<'_, 'e>, of: Type<'_>, action: Action) -> Expression {
        if path.root == Root::User {
            return self
                .found(Origin::Requester, &path.steps, wanted)
                .map_or(Expression::Unknown(TOO_LONG), Into::into);
        }
        let Some((first, rest)) = path.steps.split_first() else { return self.of_itself(wanted, action) };
        let Step::Resource(asked) = first else { return Expression::NO };
        let text = |column: Column| {
            if rest.is_empty() { self.of_column(Source::Column(column), wanted) } else { Expression::NO }
        };
        match asked {
            OfResource::Id => text(Column::Id),
            OfResource::Name => text(Column::Name),
            OfResource::Type => match of.name {
                Some(name) => Expression::Always(rest.is_empty() && self.is_wanted(name, wanted)),
                None => text(Column::Type),
            },
            OfResource::Filter if rest.is_empty() => self.of_column(Source::Filter, wanted),
            OfResource::Space if rest.is_empty() => self.of_space(wanted, of),
            OfResource::Filter | OfResource::Space => Expression::NO,
            OfResource::Custom(name) => text(Column::custom(self.name(*name))),
            OfResource::Owner => self.of_owner(rest, wanted, action),
            _ if self.may_come_back(rest, wanted, action) => Expression::Unknown(ITS_OWN),
            OfResource::App => self.of_link(Column::App, rest, wanted),
            OfResource::Stream => self.of_link(Column::Stream, rest, wanted),
            OfResource::Linked(name) => {
                let name = self.name(*name);
                Expression::any([text(Column::attribute(name)), self.of_link(Column::link(name), rest, wanted)])
            }
        }
    }

    /// Whether links may lead back to the resource that is being created, and there to its owner: the requester, if it has none.
    fn may_come_back(&self, rest: &[Step], wanted: &Wanted<'_, 'e>, action: Action) -> bool {
        let creates = action == Action::Create && self.moved.is_none() && self.principal.known;
        let owner = rest.contains(&Step::Resource(OfResource::Owner));
        creates && (owner || matches!(wanted, Wanted::Owned))
    }

    fn name(&self, number: u32) -> &'e str {
        self.tenant.rules.as_ref().map_or("", |rules| rules.names.name(number))
    }

    fn found(&self, origin: Origin, steps: &'e [Step], wanted: &Wanted<'_, 'e>) -> Option<bool> {
        self.evaluation.as_ref()?.finds(origin, steps, wanted).ok()
    }

    /// The resource itself: compared with a text it is its id, with a user it differs.
    fn of_itself(&self, wanted: &Wanted<'_, 'e>, action: Action) -> Expression {
        match wanted {
            Wanted::Any => Expression::YES,
            Wanted::Owned => Expression::any([Expression::present(Column::Owner), self.owned(action)]),
            Wanted::Values(operator, values) => {
                let user = self.evaluation.as_ref().is_some_and(|evaluation| evaluation.texts_of(values).1);
                let differs = matches!(operator, Operator::Unequal | Operator::StrictUnequal);
                if user { Expression::Always(differs) } else { self.of_column(Source::Column(Column::Id), wanted) }
            }
            Wanted::Texts(..) | Wanted::Like(_) | Wanted::Matches(_) => {
                self.of_column(Source::Column(Column::Id), wanted)
            }
        }
    }

    /// Some text of a column is as wanted.
    fn of_column(&self, source: Source, wanted: &Wanted<'_, 'e>) -> Expression {
        let test = match wanted {
            Wanted::Any => return Expression::Present(source),
            Wanted::Owned => return Expression::NO,
            Wanted::Texts(operator, texts) => ValueTest::Texts(*operator, (*texts).clone()),
            Wanted::Like(glob) => ValueTest::Like((*glob).clone()),
            Wanted::Matches(pattern) => ValueTest::Matches((*pattern).clone()),
            Wanted::Values(operator, values) => {
                let Some(evaluation) = &self.evaluation else { return Expression::NO };
                ValueTest::Texts(*operator, Texts::new(&evaluation.texts_of(values).0))
            }
        };
        Expression::Test(source, test)
    }

    fn is_wanted(&self, text: &str, wanted: &Wanted<'_, 'e>) -> bool {
        match (wanted, &self.evaluation) {
            (Wanted::Values(operator, values), Some(evaluation)) => {
                Texts::new(&evaluation.texts_of(values).0).compare(*operator, text)
            }
            _ => wanted.text(text),
        }
    }

    /// The space where the resource stands.
    fn of_space(&self, wanted: &Wanted<'_, 'e>, of: Type<'_>) -> Expression {
        let held = |text: &str| self.is_wanted(text, wanted);
        if let Some((space, _)) = self.moved {
            return Expression::Always(held(self.tenant.thing_id(space)));
        }
        let afford = |space: u32| {
            self.evaluation.as_ref().is_some_and(|asked| asked.afford(wanted, self.tenant.thing_id(space)).is_ok())
        };
        if matches!(wanted, Wanted::Matches(_)) && !self.spaces_where(&|_| true).into_iter().all(afford) {
            return Expression::Unknown(TOO_LONG);
        }
        let spaces = self.spaces_where(&held);
        if of.kind == Kind::Space { self.things(Column::Id, &spaces) } else { self.in_spaces(of.kind, &spaces) }
    }

    /// From a link on: the things of the policy for which the rest comes out as wanted.
    fn of_link(&self, column: Column, rest: &'e [Step], wanted: &Wanted<'_, 'e>) -> Expression {
        if matches!((wanted, rest), (Wanted::Any, [])) {
            return Expression::present(column);
        }
        let mut found = Vec::new();
        for thing in 0..index(self.tenant.things.placed.len()) {
            match self.found(Origin::Thing(thing), rest, wanted) {
                Some(true) => found.push(thing),
                Some(false) => {}
                None => return Expression::Unknown(TOO_LONG),
            }
        }
        self.linked(column, &found)
    }

    /// The link leads to one of these: said by the others, if they are fewer and these too many.
    fn linked(&self, column: Column, found: &[u32]) -> Expression {
        let count = self.tenant.things.placed.len();
        if found.len() <= MAX_IDS {
            return self.things(column, found);
        }
        if count.saturating_sub(found.len()) > MAX_IDS {
            return Expression::Unknown(TOO_MANY_IDS);
        }
        let others: Vec<u32> = (0..index(count)).filter(|one| found.binary_search(one).is_err()).collect();
        // A link that has several values may have one of each.
        if matches!(column, Column::Link(_)) {
            return Expression::Unknown(TOO_MANY_IDS);
        }
        Expression::all([Expression::present(column.clone()), Expression::not(self.things(column, &others))])
    }

    /// The owner: a user of the policy has what the policy says, any other an id and nothing else.
    fn of_owner(&self, rest: &'e [Step], wanted: &Wanted<'_, 'e>, action: Action) -> Expression {
        let nobody = Expression::not(Expression::present(Column::Owner));
        let creates = action == Action::Create && self.moved.is_none() && self.principal.known;
        let created = match self.found(Origin::Requester, rest, wanted) {
            Some(found) => Expression::all([nobody, Expression::Always(found && creates)]),
            None => return Expression::Unknown(TOO_LONG),
        };
        // What a user that the policy does not list answers: by its id, or nothing.
        let by_id = match rest {
            [] if matches!(wanted, Wanted::Owned) => Expression::NO,
            [] => self.owner_by_id(wanted),
            [Step::User(OfUser::Id)] => self.of_column(Source::Column(Column::Owner), wanted),
            _ => Expression::NO,
        };
        let Some((others, exceptions)) = self.owners(rest, wanted, &by_id) else {
            return Expression::Unknown(TOO_MANY_IDS);
        };
        Expression::any([others, Expression::all([Expression::not(exceptions), by_id]), created])
    }

    fn owner_by_id(&self, wanted: &Wanted<'_, 'e>) -> Expression {
        let texts = self.of_column(Source::Column(Column::Owner), wanted);
        let Wanted::Values(operator, values) = wanted else { return texts };
        let itself = self.evaluation.as_ref().is_some_and(|evaluation| evaluation.texts_of(values).1);
        match self.request.subject().user_id().filter(|_| itself) {
            None => texts,
            // Two users are compared by identity.
            Some(user) => {
                let same = Expression::member(Column::Owner, [user]);
                match operator {
                    Operator::Equal | Operator::StrictEqual => same,
                    Operator::Unequal | Operator::StrictUnequal => {
                        Expression::all([Expression::present(Column::Owner), Expression::not(same)])
                    }
                }
            }
        }
    }

    /// The users of the policy for whom the answer by the id alone is wrong: those who are wanted though it says no, and those who
    /// are not though it says yes.
    fn owners(
        &self,
        rest: &'e [Step],
        wanted: &Wanted<'_, 'e>,
        by_id: &Expression,
    ) -> Option<(Expression, Expression)> {
        let requester = self.evaluation.as_ref()?.requester();
        let (mut more, mut less) = (Vec::new(), Vec::new());
        let me = self.request.subject().user_id().map(|id| (id, Origin::Requester));
        let listed = self.tenant.users.iter().filter(|(_, number)| Some(**number) != requester);
        for (id, origin) in listed.map(|(id, number)| (&**id, Origin::User(*number))).chain(me) {
            let owned = crate::resource::Resource::new("").owner(id);
            match (self.found(origin, rest, wanted)?, by_id.holds(&owned)?) {
                (true, false) => more.push(id),
                (false, true) => less.push(id),
                (true, true) | (false, false) => {}
            }
        }
        if more.len() > MAX_IDS || less.len() > MAX_IDS {
            return None;
        }
        Some((Expression::member(Column::Owner, more), Expression::member(Column::Owner, less)))
    }

    /// When the requester has a privilege on what the path leads to, or has not; neither where that fails.
    fn privilege(&mut self, path: &'e Path, asked: Action, wanted: bool, of: Type<'_>) -> Expression {
        let Some((first, rest)) = path.steps.split_first() else { return self.privilege_on_itself(asked, wanted, of) };
        let column = if let Step::Resource(OfResource::Linked(name)) = first {
            Column::link(self.name(*name))
        } else if *first == Step::Resource(OfResource::App) {
            Column::App
        } else if *first == Step::Resource(OfResource::Stream) {
            Column::Stream
        } else {
            return Expression::Always(!wanted);
        };
        let (mut granted, mut not_denied) = (Vec::new(), Vec::new());
        for thing in 0..index(self.tenant.things.placed.len()) {
            let Some(evaluation) = &mut self.evaluation else { return Expression::NO };
            match evaluation.privileged(thing, rest, asked, &self.asked) {
                Ok(true) => {
                    granted.push(thing);
                    not_denied.push(thing);
                }
                Ok(false) => {}
                // With steps left it fails for every decision too; without, a decision would say more.
                Err(Failed) if evaluation.is_spent() => return Expression::Unknown(TOO_LONG),
                Err(Failed) => not_denied.push(thing),
            }
        }
        let others =
            if wanted { self.linked(column, &granted) } else { Expression::not(self.linked(column, &not_denied)) };
        self.but_for_circles(others, path, asked, wanted, of)
    }

    /// What was found out holds for rows that no question comes back to. Those of the others that answer otherwise are named.
    fn but_for_circles(
        &mut self,
        others: Expression,
        path: &'e Path,
        asked: Action,
        wanted: bool,
        of: Type<'_>,
    ) -> Expression {
        let type_number = of.name.map(|name| self.tenant.things.type_number(name));
        let (mut apart, mut so) = (Vec::new(), Vec::new());
        for thing in 0..index(self.tenant.things.placed.len()) {
            let class = self.tenant.stored(thing).map(|(_, class)| class.type_name);
            if type_number.is_some() && class != type_number {
                continue;
            }
            let Some(evaluation) = &mut self.evaluation else { return Expression::NO };
            let Some(answer) = evaluation.returns(thing, &path.steps, asked, &self.asked) else { continue };
            if evaluation.is_spent() {
                return Expression::Unknown(TOO_LONG);
            }
            apart.push(thing);
            so.extend(Some(thing).filter(|_| answer == Ok(wanted)));
        }
        if apart.len() > MAX_IDS {
            return Expression::Unknown(TOO_MANY_IDS);
        }
        let others = Expression::all([Expression::not(self.things(Column::Id, &apart)), others]);
        Expression::any([others, self.things(Column::Id, &so)])
    }

    fn privilege_on_itself(&mut self, asked: Action, wanted: bool, of: Type<'_>) -> Expression {
        // A question that comes back to itself, or goes too deep, fails: neither yes nor no.
        if self.asked.len() > MAX_DEPTH || self.asked.contains(&asked) {
            return Expression::NO;
        }
        if !self.spend() {
            return Expression::Unknown(TOO_LARGE);
        }
        let tables = self.by_tables(of, asked, Counting::All);
        self.asked.push(asked);
        let rules = self.by_rules(of, asked, wanted);
        self.asked.pop();
        if wanted { Expression::any([tables, rules]) } else { Expression::all([Expression::not(tables), rules]) }
    }
}

/// How many patterns of a filter could mean resources of one type.
fn named(filter: &Filter, of: Type<'_>) -> usize {
    let about = |pattern: &&FilterPattern| match &pattern.types {
        Types::One(name) => of.name == Some(name.as_str()),
        Types::Every | Types::Beginning(_) => true,
    };
    filter.patterns.iter().filter(about).count()
}

/// The resources that a filter names, of one type.
fn filter(filter: &Filter, of: Type<'_>) -> Expression {
    Expression::any(filter.patterns.iter().map(|pattern| one_filter(pattern, of)))
}

fn one_filter(pattern: &FilterPattern, of: Type<'_>) -> Expression {
    match &pattern.types {
        Types::Every => Expression::YES,
        Types::One(name) if of.name == Some(name.as_str()) => by_id(&pattern.glob),
        Types::One(_) => Expression::NO,
        Types::Beginning(name) => {
            if of.name.is_some_and(|of| !of.starts_with(name.as_str())) {
                return Expression::NO;
            }
            // `Type*` says nothing of the rest; of the others the glob is of the whole, and begins with the type.
            let ends = pattern.text.len() == name.len().saturating_add(1);
            if ends && of.name.is_some() {
                return Expression::YES;
            }
            Expression::Test(Source::Filter, ValueTest::Glob(pattern.glob.clone()))
        }
    }
}

fn by_id(glob: &Glob) -> Expression {
    if *glob == Glob::new("*") {
        return Expression::YES;
    }
    let nameless = if glob.matches("") { Expression::not(Expression::present(Column::Id)) } else { Expression::NO };
    Expression::any([Expression::Test(Source::Column(Column::Id), ValueTest::Glob(glob.clone())), nameless])
}
