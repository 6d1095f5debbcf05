//! A decision with what led to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::decision::Decision;
use crate::request::Request;
use crate::snapshot::TenantSnapshot;
use crate::snapshot::principal::Principal;

/// Why a rule did or did not help, in the order in which they are looked at; of several sides the furthest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Disabled,
    Context,
    Filter,
    Action,
    Condition,
    Error,
    Match,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Context => "context",
            Self::Filter => "filter",
            Self::Action => "action",
            Self::Condition => "condition",
            Self::Error => "error",
            Self::Match => "match",
        }
    }
}

/// A decision, and what the policy knows about the one who asked.
///
/// ```
/// use qsec_authz::{Action, Policy, Request, Resource, Subject};
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{
///     "groups":{"makers":{"roles":["Developer"]}},"users":{"ana":{"groups":["makers"]}}}}}"#)?.compile()?;
/// let request = Request::new("acme", &Subject::user("ana"), Action::Create, Resource::new("ApiKey"));
/// let explanation = snapshot.explain(&request);
/// assert!(explanation.decision().is_allowed());
/// assert!(explanation.roles().eq(["Developer"]));
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Serialize)]
#[must_use]
pub struct Explanation {
    #[serde(flatten)]
    decision: Decision,
    rules: BTreeMap<String, &'static str>,
    groups: BTreeSet<String>,
    roles: BTreeSet<String>,
}

impl Explanation {
    pub(crate) fn new(
        decision: Decision,
        tenant: Option<&TenantSnapshot>,
        groups: BTreeSet<String>,
        request: &Request,
    ) -> Self {
        let mut roles = BTreeSet::new();
        if let Some(tenant) = tenant {
            roles.extend(Principal::new(tenant, request.subject()).role_names().map(str::to_owned));
        }
        let rules = tenant.map(|tenant| tenant.reasons(request, &decision)).unwrap_or_default();
        let rules = rules.into_iter().map(|(name, reason)| (name, reason.as_str())).collect();
        Self { decision, rules, groups, roles }
    }

    /// The decision.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The decision, by value.
    pub fn into_decision(self) -> Decision {
        self.decision
    }

    /// Why each rule did or did not help: the first that applies of `disabled`, `context`, `filter`, `action`, `condition` (it is
    /// false), `error` (it cannot be said) and `match`. None if the decision ended before rules were asked.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.rules.iter().map(|(name, why)| (name.as_str(), *why))
    }

    /// The groups of the subject, of policy and token together, sorted.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// The roles of the subject, its own and through groups, sorted.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(String::as_str)
    }
}
