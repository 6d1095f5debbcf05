//! Leaves as they are read back: canonical JSON of the envelope, checked without copying a byte.
#![deny(clippy::arithmetic_side_effects)]

use super::{ActorType, EventId, MAX_LEAF, Outcome};
use crate::value::{MAX_INTEGER, compare_names, plain_length, unescape};

/// Deepest nesting that is read: the catalogue writes four levels of data inside the envelope.
const MAX_READ_DEPTH: usize = 8;
/// Shortest event that is recorded.
pub(crate) const MIN_LEAF: usize = 32;

/// The envelope of one leaf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf<'a> {
    pub(crate) id: EventId,
    pub(crate) kind: &'a str,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) subject: Option<&'a str>,
    /// Canonical JSON, an object.
    pub(crate) data: &'a str,
}

impl<'a> Leaf<'a> {
    /// Reads a leaf; `Err` says in what it is not an event.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        if bytes.len() > MAX_LEAF || bytes.len() < MIN_LEAF {
            return Err("its length is not that of an event");
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        let mut reader = Reader { text, at: 0 };
        let envelope = Envelope::read(&mut reader)?;
        if reader.at != text.len() {
            return Err("bytes follow the event");
        }
        envelope.check()
    }
}

#[derive(Default)]
struct Envelope<'a> {
    actor: Option<&'a str>,
    actor_type: Option<&'a str>,
    data: Option<&'a str>,
    schema: Option<&'a str>,
    id: Option<&'a str>,
    outcome: Option<&'a str>,
    reason: Option<&'a str>,
    severity: Option<&'a str>,
    source: Option<&'a str>,
    version: Option<&'a str>,
    subject: Option<&'a str>,
    tenant: Option<&'a str>,
    time: Option<&'a str>,
    kind: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, &'static str> {
        let mut envelope = Self::default();
        if !reader.take(b'{') {
            return Err("it is not an object");
        }
        let mut names = Names::default();
        loop {
            let name = names.next(reader)?;
            envelope.member(name, reader)?;
            if reader.take(b'}') {
                return Ok(envelope);
            }
            if !reader.take(b',') {
                return Err("an object does not end");
            }
        }
    }

    fn member(&mut self, name: &str, reader: &mut Reader<'a>) -> Result<(), &'static str> {
        let member = match name {
            "actorid" => &mut self.actor,
            "actortype" => &mut self.actor_type,
            "dataschema" => &mut self.schema,
            "id" => &mut self.id,
            "outcome" => &mut self.outcome,
            "reason" => &mut self.reason,
            "source" => &mut self.source,
            "specversion" => &mut self.version,
            "subject" => &mut self.subject,
            "tenantid" => &mut self.tenant,
            "time" => &mut self.time,
            "type" => &mut self.kind,
            "severityid" => {
                self.severity = reader.raw(Reader::scalar)?;
                return Ok(());
            }
            "data" => {
                self.data = reader.raw(|reader| reader.object(1))?;
                return Ok(());
            }
            // "Attributes are scalars, as CloudEvents demands".
            _ => return reader.scalar(),
        };
        *member = Some(reader.string()?);
        Ok(())
    }

    fn check(&self) -> Result<Leaf<'a>, &'static str> {
        if self.version != Some("1.0") {
            return Err("its specversion is not 1.0");
        }
        let kind = self.kind.ok_or("it has no type")?;
        if !self.schema.is_some_and(|schema| is_schema_of(schema, kind)) {
            return Err("its dataschema is not that of its type");
        }
        let actor_type = self.actor_type.and_then(ActorType::parse).ok_or("it has no known actortype")?;
        if self.actor.is_none() && !matches!(actor_type, ActorType::System | ActorType::Anonymous) {
            return Err("it has no actorid");
        }
        let outcome = self.outcome.and_then(Outcome::parse).ok_or("it has no known outcome")?;
        if outcome != Outcome::Success && self.reason.is_none() {
            return Err("it did not succeed and has no reason");
        }
        if !self.severity.is_some_and(|severity| matches!(severity.as_bytes(), [b'1'..=b'6'])) {
            return Err("its severityid is not 1 to 6");
        }
        if !self.source.is_some_and(|source| source.starts_with("//")) {
            return Err("its source is not a URI reference");
        }
        if !self.time.is_some_and(is_time) {
            return Err("its time is not RFC 3339 with microseconds in UTC");
        }
        Ok(Leaf {
            id: self.id.and_then(EventId::parse).ok_or("its id is not a UUIDv7")?,
            kind,
            tenant: self.tenant,
            subject: self.subject,
            data: self.data.ok_or("it has no data")?,
        })
    }
}

/// What this version writes into an envelope, in canonical order.
const NAMES: [&str; 19] = [
    "actorid",
    "actortype",
    "authtype",
    "clientid",
    "data",
    "dataschema",
    "id",
    "onbehalfof",
    "outcome",
    "reason",
    "sessionid",
    "severityid",
    "source",
    "specversion",
    "subject",
    "tenantid",
    "time",
    "traceparent",
    "type",
];

