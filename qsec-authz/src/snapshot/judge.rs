//! The steps of a decision, in their order.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::place;
use super::evaluate::{Evaluation, What};
use super::principal::Principal;
use super::tenant::{Class, NONE, TenantSnapshot, Things};
use crate::action::Action;
use crate::bits::Set;
use crate::decision::{Decision, DenyCode};
use crate::explanation::Reason;
use crate::flaw::Fault;
use crate::policy::{Model, TenantStatus};
use crate::request::read::MOVING;
use crate::request::{Context, Request, ResourceRef, Subject};
use crate::resource::Resource;
use crate::tables::{Cell, Kind, Level, MATRIX, Permission, Place, SpaceRole, TenantRole};

/// The outcome.
#[derive(Debug)]
pub(crate) enum Verdict {
    Granted { thing: Option<u32>, source: Side, target: Option<Side> },
    Refused { code: DenyCode, side: Option<Side> },
}

/// Why the steps end before a grant was looked for.
#[derive(Debug)]
pub(crate) enum Stop {
    Denied(DenyCode),
    Malformed(Box<Fault>),
}

impl Stop {
    fn malformed<T>(path: &str, message: String) -> Result<T, Self> {
        Err(Self::Malformed(Box::new(Fault::value(message, path.to_owned()))))
    }
}

/// What the request is about, once found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolved {
    pub(crate) thing: Option<u32>,
    pub(crate) class: Class,
    pub(crate) own: bool,
    pub(crate) target: Option<(u32, Place)>,
}

impl Resolved {
    /// The resource where it is.
    #[inline]
    fn source(self, action: Action) -> Side {
        let Class { kind, place, space, .. } = self.class;
        Side { own: self.own, ..Side::new(kind, place, space, action) }
    }

    fn what(self) -> What {
        self.thing.map_or(What::Described, What::Stored)
    }
}

/// Where a side looks at the resource: where it is, or in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Here,
    There,
}

/// Both sides, or why one of them is refused.
type Weighed = Result<(Side, Option<Side>), (DenyCode, Option<Side>)>;

/// Whether things of a class may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// Some of them, by rules.
    Each,
}

/// Grants that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Grants {
    pub(crate) roles: Set<TenantRole>,
    pub(crate) permissions: Set<Permission>,
    pub(crate) personal: bool,
    pub(crate) space_roles: Set<SpaceRole>,
    /// A rule grants, at this level. Rules are asked only where nothing else grants, so that what they grant besides is not
    /// written here.
    pub(crate) rules: Option<Level>,
}

impl Grants {
    fn is_empty(self) -> bool {
        let tables = self.roles.is_empty() && self.permissions.is_empty() && self.space_roles.is_empty();
        tables && !self.personal && self.rules.is_none()
    }

    /// Those of the level `user`.
    pub(crate) fn users(self) -> Self {
        Self {
            roles: self.roles.without(MATRIX.admin_roles),
            permissions: self.permissions.without(MATRIX.admin_permissions),
            rules: self.rules.filter(|level| *level == Level::User),
            ..self
        }
    }

    /// Those of the level `admin`.
    pub(crate) fn administrators(self) -> Self {
        Self {
            roles: self.roles.and(MATRIX.admin_roles),
            permissions: self.permissions.and(MATRIX.admin_permissions),
            rules: self.rules.filter(|level| *level == Level::Admin),
            ..Self::default()
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            roles: self.roles.or(other.roles),
            permissions: self.permissions.or(other.permissions),
            personal: self.personal || other.personal,
            space_roles: self.space_roles.or(other.space_roles),
            rules: self.rules.or(other.rules),
        }
    }

    pub(crate) fn any(self) -> bool {
        !self.is_empty()
    }
}

/// One side of a decision: the resource where it is, or in the target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) own: bool,
    pub(crate) action: Action,
    pub(crate) space: u32,
    /// What was left before the step that ended the decision.
    pub(crate) grants: Grants,
}

