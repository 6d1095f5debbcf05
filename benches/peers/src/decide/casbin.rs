//! casbin: its model of roles with domains, where a domain is a space.

use std::collections::BTreeMap;
use std::fmt;

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};

use serde_json::{Value, json};

use super::grants::GRANTS;
use super::rules::{Condition, Rule};
use super::{Engine, EngineError, Question, RuledTenant, Tenant};

const DOUBLE: &str = "casbin takes no row of a list in which one is double";

/// The user, the space, its kind, the type and the action.
type Asked = [String; 5];

/// casbin, asked by `Enforcer::enforce`.
///
/// It holds no resources: the space, its kind and the type of the resource are handed to it with the question. Groups are
/// resolved beforehand: each user has its roles in each space.
pub struct Casbin {
    enforcer: Enforcer,
    asked: Vec<Asked>,
}

impl fmt::Debug for Casbin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Casbin").finish_non_exhaustive()
    }
}

impl Casbin {
    /// Fills an enforcer.
    ///
    /// # Errors
    /// What casbin finds in the model or the policy, a question with scopes, one about what the tenant does not hold.
    pub fn new(tenant: &Tenant, questions: &[Question]) -> Result<Self, EngineError> {
        let mut enforcer = enforcer(include_str!("casbin.conf"), grants())?;
        if !pollster::block_on(enforcer.add_grouping_policies(memberships(tenant)))? {
            return Err(DOUBLE.into());
        }
        Ok(Self { enforcer, asked: asked(tenant, questions)? })
    }
}

impl Engine for Casbin {
    const NAME: &'static str = "casbin";

    fn allows(&mut self, question: usize) -> Result<bool, EngineError> {
        let [user, space, kind, type_name, action] = self.asked.get(question).ok_or("no such question")?;
        Ok(self.enforcer.enforce((user, space, kind, type_name, action))?)
    }
}

/// casbin with a row for each rule and action, whose condition it evaluates: `eval` in the matcher.
///
/// It holds no users and no resources: their groups and properties are handed to it with the question.
pub struct CasbinRules {
    enforcer: Enforcer,
    asked: Vec<(Value, Value, &'static str)>,
}

impl fmt::Debug for CasbinRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CasbinRules").finish_non_exhaustive()
    }
}

impl CasbinRules {
    /// Fills an enforcer.
    ///
    /// # Errors
    /// What casbin finds in the model or the rules, a question about what the tenant does not hold.
    pub fn new(questions: &[Question]) -> Result<Self, EngineError> {
        let enforcer = enforcer(include_str!("casbin_rules.conf"), RuledTenant::rules().flat_map(rows).collect())?;
        let users: BTreeMap<String, Value> = RuledTenant::users()
            .map(|user| (user.id, json!({"groups": user.groups, "team": user.team, "region": user.region})))
            .collect();
        let resources: BTreeMap<String, Value> = RuledTenant::resources()
            .map(|one| {
                let of_one = json!({"kind": one.type_name, "team": one.team, "region": one.region, "stage": one.stage, "locked": one.locked});
                (one.id, of_one)
            })
            .collect();
        let one = |question: &Question| -> Result<(Value, Value, &'static str), EngineError> {
            let user = users.get(&question.user).ok_or("no such user")?;
            let resource = resources.get(&question.resource).ok_or("no such resource")?;
            Ok((user.clone(), resource.clone(), question.action.as_str()))
        };
        Ok(Self { enforcer, asked: questions.iter().map(one).collect::<Result<_, _>>()? })
    }
}

impl Engine for CasbinRules {
    const NAME: &'static str = "casbin";

    fn allows(&mut self, question: usize) -> Result<bool, EngineError> {
        let (user, resource, action) = self.asked.get(question).ok_or("no such question")?;
        Ok(self.enforcer.enforce((user, resource, action))?)
    }
}

/// An enforcer of this model, with these rows.
fn enforcer(model: &str, rows: Vec<Vec<String>>) -> Result<Enforcer, EngineError> {
    let model = pollster::block_on(DefaultModel::from_str(model))?;
    let mut enforcer = pollster::block_on(Enforcer::new(model, MemoryAdapter::default()))?;
    if pollster::block_on(enforcer.add_policies(rows))? { Ok(enforcer) } else { Err(DOUBLE.into()) }
}

/// A rule as rows: the type, one action, the condition.
fn rows(rule: Rule) -> Vec<Vec<String>> {
    let condition = match rule.condition {
        Condition::Group(group) => format!(r#""{group}" in r.user.groups"#),
        Condition::GroupAndTeam(group) => format!(r#""{group}" in r.user.groups && r.resource.team == r.user.team"#),
        Condition::Stage(stage) => {
            format!(
                r#"r.resource.stage == "{stage}" && r.resource.region == r.user.region && !(r.resource.locked == "yes")"#
            )
        }
    };
    rule.actions.iter().map(|action| vec![rule.type_name.to_owned(), (*action).to_owned(), condition.clone()]).collect()
}

fn grants() -> Vec<Vec<String>> {
    let one =
        |role: &str, kind: &str, type_name: &str, action: &str| [role, kind, type_name, action].map(str::to_owned);
    GRANTS
        .iter()
        .flat_map(|grant| grant.roles.iter().map(move |role| (grant, role)))
        .flat_map(|(grant, role)| {
            grant.actions.iter().map(move |action| one(role, grant.kind, grant.type_name, action).to_vec())
        })
        .collect()
}

fn memberships(tenant: &Tenant) -> Vec<Vec<String>> {
    let mut users_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user, groups) in tenant.user_ids() {
        for group in groups {
            users_of.entry(group).or_default().push(user.clone());
        }
        users_of.insert(format!("user:{user}"), vec![user]);
    }
    let mut rows = Vec::new();
    for (id, space) in tenant.spaces() {
        rows.push(vec![space.owner, "owner".to_owned(), id.clone()]);
        for (member, roles) in space.members {
            let users = users_of.get(&member).map(Vec::as_slice).unwrap_or_default();
            let pairs = users.iter().flat_map(|user| roles.iter().map(move |role| (user, role)));
            rows.extend(pairs.map(|(user, role)| vec![user.clone(), (*role).to_owned(), id.clone()]));
        }
    }
    // A role that one has by two groups is one row: casbin refuses the second.
    rows.sort();
    rows.dedup();
    rows
}

fn asked(tenant: &Tenant, questions: &[Question]) -> Result<Vec<Asked>, EngineError> {
    let kinds: BTreeMap<String, &str> = tenant.spaces().map(|(id, space)| (id, space.kind)).collect();
    let resources: BTreeMap<String, (&str, String)> =
        tenant.resources().map(|(id, type_name, space)| (id, (type_name, space))).collect();
    let one = |question: &Question| -> Result<Asked, EngineError> {
        if question.scopes.is_some() {
            return Err("scopes are not in the model".into());
        }
        let (type_name, space) = resources.get(&question.resource).ok_or("no such resource")?;
        let kind = kinds.get(space).ok_or("no such space")?;
        let action = question.action.as_str();
        Ok([question.user.as_str(), space, kind, type_name, action].map(str::to_owned))
    };
    questions.iter().map(one).collect()
}
