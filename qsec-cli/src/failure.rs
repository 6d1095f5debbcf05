//! What a command that did not succeed says: a stable code, a sentence, and what else helps.

use qsec::crypto::{KeyError, OpenError, SealError, Stopped};
use qsec::{Error, Fault};
use serde_json::{Map, Value};

use crate::Exit;
use crate::moment;

/// The error line of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    message: String,
    exit: Exit,
    members: Vec<(String, Value)>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), exit, members: Vec::new() }
    }

    /// Options or input that cannot be right.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::misuse("usage", message)
    }

    /// The same under a narrower code.
    pub(crate) fn misuse(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Misuse, code, message)
    }

    /// A fault of ours. The same fault has the same reference, so that reports of it can be told to be of one.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        // FNV-1a: a name for a text, nothing more.
        let reference =
            message.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let text = format!("{message} (reference {reference:08x})");
        Self::misuse("internal", text).with("reference", format!("{reference:08x}"))
    }

    /// A further member of the error object.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.push((name.to_owned(), value.into()));
        self
    }

    /// The same, placed in an input of many lines, of which so many before it were accepted.
    pub(crate) fn at_line(mut self, line: u64, accepted: usize) -> Self {
        self.message = format!("line {line}: {}", self.message);
        self.with("line", line).with("appended", accepted)
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.clone().into());
        error.insert("message".to_owned(), self.message.clone().into());
        error.extend(self.members.clone());
        Value::Object(Map::from_iter([("error".to_owned(), Value::Object(error))]))
    }
}

/// The library's errors carry code and fault; their sources become part of the sentence, so that a path or a reason of the
/// operating system is not lost.
impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let exit = match error.fault() {
            Fault::Refused => Exit::No,
            Fault::Unavailable => Exit::Unavailable,
            Fault::Internal => return Self::internal(sentence(&error)),
            Fault::Misuse | _ => Exit::Misuse,
        };
        let mut failure = Self::new(exit, error.code(), sentence(&error));
        for (name, value) in members(&error) {
            failure = failure.with(name, value);
        }
        failure
    }
}

fn sentence(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What a machine would otherwise have to read out of the sentence: a place in a file, or who stopped a key.
fn members(error: &Error) -> Vec<(&'static str, Value)> {
    if let Error::Policy(error) = error {
        error.flaw().map(flaw).unwrap_or_default()
    } else if let Error::Request(error) = error {
        flaw(error.flaw())
    } else if let Error::Access(error) = error {
        position(error.position())
    } else if let Error::Key(KeyError::Stopped(by))
    | Error::Seal(SealError::Stopped(by))
    | Error::Open(OpenError::Stopped(by)) = error
    {
        stopped(by)
    } else {
        Vec::new()
    }
}

fn flaw(flaw: &qsec::authz::Flaw) -> Vec<(&'static str, Value)> {
    let path = Some(flaw.path()).filter(|path| !path.is_empty());
    let mut members: Vec<_> = path.map(|path| ("path", path.into())).into_iter().collect();
    if let Some(place) = flaw.position() {
        members.extend([("line", place.line().into()), ("column", place.column().into())]);
    }
    members
}

/// A line, and a column if it is known.
pub(crate) fn position(place: Option<(u64, Option<u64>)>) -> Vec<(&'static str, Value)> {
    let Some((line, column)) = place else { return Vec::new() };
    let column = column.map(|column| ("column", column.into()));
    [("line", line.into())].into_iter().chain(column).collect()
}

fn stopped(stopped: &Stopped) -> Vec<(&'static str, Value)> {
    let mut members = vec![("by", stopped.by.name().into())];
    if let Some(key) = &stopped.key_id {
        members.push(("key_id", key.as_str().into()));
    }
    if let Some(date) = stopped.deletion_date {
        members.push(("deletion_date", moment::rfc3339(date).into()));
    }
    members
}
