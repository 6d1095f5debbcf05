//! Security rules as written: allow these actions on the resources that this filter names, provided that this condition holds.

use crate::action::Action;
use crate::bits::{Bit, Set};
use crate::flaw::guess;
use crate::policy::RuleActions;
use crate::request::Context;
use crate::resource::AttributeValue;

pub(crate) mod filter;
pub(crate) mod glob;
pub(crate) mod lexer;
pub(crate) mod parser;
pub(crate) mod pattern;
pub(crate) mod persona;
pub(crate) mod syntax;

use filter::Filter;
pub use parser::MAX_CONDITION_BYTES;
use pattern::Patterns;
use syntax::Expression;

/// Most rules in one tenant.
pub const MAX_RULES: usize = 100_000;

/// What makes a rule malformed, and where in its condition, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Malformed {
    fn new(at: usize, message: String) -> Self {
        Self { at, message, hint: None }
    }

    fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// On which side of the platform a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sides {
    Both,
    Hub,
    Admin,
}

impl Sides {
    /// Embedded content and programs are on the side of the hub.
    pub(crate) fn has(self, context: Context) -> bool {
        match self {
            Self::Both => true,
            Self::Hub => context != Context::Admin,
            Self::Admin => context == Context::Admin,
        }
    }

    pub(crate) fn covers(self, other: Self) -> bool {
        self == Self::Both || self == other
    }

    fn read(value: Option<&AttributeValue>) -> Result<Self, Malformed> {
        let known = [("both", Self::Both), ("hub", Self::Hub), ("admin", Self::Admin)];
        let Some(value) = value else { return Ok(Self::Both) };
        let found = (0..).zip(known).find(|(number, (name, _))| {
            *value == AttributeValue::Integer(*number) || *value == AttributeValue::Text((*name).to_owned())
        });
        let malformed = || Malformed::new(0, "the context is `both`, `hub` or `admin`".to_owned());
        found.map(|(_, (_, sides))| sides).ok_or_else(malformed)
    }
}

/// What the rules of one tenant share while they are read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    patterns: Patterns,
    /// How many parts their conditions have.
    parts: u32,
    /// Steps to compare their texts with patterns.
    steps: usize,
}

/// A rule that was read.
#[derive(Debug, Clone)]
pub(crate) struct ReadRule {
    pub(crate) filter: Filter,
    pub(crate) actions: Set<Action>,
    pub(crate) sides: Sides,
    /// `None` holds for everybody.
    pub(crate) condition: Option<Expression>,
}

impl ReadRule {
    /// Reads what a policy says of a rule.
    pub(crate) fn read(
        filter: &str,
        actions: &RuleActions,
        context: Option<&AttributeValue>,
        condition: &str,
        reading: &mut Reading,
    ) -> Result<Self, Malformed> {
        Ok(Self {
            filter: Filter::read(filter)?,
            actions: read_actions(actions)?,
            sides: Sides::read(context)?,
            condition: parser::condition(condition, reading)?,
        })
    }

    /// Whether it grants to everybody what it is about.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.condition, None | Some(Expression::Constant(true)))
    }
}

/// Actions that have a bit: those of the sum 8191.
const MAX_SUM: i64 = 8191;

fn read_actions(actions: &RuleActions) -> Result<Set<Action>, Malformed> {
    match actions {
        RuleActions::Bits(sum @ 1..=MAX_SUM) => {
            let has = |action: &Action| sum.checked_shr(action.index()).is_some_and(|rest| rest & 1 == 1);
            Ok(Action::ALL.iter().copied().filter(has).collect())
        }
        RuleActions::Bits(_) => Err(Malformed::new(0, format!("the sum of actions is 1 to {MAX_SUM}"))),
        RuleActions::Names(names) if names.is_empty() => Err(Malformed::new(0, "the rule has no action".to_owned())),
        RuleActions::Names(names) => names.iter().map(|name| action_named(name)).collect(),
    }
}

/// The action of a name as rules write it: case, blanks and underscores mean nothing.
fn action_named(name: &str) -> Result<Action, Malformed> {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| !c.is_whitespace() && *c != '_').map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = plain(name);
    Action::ALL.iter().copied().find(|action| plain(action.as_str()) == wanted).ok_or_else(|| {
        let near = guess(name, Action::ALL.iter().map(|action| action.as_str()));
        Malformed::new(0, format!("unknown action `{name}`")).maybe_hint(near)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_names_ignore_case_blanks_and_underscores() {
        for name in ["Change owner", "changeOwner", "change_owner", "CHANGEOWNER"] {
            assert_eq!(action_named(name), Ok(Action::ChangeOwner));
        }
        assert_eq!(action_named("view data"), Ok(Action::ViewData));
        assert!(action_named("peek").is_err() && action_named("").is_err());
    }

    #[test]
    fn sum_of_actions_names_each_bit() {
        let read = |sum| read_actions(&RuleActions::Bits(sum));
        assert_eq!(read(15).unwrap(), Set::of(&[Action::Create, Action::Read, Action::Update, Action::Delete]));
        assert_eq!(read(4096).unwrap(), Set::of(&[Action::Approve]));
        assert_eq!(read(8191).unwrap().iter().count(), 13);
        for sum in [0, -1, 8192, i64::MAX, i64::MIN] {
            assert!(read(sum).is_err(), "{sum}");
        }
        assert!(read_actions(&RuleActions::Names(Vec::new())).is_err());
    }
}
