//! A strict, bounded JSON reader (RFC 8259) that keeps positions and refuses a member named twice.
//!
//! A policy whose second `"roles"` silently wins, as a map of `serde_json` reads it, would hold other rights than the
//! ones that its reviewer saw in the first.

#![deny(clippy::arithmetic_side_effects)]

use super::{MAX_DEPTH, MAX_NODES, Member, Node, Value};
use crate::flaw::Fault;

/// Reads one JSON text.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, nodes: 0 };
    reader.blanks();
    let node = reader.node(0)?;
    reader.blanks();
    if reader.at < reader.bytes.len() {
        return Err(reader.unexpected("the end of the text"));
    }
    Ok(node)
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    nodes: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.step();
        }
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let message = match rest.chars().next() {
            Some(found) => format!("expected {expected}, found `{}`", found.escape_debug()),
            None => format!("expected {expected}, found the end of the text"),
        };
        Fault::syntax(message, self.at)
    }

    fn node(&mut self, depth: usize) -> Result<Node, Fault> {
        let at = Some(self.at);
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(Fault::refused(format!("more than {MAX_NODES} values"), self.at));
        }
        let value = match self.peek() {
            Some(b'{') => Value::Table(self.table(depth)?),
            Some(b'[') => Value::List(self.list(depth)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal("true", Value::Bool(true))?,
            Some(b'f') => self.literal("false", Value::Bool(false))?,
            Some(b'n') => self.literal("null", Value::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { value, at })
    }

    fn deeper(&self, depth: usize) -> Result<usize, Fault> {
        let deeper = depth.saturating_add(1);
        if deeper > MAX_DEPTH {
            return Err(Fault::refused(format!("nested deeper than {MAX_DEPTH}"), self.at));
        }
        Ok(deeper)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let depth = self.deeper(depth)?;
        self.step();
        self.blanks();
        let mut nodes = Vec::new();
        if self.eat(b']') {
            return Ok(nodes);
        }
        loop {
            self.blanks();
            nodes.push(self.node(depth)?);
            self.blanks();
            if self.eat(b']') {
                return Ok(nodes);
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn table(&mut self, depth: usize) -> Result<Vec<Member>, Fault> {
        let depth = self.deeper(depth)?;
        self.step();
        self.blanks();
        let mut members = Vec::new();
        if self.eat(b'}') {
            return Ok(members);
        }
        loop {
            self.blanks();
            members.push(self.member(depth)?);
            self.blanks();
            if self.eat(b'}') {
                return unique(members);
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn member(&mut self, depth: usize) -> Result<Member, Fault> {
        let key_at = Some(self.at);
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a name in quotes"));
        }
        let key = self.string()?;
        self.blanks();
        if !self.eat(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.blanks();
        Ok(Member { key, key_at, node: self.node(depth)? })
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, Fault> {
        if !self.text.get(self.at..).unwrap_or_default().starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        self.at = self.at.saturating_add(word.len());
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.step();
        }
        Ok(())
    }

    /// RFC 8259 section 6: `number = [ minus ] int [ frac ] [ exp ]`, without leading zeros.
    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        self.eat(b'-');
        if self.eat(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.unexpected("no digit after a leading zero"));
            }
        } else {
            self.digits()?;
        }
        let mut integer = true;
        if self.eat(b'.') {
            integer = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            integer = false;
            if !self.eat(b'-') {
                self.eat(b'+');
            }
            self.digits()?;
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        let value = if integer { written.parse().ok() } else { None };
        Ok(value.map_or(Value::Number, Value::Integer))
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.step();
        let mut text = String::new();
        loop {
            let start = self.at;
            while matches!(self.peek(), Some(byte) if byte != b'"' && byte != b'\\' && byte >= 0x20) {
                self.step();
            }
            text.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(self.unexpected("the closing quote of a text")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        self.step();
        let byte = self.peek();
        self.step();
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return Err(Fault::syntax("unknown escape", start)),
        })
    }

    fn unicode(&mut self, start: usize) -> Result<char, Fault> {
        let high = self.hex(start)?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high).ok_or_else(|| Fault::syntax("half of a surrogate pair", start));
        }
        if !(self.eat(b'\\') && self.eat(b'u')) {
            return Err(Fault::syntax("half of a surrogate pair", start));
        }
        let low = self.hex(start)?;
        char::decode_utf16([high, low].into_iter().filter_map(|half| u16::try_from(half).ok()))
            .next()
            .and_then(Result::ok)
            .ok_or_else(|| Fault::syntax("half of a surrogate pair", start))
    }

    fn hex(&mut self, start: usize) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at.saturating_add(4)).unwrap_or_default();
        if !(digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(Fault::syntax("expected four hexadecimal digits after `\\u`", start));
        }
        self.at = self.at.saturating_add(4);
        u32::from_str_radix(digits, 16).map_err(|_| Fault::syntax("expected four hexadecimal digits", start))
    }
}

