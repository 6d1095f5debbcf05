//! Scopes of a token: a ceiling over what roles grant, never a grant.

use super::Where::{Anywhere, In};
use super::{Kind, Line, Place, every, line};
use crate::action::Action::{self, Export, ExportData, ExportImage, Read};
use crate::bits::{Bit, names};
use crate::request::Context;

/// The level of a grant; only the ceiling looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    User,
    Admin,
}

impl Level {
    /// The level of what rules grant.
    pub(crate) fn of_rules(context: Context) -> Self {
        if context == Context::Admin { Self::Admin } else { Self::User }
    }
}

names! {
    /// A scope that admits something. Other names, known to OAuth or not, admit nothing and are not kept.
    pub(crate) enum Scope {
        UserDefault = 0 "user_default",
        Apps = 1 "apps",
        AppsRead = 2 "apps:read",
        AppsExport = 3 "apps:export",
        AppsDataExport = 4 "apps.data:export",
        AppsImageExport = 5 "apps.image:export",
        SpacesShared = 6 "spaces.shared",
        SpacesManaged = 7 "spaces.managed",
        SpacesData = 8 "spaces.data",
        SpacesSharedRead = 9 "spaces.shared:read",
        SpacesManagedRead = 10 "spaces.managed:read",
        SpacesDataRead = 11 "spaces.data:read",
        Automations = 12 "automations",
        AutomationsRead = 13 "automations:read",
        AutomationsShared = 14 "automations.shared",
        ApiKeys = 15 "api-keys",
        AdminClassic = 16 "admin_classic",
        AdminApps = 17 "admin.apps",
        AdminAppsRead = 18 "admin.apps:read",
        AdminAppsExport = 19 "admin.apps:export",
        AdminSpaces = 20 "admin.spaces",
        AdminSpacesRead = 21 "admin.spaces:read",
        AdminAutomations = 22 "admin.automations",
        AdminAutomationsRead = 23 "admin.automations:read",
        /// For the recovery session alone; given to no client.
        IdpManage = 24 "idp:manage",
        /// For the recovery session alone; given to no client.
        UsersManage = 25 "users:manage",
    }
}

/// Names that OAuth knows and that admit nothing here: the first asks for a refresh token, the others choose claims.
const OAUTH_ONLY: [&str; 5] =
    ["offline_access", "identity.name:read", "identity.email:read", "identity.subject:read", "identity.picture:read"];

/// Every scope that an OAuth client may be registered with. Those of the recovery session are given to no client.
///
/// ```
/// assert!(qsec_authz::client_scopes().any(|scope| scope == "apps:read"));
/// assert!(!qsec_authz::client_scopes().any(|scope| scope == "users:manage"));
/// ```
pub fn client_scopes() -> impl Iterator<Item = &'static str> {
    let given = |scope: &&Scope| !matches!(scope, Scope::IdpManage | Scope::UsersManage);
    Scope::ALL.iter().filter(given).map(|scope| scope.name()).chain(OAUTH_ONLY)
}

use Scope as S;

/// What a scope admits of the grants of the level `user`; `user_default` admits all of them.
pub(super) const USER_LINES: &[Line<Scope>] = &[
    every(S::UserDefault, Kind::ALL, Anywhere),
    every(S::Apps, &[Kind::App, Kind::AppObject], Anywhere),
    line(S::AppsRead, &[Kind::App, Kind::AppObject], &[Read], Anywhere),
    line(S::AppsExport, &[Kind::App], &[Export], Anywhere),
    line(S::AppsDataExport, &[Kind::App], &[ExportData, ExportImage], Anywhere),
    line(S::AppsImageExport, &[Kind::App], &[ExportImage], Anywhere),
    every(S::SpacesShared, &[Kind::Space], In(&[Place::Shared])),
    every(S::SpacesManaged, &[Kind::Space], In(&[Place::Managed])),
    every(S::SpacesData, &[Kind::Space], In(&[Place::Data])),
    line(S::SpacesSharedRead, &[Kind::Space], &[Read], In(&[Place::Shared])),
    line(S::SpacesManagedRead, &[Kind::Space], &[Read], In(&[Place::Managed])),
    line(S::SpacesDataRead, &[Kind::Space], &[Read], In(&[Place::Data])),
    every(S::Automations, &[Kind::Automation], Anywhere),
    line(S::AutomationsRead, &[Kind::Automation], &[Read], Anywhere),
    every(S::AutomationsShared, &[Kind::Automation], In(&[Place::Shared])),
    every(S::ApiKeys, &[Kind::ApiKey], Anywhere),
];

