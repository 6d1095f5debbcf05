//! One line of `qsec audit append`: strict JSON, every member known, `data` as the catalogue has it.

use std::collections::HashSet;
use std::fmt;
use std::time::SystemTime;

use qsec::audit::{Actor, ActorType, Draft, Event, EventId, Object, Outcome, Value};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::nouns::operator;

/// Most bytes of an event's type.
const MAX_TYPE_BYTES: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    r#type: String,
    subject: Option<String>,
    actor: Option<By>,
    on_behalf_of: Option<String>,
    client: Option<String>,
    session: Option<String>,
    trace: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    personal: Option<&'a RawValue>,
    id: Option<String>,
    time: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct By {
    id: Option<String>,
    r#type: String,
}

/// A builder of events that takes a text.
type AddText = fn(Event, String) -> Event;

/// Reads a draft. Nothing of a line that is refused is recorded.
pub(super) fn read(line: &str, now: SystemTime) -> Result<Event, Failure> {
    let malformed = |error: serde_json::Error| Failure::misuse("draft_malformed", error.to_string());
    serde_json::from_str::<Unique>(line).map_err(malformed)?;
    let line: Line<'_> = serde_json::from_str(line).map_err(malformed)?;
    if line.r#type.is_empty() || line.r#type.len() > MAX_TYPE_BYTES || line.r#type.chars().any(char::is_control) {
        return Err(wrong(format!("`type` has 1 to {MAX_TYPE_BYTES} bytes and no control characters")));
    }
    let draft = Draft::with_data(&line.r#type, object("data", line.data)?.unwrap_or_default());
    draft.check().map_err(|error| Failure::misuse(error.code(), error.to_string()))?;
    let mut event = draft.by(line.actor.map_or_else(|| Ok(operator()), actor)?);
    let texts: [(Option<String>, AddText); 5] = [
        (line.subject, Event::subject),
        (line.on_behalf_of, Event::on_behalf_of),
        (line.client, Event::client),
        (line.session, Event::session),
        (line.trace, Event::trace),
    ];
    for (text, add) in texts {
        if let Some(text) = text {
            event = add(event, text);
        }
    }
    event = ended(event, line.outcome.as_deref(), line.reason)?;
    if let Some(id) = line.id {
        event = event.id(EventId::parse(&id).ok_or_else(|| wrong(format!("`id` is not a UUIDv7: `{id}`")))?);
    }
    if let Some(time) = line.time {
        event = event.at(happened(&time, now)?);
    }
    with_personal(event, line.personal)
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::misuse("draft_malformed", message)
}

