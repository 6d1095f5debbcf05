//! Permissions: what custom roles and the user default are made of.

use super::Where::{Anywhere, In, Own, OwnAnywhere};
use super::role::MANAGE_SPACE;
use super::{Kind, Line, Place, line};
use crate::action::Action::{ChangeOwner, ChangeSpace, Create, Delete, Export, Read, Update};
use crate::bits::{Bit, Set, names};

names! {
    /// A permission.
    pub(crate) enum Permission {
        AppsDataExport = 0 "apps.data:export",
        AppsImageExport = 1 "apps.image:export",
        Apps = 2 "apps",
        Automations = 3 "automations",
        SpacesShared = 4 "spaces.shared",
        SpacesManaged = 5 "spaces.managed",
        SpacesData = 6 "spaces.data",
        ApiKeys = 7 "api-keys",
        // Accepted, without an effect of their own.
        AppsRead = 8 "apps:read",
        AppsExport = 9 "apps:export",
        AutomationsRead = 10 "automations:read",
        AutomationsShared = 11 "automations.shared",
        SpacesSharedRead = 12 "spaces.shared:read",
        SpacesManagedRead = 13 "spaces.managed:read",
        SpacesDataRead = 14 "spaces.data:read",
        // Of the level `admin`.
        AdminApps = 15 "admin.apps",
        AdminAppsRead = 16 "admin.apps:read",
        AdminAppsExport = 17 "admin.apps:export",
        AdminSpaces = 18 "admin.spaces",
        AdminSpacesRead = 19 "admin.spaces:read",
        AdminAutomations = 20 "admin.automations",
        AdminAutomationsRead = 21 "admin.automations:read",
    }
}

impl Permission {
    /// The permissions whose grants are of the level `admin`. Everybody's default cannot hold them.
    pub(crate) fn administrators() -> Set<Self> {
        Self::ALL.iter().copied().filter(|one| one.name().starts_with("admin.")).collect()
    }

    /// What a policy without a user default gives to everybody.
    pub(crate) fn user_default() -> Set<Self> {
        Set::of(&[Self::AppsDataExport, Self::AppsImageExport])
    }
}

use Permission as P;

pub(super) const LINES: &[Line<Permission>] = &[
    line(P::Apps, &[Kind::App], &[Create], Own(&[Place::Personal])),
    line(P::Automations, &[Kind::Automation], &[Create], Own(&[Place::Personal])),
    line(P::SpacesShared, &[Kind::Space], &[Create], In(&[Place::Shared])),
    line(P::SpacesManaged, &[Kind::Space], &[Create], In(&[Place::Managed])),
    line(P::SpacesData, &[Kind::Space], &[Create], In(&[Place::Data])),
    line(P::ApiKeys, &[Kind::ApiKey], &[Create, Read, Delete], OwnAnywhere),
    line(P::AdminApps, &[Kind::App], &[Read, Export, Delete, ChangeOwner, ChangeSpace], Anywhere),
    line(P::AdminAppsRead, &[Kind::App], &[Read], Anywhere),
    line(P::AdminAppsExport, &[Kind::App], &[Export], Anywhere),
    line(P::AdminSpaces, &[Kind::Space], MANAGE_SPACE, Anywhere),
    line(P::AdminSpacesRead, &[Kind::Space], &[Read], Anywhere),
    line(P::AdminAutomations, &[Kind::Automation], &[Read, Update, Delete, ChangeOwner], Anywhere),
    line(P::AdminAutomationsRead, &[Kind::Automation], &[Read], Anywhere),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_have_bits_of_their_own() {
        crate::bits::assert_counted::<Permission>();
        assert_eq!(Permission::administrators().iter().count(), 7);
    }
}
