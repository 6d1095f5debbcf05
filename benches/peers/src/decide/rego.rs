//! regorus: policies in Rego, over the tenant as data. That of the roles and that of the lists are written by hand, that of the
//! 57 rules has a body for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine as Interpreter, Value};
use serde_json::{Map, Value as Json, json};

use super::grants::GRANTS;
use super::rules::{Condition, Rule};
use super::{Engine, EngineError, Lister, Question, RuledTenant, Tenant};

const ALLOW: &str = "data.qsec.allow";
const VISIBLE: &str = "data.qsec.visible";

/// A policy, the rule in it that is asked for, and what it is asked about.
struct Asked {
    policy: String,
    rule: &'static str,
    data: Value,
    inputs: Vec<Value>,
}

impl Asked {
    fn of_roles(tenant: &Tenant, questions: &[Question]) -> Result<Self, EngineError> {
        let policy = include_str!("policy.rego").to_owned();
        Ok(Self { policy, rule: ALLOW, data: data(tenant), inputs: inputs(questions)? })
    }

    fn of_rules(questions: &[Question]) -> Result<Self, EngineError> {
        Ok(Self { policy: ruled_policy(), rule: ALLOW, data: ruled_data(), inputs: inputs(questions)? })
    }

    fn of_lists(tenant: &Tenant, users: &[String]) -> Self {
        let policy = include_str!("list.rego").to_owned();
        let inputs = users.iter().map(|user| Value::from(json!({"user": user}))).collect();
        Self { policy, rule: VISIBLE, data: data(tenant), inputs }
    }

    fn interpreter(&self) -> Result<Interpreter, EngineError> {
        let mut interpreter = Interpreter::new();
        interpreter.add_policy("policy.rego".to_owned(), self.policy.clone())?;
        interpreter.add_data(self.data.clone())?;
        Ok(interpreter)
    }
}

/// regorus, asked by its interpreter: `Engine::eval_rule`.
#[derive(Debug)]
pub struct RegoInterpreter {
    interpreter: Interpreter,
    rule: &'static str,
    inputs: Vec<Value>,
}

impl RegoInterpreter {
    /// Reads the policy and the tenant.
    ///
    /// # Errors
    /// What regorus finds in them, and a question with scopes.
    pub fn new(tenant: &Tenant, questions: &[Question]) -> Result<Self, EngineError> {
        Self::of(Asked::of_roles(tenant, questions)?)
    }

    /// Reads the policy of 57 rules.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn ruled(questions: &[Question]) -> Result<Self, EngineError> {
        Self::of(Asked::of_rules(questions)?)
    }

    /// Reads the tenant, to be asked for lists.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn listing(tenant: &Tenant, users: &[String]) -> Result<Self, EngineError> {
        Self::of(Asked::of_lists(tenant, users))
    }

    fn of(asked: Asked) -> Result<Self, EngineError> {
        Ok(Self { interpreter: asked.interpreter()?, rule: asked.rule, inputs: asked.inputs })
    }

    fn answer(&mut self, input: usize) -> Result<Value, EngineError> {
        self.interpreter.set_input(self.inputs.get(input).ok_or("no such input")?.clone());
        Ok(self.interpreter.eval_rule(self.rule.to_owned())?)
    }
}

impl Engine for RegoInterpreter {
    const NAME: &'static str = "regorus";

    fn allows(&mut self, question: usize) -> Result<bool, EngineError> {
        Ok(*self.answer(question)?.as_bool()?)
    }
}

impl Lister for RegoInterpreter {
    const NAME: &'static str = "regorus";
    type List = Value;

    fn list(&mut self, user: usize) -> Result<Value, EngineError> {
        self.answer(user)
    }

    fn ids(&self, list: &Value) -> Result<BTreeSet<String>, EngineError> {
        ids(list)
    }
}

/// regorus, asked by its virtual machine: `RegoVM::execute`.
#[derive(Debug)]
pub struct RegoMachine {
    machine: RegoVM,
    inputs: Vec<Value>,
}

impl RegoMachine {
    /// Compiles the policy, and reads the tenant.
    ///
    /// # Errors
    /// What regorus finds in them, and a question with scopes.
    pub fn new(tenant: &Tenant, questions: &[Question]) -> Result<Self, EngineError> {
        Self::of(Asked::of_roles(tenant, questions)?)
    }

