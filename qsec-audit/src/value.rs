//! Values of event data, and their canonical JSON (RFC 8785).
//!
//! Only what has one spelling is a value: strings, integers that every JSON reader holds exactly, booleans, null, lists and
//! objects. A number with a fraction is carried as text.

mod parse;

use std::borrow::Cow;
use std::cmp::Ordering;

pub use parse::ValueError;
pub(crate) use parse::unescape;

/// Largest magnitude of an integer: 2^53 - 1, what a double holds exactly (RFC 8259 section 6, RFC 7493 section 2.2).
pub(crate) const MAX_INTEGER: i64 = (1 << 53) - 1;

/// A value of event data.
///
/// ```
/// use qsec_audit::Value;
///
/// let value = Value::parse(r#"{"b": [1, true], "a": "x"}"#)?;
/// assert_eq!(value.encode(), r#"{"a":"x","b":[1,true]}"#);
/// # Ok::<(), qsec_audit::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer; one beyond ±(2^53 - 1) is written as a string of its digits.
    Integer(i64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object.
    Object(Object),
}

impl Value {
    /// The canonical JSON of this value (RFC 8785).
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(integer) = self { Some(*integer) } else { None }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Integer(integer) if integer.unsigned_abs() <= MAX_INTEGER.unsigned_abs() => {
                write_integer(*integer, out);
            }
            Self::Integer(integer) => write_text(&integer.to_string(), out),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(object) => object.write(out),
        }
    }
}

/// An object: members in the order of RFC 8785 section 3.2.3, each name once.
///
/// ```
/// use qsec_audit::Object;
///
/// let mut data = Object::new();
/// data.insert("rows", 12);
/// data.insert("app", "a-1");
/// assert_eq!(data.encode(), r#"{"app":"a-1","rows":12}"#);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    members: Vec<(Cow<'static, str>, Value)>,
}

impl Object {
    /// An object without members.
    #[must_use]
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// Sets a member; one of the same name is replaced.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.position(&name) {
            Ok(found) => {
                if let Some(member) = self.members.get_mut(found) {
                    member.1 = value;
                }
            }
            Err(place) => self.members.insert(place, (name, value)),
        }
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).ok().and_then(|found| self.members.get(found)).map(|(_, value)| value)
    }

    /// The members, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The canonical JSON of this object (RFC 8785).
    #[must_use]
    pub fn encode(&self) -> String {
        /// What most data takes: allocated once.
        const USUAL: usize = 256;
        let mut out = String::with_capacity(USUAL);
        self.write(&mut out);
        out
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Value> {
        self.position(name).ok().map(|found| self.members.remove(found).1)
    }

    pub(crate) fn into_members(self) -> impl Iterator<Item = (String, Value)> {
        self.members.into_iter().map(|(name, value)| (name.into_owned(), value))
    }

    pub(crate) fn members_mut(&mut self) -> &mut Vec<(Cow<'static, str>, Value)> {
        &mut self.members
    }

    pub(crate) fn write(&self, out: &mut String) {
        out.push('{');
        for (position, (name, value)) in self.members.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            write_text(name, out);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|(known, _)| compare_names(known, name))
    }
}

/// "property name strings to be sorted are formatted as arrays of UTF-16 code units" (RFC 8785 section 3.2.3).
pub(crate) fn compare_names(left: &str, right: &str) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        return left.cmp(right);
    }
    left.encode_utf16().cmp(right.encode_utf16())
}

pub(crate) fn write_integer(integer: i64, out: &mut String) {
    if integer < 0 {
        out.push('-');
    }
    write_unsigned(integer.unsigned_abs(), out);
}

fn write_unsigned(number: u64, out: &mut String) {
    if number >= 10 {
        write_unsigned(number / 10, out);
    }
    let digit = u8::try_from(number % 10).unwrap_or_default();
    out.push(char::from(b'0'.saturating_add(digit)));
}

/// RFC 8785 section 3.2.2.2: the two-character escapes where they exist, `\u00xx` for other control characters, all else as it is.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    if is_plain(text) {
        out.push_str(text);
    } else {
        text.chars().for_each(|c| write_escaped(c, out));
    }
    out.push('"');
}

/// Whether a text stands in JSON as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    plain_length(text.as_bytes()) == text.len()
}

