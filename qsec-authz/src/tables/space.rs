//! Spaces: their types, the roles in them, and what each role may do with what is inside.

use super::{Kind, Place};
use crate::action::Action::{
    self, Activate, Approve, ChangeOwner, ChangeSpace, Consume, Create, Deactivate, Delete, Duplicate, EditScript,
    Export, ExportData, ExportImage, ManageMembers, Monitor, Publish, Read, Reload, Republish, Resume, Run, Share,
    Stop, Update, ViewData,
};
use crate::bits::{Set, names};

names! {
    /// The type of a space.
    pub(crate) enum SpaceType {
        Shared = 0 "shared",
        Managed = 1 "managed",
        Data = 2 "data",
    }
}

impl SpaceType {
    /// Where something in such a space stands.
    pub(crate) fn place(self) -> Place {
        match self {
            Self::Shared => Place::Shared,
            Self::Managed => Place::Managed,
            Self::Data => Place::Data,
        }
    }

    /// The roles that a member can have.
    pub(crate) fn roles(self) -> Set<SpaceRole> {
        Set::of(match self {
            Self::Shared => &[F, P, CD, V, D],
            Self::Managed => &[F, PB, CT, V, RV, D, OP],
            Self::Data => &[F, P, PB, V, D, OP, DP],
        })
    }
}

names! {
    /// A role in a space, by the name of the programming interface.
    pub(crate) enum SpaceRole {
        /// The owner of the space; no member can be given it.
        Owner = 0 "owner",
        /// Can manage.
        Facilitator = 1 "facilitator",
        /// Can edit.
        Producer = 2 "producer",
        /// Can edit data in applications.
        Codeveloper = 3 "codeveloper",
        /// Can publish.
        Publisher = 4 "publisher",
        /// Can contribute.
        Contributor = 5 "contributor",
        /// Can view.
        Consumer = 6 "consumer",
        /// Has restricted view.
        Basicconsumer = 7 "basicconsumer",
        /// Can consume data.
        Dataconsumer = 8 "dataconsumer",
        /// Can operate.
        Operator = 9 "operator",
        /// Can view data.
        Datapreview = 10 "datapreview",
    }
}

// The letters of the tables below.
const O: SpaceRole = SpaceRole::Owner;
const F: SpaceRole = SpaceRole::Facilitator;
const P: SpaceRole = SpaceRole::Producer;
const CD: SpaceRole = SpaceRole::Codeveloper;
const PB: SpaceRole = SpaceRole::Publisher;
const CT: SpaceRole = SpaceRole::Contributor;
const V: SpaceRole = SpaceRole::Consumer;
const RV: SpaceRole = SpaceRole::Basicconsumer;
const D: SpaceRole = SpaceRole::Dataconsumer;
const OP: SpaceRole = SpaceRole::Operator;
const DP: SpaceRole = SpaceRole::Datapreview;

/// A line of a matrix: these roles may, and those only with what they own.
#[derive(Debug, Clone, Copy)]
struct Row {
    kinds: &'static [Kind],
    actions: &'static [Action],
    all: &'static [SpaceRole],
    own: &'static [SpaceRole],
}

const fn row(kinds: &'static [Kind], actions: &'static [Action], all: &'static [SpaceRole]) -> Row {
    Row { kinds, actions, all, own: &[] }
}

const fn mixed(
    kinds: &'static [Kind],
    actions: &'static [Action],
    all: &'static [SpaceRole],
    own: &'static [SpaceRole],
) -> Row {
    Row { kinds, actions, all, own }
}

const SHEET: &[Kind] = &[Kind::AppObject];
const SOURCES: &[Kind] = &[Kind::DataConnection, Kind::DataAsset];
const PIPELINE: &[Kind] = &[Kind::DataProject, Kind::DataTask];
const WRITE: &[Action] = &[Create, Update, Delete];

const SHARED: &[Row] = &[
    row(&[Kind::Space], &[Read], &[O, F, CD, P, V, D]),
    row(&[Kind::Space], &[Update, ManageMembers, Delete], &[O, F]),
    row(&[Kind::App], &[Read, ExportData, ExportImage], &[O, F, CD, P, V]),
    row(&[Kind::App], &[Create, Update, Delete, Duplicate, Export, ChangeSpace, Publish, Reload], &[O, F, CD, P]),
    row(&[Kind::App], &[Share, ChangeOwner], &[O, F]),
    mixed(&[Kind::App], &[EditScript], &[CD], &[O, F, P]),
    row(SHEET, &[Read], &[O, F, CD, P, V]),
    mixed(SHEET, WRITE, &[O, F, CD, P], &[V]),
    row(SHEET, &[Publish], &[O, F, CD, P]),
    row(SOURCES, &[Read, Consume], &[O, F, CD, P, D]),
    row(SOURCES, &[Create], &[O, F, CD, P]),
    mixed(SOURCES, &[Update, Delete], &[O, F], &[CD, P]),
    row(&[Kind::DataProduct], &[Read, Consume], &[O, F, CD, P, V, D]),
    row(&[Kind::DataProduct], &[Create, Update, Delete, Activate, Deactivate], &[O, F, CD, P]),
    row(&[Kind::Automation], &[Read], &[O, F, CD, P, V]),
    row(&[Kind::Automation], &[Create, Update, Delete, Run, Stop], &[O, F, CD, P]),
];

