//! The gate before everything: is the tenant active? It stands before authorization, so that nobody learns what a
//! deactivated tenant holds.

use std::sync::Arc;
use std::time::SystemTime;

use qsec_audit::{Actor, catalogue};

use crate::deployment::audit_id;
use crate::error::Error;
use crate::lifecycle::{LifecycleError, TenantRecord};
use crate::recorder::Recorder;

/// Lets a request to a usable tenant pass; any other is refused with no detail of the state, which the log has.
pub(crate) fn pass(
    recorder: &Arc<Recorder>,
    record: &TenantRecord,
    surface: &str,
    now: SystemTime,
) -> Result<(), Error> {
    if record.state().is_usable() {
        return Ok(());
    }
    let event = catalogue::TenantRequestRefused::new()
        .surface(surface)
        .state(record.state().as_str())
        .by(Actor::anonymous())
        .subject(format!("tenant/{}", record.id()))
        .denied("tenant_inactive");
    recorder.hand_over(event, Some(&audit_id(record.id())?), now)?;
    Err(LifecycleError::Inactive.into())
}
