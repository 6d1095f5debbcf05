//! Personas: ready sets of rules for the usual kinds of people.

use super::{ReadRule, Reading, Sides, action_named, parser};
use crate::bits::Set;
use crate::rule::filter::Filter;
use crate::rule::syntax::{Expression, Operand, Operator, Path, Root, Segment};

/// What a persona may do, besides being one: persona, number, filter, actions, condition.
const RULES: [(&str, u32, &str, &str, &str); 12] = [
    ("consumer", 1, "App*", "read", PUBLISHED),
    (
        "consumer",
        2,
        "App.Object_*",
        "create read update delete",
        r#"resource.IsOwned() and resource.owner = user and resource.objectType = "bookmark"
            and !(resource.published = "true") and resource.app.HasPrivilege("read")"#,
    ),
    ("contributor", 1, "App*", "read", PUBLISHED),
    (
        "contributor",
        2,
        "App.Object_*",
        "create read update delete publish",
        r#"resource.IsOwned() and resource.owner = user and resource.objectType = {"sheet", "story", "bookmark"}
            and !(resource.approved = "true") and resource.app.HasPrivilege("read")"#,
    ),
    (
        "developer",
        1,
        "App_*",
        "create read update delete duplicate export",
        "resource.IsOwned() and resource.owner = user and resource.stream.Empty()",
    ),
    ("developer", 2, "App_*", "read update duplicate", "resource.stream.Empty() and resource.@Team = user.@Team"),
    (
        "developer",
        3,
        "App.Object_*",
        "create read update delete publish",
        r#"resource.app.stream.Empty() and resource.app.HasPrivilege("update")"#,
    ),
    ("developer", 4, "DataConnection_*", "create read", r#"!(resource.type = "folder")"#),
    ("team_admin", 1, "App_*", "read update publish change_owner delete", "resource.@Team = user.@Team"),
    ("team_admin", 2, "App.Object_*", "read approve publish", "resource.app.@Team = user.@Team"),
    ("team_admin", 3, "ReloadTask_*", "create read update delete", "resource.app.@Team = user.@Team"),
    ("team_admin", 4, "Stream_*", "read publish", "resource.@Team = user.@Team"),
];

/// An app whose stream one may read, or a published object of one.
const PUBLISHED: &str = r#"(resource.resourcetype = "App" and resource.stream.HasPrivilege("read"))
    or (resource.resourcetype = "App.Object" and resource.published = "true"
        and resource.app.stream.HasPrivilege("read"))"#;

/// The names of the rules of a persona.
pub(crate) fn names(persona: &str) -> impl Iterator<Item = String> {
    RULES
        .iter()
        .filter(move |rule| rule.0 == persona)
        .map(|(persona, number, ..)| format!("persona:{persona}:{number}"))
}

/// The rules of a persona that these groups have.
pub(crate) fn rules(persona: &str, groups: &[String]) -> Vec<(String, ReadRule)> {
    let mut reading = Reading::default();
    let of_persona = RULES.iter().filter(|rule| rule.0 == persona);
    let read = of_persona.zip(names(persona)).filter_map(|((_, _, filter, actions, condition), name)| {
        let condition = parser::condition(condition, &mut reading).ok().flatten()?;
        let rule = ReadRule {
            filter: Filter::read(filter).ok()?,
            actions: actions.split(' ').map(action_named).collect::<Result<Set<_>, _>>().ok()?,
            sides: Sides::Both,
            condition: Some(Expression::All(vec![has_group(groups), condition])),
        };
        Some((name, rule))
    });
    read.collect()
}

fn has_group(groups: &[String]) -> Expression {
    let path = Path { root: Root::User, segments: vec![Segment::Name("group".to_owned())] };
    Expression::Compare(Operand::Path(path), Operator::Equal, Operand::Texts(groups.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_the_table_is_read() {
        let count = |persona| rules(persona, &["g".to_owned()]).len();
        assert_eq!(["consumer", "contributor", "developer", "team_admin"].map(count), [2, 2, 4, 4]);
        assert!(names("developer").eq((1..=4).map(|number| format!("persona:developer:{number}"))));
    }
}
