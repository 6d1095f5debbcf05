//! The tables as policies: one for each holder, kind of resource and set of actions that stand under the same conditions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::action::Action;
use crate::bits::{Bit, Set};
use crate::policy::{Model, Tenant, TenantStatus};
use crate::tables::{Capability, Cell, Kind, MATRIX, Permission, Place, Scope, SpaceRole, TenantRole};

/// What a tenant of this status grants and forbids.
pub(super) fn of(tenant: &Tenant) -> String {
    let mut text = String::from("// Roles and spaces. Names of people, groups and resources are entities.\n");
    text.push_str(status(tenant.status()));
    text.push_str(DISABLED);
    if tenant.model() == Model::Enterprise {
        text.push_str("// In this model only security rules grant, which are not exported: everything is refused.\n");
        return text;
    }
    text.push_str(RESTRICTED);
    for holder in Holder::all() {
        grants(&mut text, holder);
    }
    text
}

/// The types of all entities, and what every action applies to.
pub(super) fn schema() -> String {
    let roles: Vec<String> = SpaceRole::ALL.iter().map(|role| format!("        {}: SpaceRole,", role.name())).collect();
    let actions: Vec<String> = Action::ALL.iter().map(|action| format!("\"{action}\"")).collect();
    format!(
        "namespace qsec {{
    entity Permission;
    entity TenantRole;
    entity CustomRole in [Permission];
    entity SpaceRole;
    entity Group in [TenantRole, CustomRole, SpaceRole];
    entity User in [Group, TenantRole, CustomRole, SpaceRole, Permission] {{ disabled: Bool }};
    entity Anonymous;
    entity Space {{
{}
    }};
    entity Thing {{ type: String, place: String, space?: Space, owner?: User }};
    action {} appliesTo {{
        principal: [User, Anonymous],
        resource: [Thing],
        context: {{ from: String, scopes?: Set<String> }},
    }};
}}
",
        roles.join("\n"),
        actions.join(", ")
    )
}

const EVERYBODY_OUT: &str = "forbid (principal, action, resource);\n";

const ADMINISTRATORS_ONLY: &str = "forbid (principal, action, resource) unless {
    principal in [qsec::TenantRole::\"TenantAdmin\", qsec::TenantRole::\"AnalyticsAdmin\",
                  qsec::TenantRole::\"AuditAdmin\", qsec::TenantRole::\"DataAdmin\"]
};
";

const DISABLED: &str = "forbid (principal is qsec::User, action, resource) when { principal.disabled };\n";

const RESTRICTED: &str = "forbid (principal in qsec::TenantRole::\"EmbeddedAnalyticsUser\", action, resource)
when { [\"hub\", \"admin\"].contains(context.from) || resource.type == \"ApiKey\" };
";

fn status(status: TenantStatus) -> &'static str {
    match status {
        TenantStatus::Active => "",
        TenantStatus::UserAccessDisabled => ADMINISTRATORS_ONLY,
        TenantStatus::Deactivated | TenantStatus::Purged => EVERYBODY_OUT,
    }
}

/// Whatever a grant can come from.
#[derive(Debug, Clone, Copy)]
enum Holder {
    Role(TenantRole),
    Permission(Permission),
    Personal,
    Space(SpaceRole),
}

impl Holder {
    fn all() -> impl Iterator<Item = Self> {
        let roles = TenantRole::ALL.iter().copied().map(Self::Role);
        let permissions = Permission::ALL.iter().copied().map(Self::Permission);
        let spaces = SpaceRole::ALL.iter().copied().map(Self::Space);
        roles.chain(permissions).chain([Self::Personal]).chain(spaces)
    }

    fn grants(self, cell: &Cell) -> bool {
        match self {
            Self::Role(role) => cell.roles.has(role),
            Self::Permission(permission) => cell.permissions.has(permission),
            Self::Personal => cell.personal,
            Self::Space(role) => cell.space_roles.has(role),
        }
    }

    fn is_administrator(self) -> bool {
        match self {
            Self::Role(role) => MATRIX.admin_roles.has(role),
            Self::Permission(permission) => MATRIX.admin_permissions.has(permission),
            Self::Personal | Self::Space(_) => false,
        }
    }

    fn condition(self) -> String {
        match self {
            Self::Role(role) => format!("principal in qsec::TenantRole::\"{}\"", role.name()),
            Self::Permission(permission) => format!("principal in {}", held(permission)),
            // Personal content is its owner's, which is another part of the condition.
            Self::Personal => "principal is qsec::User".to_owned(),
            Self::Space(role) => format!("resource has space && principal in resource.space.{}", role.name()),
        }
    }
}

/// Under which further conditions a holder's grant stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Terms {
    own: bool,
    places: Vec<&'static str>,
    capability: Option<String>,
    scopes: Vec<&'static str>,
}

