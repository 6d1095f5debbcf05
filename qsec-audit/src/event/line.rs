//! Drafts as lines of JSON: what a service that is no Rust program has to say.

use std::time::SystemTime;

use super::{Actor, ActorType, Draft, Event, EventId, Outcome, SchemaError};
use crate::name::shorten;
use crate::value::{Object, Value, ValueError};

/// Why a line is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// Not one JSON value, or too long.
    #[error(transparent)]
    Json(#[from] ValueError),
    /// Another JSON value than an object.
    #[error("the draft is not an object")]
    NotAnObject,
    /// A member that a draft does not have.
    #[error("a draft has no member `{0}`")]
    UnknownMember(String),
    /// A member that a draft must have.
    #[error("`{0}` is missing")]
    MissingMember(&'static str),
    /// A member of another form than it must have.
    #[error("`{path}` is not {wanted}")]
    WrongForm {
        /// The member.
        path: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// What did not succeed has a reason.
    #[error("`reason` is missing: the outcome is not `success`")]
    NoReason,
    /// `data` does not fit the catalogue.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl DraftError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::UnknownMember(_) => "unknown_member",
            Self::MissingMember(_) => "missing_member",
            Self::NotAnObject | Self::WrongForm { .. } => "wrong_form",
            Self::NoReason => "reason_missing",
            Self::Schema(error) => error.code(),
        }
    }
}

impl Draft {
    /// Reads one draft: a JSON object of at most 64 KiB.
    ///
    /// `type` must be there. There may be `subject`, `actor` (`{"id", "type"}`; `default_actor` without it), `on_behalf_of`,
    /// `client`, `session`, `trace`, `outcome` (`success` without it), `reason`, `data`, `personal` (subject id to fields), `id`
    /// (of an earlier attempt) and `time`. No other member is read over. `data` of a type of the catalogue must fit it.
    ///
    /// ```
    /// use qsec_audit::{Actor, Draft};
    ///
    /// let line = r#"{"type":"app.opened","subject":"app/a-1","data":{"app":"a-1"}}"#;
    /// let event = Draft::parse_line(line, Actor::operator("op-1"))?;
    /// assert_eq!(event.name(), "app.opened");
    ///
    /// let wrong = Draft::parse_line(r#"{"type":"app.opened","data":{"sheet":"s"}}"#, Actor::system());
    /// assert_eq!(wrong.unwrap_err().code(), "schema_mismatch");
    /// # Ok::<(), qsec_audit::DraftError>(())
    /// ```
    ///
    /// # Errors
    /// [`DraftError`] names the first member that is wrong. Whether `time` is later than now is asked when the event is recorded.
    pub fn parse_line(line: &str, default_actor: Actor) -> Result<Event, DraftError> {
        let Value::Object(mut members) = Value::parse(line)? else {
            return Err(DraftError::NotAnObject);
        };
        let name = text(&mut members, "type")?.ok_or(DraftError::MissingMember("type"))?;
        let data = object(&mut members, "data")?.unwrap_or_default();
        let draft = Self::with_data(&name, data);
        draft.check()?;
        let actor = object(&mut members, "actor")?.map_or(Ok(default_actor), read_actor)?;
        let mut event = draft.by(actor);
        event.subject = text(&mut members, "subject")?;
        event.on_behalf_of = text(&mut members, "on_behalf_of")?;
        event.client = text(&mut members, "client")?;
        event.session = text(&mut members, "session")?;
        event.trace = text(&mut members, "trace")?;
        event.id = form(&mut members, "id", "a UUIDv7 in lower case", EventId::parse)?;
        event.time = form(&mut members, "time", "a time in RFC 3339", read_time)?;
        let outcome = form(&mut members, "outcome", "`success`, `failure` or `denied`", Outcome::parse)?;
        event.outcome = outcome.unwrap_or(Outcome::Success);
        event.reason = text(&mut members, "reason")?;
        if event.outcome != Outcome::Success && event.reason.as_ref().is_none_or(String::is_empty) {
            return Err(DraftError::NoReason);
        }
        for (subject, fields) in object(&mut members, "personal")?.unwrap_or_default().into_members() {
            let Value::Object(fields) = fields else {
                return Err(wrong(&format!("personal.{}", shorten(&subject)), "an object"));
            };
            event = event.personal(subject, fields);
        }
        no_other(&members, "").map(|()| event)
    }
}

