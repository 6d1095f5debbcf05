//! What is wrong with a text, and where.

use std::fmt;

use crate::rule::Malformed;

/// A place in a text.
///
/// ```
/// use qsec_authz::Policy;
/// let error = Policy::parse_json("{\"version\": 1,\n \"tenant\": {}}").unwrap_err();
/// let position = error.flaw().and_then(|flaw| flaw.position()).unwrap();
/// assert_eq!((position.line(), position.column(), position.offset()), (2, 2, 16));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    line: usize,
    column: usize,
    offset: usize,
}

impl Position {
    /// The position of the byte at `offset` of `text`; an offset past the end is the end.
    pub(crate) fn locate(text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let line = before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
        let column = before.get(line_start..).unwrap_or_default().chars().count().saturating_add(1);
        Self { line, column, offset: before.len() }
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in Unicode scalar values, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The same place in bytes from the beginning of the text.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// What is wrong with a policy or a request, where, and what may help.
///
/// ```
/// use qsec_authz::Policy;
/// let text = r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["TenantAdmn"]}}}}}"#;
/// let error = Policy::parse(text).unwrap_err();
/// let flaw = error.flaw().unwrap();
/// assert_eq!(flaw.path(), "tenants.acme.users.ana.roles[0]");
/// assert_eq!(flaw.hint(), Some("did you mean `TenantAdmin`?"));
/// assert_eq!(flaw.position().unwrap().column(), 58);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    message: String,
    path: String,
    hint: Option<String>,
    position: Option<Position>,
}

impl Flaw {
    /// What is wrong, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Which value: `tenants.acme.users.ana.roles[0]`. Empty for the whole text.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What may help, if anything is known to.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Where in the text; `None` if the value did not come from one text.
    pub fn position(&self) -> Option<Position> {
        self.position
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(position) = self.position {
            write!(f, ", line {} column {}", position.line, position.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ", at `{}`", self.path)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, ": {hint}")?;
        }
        Ok(())
    }
}

/// What is wrong with a security rule, and where in its condition.
///
/// ```
/// use qsec_authz::{Policy, PolicyError};
/// let text = r#"{"version":1,"tenants":{"acme":{"rules":[
///     {"name":"sales","filter":"App_*","actions":["read"],"condition":"user.group \"Sales\""}]}}}"#;
/// let Err(PolicyError::BadRule(flaw)) = Policy::parse(text) else { panic!("read") };
/// assert_eq!((flaw.tenant(), flaw.rule(), flaw.line(), flaw.column()), ("acme", "sales", 1, 12));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFlaw {
    tenant: String,
    rule: String,
    message: String,
    hint: Option<String>,
    position: Position,
}

impl RuleFlaw {
    pub(crate) fn new(tenant: &str, rule: &str, condition: &str, malformed: Malformed) -> Self {
        Self {
            tenant: tenant.to_owned(),
            rule: rule.to_owned(),
            message: malformed.message,
            hint: malformed.hint,
            position: Position::locate(condition, malformed.at),
        }
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The name of the rule.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What is wrong, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What may help, if anything is known to.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The line of the condition, from 1. What is wrong outside the condition is at line 1, column 1.
    pub fn line(&self) -> usize {
        self.position.line
    }

    /// The column in Unicode scalar values, from 1.
    pub fn column(&self) -> usize {
        self.position.column
    }
}

impl fmt::Display for RuleFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, rule, message, position, .. } = self;
        write!(f, "{message}, line {} column {} of rule `{rule}`, tenant `{tenant}`", position.line, position.column)?;
        if let Some(hint) = &self.hint { write!(f, ": {hint}") } else { Ok(()) }
    }
}

/// A flaw whose place is still an offset, because whoever found it does not hold the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) path: String,
    pub(crate) hint: Option<String>,
    pub(crate) at: Option<usize>,
    /// Not JSON or TOML at all, rather than a wrong value in it.
    pub(crate) syntax: bool,
    /// The flaw of a security rule, in place of all the others.
    pub(crate) rule: Option<Box<RuleFlaw>>,
}

impl Fault {
    pub(crate) fn syntax(message: impl Into<String>, at: usize) -> Self {
        Self { message: message.into(), path: String::new(), hint: None, at: Some(at), syntax: true, rule: None }
    }

    /// Well-formed, but more than this reader takes, or the same thing twice.
    pub(crate) fn refused(message: impl Into<String>, at: usize) -> Self {
        Self { syntax: false, ..Self::syntax(message, at) }
    }

    pub(crate) fn value(message: impl Into<String>, path: String) -> Self {
        Self { message: message.into(), path, hint: None, at: None, syntax: false, rule: None }
    }

    pub(crate) fn rule(flaw: RuleFlaw) -> Self {
        Self { rule: Some(Box::new(flaw)), ..Self::value("", String::new()) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    pub(crate) fn locate(self, text: Option<&str>) -> Flaw {
        let position = self.at.zip(text).map(|(at, text)| Position::locate(text, at));
        Flaw { message: self.message, path: self.path, hint: self.hint, position }
    }
}

/// Longest word for which a similar one is looked for, in bytes: the longest name of the tables has 32.
const MAX_GUESSED_BYTES: usize = 48;

/// "did you mean …?" for a word that is close to one of the words that may stand here.
pub(crate) fn guess<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    if word.len() > MAX_GUESSED_BYTES {
        return None;
    }
    let allowed = if word.len() < 4 { 1 } else { 2 };
    known
        .into_iter()
        .map(|candidate| {
            let same = candidate.eq_ignore_ascii_case(word);
            (if same { 0 } else { distance(word, candidate) }, candidate)
        })
        .filter(|(far, _)| *far <= allowed)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// How many insertions, removals and replacements lead from one word to the other.
fn distance(left: &str, right: &str) -> usize {
    if left.len().abs_diff(right.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, l) in left.bytes().enumerate() {
        let mut diagonal = above;
        let mut before = above.saturating_add(1);
        let mut next = vec![before];
        for (r, up) in right.bytes().zip(row.iter().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(l != r));
            before = replaced.min(up.saturating_add(1)).min(before.saturating_add(1));
            diagonal = *up;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_offsets_count_bytes() {
        let text = "é\nüx\u{1F600}y";
        let at = text.find('y').unwrap();
        let position = Position::locate(text, at);
        assert_eq!((position.line(), position.column(), position.offset()), (2, 4, 10));
    }

    #[test]
    fn offset_past_the_end_is_the_end() {
        assert_eq!(Position::locate("ab", 9), Position { line: 1, column: 3, offset: 2 });
    }

    #[test]
    fn similar_words_are_proposed_and_others_are_not() {
        let words = ["consumer", "producer", "apps"];
        assert_eq!(guess("Consumer", words).as_deref(), Some("did you mean `consumer`?"));
        assert_eq!(guess("consmer", words).as_deref(), Some("did you mean `consumer`?"));
        assert_eq!(guess("app", words).as_deref(), Some("did you mean `apps`?"));
        assert_eq!(guess("viewer", words), None);
    }
}
