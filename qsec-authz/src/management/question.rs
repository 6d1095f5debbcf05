//! What the actor must be granted for a change: an action on the entry that is changed.

use super::edit::{Edit, Holder, RuleText};
use crate::action::Action;
use crate::policy::{Tenant, User};
use crate::request::ResourceRef;
use crate::resource::{AttributeValue, Resource};

/// An action on something, and into which space.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) action: Action,
    pub(super) resource: ResourceRef,
    pub(super) target: Option<String>,
    /// Whether the right to change the tenant itself is enough: nothing but rules grants anything on rules.
    pub(super) or_tenant: bool,
}

impl Question {
    fn new(action: Action, resource: impl Into<ResourceRef>) -> Self {
        Self { action, resource: resource.into(), target: None, or_tenant: false }
    }
}

/// What the change asks, in the words of this policy: the old one, or, for an entry that is updated, the new one.
pub(super) fn asked(edit: &Edit, tenant: &Tenant) -> Question {
    let stored = |action, id: &str| Question::new(action, ResourceRef::id(id));
    match edit {
        Edit::CreateUser { id, directory, name } => {
            let user = User { directory: directory.clone(), name: name.clone(), ..User::default() };
            Question::new(Action::Create, describe_user(id, Some(&user)))
        }
        Edit::DeleteUser { id } => on_user(Action::Delete, id, tenant),
        Edit::DisableUser { id } | Edit::EnableUser { id } => on_user(Action::Update, id, tenant),
        Edit::SetAttribute { user, .. } | Edit::SetCustom { user, .. } => on_user(Action::Update, user, tenant),
        Edit::CreateGroup { name } => Question::new(Action::Create, entry("Group", name)),
        Edit::DeleteGroup { name } => Question::new(Action::Delete, entry("Group", name)),
        Edit::AddMember { group, .. } | Edit::RemoveMember { group, .. } => {
            Question::new(Action::Update, entry("Group", group))
        }
        Edit::CreateRole { name, .. } => Question::new(Action::Create, entry("Role", name)),
        Edit::UpdateRole { name, .. } => Question::new(Action::Update, entry("Role", name)),
        Edit::DeleteRole { name } => Question::new(Action::Delete, entry("Role", name)),
        Edit::AssignRole { to: holder, .. } | Edit::UnassignRole { from: holder, .. } => match holder {
            Holder::User(id) => on_user(Action::ChangeRole, id, tenant),
            Holder::Group(name) => Question::new(Action::ChangeRole, entry("Group", name)),
        },
        Edit::SetUserDefault { .. } | Edit::SetPersona { .. } => on_tenant(tenant),
        Edit::CreateSpace { id, space_type, owner, name } => {
            let space = Resource { name: name.clone(), ..entry("Space", id) };
            Question::new(Action::Create, space.owner(owner).attribute("type", space_type.as_str()))
        }
        Edit::RenameSpace { id, .. } => stored(Action::Update, id),
        Edit::DeleteSpace { id } | Edit::DeleteResource { id } => stored(Action::Delete, id),
        Edit::SetSpaceRoles { space, .. } => stored(Action::ManageMembers, space),
        Edit::ChangeSpaceOwner { space: id, .. } | Edit::ChangeResourceOwner { id, .. } => {
            stored(Action::ChangeOwner, id)
        }
        Edit::CreateRule(rule) => on_rule(Action::Create, describe_rule(&rule.name, &rule.filter)),
        Edit::UpdateRule(RuleText { name, .. }) | Edit::DisableRule { name } | Edit::EnableRule { name } => {
            on_rule(Action::Update, stored_rule(name, tenant))
        }
        Edit::DeleteRule { name } => on_rule(Action::Delete, stored_rule(name, tenant)),
        Edit::CreateResource { id, resource } => {
            Question::new(Action::Create, Resource { id: Some(id.clone()), ..resource.clone() })
        }
        Edit::ChangeResourceSpace { id, space } => {
            Question { target: Some(space.clone()), ..stored(Action::ChangeSpace, id) }
        }
    }
}

/// Whether the entry is there before and after, so that the right to change it is asked for both.
pub(super) fn is_update(edit: &Edit) -> bool {
    matches!(
        edit,
        Edit::DisableUser { .. }
            | Edit::EnableUser { .. }
            | Edit::SetAttribute { .. }
            | Edit::SetCustom { .. }
            | Edit::UpdateRule(_)
            | Edit::DisableRule { .. }
            | Edit::EnableRule { .. }
    )
}

/// An update of the tenant itself.
pub(super) fn on_tenant(tenant: &Tenant) -> Question {
    Question::new(Action::Update, entry("Tenant", tenant.id()))
}

fn entry(type_name: &str, id: &str) -> Resource {
    Resource { is_entry: true, ..Resource::new(type_name).id(id).name(id) }
}

fn on_user(action: Action, id: &str, tenant: &Tenant) -> Question {
    Question::new(action, describe_user(id, tenant.users.get(id)))
}

fn describe_user(id: &str, user: Option<&User>) -> Resource {
    let Some(user) = user else { return entry("User", id) };
    Resource {
        name: user.name.clone(),
        attributes: user.attributes.clone(),
        custom: user.custom.clone(),
        ..entry("User", id)
    }
}

fn on_rule(action: Action, rule: Resource) -> Question {
    Question { or_tenant: true, ..Question::new(action, rule) }
}

/// A rule as rules see it: the attributes that the usual rules about rules ask for.
fn describe_rule(name: &str, filter: &str) -> Resource {
    let rule = entry("SystemRule", name).attribute("category", "Security");
    rule.attribute("resourceFilter_text", AttributeValue::Text(filter.to_owned()))
}

fn stored_rule(name: &str, tenant: &Tenant) -> Resource {
    let rule = tenant.rules.iter().find(|rule| rule.name == name);
    rule.map_or_else(|| entry("SystemRule", name), |rule| describe_rule(name, &rule.filter))
}
