//! A condition as a tree.

use crate::action::Action;
use crate::rule::glob::Glob;
use crate::rule::pattern::Pattern;

/// A condition. Names are in lower case.
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    Constant(bool),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Compare(Operand, Operator, Operand),
    /// With a pattern in lower case.
    Like(Operand, Glob),
    Matches(Operand, Pattern),
    IsAnonymous,
    IsOwned(Path),
    Empty(Path),
    HasPrivilege(Path, Action),
}

/// What is compared.
#[derive(Debug, Clone)]
pub(crate) enum Operand {
    Texts(Vec<String>),
    Path(Path),
}

/// How it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    Equal,
    StrictEqual,
    Unequal,
    StrictUnequal,
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    User,
    Resource,
}

/// `user` or `resource`, and what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    Name(String),
    Custom(String),
}

/// What the values at the end of a path are, as far as that is known without a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    User,
    Environment,
    Resource,
    /// A link or an attribute: resources or texts.
    Linked,
    Text,
}

impl Sort {
    /// What a segment makes of it.
    pub(crate) fn then(self, segment: &Segment) -> Self {
        match (self, segment) {
            (Self::Resource | Self::Linked, Segment::Name(name)) => match name.as_str() {
                "id" | "name" | "resourcetype" | "resourcefilter" | "space" => Self::Text,
                "owner" => Self::User,
                "app" | "stream" => Self::Resource,
                _ => Self::Linked,
            },
            (Self::User, Segment::Name(name)) if name == "environment" => Self::Environment,
            _ => Self::Text,
        }
    }
}

impl Path {
    /// What its values are.
    pub(crate) fn sort(&self) -> Sort {
        let root = match self.root {
            Root::User => Sort::User,
            Root::Resource => Sort::Resource,
        };
        self.segments.iter().fold(root, Sort::then)
    }

    /// Whether each step is a link from a resource to resources.
    pub(crate) fn is_resource(&self) -> bool {
        matches!(self.sort(), Sort::Resource | Sort::Linked)
    }

    /// Whether it often has several values: groups, roles, custom properties.
    pub(crate) fn is_multivalued(&self) -> bool {
        let Some((last, before)) = self.segments.split_last() else { return false };
        let holder = Self { root: self.root, segments: before.to_vec() };
        match last {
            Segment::Custom(_) => true,
            Segment::Name(name) => holder.sort() == Sort::User && ["group", "roles", "role"].contains(&name.as_str()),
        }
    }
}
