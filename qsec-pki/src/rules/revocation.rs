//! Row 23: revocation. What each list is worth is decided stage by stage over all lists, so their order never matters.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::Path;
use crate::bundle::Bundle;
use crate::certificate::extension::usage;
use crate::crl::{Crl, Crls, Number};
use crate::der::time;
use crate::key::PublicKey;
use crate::peer::Revocation;
use crate::rejection::{Position, Reason, Rejection};
use crate::serial::Serial;

/// Longest life of a leaf that needs no list, seconds: a day, and an hour for its back-dating and for whoever renews late.
const MAX_LIFETIME_WITHOUT_CRL: i64 = 25 * 3_600;

/// The highest number ever accepted, by issuer key. One entry per issuer that a trusted root vouched for.
#[derive(Debug, Default)]
pub(crate) struct HighestNumbers(Mutex<BTreeMap<[u8; 32], Number>>);

impl HighestNumbers {
    /// Takes a number unless a higher one was taken before.
    fn accept(&self, issuer: &PublicKey, number: Number) -> bool {
        let mut highest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = highest.entry(issuer.spki_sha256()).or_insert(number);
        if number < *seen {
            return false;
        }
        *seen = number;
        true
    }
}

/// An issuer of the path, the serial that it issued there, and its lists.
struct Issuer<'a> {
    at: Position,
    subject: &'a [u8],
    key: &'a PublicKey,
    key_identifier: Option<&'a [u8]>,
    signs_crls: bool,
    /// What it issued in this path: where that stands, and its serial.
    child: usize,
    issued: Serial,
    lists: Vec<(Position, &'a Crl)>,
}

pub(crate) fn check(
    path: &Path<'_>,
    bundle: &Bundle,
    crls: Option<&Crls>,
    highest: &HighestNumbers,
    now: SystemTime,
) -> Result<Revocation, Rejection> {
    let Some(crls) = crls else { return check_lifetime(path) };
    let lists = readable(crls)?;
    let mut issuers = issuers(path)?;
    for issuer in &mut issuers {
        issuer.lists = lists.iter().copied().filter(|(_, list)| is_list_of(list, issuer, bundle)).collect();
    }
    if let Some(issuer) = issuers.iter().find(|issuer| issuer.lists.is_empty()) {
        return Err(Rejection::new(Reason::CrlMissing, issuer.at, "issuer has no revocation list"));
    }
    check_strangers(&lists, &issuers, bundle)?;
    check_lists(&issuers, now)?;
    issuers.iter().try_for_each(|issuer| check_rollback(issuer, highest))?;
    issuers.iter().try_for_each(check_serial)?;
    Ok(Revocation::Checked)
}

/// Without any list at hand, a short life is the only answer.
fn check_lifetime(path: &Path<'_>) -> Result<Revocation, Rejection> {
    let lives = |leaf: &crate::certificate::view::View<'_>| leaf.not_after.saturating_sub(leaf.not_before);
    if path.views.first().is_none_or(|leaf| lives(leaf) > MAX_LIFETIME_WITHOUT_CRL) {
        let detail = "leaf lives longer than 25 hours, and no revocation list is at hand";
        return Err(Rejection::new(Reason::CrlMissing, Position::Certificate(0), detail));
    }
    Ok(Revocation::ShortLived)
}

fn readable(crls: &Crls) -> Result<Vec<(Position, &Crl)>, Rejection> {
    let mut lists = Vec::with_capacity(crls.len());
    for (index, list) in crls.lists.iter().enumerate() {
        match list {
            Ok(list) => lists.push((Position::Crl(index), list)),
            Err(malformed) => {
                let detail = format!("revocation list is not acceptable: {}", malformed.0);
                return Err(Rejection::new(Reason::CrlMalformed, Position::Crl(index), detail));
            }
        }
    }
    Ok(lists)
}