/// What a scope admits of the grants of the level `admin`; `admin_classic` admits all of them.
pub(super) const ADMIN_LINES: &[Line<Scope>] = &[
    every(S::AdminClassic, Kind::ALL, Anywhere),
    every(S::AdminApps, &[Kind::App], Anywhere),
    line(S::AdminAppsRead, &[Kind::App], &[Read], Anywhere),
    line(S::AdminAppsExport, &[Kind::App], &[Export], Anywhere),
    every(S::AdminSpaces, &[Kind::Space], Anywhere),
    line(S::AdminSpacesRead, &[Kind::Space], &[Read], Anywhere),
    every(S::AdminAutomations, &[Kind::Automation], Anywhere),
    line(S::AdminAutomationsRead, &[Kind::Automation], &[Read], Anywhere),
    every(S::IdpManage, &[Kind::IdentityProvider], Anywhere),
    every(S::UsersManage, &[Kind::User], Anywhere),
];

/// The scope that admits such a grant and the least besides.
pub(crate) fn narrowest(level: Level, kind: Kind, place: Place, action: Action) -> Scope {
    match level {
        Level::User => narrowest_user(kind, place, action),
        Level::Admin => narrowest_admin(kind, action),
    }
}

fn narrowest_user(kind: Kind, place: Place, action: Action) -> Scope {
    let read = action == Read;
    if kind == Kind::App && action == Export {
        S::AppsExport
    } else if kind == Kind::App && action == ExportData {
        S::AppsDataExport
    } else if kind == Kind::App && action == ExportImage {
        S::AppsImageExport
    } else if kind == Kind::App || kind == Kind::AppObject {
        if read { S::AppsRead } else { S::Apps }
    } else if kind == Kind::Automation {
        if read { S::AutomationsRead } else { S::Automations }
    } else if kind == Kind::ApiKey {
        S::ApiKeys
    } else if kind == Kind::Space {
        match place {
            Place::Shared => {
                if read {
                    S::SpacesSharedRead
                } else {
                    S::SpacesShared
                }
            }
            Place::Managed => {
                if read {
                    S::SpacesManagedRead
                } else {
                    S::SpacesManaged
                }
            }
            Place::Data => {
                if read {
                    S::SpacesDataRead
                } else {
                    S::SpacesData
                }
            }
            Place::Elsewhere | Place::Personal => S::UserDefault,
        }
    } else {
        S::UserDefault
    }
}

fn narrowest_admin(kind: Kind, action: Action) -> Scope {
    let read = action == Read;
    if kind == Kind::App && action == Export {
        S::AdminAppsExport
    } else if kind == Kind::App {
        if read { S::AdminAppsRead } else { S::AdminApps }
    } else if kind == Kind::Space {
        if read { S::AdminSpacesRead } else { S::AdminSpaces }
    } else if kind == Kind::Automation {
        if read { S::AdminAutomationsRead } else { S::AdminAutomations }
    } else {
        S::AdminClassic
    }
}

#[cfg(test)]
mod tests {
    use super::super::holders;
    use super::*;

    #[test]
    fn scopes_have_bits_of_their_own() {
        crate::bits::assert_counted::<Scope>();
    }

    /// A proposal that would not help is worse than none.
    #[test]
    fn narrowest_scope_admits_what_it_is_named_for() {
        for kind in Kind::ALL {
            for place in Place::ALL {
                for action in Action::ALL {
                    let user = narrowest(Level::User, *kind, *place, *action);
                    assert!(
                        holders(USER_LINES, *kind, *place, false, *action).has(user),
                        "{kind:?} {place:?} {action}"
                    );
                    let admin = narrowest(Level::Admin, *kind, *place, *action);
                    assert!(holders(ADMIN_LINES, *kind, *place, false, *action).has(admin), "{kind:?} {action}");
                }
            }
        }
    }

    #[test]
    fn parent_scope_admits_what_its_child_admits() {
        for child in Scope::ALL {
            let Some((parent, _)) = child.name().rsplit_once(':') else { continue };
            let Some(parent) = Scope::named(parent) else { continue };
            for kind in Kind::ALL {
                for place in Place::ALL {
                    for action in Action::ALL {
                        for lines in [USER_LINES, ADMIN_LINES] {
                            let admitting = holders(lines, *kind, *place, false, *action);
                            assert!(!admitting.has(*child) || admitting.has(parent), "{child:?}");
                        }
                    }
                }
            }
        }
    }
}
