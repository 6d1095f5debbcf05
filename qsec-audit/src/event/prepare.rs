//! From an event to the bytes of its leaf: personal fields out, budgets kept, canonical JSON.
#![deny(clippy::arithmetic_side_effects)]

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use super::{AuthType, Event, EventId, Kind, MAX_DEPTH, MAX_ID, MAX_ITEMS, MAX_LEAF, MAX_REASON, MAX_TEXT, Outcome};
use crate::catalogue::PERSONAL;
use crate::name::Tree;
use crate::value::{Object, Value, is_plain, write_integer, write_text};

/// Highest severity of OCSF.
const MAX_SEVERITY: u8 = 6;

/// RFC 3339 in UTC with six digits of a second: the one spelling of a time in the log.
pub(crate) fn encode_time(time: SystemTime) -> String {
    const LENGTH: usize = "2026-03-01T09:00:00.000000Z".len();
    let mut out = String::with_capacity(LENGTH);
    write_time(time, &mut out);
    out
}

fn write_time(time: SystemTime, out: &mut String) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    // Writing into a string does not fail.
    let written = PRINTER.print_timestamp(&time, out);
    drop(written);
}

/// An event within its budgets, ready to be written into one tree or two.
#[derive(Debug)]
pub(crate) struct Prepared {
    event: Event,
    data: String,
    time: SystemTime,
}

impl Prepared {
    pub(crate) fn new(mut event: Event, now: SystemTime) -> Self {
        let mut cut = Vec::new();
        name_unnamed(&mut event);
        let personal: &[&str] = if let Kind::Known(known) = &event.kind { known.personal() } else { &[] };
        if remove_personal(&mut event.data, personal) {
            event.personal = event.personal.saturating_add(1);
        }
        cut_object(&mut event.data, "data", 1, &mut cut);
        cut_envelope(&mut event, &mut cut);
        if event.personal > 0 {
            event.data.insert("personal_unsealed", i64::try_from(event.personal).unwrap_or(i64::MAX));
        }
        let time = event.time.unwrap_or(now);
        let envelope = envelope_len(&event);
        let data = fit(&mut event.data, envelope, &mut cut);
        Self { event, data, time }
    }

    pub(crate) const fn event(&self) -> &Event {
        &self.event
    }

    pub(crate) fn data(&self) -> &str {
        &self.data
    }

    /// The leaf: members of the envelope in the order of RFC 8785.
    pub(crate) fn leaf(&self, tree: &Tree, id: EventId, source: &str) -> String {
        let event = &self.event;
        let mut leaf = Members::new(self.data.len());
        leaf.text("actorid", event.actor.id());
        leaf.word("actortype", Some(event.actor.kind().as_str()));
        leaf.word("authtype", event.authtype.map(AuthType::as_str));
        leaf.text("clientid", event.client.as_deref());
        leaf.raw("data", &self.data);
        self.write_schema(&mut leaf);
        leaf.quoted("id", |out| id.write(out));
        leaf.text("onbehalfof", event.on_behalf_of.as_deref());
        leaf.word("outcome", Some(event.outcome.as_str()));
        leaf.text("reason", event.reason.as_deref());
        leaf.text("sessionid", event.session.as_deref());
        leaf.name("severityid");
        write_integer(i64::from(self.severity()), &mut leaf.out);
        leaf.word("source", Some(source));
        leaf.word("specversion", Some("1.0"));
        leaf.text("subject", event.subject.as_deref());
        leaf.word("tenantid", tree.tenant_id().map(crate::name::TenantId::as_str));
        leaf.quoted("time", |out| write_time(self.time, out));
        leaf.text("traceparent", event.trace.as_deref());
        leaf.word("type", Some(event.name()));
        leaf.end()
    }

    fn write_schema(&self, leaf: &mut Members) {
        let version = if let Kind::Known(known) = &self.event.kind { known.version() } else { 0 };
        leaf.name("dataschema");
        leaf.out.push_str("\"urn:qsec:event:");
        leaf.out.push_str(self.event.name());
        leaf.out.push(':');
        write_integer(i64::from(version), &mut leaf.out);
        leaf.out.push('"');
    }

    /// "const per type, raised by one when `outcome` is not `success`".
    fn severity(&self) -> u8 {
        let of_type = if let Kind::Known(known) = &self.event.kind { known.severity() } else { 1 };
        let raised = u8::from(self.event.outcome != Outcome::Success);
        of_type.saturating_add(raised).min(MAX_SEVERITY)
    }
}

