//! What looks wrong in a policy that is well-formed?

use std::collections::HashSet;

use serde::Serialize;

use crate::policy::{Policy, Rule, Tenant};
use crate::rule::lexer;
use crate::rule::syntax::{Expression, Operand, Operator};

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

    /// What it is:
    ///
    /// | code | means |
    /// |---|---|
    /// | `unused_role` | a custom role that no user or group of the policy has |
    /// | `rule_allows_everyone` | a rule without a condition, or of the condition `true`: anonymous is let in too |
    /// | `rule_never_matches` | a rule of the condition `false` |
    /// | `not_equal_multivalued` | `!=` on groups, roles or a custom property is true for whoever has any other: `!(a = b)` is meant |
    /// | `duplicate_rule` | an earlier rule says the same |
    /// | `shadowed_rule` | an earlier rule grants all of it to everybody |
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
        policy.tenants().for_each(|tenant| rules(tenant, &mut findings));
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

/// Most open rules that a rule is compared with: a policy has a handful, and more would take time that grows with their square.
const MAX_OPEN_RULES: usize = 1000;

/// What looks wrong in rules that are not disabled: those grant nothing and hide nothing.
fn rules(tenant: &Tenant, findings: &mut Vec<Finding>) {
    let mut seen = HashSet::new();
    let mut open: Vec<&Rule> = Vec::new();
    for rule in tenant.rules.iter().filter(|rule| !rule.disabled) {
        let mut find = |code| {
            findings.push(Finding { tenant: tenant.id().to_owned(), code, place: rule.name.clone() });
        };
        if open.iter().any(|earlier| is_inside(rule, earlier)) {
            find("shadowed_rule");
        }
        let words = lexer::normal(rule.condition.as_deref().unwrap_or_default());
        let patterns: Vec<_> = rule.read.filter.patterns.iter().map(|pattern| &*pattern.text).collect();
        let actions: Vec<_> = rule.read.actions.iter().collect();
        if !seen.insert((patterns, actions, rule.read.sides, words)) {
            find("duplicate_rule");
        }
        if rule.read.condition.as_ref().is_some_and(compares_many_unequal) {
            find("not_equal_multivalued");
        }
        if matches!(rule.read.condition, Some(Expression::Constant(false))) {
            find("rule_never_matches");
        }
        if rule.read.is_open() {
            find("rule_allows_everyone");
            if open.len() < MAX_OPEN_RULES {
                open.push(rule);
            }
        }
    }
}

fn is_inside(rule: &Rule, open: &Rule) -> bool {
    let (inner, outer) = (&rule.read, &open.read);
    inner.actions.without(outer.actions).is_empty()
        && outer.sides.covers(inner.sides)
        && outer.filter.covers(&inner.filter)
}

fn compares_many_unequal(expression: &Expression) -> bool {
    let is_many = |operand: &Operand| matches!(operand, Operand::Path(path) if path.is_multivalued());
    match expression {
        Expression::Not(inner) => compares_many_unequal(inner),
        Expression::All(all) | Expression::Any(all) => all.iter().any(compares_many_unequal),
        Expression::Compare(left, Operator::Unequal | Operator::StrictUnequal, right) => {
            is_many(left) || is_many(right)
        }
        Expression::Compare(_, Operator::Equal | Operator::StrictEqual, _)
        | Expression::Constant(_)
        | Expression::Like(..)
        | Expression::Matches(..)
        | Expression::IsAnonymous
        | Expression::IsOwned(_)
        | Expression::Empty(_)
        | Expression::HasPrivilege(..) => false,
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