impl Side {
    pub(crate) fn new(kind: Kind, place: Place, space: u32, action: Action) -> Self {
        Self { kind, place, own: false, action, space, grants: Grants::default() }
    }

    /// The same resource in a target.
    fn moved(self, (space, place): (u32, Place)) -> Self {
        let action = if self.action == Action::ChangeSpace { Action::Create } else { self.action };
        Self { place, action, space, ..self }
    }

    pub(crate) fn cell(&self) -> &'static Cell {
        MATRIX.cell(self.kind, self.place, self.own, self.action)
    }
}

impl TenantSnapshot {
    /// All steps.
    pub(crate) fn judge(&self, request: &Request) -> Verdict {
        let principal = Principal::new(self, request.subject());
        let resolved = match self.admit(&principal).and_then(|()| self.resolve_for(&principal, request)) {
            Ok(resolved) => resolved,
            Err(Stop::Denied(code)) => return Verdict::Refused { code, side: None },
            Err(Stop::Malformed(_)) => return Verdict::Refused { code: DenyCode::BadRequest, side: None },
        };
        let weighed = if self.rules.is_none() && resolved.target.is_none() {
            self.weigh_by_tables(&principal, request, resolved)
        } else {
            self.weigh(&principal, request, resolved, &mut None)
        };
        match weighed {
            Ok((source, target)) => Verdict::Granted { thing: resolved.thing, source, target },
            Err((code, side)) => Verdict::Refused { code, side },
        }
    }

    /// Steps 1 and 2: does the tenant answer, and this user?
    pub(crate) fn admit(&self, principal: &Principal<'_>) -> Result<(), Stop> {
        let answers = match self.status {
            TenantStatus::Active => true,
            TenantStatus::UserAccessDisabled => self.model == Model::Cloud && principal.is_administrator(),
            TenantStatus::Deactivated | TenantStatus::Purged => false,
        };
        if !answers {
            return Err(Stop::Denied(DenyCode::TenantInactive));
        }
        if principal.is_disabled() { Err(Stop::Denied(DenyCode::UserDisabled)) } else { Ok(()) }
    }

    /// Step 3, without the subject's standing: for [`super::Snapshot::check`].
    pub(crate) fn resolve(&self, request: &Request) -> Result<Resolved, Stop> {
        self.resolve_for(&Principal::new(self, request.subject()), request)
    }

    fn resolve_for(&self, principal: &Principal<'_>, request: &Request) -> Result<Resolved, Stop> {
        let target = self.target(request)?;
        match request.resource() {
            ResourceRef::Id(id) => {
                let (number, thing, class) = self.thing(id).ok_or(Stop::Denied(DenyCode::ResourceUnknown))?;
                let own = owns(principal, thing.owner, request.action());
                Ok(Resolved { thing: Some(number), class, own, target })
            }
            ResourceRef::Inline(resource) => {
                let class = self.describe(resource)?;
                let own = owns_inline(request.subject(), resource, request.action());
                Ok(Resolved { thing: None, class, own, target })
            }
            ResourceRef::Any(_) => Stop::malformed("resource", "one resource is needed".to_owned()),
        }
    }

    #[inline]
    pub(crate) fn target(&self, request: &Request) -> Result<Option<(u32, Place)>, Stop> {
        request.target_space().map(|id| self.space_of(request, id)).transpose()
    }

    /// The space that a request moves something into.
    fn space_of(&self, request: &Request, id: &str) -> Result<(u32, Place), Stop> {
        if !MOVING.contains(&request.action()) {
            return Stop::malformed("target", format!("`{}` has no target", request.action()));
        }
        match self.thing(id) {
            // A resource that calls itself a space has no members: only the policy's own spaces are targets.
            Some((number, _, class)) if class.kind == Kind::Space && class.space == number => Ok((number, class.place)),
            _ => Err(Stop::Denied(DenyCode::ResourceUnknown)),
        }
    }

