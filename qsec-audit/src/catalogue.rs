//! The catalogue: every type of event, in one table.
//!
//! A row gives the type's name, its Rust type, its delivery class, severity, data fields, personal fields, OCSF codes, alias and what
//! demands it. Types, checks and schemas come from the row; no second place knows an event.
//!
//! ```
//! use qsec_audit::{Actor, catalogue};
//! use qsec_audit::catalogue::KeyRotated;
//!
//! let event = KeyRotated::new().version(4).from_version(3).kms_key("arn:…").by(Actor::operator("op-1"));
//! assert_eq!(event.name(), "key.rotated");
//! assert_eq!(catalogue::find("app.opened").and_then(|known| known.alias()), Some("com.qlik.v1.app.opened"));
//! ```
//!
//! A secret cannot be put into an event: no field takes one.
//!
//! ```compile_fail
//! use qsec_audit::{MacKey, catalogue::KeyCreated};
//!
//! let key = MacKey::from_bytes(&[7; 32]);
//! KeyCreated::new().kms_key(key);
//! ```

mod access;
mod content;
mod keys;
mod lifecycle;
mod login;
mod schema;
mod system;
mod table;
mod trust;
mod words;

pub use access::*;
pub use content::*;
pub use keys::*;
pub use lifecycle::*;
pub use login::*;
pub use system::*;
pub use table::{Activity, EventType, Field, Ocsf, Shape};
pub use trust::*;
pub use words::*;

/// Names of members that are personal in every event: never in a leaf.
pub const PERSONAL: [&str; 7] = ["ip", "user_agent", "name", "email", "idp_subject", "groups", "claims"];

const TABLES: [&[&EventType]; 7] =
    [keys::TYPES, login::TYPES, access::TYPES, content::TYPES, trust::TYPES, lifecycle::TYPES, system::TYPES];

/// Every type, in the order of the catalogue.
pub fn all() -> impl Iterator<Item = &'static EventType> {
    TABLES.into_iter().flatten().copied()
}

/// The type of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static EventType> {
    all().find(|known| known.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_well_formed_and_found() {
        let mut seen = HashSet::new();
        for known in all() {
            assert!(seen.insert(known.name()), "{} stands twice", known.name());
            assert!(crate::event::is_event_name(known.name()), "{}", known.name());
            assert!(std::ptr::eq(find(known.name()).unwrap(), known));
            assert!((1..=6).contains(&known.severity()));
            let mut fields: Vec<_> = known.fields().iter().map(Field::name).collect();
            fields.sort_unstable();
            fields.dedup();
            assert_eq!(fields.len(), known.fields().len(), "{} has a field twice", known.name());
            assert!(
                fields.iter().all(|field| !PERSONAL.contains(field) && !known.personal().contains(field)),
                "{}",
                known.name()
            );
        }
        assert!(find("no.such").is_none());
    }

    fn line(known: &EventType) -> String {
        let fields: Vec<_> =
            known.fields().iter().map(|field| format!("{} {:?}", field.name(), field.shape())).collect();
        let (name, class, severity) = (known.name(), known.class().as_str(), known.severity());
        let (ocsf, alias) = (known.ocsf(), known.alias().unwrap_or("-"));
        format!("{name} | {class} | {severity} | {ocsf:?} | {alias} | {} | {:?}", fields.join(", "), known.personal())
    }

    /// The whole table as text: a change of it is a diff that somebody reviews.
    #[test]
    fn table_is_the_reviewed_one() {
        let now: Vec<String> = all().map(line).collect();
        let reviewed: Vec<&str> = include_str!("../tests/data/catalogue.txt").lines().collect();
        assert_eq!(now, reviewed);
    }

    #[test]
    fn schemas_are_json_and_closed() {
        for known in all() {
            let json: serde_json::Value = serde_json::from_str(&known.schema()).unwrap();
            assert_eq!(json["type"], known.name());
            assert_eq!(json["class"], known.class().as_str());
            let data = &json["schema"]["properties"]["data"];
            assert_eq!(data["additionalProperties"], false, "{}", known.name());
            for field in known.fields() {
                assert!(data["properties"][field.name()].is_object());
            }
        }
    }

    #[test]
    fn refusals_of_strangers_and_lifecycle_have_their_classes() {
        for (name, class) in [
            ("tenant.request_refused", Class::CountedDrop),
            ("login.failed", Class::Block),
            ("tenant.purged", Class::FailClosed),
            ("key.used", Class::CountedDrop),
            ("certificate.issued", Class::FailClosed),
            ("certificate.renewed", Class::Block),
        ] {
            assert_eq!(find(name).unwrap().class(), class, "{name}");
        }
    }
}