struct Members {
    out: String,
}

impl Members {
    fn new(data: usize) -> Self {
        /// What the envelope takes without `data`, so that most leaves are allocated once.
        const ENVELOPE: usize = 512;
        Self { out: String::with_capacity(data.saturating_add(ENVELOPE)) }
    }

    fn name(&mut self, name: &str) {
        self.out.push_str(if self.out.is_empty() { "{\"" } else { ",\"" });
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.name(name);
            write_text(value, &mut self.out);
        }
    }

    /// A text of which its type says that no character is escaped.
    fn word(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.quoted(name, |out| out.push_str(value));
        }
    }

    fn quoted(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        self.name(name);
        self.out.push('"');
        write(&mut self.out);
        self.out.push('"');
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.push_str(json);
    }

    fn end(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

/// A name that is not of the form of event names cannot be a type: it is kept as a value.
fn name_unnamed(event: &mut Event) {
    if let Kind::Named(name) = &event.kind
        && !is_event_name(name)
    {
        let name = name.clone();
        event.kind = Kind::Named(UNNAMED.to_owned());
        event.data.insert("event", name);
    }
}

const UNNAMED: &str = "event.unnamed";

/// `[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+`, at most 128 bytes.
pub(crate) fn is_event_name(name: &str) -> bool {
    let part = |part: &str| {
        part.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    name.len() <= MAX_ID && name.contains('.') && name.split('.').all(part)
}

/// Takes members with a personal name out, at any depth. A caller who puts an address into `data` must not write it for ever.
fn remove_personal(data: &mut Object, more: &[&str]) -> bool {
    let members = data.members_mut();
    let before = members.len();
    members.retain(|(name, value)| {
        // `personal` of `audit.exported` is a flag; anything of structure under that name could only be forged commitments.
        let forged =
            name == "personal_unsealed" || name == "cut" || name == "personal" && !matches!(value, Value::Bool(_));
        !(PERSONAL.contains(&name.as_ref()) || more.contains(&name.as_ref()) || forged)
    });
    let mut found = members.len() != before;
    for (_, value) in members {
        found |= remove_personal_in(value, more);
    }
    found
}

fn remove_personal_in(value: &mut Value, more: &[&str]) -> bool {
    match value {
        Value::Object(object) => remove_personal(object, more),
        Value::List(items) => {
            let mut found = false;
            for item in items {
                found |= remove_personal_in(item, more);
            }
            found
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) => false,
    }
}

/// Cuts at a whole character; says whether it had to.
fn cut_text(text: &mut String, most: usize) -> bool {
    let long = text.len() > most;
    if long {
        text.truncate(text.floor_char_boundary(most));
    }
    long
}

fn cut_object(object: &mut Object, path: &str, depth: usize, cut: &mut Vec<String>) {
    object.members_mut().retain(|(name, _)| {
        let kept = name.len() <= MAX_ID;
        if !kept {
            cut.push(format!("{path}.{}", name.get(..name.floor_char_boundary(MAX_ID)).unwrap_or_default()));
        }
        kept
    });
    for (name, value) in object.members_mut() {
        let nested = matches!(value, Value::Text(text) if text.len() <= MAX_TEXT)
            || matches!(value, Value::Integer(_) | Value::Bool(_));
        if !nested {
            cut_value(value, &format!("{path}.{name}"), depth, cut);
        }
    }
}

fn cut_value(value: &mut Value, path: &str, depth: usize, cut: &mut Vec<String>) {
    match value {
        Value::Text(text) => {
            if cut_text(text, MAX_TEXT) {
                cut.push(path.to_owned());
            }
        }
        Value::List(_) | Value::Object(_) if depth >= MAX_DEPTH => {
            *value = Value::Null;
            cut.push(path.to_owned());
        }
        Value::List(items) => {
            if items.len() > MAX_ITEMS {
                items.truncate(MAX_ITEMS);
                cut.push(path.to_owned());
            }
            for (position, item) in items.iter_mut().enumerate() {
                cut_value(item, &format!("{path}.{position}"), depth.saturating_add(1), cut);
            }
        }
        Value::Object(object) => cut_object(object, path, depth.saturating_add(1), cut),
        Value::Null | Value::Bool(_) | Value::Integer(_) => {}
    }
}

fn cut_envelope(event: &mut Event, cut: &mut Vec<String>) {
    if let Some(id) = event.actor.id().filter(|id| id.len() > MAX_ID) {
        let mut id = id.to_owned();
        cut_text(&mut id, MAX_ID);
        cut.push("actorid".to_owned());
        event.actor = super::Actor::new(event.actor.kind(), id);
    }
    for (name, member, most) in [
        ("clientid", &mut event.client, MAX_ID),
        ("onbehalfof", &mut event.on_behalf_of, MAX_ID),
        ("sessionid", &mut event.session, MAX_ID),
        ("subject", &mut event.subject, MAX_TEXT),
        ("traceparent", &mut event.trace, MAX_ID),
    ] {
        if member.as_mut().is_some_and(|text| cut_text(text, most)) {
            cut.push(name.to_owned());
        }
    }
    if event.outcome != Outcome::Success || event.reason.is_some() {
        let given = event.reason.take().unwrap_or_default();
        let reason = reason_code(&given);
        if reason != given {
            cut.push("reason".to_owned());
        }
        event.reason = Some(reason);
    }
}

/// A reason is a `snake_case` code: what is not is made one, so that no sentence of a stranger becomes a code.
fn reason_code(given: &str) -> String {
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' };
    let code: String = given.chars().take(MAX_REASON).map(|c| allowed(c.to_ascii_lowercase())).collect();
    if code.is_empty() { "unspecified".to_owned() } else { code }
}

/// What the envelope takes of a leaf, at most: its free strings as they are escaped, and 1 KiB for all else.
fn envelope_len(event: &Event) -> usize {
    const FIXED: usize = 1_024;
    let free = [event.actor.id(), event.client.as_deref(), event.on_behalf_of.as_deref(), event.session.as_deref()];
    let free = free.into_iter().chain([event.subject.as_deref(), event.trace.as_deref()]).flatten();
    free.map(encoded_len).fold(FIXED, usize::saturating_add)
}

/// Length of a string in JSON, its quotes counted.
fn encoded_len(text: &str) -> usize {
    if is_plain(text) { text.len().saturating_add(2) } else { Value::from(text).encode().len() }
}

/// Cuts the largest member until `data` fits, and names what was cut.
fn fit(data: &mut Object, envelope: usize, cut: &mut Vec<String>) -> String {
    loop {
        if !cut.is_empty() {
            data.insert("cut", cut.iter().take(MAX_ITEMS).map(|path| Value::from(path.as_str())).collect::<Vec<_>>());
        }
        let encoded = data.encode();
        if encoded.len().saturating_add(envelope) <= MAX_LEAF {
            return encoded;
        }
        let sizes =
            data.iter().filter(|(name, _)| *name != "cut").map(|(name, value)| (value.encode().len(), name.to_owned()));
        if let Some((_, name)) = sizes.max() {
            halve_member(data, &name, cut);
        } else {
            data.remove("cut");
            cut.truncate(cut.len() / 2);
        }
    }
}

fn halve_member(data: &mut Object, name: &str, cut: &mut Vec<String>) {
    match data.remove(name) {
        Some(Value::List(mut items)) if items.len() > 1 => {
            items.truncate(items.len() / 2);
            data.insert(name.to_owned(), items);
        }
        Some(Value::Text(mut text)) if text.len() > 1 => {
            let half = text.len() / 2;
            cut_text(&mut text, half);
            data.insert(name.to_owned(), text);
        }
        Some(Value::Object(mut object)) if object.len() > 1 => {
            let half = object.len() / 2;
            object.members_mut().truncate(half);
            data.insert(name.to_owned(), object);
        }
        Some(_) | None => {}
    }
    let path = format!("data.{name}");
    if !cut.contains(&path) {
        cut.push(path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaf::Leaf;
    use super::super::{Actor, Draft};
    use super::*;
    use crate::catalogue::{AppOpened, LoginSucceeded, TenantCreated};
    use crate::name::TenantId;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    const NINE: Duration = Duration::from_hours(492_321);
    const ID: &str = "0195f0a1-0000-7000-8000-000000000001";

    fn leaf_of(event: Event) -> String {
        let tree = event.tenant.clone().map_or(Tree::Deployment, Tree::Tenant);
        Prepared::new(event, UNIX_EPOCH.checked_add(NINE).unwrap()).leaf(
            &tree,
            EventId::parse(ID).unwrap(),
            "//qsec.example/n1",
        )
    }

    #[test]
    fn worked_example_is_reproduced_byte_for_byte() {
        let event = TenantCreated::new().region("eu").by(Actor::operator("op-1"));
        let event = event.tenant(TenantId::parse("acme").unwrap()).subject("tenant/acme");
        let leaf = leaf_of(event);
        assert_eq!(leaf, include_str!("../../tests/data/leaf0.json"));
        assert_eq!(leaf.len(), 342);
        let hash = crate::merkle::leaf_hash(leaf.as_bytes());
        assert_eq!(hex::encode(hash), "214e8fca352ca7c003c6540d3607b25534fa2c29447e47738eab312971af7352");
    }

    #[test]
    fn personal_values_are_counted_and_never_written() {
        let canary = "ada@example.net";
        let fields = || Object::from_iter([("email", canary), ("ip", "192.0.2.7")]);
        let known =
            LoginSucceeded::new().idp("main").by(Actor::user("u-7")).data("name", canary).personal("u-7", fields());
        let named =
            Draft::new("house.alarm").data("deep", Object::from_iter([("claims", canary)])).by(Actor::anonymous());
        for (event, count) in [(known, 2), (named, 1)] {
            let shown = format!("{event:?}");
            let leaf = leaf_of(event);
            assert!(!leaf.contains(canary) && !leaf.contains("192.0.2"), "{leaf}");
            assert!(leaf.contains(&format!("\"personal_unsealed\":{count}")), "{leaf}");
            assert!(shown.contains(canary) || count == 2, "values given as data are the caller's own until recorded");
        }
    }

    #[test]
    fn commitments_cannot_be_forged_through_data() {
        let forged = Value::List(vec![Value::Object(Object::from_iter([("subject", "u-7"), ("commit", "x")]))]);
        let leaf = leaf_of(AppOpened::new().by(Actor::system()).data("personal", forged).data("cut", "x"));
        assert!(!leaf.contains("commit") && !leaf.contains("\"cut\""), "{leaf}");
    }

    #[test]
    fn name_that_is_no_event_name_is_recorded_as_a_value() {
        let leaf = leaf_of(Draft::new("No Name\n").by(Actor::system()));
        assert!(
            leaf.contains(r#""data":{"event":"No Name\n"}"#) && leaf.contains(r#""type":"event.unnamed""#),
            "{leaf}"
        );
        assert!(leaf.contains("urn:qsec:event:event.unnamed:0"), "{leaf}");
    }

    #[test]
    fn severity_rises_when_it_did_not_succeed_and_reason_becomes_a_code() {
        let leaf = leaf_of(AppOpened::new().by(Actor::user("u")).denied("No Right!"));
        assert!(leaf.contains(r#""reason":"no_right_""#) && leaf.contains(r#""severityid":2"#), "{leaf}");
    }

    #[test]
    fn what_is_over_budget_is_cut_at_a_whole_character_and_named() {
        let leaf = leaf_of(AppOpened::new().app("é".repeat(600)).by(Actor::user("x".repeat(200))));
        assert!(leaf.contains(r#""cut":["data.app","actorid"]"#), "{leaf}");
        assert!(leaf.contains(&format!("\"app\":\"{}\"", "é".repeat(512))));
        Leaf::parse(leaf.as_bytes()).unwrap();
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), "[\u{0}-\u{1f}]{0,2000}", "(é|\u{1f600}){0,900}"];
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            text.prop_map(Value::Text)
        ];
        leaf.prop_recursive(6, 48, 70, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..70).prop_map(Value::List),
                prop::collection::vec((any::<String>(), inner), 0..20)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn whatever_is_given_a_leaf_within_16_kib_comes_out(
            members in prop::collection::vec((any::<String>(), any_value()), 0..12),
            name in any::<String>(),
            id in "[\u{0}-\u{1f}]{0,300}",
        ) {
            let mut draft = Draft::new(&name);
            for (name, value) in members {
                draft = draft.data(name, value);
            }
            let event = draft.by(Actor::user(&id)).subject(id.repeat(8)).client(&id).session(&id).on_behalf_of(&id).trace(&id).failed(&name);
            let leaf = leaf_of(event.tenant(TenantId::parse(&"t".repeat(63)).unwrap()));
            prop_assert!(leaf.len() <= MAX_LEAF, "{}", leaf.len());
            let read = Leaf::parse(leaf.as_bytes());
            prop_assert!(read.is_ok(), "{leaf}");
            let json: serde_json::Value = serde_json::from_str(&leaf).unwrap();
            prop_assert_eq!(json["tenantid"].as_str().map(str::len), Some(63));
        }
    }
}
