//! Users, roles, rules, decisions.

use super::table::{activity, catalogue, member, option, setter, shape};

catalogue! {
    UserInvited = "user.invited" FailClosed, severity 1, ocsf 3007:1 (3001:1), alias(), "privacy and security: accounts can be invited",
        { role: text, expires: time } personal("email");
    UserCreated = "user.created" Block, severity 1, ocsf 3007:1 (3001:1), alias("com.qlik.core.user.created"), "privacy and security: users created by API",
        { idp: text } personal("name", "email");
    UserDeleted = "user.deleted" FailClosed, severity 1, ocsf 3007:3 (3001:6), alias("com.qlik.core.user.deleted"), "privacy and security: users created by API",
        { idp: text } personal("name", "email");
    GroupMemberAdded = "group.member_added" Block, severity 1, ocsf 3006:3, alias("com.qlik.core.group.users.modified"), "privacy and security: groups in each login's claims",
        { group: text, from_claims: flag } personal();
    GroupMemberRemoved = "group.member_removed" Block, severity 1, ocsf 3006:4, alias("com.qlik.core.group.users.modified"), "privacy and security: groups in each login's claims",
        { group: text, from_claims: flag } personal();
    RoleCreated = "role.created" FailClosed, severity 1, ocsf 3008:1 (3004:1), alias("com.qlik.core.role.created"), "privacy and security: custom roles",
        { permissions: texts, changed: texts } personal();
    RoleUpdated = "role.updated" FailClosed, severity 1, ocsf 3008:2 (3004:3), alias("com.qlik.core.role.updated"), "privacy and security: custom roles",
        { permissions: texts, changed: texts } personal();
    RoleDeleted = "role.deleted" FailClosed, severity 1, ocsf 3008:3 (3004:4), alias("com.qlik.core.role.deleted"), "privacy and security: custom roles",
        { permissions: texts, changed: texts } personal();
    RoleAssigned = "role.assigned" FailClosed, severity 1, ocsf 3007:16 (3005:1), alias(), "privacy and security: tenant roles",
        { role: text, to: Assignee } personal();
    RoleUnassigned = "role.unassigned" FailClosed, severity 1, ocsf 3007:17 (3005:2), alias(), "privacy and security: tenant roles",
        { role: text, to: Assignee } personal();
    SpaceCreated = "space.created" Block, severity 1, ocsf 3004:1, alias("com.qlik.core.space.created"), "privacy and security: spaces",
        { kind: SpaceKind } personal();
    SpaceDeleted = "space.deleted" FailClosed, severity 1, ocsf 3004:4, alias("com.qlik.core.space.deleted"), "privacy and security: spaces",
        { kind: SpaceKind } personal();
    SpaceRoleAssigned = "space.role_assigned" FailClosed, severity 1, ocsf 3007:14 (3005:1), alias("com.qlik.core.space.assignment.created"), "privacy and security: space roles",
        { space: text, roles: texts, to: Assignee } personal();
    SpaceRoleRemoved = "space.role_removed" FailClosed, severity 1, ocsf 3007:15 (3005:2), alias("com.qlik.core.space.assignment.deleted"), "privacy and security: space roles",
        { space: text, roles: texts, to: Assignee } personal();
    RuleCreated = "rule.created" FailClosed, severity 1, ocsf 3004:1, alias(), "hardening: security rules",
        { resource_filter: text, actions: texts, digest: text, changed: texts } personal();
    RuleUpdated = "rule.updated" FailClosed, severity 1, ocsf 3004:3, alias(), "hardening: security rules",
        { resource_filter: text, actions: texts, digest: text, changed: texts } personal();
    RuleDeleted = "rule.deleted" FailClosed, severity 1, ocsf 3004:4, alias(), "hardening: security rules",
        { resource_filter: text, actions: texts, digest: text, changed: texts } personal();
    PolicyActivated = "policy.activated" FailClosed, severity 1, ocsf 3004:10, alias(), "hardening: security rules",
        { digest: text, previous: text, rules: int } personal();
    DecisionDenied = "decision.denied" Block, severity 2, ocsf 6003:v, alias(), "privacy and security: layers of access control",
        { action: text, resource: text, missing: texts, policy: text } personal();
    DecisionAllowed = "decision.allowed" CountedDrop, severity 1, ocsf 6003:v, alias(), "privacy and security: layers of access control",
        { action: text, resource: text, missing: texts, policy: text, because: texts } personal();
    SectionAccessUpdated = "section_access.updated" FailClosed, severity 1, ocsf 3004:3, alias(), "privacy and security: applied when the app reloads",
        { app: text, rows: int, digest: text } personal();
    SectionAccessReduced = "section_access.reduced" CountedDrop, severity 1, ocsf 6005:4, alias(), "privacy and security: row and field reduction",
        { app: text, rows_kept: int, rows_all: int, fields_omitted: int, strict: flag } personal();
    SectionAccessDenied = "section_access.denied" Block, severity 2, ocsf 6005:4, alias(), "privacy and security: row and field reduction",
        { app: text, cause: text } personal();
}
