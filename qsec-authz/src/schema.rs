//! The policy file as a JSON Schema, for editors and for whoever writes policies by program.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::action::Action;
use crate::bits::Bit;
use crate::persona::Persona;
use crate::policy::{MODELS, Policy, STATUSES, USER_STATUSES};
use crate::resource::MAX_NAME_BYTES;
use crate::rule::MAX_RULES;
use crate::tables::{Permission, SpaceType};

impl Policy {
    /// The JSON Schema (draft 2020-12) of a policy file, made from the tables that read it. It says which keys and words there are;
    /// what a policy refers to, and what its rules mean, only [`Policy::parse`] knows: a policy that is read is one of the schema,
    /// one of the schema may still be refused.
    ///
    /// ```
    /// let schema = qsec_authz::Policy::json_schema();
    /// assert!(schema.contains("https://json-schema.org/draft/2020-12/schema"));
    /// ```
    pub fn json_schema() -> String {
        let text = serde_json::to_string_pretty(&sorted(schema())).unwrap_or_default();
        format!("{text}\n")
    }
}

/// The same with all keys in order: whether a map keeps the order in which it was filled is a feature of `serde_json`, which any
/// crate of a build can switch on.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<String, Value> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "qsec policy",
        "description": "Who may do what in each tenant. Nothing crosses a tenant.",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "tenants"],
        "properties": {"version": {"const": 1}, "tenants": named(&refer("tenant"))},
        "$defs": {
            "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES},
            "names": {"type": "array", "items": refer("name")},
            "permissions": {"type": "array", "items": words(Permission::ALL.iter().map(|one| one.name()))},
            "value": value(),
            "attributes": {"type": "object", "additionalProperties": refer("value")},
            "tenant": tenant(),
            "group": record(&[], &[("roles", refer("names"))]),
            "user": user(),
            "space": {"oneOf": SpaceType::ALL.iter().map(|one| space(*one)).collect::<Vec<_>>()},
            "resource": resource(),
            "rule": rule(),
        },
    })
}

fn refer(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    json!({"enum": words.collect::<Vec<_>>()})
}

/// An object of these keys and no other.
fn record(required: &[&str], properties: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

/// An object whose keys are names.
fn named(of: &Value) -> Value {
    json!({"type": "object", "propertyNames": refer("name"), "additionalProperties": of})
}

fn value() -> Value {
    let one = ["null", "boolean", "integer", "string"];
    json!({"oneOf": [{"type": one}, {"type": "array", "items": {"type": one}}]})
}

fn tenant() -> Value {
    let personas = json!({"type": "array", "items": refer("name"), "minItems": 1});
    let personas: Vec<_> = Persona::ALL.iter().map(|persona| (persona.as_str(), personas.clone())).collect();
    record(
        &[],
        &[
            ("status", words(STATUSES.iter().map(|(name, _)| *name))),
            ("model", words(MODELS.iter().map(|(name, _)| *name))),
            ("user_default", refer("permissions")),
            ("roles", named(&refer("permissions"))),
            ("groups", named(&refer("group"))),
            ("users", named(&refer("user"))),
            ("spaces", named(&refer("space"))),
            ("resources", named(&refer("resource"))),
            ("rules", json!({"type": "array", "items": refer("rule"), "maxItems": MAX_RULES})),
            ("personas", record(&[], &personas)),
        ],
    )
}

fn user() -> Value {
    record(
        &[],
        &[
            ("status", words(USER_STATUSES.iter().map(|(name, _)| *name))),
            ("directory", refer("name")),
            ("name", json!({"type": "string"})),
            ("roles", refer("names")),
            ("groups", refer("names")),
            ("attributes", refer("attributes")),
            ("custom", refer("attributes")),
        ],
    )
}

/// A type of space with the roles that it has.
fn space(space_type: SpaceType) -> Value {
    let roles = space_type.roles();
    let roles = json!({"type": "array", "items": words(roles.iter().map(Bit::name))});
    let members =
        json!({"type": "object", "propertyNames": {"pattern": r"^(user|group):[\s\S]"}, "additionalProperties": roles});
    record(
        &["type"],
        &[
            ("type", json!({"const": space_type.name()})),
            ("owner", refer("name")),
            ("name", json!({"type": "string"})),
            ("members", members),
        ],
    )
}

fn resource() -> Value {
    record(
        &["type"],
        &[
            ("type", json!({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9.]*$"})),
            ("name", json!({"type": "string"})),
            ("owner", refer("name")),
            ("space", refer("name")),
            ("app", refer("name")),
            ("stream", refer("name")),
            ("links", named(&refer("names"))),
            ("attributes", refer("attributes")),
            ("custom", refer("attributes")),
        ],
    )
}

/// Names of actions are read without case, blanks and underscores: here they are any text, and proposed as they are written.
fn rule() -> Value {
    let proposed: Vec<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let listed = json!({"type": "array", "minItems": 1, "items": {"type": "string", "examples": proposed}});
    record(
        &["name", "filter", "actions"],
        &[
            ("name", refer("name")),
            ("filter", json!({"type": "string", "minLength": 1})),
            ("actions", json!({"oneOf": [listed, {"type": "integer", "minimum": 1, "maximum": 8191}]})),
            ("condition", json!({"type": "string"})),
            ("context", json!({"enum": ["both", "hub", "admin", 0, 1, 2]})),
            ("disabled", json!({"type": "boolean"})),
        ],
    )
}
