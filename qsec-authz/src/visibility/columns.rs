//! Where the attributes of resources stand in somebody's table.

use std::fmt;

use thiserror::Error;

/// An attribute of a resource. Names of links, attributes and custom properties are compared without case.
///
/// ```
/// use qsec_authz::visibility::Column;
/// assert_eq!(Column::custom("Team").to_string(), "@team");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Column {
    /// Its type.
    Type,
    /// Its id.
    Id,
    /// Its name.
    Name,
    /// The id of the user who owns it.
    Owner,
    /// The id of the space that it is in by itself, not by its app.
    Space,
    /// The id of its app.
    App,
    /// The id of its stream.
    Stream,
    /// The id that a link of that name leads to.
    Link(String),
    /// An attribute, as the text that rules see.
    Attribute(String),
    /// A custom property, as the text that rules see.
    Custom(String),
}

impl Column {
    /// An attribute.
    #[must_use]
    pub fn attribute(name: &str) -> Self {
        Self::Attribute(name.to_lowercase())
    }

    /// A custom property.
    #[must_use]
    pub fn custom(name: &str) -> Self {
        Self::Custom(name.to_lowercase())
    }

    /// A link.
    #[must_use]
    pub fn link(name: &str) -> Self {
        Self::Link(name.to_lowercase())
    }

    fn folded(self) -> Self {
        match self {
            Self::Link(name) => Self::link(&name),
            Self::Attribute(name) => Self::attribute(&name),
            Self::Custom(name) => Self::custom(&name),
            Self::Type | Self::Id | Self::Name | Self::Owner | Self::Space | Self::App | Self::Stream => self,
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "type",
            Self::Id => "id",
            Self::Name => "name",
            Self::Owner => "owner",
            Self::Space => "space",
            Self::App => "app",
            Self::Stream => "stream",
            Self::Link(name) | Self::Attribute(name) => name,
            Self::Custom(name) => return write!(f, "@{name}"),
        })
    }
}

/// What happens to a part of a predicate that cannot be said: it names no column of the table, or needs what a database lacks.
///
/// ```
/// use qsec_authz::visibility::{Columns, Unsaid};
/// let columns = Columns::new(Unsaid::Refuse);
/// # let _ = columns;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unsaid {
    /// [`PushError`].
    Refuse,
    /// Rows that depend on it are left out: [`Reach::Narrower`].
    Hide,
    /// Rows that depend on it come too, and the caller decides each again: [`Reach::Wider`].
    Show,
}

/// Which rows come, compared with those that may be seen.
///
/// ```
/// use qsec_authz::visibility::Reach;
/// assert!(Reach::Wider.must_recheck() && !Reach::Narrower.must_recheck());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// Exactly those.
    Exact,
    /// Only such rows, perhaps not all.
    Narrower,
    /// All of them, and perhaps others.
    Wider,
}

impl Reach {
    /// Whether each row must be decided again before anybody sees it.
    #[must_use]
    pub fn must_recheck(self) -> bool {
        self == Self::Wider
    }
}

/// How a table holds an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Named(String),
    Constant(String),
    Absent,
}

/// Where the attributes of resources stand in a table, one resource a row.
///
/// - The table says of a resource what the policy says of it, if the policy lists it; and a row refers (`space`, `app`, `stream`,
///   links) only to what the policy has. [`crate::Snapshot::check`] asks the same of a resource that a caller describes.
/// - A cell holds one value; NULL and the empty text are none. Attributes are texts as rules see them: `true`, `false`, decimals.
/// - A name is a link or an attribute: naming a column for one says that there is no other.
///
/// ```
/// use qsec_authz::visibility::{Column, Columns, Unsaid};
/// let columns = Columns::new(Unsaid::Refuse)
///     .constant(Column::Type, "App")
///     .column(Column::Id, "id")
///     .column(Column::Owner, "owner_id")
///     .column(Column::Space, "space_id")
///     .column(Column::custom("Team"), "team")
///     .absent(Column::App)
///     .absent(Column::Stream);
/// # let _ = columns;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    unsaid: Unsaid,
    places: Vec<(Column, Place)>,
}

