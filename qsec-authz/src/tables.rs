//! The tables of what grants what, as data. Everything that the model knows stands here and in the children.

mod capability;
mod kind;
mod matrix;
mod permission;
mod role;
mod scope;
mod space;

pub(crate) use capability::Capability;
pub(crate) use kind::{Kind, Place};
pub(crate) use matrix::{Cell, MATRIX};
pub(crate) use permission::Permission;
pub(crate) use role::TenantRole;
pub use scope::client_scopes;
pub(crate) use scope::{Level, Scope, narrowest};
pub(crate) use space::{SpaceRole, SpaceType};

use crate::action::Action;

/// Which of the 29 actions a line of a table is about.
#[derive(Debug, Clone, Copy)]
enum Actions {
    Every,
    These(&'static [Action]),
}

impl Actions {
    fn has(self, action: Action) -> bool {
        match self {
            Self::Every => true,
            Self::These(actions) => actions.contains(&action),
        }
    }
}

/// Where a line of a table applies.
#[derive(Debug, Clone, Copy)]
enum Where {
    Anywhere,
    In(&'static [Place]),
    /// In this place, and only if the principal owns the resource.
    Own(&'static [Place]),
    /// Anywhere, and only if the principal owns the resource.
    OwnAnywhere,
}

impl Where {
    fn has(self, place: Place, own: bool) -> bool {
        match self {
            Self::Anywhere => true,
            Self::In(places) => places.contains(&place),
            Self::Own(places) => own && places.contains(&place),
            Self::OwnAnywhere => own,
        }
    }
}

/// A line: this holder may do these actions on these kinds of resources, here.
#[derive(Debug, Clone, Copy)]
struct Line<T: 'static> {
    holder: T,
    kinds: &'static [Kind],
    actions: Actions,
    place: Where,
}

impl<T> Line<T> {
    fn has(&self, kind: Kind, place: Place, own: bool, action: Action) -> bool {
        self.kinds.contains(&kind) && self.actions.has(action) && self.place.has(place, own)
    }
}

const fn line<T>(holder: T, kinds: &'static [Kind], actions: &'static [Action], place: Where) -> Line<T>
where
    T: Copy,
{
    Line { holder, kinds, actions: Actions::These(actions), place }
}

const fn every<T>(holder: T, kinds: &'static [Kind], place: Where) -> Line<T>
where
    T: Copy,
{
    Line { holder, kinds, actions: Actions::Every, place }
}

/// The holders of all lines that apply.
fn holders<T: crate::bits::Bit>(
    lines: &[Line<T>],
    kind: Kind,
    place: Place,
    own: bool,
    action: Action,
) -> crate::bits::Set<T> {
    lines.iter().filter(|line| line.has(kind, place, own, action)).map(|line| line.holder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Bit;

    /// A type, role or permission that is added to the tables and not to the reviewed matrix would pass unseen.
    #[test]
    fn every_name_of_the_tables_stands_in_the_reviewed_matrix() {
        let reviewed = include_str!("../tests/data/matrix/roles.txt");
        let words: std::collections::HashSet<&str> = reviewed.split([' ', ',', '\n', '|']).collect();
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Other) {
            assert!(words.contains(kind.name()), "type {}", kind.name());
        }
        for role in TenantRole::ALL {
            assert!(words.contains(&*format!("role:{}", role.name())), "role {}", role.name());
        }
        for permission in Permission::ALL {
            assert!(words.contains(&*format!("permission:{}", permission.name())), "permission {}", permission.name());
        }
        for space in SpaceType::ALL {
            for role in space.roles().iter().chain([SpaceRole::Owner]) {
                let holder = format!("{}:{}", space.name(), role.name());
                assert!(words.contains(&*holder), "space role {holder}");
            }
        }
    }
}