fn grants(text: &mut String, holder: Holder) {
    for kind in Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Other) {
        let mut groups: BTreeMap<Terms, Vec<Action>> = BTreeMap::new();
        for action in Action::ALL {
            for terms in terms(holder, kind, *action) {
                groups.entry(terms).or_default().push(*action);
            }
        }
        for (terms, actions) in groups {
            permit(text, holder, kind, &terms, &actions);
        }
    }
}

/// What grants one action: the places that ask for the same, together.
fn terms(holder: Holder, kind: Kind, action: Action) -> Vec<Terms> {
    let mut found: BTreeMap<(bool, Vec<&'static str>), Vec<&'static str>> = BTreeMap::new();
    let mut capability = None;
    for place in Place::ALL.iter().copied() {
        let [any, own] = [false, true].map(|own| MATRIX.cell(kind, place, own, action));
        if !holder.grants(own) {
            continue;
        }
        let scopes = if holder.is_administrator() { own.admin_scopes } else { own.user_scopes };
        found.entry((!holder.grants(any), names(scopes))).or_default().push(place.name());
        capability = own.capability.filter(|_| !holder.is_administrator());
    }
    let capability = capability.map(able);
    let terms = |((own, scopes), places)| Terms { own, places, capability: capability.clone(), scopes };
    found.into_iter().map(terms).collect()
}

fn permit(text: &mut String, holder: Holder, kind: Kind, terms: &Terms, actions: &[Action]) {
    let actions: Vec<String> = actions.iter().map(|action| format!("qsec::Action::\"{action}\"")).collect();
    let mut conditions = vec![holder.condition(), format!("resource.type == \"{}\"", kind.name())];
    if terms.places.len() < Place::ALL.len() {
        conditions.push(format!("{:?}.contains(resource.place)", terms.places));
    }
    if terms.own {
        conditions.push("resource has owner && resource.owner == principal".to_owned());
    }
    conditions.extend(terms.capability.clone());
    conditions.push(format!("(if context has scopes then context.scopes.containsAny({:?}) else true)", terms.scopes));
    // Writing into a text cannot fail.
    let _ = writeln!(
        text,
        "permit (principal, action in [{}], resource)\nwhen {{\n    {}\n}};",
        actions.join(", "),
        conditions.join(" &&\n    ")
    );
}

fn names(scopes: Set<Scope>) -> Vec<&'static str> {
    scopes.iter().map(Bit::name).collect()
}

fn held(permission: Permission) -> String {
    format!("qsec::Permission::\"{}\"", permission.name())
}

/// What a user must hold besides the grant.
fn able(capability: Capability) -> String {
    let role = |role: TenantRole| format!("principal in qsec::TenantRole::\"{}\"", role.name());
    match capability {
        Capability::DataServices => role(TenantRole::DataServicesContributor),
        Capability::DataProducts => role(TenantRole::DataProductManager),
        Capability::ExportData => format!("principal in {}", held(Permission::AppsDataExport)),
        Capability::ExportImage => {
            format!("principal in [{}, {}]", held(Permission::AppsImageExport), held(Permission::AppsDataExport))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_finds_one_policy_for_a_role_and_a_kind() {
        let mut text = String::new();
        grants(&mut text, Holder::Role(TenantRole::AuditAdmin));
        let reads = |kind: &str| {
            format!(
                "permit (principal, action in [qsec::Action::\"read\"], resource)\nwhen {{\n    \
                 principal in qsec::TenantRole::\"AuditAdmin\" &&\n    resource.type == \"{kind}\" &&\n    \
                 (if context has scopes then context.scopes.containsAny([\"admin_classic\"]) else true)\n}};\n"
            )
        };
        assert_eq!(text, reads("AuditEvent") + &reads("Conversation"));
    }

    /// A role that the list leaves out would lock its holders out of a tenant that lets administrators in.
    #[test]
    fn administrators_are_those_of_the_tables() {
        for role in TenantRole::ALL {
            assert_eq!(ADMINISTRATORS_ONLY.contains(&format!("\"{}\"", role.name())), MATRIX.admin_roles.has(*role));
        }
    }
}
