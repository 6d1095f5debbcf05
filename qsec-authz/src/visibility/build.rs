//! From a tenant and a requester to a predicate: what the tables grant, by type, place and owner.

use std::collections::BTreeSet;

use super::columns::Column;
use super::expression::{Expression, Source, ValueTest};
use crate::action::Action;
use crate::bits::Bit;
use crate::request::{Request, ResourceRef};
use crate::rule::syntax::Operator;
use crate::snapshot::condition::Texts;
use crate::snapshot::evaluate::Evaluation;
use crate::snapshot::principal::Principal;
use crate::snapshot::tenant::{Class, NONE, at};
use crate::snapshot::{Side, TenantSnapshot};
use crate::tables::{Kind, Level, Place, SpaceType};

/// Most ids in one list: beyond that a database is better asked for rows to decide.
pub(super) const MAX_IDS: usize = 10_000;
/// Most parts of one predicate.
const MAX_PARTS: usize = 100_000;

pub(super) const TOO_MANY_IDS: &str = "it depends on too many resources or users";
pub(super) const TOO_LARGE: &str = "the rules that could apply are too many";

/// A space of the policy.
#[derive(Debug, Clone, Copy)]
struct Space {
    number: u32,
    place: Place,
}

/// Builds the predicate of one request.
pub(super) struct Builder<'e> {
    pub(super) tenant: &'e TenantSnapshot,
    pub(super) principal: &'e Principal<'e>,
    pub(super) request: &'e Request,
    pub(super) evaluation: Option<Evaluation<'e>>,
    /// The target, while the resource is looked at as if it stood there.
    pub(super) moved: Option<(u32, Place)>,
    /// What is being asked of the resource itself, the outermost first.
    pub(super) asked: Vec<Action>,
    spaces: Vec<Space>,
    parts: usize,
}

/// The resources that are looked at: of one type, or of none that the tenant or the tables name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type<'t> {
    pub(super) name: Option<&'t str>,
    pub(super) kind: Kind,
}

impl<'t> Type<'t> {
    fn named(name: &'t str) -> Self {
        Self { name: Some(name), kind: Kind::of(name) }
    }

    const OTHER: Type<'static> = Type { name: None, kind: Kind::Other };
}

/// Which grants count: those that a decision leaves, or all, as `HasPrivilege` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    Left,
    All,
}

impl<'e> Builder<'e> {
    pub(super) fn new(tenant: &'e TenantSnapshot, principal: &'e Principal<'e>, request: &'e Request) -> Self {
        let spaces = tenant.things.classes.iter().filter(|class| class.kind == Kind::Space && class.space != NONE);
        let nowhere = Class { type_name: NONE, kind: Kind::Other, place: Place::Elsewhere, space: NONE, alone: false };
        let mut evaluation =
            tenant.rules.as_ref().map(|rules| Evaluation::new(tenant, rules, principal, request, nowhere));
        if let Some(evaluation) = &mut evaluation {
            evaluation.begin_survey();
        }
        Self {
            tenant,
            principal,
            request,
            evaluation,
            moved: None,
            asked: Vec::new(),
            spaces: spaces.map(|class| Space { number: class.space, place: class.place }).collect(),
            parts: 0,
        }
    }

    /// The predicate; constant if every resource that was asked for, or none, may be seen.
    pub(super) fn build(&mut self) -> Expression {
        let Ok(target) = self.tenant.target(self.request) else { return Expression::NO };
        if let ResourceRef::Any(Some(name)) = self.request.resource() {
            let inner = self.of_type(Type::named(name), target);
            if inner == Expression::YES {
                return inner;
            }
            return Expression::all([Expression::member(Column::Type, [name.as_str()]), inner]);
        }
        self.of_every_type(target)
    }

    fn of_every_type(&mut self, target: Option<(u32, Place)>) -> Expression {
        let tenant = self.tenant;
        let mut names: BTreeSet<&str> =
            Kind::ALL.iter().map(|kind| kind.name()).filter(|name| !name.is_empty()).collect();
        names.extend(tenant.things.type_names.iter().map(|name| &**name));
        names.extend(tenant.rules.iter().flat_map(|rules| rules.named_types()));
        let mut grouped: Vec<(Expression, Vec<&str>)> = Vec::new();
        for name in &names {
            let inner = self.of_type(Type::named(name), target);
            match grouped.iter_mut().find(|(one, _)| *one == inner) {
                Some((_, names)) => names.push(name),
                None => grouped.push((inner, vec![name])),
            }
        }
        let others = self.of_type(Type::OTHER, target);
        if grouped.iter().all(|(inner, _)| *inner == others) {
            return others;
        }
        let unnamed = Expression::not(Expression::member(Column::Type, names.iter().copied()));
        let mut parts = vec![Expression::all([unnamed, others])];
        for (inner, names) in grouped {
            parts.push(Expression::all([Expression::member(Column::Type, names), inner]));
        }
        Expression::any(parts)
    }

