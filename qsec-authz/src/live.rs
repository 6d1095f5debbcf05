//! The policy in force: readers never wait, writers replace it whole.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::decision::Decision;
use crate::request::Request;
use crate::snapshot::Snapshot;
use crate::visible::Visible;

/// The snapshot that is in force now. A decision sees the old policy or the new one, never a mixture.
///
/// ```
/// use qsec_authz::{Action, LivePolicy, Policy, Request, Resource, Subject};
/// let with = |role: &str| {
///     Policy::parse(&format!(r#"{{"version":1,"tenants":{{"acme":{{"users":{{"ana":{{"roles":[{role}]}}}}}}}}}}"#))?.compile()
/// };
/// let live = LivePolicy::new(with("")?);
/// let request = Request::new("acme", &Subject::user("ana"), Action::Create, Resource::new("ApiKey"));
/// assert!(!live.decide(&request).is_allowed());
/// live.replace(with(r#""Developer""#)?);
/// assert!(live.decide(&request).is_allowed());
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug)]
pub struct LivePolicy {
    snapshot: ArcSwap<Snapshot>,
}

impl LivePolicy {
    /// Puts a snapshot in force.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { snapshot: ArcSwap::from_pointee(snapshot) }
    }

    /// The snapshot in force, for several questions to the same policy.
    pub fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// [`Snapshot::decide`] of the snapshot in force.
    pub fn decide(&self, request: &Request) -> Decision {
        self.snapshot.load().decide(request)
    }

    /// [`Snapshot::filter`] of the snapshot in force.
    pub fn filter(&self, request: &Request) -> Visible {
        self.snapshot.load().filter(request)
    }

    /// Puts another snapshot in force: tenants that it lacks are unknown from now on.
    pub fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Puts the tenants of another snapshot in force and leaves the others as they are. A tenant whose version is older
    /// than the one in force is left out: of two nodes' messages that overtake one another, the newer policy stays.
    pub fn merge(&self, snapshot: &Snapshot) {
        self.snapshot.rcu(|current| {
            let mut next = Snapshot::clone(current);
            for (id, tenant) in &snapshot.tenants {
                if next.tenants.get(id).is_none_or(|old| old.version <= tenant.version) {
                    next.tenants.insert(Arc::clone(id), Arc::clone(tenant));
                }
            }
            next
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Policy, Resource, StoredPolicy, Subject};

    fn stored(tenant: &str, version: u64, role: &str) -> Snapshot {
        let file = format!(r#"{{"version":1,"tenants":{{"{tenant}":{{"users":{{"ana":{{"roles":["{role}"]}}}}}}}}}}"#);
        let entries = Policy::parse(&file).unwrap().tenant(tenant).unwrap().entries().unwrap();
        Policy::from_stored(tenant, &StoredPolicy { version, entries }).unwrap().compile().unwrap()
    }

    fn may_create_keys(live: &LivePolicy, tenant: &str) -> bool {
        live.decide(&Request::new(tenant, &Subject::user("ana"), Action::Create, Resource::new("ApiKey"))).is_allowed()
    }

    #[test]
    fn older_version_does_not_replace_a_newer_one() {
        let live = LivePolicy::new(stored("acme", 2, "Steward"));
        live.merge(&stored("acme", 1, "Developer"));
        assert!(!may_create_keys(&live, "acme"));
        live.merge(&stored("acme", 3, "Developer"));
        assert!(may_create_keys(&live, "acme"));
    }

    #[test]
    fn merge_leaves_other_tenants_as_they_are() {
        let live = LivePolicy::new(stored("acme", 1, "Developer"));
        live.merge(&stored("other", 1, "Steward"));
        assert!(may_create_keys(&live, "acme"));
        assert!(!may_create_keys(&live, "other"));
        live.replace(stored("other", 1, "Developer"));
        assert!(!may_create_keys(&live, "acme"));
    }
}
