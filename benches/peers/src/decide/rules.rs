//! A tenant that is decided by 57 security rules, and questions about it: the same on every machine.

use qsec_authz::{Action, Policy, PolicyError};
use serde_json::{Map, Value, json};

use super::tenant::{Dice, QUESTIONS, Question, TENANT, resource_id, user_id};

/// As many as the product has by default.
const RULES: usize = 57;
const USERS: usize = 200;
const RESOURCES: usize = 1_000;

/// The groups of each user, of as many groups as there are rules.
const GROUPS: usize = 6;
const TEAMS: usize = 4;
const REGIONS: usize = 3;
const STAGES: usize = 5;

const TYPES: [&str; 6] = ["App", "Stream", "DataConnection", "ReloadTask", "Tag", "Extension"];
const ACTIONS: [&str; 3] = ["read", "update", "delete"];

/// On resources of a type, these actions, if the condition holds.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) type_name: &'static str,
    pub(super) actions: &'static [&'static str],
    pub(super) condition: Condition,
}

/// The conditions of the product's shape that every engine can be told: a group, often with a property of the resource or of
/// the user, or with a negation. None asks for another right, or compares with a pattern.
#[derive(Debug)]
pub(super) enum Condition {
    /// The user is in this group.
    Group(String),
    /// The user is in this group, and the resource is of the user's team.
    GroupAndTeam(String),
    /// The resource is of this stage and of the user's region, and not locked.
    Stage(String),
}

/// What is known of a user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) groups: [String; GROUPS],
    pub(super) team: String,
    pub(super) region: String,
}

/// What is known of a resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) id: String,
    pub(super) type_name: &'static str,
    pub(super) team: String,
    pub(super) region: String,
    pub(super) stage: String,
    pub(super) locked: &'static str,
}

/// A tenant of 200 users and 1,000 resources of six types, that is decided by 57 rules.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RuledTenant;

impl RuledTenant {
    /// Questions of users that are known about resources that are known.
    pub fn questions() -> Vec<Question> {
        let mut dice = Dice(13);
        let mut ask = |_| {
            let action = dice.one_of(&[Action::Read, Action::Read, Action::Update, Action::Delete]);
            Question {
                user: user_id(dice.below(USERS)),
                action,
                resource: resource_id(dice.below(RESOURCES)),
                scopes: None,
            }
        };
        (0..QUESTIONS).map(&mut ask).collect()
    }

    /// The policy, as `qsec-authz` reads it.
    ///
    /// # Errors
    /// What the reader finds.
    pub fn policy() -> Result<Policy, PolicyError> {
        let users: Map<String, Value> = Self::users()
            .map(|user| (user.id, json!({"groups": user.groups, "custom": {"Team": user.team, "Region": user.region}})))
            .collect();
        let resources: Map<String, Value> = Self::resources()
            .map(|resource| {
                let custom = json!({"Team": resource.team, "Region": resource.region, "Stage": resource.stage, "Locked": resource.locked});
                (resource.id, json!({"type": resource.type_name, "custom": custom}))
            })
            .collect();
        let rules: Vec<Value> = (0..).zip(Self::rules()).map(|(number, rule)| row(number, &rule)).collect();
        let tenant = json!({"model": "enterprise", "users": users, "resources": resources, "rules": rules});
        Policy::parse_json(&json!({"version": 1, "tenants": {TENANT: tenant}}).to_string())
    }

    pub(super) fn rules() -> impl Iterator<Item = Rule> {
        // In strides of 6 and 18, so that each type has each condition, and each condition each number of actions.
        (0..RULES).map(|n| Rule {
            type_name: TYPES[n % TYPES.len()],
            actions: &ACTIONS[..=n / 18 % ACTIONS.len()],
            condition: match n / 6 % 3 {
                0 => Condition::Group(format!("group-{n}")),
                1 => Condition::GroupAndTeam(format!("group-{n}")),
                _ => Condition::Stage(format!("stage-{}", n % STAGES)),
            },
        })
    }

    pub(super) fn users() -> impl Iterator<Item = User> {
        (0..USERS).map(|n| User {
            id: user_id(n),
            groups: std::array::from_fn(|place| format!("group-{}", (n * 7 + place * 10) % RULES)),
            team: format!("team-{}", n % TEAMS),
            region: format!("region-{}", n % REGIONS),
        })
    }

    pub(super) fn resources() -> impl Iterator<Item = Resource> {
        (0..RESOURCES).map(|n| Resource {
            id: resource_id(n),
            type_name: TYPES[n % TYPES.len()],
            team: format!("team-{}", n / 6 % TEAMS),
            region: format!("region-{}", n / 24 % REGIONS),
            stage: format!("stage-{}", n / 6 % STAGES),
            locked: if n.is_multiple_of(7) { "yes" } else { "no" },
        })
    }
}

/// A rule as `qsec-authz` reads it.
fn row(number: usize, rule: &Rule) -> Value {
    let condition = match &rule.condition {
        Condition::Group(group) => format!(r#"user.group = "{group}""#),
        Condition::GroupAndTeam(group) => format!(r#"user.group = "{group}" and resource.@Team = user.@Team"#),
        Condition::Stage(stage) => {
            format!(
                r#"resource.@Stage = "{stage}" and resource.@Region = user.@Region and !(resource.@Locked = "yes")"#
            )
        }
    };
    json!({"name": format!("rule {number}"), "filter": format!("{}_*", rule.type_name), "actions": rule.actions, "condition": condition})
}
