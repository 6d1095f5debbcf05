//! A predicate over a resource, as a tree.

use std::sync::Arc;

use crate::resource::Resource;
use crate::rule::glob::Glob;
use crate::rule::pattern::Pattern;
use crate::rule::syntax::Operator;
use crate::snapshot::condition::{Texts, folded, same};
use crate::snapshot::details::each_text;

use super::columns::Column;

/// Where values of a resource come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Column(Column),
    /// `Type_id`: there is one always.
    Filter,
}

/// What is asked of a value that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueTest {
    Texts(Operator, Texts),
    /// With a pattern in lower case, of the value in lower case.
    Like(Glob),
    /// With case.
    Glob(Glob),
    Matches(Pattern),
}

impl ValueTest {
    pub(crate) fn of(&self, value: &str) -> bool {
        match self {
            Self::Texts(operator, texts) => texts.compare(*operator, value),
            Self::Like(glob) => glob.matches(&folded(value)),
            Self::Glob(glob) => glob.matches(value),
            Self::Matches(pattern) => pattern.matches(value),
        }
    }
}

/// Most steps for one value and a pattern: what a whole decision has. It fails there, so that nothing is said here either.
const MAX_VALUE_STEPS: usize = 1_000_000;

/// A predicate. Each leaf asks whether *some* value of one source is so; a resource without a value makes it false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    Always(bool),
    Not(Arc<Expression>),
    All(Arc<[Expression]>),
    Any(Arc<[Expression]>),
    Present(Source),
    /// One of these, exactly. Sorted.
    Member(Source, Arc<[Box<str>]>),
    Test(Source, ValueTest),
    /// What a single resource does not say: why.
    Unknown(&'static str),
}

/// What can be asked for the values of its columns.
pub(crate) trait Row {
    /// Gives the values of a column that are not empty, until told to stop. Whether it was told to stop; `None` if the column is
    /// not known.
    fn each(&self, column: &Column, found: &mut dyn FnMut(&str) -> bool) -> Option<bool>;
}

impl Expression {
    pub(crate) const YES: Self = Self::Always(true);
    pub(crate) const NO: Self = Self::Always(false);

    pub(crate) fn not(inner: Self) -> Self {
        if let Self::Always(value) = inner {
            Self::Always(!value)
        } else if let Self::Not(inner) = inner {
            (*inner).clone()
        } else {
            Self::Not(Arc::new(inner))
        }
    }

    pub(crate) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            if part == Self::NO {
                return part;
            } else if let Self::All(inner) = &part {
                all.extend(inner.iter().cloned());
            } else if part != Self::YES {
                all.push(part);
            }
        }
        Self::joined(all, Self::YES, Self::All)
    }

    pub(crate) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            if part == Self::YES {
                return part;
            } else if let Self::Any(inner) = &part {
                all.extend(inner.iter().cloned());
            } else if part != Self::NO {
                all.push(part);
            }
        }
        Self::joined(all, Self::NO, Self::Any)
    }

    fn joined(mut all: Vec<Self>, nothing: Self, join: fn(Arc<[Self]>) -> Self) -> Self {
        if all.len() > 1 { join(all.into()) } else { all.pop().unwrap_or(nothing) }
    }

    pub(crate) fn present(column: Column) -> Self {
        Self::Present(Source::Column(column))
    }

    /// One of these ids; none is never.
    pub(crate) fn member<'t>(column: Column, ids: impl IntoIterator<Item = &'t str>) -> Self {
        let mut ids: Vec<Box<str>> = ids.into_iter().filter(|id| !id.is_empty()).map(Into::into).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() { Self::NO } else { Self::Member(Source::Column(column), ids.into()) }
    }

    /// Whether nothing in it is unknown.
    pub(crate) fn is_exact(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Not(inner) => inner.is_exact(),
            Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::is_exact),
            Self::Always(_) | Self::Present(_) | Self::Member(..) | Self::Test(..) => true,
        }
    }

    /// Whether it holds; `None` where that depends on something unknown. `column` is told the columns that were missing.
    pub(crate) fn holds(&self, row: &dyn Row) -> Option<bool> {
        match self {
            Self::Always(value) => Some(*value),
            Self::Unknown(_) => None,
            Self::Not(inner) => inner.holds(row).map(|held| !held),
            Self::All(parts) => settle(parts, row, false),
            Self::Any(parts) => settle(parts, row, true),
            Self::Present(source) => each(row, source, &mut |_| true),
            Self::Member(source, ids) => {
                each(row, source, &mut |value| ids.binary_search_by(|id| (**id).cmp(value)).is_ok())
            }
            Self::Test(source, ValueTest::Matches(pattern)) => {
                let mut too_long = false;
                let found = each(row, source, &mut |value| {
                    too_long = pattern.cost(value) > MAX_VALUE_STEPS;
                    too_long || pattern.matches(value)
                });
                found.filter(|_| !too_long)
            }
            Self::Test(source, test) => each(row, source, &mut |value| test.of(value)),
        }
    }
}

