//! The 17 tenant roles and what they grant.

use super::Where::{Anywhere, In, Own, OwnAnywhere};
use super::{Kind, Line, Place, every, line};
use crate::action::Action::{
    self, Activate, Approve, ChangeOwner, ChangeSpace, Create, Deactivate, Delete, Export, ManageMembers, Read, Update,
    Use,
};
use crate::bits::{Set, names};

names! {
    /// A built-in tenant role.
    pub(crate) enum TenantRole {
        TenantAdmin = 0 "TenantAdmin",
        AnalyticsAdmin = 1 "AnalyticsAdmin",
        AuditAdmin = 2 "AuditAdmin",
        DataAdmin = 3 "DataAdmin",
        DataSpaceCreator = 4 "DataSpaceCreator",
        SharedSpaceCreator = 5 "SharedSpaceCreator",
        ManagedSpaceCreator = 6 "ManagedSpaceCreator",
        DataProductManager = 7 "DataProductManager",
        DataServicesContributor = 8 "DataServicesContributor",
        PrivateAnalyticsContentCreator = 9 "PrivateAnalyticsContentCreator",
        AutomationCreator = 10 "AutomationCreator",
        AutomlExperimentContributor = 11 "AutomlExperimentContributor",
        AutomlDeploymentContributor = 12 "AutomlDeploymentContributor",
        CollaborationPlatformUser = 13 "CollaborationPlatformUser",
        Developer = 14 "Developer",
        Steward = 15 "Steward",
        /// Grants nothing and keeps its holder out of hub and console, whatever else the holder has.
        EmbeddedAnalyticsUser = 16 "EmbeddedAnalyticsUser",
    }
}

impl TenantRole {
    /// The roles whose grants are of the level `admin`.
    pub(crate) fn administrators() -> Set<Self> {
        Set::of(&[Self::TenantAdmin, Self::AnalyticsAdmin, Self::AuditAdmin, Self::DataAdmin])
    }
}

/// What an administrator of spaces does with a space: all but opening what is in it.
pub(super) const MANAGE_SPACE: &[Action] = &[Read, Update, Delete, ManageMembers, ChangeOwner];
const MANAGE_APP: &[Action] = &[Read, Delete, ChangeOwner, ChangeSpace];
const ANALYTICS: &[Place] = &[Place::Shared, Place::Managed];

use TenantRole as R;

pub(super) const LINES: &[Line<TenantRole>] = &[
    line(R::TenantAdmin, &[Kind::Space], MANAGE_SPACE, Anywhere),
    line(R::TenantAdmin, &[Kind::App], MANAGE_APP, Anywhere),
    line(R::TenantAdmin, &[Kind::App], &[Export], In(&[Place::Personal])),
    every(R::TenantAdmin, &[Kind::User, Kind::Group, Kind::Role, Kind::Tenant], Anywhere),
    every(R::TenantAdmin, &[Kind::IdentityProvider, Kind::OAuthClient, Kind::Extension, Kind::Theme], Anywhere),
    line(R::TenantAdmin, &[Kind::TenantKey], &[Read, Update, Activate, Deactivate, Delete], Anywhere),
    line(R::TenantAdmin, &[Kind::AuditEvent], &[Read], Anywhere),
    line(R::TenantAdmin, &[Kind::ApiKey], &[Read, Delete], Anywhere),
    line(
        R::TenantAdmin,
        &[Kind::Automation, Kind::DataProject, Kind::DataTask],
        &[Read, Delete, ChangeOwner],
        Anywhere,
    ),
    line(R::AnalyticsAdmin, &[Kind::Space], MANAGE_SPACE, In(ANALYTICS)),
    line(R::AnalyticsAdmin, &[Kind::App], MANAGE_APP, In(ANALYTICS)),
    every(R::AnalyticsAdmin, &[Kind::Extension, Kind::Theme], Anywhere),
    line(R::AuditAdmin, &[Kind::AuditEvent, Kind::Conversation], &[Read], Anywhere),
    line(R::DataAdmin, &[Kind::Space], MANAGE_SPACE, In(&[Place::Data])),
    line(R::DataSpaceCreator, &[Kind::Space], &[Create], In(&[Place::Data])),
    line(R::SharedSpaceCreator, &[Kind::Space], &[Create], In(&[Place::Shared])),
    line(R::ManagedSpaceCreator, &[Kind::Space], &[Create], In(&[Place::Managed])),
    line(
        R::PrivateAnalyticsContentCreator,
        &[Kind::App, Kind::AppObject, Kind::DataConnection, Kind::DataAsset],
        &[Create],
        Own(&[Place::Personal]),
    ),
    line(R::AutomationCreator, &[Kind::Automation], &[Create], Own(&[Place::Personal])),
    line(R::AutomlExperimentContributor, &[Kind::MlExperiment], &[Create], Own(&[Place::Personal])),
    line(R::AutomlDeploymentContributor, &[Kind::MlDeployment], &[Create], Own(&[Place::Personal])),
    line(R::CollaborationPlatformUser, &[Kind::CollaborationPlatform], &[Use], Anywhere),
    line(R::Developer, &[Kind::ApiKey], &[Create, Read, Delete], OwnAnywhere),
    line(R::Steward, &[Kind::Glossary, Kind::GlossaryTerm], &[Create, Read, Update, Delete], Anywhere),
    line(R::Steward, &[Kind::GlossaryTerm], &[Approve], Anywhere),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_roles_have_bits_of_their_own() {
        crate::bits::assert_counted::<TenantRole>();
    }
}
