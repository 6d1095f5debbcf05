//! Events by name: what another crate, or a line of text, has to say.

use std::borrow::Cow;

use super::{Actor, Event, Kind};
use crate::catalogue::EventType;
use crate::value::{Object, Value};

/// Why a draft does not fit the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A member that the type does not have.
    #[error("`{kind}` has no member `{path}`")]
    UnknownMember {
        /// The event's type.
        kind: &'static str,
        /// The member.
        path: String,
    },
    /// A member of another type than the catalogue says.
    #[error("`{path}` of `{kind}` is not {wanted}")]
    WrongType {
        /// The event's type.
        kind: &'static str,
        /// The member.
        path: String,
        /// What it must be.
        wanted: &'static str,
    },
}

impl SchemaError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        "schema_mismatch"
    }
}

/// An event that is known by its name only. A name of the catalogue makes an event of that type, with its delivery class; any other
/// is recorded under its own name, as class [`Block`](super::Class::Block).
///
/// ```
/// use qsec_audit::{Actor, Class, Draft};
///
/// let event = Draft::new("key.disabled").data("version", 3).by(Actor::operator("op-1"));
/// assert_eq!(event.class(), Class::FailClosed);
/// let event = Draft::new("coffee.brewed").by(Actor::system());
/// assert_eq!((event.name(), event.class()), ("coffee.brewed", Class::Block));
///
/// let wrong = Draft::new("key.disabled").data("version", "three");
/// assert_eq!(wrong.check().unwrap_err().code(), "schema_mismatch");
/// ```
#[derive(Debug, Clone)]
#[must_use = "a draft becomes an event by `by`"]
pub struct Draft {
    kind: Kind,
    data: Object,
}

impl Draft {
    /// A draft without data.
    pub fn new(name: &str) -> Self {
        Self { kind: Kind::of(name), data: Object::new() }
    }

    /// A draft with all its data.
    pub fn with_data(name: &str, data: Object) -> Self {
        Self { kind: Kind::of(name), data }
    }

    /// Adds a member to `data`.
    pub fn data(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.data.insert(name, value);
        self
    }

    /// The row of the catalogue, if there is one.
    pub const fn event_type(&self) -> Option<&'static EventType> {
        if let Kind::Known(known) = self.kind { Some(known) } else { None }
    }

    /// Holds `data` against the catalogue. Members may be left out; a name outside the catalogue is free.
    ///
    /// # Errors
    /// [`SchemaError`] names the first member that the type does not have, or has with another type.
    pub fn check(&self) -> Result<(), SchemaError> {
        self.event_type().map_or(Ok(()), |known| known.check(&self.data))
    }

    /// Who did it.
    pub fn by(self, actor: Actor) -> Event {
        Event::new(self.kind, self.data, actor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_checked_against_the_catalogue() {
        let code = |draft: Draft| draft.check().map_err(|error| error.to_string());
        assert_eq!(code(Draft::new("app.opened").data("app", "a-1")), Ok(()));
        assert_eq!(code(Draft::new("app.opened")), Ok(()));
        assert_eq!(code(Draft::new("made.up").data("anything", 1)), Ok(()));
        assert!(code(Draft::new("app.opened").data("sheet", "s")).unwrap_err().contains("no member `sheet`"));
        assert!(code(Draft::new("app.opened").data("app", 1)).unwrap_err().contains("is not a string"));
        assert!(code(Draft::new("key.disabled").data("by", "chance")).unwrap_err().contains("`by`"));
    }
}