const MANAGED: &[Row] = &[
    row(&[Kind::Space], &[Read], &[O, F, PB, CT, V, RV, D, OP]),
    row(&[Kind::Space], &[Update, ManageMembers, Delete], &[O, F]),
    row(&[Kind::App], &[Publish, Republish], &[O, PB]),
    row(&[Kind::App], &[Read], &[O, F, CT, V, RV, OP]),
    row(&[Kind::App], &[ExportData, ExportImage], &[O, F, CT, V]),
    row(&[Kind::App], &[Reload], &[O, F, OP]),
    row(&[Kind::App], &[Update, Delete, Export, ChangeOwner, ChangeSpace, Share], &[O, F]),
    row(SHEET, &[Read], &[O, F, CT, V, RV, OP]),
    mixed(SHEET, WRITE, &[], &[O, F, CT, V]),
    mixed(SHEET, &[Publish], &[], &[O, F, CT]),
    row(SHEET, &[Approve], &[O, F]),
    row(SOURCES, &[Read, Consume], &[O, F, D]),
    row(SOURCES, WRITE, &[O, F]),
    row(&[Kind::DataProduct], &[Read, Consume], &[O, F, V, D]),
    row(&[Kind::DataProduct], &[Publish, Activate, Deactivate], &[O, PB]),
];

const DATA: &[Row] = &[
    row(&[Kind::Space], &[Read], &[O, V, DP, D, F, OP, P, PB]),
    row(&[Kind::Space], &[Update, ManageMembers], &[O, F]),
    row(&[Kind::Space], &[Delete], &[O]),
    row(PIPELINE, &[Read, Monitor], &[O, V, OP, P]),
    row(PIPELINE, WRITE, &[O, P]),
    row(&[Kind::DataTask], &[Run, Stop, Resume], &[O, OP]),
    row(&[Kind::DataTask], &[Consume], &[O, D]),
    row(&[Kind::DataTask], &[ViewData], &[O, DP]),
    row(&[Kind::DataConnection], &[Read, Consume], &[O, F, P, D]),
    row(&[Kind::DataConnection], WRITE, &[O, F]),
    row(&[Kind::DataAsset], &[Read], &[O, V, OP, P, D]),
    row(&[Kind::DataAsset], WRITE, &[O, P]),
    row(&[Kind::DataAsset], &[Consume], &[O, D]),
    row(&[Kind::DataAsset], &[ViewData], &[O, DP]),
    row(&[Kind::DataProduct], &[Read], &[O, V, P, D]),
    row(&[Kind::DataProduct], &[Consume], &[O, D]),
    row(&[Kind::DataProduct], &[Create, Update, Delete, Activate, Deactivate], &[O, P]),
    row(&[Kind::DataProduct], &[Publish], &[O, PB]),
];

/// What an owner may do with personal content. Giving it away is an administrator's; making it needs a role.
const PERSONAL: &[Action] = &[
    Read,
    Update,
    Delete,
    Export,
    ExportData,
    ExportImage,
    Duplicate,
    ChangeSpace,
    Reload,
    EditScript,
    Publish,
    Share,
    Consume,
    Run,
    Stop,
];

/// The space roles that grant an action in a place.
pub(super) fn granting(kind: Kind, place: Place, own: bool, action: Action) -> Set<SpaceRole> {
    let rows = match place {
        Place::Shared => SHARED,
        Place::Managed => MANAGED,
        Place::Data => DATA,
        Place::Elsewhere | Place::Personal => &[],
    };
    rows.iter()
        .filter(|row| row.kinds.contains(&kind) && row.actions.contains(&action))
        .flat_map(|row| row.all.iter().chain(row.own.iter().filter(|_| own)))
        .copied()
        .collect()
}

/// Whether an action is granted by owning personal content.
pub(super) fn personal(kind: Kind, place: Place, own: bool, action: Action) -> bool {
    own && place == Place::Personal && kind.can_be_personal() && PERSONAL.contains(&action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Bit;

    #[test]
    fn space_roles_have_bits_of_their_own() {
        crate::bits::assert_counted::<SpaceRole>();
        crate::bits::assert_counted::<SpaceType>();
    }

    /// A matrix that grants to a role which the type of space lacks holds a typing error.
    #[test]
    fn matrices_name_only_roles_of_their_space() {
        for space in SpaceType::ALL {
            for kind in Kind::ALL {
                for action in Action::ALL {
                    let mut allowed = space.roles();
                    allowed.add(O);
                    let granting = granting(*kind, space.place(), true, *action);
                    assert!(granting.without(allowed).is_empty(), "{space:?} {kind:?} {action}: {granting:?}");
                }
            }
        }
    }
}
