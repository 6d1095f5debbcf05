//! A condition compiled for one tenant: names as numbers, and what asks only about the requester shared.

use std::borrow::Cow;

use crate::action::Action;
use crate::rule::glob::Glob;
use crate::rule::pattern::Pattern;
use crate::rule::syntax::{Operator, Root};

/// A condition.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(bool),
    Not(Box<Node>),
    All(Box<[Node]>),
    Any(Box<[Node]>),
    /// The requester has one of these guards: a group, role, id or directory, compared without case.
    Has(Box<[u32]>),
    /// Another test of the requester alone, by its number: the same for every rule and resource of a decision.
    Fact(u32),
    Test(Test),
    IsAnonymous,
    IsOwned(Path),
    Empty(Path),
    HasPrivilege(Path, Action),
}

impl Node {
    /// Whether there are requesters or resources for which it has no answer.
    pub(crate) fn can_fail(&self) -> bool {
        match self {
            Self::HasPrivilege(..) => true,
            Self::Not(inner) => inner.can_fail(),
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(Self::can_fail),
            Self::Constant(_)
            | Self::Has(_)
            | Self::Fact(_)
            | Self::Test(_)
            | Self::IsAnonymous
            | Self::IsOwned(_)
            | Self::Empty(_) => false,
        }
    }
}

/// A comparison.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    Texts(Path, Operator, Texts),
    Paths(Path, Operator, Path),
    Like(Path, Glob),
    Matches(Path, Pattern),
}

/// A way from the requester or the resource to values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) steps: Box<[Step]>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Resource(OfResource),
    User(OfUser),
    Environment,
    /// A value of the environment, its name in lower case.
    Variable(Box<str>),
    /// What a text is asked for: it has nothing.
    Nothing,
}

/// What a resource is asked for. Names of attributes, links and custom properties are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OfResource {
    Id,
    Name,
    Type,
    Filter,
    Space,
    Owner,
    App,
    Stream,
    /// A link, or an attribute.
    Linked(u32),
    Custom(u32),
}

/// What a user is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OfUser {
    Id,
    Directory,
    Name,
    Group,
    Role,
    Attribute(u32),
    Custom(u32),
}

/// Texts of a rule, sorted, as they are and in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Texts {
    exact: Box<[Box<str>]>,
    folded: Box<[Box<str>]>,
}

impl Texts {
    pub(crate) fn new(texts: &[String]) -> Self {
        let sorted = |texts: Vec<Box<str>>| {
            let mut texts = texts;
            texts.sort_unstable();
            texts.dedup();
            texts.into_boxed_slice()
        };
        Self {
            exact: sorted(texts.iter().map(|text| text.as_str().into()).collect()),
            folded: sorted(texts.iter().map(|text| text.to_lowercase().into()).collect()),
        }
    }

    pub(crate) fn folded(&self) -> &[Box<str>] {
        &self.folded
    }

    pub(crate) fn exact(&self) -> &[Box<str>] {
        &self.exact
    }

    /// Whether the comparison of a value with any of these texts is true.
    pub(crate) fn compare(&self, operator: Operator, value: &str) -> bool {
        match operator {
            Operator::Equal => has_folded(&self.folded, value),
            Operator::StrictEqual => has(&self.exact, value),
            Operator::Unequal => self.folded.len() > 1 || !has_folded(&self.folded, value),
            Operator::StrictUnequal => self.exact.len() > 1 || !has(&self.exact, value),
        }
    }
}

/// Up to how many texts are compared one by one.
const FEW: usize = 8;

fn has(sorted: &[Box<str>], value: &str) -> bool {
    if sorted.len() <= FEW {
        return sorted.iter().any(|text| **text == *value);
    }
    sorted.binary_search_by(|text| (**text).cmp(value)).is_ok()
}

fn has_folded(sorted: &[Box<str>], value: &str) -> bool {
    if sorted.len() <= FEW && value.is_ascii() {
        return sorted.iter().any(|text| text.eq_ignore_ascii_case(value));
    }
    has(sorted, &folded(value))
}

/// In lower case, as comparisons without case see it.
pub(crate) fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.to_lowercase())
}

/// Whether two texts are equal, with or without case.
pub(crate) fn same(strict: bool, one: &str, two: &str) -> bool {
    if strict || (one.is_ascii() && two.is_ascii()) {
        return one == two || (!strict && one.eq_ignore_ascii_case(two));
    }
    one == two || one.to_lowercase() == two.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_without_case_is_of_lower_case_texts() {
        let many: Vec<String> = (0..20).map(|n| format!("Text-{n}É")).collect();
        for texts in [Texts::new(&["É".into(), "K".into()]), Texts::new(&many)] {
            for value in ["É", "é", "k", "K", "\u{212A}", "TEXT-7é", "text-20é", ""] {
                let lower = value.to_lowercase();
                assert_eq!(texts.compare(Operator::Equal, value), texts.folded().iter().any(|text| **text == *lower));
                assert_eq!(
                    texts.compare(Operator::StrictEqual, value),
                    texts.exact.iter().any(|text| **text == *value)
                );
            }
        }
        assert!(same(false, "\u{212A}", "k") && !same(true, "K", "k") && same(false, "Ab", "aB"));
        assert!(!same(false, "a", "b") && same(true, "é", "é"));
    }

    #[test]
    fn unequal_is_true_when_any_pair_differs() {
        let (one, two) = (Texts::new(&["a".into()]), Texts::new(&["a".into(), "b".into()]));
        assert!(!one.compare(Operator::Unequal, "A") && one.compare(Operator::StrictUnequal, "A"));
        assert!(two.compare(Operator::Unequal, "a") && two.compare(Operator::StrictUnequal, "a"));
        assert!(!Texts::new(&["a".into(), "A".into()]).compare(Operator::Unequal, "a"));
    }
}
