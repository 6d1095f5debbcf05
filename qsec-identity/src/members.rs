//! Strict configuration objects: every member known and of its type, or a fault that names it.

use crate::jose::json::{self, Limits, Object, Value};
use crate::rejection::cleaned;

/// Bytes of a configuration file.
pub(crate) const MAX_FILE_BYTES: usize = 256 * 1024;
/// Values in a configuration file: the longest list that a member may have, and everything else.
const LIMITS: Limits = Limits { depth: json::MAX_DEPTH, values: 16_384 };

/// A member that is missing, unknown, of the wrong type or out of range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberFault {
    pub(crate) member: String,
    pub(crate) fault: String,
}

impl MemberFault {
    pub(crate) fn new(member: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { member: member.into(), fault: fault.into() }
    }
}

/// The object of a file within its budget.
pub(crate) fn parse(text: &[u8]) -> Result<Object<'_>, MemberFault> {
    if text.len() > MAX_FILE_BYTES {
        return Err(MemberFault::new("file", format!("has more than {MAX_FILE_BYTES} bytes")));
    }
    json::parse_object(text, LIMITS).map_err(|error| MemberFault::new("file", format!("is {error}")))
}

/// The members of an object, read by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Members<'a, 'j>(pub(crate) &'a Object<'j>);

impl<'a, 'j> Members<'a, 'j> {
    pub(crate) fn known(self, known: &[&str]) -> Result<(), MemberFault> {
        match self.0.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(MemberFault::new(cleaned(name), "is not a known member")),
            None => Ok(()),
        }
    }

    pub(crate) fn optional<T>(
        self,
        name: &str,
        read: impl FnOnce(&'a Value<'j>) -> Option<T>,
        what: &str,
    ) -> Result<Option<T>, MemberFault> {
        let wrong = || MemberFault::new(name, format!("is not {what}"));
        self.0.get(name).map(|value| read(value).ok_or_else(wrong)).transpose()
    }

    pub(crate) fn required<T>(
        self,
        name: &str,
        read: impl FnOnce(&'a Value<'j>) -> Option<T>,
        what: &str,
    ) -> Result<T, MemberFault> {
        self.optional(name, read, what)?.ok_or_else(|| MemberFault::new(name, "is missing"))
    }

    pub(crate) fn text(self, name: &str) -> Result<Option<String>, MemberFault> {
        self.optional(name, text, "a string")
    }

    pub(crate) fn texts(self, name: &str) -> Result<Vec<String>, MemberFault> {
        Ok(self.optional(name, texts, "an array of strings")?.unwrap_or_default())
    }

    pub(crate) fn integer(self, name: &str) -> Result<Option<i64>, MemberFault> {
        self.optional(name, Value::as_i64, "an integer")
    }

    pub(crate) fn boolean(self, name: &str) -> Result<Option<bool>, MemberFault> {
        self.optional(name, Value::as_bool, "a boolean")
    }
}

pub(crate) fn text(value: &Value<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(crate) fn texts(value: &Value<'_>) -> Option<Vec<String>> {
    entries(value, text)
}

pub(crate) fn entries<T>(value: &Value<'_>, read: impl Fn(&Value<'_>) -> Option<T>) -> Option<Vec<T>> {
    if let Value::Array(entries) = value { entries.iter().map(read).collect() } else { None }
}
