//! JSON of strangers into values (RFC 8259), strictly: what two readers could understand in two ways is refused.
#![deny(clippy::arithmetic_side_effects)]

use super::{MAX_INTEGER, Object, Value, plain_length};

/// Longest JSON text of one draft: 64 KiB, the limit of a line of `qsec audit append`.
pub(crate) const MAX_TEXT: usize = 64 * 1024;
/// Deepest nesting that is read: 64 levels; event data is cut at four.
const MAX_NESTING: usize = 64;

/// Why a text is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Not JSON, or nested deeper than 64 levels.
    #[error("the text is not JSON at byte {at}: {what}")]
    NotJson {
        /// Where in the text.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// An object has a member twice: which of them is meant depends on the reader (RFC 8259 section 4).
    #[error("the member `{0}` stands twice in an object")]
    DuplicateMember(String),
    /// More than 64 KiB.
    #[error("the text has {length} bytes, more than 65536")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl ValueError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::DuplicateMember(_) => "duplicate_member",
            Self::TooLong { .. } => "too_long",
        }
    }
}

impl Value {
    /// Reads a JSON text. A number that is not an integer within ±(2^53 - 1) becomes the text it is written as: a log must not round.
    ///
    /// # Errors
    /// [`ValueError::NotJson`], [`ValueError::DuplicateMember`], [`ValueError::TooLong`].
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        if text.len() > MAX_TEXT {
            return Err(ValueError::TooLong { length: text.len() });
        }
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.skip_space();
        if reader.peek().is_some() { reader.wrong("bytes follow the value") } else { Ok(value) }
    }
}

