//! Resource types with a meaning of their own, and where a resource can stand.

use crate::bits::{Bit, names};

names! {
    /// A resource type that the tables name. Types are open: any other one is `Other` and is granted by rules only.
    pub(crate) enum Kind {
        Space = 0 "Space",
        App = 1 "App",
        AppObject = 2 "App.Object",
        DataConnection = 3 "DataConnection",
        DataAsset = 4 "DataAsset",
        DataProduct = 5 "DataProduct",
        DataProject = 6 "DataProject",
        DataTask = 7 "DataTask",
        Automation = 8 "Automation",
        MlExperiment = 9 "MlExperiment",
        MlDeployment = 10 "MlDeployment",
        User = 11 "User",
        Group = 12 "Group",
        Role = 13 "Role",
        Tenant = 14 "Tenant",
        IdentityProvider = 15 "IdentityProvider",
        OAuthClient = 16 "OAuthClient",
        Extension = 17 "Extension",
        Theme = 18 "Theme",
        TenantKey = 19 "TenantKey",
        AuditEvent = 20 "AuditEvent",
        Conversation = 21 "Conversation",
        ApiKey = 22 "ApiKey",
        CollaborationPlatform = 23 "CollaborationPlatform",
        Glossary = 24 "Glossary",
        GlossaryTerm = 25 "GlossaryTerm",
        Other = 26 "",
    }
}

impl Kind {
    /// The kind of a type name; case counts.
    pub(crate) fn of(type_name: &str) -> Self {
        if type_name.is_empty() { Self::Other } else { Self::named(type_name).unwrap_or(Self::Other) }
    }

    /// Types whose resources are personal when they are in no space and no stream.
    pub(crate) fn can_be_personal(self) -> bool {
        PERSONAL.contains(&self)
    }
}

/// Types whose resources can be personal content.
pub(super) const PERSONAL: &[Kind] = &[
    Kind::App,
    Kind::AppObject,
    Kind::DataConnection,
    Kind::DataAsset,
    Kind::Automation,
    Kind::MlExperiment,
    Kind::MlDeployment,
];

names! {
    /// Where a resource stands. A space stands in itself.
    pub(crate) enum Place {
        Elsewhere = 0 "elsewhere",
        Personal = 1 "personal",
        Shared = 2 "shared",
        Managed = 3 "managed",
        Data = 4 "data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_places_have_bits_of_their_own() {
        crate::bits::assert_counted::<Kind>();
        crate::bits::assert_counted::<Place>();
    }

    #[test]
    fn type_names_are_case_sensitive() {
        assert_eq!(Kind::of("App.Object"), Kind::AppObject);
        assert_eq!(Kind::of("app"), Kind::Other);
        assert_eq!(Kind::of(""), Kind::Other);
    }
}
