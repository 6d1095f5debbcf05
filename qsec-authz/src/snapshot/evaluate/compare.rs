//! Comparisons of values: any of the left with any of the right.

use std::collections::HashSet;

use super::walk::Value;
use super::{Evaluation, Failed, Question};
use crate::rule::pattern::Pattern;
use crate::rule::syntax::Operator;
use crate::snapshot::condition::{Path, Test, folded, same};

/// Up to how many pairs are compared one by one.
const FEW_PAIRS: usize = 256;

impl<'e> Evaluation<'e> {
    pub(super) fn test(&self, test: &'e Test, question: Question) -> Result<bool, Failed> {
        match test {
            Test::Texts(path, operator, texts) => self.any(path, question, &|value| texts.compare(*operator, value)),
            Test::Like(path, glob) => self.any(path, question, &|value| glob.matches(&folded(value))),
            Test::Matches(path, pattern) => self.any_match(path, question, pattern),
            Test::Paths(left, operator, right) => {
                let left = self.values(left, question)?;
                if left.first.is_none() {
                    return Ok(false);
                }
                self.compare(&left, *operator, &self.values(right, question)?)
            }
        }
    }

    /// Whether a value of the path, as a text, is as wanted.
    fn any(&self, path: &'e Path, question: Question, wanted: &impl Fn(&str) -> bool) -> Result<bool, Failed> {
        self.walk(path, question, &mut |value| self.text_of(&value).is_some_and(|text| wanted(&text)))
    }

    /// The same of a pattern, which may take long.
    fn any_match(&self, path: &'e Path, question: Question, pattern: &Pattern) -> Result<bool, Failed> {
        let mut spent = Ok(());
        let found = self.walk(path, question, &mut |value| {
            self.text_of(&value).is_some_and(|text| {
                spent = self.spend(pattern.cost(&text));
                spent.is_err() || pattern.matches(&text)
            })
        })?;
        spent.map(|()| found)
    }

    pub(super) fn values(&self, path: &'e Path, question: Question) -> Result<Values<'e>, Failed> {
        let mut values = Values::default();
        self.walk(path, question, &mut |value| values.push(value))?;
        Ok(values)
    }

    pub(super) fn compare(&self, left: &Values<'e>, operator: Operator, right: &Values<'e>) -> Result<bool, Failed> {
        let strict = matches!(operator, Operator::StrictEqual | Operator::StrictUnequal);
        match operator {
            Operator::Equal | Operator::StrictEqual => {
                let pairs = left.len().saturating_mul(right.len());
                if pairs > FEW_PAIRS
                    && let (Some(left), Some(right)) = (left.texts(), right.texts())
                {
                    return Ok(meet(&left, &right, strict));
                }
                self.spend(pairs)?;
                Ok(left.iter().any(|one| right.iter().any(|two| self.equal(one, two, strict) == Some(true))))
            }
            // All pairs are equal if those with the first of either side are.
            Operator::Unequal | Operator::StrictUnequal => {
                let differ = |one: &Value<'e>, two: &Value<'e>| self.equal(one, two, strict) == Some(false);
                let first = left.first.as_ref().is_some_and(|one| right.iter().any(|two| differ(one, two)));
                Ok(first || right.first.as_ref().is_some_and(|two| left.iter().any(|one| differ(one, two))))
            }
        }
    }

    /// Whether two values are equal: users and resources by identity, exactly. `None` if one has no text to compare.
    fn equal(&self, one: &Value<'e>, two: &Value<'e>, strict: bool) -> Option<bool> {
        match (one, two) {
            (Value::User(one), Value::User(two)) => Some(one == two),
            (Value::Resource(one), Value::Resource(two)) => Some(one == two),
            (Value::User(_), Value::Resource(_)) | (Value::Resource(_), Value::User(_)) => Some(false),
            (Value::Text(_), _) | (_, Value::Text(_)) => Some(same(strict, &self.text_of(one)?, &self.text_of(two)?)),
        }
    }
}

/// The values of a path: most have one, which needs no memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Values<'e> {
    first: Option<Value<'e>>,
    others: Vec<Value<'e>>,
}

impl<'e> Values<'e> {
    /// Keeps a value, and asks for more.
    pub(super) fn push(&mut self, value: Value<'e>) -> bool {
        match self.first {
            None => self.first = Some(value),
            Some(_) => self.others.push(value),
        }
        false
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Value<'e>> {
        self.first.iter().chain(&self.others)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()).saturating_add(self.others.len())
    }

    /// All of them, if they are texts.
    fn texts(&self) -> Option<Vec<&str>> {
        self.iter().map(|value| if let Value::Text(text) = value { Some(&**text) } else { None }).collect()
    }
}

fn meet(left: &[&str], right: &[&str], strict: bool) -> bool {
    if strict {
        let right: HashSet<_> = right.iter().collect();
        return left.iter().any(|text| right.contains(text));
    }
    let right: HashSet<_> = right.iter().map(|text| folded(text)).collect();
    left.iter().any(|text| right.contains(&folded(text)))
}
