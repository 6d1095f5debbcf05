//! The change itself: the tenant as it will be, and which entries differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::edit::{Edit, Holder, RuleText};
use super::error::ManageError;
use crate::bits::{Bit, Set};
use crate::flaw::RuleFlaw;
use crate::persona::Persona;
use crate::policy::{Group, Member, Permissions, PolicyError, Rule, RuleActions, Space, SpaceRoles, Tenant, User};
use crate::resource::{AttributeValue, Attributes, Resource};
use crate::rule::{ReadRule, Reading};
use crate::store::EntryKind;
use crate::tables::{Permission, SpaceRole, SpaceType, TenantRole};

/// An entry that differs; of a rule, its name.
pub(super) type Touched = BTreeSet<(EntryKind, String)>;

type Applied = Result<Touched, ManageError>;

fn one(kind: EntryKind, id: &str) -> Touched {
    BTreeSet::from([(kind, id.to_owned())])
}

fn missing(what: &str, id: &str) -> ManageError {
    ManageError::NotFound { what: format!("{what} `{id}`") }
}

fn present(what: &str, id: &str) -> ManageError {
    ManageError::Exists { what: format!("{what} `{id}`") }
}

fn in_use(what: &str, id: &str) -> ManageError {
    ManageError::InUse { what: format!("{what} `{id}`") }
}

/// Changes the tenant.
pub(super) fn apply(edit: &Edit, tenant: &mut Tenant) -> Applied {
    match edit {
        Edit::CreateUser { id, directory, name } => create_user(tenant, id, directory.as_ref(), name.as_ref()),
        Edit::DeleteUser { id } => delete_user(tenant, id),
        Edit::DisableUser { id } => set_user(tenant, id, |user| user.disabled = true),
        Edit::EnableUser { id } => set_user(tenant, id, |user| user.disabled = false),
        Edit::SetAttribute { user, name, value } => {
            set_user(tenant, user, |user| set_value(&mut user.attributes, name, value.as_ref()))
        }
        Edit::SetCustom { user, name, value } => {
            set_user(tenant, user, |user| set_value(&mut user.custom, name, value.as_ref()))
        }
        Edit::CreateGroup { name } => create_group(tenant, name),
        Edit::DeleteGroup { name } => delete_group(tenant, name),
        Edit::AddMember { group, user } => add_member(tenant, group, user),
        Edit::RemoveMember { group, user } => set_user(tenant, user, |user| {
            user.groups.remove(group);
        }),
        Edit::CreateRole { name, permissions } => create_role(tenant, name, permissions),
        Edit::UpdateRole { name, permissions } => update_role(tenant, name, permissions),
        Edit::DeleteRole { name } => delete_role(tenant, name),
        Edit::AssignRole { role, to } => assign(tenant, role, to),
        Edit::UnassignRole { role, from } => set_roles(tenant, from, |roles| {
            roles.remove(role);
        }),
        Edit::SetUserDefault { permissions } => {
            tenant.settings.user_default = Some(read_permissions(permissions)?);
            Ok(one(EntryKind::Tenant, ""))
        }
        Edit::SetPersona { persona, groups } => set_persona(tenant, persona, groups),
        Edit::CreateSpace { id, space_type, owner, name } => create_space(tenant, id, space_type, owner, name.as_ref()),
        Edit::RenameSpace { id, name } => set_space(tenant, id, |space| {
            space.name.clone_from(name);
            Ok(())
        }),
        Edit::DeleteSpace { id } => delete_space(tenant, id),
        Edit::SetSpaceRoles { space, member, roles } => set_space(tenant, space, |space| join(space, member, roles)),
        Edit::ChangeSpaceOwner { space, owner } => set_space(tenant, space, |space| {
            space.owner = Some(owner.clone());
            Ok(())
        }),
        Edit::CreateRule(rule) => create_rule(tenant, rule),
        Edit::UpdateRule(rule) => update_rule(tenant, rule),
        Edit::DeleteRule { name } => delete_rule(tenant, name),
        Edit::DisableRule { name } => set_rule(tenant, name, |rule| rule.disabled = true),
        Edit::EnableRule { name } => set_rule(tenant, name, |rule| rule.disabled = false),
        Edit::CreateResource { id, resource } => create_resource(tenant, id, resource),
        Edit::DeleteResource { id } => delete_resource(tenant, id),
        Edit::ChangeResourceOwner { id, owner } => set_resource(tenant, id, |one| one.owner = Some(owner.clone())),
        Edit::ChangeResourceSpace { id, space } => set_resource(tenant, id, |one| one.space = Some(space.clone())),
    }
}

fn create_user(tenant: &mut Tenant, id: &str, directory: Option<&String>, name: Option<&String>) -> Applied {
    if tenant.users.contains_key(id) {
        return Err(present("user", id));
    }
    let user = User { directory: directory.cloned(), name: name.cloned(), ..User::default() };
    tenant.users.insert(id.to_owned(), user);
    Ok(one(EntryKind::User, id))
}

