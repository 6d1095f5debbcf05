//! What differs between two policies of a tenant, and on whom that tells.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use crate::policy::{Member, SpaceRoles, Tenant};

/// Whose profile has to be made anew.
pub(super) enum Changed {
    Everybody,
    Only(BTreeSet<Member>),
}

impl Changed {
    /// Those whose entry, group or membership differs.
    pub(super) fn between(before: &Tenant, after: &Tenant) -> Self {
        let mut changed = BTreeSet::new();
        changed.extend(differing(&before.users, &after.users).cloned().map(Member::User));
        changed.extend(differing(&before.groups, &after.groups).cloned().map(Member::Group));
        for id in differing(&before.spaces, &after.spaces) {
            let (Some(old), Some(new)) = (before.spaces.get(id), after.spaces.get(id)) else { continue };
            changed.extend(differing(&old.members, &new.members).cloned());
            if old.owner != new.owner {
                changed.extend([&old.owner, &new.owner].into_iter().flatten().cloned().map(Member::User));
            }
        }
        let groups: Vec<&String> = changed.iter().filter_map(|one| as_group(one)).collect();
        let in_group = |groups_of: &BTreeSet<String>| groups.iter().any(|group| groups_of.contains(*group));
        let members = after.users.iter().filter(|(_, user)| !user.groups.is_empty() && in_group(&user.groups));
        let members: Vec<Member> =
            if groups.is_empty() { Vec::new() } else { members.map(|(id, _)| Member::User(id.clone())).collect() };
        changed.extend(members);
        Self::Only(changed)
    }

    pub(super) fn is_nobody(&self) -> bool {
        matches!(self, Self::Only(members) if members.is_empty())
    }

    /// Those who are listed one by one.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Member> {
        match self {
            Self::Everybody => None,
            Self::Only(members) => Some(members),
        }
        .into_iter()
        .flatten()
    }

    pub(super) fn has_user(&self, id: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(members) => !members.is_empty() && members.contains(&Member::User(id.to_owned())),
        }
    }

    /// The users; `None` for all.
    pub(super) fn users(&self) -> Option<impl Iterator<Item = &str>> {
        let users = self.listed().filter_map(|one| if let Member::User(id) = one { Some(id.as_str()) } else { None });
        (!matches!(self, Self::Everybody)).then_some(users)
    }

    /// The groups; `None` for all.
    pub(super) fn groups(&self) -> Option<impl Iterator<Item = &str>> {
        let groups = self.listed().filter_map(|one| as_group(one).map(String::as_str));
        (!matches!(self, Self::Everybody)).then_some(groups)
    }

    /// Their entries, in the order of names.
    pub(super) fn of<'p, T>(
        &self,
        entries: &'p BTreeMap<String, T>,
        member: fn(String) -> Member,
    ) -> Vec<(&'p String, &'p T)> {
        match self {
            Self::Everybody => entries.iter().collect(),
            Self::Only(members) => {
                let named = |one: &Member| match one {
                    Member::User(id) | Member::Group(id) => {
                        entries.get_key_value(id).filter(|_| member(id.clone()) == *one)
                    }
                };
                members.iter().filter_map(named).collect()
            }
        }
    }

    /// Their memberships of a space: the shorter list is walked, and the longer one asked.
    pub(super) fn members<'p>(&self, all: &'p BTreeMap<Member, SpaceRoles>) -> Vec<(&'p Member, &'p SpaceRoles)> {
        match self {
            Self::Everybody => all.iter().collect(),
            Self::Only(changed) if changed.len() < all.len() => {
                changed.iter().filter_map(|one| all.get_key_value(one)).collect()
            }
            Self::Only(changed) => all.iter().filter(|(one, _)| changed.contains(*one)).collect(),
        }
    }
}

fn as_group(member: &Member) -> Option<&String> {
    if let Member::Group(name) = member { Some(name) } else { None }
}

/// The keys that only one of two maps has, or that have another value in each.
fn differing<'m, K: Ord, V: PartialEq>(
    one: &'m BTreeMap<K, V>,
    two: &'m BTreeMap<K, V>,
) -> impl Iterator<Item = &'m K> {
    Differing { one: one.iter().peekable(), two: two.iter().peekable() }
}

struct Differing<'m, K, V> {
    one: std::iter::Peekable<btree_map::Iter<'m, K, V>>,
    two: std::iter::Peekable<btree_map::Iter<'m, K, V>>,
}

impl<'m, K: Ord, V: PartialEq> Iterator for Differing<'m, K, V> {
    type Item = &'m K;

    fn next(&mut self) -> Option<&'m K> {
        loop {
            let (next_one, next_two) = (self.one.peek().copied(), self.two.peek().copied());
            let only_one = match (next_one, next_two) {
                (None, None) => return None,
                (Some((key, value)), Some((other, other_value))) if key == other => {
                    self.one.next();
                    self.two.next();
                    if value == other_value {
                        continue;
                    }
                    return Some(key);
                }
                (Some((key, _)), Some((other, _))) => key < other,
                (Some(_), None) => true,
                (None, Some(_)) => false,
            };
            let next = if only_one { self.one.next() } else { self.two.next() };
            return next.map(|(key, _)| key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_keys_are_those_of_one_map_or_of_another_value() {
        let map = |text: &str| -> BTreeMap<char, usize> { text.chars().zip(0..).collect() };
        let keys = |one: &str, two: &str| differing(&map(one), &map(two)).collect::<String>();
        assert_eq!(keys("abc", "abc"), "");
        assert_eq!(keys("abc", "ab"), "c");
        assert_eq!(keys("", "ab"), "ab");
        assert_eq!(keys("xbc", "ybc"), "xy");
        assert_eq!(keys("abcd", "abdc"), "cd");
    }
}
