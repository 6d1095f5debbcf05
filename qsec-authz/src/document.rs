//! A text as a tree that remembers where each value stood: the common ground of JSON and TOML.

use crate::flaw::{Fault, guess};

mod json;
mod toml;

pub(crate) use json::parse as parse_json;
pub(crate) use toml::parse as parse_toml;

/// Deepest nesting of lists and tables. A policy needs 8 (`tenants.T.users.U.attributes.NAME[i]`).
pub(crate) const MAX_DEPTH: usize = 32;
/// Most values in one text. A value costs about 60 bytes of memory, so a text costs at most 256 MiB.
pub(crate) const MAX_NODES: usize = 4 * 1024 * 1024;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is no integer of 64 bits.
    Number,
    /// A date or time of TOML.
    Datetime,
    Text(String),
    List(Vec<Node>),
    Table(Vec<Member>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Number => "a number that is no 64-bit integer",
            Self::Datetime => "a date or time",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "an object",
        }
    }
}

/// A value and where it begins, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Option<usize>,
}

/// A member of a table. The names in a table are unique: both readers refuse a second one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) key_at: Option<usize>,
    pub(crate) node: Node,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str, Option<usize>),
    Index(usize),
}

/// A node together with the way to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    node: &'a Node,
    step: Step<'a>,
    parent: Option<&'a At<'a>>,
}

impl<'a> At<'a> {
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { node, step: Step::Root, parent: None }
    }

    pub(crate) fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// A fault of this value.
    pub(crate) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { at: self.node.at, ..Fault::value(message, self.path()) }
    }

    /// A fault of the name under which this value stands.
    pub(crate) fn key_fault(&self, message: impl Into<String>) -> Fault {
        let at = if let Step::Key(_, at) = self.step { at } else { self.node.at };
        Fault { at, ..Fault::value(message, self.path()) }
    }

    fn path(&self) -> String {
        let path = self.parent.map(At::path).unwrap_or_default();
        match self.step {
            Step::Root => path,
            Step::Index(index) => format!("{path}[{index}]"),
            Step::Key(key, _) => {
                let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:".contains(&b));
                let key = if bare { key.to_owned() } else { format!("{key:?}") };
                if path.is_empty() { key } else { format!("{path}.{key}") }
            }
        }
    }

    fn mismatch(&self, expected: &str) -> Fault {
        self.fault(format!("expected {expected}, found {}", self.node.value.kind()))
    }

    fn member<'b>(&'b self, member: &'b Member) -> At<'b> {
        At { node: &member.node, step: Step::Key(&member.key, member.key_at), parent: Some(self) }
    }

    /// The members of a table whose names are free.
    pub(crate) fn members(&self) -> Result<impl Iterator<Item = (&str, At<'_>)>, Fault> {
        let Value::Table(members) = &self.node.value else { return Err(self.mismatch("an object")) };
        Ok(members.iter().map(move |member| (member.key.as_str(), self.member(member))))
    }

    /// Refuses a value that is no table, and names in it that are not `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        for (key, at) in self.members()? {
            if !known.contains(&key) {
                let near = guess(key, known.iter().copied());
                let hint = near.unwrap_or_else(|| format!("known here: {}", quoted(known.iter().copied())));
                return Err(at.key_fault(format!("unknown key `{key}`")).hint(hint));
            }
        }
        Ok(())
    }

    /// The member of that name, if there is one.
    pub(crate) fn get<'b>(&'b self, key: &str) -> Option<At<'b>> {
        let Value::Table(members) = &self.node.value else { return None };
        members.iter().find(|member| member.key == key).map(|member| self.member(member))
    }

    /// The member of that name.
    pub(crate) fn need<'b>(&'b self, key: &str) -> Result<At<'b>, Fault> {
        self.get(key).ok_or_else(|| self.fault(format!("`{key}` is missing")))
    }

    pub(crate) fn text(&self) -> Result<&'a str, Fault> {
        if let Value::Text(text) = &self.node.value { Ok(text) } else { Err(self.mismatch("a text")) }
    }

    pub(crate) fn boolean(&self) -> Result<bool, Fault> {
        if let Value::Bool(value) = &self.node.value { Ok(*value) } else { Err(self.mismatch("true or false")) }
    }

    /// The elements of a list.
    pub(crate) fn list(&self) -> Result<impl Iterator<Item = At<'_>>, Fault> {
        let Value::List(nodes) = &self.node.value else { return Err(self.mismatch("a list")) };
        let element = move |(index, node)| At { node, step: Step::Index(index), parent: Some(self) };
        Ok(nodes.iter().enumerate().map(element))
    }

    /// One of the words of a closed set.
    pub(crate) fn word<T: Copy>(&self, known: &[(&'static str, T)]) -> Result<T, Fault> {
        let text = self.text()?;
        known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            let names = known.iter().map(|(name, _)| *name);
            let hint = guess(text, names.clone()).unwrap_or_else(|| format!("known here: {}", quoted(names)));
            self.fault(format!("unknown value `{text}`")).hint(hint)
        })
    }
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
