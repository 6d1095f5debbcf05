//! What a row is, and the macro that makes types of rows.

use crate::event::{Class, SchemaError};
use crate::value::{Object, Value};

/// One type of event: a row of the catalogue.
///
/// ```
/// let known = qsec_audit::catalogue::find("tenant.created").ok_or("not in the catalogue")?;
/// assert_eq!(known.fields().iter().map(|field| field.name()).last(), Some("name_digest"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct EventType {
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) severity: u8,
    pub(super) fields: &'static [Field],
    pub(super) personal: &'static [&'static str],
    pub(super) ocsf: Ocsf,
    pub(super) alias: Option<&'static str>,
    pub(super) demanded_by: &'static str,
}

impl EventType {
    /// The name, dotted.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Version of `data`.
    pub const fn version(&self) -> u8 {
        1
    }

    /// How it is delivered.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Severity on the OCSF scale when it succeeds; one higher when it does not.
    pub const fn severity(&self) -> u8 {
        self.severity
    }

    /// The fields of `data`.
    pub const fn fields(&self) -> &'static [Field] {
        self.fields
    }

    /// Personal fields of its own, beside [`PERSONAL`](super::PERSONAL): given by [`Event::personal`](crate::Event::personal).
    pub const fn personal(&self) -> &'static [&'static str] {
        self.personal
    }

    /// Its codes in OCSF.
    pub const fn ocsf(&self) -> Ocsf {
        self.ocsf
    }

    /// What the product calls it.
    pub const fn alias(&self) -> Option<&'static str> {
        self.alias
    }

    /// Why it is in the catalogue.
    pub const fn demanded_by(&self) -> &'static str {
        self.demanded_by
    }

    pub(crate) fn check(&'static self, data: &Object) -> Result<(), SchemaError> {
        data.iter().try_for_each(|(name, value)| {
            let path = || crate::name::shorten(name);
            let field = self.fields.iter().find(|field| field.name == name);
            let field = field.ok_or_else(|| SchemaError::UnknownMember { kind: self.name, path: path() })?;
            let wrong = || SchemaError::WrongType { kind: self.name, path: path(), wanted: field.shape.in_words() };
            if field.shape.fits(value) { Ok(()) } else { Err(wrong()) }
        })
    }
}

/// A field of `data`.
///
/// ```
/// use qsec_audit::catalogue::{KeyUsed, Shape};
///
/// let field = KeyUsed::TYPE.fields().iter().find(|field| field.name() == "wraps").ok_or("no field")?;
/// assert_eq!(field.shape(), Shape::Integer);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

impl Field {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it holds.
    pub const fn shape(&self) -> Shape {
        self.shape
    }
}

/// What a field holds.
///
/// ```
/// use qsec_audit::catalogue::Shape;
///
/// assert_ne!(Shape::Time, Shape::Text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// True or false.
    Flag,
    /// RFC 3339 in UTC, with microseconds.
    Time,
    /// A list of strings.
    Texts,
    /// An object of integers.
    Counts,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Shape {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "an integer",
            Self::Flag => "true or false",
            Self::Time => "a time in RFC 3339",
            Self::Texts => "a list of strings",
            Self::Counts => "an object of integers",
            Self::OneOf(_) => "one of its words",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::Text(_)) | (Self::Integer, Value::Integer(_)) | (Self::Flag, Value::Bool(_)) => true,
            (Self::Time, Value::Text(text)) => text.parse::<jiff::Timestamp>().is_ok(),
            (Self::Texts, Value::List(items)) => items.iter().all(|item| matches!(item, Value::Text(_))),
            (Self::Counts, Value::Object(counts)) => counts.iter().all(|(_, count)| matches!(count, Value::Integer(_))),
            (Self::OneOf(words), Value::Text(text)) => words.contains(&text.as_str()),
            _ => false,
        }
    }
}

/// Class and activity in OCSF 1.9.0, and in 1.8.0 where they differ.
///
/// ```
/// use qsec_audit::catalogue::{Activity, UserInvited};
///
/// let ocsf = UserInvited::TYPE.ocsf();
/// assert_eq!((ocsf.class_uid(), ocsf.activity()), (3007, Activity::Code(1)));
/// assert_eq!(ocsf.before_1_9(), Some((3001, 1)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ocsf {
    pub(super) class_uid: u16,
    pub(super) activity: Activity,
    pub(super) before_1_9: Option<(u16, u8)>,
}

impl Ocsf {
    /// `class_uid`.
    pub const fn class_uid(self) -> u16 {
        self.class_uid
    }

    /// `activity_id`.
    pub const fn activity(self) -> Activity {
        self.activity
    }

    /// Class and activity in OCSF 1.8.0, if they are others.
    pub const fn before_1_9(self) -> Option<(u16, u8)> {
        self.before_1_9
    }
}