/// Refuses a name that stands twice, at its second place.
fn unique(members: Vec<Member>) -> Result<Vec<Member>, Fault> {
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by(|left, right| left.key.cmp(&right.key).then(left.key_at.cmp(&right.key_at)));
    let twice = sorted.iter().zip(sorted.iter().skip(1)).filter(|(one, next)| one.key == next.key);
    match twice.map(|(_, next)| *next).min_by_key(|member| member.key_at) {
        Some(second) => {
            let at = second.key_at.unwrap_or_default();
            Err(Fault::refused(format!("`{}` stands twice", second.key), at).hint("keep one of them"))
        }
        None => Ok(members),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null | Value::Number | Value::Datetime => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Integer(value) => (*value).into(),
            Value::Text(text) => text.clone().into(),
            Value::List(nodes) => nodes.iter().map(plain).collect(),
            Value::Table(members) => members.iter().map(|m| (m.key.clone(), plain(&m.node))).collect(),
        }
    }

    #[test]
    fn texts_that_are_no_json_are_refused_at_their_place() {
        let cases: &[(&str, usize)] = &[
            ("", 0),
            ("{", 1),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("{\"a\" 1}", 5),
            ("{a:1}", 1),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            ("1e", 2),
            ("+1", 0),
            ("tru", 0),
            ("nul", 0),
            ("\"\u{1}\"", 1),
            ("\"\\x\"", 1),
            ("\"\\u12g4\"", 1),
            ("\"\\ud800\"", 1),
            ("\"\\udc00\"", 1),
            ("\"\\ud800\\u0041\"", 1),
            ("\"open", 5),
            ("{} {}", 3),
            ("\u{feff}{}", 0),
            ("'a'", 0),
            ("[1 2]", 3),
            ("{\"a\":1,\"\\u0061\":2}", 7),
            ("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", 18),
            ("NaN", 0),
            ("// x\n1", 0),
        ];
        for (text, at) in cases {
            let fault = parse(text).expect_err(text);
            assert_eq!(fault.syntax, !fault.message.contains("twice"), "{text}");
            assert_eq!(fault.at, Some(*at), "{text}: {}", fault.message);
        }
    }

    #[test]
    fn escapes_are_read() {
        let node = parse(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#).unwrap();
        assert_eq!(node.value, Value::Text("\"\\/\u{8}\u{c}\n\r\té\u{1F600}".into()));
    }

    #[test]
    fn nesting_is_bounded() {
        let text = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&text(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&text(MAX_DEPTH + 1)).unwrap_err().at, Some(MAX_DEPTH));
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn values_are_bounded() {
        let text = format!("[{}1]", "1,".repeat(MAX_NODES));
        assert!(parse(&text).unwrap_err().message.contains("more than"));
    }

    #[test]
    fn numbers_outside_of_the_range_are_no_integers() {
        assert_eq!(parse("9223372036854775807").unwrap().value, Value::Integer(i64::MAX));
        assert_eq!(parse("9223372036854775808").unwrap().value, Value::Number);
        assert_eq!(parse("1.0").unwrap().value, Value::Number);
        assert_eq!(parse("-9223372036854775808").unwrap().value, Value::Integer(i64::MIN));
    }

    proptest! {
        #[test]
        fn whatever_serde_json_writes_is_read_the_same(text in "\\PC{0,40}", number in any::<i64>(), flag: bool) {
            let value = serde_json::json!({"t": text, "n": [number, null, {"b": flag}], text.clone(): {}});
            prop_assert_eq!(plain(&parse(&value.to_string()).unwrap()), value);
        }

        #[test]
        fn any_text_is_accepted_only_if_serde_json_accepts_it(text in "[\\[\\]{}:,\"\\\\u0-9a-f tn.eE+-]{0,24}") {
            if let Ok(node) = parse(&text) {
                let value: Result<serde_json::Value, _> = serde_json::from_str(&text);
                prop_assert!(value.is_ok() || matches!(node.value, Value::Number) || text.contains(['e', 'E']), "{}", text);
            }
        }
    }
}
