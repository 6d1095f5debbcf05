//! What a grant of the level `user` needs besides itself.

use super::{Kind, Permission, TenantRole};
use crate::action::Action::{
    self, Activate, Consume, Create, Deactivate, Delete, ExportData, ExportImage, Publish, Update,
};
use crate::bits::Set;

/// A capability. It gates grants of tenant roles, permissions, personal content and space roles of the level `user`;
/// those of administrators and of rules pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    DataServices,
    DataProducts,
    ExportData,
    ExportImage,
}

impl Capability {
    /// What an action on a kind of resource needs.
    pub(super) fn of(kind: Kind, action: Action) -> Option<Self> {
        let changes_product = [Create, Update, Delete, Activate, Deactivate, Publish].contains(&action);
        if [Kind::DataProject, Kind::DataTask].contains(&kind) && action != Consume {
            Some(Self::DataServices)
        } else if kind == Kind::DataProduct && changes_product {
            Some(Self::DataProducts)
        } else if kind == Kind::App && action == ExportData {
            Some(Self::ExportData)
        } else if kind == Kind::App && action == ExportImage {
            Some(Self::ExportImage)
        } else {
            None
        }
    }

    /// Whether the holder of these roles and permissions has it.
    pub(crate) fn held(self, roles: Set<TenantRole>, permissions: Set<Permission>) -> bool {
        match self {
            Self::DataServices => roles.has(TenantRole::DataServicesContributor),
            Self::DataProducts => roles.has(TenantRole::DataProductManager),
            Self::ExportData => permissions.has(Permission::AppsDataExport),
            Self::ExportImage => {
                permissions.has(Permission::AppsImageExport) || permissions.has(Permission::AppsDataExport)
            }
        }
    }

    /// As `missing` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DataServices => "role:DataServicesContributor",
            Self::DataProducts => "role:DataProductManager",
            Self::ExportData => "permission:apps.data:export",
            Self::ExportImage => "permission:apps.image:export",
        }
    }
}
