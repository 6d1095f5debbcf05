//! What a command that did not succeed says: a stable code, a sentence, and what else helps.

use qsec::{Error, Fault};
use serde_json::{Map, Value};

use crate::Exit;

/// The error line of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    message: String,
    exit: Exit,
    members: Map<String, Value>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), exit, members: Map::new() }
    }

    /// Options or input that cannot be right.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Misuse, "usage", message)
    }

    /// A further member of the error object.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
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
            _ => Exit::Misuse,
        };
        Self::new(exit, error.code(), sentence(&error))
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