/// One part that is `decisive` decides, whatever is unknown.
fn settle(parts: &[Expression], row: &dyn Row, decisive: bool) -> Option<bool> {
    let mut answer = Some(!decisive);
    for part in parts {
        match part.holds(row) {
            Some(held) if held == decisive => return Some(decisive),
            Some(_) => {}
            None => answer = None,
        }
    }
    answer
}

fn each(row: &dyn Row, source: &Source, found: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
    match source {
        Source::Column(column) => row.each(column, found),
        Source::Filter => {
            let first = |column: Column| {
                let mut first = String::new();
                row.each(&column, &mut |value| {
                    value.clone_into(&mut first);
                    true
                })
                .map(|_| first)
            };
            Some(found(&format!("{}_{}", first(Column::Type)?, first(Column::Id)?)))
        }
    }
}

impl Row for Resource {
    fn each(&self, column: &Column, found: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        let mut one = |value: Option<&String>| value.is_some_and(|value| !value.is_empty() && found(value));
        Some(match column {
            Column::Type => one(Some(&self.type_name)),
            Column::Id => one(self.id.as_ref()),
            Column::Name => one(self.name.as_ref()),
            Column::Owner => one(self.owner.as_ref()),
            Column::Space => one(self.space.as_ref()),
            Column::App => one(self.app.as_ref()),
            Column::Stream => one(self.stream.as_ref()),
            Column::Link(name) => {
                let links = self.links.iter().filter(|(link, _)| same(false, link, name));
                links.flat_map(|(_, ids)| ids).any(|id| one(Some(id)))
            }
            Column::Attribute(name) | Column::Custom(name) => {
                let list = if matches!(column, Column::Custom(_)) { &self.custom } else { &self.attributes };
                let named = list.iter().filter(|(one, _)| same(false, one, name));
                named
                    .into_iter()
                    .any(|(_, value)| each_text(value, &mut |text: std::borrow::Cow<'_, str>| found(&text)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_disappear() {
        let owner = || Expression::present(Column::Owner);
        assert_eq!(Expression::all([Expression::YES, owner()]), owner());
        assert_eq!(Expression::all([Expression::NO, owner()]), Expression::NO);
        assert_eq!(Expression::any([Expression::NO, owner()]), owner());
        assert_eq!(Expression::any([owner(), Expression::YES]), Expression::YES);
        assert_eq!(Expression::not(Expression::not(owner())), owner());
        assert_eq!(Expression::member(Column::Id, [""; 2]), Expression::NO);
    }

    #[test]
    fn unknown_part_matters_only_where_nothing_else_decides() {
        let (unknown, nobody) = (|| Expression::Unknown("why"), Resource::new("App"));
        let (present, absent) = (Expression::present(Column::Type), Expression::present(Column::Owner));
        assert_eq!(Expression::any([unknown(), present.clone()]).holds(&nobody), Some(true));
        assert_eq!(Expression::any([unknown(), absent.clone()]).holds(&nobody), None);
        assert_eq!(Expression::all([unknown(), absent]).holds(&nobody), Some(false));
        assert_eq!(Expression::all([unknown(), present]).holds(&nobody), None);
    }
}