/// The names of an envelope as they come. While all are known ones, the next is only compared; any other is read as every name is.
#[derive(Default)]
struct Names<'a> {
    passed: usize,
    unknown: bool,
    last: Option<&'a str>,
}

impl<'a> Names<'a> {
    fn next(&mut self, reader: &mut Reader<'a>) -> Result<&'a str, &'static str> {
        let name = if let Some(name) = self.known(reader) { name } else { self.any(reader)? };
        self.last = Some(name);
        Ok(name)
    }

    fn known(&mut self, reader: &mut Reader<'a>) -> Option<&'static str> {
        let rest = reader.text.as_bytes().get(reader.at..)?.strip_prefix(b"\"").filter(|_| !self.unknown)?;
        let stands = |name: &str| {
            let name = name.as_bytes();
            name.first() == rest.first() && rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"\":"))
        };
        let (at, name) = NAMES.iter().enumerate().skip(self.passed).find(|(_, name)| stands(name))?;
        self.passed = at.saturating_add(1);
        reader.at = reader.at.saturating_add(name.len()).saturating_add(3);
        Some(name)
    }

    fn any(&mut self, reader: &mut Reader<'a>) -> Result<&'a str, &'static str> {
        self.unknown = true;
        reader.name(self.last)
    }
}

fn is_schema_of(schema: &str, kind: &str) -> bool {
    let version = schema
        .strip_prefix("urn:qsec:event:")
        .and_then(|rest| rest.strip_prefix(kind))
        .and_then(|rest| rest.strip_prefix(':'));
    version.is_some_and(|version| crate::note::parse_size(version).is_some())
}

/// The form alone: `2026-03-01T09:00:00.000000Z`.
fn is_time(time: &str) -> bool {
    let form = b"0000-00-00T00:00:00.000000Z";
    time.len() == form.len()
        && time.bytes().zip(form).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form })
}

/// Reads only what RFC 8785 writes.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at = self.at.saturating_add(1);
        }
        found
    }

    /// What a part of it reads, as text.
    fn raw(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), &'static str>,
    ) -> Result<Option<&'a str>, &'static str> {
        let start = self.at;
        read(self)?;
        Ok(self.text.get(start..self.at))
    }

    /// A name that stands after `last` in canonical order, and its colon.
    fn name(&mut self, last: Option<&str>) -> Result<&'a str, &'static str> {
        let name = self.string()?;
        if last.is_some_and(|last| !is_sorted(last, name)) {
            return Err("its members are not in canonical order");
        }
        if self.take(b':') { Ok(name) } else { Err("a member has no value") }
    }

    fn object(&mut self, depth: usize) -> Result<(), &'static str> {
        if depth > MAX_READ_DEPTH {
            return Err("it is nested too deep");
        }
        if !self.take(b'{') {
            return Err("it is not an object");
        }
        if self.take(b'}') {
            return Ok(());
        }
        let mut last: Option<&str> = None;
        loop {
            let name = self.name(last)?;
            last = Some(name);
            self.value(depth)?;
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err("an object does not end");
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), &'static str> {
        let inner = depth.saturating_add(1);
        match self.peek() {
            Some(b'{') => self.object(inner),
            Some(b'[') => self.list(inner),
            _ => self.scalar(),
        }
    }

    fn list(&mut self, depth: usize) -> Result<(), &'static str> {
        if depth > MAX_READ_DEPTH {
            return Err("it is nested too deep");
        }
        self.at = self.at.saturating_add(1);
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err("a list does not end");
            }
        }
    }

    fn scalar(&mut self) -> Result<(), &'static str> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            _ => {
                ["true", "false", "null"].into_iter().find(|word| self.word(word)).map(|_| ()).ok_or("a value is none")
            }
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        if found {
            self.at = self.at.saturating_add(word.len());
        }
        found
    }

    fn integer(&mut self) -> Result<(), &'static str> {
        let negative = self.take(b'-');
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at = self.at.saturating_add(1);
        }
        let digits = self.text.get(start..self.at).unwrap_or_default();
        let number = crate::note::parse_size(digits).ok_or("a number is not a canonical integer")?;
        if number > MAX_INTEGER.unsigned_abs() || (negative && number == 0) {
            return Err("a number is not a canonical integer");
        }
        Ok(())
    }

    /// The raw text between the quotes.
    fn string(&mut self) -> Result<&'a str, &'static str> {
        if !self.take(b'"') {
            return Err("a string is missing");
        }
        let start = self.at;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at = self.at.saturating_add(plain_length(rest));
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return Err("a string does not end"),
            }
        }
        let raw = self.text.get(start..self.at).ok_or("a string does not end")?;
        self.at = self.at.saturating_add(1);
        Ok(raw)
    }

    /// Only the escapes that RFC 8785 section 3.2.2.2 writes.
    fn escape(&mut self) -> Result<(), &'static str> {
        const REFUSED: &str = "an escape is not canonical";
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = match rest {
            [_, b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r', ..] => 2,
            [_, b'u', b'0', b'0', b'0', b'0'..=b'7' | b'b' | b'e' | b'f', ..]
            | [_, b'u', b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f', ..] => 6,
            _ => return Err(REFUSED),
        };
        self.at = self.at.saturating_add(length);
        Ok(())
    }
}