fn actor(by: By) -> Result<Actor, Failure> {
    let kind = ActorType::parse(&by.r#type).ok_or_else(|| wrong(format!("`{}` is no type of actor", by.r#type)))?;
    match (kind, by.id) {
        (ActorType::System, None) => Ok(Actor::system()),
        (ActorType::Anonymous, None) => Ok(Actor::anonymous()),
        (ActorType::System | ActorType::Anonymous, Some(_)) => Err(wrong("this type of actor has no id")),
        (_, Some(id)) if !id.is_empty() => Ok(Actor::new(kind, id)),
        (_, _) => Err(wrong("`actor` has no id")),
    }
}

fn ended(event: Event, outcome: Option<&str>, reason: Option<String>) -> Result<Event, Failure> {
    let outcome = outcome.map_or(Some(Outcome::Success), Outcome::parse);
    match (outcome, reason) {
        (Some(Outcome::Success), None) => Ok(event),
        (Some(Outcome::Failure), Some(reason)) => Ok(event.failed(reason)),
        (Some(Outcome::Denied), Some(reason)) => Ok(event.denied(reason)),
        (Some(Outcome::Success), Some(_)) => Err(wrong("a success has no `reason`")),
        (Some(_), None) => Err(wrong("`reason` is missing: it is needed unless `outcome` is `success`")),
        (Some(_) | None, _) => Err(wrong(format!("`outcome` is one of {}", Outcome::WORDS.join(", ")))),
    }
}

fn happened(time: &str, now: SystemTime) -> Result<SystemTime, Failure> {
    match time.parse::<jiff::Timestamp>().map(SystemTime::from) {
        Ok(time) if time <= now => Ok(time),
        Ok(_) => Err(wrong(format!("`time` is in the future: {time}"))),
        Err(_) => Err(wrong(format!("`time` is not RFC 3339: `{time}`"))),
    }
}

fn with_personal(mut event: Event, personal: Option<&RawValue>) -> Result<Event, Failure> {
    for (subject, fields) in object("personal", personal)?.unwrap_or_default().iter() {
        let fields = fields.as_object().ok_or_else(|| wrong(format!("`personal.{subject}` is not an object")))?;
        event = event.personal(subject, fields.clone());
    }
    Ok(event)
}

fn object(name: &str, json: Option<&RawValue>) -> Result<Option<Object>, Failure> {
    let Some(json) = json else { return Ok(None) };
    let value = Value::parse(json.get()).map_err(|error| wrong(format!("`{name}`: {error}")))?;
    let object = value.as_object().ok_or_else(|| wrong(format!("`{name}` is not an object")))?;
    Ok(Some(object.clone()))
}

/// JSON in which no object has a member twice: two readers of such a line would not see the same event.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<Self>()?;
            if let Some(twice) = names.replace(name) {
                return Err(A::Error::custom(format!("`{twice}` stands twice")));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn code(line: &str) -> String {
        let now = UNIX_EPOCH + Duration::from_hours(500_000);
        read(line, now).map_or_else(|failure| failure.code().to_owned(), |event| event.name().to_owned())
    }

    #[test]
    fn the_documented_draft_is_read() {
        let line = r#"{"type":"app.opened","subject":"app/a-1","actor":{"id":"u-7","type":"user"},"outcome":"success","data":{"app":"a-1"},"personal":{"u-7":{"ip":"192.0.2.7","email":"ada@example.net"}}}"#;
        assert_eq!(code(line), "app.opened");
        assert_eq!(code(r#"{"type":"coffee.brewed","data":{"cups":[1,{"size":2}]}}"#), "coffee.brewed");
        assert_eq!(code(r#"{"type":"x.y","outcome":"denied","reason":"rule","time":"2026-01-01T00:00:00Z"}"#), "x.y");
    }

    #[test]
    fn what_is_not_exactly_a_draft_is_refused() {
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":""}"#,
            r#"{"type":"a.b","surprise":1}"#,
            r#"{"type":"a.b","type":"a.c"}"#,
            r#"{"type":"a.b","data":{"x":{"y":1,"y":2}}}"#,
            r#"{"type":"a.b","data":[]}"#,
            r#"{"type":"a.b","personal":{"u-1":7}}"#,
            r#"{"type":"a.b","actor":{"type":"user"}}"#,
            r#"{"type":"a.b","actor":{"type":"wizard","id":"m"}}"#,
            r#"{"type":"a.b","actor":{"type":"user","id":"u","age":1}}"#,
            r#"{"type":"a.b","outcome":"meh"}"#,
            r#"{"type":"a.b","outcome":"failure"}"#,
            r#"{"type":"a.b","reason":"none"}"#,
            r#"{"type":"a.b","id":"7"}"#,
            r#"{"type":"a.b","time":"yesterday"}"#,
            r#"{"type":"a.b","time":"2126-01-01T00:00:00Z"}"#,
        ] {
            assert_eq!(code(wrong), "draft_malformed", "{wrong}");
        }
        assert_eq!(code(r#"{"type":"app.opened","data":{"sheet":"s"}}"#), "schema_mismatch");
        assert_eq!(code(r#"{"type":"app.opened","data":{"app":1}}"#), "schema_mismatch");
    }
}
