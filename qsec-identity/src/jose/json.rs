//! A bounded reader of RFC 8259 JSON for documents that strangers wrote.
//!
//! It differs from a general reader where a general reader is a hole: member names are unique at any depth, compared
//! after unescaping (two readers of one document must not see two values); nesting and the number of values are bounded;
//! numbers keep their text, so that nothing is rounded on its way to a check. It does not recurse: the depth of a document
//! never becomes the depth of the stack.

use std::borrow::Cow;
use std::fmt;

/// Containers within one another, the root counting 1: a token of ours needs 3.
pub(crate) const MAX_DEPTH: usize = 8;
/// Values in one part of a token: a thousand groups and every claim fit four times.
pub(crate) const MAX_VALUES: usize = 4096;

/// The budget of one document. Its length is bounded by whoever reads it from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) depth: usize,
    pub(crate) values: usize,
}

impl Limits {
    pub(crate) const TOKEN: Self = Self { depth: MAX_DEPTH, values: MAX_VALUES };
}

/// What is wrong with a document, the gravest first: of several faults the first in this order is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum JsonFault {
    NotJsonObject,
    DuplicateMember,
    TooDeep,
    TooManyValues,
}

/// A fault and where it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) fault: JsonFault,
    /// Offset in bytes.
    pub(crate) at: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            JsonFault::NotJsonObject => "not a JSON object as RFC 8259 defines it",
            JsonFault::DuplicateMember => "a member name is repeated",
            JsonFault::TooDeep => "containers are nested too deep",
            JsonFault::TooManyValues => "too many values",
        };
        write!(f, "{what}, at byte {}", self.at)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// The text of the number: within the range of an f64, otherwise as written.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Object<'a>),
}

impl Value<'_> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// A number written as an integer, without fraction and exponent, that an i64 holds.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }
}

/// Members in the order of the document, names unique.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Object<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

/// Reads a document whose root is an object.
pub(crate) fn parse_object(text: &[u8], limits: Limits) -> Result<Object<'_>, JsonError> {
    match parse(text, limits)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonError { fault: JsonFault::NotJsonObject, at: 0 })
        }
    }
}

/// Reads one value and nothing after it but white space.
pub(crate) fn parse(text: &[u8], limits: Limits) -> Result<Value<'_>, JsonError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| JsonError { fault: JsonFault::NotJsonObject, at: error.valid_up_to() })?;
    let mut reader = Reader { text, rest: text.as_bytes(), limits, values: 0, worst: None };
    let value = reader.document()?;
    reader.skip_space();
    if !reader.rest.is_empty() {
        return Err(reader.syntax());
    }
    reader.worst.map_or(Ok(value), Err)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a [u8],
    limits: Limits,
    values: usize,
    /// The gravest fault that does not stop the reading: the text may still turn out not to be JSON.
    worst: Option<JsonError>,
}