fn is_sorted(last: &str, next: &str) -> bool {
    // A backslash is ASCII: names of letters, digits and `_` need neither unescaping nor UTF-16.
    let simple = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if simple(last) && simple(next) {
        return last < next;
    }
    if last.contains('\\') || next.contains('\\') {
        let plain = |raw: &str| unescape(raw).unwrap_or_default();
        return compare_names(&plain(last), &plain(next)).is_lt();
    }
    compare_names(last, next).is_lt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAF: &str = include_str!("../../tests/data/leaf1.json");

    #[test]
    fn known_names_stand_in_canonical_order() {
        assert!(NAMES.is_sorted_by(|last, next| is_sorted(last, next)));
    }

    #[test]
    fn unknown_members_are_read_wherever_they_stand() {
        for (from, to, good) in [
            ("\"actortype\"", "\"actortag\":1,\"actortype\"", true),
            ("\"actorid\"", "\"a\":\"x\",\"actorid\"", true),
            ("\"type\":\"app", "\"tz\":null,\"type\":\"app", false),
            ("\"actortype\"", "\"actorid\":\"u-8\",\"actortype\"", false),
            ("\"actortype\"", "\"actortag\":{},\"actortype\"", false),
            ("\"id\":", "\"h\":1,\"h\":1,\"id\":", false),
            ("\"actorid\":\"u-7\"", "\"actorid\":7", false),
        ] {
            let changed = LEAF.replacen(from, to, 1);
            assert_eq!(Leaf::parse(changed.as_bytes()).is_ok(), good, "{to}");
        }
    }

    #[test]
    fn worked_example_is_read() {
        let leaf = Leaf::parse(LEAF.as_bytes()).unwrap();
        assert_eq!((leaf.kind, leaf.tenant, leaf.subject), ("app.opened", Some("acme"), Some("app/a-1")));
        assert!(leaf.data.starts_with("{\"app\":\"a-1\",\"personal\":[{"));
        assert_eq!(LEAF.len(), 410);
        let hash = crate::merkle::leaf_hash(LEAF.as_bytes());
        assert_eq!(hex::encode(hash), "466f7480a646956d1be9e78de7cf6bc35d8e208619068fa35a0c28083203e751");
    }

    #[test]
    fn what_is_not_an_event_is_told_by_what_is_wrong() {
        for (from, to, wrong) in [
            ("{\"actorid\"", "{ \"actorid\"", "a string is missing"),
            ("\"1.0\"", "1.0", "bytes"),
            ("\"1.0\"", "\"1.1\"", "specversion"),
            ("app.opened:1", "app.opened:01", "dataschema"),
            ("app.opened:1", "app.closed:1", "dataschema"),
            ("\"user\"", "\"robot\"", "actortype"),
            ("\"success\"", "\"denied\"", "reason"),
            ("\"severityid\":1", "\"severityid\":7", "severityid"),
            ("\"severityid\":1", "\"severityid\":01", "canonical integer"),
            ("//qsec", "qsec", "source"),
            ("01.000000Z", "01.0000000", "time"),
            ("-7000-", "-4000-", "UUIDv7"),
            ("\"actorid\":\"u-7\",", "", "actorid"),
            ("\"app\":\"a-1\"", "\"app\":\"\\u0061-1\"", "canonical"),
            ("\"app\":\"a-1\"", "\"app\":\"\\/\"", "canonical"),
            ("\"app\":\"a-1\"", "\"app\":\"\\u000A\"", "canonical"),
            ("\"app\":\"a-1\"", "\"zpp\":\"a-1\"", "order"),
            ("\"app\":\"a-1\"", "\"app\":[[[[[[[[[1]]]]]]]]]", "deep"),
            ("\"app\":\"a-1\"", "\"app\":9007199254740992", "integer"),
            ("\"app\":\"a-1\"", "\"app\":-0", "integer"),
        ] {
            let changed = LEAF.replacen(from, to, 1);
            assert_ne!(changed, LEAF, "{from}");
            match Leaf::parse(changed.as_bytes()) {
                Err(found) => assert!(found.contains(wrong) || wrong == "bytes", "{to}: {found}"),
                Ok(_) => panic!("{to} was read"),
            }
        }
    }
}
