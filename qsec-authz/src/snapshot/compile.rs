//! From the policy as data to the tenant that decides: whole, or from the tenant that decided before.

mod change;
mod people;
mod rules;
mod things;

use std::sync::Arc;

use super::rules::Rules;
use super::tenant::{CustomRole, TenantSnapshot, Things};
use crate::policy::{Space, Tenant};
use crate::resource::Resource;
use crate::tables::{Kind, Permission, Place, SpaceType};
use change::Changed;
use people::{People, Roles};

/// How far "an object is in its app's space" is followed. An object is part of an app, not of another object; a chain
/// is accepted for what it is, and one that is longer, or runs in a circle, ends in no space and is nobody's own.
const MAX_APP_CHAIN: u32 = 8;

/// Names of users and groups that nobody has any more are kept until they may be as many as all others, and so many more.
const MAX_STALE: usize = 1024;

/// Compiles a tenant.
pub(super) fn tenant(policy: &Tenant) -> TenantSnapshot {
    let mut people = People::default();
    let roles = Roles::new(policy);
    people.renew(policy, &roles, &Changed::Everybody);
    let things = things::things(policy, &mut people.users);
    let rules = rules::rules(policy, &rules::Numbers { people: &people, things: &things }, None);
    let names = people.count();
    assemble(policy, Parts { roles: roles.custom.into(), names, people, things, rules })
}

/// The tenant `after`, from what was compiled of the tenant `before`: equal to [`tenant`] in every answer.
///
/// What a change leaves as it was is shared. Users and groups are made anew one by one; resources as a whole, for a resource
/// stands where its app does; rules as a whole, because they share what they test. Where spaces or custom roles come or go, whose
/// numbers all users hold, the tenant is compiled. Every entry of the two is compared once.
pub(super) fn updated(old: &Arc<TenantSnapshot>, before: &Tenant, after: &Tenant) -> Arc<TenantSnapshot> {
    let stays = before.model() == after.model()
        && before.roles == after.roles
        && before.spaces.len() == after.spaces.len()
        && before.spaces.keys().eq(after.spaces.keys());
    let names = old.user_profiles.len().saturating_add(old.group_profiles.len());
    if !stays || names > old.names.saturating_mul(2).saturating_add(MAX_STALE) {
        return Arc::new(tenant(after));
    }
    let changed = Changed::between(before, after);
    let same_things =
        before.resources == after.resources && before.spaces.values().zip(after.spaces.values()).all(is_alike);
    let same_rules = before.rules == after.rules && before.settings.personas == after.settings.personas;
    let same_tenant = (&before.id, before.version, &before.settings) == (&after.id, after.version, &after.settings);
    if changed.is_nobody() && same_things && same_rules && same_tenant {
        return Arc::clone(old);
    }
    let mut people = People::of(old);
    let renewed = people.renew(after, &Roles::new(after), &changed);
    let things = if same_things { old.things.clone() } else { things::things(after, &mut people.users) };
    let previous =
        old.rules.as_deref().map(|rules| rules::Previous { rules, same_rules, same_things, renewed: &renewed });
    let rules = rules::rules(after, &rules::Numbers { people: &people, things: &things }, previous.as_ref());
    Arc::new(assemble(after, Parts { roles: Arc::clone(&old.custom_roles), names: old.names, people, things, rules }))
}

/// Whether two spaces differ by their members alone.
fn is_alike((one, two): (&Space, &Space)) -> bool {
    (one.kind, &one.owner, &one.name) == (two.kind, &two.owner, &two.name)
}

struct Parts {
    roles: Arc<[CustomRole]>,
    names: usize,
    people: People,
    things: Things,
    rules: Option<Box<Rules>>,
}

fn assemble(policy: &Tenant, parts: Parts) -> TenantSnapshot {
    let People { users, groups } = parts.people;
    TenantSnapshot {
        version: policy.version,
        status: policy.status(),
        model: policy.model(),
        default_permissions: policy.settings.user_default.map_or_else(Permission::user_default, |list| list.0),
        custom_roles: parts.roles,
        names: parts.names,
        users: users.index,
        user_profiles: users.profiles,
        groups: groups.index,
        group_profiles: groups.profiles,
        things: parts.things,
        rules: parts.rules,
    }
}

/// Where a resource stands, given the type of its space. A space that the policy does not list is described by its
/// own `type`: it stands in a space of that type, which has no members yet.
pub(crate) fn place(kind: Kind, resource: &Resource, space_type: Option<SpaceType>, alone: bool) -> Place {
    if kind == Kind::Space {
        return resource.own_space_type().map_or(Place::Elsewhere, SpaceType::place);
    }
    match space_type {
        Some(space_type) => space_type.place(),
        None if alone && kind.can_be_personal() => Place::Personal,
        None => Place::Elsewhere,
    }
}

