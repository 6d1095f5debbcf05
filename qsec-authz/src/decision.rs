//! The answer: a yes that says what granted it, or a no that says what was missing.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::action::Action;
use crate::bits::{Bit, Set};
use crate::policy::Model;
use crate::request::{Context, Request, ResourceRef, Subject};
use crate::snapshot::principal::Principal;
use crate::snapshot::tenant::at;
use crate::snapshot::{Side, TenantSnapshot, Where};
use crate::tables::{Kind, Level, SpaceRole, narrowest};

/// May it? Exhaustive on purpose: whoever matches it has written what happens on a no.
///
/// ```
/// use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{}}}"#)?.compile()?;
/// let decision = snapshot.decide(&Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("q3")));
/// assert_eq!(decision.code(), "resource_unknown");
/// assert_eq!(
///     serde_json::to_string(&decision).unwrap(),
///     r#"{"decision":"deny","code":"resource_unknown","by":[],"missing":[]}"#
/// );
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a decision is yes or no, and a match says so")]
#[must_use]
pub enum Decision {
    /// It may.
    Allow(Allowed),
    /// It may not.
    Deny(Denied),
}

impl Decision {
    /// Whether it may. Prefer a `match`: the [`Allowed`] is the evidence.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// Whether it got as far as looking for grants.
    pub(crate) fn reached_grants(&self) -> bool {
        match self {
            Self::Allow(_) => true,
            Self::Deny(denied) => denied.side.is_some(),
        }
    }

    /// `granted`, or the code of the denial.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Allow(_) => "granted",
            Self::Deny(denied) => denied.code.as_str(),
        }
    }

    /// The grants that are left, sorted; none of a denial.
    pub fn by(&self) -> Vec<String> {
        match self {
            Self::Allow(allowed) => allowed.by(),
            Self::Deny(_) => Vec::new(),
        }
    }

    /// What would have helped, sorted; nothing if it may.
    pub fn missing(&self) -> Vec<String> {
        match self {
            Self::Allow(_) => Vec::new(),
            Self::Deny(denied) => denied.missing(),
        }
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("Decision", 4)?;
        answer.serialize_field("decision", if self.is_allowed() { "allow" } else { "deny" })?;
        answer.serialize_field("code", self.code())?;
        answer.serialize_field("by", &self.by())?;
        answer.serialize_field("missing", &self.missing())?;
        answer.end()
    }
}

/// What whoever was allowed owes still.
///
/// ```
/// use qsec_authz::Obligation;
/// assert_eq!(Obligation::Reduce { app: "q3" }.as_str(), "reduce");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obligation<'a> {
    /// Rows are handed out only as [`crate::section::Reduction`] leaves them, by the access table of that app.
    Reduce {
        /// The app, or data that is part of none.
        app: &'a str,
    },
}

impl Obligation<'_> {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reduce { .. } => "reduce",
        }
    }
}

/// Evidence that a policy allowed one action of one subject on one resource. Only [`crate::Snapshot::decide`] makes it,
/// and it cannot be copied.
///
/// ```compile_fail
/// fn twice(allowed: qsec_authz::Allowed) -> (qsec_authz::Allowed, qsec_authz::Allowed) {
///     (allowed.clone(), allowed)
/// }
/// ```
#[derive(Debug)]
pub struct Allowed {
    request: Request,
    tenant: Arc<TenantSnapshot>,
    thing: Option<u32>,
    source: Side,
    target: Option<Side>,
}

impl Allowed {
    pub(crate) fn new(
        request: &Request,
        tenant: &Arc<TenantSnapshot>,
        thing: Option<u32>,
        source: Side,
        target: Option<Side>,
    ) -> Self {
        Self { request: request.clone(), tenant: Arc::clone(tenant), thing, source, target }
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        self.request.tenant()
    }

    /// Who may.
    pub fn subject(&self) -> &Subject {
        self.request.subject()
    }

    /// What it may do.
    pub fn action(&self) -> Action {
        self.request.action()
    }

    /// To which resource; `None` for a new one that has no id yet.
    pub fn resource_id(&self) -> Option<&str> {
        match self.request.resource() {
            ResourceRef::Id(id) => Some(id),
            ResourceRef::Inline(resource) => resource.id.as_deref(),
            ResourceRef::Any(_) => None,
        }
    }

    /// The type of the resource.
    pub fn resource_type(&self) -> &str {
        match self.request.resource() {
            ResourceRef::Inline(resource) => resource.type_name(),
            ResourceRef::Id(_) | ResourceRef::Any(_) => {
                let class = self.thing.and_then(|thing| at(&self.tenant.things.placed, thing)).map(|thing| thing.class);
                let class = class.and_then(|class| at(&self.tenant.things.classes, class));
                class.and_then(|class| at(&self.tenant.things.type_names, class.type_name)).map_or("", |name| name)
            }
        }
    }