    fn of_type(&mut self, of: Type<'_>, target: Option<(u32, Place)>) -> Expression {
        if self.tenant.restricts(self.principal, self.request.from_context(), of.kind) {
            return Expression::NO;
        }
        let action = self.request.action();
        let here = self.of_side(of, action);
        let Some(place) = target else { return here };
        self.moved = Some(place);
        let there = self.of_side(of, if action == Action::ChangeSpace { Action::Create } else { action });
        self.moved = None;
        Expression::all([here, there])
    }

    /// Steps 5 to 7 of one side.
    fn of_side(&mut self, of: Type<'_>, action: Action) -> Expression {
        let tables = self.by_tables(of, action, Counting::Left);
        if tables == Expression::YES {
            return tables;
        }
        self.asked = vec![action];
        let rules = self.by_rules(of, action, true);
        let admitted = self.admits_rules(of, action);
        Expression::any([tables, Expression::all([rules, admitted])])
    }

    /// Where the scopes of the token admit what rules grant.
    fn admits_rules(&self, of: Type<'_>, action: Action) -> Expression {
        let Some(scopes) = self.request.subject().ceiling() else { return Expression::YES };
        let level = Level::of_rules(self.request.from_context());
        let own = self.owned_side(self.request.action());
        self.by_place(of.kind, (&own, self.request.action()), &|place, own, space| {
            let cell = Side { own, ..Side::new(of.kind, place, space, action) }.cell();
            scopes.meets(if level == Level::Admin { cell.admin_scopes } else { cell.user_scopes })
        })
    }

    pub(super) fn by_tables(&self, of: Type<'_>, action: Action, counting: Counting) -> Expression {
        let (own, asked) = match counting {
            Counting::Left => (self.owned_side(self.request.action()), self.request.action()),
            Counting::All => (self.owned(action), action),
        };
        let ceiling = self.request.subject().ceiling();
        self.by_place(of.kind, (&own, asked), &|place, own, space| {
            let side = Side { own, ..Side::new(of.kind, place, space, action) };
            match counting {
                Counting::Left => self.tenant.grant_by_tables(self.principal, &side, ceiling).is_ok(),
                Counting::All => self.tenant.grants(self.principal, &side, side.cell()).any(),
            }
        })
    }

    /// The requester owns it. Whoever creates something without an owner will own it; not so what is moved.
    pub(super) fn owned(&self, action: Action) -> Expression {
        self.owned_side(if self.moved.is_some() { Action::Read } else { action })
    }

    fn owned_side(&self, action: Action) -> Expression {
        let Some(user) = self.request.subject().user_id() else { return Expression::NO };
        let nobody = Expression::not(Expression::present(Column::Owner));
        let created = if action == Action::Create { nobody } else { Expression::NO };
        Expression::any([Expression::member(Column::Owner, [user]), created])
    }

    /// The resources for which `granted` says yes, who asks for place, ownership and space.
    fn by_place(
        &self,
        kind: Kind,
        (own, asked): (&Expression, Action),
        granted: &dyn Fn(Place, bool, u32) -> bool,
    ) -> Expression {
        if let Some((space, place)) = self.moved {
            return split(own, granted(place, false, space).into(), granted(place, true, space).into());
        }
        if kind == Kind::Space {
            return self.of_spaces((own, asked), granted);
        }
        let spaces = |own: bool| -> Vec<u32> {
            self.spaces
                .iter()
                .filter(|space| granted(space.place, own, space.number))
                .map(|space| space.number)
                .collect()
        };
        let (others, mine) = (spaces(false), spaces(true));
        let alone = |own| kind.can_be_personal() && granted(Place::Personal, own, NONE);
        let elsewhere = |own| granted(Place::Elsewhere, own, NONE);
        let everywhere = |own, spaces: &[u32]| {
            spaces.len() == self.spaces.len() && elsewhere(own) && (alone(own) || !kind.can_be_personal())
        };
        if everywhere(false, &others) && everywhere(true, &mine) {
            return Expression::YES;
        }
        let in_spaces = split_sets(own, &others, &mine, &|spaces| self.in_spaces(kind, spaces));
        let mut parts = vec![in_spaces];
        if alone(false) || alone(true) {
            let granted = split(own, alone(false).into(), alone(true).into());
            parts.push(Expression::all([granted, self.alone()]));
        }
        if elsewhere(false) || elsewhere(true) {
            let granted = split(own, elsewhere(false).into(), elsewhere(true).into());
            let personal = if kind.can_be_personal() { self.alone() } else { Expression::NO };
            parts.push(Expression::all([granted, Expression::not(self.in_any_space(kind)), Expression::not(personal)]));
        }
        Expression::any(parts)
    }

