//! Cedar: the policies and entities that `qsec-authz` exports, and 57 policies written for the 57 rules.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, Schema};
use qsec_authz::Action;
use qsec_authz::cedar::{CedarExport, CedarRequest};
use serde_json::{Value, json};

use super::rules::{Condition, Rule};
use super::tenant::TENANT;
use super::{Engine, EngineError, Lister, Question, RuledTenant, Tenant};

/// Cedar, asked by `Authorizer::is_authorized`: policies, entities and requests are ready.
#[derive(Debug)]
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    requests: Vec<Request>,
}

impl Cedar {
    /// Reads the export of the tenant, and who asks, as one set of entities.
    ///
    /// # Errors
    /// What Cedar cannot read, and a question that the export cannot ask.
    pub fn new(tenant: &Tenant, questions: &[Question]) -> Result<Self, EngineError> {
        let policy = tenant.policy()?;
        let export = CedarExport::of(policy.tenant(TENANT).ok_or("no tenant")?);
        let (schema, _) = Schema::from_cedarschema_str(&CedarExport::schema())?;
        let asked = questions
            .iter()
            .map(|question| export.request(&question.request()).ok_or("outside of the export"))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: export.policies().parse()?,
            entities: Entities::from_json_str(&entities(&export, &asked)?, Some(&schema))?,
            requests: asked.iter().map(|asked| request(asked, &schema)).collect::<Result<_, _>>()?,
        })
    }

    /// A policy for each rule, in Cedar's own words, and the tenant as entities.
    ///
    /// # Errors
    /// What Cedar cannot read.
    pub fn ruled(questions: &[Question]) -> Result<Self, EngineError> {
        let types: BTreeMap<String, &str> = RuledTenant::resources().map(|one| (one.id, one.type_name)).collect();
        let request = |question: &Question| -> Result<Request, EngineError> {
            let type_name = types.get(&question.resource).ok_or("no such resource")?;
            let resource = uid(type_name, &question.resource)?;
            let (principal, action) = (uid("User", &question.user)?, uid("Action", question.action.as_str())?);
            Ok(Request::new(principal, action, resource, Context::empty(), None)?)
        };
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: RuledTenant::rules().map(|rule| policy(&rule)).collect::<String>().parse()?,
            entities: Entities::from_json_str(&ruled_entities().to_string(), None)?,
            requests: questions.iter().map(request).collect::<Result<_, _>>()?,
        })
    }
}

impl Engine for Cedar {
    const NAME: &'static str = "cedar";

    fn allows(&mut self, question: usize) -> Result<bool, EngineError> {
        let request = self.requests.get(question).ok_or("no such question")?;
        let response = self.authorizer.is_authorized(request, &self.policies, &self.entities);
        // A policy that fails is skipped by Cedar: it would pass for a refusal.
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(error.to_string().into());
        }
        Ok(response.decision() == Decision::Allow)
    }
}

/// Cedar, asked for a list: it has no such question, so that each app is asked about.
#[derive(Debug)]
pub struct CedarList {
    cedar: Cedar,
    apps: Vec<String>,
}

impl CedarList {
    /// Reads the export of the tenant, and who asks, as one set of entities.
    ///
    /// # Errors
    /// As for [`Cedar::new`].
    pub fn new(tenant: &Tenant, users: &[String]) -> Result<Self, EngineError> {
        let apps: Vec<String> = tenant.apps().map(|(id, _)| id).collect();
        let questions: Vec<Question> = users
            .iter()
            .flat_map(|user| apps.iter().map(move |app| (user, app)))
            .map(|(user, app)| Question {
                user: user.clone(),
                action: Action::Read,
                resource: app.clone(),
                scopes: None,
            })
            .collect();
        Ok(Self { cedar: Cedar::new(tenant, &questions)?, apps })
    }
}

impl Lister for CedarList {
    const NAME: &'static str = "cedar-each";
    type List = Vec<usize>;

    fn list(&mut self, user: usize) -> Result<Vec<usize>, EngineError> {
        let mut list = Vec::new();
        for app in 0..self.apps.len() {
            if self.cedar.allows(user * self.apps.len() + app)? {
                list.push(app);
            }
        }
        Ok(list)
    }

    fn ids(&self, list: &Vec<usize>) -> Result<BTreeSet<String>, EngineError> {
        Ok(list.iter().map(|app| self.apps[*app].clone()).collect())
    }
}

/// A rule in Cedar's own words.
fn policy(rule: &Rule) -> String {
    let actions: Vec<String> = rule.actions.iter().map(|action| format!(r#"Action::"{action}""#)).collect();
    let condition = match &rule.condition {
        Condition::Group(group) => format!(r#"principal in Group::"{group}""#),
        Condition::GroupAndTeam(group) => {
            format!(r#"principal in Group::"{group}" && resource.team == principal.team"#)
        }
        Condition::Stage(stage) => {
            format!(
                r#"resource.stage == "{stage}" && resource.region == principal.region && !(resource.locked == "yes")"#
            )
        }
    };
    let (actions, type_name) = (actions.join(", "), rule.type_name);
    format!("permit (principal, action in [{actions}], resource is {type_name}) when {{ {condition} }};\n")
}

fn ruled_entities() -> Value {
    let users = RuledTenant::users().map(|user| {
        let parents: Vec<Value> = user.groups.iter().map(|group| json!({"type": "Group", "id": group})).collect();
        let attributes = json!({"team": user.team, "region": user.region});
        json!({"uid": {"type": "User", "id": user.id}, "attrs": attributes, "parents": parents})
    });
    let resources = RuledTenant::resources().map(|one| {
        let attributes = json!({"team": one.team, "region": one.region, "stage": one.stage, "locked": one.locked});
        json!({"uid": {"type": one.type_name, "id": one.id}, "attrs": attributes, "parents": []})
    });
    users.chain(resources).collect()
}

fn uid(type_name: &str, id: &str) -> Result<EntityUid, EngineError> {
    Ok(format!("{type_name}::{id:?}").parse()?)
}

/// The entities of the export and of all questions, each once; what a question says of one counts. An entity that two
/// questions describe differently could not be in one set. Read at once: adding some to many takes Cedar minutes.
fn entities(export: &CedarExport, asked: &[CedarRequest]) -> Result<String, EngineError> {
    let mut of_questions: BTreeMap<String, Value> = BTreeMap::new();
    for question in asked {
        for (uid, entity) in by_uid(question.entities())? {
            if of_questions.get(&uid).is_some_and(|known| *known != entity) {
                return Err(format!("two descriptions of {uid}").into());
            }
            of_questions.insert(uid, entity);
        }
    }
    let mut entities: BTreeMap<String, Value> = by_uid(&export.entities())?.collect();
    entities.append(&mut of_questions);
    Ok(entities.into_values().collect::<Value>().to_string())
}

fn by_uid(entities: &str) -> Result<impl Iterator<Item = (String, Value)>, EngineError> {
    let entities: Vec<Value> = serde_json::from_str(entities)?;
    Ok(entities.into_iter().map(|entity| (entity["uid"].to_string(), entity)))
}

fn request(asked: &CedarRequest, schema: &Schema) -> Result<Request, EngineError> {
    let (principal, action): (EntityUid, EntityUid) = (asked.principal().parse()?, asked.action().parse()?);
    let context = Context::from_json_str(asked.context(), Some((schema, &action)))?;
    Ok(Request::new(principal, action, asked.resource().parse()?, context, Some(schema))?)
}