/// An activity of an OCSF class.
///
/// ```
/// use qsec_audit::catalogue::{Activity, DecisionDenied};
///
/// assert_eq!(DecisionDenied::TYPE.ocsf().activity(), Activity::ByVerb);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// Always this one.
    Code(u8),
    /// That of the verb tried: create 1, read 2, update 3, delete 4, else 99.
    ByVerb,
}

macro_rules! activity {
    (v) => {
        $crate::catalogue::Activity::ByVerb
    };
    ($code:literal) => {
        $crate::catalogue::Activity::Code($code)
    };
}

/// The member's name: that of the setter, unless the row says another.
macro_rules! member {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $json:literal) => {
        $json
    };
}

macro_rules! option {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

macro_rules! shape {
    (text) => {
        $crate::catalogue::Shape::Text
    };
    (int) => {
        $crate::catalogue::Shape::Integer
    };
    (flag) => {
        $crate::catalogue::Shape::Flag
    };
    (time) => {
        $crate::catalogue::Shape::Time
    };
    (texts) => {
        $crate::catalogue::Shape::Texts
    };
    (counts) => {
        $crate::catalogue::Shape::Counts
    };
    ($words:ident) => {
        $crate::catalogue::Shape::OneOf($crate::catalogue::$words::WORDS)
    };
}

/// One setter a field. What a field takes is a std type or a closed vocabulary: a secret fits none of them.
macro_rules! setter {
    ($field:ident $name:tt text) => {
        setter!(@ $field $name, impl Into<String>, value => value.into());
    };
    ($field:ident $name:tt int) => {
        setter!(@ $field $name, i64, value => value);
    };
    ($field:ident $name:tt flag) => {
        setter!(@ $field $name, bool, value => value);
    };
    ($field:ident $name:tt time) => {
        setter!(@ $field $name, std::time::SystemTime, value => $crate::event::encode_time(value));
    };
    ($field:ident $name:tt texts) => {
        setter!(@ $field $name, impl IntoIterator<Item: Into<String>>,
            value => value.into_iter().map(|item| $crate::value::Value::Text(item.into())).collect::<Vec<_>>());
    };
    ($field:ident $name:tt counts) => {
        setter!(@ $field $name, impl IntoIterator<Item = (String, i64)>, value => value.into_iter().collect::<$crate::value::Object>());
    };
    ($field:ident $name:tt $words:ident) => {
        setter!(@ $field $name, $crate::catalogue::$words, value => value.as_str());
    };
    (@ $field:ident $name:tt, $type:ty, $value:ident => $to:expr) => {
        #[doc = concat!("Sets `data.", stringify!($field), "`.")]
        pub fn $field(mut self, $value: $type) -> Self {
            self.data.insert($name, $to);
            self
        }
    };
}

macro_rules! catalogue {
    ($(
        $type:ident = $name:literal $class:ident, severity $severity:literal,
        ocsf $ocsf:literal : $activity:tt $(($before:literal : $before_activity:literal))?,
        alias($($alias:literal)?), $demanded:literal,
        { $($field:ident $(as $json:literal)? : $shape:ident),* } personal($($personal:literal),*);
    )*) => {
        /// The rows of this part of the catalogue.
        pub(super) const TYPES: &[&$crate::catalogue::EventType] = &[$($type::TYPE),*];

        $(
            #[doc = concat!("`", $name, "`. Demanded by ", $demanded, ".")]
            #[derive(Debug, Clone, Default)]
            #[must_use = "`by` makes it an event"]
            pub struct $type {
                data: $crate::value::Object,
            }

            impl $type {
                /// Its row.
                pub const TYPE: &'static $crate::catalogue::EventType = &$crate::catalogue::EventType {
                    name: $name,
                    class: $crate::event::Class::$class,
                    severity: $severity,
                    fields: &[$($crate::catalogue::Field { name: member!($field $($json)?), shape: shape!($shape) }),*],
                    personal: &[$($personal),*],
                    ocsf: $crate::catalogue::Ocsf {
                        class_uid: $ocsf,
                        activity: activity!($activity),
                        before_1_9: option!($(($before, $before_activity))?),
                    },
                    alias: option!($($alias)?),
                    demanded_by: $demanded,
                };

                /// Without data.
                pub const fn new() -> Self {
                    Self { data: $crate::value::Object::new() }
                }

                $(setter!($field (member!($field $($json)?)) $shape);)*

                /// Who did it.
                pub fn by(self, actor: $crate::event::Actor) -> $crate::event::Event {
                    $crate::event::Event::new($crate::event::Kind::Known(Self::TYPE), self.data, actor)
                }
            }
        )*
    };
}

pub(super) use {activity, catalogue, member, option, setter, shape};
