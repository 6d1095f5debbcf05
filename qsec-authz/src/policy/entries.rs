//! A policy as the entries of a store, and back.

use serde::Serialize;

use super::{Policy, Tenant, read};
use crate::document::{self, Member, Node, Value};
use crate::flaw::Fault;
use crate::resource::AttributeValue;
use crate::store::conformance::MAX_BODY_BYTES;
use crate::store::{EntryKind, PolicyEntry};

/// As JSON. Names and numbers serialize without fail; what did not would be no JSON and be refused when it is read.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Where the first attribute stands that is, or has, a `null`.
pub(super) fn nulls(policy: &Policy) -> Option<String> {
    fn has_null(value: &AttributeValue) -> bool {
        match value {
            AttributeValue::Null => true,
            AttributeValue::List(values) => values.iter().any(has_null),
            AttributeValue::Bool(_) | AttributeValue::Integer(_) | AttributeValue::Text(_) => false,
        }
    }
    policy.tenants().find_map(|tenant| {
        let users = tenant.users.iter().map(|(id, user)| ("users", id, &user.attributes, &user.custom));
        let resources = tenant.resources.iter().map(|(id, one)| ("resources", id, &one.attributes, &one.custom));
        users.chain(resources).find_map(|(section, id, attributes, custom)| {
            let named =
                attributes.iter().map(|pair| ("attributes", pair)).chain(custom.iter().map(|pair| ("custom", pair)));
            let mut found = named.filter(|(_, (_, value))| has_null(value));
            found.next().map(|(key, (name, _))| format!("tenants.{}.{section}.{id}.{key}.{name}", tenant.id()))
        })
    })
}

/// The entries of a tenant, in the order of kind and id.
pub(super) fn entries(tenant: &Tenant) -> Result<Vec<PolicyEntry>, Fault> {
    let entry = |kind, id: &str, body: String| PolicyEntry { kind, id: id.to_owned(), body };
    let mut entries = vec![entry(EntryKind::Tenant, "", json(&tenant.settings))];
    entries.extend(tenant.roles.iter().map(|(name, role)| entry(EntryKind::Role, name, json(role))));
    entries.extend(tenant.groups.iter().map(|(name, group)| entry(EntryKind::Group, name, json(group))));
    entries.extend(tenant.users.iter().map(|(id, user)| entry(EntryKind::User, id, json(user))));
    entries.extend(tenant.spaces.iter().map(|(id, space)| entry(EntryKind::Space, id, json(space))));
    entries.extend(tenant.resources.iter().map(|(id, resource)| entry(EntryKind::Resource, id, json(resource))));
    for (place, rule) in tenant.rules.iter().enumerate() {
        entries.push(entry(EntryKind::Rule, &format!("{place:010}"), json(rule)));
    }
    match entries.iter().find(|entry| entry.body.len() > MAX_BODY_BYTES) {
        Some(large) => {
            Err(Fault::value(format!("longer than {MAX_BODY_BYTES} bytes as one entry"), path(tenant.id(), large)))
        }
        None => Ok(entries),
    }
}

/// The body of one entry, a rule by its name.
pub(super) fn body_of(tenant: &Tenant, kind: EntryKind, id: &str) -> Option<String> {
    match kind {
        EntryKind::Tenant => Some(json(&tenant.settings)),
        EntryKind::Role => tenant.roles.get(id).map(json),
        EntryKind::Group => tenant.groups.get(id).map(json),
        EntryKind::User => tenant.users.get(id).map(json),
        EntryKind::Space => tenant.spaces.get(id).map(json),
        EntryKind::Resource => tenant.resources.get(id).map(json),
        EntryKind::Rule => tenant.rules.iter().find(|rule| rule.name == id).map(json),
    }
}

fn path(tenant: &str, entry: &PolicyEntry) -> String {
    match section(entry.kind) {
        Some(section) => format!("tenants.{tenant}.{section}.{}", entry.id),
        None => format!("tenants.{tenant}"),
    }
}