    /// The app whose data this is about: the resource itself if it is an app, or the app that it is part of, be it by way of
    /// other objects.
    ///
    /// If an access table is in force for it, whoever hands out rows owes a reduction ([`Allowed::obligation`]).
    pub fn app(&self) -> Option<&str> {
        let tenant = &self.tenant;
        let part_of = match self.request.resource() {
            ResourceRef::Inline(resource) => {
                if self.source.kind == Kind::App && resource.id.is_some() {
                    return resource.id.as_deref();
                }
                resource.app.as_deref().and_then(|app| tenant.things.index.get(app)).copied()
            }
            ResourceRef::Id(id) if self.source.kind == Kind::App => return Some(id),
            ResourceRef::Id(_) | ResourceRef::Any(_) => self.thing.and_then(|thing| tenant.app_of(thing)),
        };
        part_of.map(|part_of| tenant.thing_id(app_above(tenant, part_of)))
    }

    /// What is owed before rows are handed out; `is_active` says for which apps an access table is in force. Data that is part of no
    /// app is asked for by its own id.
    ///
    /// ```
    /// use qsec_authz::{Action, Decision, Obligation, Policy, Request, ResourceRef, Subject};
    /// let policy = r#"{"version":1,"tenants":{"acme":{"resources":{
    ///     "q3":{"type":"App","owner":"ana"},"sheet":{"type":"App.Object","owner":"ana","app":"q3"}}}}}"#;
    /// let request = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("sheet"));
    /// let Decision::Allow(allowed) = Policy::parse(policy)?.compile()?.decide(&request) else { panic!("her own") };
    /// assert_eq!(allowed.obligation(|app| app == "q3"), Some(Obligation::Reduce { app: "q3" }));
    /// assert_eq!(allowed.obligation(|_| false), None);
    /// # Ok::<(), qsec_authz::PolicyError>(())
    /// ```
    pub fn obligation(&self, is_active: impl FnOnce(&str) -> bool) -> Option<Obligation<'_>> {
        self.app().or(self.resource_id()).filter(|app| is_active(app)).map(|app| Obligation::Reduce { app })
    }

    /// Into which space.
    pub fn target_space(&self) -> Option<&str> {
        self.request.target_space()
    }

    /// From where.
    pub fn context(&self) -> Context {
        self.request.from_context()
    }

    /// The version of the tenant's policy in its store; 0 if it came from a file.
    pub fn policy_version(&self) -> u64 {
        self.tenant.version
    }

    /// The grants that allow it, sorted: `default`, `personal`, `role:NAME`, `rule:NAME`, `space:ROLE@SPACE`.
    pub fn by(&self) -> Vec<String> {
        let principal = Principal::new(&self.tenant, self.subject());
        let mut sources = BTreeSet::new();
        for (side, seen) in [(Some(&self.source), Where::Here), (self.target.as_ref(), Where::There)] {
            let Some(side) = side else { continue };
            name_sources(&self.tenant, &principal, side, &mut sources);
            let rules = self.tenant.rules_granting(&self.request, side, seen);
            sources.extend(rules.iter().map(|name| format!("rule:{name}")));
        }
        sources.into_iter().collect()
    }
}

/// The app that a thing is, or is part of: an object of an object shows the same data, and owes what that one owes. What leads to no
/// app, or round in a circle, stands for itself.
fn app_above(tenant: &TenantSnapshot, thing: u32) -> u32 {
    let is_app = |thing: &u32| tenant.stored(*thing).is_some_and(|(_, class)| class.kind == Kind::App);
    let above = std::iter::successors(Some(thing), |below| tenant.app_of(*below).filter(|above| *above != thing));
    above.take(tenant.things.placed.len()).find(is_app).unwrap_or(thing)
}

fn name_sources(tenant: &TenantSnapshot, principal: &Principal<'_>, side: &Side, sources: &mut BTreeSet<String>) {
    let grants = side.grants;
    sources.extend(grants.roles.iter().map(|role| format!("role:{}", role.name())));
    sources.extend(principal.custom_roles_with(grants.permissions).map(|name| format!("role:{name}")));
    if grants.permissions.meets(tenant.default_permissions) {
        sources.insert("default".to_owned());
    }
    if grants.personal {
        sources.insert("personal".to_owned());
    }
    sources.extend(in_space(tenant, side.space, grants.space_roles));
}

fn in_space(tenant: &TenantSnapshot, space: u32, roles: Set<SpaceRole>) -> impl Iterator<Item = String> {
    let space = tenant.thing_id(space);
    roles.iter().map(move |role| format!("space:{}@{space}", role.name()))
}

/// Why it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyCode {
    /// The policy has no such tenant.
    TenantUnknown,
    /// The tenant is deactivated or purged, or answers to administrators only.
    TenantInactive,
    /// The user is disabled in the tenant.
    UserDisabled,
    /// The tenant has no such resource, or no such target.
    ResourceUnknown,
    /// A restrictive role forbids it.
    Restricted,
    /// Nothing grants it.
    NoGrant,
    /// What grants it needs something besides.
    Capability,
    /// The token's scopes do not admit it.
    Scope,
    /// The request is malformed: see [`crate::Snapshot::check`].
    BadRequest,
}