fn delete_user(tenant: &mut Tenant, id: &str) -> Applied {
    tenant.users.remove(id).ok_or_else(|| missing("user", id))?;
    let mut touched = leave_spaces(tenant, &Member::User(id.to_owned()));
    touched.insert((EntryKind::User, id.to_owned()));
    Ok(touched)
}

fn leave_spaces(tenant: &mut Tenant, member: &Member) -> Touched {
    let mut touched = Touched::new();
    for (id, space) in &mut tenant.spaces {
        if space.members.remove(member).is_some() {
            touched.insert((EntryKind::Space, id.clone()));
        }
    }
    touched
}

fn set_user(tenant: &mut Tenant, id: &str, change: impl FnOnce(&mut User)) -> Applied {
    change(tenant.users.get_mut(id).ok_or_else(|| missing("user", id))?);
    Ok(one(EntryKind::User, id))
}

fn set_value(values: &mut Attributes, name: &str, value: Option<&AttributeValue>) {
    match value {
        Some(value) => values.insert(name.to_owned(), value.clone()),
        None => values.remove(name),
    };
}

fn create_group(tenant: &mut Tenant, name: &str) -> Applied {
    if tenant.groups.contains_key(name) {
        return Err(present("group", name));
    }
    tenant.groups.insert(name.to_owned(), Group::default());
    Ok(one(EntryKind::Group, name))
}

fn delete_group(tenant: &mut Tenant, name: &str) -> Applied {
    tenant.groups.remove(name).ok_or_else(|| missing("group", name))?;
    let mut touched = leave_spaces(tenant, &Member::Group(name.to_owned()));
    touched.insert((EntryKind::Group, name.to_owned()));
    for (id, user) in &mut tenant.users {
        if user.groups.remove(name) {
            touched.insert((EntryKind::User, id.clone()));
        }
    }
    Ok(touched)
}

fn add_member(tenant: &mut Tenant, group: &str, user: &str) -> Applied {
    if !tenant.groups.contains_key(group) {
        return Err(missing("group", group));
    }
    set_user(tenant, user, |user| {
        user.groups.insert(group.to_owned());
    })
}

fn read_permissions(names: &[String]) -> Result<Permissions, ManageError> {
    let read = |name: &String| {
        Permission::named(name).ok_or_else(|| ManageError::refused(format!("unknown permission `{name}`")))
    };
    Ok(Permissions(names.iter().map(read).collect::<Result<Set<_>, _>>()?))
}

fn create_role(tenant: &mut Tenant, name: &str, permissions: &[String]) -> Applied {
    if tenant.roles.contains_key(name) || TenantRole::named(name).is_some() {
        return Err(present("role", name));
    }
    tenant.roles.insert(name.to_owned(), read_permissions(permissions)?);
    Ok(one(EntryKind::Role, name))
}

fn update_role(tenant: &mut Tenant, name: &str, permissions: &[String]) -> Applied {
    *tenant.roles.get_mut(name).ok_or_else(|| missing("custom role", name))? = read_permissions(permissions)?;
    Ok(one(EntryKind::Role, name))
}

fn delete_role(tenant: &mut Tenant, name: &str) -> Applied {
    tenant.roles.remove(name).ok_or_else(|| missing("custom role", name))?;
    let held = tenant.users.values().map(|user| &user.roles).chain(tenant.groups.values().map(|group| &group.roles));
    if held.into_iter().any(|roles| roles.contains(name)) {
        return Err(in_use("role", name));
    }
    Ok(one(EntryKind::Role, name))
}

fn set_roles(tenant: &mut Tenant, holder: &Holder, change: impl FnOnce(&mut BTreeSet<String>)) -> Applied {
    match holder {
        Holder::User(id) => set_user(tenant, id, |user| change(&mut user.roles)),
        Holder::Group(name) => {
            change(&mut tenant.groups.get_mut(name).ok_or_else(|| missing("group", name))?.roles);
            Ok(one(EntryKind::Group, name))
        }
    }
}

fn assign(tenant: &mut Tenant, role: &str, to: &Holder) -> Applied {
    let known = TenantRole::named(role).is_some() || tenant.roles.contains_key(role);
    if !known && tenant.model() == crate::policy::Model::Cloud {
        return Err(missing("role", role));
    }
    set_roles(tenant, to, |roles| {
        roles.insert(role.to_owned());
    })
}

fn set_persona(tenant: &mut Tenant, persona: &str, groups: &[String]) -> Applied {
    if Persona::parse(persona).is_none() {
        return Err(ManageError::refused(format!("unknown persona `{persona}`")));
    }
    if groups.is_empty() {
        tenant.settings.personas.remove(persona);
    } else {
        tenant.settings.personas.insert(persona.to_owned(), groups.to_vec());
    }
    Ok(one(EntryKind::Tenant, ""))
}

fn free_id(tenant: &Tenant, id: &str) -> Result<(), ManageError> {
    if tenant.spaces.contains_key(id) {
        return Err(present("space", id));
    }
    if tenant.resources.contains_key(id) { Err(present("resource", id)) } else { Ok(()) }
}

