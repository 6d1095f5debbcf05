//! Row 1: what a trusted root must be.

use super::form;
use crate::certificate::Certificate;
use crate::certificate::extension::{Form, usage};
use crate::certificate::view::View;
use crate::name::Zone;
use crate::rejection::{Position, Reason, Rejection};
use crate::signature::SignatureAlgorithm;

/// A root of sound shape, and the zone that it is the root of.
pub(crate) fn check(der: &[u8]) -> Result<(Certificate, Zone), Rejection> {
    let views = form::read_chain(&[der]).map_err(Rejection::of_root)?;
    let keys = form::check(&views).map_err(Rejection::of_root)?;
    let ([view], [key]) = (views.as_slice(), keys.as_slice()) else { return Err(refuse("root cannot be read")) };
    let serial = form::serial(view, 0).map_err(Rejection::of_root)?;
    check_shape(view)?;
    let zone = zone_of(view)?;
    let signed = SignatureAlgorithm::from_encoded(view.outer_algorithm)
        .is_some_and(|algorithm| algorithm.verifies(key, view.tbs, view.signature));
    if !signed {
        return Err(refuse("root's own signature does not verify"));
    }
    Ok((Certificate::of(view, key.clone(), serial), zone))
}

pub(crate) fn refuse(detail: &'static str) -> Rejection {
    Rejection::new(Reason::RootUnacceptable, Position::Root, detail)
}

fn check_shape(view: &View<'_>) -> Result<(), Rejection> {
    let name_is_empty = view.subject == [0x30, 0];
    if view.subject != view.issuer || name_is_empty {
        return Err(refuse("root is not self-issued"));
    }
    if !view.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Err(refuse("root is no authority"));
    }
    if view.key_usage() != Some(usage::KEY_CERT_SIGN | usage::CRL_SIGN) {
        return Err(refuse("root's key usage is not exactly keyCertSign and cRLSign"));
    }
    if view.extended_key_usage().is_some() {
        return Err(refuse("root has an extended key usage"));
    }
    if view.name_constraints().is_some() {
        return Err(refuse("root has name constraints"));
    }
    let Some(identifier) = view.subject_key_identifier() else {
        return Err(refuse("root has no subject key identifier"));
    };
    if view.authority_key_identifier().is_some_and(|authority| authority != identifier) {
        return Err(refuse("root names another key as its issuer's"));
    }
    Ok(())
}

/// Exactly one name, the URI of a zone without a path.
fn zone_of(view: &View<'_>) -> Result<Zone, Rejection> {
    let Some([name]) = view.names() else { return Err(refuse("root does not have exactly one name")) };
    let uri = if name.form == Form::Uri { std::str::from_utf8(name.value).ok() } else { None };
    let zone = uri.and_then(|uri| uri.strip_prefix("spiffe://")).and_then(|zone| Zone::parse(zone).ok());
    zone.ok_or_else(|| refuse("root's name is not the URI of a zone"))
}
