//! A policy compiled to answer: immutable, shared, and never waiting.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::decision::{Allowed, Decision, Denied, DenyCode};
use crate::explanation::Explanation;
use crate::hash::IdMap;
use crate::policy::{Model, Policy};
use crate::request::{Request, RequestError, Subject};
use crate::visible::Visible;

mod compile;
pub(crate) mod condition;
pub(crate) mod details;
pub(crate) mod evaluate;
pub(crate) mod grouped;
mod judge;
pub(crate) mod principal;
pub(crate) mod rules;
pub(crate) mod tenant;

pub(crate) use compile::{place, standing};
pub(crate) use judge::{Answer, Resolved, Side, Stop, Verdict, Where, owned, owns};
use principal::Principal;
pub(crate) use tenant::TenantSnapshot;

/// A policy that decides. Nothing in it changes; put it into an `Arc`, or into a [`crate::LivePolicy`].
///
/// ```
/// use qsec_authz::{Action, Decision, Policy, Request, ResourceRef, Subject};
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{
///     "resources":{"memo":{"type":"App","owner":"ana"}}}}}"#)?.compile()?;
/// let request = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("memo"));
/// match snapshot.decide(&request) {
///     Decision::Allow(allowed) => assert_eq!(allowed.by(), ["personal"]),
///     Decision::Deny(denied) => panic!("{denied}"),
/// }
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(crate) tenants: IdMap<Arc<str>, Arc<TenantSnapshot>>,
}

impl Snapshot {
    pub(crate) fn compile(policy: &Policy) -> Self {
        let mut tenants = IdMap::default();
        for (id, tenant) in &policy.tenants {
            tenants.insert(Arc::from(id.as_str()), Arc::new(compile::tenant(tenant)));
        }
        Self { tenants }
    }

    /// The snapshot of another policy, made from this one by rebuilding only what changed. Every answer is that of
    /// [`Policy::compile`], which takes longer: the policies are compared whole, and a change of a user, a group or the members of a
    /// space costs no more than that; one of a resource rebuilds all resources of its tenant, one of a rule all its rules, one of a
    /// custom role, of the model or of which spaces there are the tenant.
    ///
    /// `before` is the policy that this snapshot was compiled from: of any other, the answers are those of neither.
    ///
    /// ```
    /// use qsec_authz::{Action, Policy, Request, Resource, Subject};
    /// let policy = |role: &str| {
    ///     Policy::parse(&format!(r#"{{"version":1,"tenants":{{"acme":{{"users":{{"ana":{{"roles":[{role}]}}}}}}}}}}"#))
    /// };
    /// let (before, after) = (policy("")?, policy(r#""Developer""#)?);
    /// let snapshot = before.compile()?.with(&before, &after);
    /// let request = Request::new("acme", &Subject::user("ana"), Action::Create, Resource::new("ApiKey"));
    /// assert!(snapshot.decide(&request).is_allowed());
    /// # Ok::<(), qsec_authz::PolicyError>(())
    /// ```
    #[must_use]
    pub fn with(&self, before: &Policy, after: &Policy) -> Self {
        let mut tenants = IdMap::default();
        for (id, new) in &after.tenants {
            let known = self.tenants.get_key_value(id.as_str()).zip(before.tenants.get(id));
            let (id, tenant) = match known {
                Some(((id, compiled), old)) => (Arc::clone(id), compile::updated(compiled, old, new)),
                None => (Arc::from(id.as_str()), Arc::new(compile::tenant(new))),
            };
            tenants.insert(id, tenant);
        }
        Self { tenants }
    }

    /// Whether this policy can answer the request: a resource that the caller describes may refer only to what the
    /// tenant has, and its id must be new.
    ///
    /// # Errors
    /// [`RequestError::BadRequest`] with what is wrong.
    pub fn check(&self, request: &Request) -> Result<(), RequestError> {
        match self.tenants.get(request.tenant()).map(|tenant| tenant.resolve(request)) {
            Some(Err(Stop::Malformed(fault))) => Err(RequestError::new(*fault, None)),
            Some(Ok(_) | Err(Stop::Denied(_))) | None => Ok(()),
        }
    }

    /// May it? Deny by default: what [`Snapshot::check`] refuses is denied too, with [`DenyCode::BadRequest`].
    pub fn decide(&self, request: &Request) -> Decision {
        let Some(tenant) = self.tenants.get(request.tenant()) else {
            return Decision::Deny(Denied::new(request, None, DenyCode::TenantUnknown, None));
        };
        match tenant.judge(request) {
            Verdict::Granted { thing, source, target } => {
                Decision::Allow(Allowed::new(request, tenant, thing, source, target))
            }
            Verdict::Refused { code, side } => Decision::Deny(Denied::new(request, Some(tenant), code, side)),
        }
    }

    /// The same decision, with what led to it.
    pub fn explain(&self, request: &Request) -> Explanation {
        let tenant = self.tenants.get(request.tenant()).map(|tenant| &**tenant);
        Explanation::new(self.decide(request), tenant, self.groups_of(request.tenant(), request.subject()), request)
    }

    /// The groups of a subject, of its token and of the policy together, sorted: what section access may match.
    pub fn groups_of(&self, tenant: &str, subject: &Subject) -> BTreeSet<String> {
        let mut groups: BTreeSet<String> = subject.token_groups().iter().cloned().collect();
        if let Some(tenant) = self.tenants.get(tenant) {
            groups.extend(Principal::new(tenant, subject).group_names().map(str::to_owned));
        }
        groups
    }

    /// Whether a subject holds an administrator role of the tenant, by itself or by a group: who is let in while the tenant
    /// is closed to its members. Under [`crate::Model::Enterprise`] role names are free texts, and nobody is.
    ///
    /// ```
    /// # use qsec_authz::{Policy, Subject};
    /// let policy = r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["TenantAdmin"]}}}}}"#;
    /// let snapshot = Policy::parse(policy)?.compile()?;
    /// assert!(snapshot.is_administrator("acme", &Subject::user("ana")));
    /// assert!(!snapshot.is_administrator("acme", &Subject::user("ben")));
    /// # Ok::<(), qsec_authz::PolicyError>(())
    /// ```
    pub fn is_administrator(&self, tenant: &str, subject: &Subject) -> bool {
        self.tenants.get(tenant).is_some_and(|tenant| {
            let principal = Principal::new(tenant, subject);
            tenant.model == Model::Cloud && principal.is_administrator() && !principal.is_disabled()
        })
    }

    /// Which resources and spaces of the policy may it? Those of the type that [`Request::on_any`] names; of every
    /// type, if the request names a single resource or none. A request that cannot be answered sees nothing.
    pub fn filter(&self, request: &Request) -> Visible {
        self.tenants.get(request.tenant()).map_or_else(Visible::nothing, |tenant| Visible::of(tenant, request))
    }
}
