//! Who gains or loses what between two policies?

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::action::Action;
use crate::policy::{Policy, PolicyError};
use crate::request::{Request, ResourceRef, Subject};
use crate::snapshot::Snapshot;

/// One user's right to one action on one resource, gained or lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    tenant: String,
    user: String,
    resource: String,
    action: &'static str,
    old: &'static str,
    new: &'static str,
}

impl Change {
    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The resource or space.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The name of the action.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// Whether it is gained; else it is lost.
    pub fn is_gain(&self) -> bool {
        self.new == "allow"
    }
}

/// What changes between two policies: all users, resources, spaces and actions of either, without scopes, in the
/// context `hub`, sorted by tenant, user, resource and action. Users are those that a policy lists.
///
/// ```
/// use qsec_authz::{Diff, Policy};
/// let old = Policy::parse(r#"{"version":1,"tenants":{"t":{"users":{"ana":{}},
///     "resources":{"k":{"type":"Glossary"}}}}}"#)?;
/// let new = Policy::parse(r#"{"version":1,"tenants":{"t":{"users":{"ana":{"roles":["Steward"]}},
///     "resources":{"k":{"type":"Glossary"}}}}}"#)?;
/// let diff = Diff::between(&old, &new)?;
/// let gained: Vec<_> = diff.changes().iter().filter(|c| c.is_gain()).map(|c| c.action()).collect();
/// assert_eq!(gained, ["create", "delete", "read", "update"]);
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    changes: Vec<Change>,
}

impl Diff {
    /// Compares two policies.
    ///
    /// # Errors
    /// One of them does not compile.
    pub fn between(old: &Policy, new: &Policy) -> Result<Self, PolicyError> {
        let snapshots = (old.compile()?, new.compile()?);
        let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for tenant in old.tenants().chain(new.tenants()) {
            users.entry(tenant.id()).or_default().extend(tenant.users.keys().map(String::as_str));
        }
        let mut changes = Vec::new();
        for (tenant, users) in users {
            for user in users {
                compare(&snapshots, tenant, user, &mut changes);
            }
        }
        Ok(Self { changes })
    }

    /// The changes.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

fn compare((old, new): &(Snapshot, Snapshot), tenant: &str, user: &str, changes: &mut Vec<Change>) {
    let subject = Subject::user(user);
    let mut found: BTreeMap<(String, &'static str), bool> = BTreeMap::new();
    for action in Action::ALL {
        let request = Request::new(tenant, &subject, *action, ResourceRef::Any(None));
        let (before, after) = (old.filter(&request), new.filter(&request));
        let lost = before.ids().filter(|id| !after.contains(id)).map(|id| (id, false));
        let gained = after.ids().filter(|id| !before.contains(id)).map(|id| (id, true));
        found.extend(lost.chain(gained).map(|(id, gain)| ((id.to_owned(), action.as_str()), gain)));
    }
    changes.extend(found.into_iter().map(|((resource, action), gained)| Change {
        tenant: tenant.to_owned(),
        user: user.to_owned(),
        resource,
        action,
        old: if gained { "deny" } else { "allow" },
        new: if gained { "allow" } else { "deny" },
    }));
}
