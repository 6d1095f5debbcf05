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