/// The text of a JSON string, given what stands between its quotes.
pub(crate) fn unescape(raw: &str) -> Option<String> {
    let quoted = format!("\"{raw}\"");
    let mut reader = Reader { text: &quoted, at: 0 };
    reader.string().ok().filter(|_| reader.peek().is_none())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wrong<T>(&self, what: &'static str) -> Result<T, ValueError> {
        Err(ValueError::NotJson { at: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.step(1);
        }
        found
    }

    const fn step(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step(1);
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, ValueError> {
        if depth > MAX_NESTING {
            return self.wrong("it is nested too deep");
        }
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.list(depth).map(Value::List),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, ValueError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let words = [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
        match words.into_iter().find(|(word, _)| rest.starts_with(word)) {
            Some((word, value)) => {
                self.step(word.len());
                Ok(value)
            }
            None => self.wrong("a value is missing"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object, ValueError> {
        self.step(1);
        let mut object = Object::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(object);
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return self.wrong("a member has no value");
            }
            let value = self.value(depth.saturating_add(1))?;
            if object.get(&name).is_some() {
                return Err(ValueError::DuplicateMember(crate::name::shorten(&name)));
            }
            object.insert(name, value);
            self.skip_space();
            if self.take(b'}') {
                return Ok(object);
            }
            if !self.take(b',') {
                return self.wrong("an object does not end");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, ValueError> {
        self.step(1);
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth.saturating_add(1))?);
            self.skip_space();
            if self.take(b']') {
                return Ok(items);
            }
            if !self.take(b',') {
                return self.wrong("a list does not end");
            }
        }
    }

    fn digits(&mut self) -> Result<(), ValueError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.wrong("a digit is missing");
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.step(1);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, ValueError> {
        let start = self.at;
        self.take(b'-');
        if self.take(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return self.wrong("a number begins with a zero");
            }
        } else {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            // One sign at most.
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        let integer = text.parse().ok().filter(|integer: &i64| integer.unsigned_abs() <= MAX_INTEGER.unsigned_abs());
        Ok(integer.map_or_else(|| Value::Text(text.to_owned()), Value::Integer))
    }

    fn string(&mut self) -> Result<String, ValueError> {
        if !self.take(b'"') {
            return self.wrong("a string is missing");
        }
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.get(..plain_length(rest.as_bytes())).unwrap_or_default();
            out.push_str(plain);
            self.step(plain.len());
            match self.peek() {
                Some(b'"') => {
                    self.step(1);
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return self.wrong("a control character stands in a string"),
                None => return self.wrong("a string does not end"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ValueError> {
        self.step(1);
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'f') => '\u{c}',
            Some(b'r') => '\r',
            Some(b'u') => return self.unicode(),
            _ => return self.wrong("an escape is none"),
        };
        self.step(1);
        Ok(plain)
    }

    /// `\uXXXX`, or two of them for a character beyond the first plane (RFC 8259 section 7). Half of a pair is no character.
    fn unicode(&mut self) -> Result<char, ValueError> {
        let first = self.unit()?;
        let mut units = vec![first];
        if matches!(first, 0xd800..=0xdbff) && self.take(b'\\') {
            units.push(self.unit()?);
        }
        match char::decode_utf16(units).collect::<Result<Vec<_>, _>>().as_deref() {
            Ok([character]) => Ok(*character),
            Ok(_) | Err(_) => self.wrong("an escape is half of a character"),
        }
    }

    /// `uXXXX`.
    fn unit(&mut self) -> Result<u16, ValueError> {
        if !self.take(b'u') {
            return self.wrong("an escape is half of a character");
        }
        let digits = self.text.as_bytes().get(self.at..).and_then(<[u8]>::first_chunk::<4>);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let unit = digits.and_then(|digits| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let Some(unit) = unit else { return self.wrong("an escape has no four digits") };
        self.step(4);
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_that_would_be_rounded_become_the_text_they_are() {
        let value = Value::parse("[1.5, 9007199254740993,1e400 , -3,-0,123456789012345678901234567890]").unwrap();
        assert_eq!(value.encode(), r#"["1.5","9007199254740993","1e400",-3,0,"123456789012345678901234567890"]"#);
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        for (bad, code) in [
            ("{", "not_json"),
            ("", "not_json"),
            ("01", "not_json"),
            ("1.", "not_json"),
            ("+1", "not_json"),
            ("[1,]", "not_json"),
            ("{\"a\":1,}", "not_json"),
            ("nul", "not_json"),
            ("\"\n\"", "not_json"),
            ("\"\\x\"", "not_json"),
            ("\"\\ud800\"", "not_json"),
            ("\"\\udc00\"", "not_json"),
            ("\"\\ud800\\u0000\"", "not_json"),
            ("1 2", "not_json"),
            ("\u{feff}1", "not_json"),
            (r#"{"a":1,"a":1}"#, "duplicate_member"),
            (r#"{"b":{"a":1,"c":2,"\u0061":1}}"#, "duplicate_member"),
            (&" ".repeat(MAX_TEXT + 1), "too_long"),
            (&"[".repeat(60_000), "not_json"),
        ] {
            assert_eq!(Value::parse(bad).unwrap_err().code(), code, "{bad:.40}");
        }
        let deep = |levels: usize| Value::parse(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        assert!(deep(MAX_NESTING + 1).is_ok() && deep(MAX_NESTING + 2).is_err());
    }

    #[test]
    fn escapes_are_read_as_the_characters_they_stand_for() {
        let value = Value::parse(r#""\"\\\/\b\t\n\f\r\u00e9\uD83D\ude00""#).unwrap();
        assert_eq!(value.as_text(), Some("\"\\/\u{8}\t\n\u{c}\ré😀"));
        assert_eq!(unescape("\\u0061\\\"").as_deref(), Some("a\""));
        assert_eq!(unescape("a\"b"), None);
    }

    fn reads_the_same(text: &str) -> Result<(), TestCaseError> {
        let other = serde_json::from_str::<serde_json::Value>(text);
        match Value::parse(text) {
            Ok(value) => {
                // Another reader refuses numbers beyond a double; it rounds those that we keep as text.
                let strings = text.contains(['e', 'E', '.']) || text.bytes().filter(u8::is_ascii_digit).count() > 15;
                if let (false, Ok(other)) = (strings, &other) {
                    prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&value.encode()).unwrap(), other.clone());
                }
                prop_assert!(strings || other.is_ok(), "{}", text);
            }
            Err(ValueError::DuplicateMember(_)) => prop_assert!(other.is_ok()),
            Err(error) => prop_assert!(other.is_err(), "{}: {}", text, error),
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn another_reader_reads_and_refuses_the_same(text in r#"[\[\]{}:, "\\/a-fu0-9.eE+\-trlsn]{0,24}"#) {
            reads_the_same(&text)?;
        }

        #[test]
        fn another_reader_reads_and_refuses_the_same_after_a_change(at in 0usize..90, byte in 0u8..0x80) {
            let good = r#"{"a": [1, -20, true, null, "x\u00e9\n"], "b": {"c": {}, "d": []}, "e": "\ud83d\ude00", "f":false }"#;
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = byte;
            reads_the_same(std::str::from_utf8(&bytes).unwrap())?;
        }
    }
}