    /// Places a resource that the caller describes; refuses one that passes for a stored one or hangs in the air. Apart, because it
    /// is long.
    #[inline(never)]
    fn describe(&self, resource: &Resource) -> Result<Class, Stop> {
        if let Some(defect) = resource.defect() {
            let name = defect.name.map(|name| format!(".{name}")).unwrap_or_default();
            return Stop::malformed(&format!("resource.{}{name}", defect.key), defect.message);
        }
        if let Some(id) = resource.id.as_deref().filter(|id| !resource.is_entry && self.things.index.contains_key(*id))
        {
            let message =
                format!("`{id}` is in the policy: ask for it by `id` alone, stored attributes are not replaced");
            return Stop::malformed("resource.id", message);
        }
        for (key, id) in resource.references() {
            if !self.things.index.contains_key(id) {
                return Stop::malformed(&format!("resource.{key}"), format!("the tenant has no resource `{id}`"));
            }
        }
        let kind = Kind::of(resource.type_name());
        let app = resource.app.as_deref().and_then(|app| self.thing(app)).map(|(_, _, class)| class);
        let alone = resource.space.is_none() && resource.stream.is_none() && app.is_none_or(|app| app.alone);
        let space = match &resource.space {
            Some(id) => Some(self.own_space(id)?),
            None => app.filter(|app| kind == Kind::AppObject && app.space != NONE).map(|app| (app.space, app.place)),
        };
        let place = match space {
            Some((_, place)) if kind != Kind::Space => place,
            _ => place(kind, resource, None, alone),
        };
        let space = if kind == Kind::Space { NONE } else { space.map_or(NONE, |(number, _)| number) };
        Ok(Class { type_name: NONE, kind, place, space, alone })
    }

    fn own_space(&self, id: &str) -> Result<(u32, Place), Stop> {
        match self.thing(id) {
            Some((number, _, class)) if class.kind == Kind::Space && class.space == number => Ok((number, class.place)),
            _ => Stop::malformed("resource.space", format!("the tenant has no space `{id}`")),
        }
    }

