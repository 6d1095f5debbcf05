//! From a tree to a policy: every rule that makes one malformed, each found where it is broken.

#![deny(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::{
    Group, MODELS, Member, Model, Permissions, Policy, Rule, RuleActions, STATUSES, Settings, Space, SpaceRoles,
    Tenant, USER_STATUSES, User,
};
use crate::bits::{Bit, Set};
use crate::document::{At, Node, Value};
use crate::flaw::{Fault, RuleFlaw, guess};
use crate::persona::Persona;
use crate::resource::{
    self, AttributeValue, Resource, name_in, name_of, names, optional_name, optional_text, read_attributes,
};
use crate::rule::{MAX_RULES, ReadRule, Reading, persona};
use crate::tables::{Permission, SpaceRole, SpaceType, TenantRole};

/// Most roles, groups or members that one entry may list: enough for every group of a large directory.
const MAX_LISTED: usize = 100_000;

/// Reads the whole policy.
pub(super) fn policy(node: &Node) -> Result<Policy, Fault> {
    let root = At::root(node);
    root.only(&["version", "tenants"])?;
    let version = root.need("version")?;
    if *version.value() != Value::Integer(1) {
        return Err(version.fault("the version of a policy is 1"));
    }
    let mut tenants = BTreeMap::new();
    for (id, at) in root.need("tenants")?.members()? {
        let id = name_of(id, &at)?;
        tenants.insert(id.clone(), tenant(id, &at)?);
    }
    Ok(Policy { tenants })
}

/// What the tenant has, so that what refers to it can be checked.
struct Declared<'a> {
    model: Model,
    roles: HashSet<&'a str>,
    spaces: HashSet<&'a str>,
    resources: HashSet<&'a str>,
}

const KEYS: [&str; 10] =
    ["status", "model", "user_default", "roles", "groups", "users", "spaces", "resources", "rules", "personas"];

fn tenant(id: String, at: &At<'_>) -> Result<Tenant, Fault> {
    at.only(&KEYS)?;
    let settings = settings(at)?;
    let (roles, spaces, resources) = (at.get("roles"), at.get("spaces"), at.get("resources"));
    let declared = Declared {
        model: settings.model,
        roles: keys(roles.as_ref())?,
        spaces: keys(spaces.as_ref())?,
        resources: keys(resources.as_ref())?,
    };
    Ok(Tenant {
        version: 0,
        roles: each(at, "roles", |name, at| custom_role(name, at, settings.model))?,
        groups: each(at, "groups", |_, at| group(at, &declared))?,
        users: each(at, "users", |_, at| user(at, &declared))?,
        spaces: each(at, "spaces", |id, at| space(id, at, &declared))?,
        resources: each(at, "resources", |_, at| listed_resource(at, &declared))?,
        rules: rules(&id, at, &settings)?,
        settings,
        id,
    })
}

fn settings(at: &At<'_>) -> Result<Settings, Fault> {
    Ok(Settings {
        status: at.get("status").map(|found| found.word(STATUSES)).transpose()?.unwrap_or_default(),
        model: at.get("model").map(|found| found.word(MODELS)).transpose()?.unwrap_or_default(),
        user_default: at.get("user_default").map(|found| user_default(&found)).transpose()?,
        personas: each(at, "personas", persona_groups)?,
    })
}

fn keys<'b>(table: Option<&'b At<'_>>) -> Result<HashSet<&'b str>, Fault> {
    table.map_or(Ok(HashSet::new()), |table| Ok(table.members()?.map(|(key, _)| key).collect()))
}

