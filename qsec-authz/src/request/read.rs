//! From JSON to a request.

#![deny(clippy::arithmetic_side_effects)]

use super::{CONTEXTS, MAX_REQUEST_BYTES, Request, RequestError, ResourceRef, Subject};
use crate::action::Action;
use crate::document::{self, At, Value};
use crate::flaw::{Fault, guess};
use crate::resource::{self, is_type_name, name_in, names, read_attributes};

/// Actions that can name a target.
pub(crate) const MOVING: [Action; 3] = [Action::Publish, Action::Republish, Action::ChangeSpace];

/// Reads a request about one resource, or about many.
pub(super) fn request(text: &str, one: bool) -> Result<Request, RequestError> {
    if text.len() > MAX_REQUEST_BYTES {
        let fault = Fault::refused(format!("longer than {MAX_REQUEST_BYTES} bytes"), MAX_REQUEST_BYTES);
        return Err(RequestError::new(fault, Some(text)));
    }
    document::parse_json(text)
        .and_then(|node| question(&At::root(&node), one))
        .map_err(|fault| RequestError::new(fault, Some(text)))
}

fn question(at: &At<'_>, one: bool) -> Result<Request, Fault> {
    let about = if one { "resource" } else { "type" };
    at.only(&["tenant", "principal", "action", "target", "context", "environment", about])?;
    let subject = subject(&at.need("principal")?)?;
    let action = action(&at.need("action")?)?;
    let resource = if one { resource(&at.need("resource")?)? } else { ResourceRef::Any(type_filter(at)?) };
    let mut request = Request::new(name_in(&at.need("tenant")?)?, &subject, action, resource);
    if let Some(target) = at.get("target") {
        if !MOVING.contains(&action) {
            return Err(target.key_fault(format!("`{action}` has no target")));
        }
        request = request.target(name_in(&target)?);
    }
    if let Some(context) = at.get("context") {
        request = request.context(context.word(CONTEXTS)?);
    }
    for (name, value) in read_attributes(at, "environment")? {
        request = request.environment(name, value);
    }
    Ok(request)
}

fn subject(at: &At<'_>) -> Result<Subject, Fault> {
    if let Some(anonymous) = at.get("anonymous") {
        at.only(&["anonymous"])?;
        if !anonymous.boolean()? {
            return Err(anonymous.fault("name the user, or say `true`"));
        }
        return Ok(Subject::anonymous());
    }
    at.only(&["user", "groups", "scopes"])?;
    let mut subject = Subject::user(name_in(&at.need("user")?)?);
    if let Some(groups) = at.get("groups") {
        subject = subject.groups(names(&groups)?);
    }
    match at.get("scopes") {
        Some(scopes) if *scopes.value() != Value::Null => {
            let scopes = scopes.list()?.map(|scope| scope.text()).collect::<Result<Vec<_>, _>>()?;
            Ok(subject.scopes(scopes))
        }
        _ => Ok(subject),
    }
}

fn action(at: &At<'_>) -> Result<Action, Fault> {
    let name = at.text()?;
    Action::parse(name).ok_or_else(|| {
        let known = Action::ALL.iter().map(|action| action.as_str());
        at.fault(format!("unknown action `{name}`")).maybe_hint(guess(name, known))
    })
}

fn type_filter(at: &At<'_>) -> Result<Option<String>, Fault> {
    let Some(found) = at.get("type") else { return Ok(None) };
    let name = found.text()?;
    if is_type_name(name) {
        Ok(Some(name.to_owned()))
    } else {
        Err(found.fault(format!("`{name}` is no resource type")))
    }
}

/// `{"id": ID}` alone names what the policy has; with a `type` the resource is the caller's.
fn resource(at: &At<'_>) -> Result<ResourceRef, Fault> {
    if at.get("type").is_some() {
        return Ok(resource::read(at, true)?.into());
    }
    at.only(&["id"])?;
    Ok(ResourceRef::Id(name_in(&at.need("id")?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = Request::parse(text).expect_err(text);
        format!("{} {}", error.code(), error.flaw().path())
    }

    #[test]
    fn malformed_requests_are_refused_where_they_are_wrong() {
        let with = |rest: &str| format!(r#"{{"tenant":"t","principal":{{"user":"u"}},"action":"read",{rest}}}"#);
        for (text, expected) in [
            ("{", "bad_json "),
            ("[]", "bad_request "),
            (r#"{"principal":{"user":"u"},"action":"read","resource":{"id":"a"}}"#, "bad_request "),
            (&with(r#""resource":{"id":"a"},"extra":1"#), "bad_request extra"),
            (&with(r#""resource":{"id":"a","owner":"u"}"#), "bad_request resource.owner"),
            (&with(r#""resource":{"type":"1"}"#), "bad_request resource.type"),
            (&with(r#""resource":{"type":"A","attributes":{"owner":"u"}}"#), "bad_request resource.attributes.owner"),
            (&with(r#""resource":{"id":"a"},"target":"s""#), "bad_request target"),
            (&with(r#""resource":{"id":"a"},"context":"Hub""#), "bad_request context"),
            (&with(r#""resource":{"id":"a"},"environment":{"ip":1.5}"#), "bad_request environment.ip"),
            (&with(r#""resource":{"id":"a"},"action":"read""#), "bad_request "),
            (&with(r#""type":"App""#), "bad_request type"),
            (&with(r#""resource":{"id":""}"#), "bad_request resource.id"),
        ] {
            assert_eq!(refused(text), expected, "{text}");
        }
        for principal in [
            r#"{"user":"u","anonymous":true}"#,
            r#"{"anonymous":false}"#,
            r#"{"anonymous":true,"groups":[]}"#,
            "{}",
            r#"{"user":1}"#,
            r#"{"user":"u","scopes":"apps"}"#,
            r#"{"user":"u","groups":[1]}"#,
        ] {
            let text = format!(r#"{{"tenant":"t","principal":{principal},"action":"read","resource":{{"id":"a"}}}}"#);
            assert!(refused(&text).starts_with("bad_request principal"), "{text}");
        }
    }

    #[test]
    fn null_scopes_are_no_ceiling_and_an_empty_list_is_one() {
        let text = |scopes: &str| {
            format!(r#"{{"tenant":"t","principal":{{"user":"u"{scopes}}},"action":"read","resource":{{"id":"a"}}}}"#)
        };
        let ceiling = |scopes: &str| Request::parse(&text(scopes)).unwrap().subject().ceiling();
        assert!(ceiling("").is_none());
        assert!(ceiling(r#","scopes":null"#).is_none());
        assert!(ceiling(r#","scopes":[]"#).is_some_and(crate::bits::Set::is_empty));
        assert!(
            ceiling(r#","scopes":["apps","unheard of"]"#).is_some_and(|scopes| scopes.has(crate::tables::Scope::Apps))
        );
    }

    #[test]
    fn filter_takes_a_type_and_no_resource() {
        let text = |rest: &str| format!(r#"{{"tenant":"t","principal":{{"user":"u"}},"action":"read"{rest}}}"#);
        assert!(Request::parse_filter(&text("")).is_ok());
        assert!(Request::parse_filter(&text(r#","type":"App""#)).is_ok());
        assert!(Request::parse_filter(&text(r#","type":"no type""#)).is_err());
        assert!(Request::parse_filter(&text(r#","resource":{"id":"a"}"#)).is_err());
    }
}