fn read_actor(mut members: Object) -> Result<Actor, DraftError> {
    let kind = form(&mut members, "type", "a kind of actor", ActorType::parse)?;
    let kind = kind.ok_or(DraftError::MissingMember("actor.type"))?;
    let id = text(&mut members, "id")?;
    no_other(&members, "actor.")?;
    match (kind, id) {
        (ActorType::System, None) => Ok(Actor::system()),
        (ActorType::System, Some(_)) => Err(DraftError::UnknownMember("actor.id".to_owned())),
        (ActorType::Anonymous, None) => Ok(Actor::anonymous()),
        (_, None) => Err(DraftError::MissingMember("actor.id")),
        (kind, Some(id)) => Ok(Actor::new(kind, id)),
    }
}

fn read_time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(Into::into)
}

fn wrong(path: &str, wanted: &'static str) -> DraftError {
    DraftError::WrongForm { path: path.to_owned(), wanted }
}

fn text(members: &mut Object, name: &str) -> Result<Option<String>, DraftError> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "a string")),
    }
}

fn object(members: &mut Object, name: &str) -> Result<Option<Object>, DraftError> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(wrong(name, "an object")),
    }
}

fn form<T>(
    members: &mut Object,
    name: &str,
    wanted: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, DraftError> {
    text(members, name)?.map(|text| read(&text).ok_or_else(|| wrong(name, wanted))).transpose()
}

fn no_other(members: &Object, prefix: &str) -> Result<(), DraftError> {
    let other = members.iter().next().map(|(name, _)| format!("{prefix}{}", shorten(name)));
    other.map_or(Ok(()), |other| Err(DraftError::UnknownMember(other)))
}

#[cfg(test)]
mod tests {
    use super::super::leaf::Leaf;
    use super::super::prepare::Prepared;
    use super::*;
    use crate::name::Tree;
    use std::time::{Duration, UNIX_EPOCH};

    fn read(line: &str) -> Result<Event, DraftError> {
        Draft::parse_line(line, Actor::operator("op-1"))
    }

    fn leaf_of(event: Event) -> String {
        let id = event.id.unwrap_or_else(|| EventId::new(UNIX_EPOCH).unwrap());
        Prepared::new(event, UNIX_EPOCH + Duration::from_hours(492_321)).leaf(
            &Tree::Deployment,
            id,
            "//qsec.example/n1",
        )
    }

    #[test]
    fn every_member_of_a_draft_reaches_its_place_in_the_leaf() {
        let line = r#" {"type":"app.opened","subject":"app/a-1","actor":{"id":"u-7","type":"user"},"on_behalf_of":"u-8",
            "client":"c-1","session":"s-1","trace":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","outcome":"denied",
            "reason":"no_right","data":{"app":"a-1"},"personal":{"u-7":{"ip":"192.0.2.7","email":"ada@example.net"}},
            "id":"0195f0a1-0000-7000-8000-000000000001","time":"2026-03-01T10:00:00.5+01:00"} "#;
        let leaf = leaf_of(read(line).unwrap());
        assert_eq!(
            leaf,
            concat!(
                r#"{"actorid":"u-7","actortype":"user","clientid":"c-1","data":{"app":"a-1","personal_unsealed":1},"#,
                r#""dataschema":"urn:qsec:event:app.opened:1","id":"0195f0a1-0000-7000-8000-000000000001","onbehalfof":"u-8","#,
                r#""outcome":"denied","reason":"no_right","sessionid":"s-1","severityid":2,"source":"//qsec.example/n1","#,
                r#""specversion":"1.0","subject":"app/a-1","time":"2026-03-01T09:00:00.500000Z","#,
                r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","type":"app.opened"}"#
            )
        );
        Leaf::parse(leaf.as_bytes()).unwrap();
    }

    #[test]
    fn shortest_draft_succeeds_by_the_default_actor() {
        let event = read(r#"{"type":"lamp.lit"}"#).unwrap();
        assert_eq!((event.name(), event.actor.id(), event.outcome), ("lamp.lit", Some("op-1"), Outcome::Success));
        let system = read(r#"{"type":"lamp.lit","actor":{"type":"system"}}"#).unwrap();
        assert_eq!(system.actor, Actor::system());
        let event = read(r#"{"type":"lamp.lit","data":{"anything":[1,{"deep":null}]}}"#).unwrap();
        assert!(leaf_of(event).contains(r#""data":{"anything":[1,{"deep":null}]}"#));
    }

    #[test]
    fn reason_of_a_success_is_kept_as_a_code() {
        let leaf = leaf_of(read(r#"{"type":"lamp.lit","reason":"By Hand"}"#).unwrap());
        assert!(leaf.contains(r#""outcome":"success","reason":"by_hand""#), "{leaf}");
    }

    #[test]
    fn what_is_not_a_draft_is_refused_by_what_is_wrong() {
        for (line, code, message) in [
            ("", "not_json", "byte 0"),
            ("[]", "wrong_form", "the draft is not an object"),
            ("{}", "missing_member", "`type`"),
            (r#"{"type":7}"#, "wrong_form", "`type` is not a string"),
            (r#"{"type":"a.b","type":"a.b"}"#, "duplicate_member", "`type`"),
            (r#"{"type":"a.b","tenant":"acme"}"#, "unknown_member", "`tenant`"),
            (r#"{"type":"a.b","data":[]}"#, "wrong_form", "`data` is not an object"),
            (r#"{"type":"a.b","subject":null}"#, "wrong_form", "`subject`"),
            (r#"{"type":"a.b","actor":"u-7"}"#, "wrong_form", "`actor`"),
            (r#"{"type":"a.b","actor":{"id":"u-7"}}"#, "missing_member", "`actor.type`"),
            (r#"{"type":"a.b","actor":{"type":"user"}}"#, "missing_member", "`actor.id`"),
            (r#"{"type":"a.b","actor":{"type":"robot","id":"r"}}"#, "wrong_form", "kind of actor"),
            (r#"{"type":"a.b","actor":{"type":"system","id":"s"}}"#, "unknown_member", "`actor.id`"),
            (r#"{"type":"a.b","actor":{"type":"user","id":"u","name":"Ada"}}"#, "unknown_member", "`actor.name`"),
            (r#"{"type":"a.b","outcome":"maybe"}"#, "wrong_form", "`outcome`"),
            (r#"{"type":"a.b","outcome":"failure"}"#, "reason_missing", "`reason`"),
            (r#"{"type":"a.b","outcome":"denied","reason":""}"#, "reason_missing", "`reason`"),
            (r#"{"type":"a.b","id":"0195f0a1-0000-4000-8000-000000000001"}"#, "wrong_form", "`id`"),
            (r#"{"type":"a.b","time":"yesterday"}"#, "wrong_form", "`time`"),
            (r#"{"type":"a.b","personal":{"u-7":"192.0.2.7"}}"#, "wrong_form", "`personal.u-7`"),
            (r#"{"type":"app.opened","data":{"sheet":"s"}}"#, "schema_mismatch", "`sheet`"),
            (r#"{"type":"app.opened","data":{"app":1}}"#, "schema_mismatch", "`app`"),
            (r#"{"type":"app.opened","data":{"ip":"192.0.2.7"}}"#, "schema_mismatch", "`ip`"),
        ] {
            let error = read(line).unwrap_err();
            assert_eq!(error.code(), code, "{line}: {error}");
            assert!(error.to_string().contains(message), "{line}: {error}");
        }
        let long = format!(r#"{{"type":"{}"}}"#, "a".repeat(64 * 1024));
        assert_eq!(read(&long).unwrap_err().code(), "too_long");
    }
}
