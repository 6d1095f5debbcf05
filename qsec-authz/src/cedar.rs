//! Roles and spaces as Cedar policies: for whoever decides elsewhere with Cedar, or wants a second opinion on a policy.
//!
//! What is exported is the part that needs no rules: tenant status, disabled users, restrictive roles, grants of tenant
//! roles, permissions, personal content and space roles, capabilities, and the ceiling of scopes. It is text; this crate does
//! not depend on Cedar. Everything that a tenant writes becomes an *entity*, never a piece of a policy, so that no name can
//! become a condition: the policies are the same for every tenant of the same status.
//!
//! **Left out**: security rules, and moves between spaces (a request with a target). Cedar then refuses where only
//! a rule grants: the export never says yes where this crate says no.
//!
//! ```
//! use qsec_authz::cedar::CedarExport;
//! use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
//!
//! let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{
//!     "spaces":{"sales":{"type":"managed","owner":"eve","members":{"group:viewers":["consumer"]}}},
//!     "resources":{"q3":{"type":"App","owner":"eve","space":"sales"}}}}}"#)?;
//! let export = CedarExport::of(policy.tenant("acme").ok_or("no tenant")?);
//! assert!(export.policies().contains("principal in resource.space.consumer"));
//!
//! let kim = Subject::user("kim").groups(["viewers"]);
//! let question = export.request(&Request::new("acme", &kim, Action::Read, ResourceRef::id("q3"))).ok_or("out of scope")?;
//! assert_eq!(question.principal(), r#"qsec::User::"kim""#);
//! assert_eq!(question.resource(), r#"qsec::Thing::"q3""#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entities;
mod policies;

use serde_json::{Value, json};

use crate::policy::Tenant;
use crate::request::Request;

/// A tenant as Cedar sees it.
///
/// See [the module](self) for an example.
#[derive(Debug, Clone)]
pub struct CedarExport {
    tenant: Tenant,
    policies: String,
}

impl CedarExport {
    /// Exports a tenant.
    pub fn of(tenant: &Tenant) -> Self {
        Self { tenant: tenant.clone(), policies: policies::of(tenant) }
    }

    /// The policies, in Cedar's own syntax.
    pub fn policies(&self) -> &str {
        &self.policies
    }

    /// The schema against which they validate, in Cedar's own syntax. The same for every tenant.
    pub fn schema() -> String {
        policies::schema()
    }

    /// The tenant's groups, roles, spaces and resources, in Cedar's JSON. Who asks is with the question.
    pub fn entities(&self) -> String {
        Value::from(entities::of(&self.tenant)).to_string()
    }

    /// The names of the security rules that are left out.
    pub fn rules_left_out(&self) -> impl Iterator<Item = &str> {
        self.tenant.rules.iter().filter(|rule| !rule.disabled).map(|rule| rule.name.as_str())
    }

    /// A question as Cedar is asked it; `None` if it is not one that Cedar can answer from this export: another tenant's, one
    /// with a target, one about no single resource, or about one that does not exist here.
    pub fn request(&self, request: &Request) -> Option<CedarRequest> {
        if request.tenant() != self.tenant.id() || request.target_space().is_some() {
            return None;
        }
        let resource = entities::asked_about(&self.tenant, request)?;
        let principal = entities::who_asks(&self.tenant, request.subject());
        let mut context = json!({ "from": request.from_context().as_str() });
        if let (Some(scopes), Some(members)) = (entities::ceiling(request.subject()), context.as_object_mut()) {
            members.insert("scopes".to_owned(), scopes);
        }
        Some(CedarRequest {
            principal: uid_text(&principal),
            action: format!("qsec::Action::\"{}\"", request.action()),
            resource: uid_text(&resource),
            context: context.to_string(),
            entities: Value::from(vec![principal, resource]).to_string(),
        })
    }
}

/// A question in Cedar's own words.
///
/// See [the module](self) for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CedarRequest {
    principal: String,
    action: String,
    resource: String,
    context: String,
    entities: String,
}

impl CedarRequest {
    /// The entity that asks.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The action's entity.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The entity that is asked about.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The context, as JSON: where the request comes from, and the scopes if there is a ceiling.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The two entities of the question, as JSON: they stand in place of those of the same name in
    /// [`CedarExport::entities`], for a token adds groups and a request may describe a resource.
    pub fn entities(&self) -> &str {
        &self.entities
    }
}

/// `type::"id"` of an entity. Cedar's escapes in a text are those of Rust.
fn uid_text(entity: &Value) -> String {
    let member = |name| entity.get("uid").and_then(|uid| uid.get(name)).and_then(Value::as_str).unwrap_or_default();
    format!("{}::{:?}", member("type"), member("id"))
}