/// Reads each member of a table of named things.
fn each<T>(
    at: &At<'_>,
    key: &str,
    mut read: impl FnMut(&str, &At<'_>) -> Result<T, Fault>,
) -> Result<BTreeMap<String, T>, Fault> {
    let mut all = BTreeMap::new();
    if let Some(table) = at.get(key) {
        for (name, at) in table.members()? {
            all.insert(name_of(name, &at)?, read(name, &at)?);
        }
    }
    Ok(all)
}

fn persona_groups(name: &str, at: &At<'_>) -> Result<Vec<String>, Fault> {
    if Persona::parse(name).is_none() {
        let known = Persona::ALL.iter().map(|one| one.as_str());
        return Err(at.key_fault(format!("unknown persona `{name}`")).maybe_hint(guess(name, known)));
    }
    let groups = names(at)?;
    if groups.is_empty() { Err(at.fault("a persona needs a group")) } else { Ok(groups) }
}

fn permissions(at: &At<'_>) -> Result<Permissions, Fault> {
    let mut set = Set::EMPTY;
    for element in at.list()? {
        let name = element.text()?;
        let Some(permission) = Permission::named(name) else {
            let known = Permission::ALL.iter().map(|one| one.name());
            return Err(element.fault(format!("unknown permission `{name}`")).maybe_hint(guess(name, known)));
        };
        set.add(permission);
    }
    Ok(Permissions(set))
}

/// What everybody has cannot be an administrator's.
fn user_default(at: &At<'_>) -> Result<Permissions, Fault> {
    let read = permissions(at)?;
    let admin = Permission::administrators();
    for element in at.list()? {
        if Permission::named(element.text()?).is_some_and(|one| admin.has(one)) {
            let name = element.text()?;
            return Err(element
                .fault(format!("`{name}` cannot be everybody's"))
                .hint("put it into a custom role and give that to those who need it"));
        }
    }
    Ok(read)
}

fn custom_role(name: &str, at: &At<'_>, model: Model) -> Result<Permissions, Fault> {
    if model == Model::Cloud && TenantRole::named(name).is_some() {
        return Err(at
            .key_fault(format!("`{name}` is a built-in role"))
            .hint("built-in roles cannot be edited; choose another name"));
    }
    permissions(at)
}

/// Role names, each of which somebody has defined; in the enterprise model they are free texts.
fn roles(at: &At<'_>, declared: &Declared<'_>) -> Result<BTreeSet<String>, Fault> {
    let mut roles = BTreeSet::new();
    let Some(list) = at.get("roles") else { return Ok(roles) };
    for element in list.list()? {
        let name = name_in(&element)?;
        let known = TenantRole::named(&name).is_some() || declared.roles.contains(&*name);
        if declared.model == Model::Cloud && !known {
            let names = TenantRole::ALL.iter().map(|one| one.name()).chain(declared.roles.iter().copied());
            return Err(element.fault(format!("role `{name}` is not defined")).maybe_hint(guess(&name, names)));
        }
        roles.insert(name);
        bounded(&element, roles.len())?;
    }
    Ok(roles)
}

fn bounded(at: &At<'_>, count: usize) -> Result<(), Fault> {
    if count > MAX_LISTED { Err(at.fault(format!("more than {MAX_LISTED}"))) } else { Ok(()) }
}

fn group(at: &At<'_>, declared: &Declared<'_>) -> Result<Group, Fault> {
    at.only(&["roles"])?;
    Ok(Group { roles: roles(at, declared)? })
}

fn user(at: &At<'_>, declared: &Declared<'_>) -> Result<User, Fault> {
    at.only(&["status", "directory", "name", "roles", "groups", "attributes", "custom"])?;
    let groups = at.get("groups").map(|found| names(&found)).transpose()?.unwrap_or_default();
    bounded(at, groups.len())?;
    let user = User {
        disabled: at.get("status").map(|found| found.word(USER_STATUSES)).transpose()?.unwrap_or_default(),
        directory: optional_name(at, "directory")?,
        name: optional_text(at, "name")?,
        roles: roles(at, declared)?,
        groups: groups.into_iter().collect(),
        attributes: read_attributes(at, "attributes")?,
        custom: read_attributes(at, "custom")?,
    };
    match resource::attributes_defect(&user.attributes, &user.custom, [].iter()) {
        Some(defect) => Err(defect.fault(at)),
        None => Ok(user),
    }
}

fn space(id: &str, at: &At<'_>, declared: &Declared<'_>) -> Result<Space, Fault> {
    at.only(&["type", "owner", "name", "members"])?;
    if declared.resources.contains(id) {
        return Err(at.key_fault(format!("`{id}` is a resource too")).hint("ids are unique over resources and spaces"));
    }
    let types: Vec<_> = SpaceType::ALL.iter().map(|one| (one.name(), *one)).collect();
    let space_type = at.need("type")?.word(&types)?;
    let mut members = BTreeMap::new();
    if let Some(table) = at.get("members") {
        for (key, at) in table.members()? {
            members.insert(member(key, &at)?, space_roles(&at, space_type)?);
            bounded(&at, members.len())?;
        }
    }
    Ok(Space { kind: space_type, owner: optional_name(at, "owner")?, name: optional_text(at, "name")?, members })
}

fn member(key: &str, at: &At<'_>) -> Result<Member, Fault> {
    let member = match key.split_once(':') {
        Some(("user", id)) => Member::User(name_of(id, at)?),
        Some(("group", name)) => Member::Group(name_of(name, at)?),
        _ => return Err(at.key_fault(format!("`{key}` is no member")).hint("write `user:ID` or `group:NAME`")),
    };
    Ok(member)
}

fn space_roles(at: &At<'_>, space_type: SpaceType) -> Result<SpaceRoles, Fault> {
    let mut set = Set::EMPTY;
    let here = space_type.roles();
    for element in at.list()? {
        let name = element.text()?;
        match SpaceRole::named(name) {
            Some(role) if here.has(role) => set.add(role),
            Some(SpaceRole::Owner) => {
                return Err(element
                    .fault("nobody becomes owner as a member")
                    .hint("name the owner under `owner` of the space"));
            }
            Some(_) => {
                let names: Vec<_> = here.iter().map(|one| format!("`{}`", one.name())).collect();
                return Err(element
                    .fault(format!("a {} space has no role `{name}`", space_type.name()))
                    .hint(format!("it has {}", names.join(", "))));
            }
            None => {
                let near = guess(name, here.iter().map(Bit::name));
                return Err(element.fault(format!("unknown space role `{name}`")).maybe_hint(near));
            }
        }
    }
    Ok(SpaceRoles(set))
}

fn listed_resource(at: &At<'_>, declared: &Declared<'_>) -> Result<Resource, Fault> {
    let resource = resource::read(at, false)?;
    if let Some(space) = resource.space.as_deref().filter(|space| !declared.spaces.contains(space)) {
        let place = at.need("space")?;
        return Err(place
            .fault(format!("the tenant has no space `{space}`"))
            .maybe_hint(guess(space, declared.spaces.iter().copied())));
    }
    for (key, id) in resource.references() {
        if !declared.resources.contains(id) && !declared.spaces.contains(id) {
            let links = at.get("links");
            let found = at.get(key);
            let place = found.or_else(|| links.as_ref().and_then(|links| links.get(key)));
            let message = format!("the tenant has no resource `{id}`");
            return Err(place.map_or_else(|| at.fault(message.clone()), |place| place.fault(message.clone())));
        }
    }
    Ok(resource)
}

/// A persona's rules come first and have names of their own, which a rule may not take.
fn rules(tenant: &str, at: &At<'_>, settings: &Settings) -> Result<Vec<Rule>, Fault> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut names: HashSet<String> = settings.personas.keys().flat_map(|name| persona::names(name)).collect();
    let mut reading = Reading::default();
    if let Some(list) = at.get("rules") {
        for element in list.list()? {
            let rule = rule(tenant, &element, &mut reading)?;
            if !names.insert(rule.name.clone()) {
                return Err(element.need("name")?.fault(format!("two rules are called `{}`", rule.name)));
            }
            if rules.len() >= MAX_RULES {
                return Err(list.fault(format!("more than {MAX_RULES} rules")));
            }
            rules.push(rule);
        }
    }
    Ok(rules)
}

fn rule(tenant: &str, at: &At<'_>, reading: &mut Reading) -> Result<Rule, Fault> {
    at.only(&["name", "filter", "actions", "condition", "context", "disabled"])?;
    let name = name_in(&at.need("name")?)?;
    let filter = at.need("filter")?.text()?.to_owned();
    let actions = at.need("actions")?;
    let actions = if let Value::Integer(bits) = actions.value() {
        RuleActions::Bits(*bits)
    } else {
        RuleActions::Names(actions.list()?.map(|one| one.text().map(str::to_owned)).collect::<Result<_, _>>()?)
    };
    let condition = optional_text(at, "condition")?;
    let context = at.get("context").map(|found| rule_context(&found)).transpose()?;
    let disabled = at.get("disabled").map(|found| found.boolean()).transpose()?.unwrap_or_default();
    let written = condition.as_deref().unwrap_or_default();
    let read = ReadRule::read(&filter, &actions, context.as_ref(), written, reading)
        .map_err(|malformed| Fault::rule(RuleFlaw::new(tenant, &name, written, malformed)))?;
    Ok(Rule { name, filter, actions, condition, context, disabled, read: Arc::new(read) })
}

fn rule_context(at: &At<'_>) -> Result<AttributeValue, Fault> {
    match at.value() {
        Value::Text(text) => Ok(AttributeValue::Text(text.clone())),
        Value::Integer(number) => Ok(AttributeValue::Integer(*number)),
        Value::Null | Value::Bool(_) | Value::Number | Value::Datetime | Value::List(_) | Value::Table(_) => {
            Err(at.fault("expected `both`, `hub` or `admin`"))
        }
    }
}