fn create_space(tenant: &mut Tenant, id: &str, kind: &str, owner: &str, name: Option<&String>) -> Applied {
    free_id(tenant, id)?;
    let kind = SpaceType::named(kind).ok_or_else(|| ManageError::refused(format!("unknown type of space `{kind}`")))?;
    let space = Space { kind, owner: Some(owner.to_owned()), name: name.cloned(), members: BTreeMap::new() };
    tenant.spaces.insert(id.to_owned(), space);
    Ok(one(EntryKind::Space, id))
}

fn set_space(tenant: &mut Tenant, id: &str, change: impl FnOnce(&mut Space) -> Result<(), ManageError>) -> Applied {
    change(tenant.spaces.get_mut(id).ok_or_else(|| missing("space", id))?)?;
    Ok(one(EntryKind::Space, id))
}

fn is_referred_to(tenant: &Tenant, id: &str) -> bool {
    tenant.resources.iter().any(|(other, resource)| {
        other != id && (resource.space.as_deref() == Some(id) || resource.references().any(|(_, to)| to == id))
    })
}

fn delete_space(tenant: &mut Tenant, id: &str) -> Applied {
    tenant.spaces.remove(id).ok_or_else(|| missing("space", id))?;
    if is_referred_to(tenant, id) { Err(in_use("space", id)) } else { Ok(one(EntryKind::Space, id)) }
}

fn join(space: &mut Space, member: &Holder, roles: &[String]) -> Result<(), ManageError> {
    let here = space.kind.roles();
    let read = |name: &String| {
        let found = SpaceRole::named(name).filter(|role| here.has(*role));
        found.ok_or_else(|| ManageError::refused(format!("a {} space has no role `{name}`", space.kind.name())))
    };
    let roles = roles.iter().map(read).collect::<Result<Set<_>, _>>()?;
    let member = match member {
        Holder::User(id) => Member::User(id.clone()),
        Holder::Group(name) => Member::Group(name.clone()),
    };
    if roles.is_empty() {
        space.members.remove(&member);
    } else {
        space.members.insert(member, SpaceRoles(roles));
    }
    Ok(())
}

fn read_rule(tenant: &Tenant, rule: &RuleText, disabled: bool) -> Result<Rule, ManageError> {
    let actions = RuleActions::Names(rule.actions.clone());
    let written = rule.condition.as_deref().unwrap_or_default();
    let read = ReadRule::read(&rule.filter, &actions, rule.context.as_ref(), written, &mut Reading::default())
        .map_err(|malformed| PolicyError::BadRule(RuleFlaw::new(tenant.id(), &rule.name, written, malformed)))?;
    Ok(Rule {
        name: rule.name.clone(),
        filter: rule.filter.clone(),
        actions,
        condition: rule.condition.clone(),
        context: rule.context.clone(),
        disabled,
        read: Arc::new(read),
    })
}

fn create_rule(tenant: &mut Tenant, rule: &RuleText) -> Applied {
    if tenant.rules.iter().any(|one| one.name == rule.name) {
        return Err(present("rule", &rule.name));
    }
    let read = read_rule(tenant, rule, false)?;
    tenant.rules.push(read);
    Ok(one(EntryKind::Rule, &rule.name))
}

fn update_rule(tenant: &mut Tenant, rule: &RuleText) -> Applied {
    let disabled = tenant.rules.iter().find(|one| one.name == rule.name).map(|one| one.disabled);
    let read = read_rule(tenant, rule, disabled.ok_or_else(|| missing("rule", &rule.name))?)?;
    set_rule(tenant, &rule.name, |one| *one = read)
}

fn delete_rule(tenant: &mut Tenant, name: &str) -> Applied {
    let before = tenant.rules.len();
    tenant.rules.retain(|rule| rule.name != name);
    if tenant.rules.len() == before { Err(missing("rule", name)) } else { Ok(one(EntryKind::Rule, name)) }
}

fn set_rule(tenant: &mut Tenant, name: &str, change: impl FnOnce(&mut Rule)) -> Applied {
    change(tenant.rules.iter_mut().find(|rule| rule.name == name).ok_or_else(|| missing("rule", name))?);
    Ok(one(EntryKind::Rule, name))
}

fn create_resource(tenant: &mut Tenant, id: &str, resource: &Resource) -> Applied {
    free_id(tenant, id)?;
    if resource.type_name() == "Space" {
        return Err(ManageError::refused("a space is created as one, not as a resource"));
    }
    tenant.resources.insert(id.to_owned(), Resource { id: None, ..resource.clone() });
    Ok(one(EntryKind::Resource, id))
}

fn delete_resource(tenant: &mut Tenant, id: &str) -> Applied {
    tenant.resources.remove(id).ok_or_else(|| missing("resource", id))?;
    if is_referred_to(tenant, id) { Err(in_use("resource", id)) } else { Ok(one(EntryKind::Resource, id)) }
}

fn set_resource(tenant: &mut Tenant, id: &str, change: impl FnOnce(&mut Resource)) -> Applied {
    change(tenant.resources.get_mut(id).ok_or_else(|| missing("resource", id))?);
    Ok(one(EntryKind::Resource, id))
}
