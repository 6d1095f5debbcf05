//! The log itself, and the deployment.

use super::table::{activity, catalogue, member, option, setter, shape};

catalogue! {
    AuditLogOpened = "audit.log.opened" FailClosed, severity 1, ocsf 1008:6, alias(), "the log itself",
        { log: text, commit: int } personal();
    AuditLogClosed = "audit.log.closed" FailClosed, severity 1, ocsf 1008:7, alias(), "the log itself",
        { log: text, commit: int } personal();
    AuditLogRecovered = "audit.log.recovered" FailClosed, severity 3, ocsf 1008:8, alias(), "the log itself",
        { segment: int, offset: int, bytes: int, digest: text, cause: text, rebuilt: int } personal();
    AuditLogFailed = "audit.log.failed" FailClosed, severity 5, ocsf 6008:1, alias(), "the log itself",
        { error: text, unacknowledged: int } personal();
    AuditLogSuperseded = "audit.log.superseded" FailClosed, severity 4, ocsf 1008:5, alias(), "the log itself",
        { old_log: text, last_commit: int, findings: texts } personal();
    AuditEventsDropped = "audit.events.dropped" Block, severity 3, ocsf 1008:99, alias(), "the log itself",
        { counts: counts, from: time, to: time, cause: text } personal();
    AuditHeadsRecorded = "audit.heads.recorded" Block, severity 1, ocsf 1008:99, alias(), "the log itself",
        { trees: int, root: text } personal();
    AuditExported = "audit.exported" FailClosed, severity 1, ocsf 1008:3, alias(), "the log itself",
        { tenant: text, size: int, personal: flag, sink: text } personal();
    AuditRead = "audit.read" Block, severity 1, ocsf 1008:99, alias(), "the log itself",
        { tenant: text, size: int, personal: flag, sink: text } personal();
    AuditPersonalErased = "audit.personal.erased" FailClosed, severity 2, ocsf 1008:2, alias(), "the log itself",
        { tenant: text, subject: text, parts: int, last_commit: int, basis: text } personal();
    AuditPersonalErasureFinished = "audit.personal.erasure_finished" FailClosed, severity 1, ocsf 1008:2, alias(), "the log itself",
        { tenant: text, subject: text, parts: int, last_commit: int, basis: text } personal();
    AuditEntriesPruned = "audit.entries.pruned" FailClosed, severity 1, ocsf 1008:2, alias(), "the log itself",
        { tenant: text, minimum: int } personal();
    AuditSegmentRemoved = "audit.segment.removed" FailClosed, severity 1, ocsf 1008:4, alias(), "the log itself",
        { segment: int, first: int, last: int, chain: text, digest: text } personal();
    AuditSigningKeyRotated = "audit.signing_key.rotated" FailClosed, severity 1, ocsf 3004:3, alias(), "the log itself",
        { old_vkey: text, new_vkey: text } personal();
    AuditSinkLagged = "audit.sink.lagged" Block, severity 2, ocsf 6008:1, alias(), "the log itself",
        { sink: text, behind: int, since: time } personal();
    AuditVerificationFailed = "audit.verification_failed" FailClosed, severity 5, ocsf 2004:1, alias(), "the log itself",
        { findings: int, first: text } personal();
    ConfigurationRefused = "configuration.refused" Block, severity 2, ocsf 1008:99, alias(), "the log itself",
        { path: text, check: text } personal();
    ClockJumped = "clock.jumped" FailClosed, severity 3, ocsf 6008:1, alias(), "the log itself",
        { by_ms: int, held: flag } personal();
    DeploymentCreated = "deployment.created" FailClosed, severity 1, ocsf 3004:1, alias(), "the deployment itself",
        { changed: texts, digest: text } personal();
    DeploymentConfigured = "deployment.configured" FailClosed, severity 1, ocsf 3004:3, alias(), "the deployment itself",
        { changed: texts, digest: text } personal();
}