    /// Compiles the policy of 57 rules.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn ruled(questions: &[Question]) -> Result<Self, EngineError> {
        Self::of(Asked::of_rules(questions)?)
    }

    /// Compiles the policy of the lists.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn listing(tenant: &Tenant, users: &[String]) -> Result<Self, EngineError> {
        Self::of(Asked::of_lists(tenant, users))
    }

    fn of(asked: Asked) -> Result<Self, EngineError> {
        let compiled = asked.interpreter()?.compile_with_entrypoint(&Arc::from(asked.rule))?;
        let mut machine = RegoVM::new();
        machine.load_program(Compiler::compile_from_policy(&compiled, &[asked.rule])?);
        machine.set_data(asked.data)?;
        Ok(Self { machine, inputs: asked.inputs })
    }

    fn answer(&mut self, input: usize) -> Result<Value, EngineError> {
        self.machine.set_input(self.inputs.get(input).ok_or("no such input")?.clone());
        Ok(self.machine.execute()?)
    }
}

impl Engine for RegoMachine {
    const NAME: &'static str = "regorus-rvm";

    fn allows(&mut self, question: usize) -> Result<bool, EngineError> {
        Ok(*self.answer(question)?.as_bool()?)
    }
}

impl Lister for RegoMachine {
    const NAME: &'static str = "regorus-rvm";
    type List = Value;

    fn list(&mut self, user: usize) -> Result<Value, EngineError> {
        self.answer(user)
    }

    fn ids(&self, list: &Value) -> Result<BTreeSet<String>, EngineError> {
        ids(list)
    }
}

fn ids(list: &Value) -> Result<BTreeSet<String>, EngineError> {
    list.as_set()?.iter().map(|id| Ok(id.as_string()?.to_string())).collect()
}

/// A body of `allow` for each rule.
fn ruled_policy() -> String {
    let head = "package qsec\n\nimport rego.v1\n\ndefault allow := false\n\nuser := data.users[input.user]\n\nresource := data.resources[input.resource]\n";
    std::iter::once(head.to_owned()).chain(RuledTenant::rules().map(|rule| body(&rule))).collect()
}

fn body(rule: &Rule) -> String {
    let conditions = match &rule.condition {
        Condition::Group(group) => vec![format!(r#"user.groups["{group}"]"#)],
        Condition::GroupAndTeam(group) => {
            vec![format!(r#"user.groups["{group}"]"#), "resource.team == user.team".to_owned()]
        }
        Condition::Stage(stage) => vec![
            format!(r#"resource.stage == "{stage}""#),
            "resource.region == user.region".to_owned(),
            r#"not resource.locked == "yes""#.to_owned(),
        ],
    };
    let (actions, type_name) = (rule.actions, rule.type_name);
    let actions: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
    let (actions, conditions) = (actions.join(", "), conditions.join("\n\t"));
    format!("\nallow if {{\n\tresource.type == \"{type_name}\"\n\tinput.action in {{{actions}}}\n\t{conditions}\n}}\n")
}

fn ruled_data() -> Value {
    let users: Map<String, Json> = RuledTenant::users()
        .map(|user| {
            let groups: Map<String, Json> = user.groups.into_iter().map(|group| (group, Json::Bool(true))).collect();
            (user.id, json!({"groups": groups, "team": user.team, "region": user.region}))
        })
        .collect();
    let resources: Map<String, Json> = RuledTenant::resources()
        .map(|one| {
            let of_one = json!({"type": one.type_name, "team": one.team, "region": one.region, "stage": one.stage, "locked": one.locked});
            (one.id, of_one)
        })
        .collect();
    Value::from(json!({"users": users, "resources": resources}))
}

fn inputs(questions: &[Question]) -> Result<Vec<Value>, EngineError> {
    let one = |question: &Question| match question.scopes {
        Some(_) => Err("scopes are not in the policy".into()),
        None => Ok(Value::from(
            json!({"user": question.user, "action": question.action.as_str(), "resource": question.resource}),
        )),
    };
    questions.iter().map(one).collect()
}

/// The tenant as maps by name, so that the policy looks up and does not search.
fn data(tenant: &Tenant) -> Value {
    let spaces: Map<String, Json> = tenant
        .spaces()
        .map(|(id, space)| {
            let mut members = space.members;
            members.entry(format!("user:{}", space.owner)).or_default().push("owner");
            (id, json!({"kind": space.kind, "members": members}))
        })
        .collect();
    let resources: Map<String, Json> =
        tenant.resources().map(|(id, type_name, space)| (id, json!({"type": type_name, "space": space}))).collect();
    let principals: Map<String, Json> = tenant
        .user_ids()
        .map(|(user, [one, other])| (user.clone(), json!([format!("user:{user}"), one, other])))
        .collect();
    let mut apps: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, space) in tenant.apps() {
        apps.entry(space).or_default().push(id);
    }
    Value::from(json!({
        "spaces": spaces, "resources": resources, "apps": apps, "principals": principals, "granted": granted(),
    }))
}

/// By kind of the space, type, action and role.
fn granted() -> Json {
    let mut granted = json!({});
    for grant in &GRANTS {
        for action in grant.actions {
            for role in grant.roles {
                granted[grant.kind][grant.type_name][*action][*role] = Json::Bool(true);
            }
        }
    }
    granted
}