/// From the leaf's issuer to the root.
fn issuers<'a>(path: &'a Path<'_>) -> Result<Vec<Issuer<'a>>, Rejection> {
    let mut all = Vec::with_capacity(path.views.len());
    for (index, child) in path.views.iter().enumerate() {
        let issued = super::form::serial(child, index)?;
        let above = index.saturating_add(1);
        let issuer = match (path.views.get(above), path.keys.get(above)) {
            (Some(view), Some(key)) => Issuer {
                at: Position::Certificate(above),
                subject: view.subject,
                key,
                key_identifier: view.subject_key_identifier(),
                signs_crls: view.key_usage().is_some_and(|bits| bits & usage::CRL_SIGN != 0),
                child: index,
                issued,
                lists: Vec::new(),
            },
            // Row 1 demands cRLSign of every root.
            _ => Issuer {
                at: Position::Root,
                subject: path.root.subject_der(),
                key: path.root.public_key(),
                key_identifier: path.root.key_identifier(),
                signs_crls: true,
                child: index,
                issued,
                lists: Vec::new(),
            },
        };
        all.push(issuer);
    }
    Ok(all)
}

/// The issuer's name decides. Where two trusted roots share a name, a list that names the other's key is the other's.
fn is_list_of(list: &Crl, issuer: &Issuer<'_>, bundle: &Bundle) -> bool {
    let of_another_root = || {
        let named = list.authority_key_identifier.as_deref();
        named.is_some()
            && named != issuer.key_identifier
            && bundle.roots().iter().any(|root| root.subject_der() == issuer.subject && root.key_identifier() == named)
    };
    *list.issuer == *issuer.subject && !of_another_root()
}

/// A list of nobody: neither an issuer of the path nor, while roots rotate, another trusted root.
fn check_strangers(lists: &[(Position, &Crl)], issuers: &[Issuer<'_>], bundle: &Bundle) -> Result<(), Rejection> {
    for (at, list) in lists {
        let known = issuers.iter().any(|issuer| *list.issuer == *issuer.subject)
            || bundle.roots().iter().any(|root| *list.issuer == *root.subject_der());
        if !known {
            return Err(Rejection::new(Reason::CrlWrongIssuer, *at, "revocation list is of no issuer in the path"));
        }
    }
    Ok(())
}

fn check_lists(issuers: &[Issuer<'_>], now: SystemTime) -> Result<(), Rejection> {
    let all = || issuers.iter().flat_map(|issuer| issuer.lists.iter().map(move |(at, list)| (issuer, *at, *list)));
    if let Some(issuer) = issuers.iter().find(|issuer| !issuer.signs_crls) {
        return Err(Rejection::new(Reason::CrlIssuerKeyUsage, issuer.at, "issuer has no key usage cRLSign"));
    }
    for (issuer, at, list) in all() {
        if !list.is_signed_by(issuer.key) {
            return Err(Rejection::new(Reason::CrlSignatureInvalid, at, "revocation list is not signed by its issuer"));
        }
    }
    for (_, at, list) in all() {
        if now < time::instant(list.this_update) {
            return Err(Rejection::new(Reason::CrlNotYetValid, at, "revocation list is of the future"));
        }
    }
    for (_, at, list) in all() {
        if list.next_update.is_none_or(|next_update| now > time::instant(next_update)) {
            return Err(Rejection::new(
                Reason::CrlExpired,
                at,
                "revocation list is out of date, or has no next update",
            ));
        }
    }
    Ok(())
}

/// Of several good lists of one issuer the highest number counts; it may not be lower than it was.
fn check_rollback(issuer: &Issuer<'_>, highest: &HighestNumbers) -> Result<(), Rejection> {
    match issuer.lists.iter().max_by_key(|(_, list)| list.number) {
        Some((at, list)) if !highest.accept(issuer.key, list.number) => {
            Err(Rejection::new(Reason::CrlRolledBack, *at, "a newer revocation list of this issuer was seen before"))
        }
        _ => Ok(()),
    }
}

fn check_serial(issuer: &Issuer<'_>) -> Result<(), Rejection> {
    let highest = issuer.lists.iter().map(|(_, list)| list.number).max();
    let mut current = issuer.lists.iter().filter(|(_, list)| Some(list.number) == highest);
    if current.any(|(_, list)| list.revokes(&issuer.issued)) {
        return Err(Rejection::new(Reason::Revoked, Position::Certificate(issuer.child), "certificate was revoked"));
    }
    Ok(())
}