/// Under which key of a tenant an entry stands; the tenant's own settings stand beside the others.
fn section(kind: EntryKind) -> Option<&'static str> {
    match kind {
        EntryKind::Tenant => None,
        EntryKind::Role => Some("roles"),
        EntryKind::Group => Some("groups"),
        EntryKind::User => Some("users"),
        EntryKind::Space => Some("spaces"),
        EntryKind::Resource => Some("resources"),
        EntryKind::Rule => Some("rules"),
    }
}

/// The policy that a tenant's entries make: the same tree as of the file, read by the same reader.
pub(super) fn policy(tenant: &str, entries: &[PolicyEntry]) -> Result<Policy, Fault> {
    let mut sorted: Vec<&PolicyEntry> = entries.iter().collect();
    sorted.sort_by(|left, right| (left.kind, &left.id).cmp(&(right.kind, &right.id)));
    let twice =
        sorted.iter().zip(sorted.iter().skip(1)).find(|(one, next)| (one.kind, &one.id) == (next.kind, &next.id));
    if let Some((entry, _)) = twice {
        return Err(Fault::value("the entry stands twice", path(tenant, entry)));
    }
    let mut members = Vec::new();
    for kind in EntryKind::ALL {
        let of_kind = sorted.iter().filter(|entry| entry.kind == kind);
        match section(kind) {
            None => members.extend(own_settings(tenant, of_kind.copied())?),
            Some("rules") => {
                let rules = of_kind.map(|entry| rule(tenant, entry)).collect::<Result<Vec<_>, _>>()?;
                members.push(member("rules", Value::List(rules)));
            }
            Some(section) => {
                let named = of_kind.map(|entry| Ok(member(&entry.id, body(tenant, entry)?.value)));
                members.push(member(section, Value::Table(named.collect::<Result<Vec<_>, Fault>>()?)));
            }
        }
    }
    let tenants = vec![member(tenant, Value::Table(members))];
    let file = vec![member("version", Value::Integer(1)), member("tenants", Value::Table(tenants))];
    read::policy(&Node { value: Value::Table(file), at: None })
}

fn member(key: &str, value: Value) -> Member {
    Member { key: key.to_owned(), key_at: None, node: Node { value, at: None } }
}

fn body(tenant: &str, entry: &PolicyEntry) -> Result<Node, Fault> {
    if entry.body.len() > MAX_BODY_BYTES {
        return Err(Fault::value(format!("longer than {MAX_BODY_BYTES} bytes"), path(tenant, entry)));
    }
    document::parse_json(&entry.body).map_err(|fault| Fault { path: path(tenant, entry), at: None, ..fault })
}

const SETTINGS: [&str; 4] = ["status", "model", "user_default", "personas"];

fn own_settings<'a>(tenant: &str, mut entries: impl Iterator<Item = &'a PolicyEntry>) -> Result<Vec<Member>, Fault> {
    let Some(entry) = entries.next() else { return Ok(Vec::new()) };
    if !entry.id.is_empty() || entries.next().is_some() {
        return Err(Fault::value("the tenant's own entry has an empty id", path(tenant, entry)));
    }
    let Value::Table(members) = body(tenant, entry)?.value else {
        return Err(Fault::value("expected an object", path(tenant, entry)));
    };
    // A `users` here would stand beside the users' own entries, and one of the two would be lost.
    match members.iter().find(|member| !SETTINGS.contains(&&*member.key)) {
        Some(stray) => Err(Fault::value(format!("unknown key `{}`", stray.key), path(tenant, entry))),
        None => Ok(members),
    }
}

/// A rule's id is its position in ten digits: anything else would sort elsewhere than it stands.
fn rule(tenant: &str, entry: &PolicyEntry) -> Result<Node, Fault> {
    if entry.id.len() != 10 || !entry.id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::value("the id of a rule is ten digits", path(tenant, entry)));
    }
    body(tenant, entry)
}
