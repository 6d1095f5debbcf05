//! One change of a policy, as plain data.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::resource::{AttributeValue, Resource};

/// Who holds a role: a user or a group.
///
/// ```
/// use qsec_authz::Holder;
/// assert_eq!(Holder::group("finance").to_string(), "group:finance");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Holder {
    /// The user of that id.
    User(String),
    /// Everybody in the group of that name.
    Group(String),
}

impl Holder {
    /// A user.
    pub fn user(id: impl Into<String>) -> Self {
        Self::User(id.into())
    }

    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self::Group(name.into())
    }
}

impl fmt::Display for Holder {
    /// As spaces name their members: `user:ID` or `group:NAME`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl Serialize for Holder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A security rule as it is written.
///
/// ```
/// use qsec_authz::{Edit, RuleText};
/// let rule = RuleText::new("teams", "App_*", ["read"]).condition("user.group = resource.@Team");
/// let edit = Edit::CreateRule(rule);
/// # let _ = edit;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    pub(super) name: String,
    pub(super) filter: String,
    pub(super) actions: Vec<String>,
    pub(super) condition: Option<String>,
    pub(super) context: Option<AttributeValue>,
}

impl RuleText {
    /// A rule for everybody, in both contexts.
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        filter: impl Into<String>,
        actions: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            filter: filter.into(),
            actions: actions.into_iter().map(Into::into).collect(),
            condition: None,
            context: None,
        }
    }

    /// Provided that this holds.
    #[must_use]
    pub fn condition(self, condition: impl Into<String>) -> Self {
        Self { condition: Some(condition.into()), ..self }
    }

    /// Only in `hub` or `admin`.
    #[must_use]
    pub fn context(self, context: impl Into<String>) -> Self {
        Self { context: Some(AttributeValue::Text(context.into())), ..self }
    }
}

/// A change of a tenant's policy. What it asks of the actor stands beside each.
///
/// ```
/// use qsec_authz::{Edit, Holder};
/// let edit = Edit::AssignRole { role: "Steward".into(), to: Holder::user("ana") };
/// assert_eq!(edit.name(), "role.assigned");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// `create` on the `User`.
    CreateUser {
        /// Its id.
        id: String,
        /// Where it comes from; rules read it.
        directory: Option<String>,
        /// How it is called; rules read it.
        name: Option<String>,
    },
    /// `delete` on the `User`. Its memberships of spaces go too; what it owns stays.
    DeleteUser {
        /// Its id.
        id: String,
    },
    /// `update` on the `User`: it may nothing any more.
    DisableUser {
        /// Its id.
        id: String,
    },
    /// `update` on the `User`: it gets back all that it had.
    EnableUser {
        /// Its id.
        id: String,
    },
    /// `update` on the `User`: an attribute, which rules read.
    SetAttribute {
        /// The user.
        user: String,
        /// The attribute.
        name: String,
        /// Its new value; `None` removes it.
        value: Option<AttributeValue>,
    },
    /// `update` on the `User`: a custom property, which rules read with `@`.
    SetCustom {
        /// The user.
        user: String,
        /// The custom property.
        name: String,
        /// Its new value; `None` removes it.
        value: Option<AttributeValue>,
    },
    /// `create` on the `Group`.
    CreateGroup {
        /// Its name.
        name: String,
    },
    /// `delete` on the `Group`: its roles, members and memberships of spaces go.
    DeleteGroup {
        /// Its name.
        name: String,
    },
    /// `update` on the `Group`.
    AddMember {
        /// The group.
        group: String,
        /// The user.
        user: String,
    },
    /// `update` on the `Group`.
    RemoveMember {
        /// The group.
        group: String,
        /// The user.
        user: String,
    },
    /// `create` on the `Role`: a custom role.
    CreateRole {
        /// Its name.
        name: String,
        /// What it holds.
        permissions: Vec<String>,
    },
    /// `update` on the `Role`.
    UpdateRole {
        /// Its name.
        name: String,
        /// What it holds from now on.
        permissions: Vec<String>,
    },
    /// `delete` on the `Role`, which nobody has any more.
    DeleteRole {
        /// Its name.
        name: String,
    },
    /// `change_role` on the `User` or `Group`.
    AssignRole {
        /// A tenant role or a custom role.
        role: String,
        /// Who gets it.
        to: Holder,
    },
    /// `change_role` on the `User` or `Group`.
    UnassignRole {
        /// A tenant role or a custom role.
        role: String,
        /// Who loses it.
        from: Holder,
    },
    /// `update` on the `Tenant`: the permissions that everybody has.
    SetUserDefault {
        /// All of them.
        permissions: Vec<String>,
    },
    /// `update` on the `Tenant`: the groups that have a persona; none removes it.
    SetPersona {
        /// `consumer`, `contributor`, `developer` or `team_admin`.
        persona: String,
        /// All of its groups.
        groups: Vec<String>,
    },
    /// `create` on the `Space`.
    CreateSpace {
        /// Its id.
        id: String,
        /// `shared`, `managed` or `data`.
        space_type: String,
        /// Who owns it.
        owner: String,
        /// How it is called.
        name: Option<String>,
    },
    /// `update` on the `Space`.
    RenameSpace {
        /// Its id.
        id: String,
        /// How it is called from now on.
        name: Option<String>,
    },
    /// `delete` on the `Space`, in which nothing is left.
    DeleteSpace {
        /// Its id.
        id: String,
    },
    /// `manage_members` on the `Space`: the roles of a member; none removes it.
    SetSpaceRoles {
        /// The space.
        space: String,
        /// The member.
        member: Holder,
        /// All of its roles.
        roles: Vec<String>,
    },
    /// `change_owner` on the `Space`.
    ChangeSpaceOwner {
        /// The space.
        space: String,
        /// Who owns it from now on.
        owner: String,
    },
    /// `create` on the `SystemRule`.
    CreateRule(RuleText),
    /// `update` on the `SystemRule` as it was and as it will be. A disabled rule stays disabled.
    UpdateRule(RuleText),
    /// `delete` on the `SystemRule`.
    DeleteRule {
        /// Its name.
        name: String,
    },
    /// `update` on the `SystemRule`.
    DisableRule {
        /// Its name.
        name: String,
    },
    /// `update` on the `SystemRule`.
    EnableRule {
        /// Its name.
        name: String,
    },
    /// `create` on the resource as described.
    CreateResource {
        /// Its id.
        id: String,
        /// The rest.
        resource: Resource,
    },
    /// `delete` on the resource.
    DeleteResource {
        /// Its id.
        id: String,
    },
    /// `change_owner` on the resource.
    ChangeResourceOwner {
        /// Its id.
        id: String,
        /// Who owns it from now on.
        owner: String,
    },
    /// `change_space` on the resource, and `create` in the space where it goes.
    ChangeResourceSpace {
        /// Its id.
        id: String,
        /// Where it goes.
        space: String,
    },
}