/// A container that is not closed yet.
enum Open<'a> {
    Array(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>, Cow<'a, str>),
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Value<'a>, JsonError> {
        let mut open: Vec<Open<'a>> = Vec::new();
        loop {
            self.skip_space();
            let Some(mut value) = self.begin_value(&mut open)? else { continue };
            self.count();
            loop {
                value = match open.pop() {
                    None => return Ok(value),
                    Some(Open::Array(mut items)) => {
                        if self.values <= self.limits.values {
                            items.push(value);
                        }
                        self.skip_space();
                        if self.eat(b',') {
                            open.push(Open::Array(items));
                            break;
                        }
                        self.close(b']', &open, Value::Array(items))?
                    }
                    Some(Open::Object(mut members, name)) => {
                        members.push((name, value));
                        self.skip_space();
                        if self.eat(b',') {
                            let name = self.member_name()?;
                            open.push(Open::Object(members, name));
                            break;
                        }
                        self.unique(&members);
                        self.close(b'}', &open, Value::Object(Object { members }))?
                    }
                };
                self.count();
            }
        }
    }

    /// A whole value, or `None` when a container was opened that has a first element.
    fn begin_value(&mut self, open: &mut Vec<Open<'a>>) -> Result<Option<Value<'a>>, JsonError> {
        match self.rest.first() {
            Some(b'{') => {
                self.bump();
                self.opened(open.len());
                self.skip_space();
                if self.eat(b'}') {
                    return Ok(Some(Value::Object(Object::default())));
                }
                let name = self.member_name()?;
                open.push(Open::Object(Vec::new(), name));
                Ok(None)
            }
            Some(b'[') => {
                self.bump();
                self.opened(open.len());
                self.skip_space();
                if self.eat(b']') {
                    return Ok(Some(Value::Array(Vec::new())));
                }
                open.push(Open::Array(Vec::new()));
                Ok(None)
            }
            Some(b'"') => self.string().map(|text| Some(Value::String(text))),
            Some(b't') => self.literal(b"true", Value::Bool(true)).map(Some),
            Some(b'f') => self.literal(b"false", Value::Bool(false)).map(Some),
            Some(b'n') => self.literal(b"null", Value::Null).map(Some),
            Some(_) | None => self.number().map(|text| Some(Value::Number(text))),
        }
    }

    /// Ends a container. One below the permitted depth is dropped at once, so that no tree is deeper than the limit and
    /// dropping it does not recurse further either.
    fn close(&mut self, end: u8, open: &[Open<'a>], value: Value<'a>) -> Result<Value<'a>, JsonError> {
        if !self.eat(end) {
            return Err(self.syntax());
        }
        Ok(if open.len() < self.limits.depth { value } else { Value::Null })
    }

    fn member_name(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.skip_space();
        let name = self.string()?;
        self.skip_space();
        if self.eat(b':') { Ok(name) } else { Err(self.syntax()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if !self.eat(b'"') {
            return Err(self.syntax());
        }
        let mut run = self.rest;
        let mut unescaped: Option<String> = None;
        loop {
            match self.rest.first() {
                Some(b'"') => {
                    let last = self.since(run)?;
                    self.bump();
                    return Ok(match unescaped {
                        None => Cow::Borrowed(last),
                        Some(mut text) => {
                            text.push_str(last);
                            Cow::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let before = self.since(run)?;
                    self.bump();
                    let escaped = self.escape()?;
                    let text = unescaped.get_or_insert_default();
                    text.push_str(before);
                    text.push(escaped);
                    run = self.rest;
                }
                Some(0x00..=0x1f) | None => return Err(self.syntax()),
                Some(_) => self.bump(),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escaped = match self.rest.first() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.bump();
                return self.unicode_escape();
            }
            Some(_) | None => return Err(self.syntax()),
        };
        self.bump();
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let unit = self.four_digits()?;
        let mut units = [unit, 0];
        let mut used = 1;
        if (0xd800..0xdc00).contains(&unit) {
            if !(self.eat(b'\\') && self.eat(b'u')) {
                return Err(self.syntax());
            }
            units = [unit, self.four_digits()?];
            used = 2;
        }
        // A lone surrogate has no UTF-8: the document is refused, not repaired.
        let mut decoded = char::decode_utf16(units.into_iter().take(used));
        match (decoded.next(), decoded.next()) {
            (Some(Ok(character)), None) => Ok(character),
            (_, _) => Err(self.syntax()),
        }
    }

    fn four_digits(&mut self) -> Result<u16, JsonError> {
        let Some((digits, rest)) = self.rest.split_at_checked(4) else { return Err(self.syntax()) };
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(self.syntax());
        }
        let unit = std::str::from_utf8(digits).ok().and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.syntax())?;
        self.rest = rest;
        Ok(unit)
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.rest;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        let mut integer = true;
        if self.eat(b'.') {
            integer = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            integer = false;
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let text = self.since(start)?;
        // 300 digits without an exponent are below 1e308.
        let surely_finite = integer && text.len() <= 300;
        if !surely_finite && !text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(self.syntax());
        }
        Ok(text)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return Err(self.syntax());
        }
        while self.rest.first().is_some_and(u8::is_ascii_digit) {
            self.bump();
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8], value: Value<'a>) -> Result<Value<'a>, JsonError> {
        let Some(rest) = self.rest.strip_prefix(word) else { return Err(self.syntax()) };
        self.rest = rest;
        Ok(value)
    }

    fn skip_space(&mut self) {
        while matches!(self.rest.first(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.bump();
        }
    }

    fn bump(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn eat(&mut self, octet: u8) -> bool {
        let found = self.rest.first() == Some(&octet);
        if found {
            self.bump();
        }
        found
    }

    /// The text between a place that was passed and here.
    fn since(&self, start: &[u8]) -> Result<&'a str, JsonError> {
        let from = self.text.len().saturating_sub(start.len());
        self.text.get(from..self.at()).ok_or_else(|| self.syntax())
    }

    fn at(&self) -> usize {
        self.text.len().saturating_sub(self.rest.len())
    }

    fn syntax(&self) -> JsonError {
        JsonError { fault: JsonFault::NotJsonObject, at: self.at() }
    }

    fn note(&mut self, fault: JsonFault) {
        if self.worst.is_none_or(|worst| fault < worst.fault) {
            self.worst = Some(JsonError { fault, at: self.at() });
        }
    }

    fn opened(&mut self, containers_around: usize) {
        if containers_around >= self.limits.depth {
            self.note(JsonFault::TooDeep);
        }
    }

    fn count(&mut self) {
        self.values = self.values.saturating_add(1);
        if self.values > self.limits.values {
            self.note(JsonFault::TooManyValues);
        }
    }

    fn unique(&mut self, members: &[(Cow<'a, str>, Value<'a>)]) {
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [first, second] if first == second)) {
            self.note(JsonFault::DuplicateMember);
        }
    }
}

/// Compact JSON of the same value: numbers as they were written, strings in their shortest escaping.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(text),
            Self::String(text) => write_string(f, text),
            Self::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
            Self::Object(object) => write!(f, "{object}"),
        }
    }
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.members.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            write_string(f, name)?;
            write!(f, ":{value}")?;
        }
        f.write_str("}")
    }
}

fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::Value::from(text).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDE: Limits = Limits { depth: 100, values: 1_000_000 };

    fn fault(text: &str) -> JsonFault {
        parse_object(text.as_bytes(), Limits::TOKEN).unwrap_err().fault
    }

    #[test]
    fn accepts_what_rfc_8259_accepts() {
        for text in [
            "{}",
            " \t\r\n{ \"a\" : [ ] } \n",
            r#"{"a":[1,-0,0.5,1e3,1E+3,1e-3,-1.5e10,true,false,null,"x",{}]}"#,
            r#"{"\u0061":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}"#,
            "{\"é\":\"\u{7f}\u{2028}\"}",
            r#"{"big":123456789012345678901234567890}"#,
        ] {
            assert!(parse_object(text.as_bytes(), Limits::TOKEN).is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_rfc_8259_does_not_define() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[]",
            "1",
            "null",
            "\"a\"",
            "{}x",
            "{} {}",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            "{a:1}",
            "{'a':1}",
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":1e}"#,
            r#"{"a":-}"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":1e400}"#,
            r#"{"a":0x1}"#,
            r#"{"a":tru}"#,
            r#"{"a":True}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"\u+123"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            r#"{"a":1 /* c */}"#,
            "{\"a\":1}//",
            "\u{feff}{}",
            r#"{"a":"b}"#,
        ] {
            assert_eq!(fault(text), JsonFault::NotJsonObject, "{text}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}", Limits::TOKEN).unwrap_err().at, 6);
    }

    #[test]
    fn repeated_names_are_seen_at_any_depth_and_in_any_spelling() {
        assert_eq!(fault(r#"{"a":1,"a":1}"#), JsonFault::DuplicateMember);
        assert_eq!(fault(r#"{"a":1,"\u0061":1}"#), JsonFault::DuplicateMember);
        assert_eq!(fault(r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#), JsonFault::DuplicateMember);
        assert!(parse_object(br#"{"a":{"a":1},"A":1}"#, Limits::TOKEN).is_ok());
    }

    #[test]
    fn depth_and_values_are_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(parse_object(nested(MAX_DEPTH).as_bytes(), Limits::TOKEN).is_ok());
        assert_eq!(fault(&nested(MAX_DEPTH + 1)), JsonFault::TooDeep);
        let wide = |values: usize| format!("{{\"a\":[1{}]}}", ",1".repeat(values - 3));
        assert!(parse_object(wide(MAX_VALUES).as_bytes(), Limits::TOKEN).is_ok());
        assert_eq!(fault(&wide(MAX_VALUES + 1)), JsonFault::TooManyValues);
    }

    #[test]
    fn of_several_faults_the_gravest_is_reported() {
        let deep = "[".repeat(100_000);
        assert_eq!(fault(&format!("{{\"a\":{deep}")), JsonFault::NotJsonObject);
        let closed = format!("{{\"a\":{deep}{},\"a\":1}}", "]".repeat(100_000));
        assert_eq!(fault(&closed), JsonFault::DuplicateMember);
    }

    #[test]
    fn integers_are_read_from_their_text() {
        let read = |text: &'static str| Value::Number(text).as_i64();
        assert_eq!(read("9223372036854775807"), Some(i64::MAX));
        assert_eq!(read("9223372036854775808"), None);
        assert_eq!(read("1.0"), None);
        assert_eq!(read("1e3"), None);
        assert_eq!(read("-0"), Some(0));
    }

    /// A general reader, which keeps the last of several members of one name.
    fn oracle(text: &[u8]) -> Option<serde_json::Value> {
        serde_json::from_slice(text).ok()
    }

    fn json_like() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?[0-9]{1,4}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,4})?",
            "\"([ -!#-\\[\\]-~é]|\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude00){0,6}\"",
        ];
        scalar.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(" ,"))),
                proptest::collection::vec(("[a-e]", inner), 0..5).prop_map(|members| {
                    let members: Vec<String> = members.iter().map(|(n, v)| format!("\"{n}\": {v}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn agrees_with_serde_json_except_on_repeated_names(text in json_like()) {
            match parse(text.as_bytes(), WIDE) {
                Ok(value) => {
                    let ours: serde_json::Value = serde_json::from_str(&value.to_string()).unwrap();
                    prop_assert_eq!(Some(ours), oracle(text.as_bytes()));
                }
                Err(JsonError { fault: JsonFault::DuplicateMember, .. }) => prop_assert!(oracle(text.as_bytes()).is_some()),
                Err(_) => prop_assert_eq!(oracle(text.as_bytes()), None),
            }
        }

        #[test]
        fn agrees_with_serde_json_on_damaged_documents(text in json_like(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
            let mut text = text.into_bytes();
            let at = at.index(text.len());
            text[at] = octet;
            let ours = parse(&text, WIDE);
            if !matches!(ours, Err(JsonError { fault: JsonFault::DuplicateMember, .. })) {
                prop_assert_eq!(ours.is_ok(), oracle(&text).is_some());
            }
        }

        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text, Limits::TOKEN);
        }
    }
}