    /// Steps 4 to 7, for each side. The evaluation of rules is made when they are asked, and kept for the next resource. Apart, so
    /// that whoever needs no rules does not pay for them.
    #[inline(never)]
    pub(crate) fn weigh<'e>(
        &'e self,
        principal: &'e Principal<'e>,
        request: &'e Request,
        resolved: Resolved,
        rules: &mut Option<Evaluation<'e>>,
    ) -> Weighed {
        if self.restricts(principal, request.from_context(), resolved.class.kind) {
            return Err((DenyCode::Restricted, None));
        }
        let mut source = resolved.source(request.action());
        source.grants = self.grant(principal, request, (&source, Where::Here), resolved, rules)?;
        let Some(place) = resolved.target else { return Ok((source, None)) };
        let mut target = source.moved(place);
        target.grants = self.grant(principal, request, (&target, Where::There), resolved, rules)?;
        Ok((source, Some(target)))
    }

    /// The same for what stays where it is, in a tenant without rules: most decisions.
    #[inline]
    fn weigh_by_tables(&self, principal: &Principal<'_>, request: &Request, resolved: Resolved) -> Weighed {
        if self.restricts(principal, request.from_context(), resolved.class.kind) {
            return Err((DenyCode::Restricted, None));
        }
        let source = resolved.source(request.action());
        match self.grant_by_tables(principal, &source, request.subject().ceiling()) {
            Ok(grants) => Ok((Side { grants, ..source }, None)),
            Err((code, grants)) => Err((code, Some(Side { grants, ..source }))),
        }
    }

    pub(crate) fn restricts(&self, principal: &Principal<'_>, context: Context, kind: Kind) -> bool {
        let kept_out = matches!(context, Context::Hub | Context::Admin) || kind == Kind::ApiKey;
        kept_out && self.model == Model::Cloud && principal.is_restricted()
    }

    #[inline]
    fn grant<'e>(
        &'e self,
        principal: &'e Principal<'e>,
        request: &'e Request,
        (side, seen): (&Side, Where),
        resolved: Resolved,
        rules: &mut Option<Evaluation<'e>>,
    ) -> Result<Grants, (DenyCode, Option<Side>)> {
        let tables = self.grant_by_tables(principal, side, request.subject().ceiling());
        tables.or_else(|(code, found)| match &self.rules {
            None => Err((code, Some(Side { grants: found, ..*side }))),
            Some(_) => self.grant_by_rules(principal, request, (side, seen), (code, found), resolved, rules),
        })
    }

    /// Steps 5 to 7 where the tables do not grant: apart, so that those who have a role do not pay for rules.
    #[inline(never)]
    fn grant_by_rules<'e>(
        &'e self,
        principal: &'e Principal<'e>,
        request: &'e Request,
        (side, seen): (&Side, Where),
        (code, found): (DenyCode, Grants),
        resolved: Resolved,
        rules: &mut Option<Evaluation<'e>>,
    ) -> Result<Grants, (DenyCode, Option<Side>)> {
        let refuse = |code, grants| Err((code, Some(Side { grants, ..*side })));
        let Some(compiled) = &self.rules else { return refuse(code, found) };
        let evaluation =
            rules.get_or_insert_with(|| Evaluation::new(self, compiled, principal, request, resolved.class));
        if !evaluation.grants(resolved.what(), (side, seen)) {
            return refuse(code, found);
        }
        let by_rule = Grants { rules: Some(Level::of_rules(request.from_context())), ..Grants::default() };
        if Self::admits_rules(side, request) {
            return Ok(by_rule);
        }
        // What lacked a capability is gone; what lacked a scope is told together with the rules.
        let left = if code == DenyCode::Scope { found } else { Grants::default() };
        refuse(DenyCode::Scope, left.and(by_rule))
    }

    /// Whether the scopes of the token admit what rules grant.
    fn admits_rules(side: &Side, request: &Request) -> bool {
        let Some(scopes) = request.subject().ceiling() else { return true };
        let cell = side.cell();
        match Level::of_rules(request.from_context()) {
            Level::User => scopes.meets(cell.user_scopes),
            Level::Admin => scopes.meets(cell.admin_scopes),
        }
    }

    /// Steps 5 to 7 without rules.
    #[expect(
        clippy::inline_always,
        reason = "what it finds stays in registers; written out and read again, it takes longer"
    )]
    #[inline(always)]
    pub(crate) fn grant_by_tables(
        &self,
        principal: &Principal<'_>,
        side: &Side,
        ceiling: Option<Set<crate::tables::Scope>>,
    ) -> Result<Grants, (DenyCode, Grants)> {
        let cell = side.cell();
        let granted = self.grants(principal, side, cell);
        if granted.is_empty() {
            return Err((DenyCode::NoGrant, granted));
        }
        let lacking = cell.capability.is_some_and(|needed| !needed.held(principal.roles, principal.permissions));
        let able = if lacking { granted.administrators() } else { granted };
        if able.is_empty() {
            return Err((DenyCode::Capability, granted));
        }
        let Some(scopes) = ceiling else { return Ok(able) };
        let users = if scopes.meets(cell.user_scopes) { able.users() } else { Grants::default() };
        let administrators = if scopes.meets(cell.admin_scopes) { able.administrators() } else { Grants::default() };
        let admitted = users.and(administrators);
        if admitted.is_empty() { Err((DenyCode::Scope, able)) } else { Ok(admitted) }
    }

    /// Step 5.
    #[inline]
    pub(crate) fn grants(&self, principal: &Principal<'_>, side: &Side, cell: &Cell) -> Grants {
        if self.model == Model::Enterprise {
            return Grants::default();
        }
        let members = if side.space == NONE || cell.space_roles.is_empty() {
            Set::EMPTY
        } else {
            principal.space_roles(side.space).and(cell.space_roles)
        };
        Grants {
            roles: principal.roles.and(cell.roles),
            permissions: principal.permissions.and(cell.permissions),
            personal: cell.personal,
            space_roles: members,
            rules: None,
        }
    }

    /// Whether stored things of that class may be seen, for [`crate::Visible`].
    pub(crate) fn judge_class<'e>(
        &'e self,
        principal: &'e Principal<'e>,
        request: &'e Request,
        resolved: Resolved,
        rules: &mut Option<Evaluation<'e>>,
    ) -> Answer {
        let class = resolved.class;
        if self.restricts(principal, request.from_context(), class.kind) {
            return Answer::No;
        }
        let side = resolved.source(request.action());
        let ceiling = request.subject().ceiling();
        let source = self.grant_by_tables(principal, &side, ceiling).is_ok();
        if let (true, None) = (source, resolved.target) {
            return Answer::Yes;
        }
        let Some(compiled) = &self.rules else {
            let granted = source && self.weigh(principal, request, resolved, &mut None).is_ok();
            return if granted { Answer::Yes } else { Answer::No };
        };
        let evaluation = rules.get_or_insert_with(|| Evaluation::new(self, compiled, principal, request, class));
        if source || evaluation.may_grant(class, side.action) { Answer::Each } else { Answer::No }
    }

    /// Of each rule, why it did or did not help: where the resource is, and in the target if that was looked at.
    pub(crate) fn reasons(&self, request: &Request, decision: &Decision) -> BTreeMap<String, Reason> {
        let mut reasons: BTreeMap<String, Reason> = BTreeMap::new();
        let principal = Principal::new(self, request.subject());
        let (Some(compiled), Ok(resolved)) = (&self.rules, self.resolve_for(&principal, request)) else {
            return reasons;
        };
        if !decision.reached_grants() {
            return reasons;
        }
        let source = resolved.source(request.action());
        let here = Resolved { target: None, ..resolved };
        let target = match resolved.target {
            Some(place) if self.weigh(&principal, request, here, &mut None).is_ok() => Some(source.moved(place)),
            _ => None,
        };
        // Of a target that is refused, the rules that allowed the first step say nothing.
        let source = Some(source).filter(|_| target.is_none() || decision.is_allowed());
        let mut evaluation = Evaluation::new(self, compiled, &principal, request, resolved.class);
        for (side, seen) in [(source, Where::Here), (target, Where::There)] {
            let Some(side) = side else { continue };
            for (name, reason) in evaluation.reasons(resolved.what(), (&side, seen)) {
                let furthest = reasons.entry(name.to_owned()).or_insert(reason);
                *furthest = reason.max(*furthest);
            }
        }
        reasons
    }

    /// The rules that grant one side of a request that was decided.
    pub(crate) fn rules_granting(&self, request: &Request, side: &Side, seen: Where) -> BTreeSet<String> {
        let principal = Principal::new(self, request.subject());
        match (&self.rules, self.resolve_for(&principal, request)) {
            (Some(compiled), Ok(resolved)) if Self::admits_rules(side, request) => {
                let mut evaluation = Evaluation::new(self, compiled, &principal, request, resolved.class);
                let granting = evaluation.granting(resolved.what(), (side, seen));
                granting.into_iter().map(str::to_owned).collect()
            }
            _ => BTreeSet::new(),
        }
    }
}

/// Whoever creates something without an owner will own it.
pub(crate) fn owns(principal: &Principal<'_>, owner: u32, action: Action) -> bool {
    if owner == NONE { action == Action::Create && principal.known } else { owner == principal.user }
}

/// Those that the principal [`owns`].
pub(crate) fn owned(things: &Things, principal: &Principal<'_>, action: Action) -> impl Iterator<Item = u32> {
    let named = Some(principal.user).filter(|user| *user != NONE);
    let nobody = Some(NONE).filter(|_| action == Action::Create && principal.known);
    named.into_iter().chain(nobody).flat_map(|owner| things.owned_by(owner)).copied()
}

fn owns_inline(subject: &Subject, resource: &Resource, action: Action) -> bool {
    match (subject.user_id(), resource.owner.as_deref()) {
        (None, _) => false,
        (Some(_), None) => action == Action::Create && !resource.is_entry,
        (Some(user), Some(owner)) => user == owner,
    }
}
