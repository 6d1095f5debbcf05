//! All tables multiplied out: one look-up says who may.

use std::fmt;
use std::sync::LazyLock;

use super::{
    Capability, Kind, Permission, Place, Scope, SpaceRole, TenantRole, holders, permission, role, scope, space,
};
use crate::action::Action;
use crate::bits::{Bit, Set};

/// Who may do one action on one kind of resource in one place, owning it or not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cell {
    pub(crate) roles: Set<TenantRole>,
    pub(crate) permissions: Set<Permission>,
    pub(crate) personal: bool,
    pub(crate) space_roles: Set<SpaceRole>,
    pub(crate) capability: Option<Capability>,
    /// The scopes that admit grants of the level `user`, and of the level `admin`.
    pub(crate) user_scopes: Set<Scope>,
    pub(crate) admin_scopes: Set<Scope>,
}

/// Every cell.
pub(crate) struct Matrix {
    cells: Vec<Cell>,
    pub(crate) admin_roles: Set<TenantRole>,
    pub(crate) admin_permissions: Set<Permission>,
}

/// The one matrix: constants, computed once.
pub(crate) static MATRIX: LazyLock<Matrix> = LazyLock::new(Matrix::multiply);

static NOTHING: Cell = Cell {
    roles: Set::EMPTY,
    permissions: Set::EMPTY,
    personal: false,
    space_roles: Set::EMPTY,
    capability: None,
    user_scopes: Set::EMPTY,
    admin_scopes: Set::EMPTY,
};

const PLACES: u32 = 5;
const ACTIONS: u32 = 29;

#[inline]
fn position(kind: Kind, place: Place, own: bool, action: Action) -> usize {
    let row =
        kind.index().wrapping_mul(PLACES).wrapping_add(place.index()).wrapping_mul(2).wrapping_add(u32::from(own));
    usize::try_from(row.wrapping_mul(ACTIONS).wrapping_add(action.index())).unwrap_or(usize::MAX)
}

impl Matrix {
    #[inline]
    pub(crate) fn cell(&'static self, kind: Kind, place: Place, own: bool, action: Action) -> &'static Cell {
        self.cells.get(position(kind, place, own, action)).unwrap_or(&NOTHING)
    }

    fn multiply() -> Self {
        let mut cells = Vec::new();
        for kind in Kind::ALL.iter().copied() {
            for place in Place::ALL.iter().copied() {
                for own in [false, true] {
                    cells.extend(Action::ALL.iter().map(|action| Self::compute(kind, place, own, *action)));
                }
            }
        }
        Self { cells, admin_roles: TenantRole::administrators(), admin_permissions: Permission::administrators() }
    }

    fn compute(kind: Kind, place: Place, own: bool, action: Action) -> Cell {
        Cell {
            roles: holders(role::LINES, kind, place, own, action),
            permissions: holders(permission::LINES, kind, place, own, action),
            personal: space::personal(kind, place, own, action),
            space_roles: space::granting(kind, place, own, action),
            capability: Capability::of(kind, action),
            user_scopes: holders(scope::USER_LINES, kind, place, own, action),
            admin_scopes: holders(scope::ADMIN_LINES, kind, place, own, action),
        }
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matrix").field("cells", &self.cells.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_where_it_is_looked_for() {
        assert_eq!(Place::ALL.len(), PLACES as usize);
        assert_eq!(Action::ALL.len(), ACTIONS as usize);
        assert_eq!(MATRIX.cells.len(), Kind::ALL.len() * Place::ALL.len() * 2 * Action::ALL.len());
        let mut next = 0;
        for kind in Kind::ALL {
            for place in Place::ALL {
                for own in [false, true] {
                    for action in Action::ALL {
                        assert_eq!(position(*kind, *place, own, *action), next);
                        next += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn owning_never_takes_away() {
        for kind in Kind::ALL {
            for place in Place::ALL {
                for action in Action::ALL {
                    let other = MATRIX.cell(*kind, *place, false, *action);
                    let own = MATRIX.cell(*kind, *place, true, *action);
                    assert!(other.roles.without(own.roles).is_empty());
                    assert!(other.permissions.without(own.permissions).is_empty());
                    assert!(other.space_roles.without(own.space_roles).is_empty());
                    assert!(!other.personal || own.personal);
                }
            }
        }
    }
}
