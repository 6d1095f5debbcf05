//! Rows 20 and 21: when, and for how long.

use std::time::SystemTime;

use super::numbered;
use crate::certificate::Certificate;
use crate::certificate::view::View;
use crate::der::time;
use crate::rejection::{Position, Reason, Rejection};

/// Longest life of a leaf, seconds: 7 days, and 10 minutes for clocks that differ.
const MAX_LEAF_LIFETIME: i64 = 7 * 86_400 + 600;

/// Row 20: leaf, intermediates and root are valid at this very instant; there is no grace.
pub(super) fn check_instant(views: &[View<'_>], root: &Certificate, now: SystemTime) -> Result<(), Rejection> {
    let (root_from, root_to) = root.validity();
    let periods = || {
        let below = numbered(views).map(|(at, view)| (at, view.not_before, view.not_after));
        below.chain([(Position::Root, root_from, root_to)])
    };
    for (at, not_before, _) in periods() {
        if now < time::instant(not_before) {
            return Err(Rejection::new(Reason::NotYetValid, at, "certificate is not valid yet"));
        }
    }
    for (at, _, not_after) in periods() {
        if now > time::instant(not_after) {
            return Err(Rejection::new(Reason::Expired, at, "certificate is not valid any more"));
        }
    }
    Ok(())
}

/// Row 21.
pub(super) fn check_lifetimes(views: &[View<'_>], root: &Certificate) -> Result<(), Rejection> {
    if views.first().is_some_and(|leaf| leaf.not_after.saturating_sub(leaf.not_before) > MAX_LEAF_LIFETIME) {
        return Err(Rejection::new(Reason::ValidityTooLong, Position::Certificate(0), "leaf lives longer than 7 days"));
    }
    let issuers = views.iter().skip(1).map(|issuer| issuer.not_after).chain([root.validity().1]);
    for ((at, child), issuer_not_after) in numbered(views).zip(issuers) {
        if child.not_after > issuer_not_after {
            return Err(Rejection::new(Reason::OutlivesIssuer, at, "certificate is valid for longer than its issuer"));
        }
    }
    Ok(())
}