/// How many bytes are before the first that JSON escapes, or that ends a string. Eight at a time: most of a log is such text.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0usize;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // The high bit of every byte below `least`; beyond the lowest such byte a borrow may set more.
        let below = |word: u64, least: u8| word.wrapping_sub(ONES.wrapping_mul(u64::from(least))) & !word & HIGH;
        let is = |byte: u8| below(word ^ ONES.wrapping_mul(u64::from(byte)), 1);
        let found = below(word, 0x20) | is(b'"') | is(b'\\');
        if found != 0 {
            return at.saturating_add(usize::try_from(found.trailing_zeros() / 8).unwrap_or_default());
        }
        at = at.saturating_add(8);
    }
    let plain = |byte: &&u8| **byte >= 0x20 && **byte != b'"' && **byte != b'\\';
    at.saturating_add(rest.iter().take_while(plain).count())
}

fn write_escaped(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        c if c < ' ' => {
            let code = u32::from(c);
            out.push_str("\\u00");
            for nibble in [code >> 4, code & 0xf] {
                out.push(char::from_digit(nibble, 16).unwrap_or('0'));
            }
        }
        c => out.push(c),
    }
}

macro_rules! into_value {
    ($($from:ty => |$value:ident| $to:expr;)*) => { $(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )* };
}

into_value! {
    bool => |value| Self::Bool(value);
    i32 => |value| Self::Integer(i64::from(value));
    u32 => |value| Self::Integer(i64::from(value));
    i64 => |value| Self::Integer(value);
    u64 => |value| i64::try_from(value).map_or_else(|_| Self::Text(value.to_string()), Self::Integer);
    String => |value| Self::Text(value);
    &str => |value| Self::Text(value.to_owned());
    Object => |value| Self::Object(value);
    Vec<Value> => |value| Self::List(value);
}

impl<N: Into<Cow<'static, str>>, V: Into<Value>> FromIterator<(N, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(members: I) -> Self {
        let mut object = Self::new();
        members.into_iter().for_each(|(name, value)| object.insert(name, value));
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::Integer),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
                prop::collection::vec((any::<String>(), inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn matches_serde(value: &Value, json: &serde_json::Value) -> bool {
        match (value, json) {
            (Value::Null, serde_json::Value::Null) => true,
            (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Value::Integer(a), serde_json::Value::Number(b)) => b.as_i64() == Some(*a),
            (Value::Text(a), serde_json::Value::String(b)) => a == b,
            (Value::List(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| matches_serde(a, b))
            }
            (Value::Object(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| matches_serde(a, b)))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn another_reader_reads_what_we_write(value in any_value()) {
            let text = value.encode();
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert!(matches_serde(&value, &read), "{text}");
            prop_assert_eq!(Value::parse(&text).unwrap(), value);
        }

        #[test]
        fn members_stand_in_utf16_order(names in prop::collection::vec(any::<String>(), 0..12)) {
            let object: Object = names.into_iter().map(|name| (name, Value::Null)).collect();
            let units: Vec<Vec<u16>> = object.iter().map(|(name, _)| name.encode_utf16().collect()).collect();
            prop_assert!(units.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    /// The example of RFC 8785 section 3.2.3.
    #[test]
    fn rfc_8785_sorting_example() {
        let names = ["\u{20ac}", "\r", "\u{fb33}", "1", "\u{1f600}", "\u{80}", "\u{f6}"];
        let object: Object = names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        let order: Vec<&str> = object.iter().map(|(name, _)| name).collect();
        assert_eq!(order, ["\r", "1", "\u{80}", "\u{f6}", "\u{20ac}", "\u{1f600}", "\u{fb33}"]);
    }

    proptest! {
        #[test]
        fn plain_text_ends_where_a_byte_by_byte_reader_ends_it(bytes in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => 0u8..0x25, 1 => Just(b'\\')], 0..40)) {
            let slow = bytes.iter().take_while(|byte| **byte >= 0x20 && **byte != b'"' && **byte != b'\\').count();
            prop_assert_eq!(plain_length(&bytes), slow);
        }
    }

    #[test]
    fn control_characters_are_escaped_the_one_way() {
        assert_eq!(
            Value::from("\u{8}\t\n\u{c}\r\u{1}\u{1f}\u{7f}\"\\/é").encode(),
            "\"\\b\\t\\n\\f\\r\\u0001\\u001f\u{7f}\\\"\\\\/é\""
        );
    }

    #[test]
    fn integers_beyond_a_double_are_written_as_text() {
        assert_eq!(Value::Integer(MAX_INTEGER).encode(), "9007199254740991");
        assert_eq!(Value::Integer(MAX_INTEGER + 1).encode(), "\"9007199254740992\"");
        assert_eq!(Value::Integer(i64::MIN).encode(), "\"-9223372036854775808\"");
        assert_eq!(Value::from(u64::MAX).encode(), "\"18446744073709551615\"");
    }
}