    /// Spaces of the policy by their ids; others, which have no members yet, by the type that they say.
    fn of_spaces(&self, (own, asked): (&Expression, Action), granted: &dyn Fn(Place, bool, u32) -> bool) -> Expression {
        let ids = |wanted: &dyn Fn(&Space) -> bool| {
            let numbers = self.spaces.iter().filter(|space| wanted(space)).map(|space| space.number);
            self.things(Column::Id, &numbers.collect::<Vec<_>>())
        };
        let stored_own = |space: &Space| {
            let owner = at(&self.tenant.things.placed, space.number).map_or(NONE, |thing| thing.owner);
            crate::snapshot::owns(self.principal, owner, asked)
        };
        let stored = ids(&|space| granted(space.place, stored_own(space), space.number));
        let of_type = |one: SpaceType| {
            let named = Texts::new(&[one.name().to_owned()]);
            let column = Source::Column(Column::attribute("type"));
            Expression::Test(column, ValueTest::Texts(Operator::StrictEqual, named))
        };
        let at_place = |place: Place| split(own, granted(place, false, NONE).into(), granted(place, true, NONE).into());
        let mut new: Vec<Expression> =
            SpaceType::ALL.iter().map(|one| Expression::all([at_place(one.place()), of_type(*one)])).collect();
        let untyped = Expression::any(SpaceType::ALL.iter().map(|one| of_type(*one)));
        new.push(Expression::all([at_place(Place::Elsewhere), Expression::not(untyped)]));
        let new = Expression::any(new);
        if new == Expression::NO {
            return stored;
        }
        Expression::any([stored, Expression::all([Expression::not(ids(&|_| true)), new])])
    }

    /// The resource stands in one of these spaces; an object without one in that of its app.
    pub(super) fn in_spaces(&self, kind: Kind, spaces: &[u32]) -> Expression {
        if spaces.is_empty() {
            return Expression::NO;
        }
        let within: BTreeSet<u32> = spaces.iter().copied().collect();
        Expression::any([self.things(Column::Space, spaces), self.by_app(kind, &|class| within.contains(&class.space))])
    }

    fn in_any_space(&self, kind: Kind) -> Expression {
        Expression::any([Expression::present(Column::Space), self.by_app(kind, &|class| class.space != NONE)])
    }

    fn by_app(&self, kind: Kind, wanted: &dyn Fn(&Class) -> bool) -> Expression {
        if kind != Kind::AppObject {
            return Expression::NO;
        }
        Expression::all([Expression::not(Expression::present(Column::Space)), self.apps(wanted)])
    }

    /// In no space and no stream, nor its app.
    fn alone(&self) -> Expression {
        let [space, stream, app] = [Column::Space, Column::Stream, Column::App].map(Expression::present);
        Expression::all([
            Expression::not(space),
            Expression::not(stream),
            Expression::any([Expression::not(app), self.apps(&|class| class.alone)]),
        ])
    }

    fn apps(&self, wanted: &dyn Fn(&Class) -> bool) -> Expression {
        let wanted: Vec<bool> = self.tenant.things.classes.iter().map(wanted).collect();
        let is_wanted = |thing: &crate::snapshot::tenant::Thing| at(&wanted, thing.class).copied().unwrap_or_default();
        let found =
            (0_u32..).zip(&*self.tenant.things.placed).filter(|(_, thing)| is_wanted(thing)).map(|(number, _)| number);
        self.things(Column::App, &found.collect::<Vec<_>>())
    }

    /// The column has one of these things of the policy.
    pub(super) fn things(&self, column: Column, numbers: &[u32]) -> Expression {
        if numbers.len() > MAX_IDS {
            return Expression::Unknown(TOO_MANY_IDS);
        }
        Expression::member(column, numbers.iter().map(|number| self.tenant.thing_id(*number)))
    }

    pub(super) fn spaces_where(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<u32> {
        let numbers = self.spaces.iter().map(|space| space.number);
        numbers.filter(|number| wanted(self.tenant.thing_id(*number))).collect()
    }

    /// Counts a part of the predicate; says no when there are too many.
    pub(super) fn spend(&mut self) -> bool {
        self.spend_all(1)
    }

    /// The same of several.
    pub(super) fn spend_all(&mut self, parts: usize) -> bool {
        self.parts = self.parts.saturating_add(parts);
        self.parts <= MAX_PARTS
    }
}

impl From<bool> for Expression {
    fn from(value: bool) -> Self {
        Self::Always(value)
    }
}

/// One predicate for what others own, another for what the requester owns.
fn split(own: &Expression, others: Expression, mine: Expression) -> Expression {
    match (others, mine) {
        (others, mine) if others == mine => others,
        (Expression::Always(false), mine) => Expression::all([own.clone(), mine]),
        (others, mine) => Expression::any([
            Expression::all([Expression::not(own.clone()), others]),
            Expression::all([own.clone(), mine]),
        ]),
    }
}

/// The same for sets of spaces: what holds for all is said once.
fn split_sets(own: &Expression, others: &[u32], mine: &[u32], within: &dyn Fn(&[u32]) -> Expression) -> Expression {
    let only = |some: &[u32], less: &[u32]| -> Vec<u32> {
        let less: BTreeSet<u32> = less.iter().copied().collect();
        some.iter().copied().filter(|one| !less.contains(one)).collect()
    };
    let (foreign, own_only) = (only(others, mine), only(mine, others));
    Expression::any([
        within(&only(others, &foreign)),
        Expression::all([Expression::not(own.clone()), within(&foreign)]),
        Expression::all([own.clone(), within(&own_only)]),
    ])
}