impl Columns {
    /// No column yet; and what becomes of what cannot be said.
    #[must_use]
    pub fn new(unsaid: Unsaid) -> Self {
        Self { unsaid, places: Vec::new() }
    }

    /// The attribute stands in the column of that name.
    #[must_use]
    pub fn column(self, column: Column, name: impl Into<String>) -> Self {
        self.put(column, Place::Named(name.into()))
    }

    /// Every row has this value.
    #[must_use]
    pub fn constant(self, column: Column, value: impl Into<String>) -> Self {
        self.put(column, Place::Constant(value.into()))
    }

    /// No row has a value.
    #[must_use]
    pub fn absent(self, column: Column) -> Self {
        self.put(column, Place::Absent)
    }

    fn put(mut self, column: Column, place: Place) -> Self {
        let column = column.folded();
        self.places.retain(|(one, _)| *one != column);
        self.places.push((column, place));
        self
    }

    pub(crate) fn unsaid(&self) -> Unsaid {
        self.unsaid
    }

    pub(crate) fn place(&self, column: &Column) -> Option<&Place> {
        let of = |column: &Column| self.places.iter().find(|(one, _)| one == column).map(|(_, place)| place);
        of(column).or_else(|| {
            let other = match column {
                Column::Link(name) => Column::Attribute(name.clone()),
                Column::Attribute(name) => Column::Link(name.clone()),
                Column::Type
                | Column::Id
                | Column::Name
                | Column::Owner
                | Column::Space
                | Column::App
                | Column::Stream
                | Column::Custom(_) => return None,
            };
            of(&other).map(|_| &Place::Absent)
        })
    }
}

/// Why a predicate cannot be said of a table.
///
/// ```
/// use qsec_authz::section::Dialect;
/// use qsec_authz::visibility::{Columns, Unsaid, Visibility};
/// use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
///
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{}}}"#)?.compile()?;
/// let request = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("")).on_any("App");
/// let Visibility::If(predicate) = snapshot.visibility(&request) else { panic!("only her own") };
/// let error = predicate.to_sql(Dialect::Sqlite, &Columns::new(Unsaid::Refuse)).unwrap_err();
/// assert_eq!((error.code(), error.to_string()), ("missing_column", "no column holds `type`".to_owned()));
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PushError {
    /// The predicate asks for an attribute of which the table says nothing.
    #[error("no column holds `{column}`")]
    MissingColumn {
        /// The attribute.
        column: Column,
    },
    /// A part of the predicate that only a decision can answer.
    #[error("the predicate cannot be said of a table: {reason}")]
    Inexpressible {
        /// Why.
        reason: &'static str,
    },
    /// A name that the dialect cannot hold.
    #[error("`{name}` is not an identifier here")]
    BadIdentifier {
        /// The name.
        name: String,
    },
    /// More values than one statement takes.
    #[error("{found} parameters, but a statement takes {limit}")]
    TooManyParameters {
        /// Parameters of this predicate.
        found: usize,
        /// Parameters that the dialect takes.
        limit: usize,
    },
    /// A dialect whose comparisons were not checked.
    #[error("no predicates for this dialect")]
    UnsupportedDialect,
    /// A column of a batch that holds no texts.
    #[error("column `{name}` holds `{data_type}`, not texts")]
    UnsupportedType {
        /// The column.
        name: String,
        /// What it holds.
        data_type: String,
    },
}

impl PushError {
    /// The stable name of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingColumn { .. } => "missing_column",
            Self::Inexpressible { .. } => "inexpressible",
            Self::BadIdentifier { .. } => "bad_identifier",
            Self::TooManyParameters { .. } => "too_many_parameters",
            Self::UnsupportedDialect => "unsupported_dialect",
            Self::UnsupportedType { .. } => "unsupported_type",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naming_a_link_says_that_there_is_no_such_attribute() {
        let columns = Columns::new(Unsaid::Refuse).column(Column::link("Library"), "library");
        assert_eq!(columns.place(&Column::link("LIBRARY")), Some(&Place::Named("library".to_owned())));
        assert_eq!(columns.place(&Column::attribute("library")), Some(&Place::Absent));
        assert_eq!(columns.place(&Column::custom("library")), None);
    }
}
