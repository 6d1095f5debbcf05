//! The names that rooms give to what they observe, and the names under which it is recorded.

use qsec_audit::{Actor, Draft, Event, TenantId, catalogue};

use super::Recorder;
use crate::clock;

impl qsec_crypto::Observer for Recorder {
    fn observe(&self, event: &qsec_crypto::Event<'_>) {
        if let Some(event) = key_event(event) {
            // An observer cannot refuse; a log that failed refuses the next operation that must be recorded.
            let _ = self.hand_over(event, clock::now());
        }
    }
}

impl qsec_pki::Observer for Recorder {
    fn observe(&self, event: &qsec_pki::Event<'_>) {
        // Admissions are counted by whoever serves; a refusal is somebody at the door.
        if let Some(rejection) = event.rejection() {
            let recorded = catalogue::PeerRejected::new().check(rejection.code()).by(Actor::anonymous());
            let _ = self.hand_over(recorded.denied(rejection.code()), clock::now());
        }
    }
}

/// What the facade itself records, durably and before the effect, is not recorded a second time.
const RECORDED_BEFORE: [&str; 7] = [
    "key.created",
    "key.rotated",
    "key.disabled",
    "key.enabled",
    "key.deletion_scheduled",
    "key.deletion_cancelled",
    "key.destroyed",
];

fn key_event(event: &qsec_crypto::Event<'_>) -> Option<Event> {
    let name = event.name;
    if RECORDED_BEFORE.contains(&name) {
        return None;
    }
    let purpose = event.purpose.map(qsec_crypto::Purpose::as_str).unwrap_or_default();
    let cause = event.cause.unwrap_or("unknown");
    let actor = Actor::system();
    let recorded = match name {
        "open.refused" | "seal.refused" => {
            catalogue::CiphertextRejected::new().purpose(purpose).format("native").by(actor).denied(cause)
        }
        "key.wrapped" => catalogue::KeyUsed::new().wraps(1).unwraps(0).refused(0).by(actor),
        "key.unwrapped" => catalogue::KeyUsed::new().wraps(0).unwraps(1).refused(0).by(actor),
        "key.denied" => {
            catalogue::KmsDenied::new().operation(event.operation.unwrap_or("unwrap")).by(actor).denied(cause)
        }
        "key.wrong_key_returned" => catalogue::KmsWrongKeyReturned::new()
            .operation(event.operation.unwrap_or("unwrap"))
            .by(actor)
            .denied("kms_wrong_key"),
        "key.cache_evicted" | "key.probe_failed" => catalogue::KeyCacheDropped::new().entries(1).cause(cause).by(actor),
        other => {
            event.fields().into_iter().fold(Draft::new(other), |draft, (key, value)| draft.data(key, value)).by(actor)
        }
    };
    let recorded = recorded.subject(subject(event));
    // Service keys belong to the deployment; its name is no tenant id, so their events go to the deployment's tree.
    Some(match event.tenant.map(|tenant| TenantId::parse(tenant.as_str())) {
        Some(Ok(tenant)) => recorded.tenant(tenant),
        Some(Err(_)) | None => recorded,
    })
}

fn subject(event: &qsec_crypto::Event<'_>) -> String {
    let purpose = event.purpose.map_or("all", qsec_crypto::Purpose::as_str);
    let tenant = event.tenant.map_or("none", qsec_crypto::TenantId::as_str);
    match event.version {
        Some(version) => format!("key/{tenant}/{purpose}/{version}"),
        None => format!("key/{tenant}/{purpose}"),
    }
}
