//! What a change was, for the audit log.

use std::collections::BTreeMap;

use serde::Serialize;

use super::edit::{Edit, Holder};
use crate::resource::AttributeValue;

/// One change: who made it, by which right, and what it was. It is made with the plan, so that it can be recorded before the
/// change is committed.
///
/// ```
/// use qsec_authz::{Actor, Edit, Holder, MemoryStore, Policy, PolicyChange, PolicyStore, Register, Subject};
/// # pollster::block_on(async {
/// let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["TenantAdmin"]},"ben":{}}}}}"#)?;
/// let store = MemoryStore::new();
/// let entries = policy.tenant("acme").unwrap().entries()?;
/// store.apply("acme", 0, &entries.into_iter().map(PolicyChange::Put).collect::<Vec<_>>()).await?;
///
/// let register = Register::load(&store, "acme").await?;
/// let edit = Edit::AssignRole { role: "Steward".into(), to: Holder::user("ben") };
/// let plan = register.plan(&Actor::new(&Subject::user("ana")), &edit)?;
/// let event = plan.event();
/// assert_eq!((event.name(), event.actor(), event.version()), ("role.assigned", "ana", 2));
/// assert_eq!(event.by(), ["role:TenantAdmin"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyEvent {
    pub(super) name: &'static str,
    pub(super) tenant: String,
    pub(super) actor: String,
    pub(super) by: Vec<String>,
    pub(super) previous: u64,
    pub(super) version: u64,
    pub(super) subject: String,
    pub(super) data: BTreeMap<&'static str, AttributeValue>,
}

impl PolicyEvent {
    /// Its type: `role.assigned`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The user who changed it.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The grants that allowed it, sorted: `role:TenantAdmin`.
    pub fn by(&self) -> &[String] {
        &self.by
    }

    /// The version of the policy before.
    pub fn previous(&self) -> u64 {
        self.previous
    }

    /// The version of the policy that the change makes.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What was changed: `user/ana`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// How, by name: `role`, `to`, `permissions` …
    pub fn data(&self) -> &BTreeMap<&'static str, AttributeValue> {
        &self.data
    }
}

/// What was changed.
pub(super) fn subject(edit: &Edit, tenant: &str) -> String {
    let (kind, id) = match edit {
        Edit::CreateUser { id, .. }
        | Edit::DeleteUser { id }
        | Edit::DisableUser { id }
        | Edit::EnableUser { id }
        | Edit::SetAttribute { user: id, .. }
        | Edit::SetCustom { user: id, .. }
        | Edit::AddMember { user: id, .. }
        | Edit::RemoveMember { user: id, .. } => ("user", id.as_str()),
        Edit::CreateGroup { name } | Edit::DeleteGroup { name } => ("group", name.as_str()),
        Edit::CreateRole { name, .. } | Edit::UpdateRole { name, .. } | Edit::DeleteRole { name } => {
            ("role", name.as_str())
        }
        Edit::AssignRole { to: holder, .. } | Edit::UnassignRole { from: holder, .. } => named(holder),
        Edit::SetUserDefault { .. } | Edit::SetPersona { .. } => ("tenant", tenant),
        Edit::CreateSpace { id, .. }
        | Edit::RenameSpace { id, .. }
        | Edit::DeleteSpace { id }
        | Edit::SetSpaceRoles { space: id, .. }
        | Edit::ChangeSpaceOwner { space: id, .. } => ("space", id.as_str()),
        Edit::CreateRule(rule) | Edit::UpdateRule(rule) => ("rule", rule.name.as_str()),
        Edit::DeleteRule { name } | Edit::DisableRule { name } | Edit::EnableRule { name } => ("rule", name.as_str()),
        Edit::CreateResource { id, .. }
        | Edit::DeleteResource { id }
        | Edit::ChangeResourceOwner { id, .. }
        | Edit::ChangeResourceSpace { id, .. } => ("resource", id.as_str()),
    };
    format!("{kind}/{id}")
}

fn named(holder: &Holder) -> (&'static str, &str) {
    match holder {
        Holder::User(id) => ("user", id),
        Holder::Group(name) => ("group", name),
    }
}

/// How it was changed.
pub(super) fn data(edit: &Edit) -> BTreeMap<&'static str, AttributeValue> {
    let text = |value: &str| AttributeValue::from(value);
    let list = |values: &[String]| AttributeValue::from(values.to_vec());
    let pairs: Vec<(&'static str, AttributeValue)> = match edit {
        Edit::AddMember { group, .. } | Edit::RemoveMember { group, .. } => {
            vec![("group", text(group)), ("from_claims", false.into())]
        }
        Edit::SetAttribute { name, .. } => vec![("changed", text(&format!("attributes.{name}")))],
        Edit::SetCustom { name, .. } => vec![("changed", text(&format!("custom.{name}")))],
        Edit::CreateRole { permissions, .. } | Edit::UpdateRole { permissions, .. } => {
            vec![("permissions", list(permissions))]
        }
        Edit::AssignRole { role, to: holder } | Edit::UnassignRole { role, from: holder } => {
            vec![("role", text(role)), ("to", text(named(holder).0))]
        }
        Edit::SetUserDefault { permissions } => {
            vec![("changed", text("user_default")), ("permissions", list(permissions))]
        }
        Edit::SetPersona { persona, groups } => {
            vec![("changed", text(&format!("personas.{persona}"))), ("groups", list(groups))]
        }
        Edit::CreateSpace { space_type, owner, .. } => vec![("kind", text(space_type)), ("owner", text(owner))],
        Edit::SetSpaceRoles { space, member, roles } => {
            let (kind, id) = named(member);
            vec![("space", text(space)), ("roles", list(roles)), ("to", text(kind)), ("member", text(id))]
        }
        Edit::ChangeSpaceOwner { owner, .. } | Edit::ChangeResourceOwner { owner, .. } => vec![("owner", text(owner))],
        Edit::CreateRule(rule) | Edit::UpdateRule(rule) => {
            vec![("resource_filter", text(&rule.filter)), ("actions", list(&rule.actions))]
        }
        Edit::DisableRule { .. } | Edit::EnableRule { .. } => vec![("changed", text("disabled"))],
        Edit::CreateResource { resource, .. } => vec![("type", text(resource.type_name()))],
        Edit::ChangeResourceSpace { space, .. } => vec![("space", text(space))],
        Edit::CreateUser { .. }
        | Edit::DeleteUser { .. }
        | Edit::DisableUser { .. }
        | Edit::EnableUser { .. }
        | Edit::CreateGroup { .. }
        | Edit::DeleteGroup { .. }
        | Edit::DeleteRole { .. }
        | Edit::RenameSpace { .. }
        | Edit::DeleteSpace { .. }
        | Edit::DeleteResource { .. }
        | Edit::DeleteRule { .. } => Vec::new(),
    };
    pairs.into_iter().collect()
}