impl Edit {
    /// The name of the event that records it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateUser { .. } => "user.created",
            Self::DeleteUser { .. } => "user.deleted",
            Self::DisableUser { .. } => "user.disabled",
            Self::EnableUser { .. } => "user.enabled",
            Self::SetAttribute { .. } | Self::SetCustom { .. } => "user.updated",
            Self::CreateGroup { .. } => "group.created",
            Self::DeleteGroup { .. } => "group.deleted",
            Self::AddMember { .. } => "group.member_added",
            Self::RemoveMember { .. } => "group.member_removed",
            Self::CreateRole { .. } => "role.created",
            Self::UpdateRole { .. } => "role.updated",
            Self::DeleteRole { .. } => "role.deleted",
            Self::AssignRole { .. } => "role.assigned",
            Self::UnassignRole { .. } => "role.unassigned",
            Self::SetUserDefault { .. } | Self::SetPersona { .. } => "tenant.policy_changed",
            Self::CreateSpace { .. } => "space.created",
            Self::RenameSpace { .. } => "space.updated",
            Self::DeleteSpace { .. } => "space.deleted",
            Self::SetSpaceRoles { roles, .. } if roles.is_empty() => "space.role_removed",
            Self::SetSpaceRoles { .. } => "space.role_assigned",
            Self::ChangeSpaceOwner { .. } => "space.owner_changed",
            Self::CreateRule(_) => "rule.created",
            Self::UpdateRule(_) | Self::DisableRule { .. } | Self::EnableRule { .. } => "rule.updated",
            Self::DeleteRule { .. } => "rule.deleted",
            Self::CreateResource { .. } => "resource.created",
            Self::DeleteResource { .. } => "resource.deleted",
            Self::ChangeResourceOwner { .. } => "resource.owner_changed",
            Self::ChangeResourceSpace { .. } => "resource.space_changed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_the_last_space_role_away_is_a_removal() {
        let set = |roles: &[&str]| Edit::SetSpaceRoles {
            space: "s".into(),
            member: Holder::group("g"),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        };
        assert_eq!(set(&["consumer"]).name(), "space.role_assigned");
        assert_eq!(set(&[]).name(), "space.role_removed");
    }
}
