//! What looks wrong in a policy that is well-formed?

use serde::Serialize;

use crate::policy::{Policy, Tenant};

/// Something that looks wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    tenant: String,
    code: &'static str,
    #[serde(rename = "where")]
    place: String,
}

impl Finding {
    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// What it is: `unused_role`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The role or rule.
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Findings, sorted by tenant, code and place.
///
/// ```
/// use qsec_authz::{Lint, Policy};
/// let lint = Lint::of(&Policy::parse(r#"{"version":1,"tenants":{"t":{"roles":{"Spare":["apps"]}}}}"#)?);
/// assert_eq!(lint.findings()[0].code(), "unused_role");
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    findings: Vec<Finding>,
}

impl Lint {
    /// Looks through a policy.
    pub fn of(policy: &Policy) -> Self {
        let mut findings: Vec<_> = policy.tenants().flat_map(unused_roles).collect();
        findings.sort_unstable();
        Self { findings }
    }

    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A custom role that no user or group of the policy has.
fn unused_roles(tenant: &Tenant) -> impl Iterator<Item = Finding> {
    let has = |name: &String| {
        tenant.users.values().any(|user| user.roles.contains(name))
            || tenant.groups.values().any(|group| group.roles.contains(name))
    };
    tenant.roles.keys().filter(move |name| !has(name)).map(|name| Finding {
        tenant: tenant.id().to_owned(),
        code: "unused_role",
        place: name.clone(),
    })
}
