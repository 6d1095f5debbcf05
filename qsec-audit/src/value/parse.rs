//! JSON of drafts into values.

use super::{MAX_INTEGER, Object, Value};

/// Longest JSON text of one draft: 64 KiB, the limit of a line of `qsec audit append`.
pub(crate) const MAX_TEXT: usize = 64 * 1024;

/// Why a text is not a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Not JSON, or nested deeper than 127 levels.
    #[error("the text is not JSON: {0}")]
    NotJson(String),
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
            Self::NotJson(_) => "not_json",
            Self::TooLong { .. } => "too_long",
        }
    }
}

impl Value {
    /// Reads a JSON text. A number that is not an integer within ±(2^53 - 1) becomes text: a log must not round.
    ///
    /// # Errors
    /// [`ValueError::NotJson`], [`ValueError::TooLong`].
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        if text.len() > MAX_TEXT {
            return Err(ValueError::TooLong { length: text.len() });
        }
        serde_json::from_str(text).map(convert).map_err(|error| ValueError::NotJson(error.to_string()))
    }
}

fn convert(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) if integer.unsigned_abs() <= MAX_INTEGER.unsigned_abs() => Value::Integer(integer),
            _ => Value::Text(number.to_string()),
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(convert).collect()),
        serde_json::Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, convert(value))).collect::<Object>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_would_be_rounded_become_text() {
        let value = Value::parse("[1.5, 9007199254740993, 1e400, -3]");
        assert!(value.is_err(), "a number outside a double is not JSON that a reader can hold");
        let value = Value::parse("[1.5,9007199254740993,-3]").unwrap();
        assert_eq!(value.encode(), r#"["1.5","9007199254740993",-3]"#);
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        assert_eq!(Value::parse("{").unwrap_err().code(), "not_json");
        assert_eq!(Value::parse(&" ".repeat(MAX_TEXT + 1)).unwrap_err().code(), "too_long");
        assert_eq!(Value::parse(&"[".repeat(60_000)).unwrap_err().code(), "not_json");
    }
}
