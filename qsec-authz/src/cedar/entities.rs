//! What a tenant writes, as entities.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::action::Action;
use crate::bits::{Bit, Set};
use crate::policy::{Member, Tenant};
use crate::request::{Request, ResourceRef, Subject};
use crate::resource::Resource;
use crate::snapshot::{place, standing};
use crate::tables::{Kind, Permission, SpaceRole, TenantRole};

/// Groups, roles, spaces and resources; users are with the question.
pub(super) fn of(tenant: &Tenant) -> Vec<Value> {
    let mut entities = Vec::new();
    for (name, permissions) in &tenant.roles {
        let parents: Vec<Value> = permissions.0.iter().map(permission).collect();
        entities.push(entity(&uid("CustomRole", name), &json!({}), &parents));
    }
    let in_spaces = tenant.spaces.values().flat_map(|space| space.members.keys());
    let named = in_spaces.filter_map(|member| match member {
        Member::Group(name) => Some(name),
        Member::User(_) => None,
    });
    let groups: BTreeSet<&String> = tenant.groups.keys().chain(named).collect();
    for group in groups {
        let roles = tenant.groups.get(group).into_iter().flat_map(|group| &group.roles).map(|name| role(name));
        let parents: Vec<Value> = roles.chain(memberships(tenant, Member::Group(group.clone()))).collect();
        entities.push(entity(&uid("Group", group), &json!({}), &parents));
    }
    for id in tenant.spaces.keys() {
        let roles =
            SpaceRole::ALL.iter().map(|role| (role.name().to_owned(), json!({ "__entity": space_role(id, *role) })));
        entities.push(entity(&uid("Space", id), &Value::Object(roles.collect()), &[]));
    }
    entities.extend(tenant.spaces.keys().filter_map(|id| stored(tenant, id, None)));
    let resources = tenant.resources.keys().filter(|id| !tenant.spaces.contains_key(*id));
    entities.extend(resources.filter_map(|id| stored(tenant, id, None)));
    entities
}

/// The subject with everything it has: from the policy, and from its token.
pub(super) fn who_asks(tenant: &Tenant, subject: &Subject) -> Value {
    let Some(id) = subject.user_id() else {
        return entity(&uid("Anonymous", "anonymous"), &json!({}), &[]);
    };
    let user = tenant.users.get(id);
    let default = tenant.settings.user_default.map_or_else(Permission::user_default, |list| list.0);
    let own_groups = user.into_iter().flat_map(|user| &user.groups);
    let groups: BTreeSet<&String> = own_groups.chain(subject.token_groups()).collect();
    let parents = groups.into_iter().map(|group| uid("Group", group));
    let parents = parents.chain(user.into_iter().flat_map(|user| &user.roles).map(|name| role(name)));
    let parents = parents.chain(default.iter().map(permission));
    let parents = parents.chain(memberships(tenant, Member::User(id.to_owned()))).chain(ownerships(tenant, id));
    let disabled = json!({ "disabled": user.is_some_and(|user| user.disabled) });
    entity(&uid("User", id), &disabled, &parents.collect::<Vec<_>>())
}

/// The resource of a question. Whoever creates something without an owner will own it.
pub(super) fn asked_about(tenant: &Tenant, request: &Request) -> Option<Value> {
    let creator = request.subject().user_id().filter(|_| request.action() == Action::Create);
    match request.resource() {
        ResourceRef::Id(id) => stored(tenant, id, creator),
        ResourceRef::Inline(resource) => {
            // What a decision refuses as a malformed request is no question for another engine either.
            let exists = |id: &str| tenant.resources.contains_key(id) || tenant.spaces.contains_key(id);
            let hangs = resource.references().any(|(_, id)| !exists(id));
            let in_no_space = resource.space.as_ref().is_some_and(|space| !tenant.spaces.contains_key(space));
            if resource.defect().is_some() || hangs || in_no_space || resource.id.as_deref().is_some_and(exists) {
                return None;
            }
            Some(thing(tenant, resource.id.as_deref().unwrap_or_default(), resource, creator))
        }
        ResourceRef::Any(_) => None,
    }
}

/// The scopes of a subject that has a ceiling.
pub(super) fn ceiling(subject: &Subject) -> Option<Value> {
    subject.ceiling().map(|scopes| scopes.iter().map(Bit::name).collect())
}

fn stored(tenant: &Tenant, id: &str, creator: Option<&str>) -> Option<Value> {
    if let Some(space) = tenant.spaces.get(id) {
        let mut attributes = json!({
            "type": "Space", "place": space.kind.place().name(), "space": { "__entity": uid("Space", id) },
        });
        add_owner(&mut attributes, space.owner.as_deref().or(creator));
        return Some(entity(&uid("Thing", id), &attributes, &[]));
    }
    tenant.resources.get(id).map(|resource| thing(tenant, id, resource, creator))
}

fn thing(tenant: &Tenant, id: &str, resource: &Resource, creator: Option<&str>) -> Value {
    let kind = Kind::of(resource.type_name());
    let (space, alone) = standing(tenant, resource, 0);
    let in_space = space.and_then(|id| tenant.spaces.get(id)).map(|space| space.kind);
    let mut attributes = json!({
        "type": resource.type_name(), "place": place(kind, resource, in_space, alone).name(),
    });
    // A space that the policy does not list has no members.
    if let (Some(space), true, Some(members)) = (space, kind != Kind::Space, attributes.as_object_mut()) {
        members.insert("space".to_owned(), json!({ "__entity": uid("Space", space) }));
    }
    add_owner(&mut attributes, resource.owner.as_deref().or(creator));
    entity(&uid("Thing", id), &attributes, &[])
}

fn add_owner(attributes: &mut Value, owner: Option<&str>) {
    if let (Some(owner), Some(members)) = (owner, attributes.as_object_mut()) {
        members.insert("owner".to_owned(), json!({ "__entity": uid("User", owner) }));
    }
}

fn memberships(tenant: &Tenant, member: Member) -> impl Iterator<Item = Value> {
    tenant.spaces.iter().flat_map(move |(id, space)| {
        let roles = space.members.get(&member).map_or(Set::EMPTY, |roles| roles.0);
        roles.iter().map(|role| space_role(id, role)).collect::<Vec<_>>()
    })
}

fn ownerships<'t>(tenant: &'t Tenant, user: &'t str) -> impl Iterator<Item = Value> + use<'t> {
    let owned = tenant.spaces.iter().filter(move |(_, space)| space.owner.as_deref() == Some(user));
    owned.map(|(id, _)| space_role(id, SpaceRole::Owner))
}

fn role(name: &str) -> Value {
    uid(if TenantRole::named(name).is_some() { "TenantRole" } else { "CustomRole" }, name)
}

fn permission(permission: Permission) -> Value {
    uid("Permission", permission.name())
}

/// A role in one space. The role's name has no `/`, so that no other pair gives the same name.
fn space_role(space: &str, role: SpaceRole) -> Value {
    uid("SpaceRole", &format!("{}/{space}", role.name()))
}

fn uid(kind: &str, id: &str) -> Value {
    json!({ "type": format!("qsec::{kind}"), "id": id })
}

fn entity(uid: &Value, attributes: &Value, parents: &[Value]) -> Value {
    json!({ "uid": uid, "attrs": attributes, "parents": parents })
}
