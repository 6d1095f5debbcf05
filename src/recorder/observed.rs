//! The names that rooms give to what they observe, and the names under which it is recorded.

use qsec_audit::catalogue::{KeyAuthority, Provider};
use qsec_audit::{Actor, Draft, Event, TenantId, catalogue};
use qsec_crypto::kms::KeyId;

use super::Recorder;
use crate::clock;

impl qsec_crypto::Observer for Recorder {
    fn observe(&self, event: &qsec_crypto::Event<'_>) {
        if let Some(recorded) = key_event(event) {
            // Service keys belong to the deployment; its name is no tenant id, so their events go to the deployment's tree.
            let tenant = event.tenant.and_then(|tenant| TenantId::parse(tenant.as_str()).ok());
            // An observer cannot refuse; a log that failed refuses the next operation that must be recorded.
            let _ = self.hand_over(recorded, tenant.as_ref(), clock::now());
        }
    }
}

impl qsec_pki::Observer for Recorder {
    fn observe(&self, event: &qsec_pki::Event<'_>) {
        // Admissions are counted by whoever serves; a refusal is somebody at the door.
        if let Some(rejection) = event.rejection() {
            let recorded = catalogue::PeerRejected::new().check(rejection.code()).by(Actor::anonymous());
            let _ = self.hand_over(recorded.denied(rejection.code()), None, clock::now());
        }
    }
}

/// What the facade itself records, durably and before the effect, is not recorded a second time.
const RECORDED_BEFORE: [&str; 15] = [
    "key.created",
    "key.rotated",
    "key.disabled",
    "key.enabled",
    "key.deletion_scheduled",
    "key.deletion_cancelled",
    "key.policy_changed",
    "key.shred_planned",
    "key.rewrapped",
    "migration.planned",
    "migration.switched",
    "migration.finished",
    "migration.aborted",
    "reencryption.started",
    "reencryption.finished",
];

/// Whether somebody else has recorded it, or it is no event: progress is shown, not kept.
fn is_left_out(event: &qsec_crypto::Event<'_>) -> bool {
    let is_shredded = event.name == "key.destroyed" && event.version.is_some();
    is_shredded || event.name == "reencryption.progressed" || RECORDED_BEFORE.contains(&event.name)
}

/// The codes of a key that was stopped: its state refused, not the bytes.
const STOPPED: [&str; 5] =
    ["key_disabled", "key_pending_deletion", "key_destroyed", "kms_access_denied", "key_not_found"];

/// A catalogue's event with what each event of a key says.
macro_rules! of_key {
    ($type:ident, $event:expr) => {{
        let known = catalogue::$type::new();
        let known =
            $event.key_id.and_then(provider).into_iter().fold(known, |known, provider| known.provider(provider));
        let known = $event.version.into_iter().fold(known, |known, version| known.version(i64::from(version)));
        $event.key_id.into_iter().fold(known, |known, key| known.kms_key(key.as_str()))
    }};
}

/// The same, and from which region to which, where the names of the KMS keys tell.
macro_rules! between_regions {
    ($type:ident, $event:expr) => {{
        let known = $event.from_region.into_iter().fold(of_key!($type, $event), catalogue::$type::from_region);
        $event.to_region.into_iter().fold(known, catalogue::$type::to_region)
    }};
}

fn key_event(event: &qsec_crypto::Event<'_>) -> Option<Event> {
    let name = event.name;
    if is_left_out(event) {
        return None;
    }
    let purpose = event.purpose.map(qsec_crypto::Purpose::as_str).unwrap_or_default();
    let cause = event.cause.unwrap_or("unknown");
    let failed = event.outcome.filter(|outcome| *outcome != "ok");
    let operation = event.operation.unwrap_or("unwrap");
    let actor = Actor::system();
    let recorded = match name {
        "open.refused" | "seal.refused" if STOPPED.contains(&cause) => {
            let surface = name.split('.').next().unwrap_or_default();
            catalogue::TenantRequestRefused::new().surface(surface).state(cause).by(actor).denied(cause)
        }
        "open.refused" | "seal.refused" => {
            of_key!(CiphertextRejected, event).purpose(purpose).format("native").by(actor).denied(cause)
        }
        "key.wrapped" | "key.unwrapped" => {
            let (wraps, unwraps) = if name == "key.wrapped" { (1, 0) } else { (0, 1) };
            let used = of_key!(KeyUsed, event).wraps(wraps).unwraps(unwraps);
            let used = used.refused(i64::from(failed.is_some())).by(actor);
            failed.into_iter().fold(used, Event::failed)
        }
        "key.denied" => of_key!(KmsDenied, event).operation(operation).by(actor).denied(cause),
        "key.wrong_key_returned" => {
            of_key!(KmsWrongKeyReturned, event).operation(operation).by(actor).denied("kms_wrong_key")
        }
        "key.cache_evicted" | "key.probe_failed" => of_key!(KeyCacheDropped, event).entries(1).cause(cause).by(actor),
        "key.failback" => between_regions!(KeyFailedBack, event).by(actor),
        "key.breaker_opened" => {
            of_key!(KmsUnavailable, event).breaker(true).by(actor).failed(failed.unwrap_or("kms_unavailable"))
        }
        "key.breaker_closed" => of_key!(KmsRecovered, event).by(actor),
        "key.failover" => failed.into_iter().fold(between_regions!(KeyFailedOver, event).by(actor), Event::failed),
        // Ordered at the KMS, and seen when it was asked next.
        "key.pending_deletion" => {
            let known = of_key!(KeyDeletionScheduled, event).by_source(KeyAuthority::Kms);
            event.deletion_date.into_iter().fold(known, catalogue::KeyDeletionScheduled::due).by(actor)
        }
        // By nobody's verb: the wait that a tenant ordered is over.
        "key.destroyed" => of_key!(KeyDestroyed, event).by_source(KeyAuthority::Tenant).by(actor),
        other => {
            event.fields().into_iter().fold(Draft::new(other), |draft, (key, value)| draft.data(key, value)).by(actor)
        }
    };
    Some(recorded.subject(subject(event)))
}

/// The provider whose keys are named so. Labels of tokens and names in a vault can be anything: then it is left out.
fn provider(key_id: &KeyId) -> Option<Provider> {
    match key_id.as_str().split_once(':') {
        Some(("local", _)) => Some(Provider::Internal),
        Some(("arn", _)) => Some(Provider::Aws),
        _ => None,
    }
}

fn subject(event: &qsec_crypto::Event<'_>) -> String {
    let purpose = event.purpose.map_or("all", qsec_crypto::Purpose::as_str);
    let tenant = event.tenant.map_or("none", qsec_crypto::TenantId::as_str);
    match event.version {
        Some(version) => format!("key/{tenant}/{purpose}/{version}"),
        None => format!("key/{tenant}/{purpose}"),
    }
}
