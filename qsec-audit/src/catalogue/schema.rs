//! JSON Schema 2020-12 of a row.

use super::table::{EventType, Field, Shape};
use crate::event::{ActorType, AuthType, MAX_ID, MAX_ITEMS, MAX_REASON, MAX_TEXT};
use crate::value::{Object, Value};

impl EventType {
    /// The row as JSON: type, version, class, OCSF codes, alias, personal fields, and the JSON Schema of its leaves.
    #[must_use]
    pub fn schema(&self) -> String {
        let ocsf = self.ocsf();
        let activity = if let super::Activity::Code(code) = ocsf.activity() {
            Value::from(i64::from(code))
        } else {
            Value::from("by_verb")
        };
        let mut codes =
            Object::from_iter([("class_uid", Value::from(i64::from(ocsf.class_uid()))), ("activity_id", activity)]);
        if let Some((class, activity)) = ocsf.before_1_9() {
            let before = [("class_uid", i64::from(class)), ("activity_id", i64::from(activity))];
            codes.insert("1.8.0", Object::from_iter(before));
        }
        Object::from_iter([
            ("type", Value::from(self.name())),
            ("version", Value::from(i64::from(self.version()))),
            ("class", Value::from(self.class().as_str())),
            ("severityid", Value::from(i64::from(self.severity()))),
            ("ocsf", Value::from(codes)),
            ("alias", self.alias().map_or(Value::Null, Value::from)),
            ("demanded_by", Value::from(self.demanded_by())),
            ("personal", texts(self.personal().iter().copied())),
            ("schema", Value::from(self.leaf_schema())),
        ])
        .encode()
    }

    fn leaf_schema(&self) -> Object {
        let id = || string(MAX_ID);
        let mut properties = Object::from_iter([
            ("specversion", constant("1.0")),
            ("id", string(MAX_ID)),
            ("source", string(MAX_TEXT)),
            ("type", constant(self.name())),
            ("time", time()),
            ("dataschema", constant(&format!("urn:qsec:event:{}:{}", self.name(), self.version()))),
            ("tenantid", id()),
            ("subject", string(MAX_TEXT)),
            ("actorid", id()),
            ("actortype", one_of(ActorType::WORDS)),
            ("onbehalfof", id()),
            ("clientid", id()),
            ("sessionid", id()),
            ("authtype", one_of(AuthType::WORDS)),
            ("traceparent", id()),
            ("outcome", one_of(&["success", "failure", "denied"])),
            ("reason", string(MAX_REASON)),
        ]);
        let severity = [("type", Value::from("integer")), ("minimum", Value::from(1)), ("maximum", Value::from(6))];
        properties.insert("severityid", Object::from_iter(severity));
        properties.insert("data", self.data_schema());
        let required =
            ["specversion", "id", "source", "type", "time", "dataschema", "actortype", "outcome", "severityid", "data"];
        Object::from_iter([
            ("$schema", Value::from("https://json-schema.org/draft/2020-12/schema")),
            ("$id", Value::from(format!("urn:qsec:event:{}:{}", self.name(), self.version()))),
            ("type", Value::from("object")),
            ("properties", Value::from(properties)),
            ("required", texts(required)),
        ])
    }

    fn data_schema(&self) -> Object {
        let mut properties: Object = self.fields().iter().map(|field| (field.name(), field.schema())).collect();
        let part = Object::from_iter([("subject", string(MAX_ID)), ("commit", string(MAX_ID))]);
        let part = Object::from_iter([
            ("type", Value::from("object")),
            ("properties", Value::from(part)),
            ("required", texts(["subject", "commit"])),
            ("additionalProperties", Value::from(false)),
        ]);
        if properties.get("personal").is_none() {
            properties.insert("personal", list(part));
        }
        properties.insert("personal_unsealed", Object::from_iter([("type", "integer")]));
        properties.insert("cut", list(string(MAX_TEXT)));
        Object::from_iter([
            ("type", Value::from("object")),
            ("properties", Value::from(properties)),
            ("additionalProperties", Value::from(false)),
        ])
    }
}

impl Field {
    fn schema(&self) -> Object {
        match self.shape() {
            Shape::Text => string(MAX_TEXT),
            Shape::Integer => Object::from_iter([("type", "integer")]),
            Shape::Flag => Object::from_iter([("type", "boolean")]),
            Shape::Time => time(),
            Shape::Texts => list(string(MAX_TEXT)),
            Shape::Counts => {
                let counts = Object::from_iter([("type", "integer")]);
                Object::from_iter([("type", Value::from("object")), ("additionalProperties", Value::from(counts))])
            }
            Shape::OneOf(words) => one_of(words),
        }
    }
}

fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Value {
    Value::List(items.into_iter().map(Value::from).collect())
}

/// Budgets count bytes and `maxLength` counts characters: what fits the budget fits the schema.
fn string(most: usize) -> Object {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    Object::from_iter([("type", Value::from("string")), ("maxLength", Value::from(most))])
}

fn constant(word: &str) -> Object {
    Object::from_iter([("const", word)])
}

fn one_of(words: &[&str]) -> Object {
    Object::from_iter([("enum", texts(words.iter().copied()))])
}

fn time() -> Object {
    Object::from_iter([("type", "string"), ("format", "date-time")])
}

fn list(items: Object) -> Object {
    let most = i64::try_from(MAX_ITEMS).unwrap_or(i64::MAX);
    Object::from_iter([("type", Value::from("array")), ("items", Value::from(items)), ("maxItems", Value::from(most))])
}
