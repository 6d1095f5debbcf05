//! The life of a tenant.

use super::table::{activity, catalogue, member, option, setter, shape};

catalogue! {
    TenantCreated = "tenant.created" FailClosed, severity 1, ocsf 3004:1, alias("com.qlik.core.tenant.created"), "tenant encryption: keys at creation",
        { from: text, to: text, version: int, region: text, name_digest: text } personal();
    TenantUserAccessDisabled = "tenant.user_access_disabled" FailClosed, severity 1, ocsf 3004:12, alias(), "privacy and security: lifecycle",
        { from: text, to: text, version: int, cause: text } personal();
    TenantUserAccessEnabled = "tenant.user_access_enabled" FailClosed, severity 1, ocsf 3004:13, alias(), "privacy and security: lifecycle",
        { from: text, to: text, version: int, cause: text } personal();
    TenantDeactivated = "tenant.deactivated" FailClosed, severity 2, ocsf 3004:11, alias("com.qlik.core.tenant.deactivated"), "privacy and security: 10 to 90 days",
        { from: text, to: text, version: int, days: int, purge_at: time } personal();
    TenantPurgeRescheduled = "tenant.purge_rescheduled" FailClosed, severity 1, ocsf 3004:3, alias(), "privacy and security: 10 to 90 days",
        { from: text, to: text, version: int, days: int, purge_at: time, previous: time } personal();
    TenantReactivated = "tenant.reactivated" FailClosed, severity 1, ocsf 3004:10, alias("com.qlik.core.tenant.reactivated"), "privacy and security: until the purge",
        { from: text, to: text, version: int } personal();
    TenantProtectionEnabled = "tenant.protection_enabled" FailClosed, severity 1, ocsf 3004:3, alias("com.qlik.core.tenant.disallowed-deactivate"), "privacy and security: lifecycle",
        { from: text, to: text, version: int } personal();
    TenantProtectionDisabled = "tenant.protection_disabled" FailClosed, severity 1, ocsf 3004:3, alias("com.qlik.core.tenant.allowed-deactivate"), "privacy and security: lifecycle",
        { from: text, to: text, version: int } personal();
    TenantHeld = "tenant.held" FailClosed, severity 1, ocsf 3004:3, alias(), "privacy and security: regulatory needs",
        { from: text, to: text, version: int, hold: text, matter: text } personal();
    TenantReleased = "tenant.released" FailClosed, severity 1, ocsf 3004:3, alias(), "privacy and security: regulatory needs",
        { from: text, to: text, version: int, hold: text, matter: text } personal();
    TenantKeyLost = "tenant.key_lost" Block, severity 3, ocsf 3004:12, alias(), "tenant encryption: locked while the key is",
        { from: text, to: text, version: int, cause: text, key: text } personal();
    TenantKeyRegained = "tenant.key_regained" Block, severity 1, ocsf 3004:13, alias(), "tenant encryption: locked while the key is",
        { from: text, to: text, version: int, cause: text, key: text } personal();
    TenantPolicyChanged = "tenant.policy_changed" FailClosed, severity 1, ocsf 3004:3, alias(), "privacy and security: policies of a tenant",
        { from: text, to: text, version: int, changed: texts } personal();
    TenantRequestRefused = "tenant.request_refused" CountedDrop, severity 2, ocsf 6003:v, alias(), "privacy and security: blocks all logins and requests",
        { from: text, to: text, version: int, surface: text, state: text, count: int, first: time, last: time } personal();
    TenantPurgePlanned = "tenant.purge_planned" FailClosed, severity 1, ocsf 3004:3, alias(), "privacy and security: removes all content and usage",
        { from: text, to: text, version: int, plan_digest: text, counts: counts } personal();
    TenantPurgeStarted = "tenant.purge_started" FailClosed, severity 3, ocsf 3004:4, alias(), "privacy and security: no way back",
        { from: text, to: text, version: int, plan_digest: text } personal();
    TenantPurgeStepFinished = "tenant.purge_step_finished" FailClosed, severity 1, ocsf 3004:4, alias(), "privacy and security: removes all content and usage",
        { from: text, to: text, version: int, step: text, removed: int } personal();
    TenantPurged = "tenant.purged" FailClosed, severity 3, ocsf 3004:4, alias("com.qlik.core.tenant.deleted"), "privacy and security: removes all content and usage",
        { from: text, to: text, version: int, certificate_digest: text, final_size: int, final_root: text, stage: int } personal();
}