/// The space that a resource is in, and whether it is in no space and no stream, nor its app.
pub(crate) fn standing<'p>(policy: &'p Tenant, resource: &'p Resource, depth: u32) -> (Option<&'p str>, bool) {
    if let Some(space) = &resource.space {
        return (Some(space), false);
    }
    if depth > MAX_APP_CHAIN {
        return (None, false);
    }
    let (app_space, app_alone) = match resource.app.as_deref() {
        None => (None, true),
        Some(app) => match policy.resources.get(app) {
            Some(app) => standing(policy, app, depth.saturating_add(1)),
            None => (Some(app), false),
        },
    };
    let space = app_space.filter(|_| Kind::of(resource.type_name()) == Kind::AppObject);
    (space, app_alone && resource.stream.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    /// 200 users, the odd ones in a group that may read the one app, and rules that ask for a custom property.
    fn policy(change: impl Fn(&mut serde_json::Value)) -> Tenant {
        let mut tenant = serde_json::json!({"groups": {"odd": {"roles": ["Steward"]}},
            "spaces": {"s": {"type": "managed", "owner": "user-0", "members": {"group:odd": ["consumer"]}}},
            "resources": {"app": {"type": "App", "space": "s"}},
            "rules": [{"name": "r", "filter": "App_*", "actions": ["read"], "condition": "user.@Team = resource.@Team"},
                {"name": "off", "filter": "App_*", "actions": ["update"], "condition": "user.group = \"odd\"", "disabled": true}]});
        for user in 0..200 {
            let groups: &[&str] = if user % 2 == 1 { &["odd"] } else { &[] };
            tenant["users"][format!("user-{user}")] = serde_json::json!({"groups": groups, "custom": {"Team": "blue"}});
        }
        change(&mut tenant);
        let file = serde_json::json!({"version": 1, "tenants": {"t": tenant}});
        Policy::parse(&file.to_string()).unwrap().tenant("t").unwrap().clone()
    }

    struct Shared {
        users: usize,
        things: bool,
        rules: bool,
        details: (usize, bool),
    }

    fn shared(change: impl Fn(&mut serde_json::Value)) -> Shared {
        let (before, after) = (policy(|_| ()), policy(change));
        let old = Arc::new(tenant(&before));
        let new = updated(&old, &before, &after);
        let (old_rules, new_rules) = (old.rules.as_deref().unwrap(), new.rules.as_deref().unwrap());
        Shared {
            users: new.user_profiles.shared(&old.user_profiles),
            things: Arc::ptr_eq(&new.things.placed, &old.things.placed),
            rules: Arc::ptr_eq(&new_rules.set, &old_rules.set),
            details: (new_rules.users.shared(&old_rules.users), Arc::ptr_eq(&new_rules.things, &old_rules.things)),
        }
    }

    #[test]
    fn tenant_without_a_change_is_shared() {
        let before = policy(|_| ());
        let old = Arc::new(tenant(&before));
        assert!(Arc::ptr_eq(&old, &updated(&old, &before, &before.clone())));
        let newer = Tenant { version: 7, ..before.clone() };
        assert_eq!(updated(&old, &before, &newer).version, 7);
    }

    #[test]
    fn change_of_a_user_copies_one_page_and_nothing_else() {
        let found = shared(|tenant| tenant["users"]["user-7"]["roles"] = serde_json::json!(["Developer"]));
        assert_eq!((found.users, found.details), (3, (3, true)));
        assert!(found.things && found.rules);
        let found =
            shared(|tenant| tenant["spaces"]["s"]["members"]["user:user-7"] = serde_json::json!(["contributor"]));
        assert_eq!((found.users, found.details), (3, (3, true)));
        assert!(found.things && found.rules);
    }

    #[test]
    fn change_of_a_resource_leaves_users_and_rules() {
        let found = shared(|tenant| tenant["resources"]["new"] = serde_json::json!({"type": "App", "owner": "user-3"}));
        assert_eq!((found.users, found.details), (4, (4, false)));
        assert!(!found.things && found.rules);
    }

    #[test]
    fn change_of_a_rule_leaves_users_and_resources() {
        let found = shared(|tenant| tenant["rules"][1]["disabled"] = serde_json::json!(false));
        assert_eq!((found.users, found.details), (4, (4, true)));
        assert!(found.things && !found.rules);
    }

    #[test]
    fn names_that_nobody_has_are_forgotten_in_time() {
        let mut before = policy(|_| ());
        let mut snapshot = Arc::new(tenant(&before));
        let most = snapshot.names * 2 + MAX_STALE + 1;
        for owner in 0..most {
            let mut after = before.clone();
            after.resources.values_mut().for_each(|app| app.owner = Some(format!("owner {owner}")));
            let next = updated(&snapshot, &before, &after);
            assert!(next.users.len() + next.groups.len() <= most);
            (before, snapshot) = (after, next);
        }
        assert!(snapshot.users.len() < most / 2);
    }
}
