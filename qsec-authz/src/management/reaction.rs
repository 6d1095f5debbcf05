//! Which rules could turn true for somebody when what is known of them changes.
//!
//! Comparisons hold if *some* value fits, so a value more can only make them true, and a value less only false; `Empty()` is the
//! other way round, and `not` turns both. What is not seen to be harmless counts as a reaction.

use crate::action::Action;
use crate::bits::Set;
use crate::rule::ReadRule;
use crate::rule::syntax::{Expression, Operand, Operator, Path, Root, Segment, Sort};

/// Something that rules read of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trait<'a> {
    Group(&'a str),
    Role(&'a str),
    /// The id, of somebody who may act again.
    Id(&'a str),
    Directory(&'a str),
    Name,
    Attribute(&'a str),
    Custom(&'a str),
}

impl Trait<'_> {
    /// Whether a text, compared for equality with what rules read, could be this trait.
    fn fits(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        match self {
            Self::Group(value) | Self::Role(value) => text == value.to_lowercase(),
            // A user as a text is `DIRECTORY\id`.
            Self::Id(value) => {
                let value = value.to_lowercase();
                text == value || text.strip_suffix(&*value).is_some_and(|rest| rest.ends_with('\\'))
            }
            Self::Directory(value) => {
                let value = value.to_lowercase();
                text == value || text.strip_prefix(&*value).is_some_and(|rest| rest.starts_with('\\'))
            }
            Self::Name | Self::Attribute(_) | Self::Custom(_) => true,
        }
    }

    /// Whether an operand is exactly this id, and a pattern does not match it.
    fn is_no_match(&self, operand: &Operand, matches: impl Fn(&str) -> bool) -> bool {
        let Operand::Path(path) = operand else { return false };
        let [Segment::Name(name)] = path.segments.as_slice() else { return false };
        matches!(self, Self::Id(id) if path.root == Root::User && name == "userid" && !matches(id))
    }

    fn is_read_by(&self, segment: &Segment) -> bool {
        match (self, segment) {
            (Self::Custom(name), Segment::Custom(read)) | (Self::Attribute(name), Segment::Name(read)) => {
                *read == name.to_lowercase()
            }
            (Self::Custom(_), Segment::Name(_)) | (_, Segment::Custom(_)) => false,
            (Self::Group(_), Segment::Name(read)) => read == "group",
            (Self::Id(_), Segment::Name(read)) => read == "userid",
            (Self::Role(_), Segment::Name(read)) => read == "role" || read == "roles",
            (Self::Directory(_), Segment::Name(read)) => read == "userdirectory",
            (Self::Name, Segment::Name(read)) => read == "name",
        }
    }
}

/// Whose the trait is that a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reaction {
    /// Nobody's: the rule does not care.
    None,
    /// The requester's.
    OfRequester,
    /// That of the owner of a resource: others than the user could gain.
    OfOwner,
}

/// How the rule reacts when a user gains (or loses) the trait.
pub(super) fn reaction(rule: &ReadRule, one: Trait<'_>, gained: bool) -> Reaction {
    rule.condition.as_ref().map_or(Reaction::None, |condition| walk(condition, one, gained))
}

/// `rises`: whether more makes this part of the condition true.
fn walk(expression: &Expression, one: Trait<'_>, rises: bool) -> Reaction {
    match expression {
        Expression::Not(inner) => walk(inner, one, !rises),
        Expression::All(all) | Expression::Any(all) => {
            all.iter().map(|part| walk(part, one, rises)).max().unwrap_or(Reaction::None)
        }
        Expression::Compare(left, operator, right) if rises => compared(left, *operator, right, one),
        Expression::Like(operand, glob) if rises => {
            if one.is_no_match(operand, |id| glob.matches(&id.to_lowercase())) {
                return Reaction::None;
            }
            read_by(operand, one)
        }
        Expression::Matches(operand, pattern) if rises => {
            if one.is_no_match(operand, |id| pattern.matches(id)) { Reaction::None } else { read_by(operand, one) }
        }
        Expression::Empty(path) if !rises => reads(path, one),
        Expression::Compare(..)
        | Expression::Like(..)
        | Expression::Matches(..)
        | Expression::Empty(_)
        | Expression::Constant(_)
        | Expression::IsAnonymous
        | Expression::IsOwned(_)
        // What somebody may is compared by itself, and what somebody may no longer: see `denies_by_privilege`.
        | Expression::HasPrivilege(..) => Reaction::None,
    }
}

fn compared(left: &Operand, operator: Operator, right: &Operand, one: Trait<'_>) -> Reaction {
    if let (Operand::Path(_), Operand::Texts(texts)) | (Operand::Texts(texts), Operand::Path(_)) = (left, right)
        && matches!(operator, Operator::Equal | Operator::StrictEqual)
        && !texts.iter().any(|text| one.fits(text))
    {
        return Reaction::None;
    }
    if let (Operand::Path(left), Operand::Path(right)) = (left, right)
        && (left.sort(), right.sort()) == (Sort::User, Sort::User)
    {
        // Two users are compared by identity, which no trait changes.
        return Reaction::None;
    }
    read_by(left, one).max(read_by(right, one))
}

fn read_by(operand: &Operand, one: Trait<'_>) -> Reaction {
    match operand {
        Operand::Path(path) => reads(path, one),
        Operand::Texts(_) => Reaction::None,
    }
}

fn reads(path: &Path, one: Trait<'_>) -> Reaction {
    if matches!(one, Trait::Id(_)) && path.root == Root::Resource {
        // Who owns something keeps the id, and gains nothing of others'.
        return Reaction::None;
    }
    let (mut sort, whose) = match path.root {
        Root::User => (Sort::User, Reaction::OfRequester),
        Root::Resource => (Sort::Resource, Reaction::OfOwner),
    };
    for segment in &path.segments {
        if sort == Sort::User && one.is_read_by(segment) {
            return whose;
        }
        sort = sort.then(segment);
    }
    let as_text = sort == Sort::User && matches!(one, Trait::Directory(_) | Trait::Id(_));
    if as_text { whose } else { Reaction::None }
}

/// Whether the rule could turn true because somebody may no longer do something.
pub(super) fn denies_by_privilege(rule: &ReadRule) -> bool {
    fn walk(expression: &Expression, negated: bool) -> bool {
        match expression {
            Expression::Not(inner) => walk(inner, !negated),
            Expression::All(all) | Expression::Any(all) => all.iter().any(|part| walk(part, negated)),
            Expression::HasPrivilege(..) => negated,
            Expression::Compare(..)
            | Expression::Like(..)
            | Expression::Matches(..)
            | Expression::Empty(_)
            | Expression::Constant(_)
            | Expression::IsAnonymous
            | Expression::IsOwned(_) => false,
        }
    }
    rule.condition.as_ref().is_some_and(|condition| walk(condition, false))
}

/// Whether the rule could be true because somebody has the trait.
pub(crate) fn presence_matters(rule: &ReadRule, one: Trait<'_>) -> bool {
    reaction(rule, one, true) != Reaction::None
}

/// The actions that the condition asks for as privileges: what the rule grants, it grants through them.
pub(crate) fn grants_through(rule: &ReadRule) -> Set<Action> {
    fn walk(expression: &Expression, found: &mut Set<Action>) {
        match expression {
            Expression::Not(inner) => walk(inner, found),
            Expression::All(all) | Expression::Any(all) => all.iter().for_each(|part| walk(part, found)),
            Expression::HasPrivilege(_, action) => found.add(*action),
            Expression::Compare(..)
            | Expression::Like(..)
            | Expression::Matches(..)
            | Expression::Empty(_)
            | Expression::Constant(_)
            | Expression::IsAnonymous
            | Expression::IsOwned(_) => {}
        }
    }
    let mut found = Set::EMPTY;
    if let Some(condition) = &rule.condition {
        walk(condition, &mut found);
    }
    found
}

/// Whether the condition is about the requester alone: true or false whatever the resource and the environment.
pub(super) fn is_about_requester(rule: &ReadRule) -> bool {
    fn plain(operand: &Operand) -> bool {
        match operand {
            Operand::Path(path) => own(path),
            Operand::Texts(_) => true,
        }
    }
    fn own(path: &Path) -> bool {
        let first = path.segments.first();
        path.root == Root::User && !matches!(first, Some(Segment::Name(name)) if name == "environment")
    }
    fn walk(expression: &Expression) -> bool {
        match expression {
            Expression::Not(inner) => walk(inner),
            Expression::All(all) | Expression::Any(all) => all.iter().all(walk),
            Expression::Compare(left, _, right) => plain(left) && plain(right),
            Expression::Like(operand, _) | Expression::Matches(operand, _) => plain(operand),
            Expression::Empty(path) => own(path),
            Expression::Constant(_) | Expression::IsAnonymous => true,
            Expression::IsOwned(_) | Expression::HasPrivilege(..) => false,
        }
    }
    rule.condition.as_ref().is_none_or(walk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RuleActions;
    use crate::rule::Reading;

    fn rule(condition: &str) -> ReadRule {
        ReadRule::read("*", &RuleActions::Bits(2), None, condition, &mut Reading::default()).expect(condition)
    }

    #[test]
    fn more_values_turn_comparisons_true_and_emptiness_false() {
        use Reaction::{None, OfOwner, OfRequester};
        for (condition, gained, expected) in [
            (r#"user.group = "g""#, true, OfRequester),
            (r#"user.group = "G""#, true, OfRequester),
            (r#"user.group = "g""#, false, None),
            (r#"user.group = "other""#, true, None),
            (r#"user.group != "other""#, true, OfRequester),
            (r#"!(user.group = "g")"#, true, None),
            (r#"!(user.group = "g")"#, false, OfRequester),
            ("user.group.Empty()", true, None),
            ("user.group.Empty()", false, OfRequester),
            (r#"!user.group.Empty() and user.name = "x""#, true, OfRequester),
            ("user.group = resource.@Team", true, OfRequester),
            (r#"resource.owner.group = "g""#, true, OfOwner),
            (r#"resource.library.owner.group = "g" or user.group = "g""#, true, OfOwner),
            (r#"user.roles = "g""#, true, None),
            (r#"user.@group = "g""#, true, None),
            (r#"user.group like "G*""#, true, OfRequester),
        ] {
            assert_eq!(reaction(&rule(condition), Trait::Group("g"), gained), expected, "{condition} {gained}");
        }
    }

    #[test]
    fn user_as_a_text_has_its_directory() {
        let with = rule(r#"user = "INTERNAL\\sa""#);
        assert_eq!(reaction(&with, Trait::Directory("INTERNAL"), true), Reaction::OfRequester);
        assert_eq!(reaction(&with, Trait::Directory("ACME"), true), Reaction::None);
        let owner = rule("resource.owner = user");
        assert_eq!(reaction(&owner, Trait::Directory("ACME"), true), Reaction::None);
        let text = rule("resource.owner = user.userId");
        assert_eq!(reaction(&text, Trait::Directory("ACME"), true), Reaction::OfOwner);
    }

    #[test]
    fn id_is_read_where_it_is_meant() {
        for (condition, expected) in [
            (r#"user.userId = "SVEN""#, Reaction::OfRequester),
            (r#"user.userId = {"ana", "sve"}"#, Reaction::None),
            (r#"user = "ACME\sven""#, Reaction::OfRequester),
            (r#"user = "ACME\xsven""#, Reaction::None),
            (r#"user.userId like "S*n""#, Reaction::OfRequester),
            (r#"user.userId like "sa_*""#, Reaction::None),
            (r#"user.userId matches "s.+""#, Reaction::OfRequester),
            (r#"user.userId matches "a.+""#, Reaction::None),
            (r#"user like "sa_*""#, Reaction::OfRequester),
            (r#"user.userId != "ana""#, Reaction::OfRequester),
            ("resource.@Boss = user.userId", Reaction::OfRequester),
            ("resource.owner = user", Reaction::None),
            (r#"resource.owner.userId = "sven""#, Reaction::None),
            (r#"!(user.userId = "sven")"#, Reaction::None),
            (r#"user.name = "sven""#, Reaction::None),
        ] {
            assert_eq!(reaction(&rule(condition), Trait::Id("Sven"), true), expected, "{condition}");
        }
    }

    #[test]
    fn denied_privilege_is_found_below_nots() {
        assert!(denies_by_privilege(&rule(r#"!resource.HasPrivilege("read")"#)));
        assert!(!denies_by_privilege(&rule(r#"!!resource.HasPrivilege("read")"#)));
        assert!(!denies_by_privilege(&rule("")));
    }

    #[test]
    fn conditions_on_the_requester_alone_are_told_apart() {
        for yes in ["", "true", r#"user.roles = "RootAdmin""#, r#"!user.IsAnonymous() and user.userId like "sa_*""#] {
            assert!(is_about_requester(&rule(yes)), "{yes}");
        }
        for no in [r#"user.environment.os = "x""#, "resource.IsOwned()", "user.@Team = resource.@Team"] {
            assert!(!is_about_requester(&rule(no)), "{no}");
        }
    }
}