impl DenyCode {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TenantUnknown => "tenant_unknown",
            Self::TenantInactive => "tenant_inactive",
            Self::UserDisabled => "user_disabled",
            Self::ResourceUnknown => "resource_unknown",
            Self::Restricted => "restricted",
            Self::NoGrant => "no_grant",
            Self::Capability => "capability",
            Self::Scope => "scope",
            Self::BadRequest => "bad_request",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::TenantUnknown => "there is no such tenant",
            Self::TenantInactive => "the tenant is not active",
            Self::UserDisabled => "the user is disabled",
            Self::ResourceUnknown => "the tenant has no such resource",
            Self::Restricted => "a restrictive role forbids it here",
            Self::NoGrant => "nothing grants it",
            Self::Capability => "what grants it needs a capability",
            Self::Scope => "the scopes of the token do not admit it",
            Self::BadRequest => "the request is malformed",
        }
    }
}

/// A denial. Its display says in words who may not do what, why, and what would help.
///
/// ```
/// use qsec_authz::{Action, Decision, Policy, Request, Resource, Subject};
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{}}}"#)?.compile()?;
/// let request = Request::new("acme", &Subject::user("ana"), Action::Create, Resource::new("ApiKey"));
/// let Decision::Deny(denied) = snapshot.decide(&request) else { panic!("allowed") };
/// assert_eq!(
///     denied.to_string(),
///     "`ana` may not create a new `ApiKey` in tenant `acme`: nothing grants it; would help: role:Developer"
/// );
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug)]
pub struct Denied {
    request: Request,
    tenant: Option<Arc<TenantSnapshot>>,
    code: DenyCode,
    side: Option<Side>,
}

impl Denied {
    pub(crate) fn new(
        request: &Request,
        tenant: Option<&Arc<TenantSnapshot>>,
        code: DenyCode,
        side: Option<Side>,
    ) -> Self {
        Self { request: request.clone(), tenant: tenant.cloned(), code, side }
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        self.request.tenant()
    }

    /// Who may not.
    pub fn subject(&self) -> &Subject {
        self.request.subject()
    }

    /// What it may not do.
    pub fn action(&self) -> Action {
        self.request.action()
    }

    /// What was asked.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Why.
    pub fn code(&self) -> DenyCode {
        self.code
    }

    /// What would have helped, sorted: roles, capabilities or scopes, by the code. For the administrator's eyes: it
    /// tells which resources and spaces exist.
    pub fn missing(&self) -> Vec<String> {
        let (Some(tenant), Some(side)) = (&self.tenant, &self.side) else { return Vec::new() };
        let missing: BTreeSet<String> = match self.code {
            DenyCode::NoGrant => self.missing_grants(tenant, side).into_iter().flatten().collect(),
            DenyCode::Capability => side.cell().capability.iter().map(|needed| needed.name().to_owned()).collect(),
            DenyCode::Scope => missing_scopes(side).collect(),
            DenyCode::TenantUnknown
            | DenyCode::TenantInactive
            | DenyCode::UserDisabled
            | DenyCode::ResourceUnknown
            | DenyCode::Restricted
            | DenyCode::BadRequest => BTreeSet::new(),
        };
        missing.into_iter().collect()
    }

    fn missing_grants(&self, tenant: &TenantSnapshot, side: &Side) -> Option<impl Iterator<Item = String>> {
        let helps = tenant.model == Model::Cloud && self.subject().user_id().is_some();
        let cell = helps.then(|| side.cell())?;
        let roles = cell.roles.iter().map(|role| format!("role:{}", role.name()));
        let here = at(&tenant.things.placed, side.space).map_or(Set::EMPTY, |_| cell.space_roles);
        let members = here.without(Set::of(&[SpaceRole::Owner]));
        Some(roles.chain(in_space(tenant, side.space, members).collect::<Vec<_>>()))
    }
}

fn missing_scopes(side: &Side) -> impl Iterator<Item = String> {
    let levels = [(Level::User, side.grants.users().any()), (Level::Admin, side.grants.administrators().any())];
    let side = *side;
    levels
        .into_iter()
        .filter(|(_, granted)| *granted)
        .map(move |(level, _)| narrowest(level, side.kind, side.place, side.action).name().to_owned())
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject().user_id() {
            Some(user) => write!(f, "`{user}`")?,
            None => f.write_str("anonymous")?,
        }
        write!(f, " may not {} ", self.action())?;
        match self.request.resource() {
            ResourceRef::Id(id) => write!(f, "`{id}`")?,
            ResourceRef::Inline(resource) => match &resource.id {
                Some(id) => write!(f, "the `{}` `{id}`", resource.type_name())?,
                None => write!(f, "a new `{}`", resource.type_name())?,
            },
            ResourceRef::Any(_) => f.write_str("everything")?,
        }
        if let Some(target) = self.request.target_space() {
            write!(f, " into `{target}`")?;
        }
        write!(f, " in tenant `{}`: {}", self.tenant(), self.code.words())?;
        let missing = self.missing();
        if missing.is_empty() { Ok(()) } else { write!(f, "; would help: {}", missing.join(", ")) }
    }
}

impl std::error::Error for Denied {}
