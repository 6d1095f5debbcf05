//! Rows 16 to 19: from the leaf to a root.

use super::numbered;
use crate::bundle::Bundle;
use crate::certificate::extension::{Form, usage};
use crate::certificate::view::View;
use crate::certificate::{Certificate, role_of_purposes};
use crate::key::PublicKey;
use crate::rejection::{Position, Reason, Rejection};
use crate::role::Role;
use crate::signature::SignatureAlgorithm;

/// Most signatures that one chain may cost.
const MAX_SIGNATURES: usize = 4;
/// Most intermediates between a root and a leaf.
const MAX_INTERMEDIATES: usize = 1;

/// Whether row 19 computes signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signatures {
    /// Compute them.
    Check,
    /// These very bytes were checked before, and led to the root with this key; or its signer stands beside us.
    KnownGood {
        /// SHA-256 over the root's subject public key info.
        root: [u8; 32],
    },
}

/// Row 16: who issued whom. The roots that may have issued the last certificate.
pub(super) fn link<'a>(
    views: &[View<'_>],
    last: &View<'_>,
    bundle: &'a Bundle,
) -> Result<Vec<&'a Certificate>, Rejection> {
    let pairs = || numbered(views).zip(views.iter().skip(1)).map(|((at, child), issuer)| (at, child, issuer));
    for (at, child, issuer) in pairs() {
        if child.issuer != issuer.subject {
            return Err(Rejection::new(
                Reason::ChainNotLinear,
                at,
                "certificate was not issued by the next one of the chain",
            ));
        }
    }
    let top = Position::Certificate(views.len().saturating_sub(1));
    let named: Vec<_> = bundle.roots().iter().filter(|root| root.subject_der() == last.issuer).collect();
    if named.is_empty() {
        return Err(Rejection::new(Reason::UntrustedRoot, top, "no trusted root has the issuer's name"));
    }
    let mismatch =
        |at| Rejection::new(Reason::KeyIdentifierMismatch, at, "authority key identifier is not that of the issuer");
    for (at, child, issuer) in pairs() {
        match (child.authority_key_identifier(), issuer.subject_key_identifier()) {
            (Some(authority), Some(subject)) if authority == subject => {}
            _ => return Err(mismatch(at)),
        }
    }
    let Some(authority) = last.authority_key_identifier() else { return Err(mismatch(top)) };
    let candidates: Vec<_> = named.into_iter().filter(|root| root.key_identifier() == Some(authority)).collect();
    if candidates.is_empty() { Err(mismatch(top)) } else { Ok(candidates) }
}

/// Row 17: every issuer below the root.
pub(super) fn check_intermediates(views: &[View<'_>], bundle: &Bundle, leaf: Role) -> Result<(), Rejection> {
    for rule in ISSUER_RULES {
        for (at, issuer) in numbered(views).skip(1) {
            rule(issuer, at, bundle, Some(leaf))?;
        }
    }
    Ok(())
}

/// Row 17 for one issuer; without a leaf, any purpose will do.
pub(super) fn check_issuer(
    issuer: &View<'_>,
    at: Position,
    bundle: &Bundle,
    leaf: Option<Role>,
) -> Result<(), Rejection> {
    ISSUER_RULES.iter().try_for_each(|rule| rule(issuer, at, bundle, leaf))
}

type IssuerRule = fn(&View<'_>, Position, &Bundle, Option<Role>) -> Result<(), Rejection>;
const ISSUER_RULES: [IssuerRule; 3] = [is_authority, signs_certificates, has_profile];

fn is_authority(issuer: &View<'_>, at: Position, _: &Bundle, _: Option<Role>) -> Result<(), Rejection> {
    if issuer.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Ok(());
    }
    Err(Rejection::new(Reason::IssuerNotCa, at, "issuer is no authority"))
}

fn signs_certificates(issuer: &View<'_>, at: Position, _: &Bundle, _: Option<Role>) -> Result<(), Rejection> {
    if issuer.key_usage().is_some_and(|bits| bits & usage::KEY_CERT_SIGN != 0) {
        return Ok(());
    }
    Err(Rejection::new(Reason::IssuerKeyUsage, at, "issuer has no key usage keyCertSign"))
}

fn has_profile(issuer: &View<'_>, at: Position, bundle: &Bundle, leaf: Option<Role>) -> Result<(), Rejection> {
    let wrong = |detail| Err(Rejection::new(Reason::IntermediateProfile, at, detail));
    if issuer.basic_constraints().and_then(|constraints| constraints.path_len) != Some(0) {
        return wrong("intermediate does not have path length 0");
    }
    let zone = bundle.zone().uri();
    if !matches!(issuer.names(), Some([name]) if name.form == Form::Uri && name.value == zone.as_bytes()) {
        return wrong("intermediate does not have the zone as its only name");
    }
    let role = issuer.extended_key_usage().and_then(role_of_purposes);
    if !role.is_some_and(|role| leaf.is_none_or(|leaf| role.covers(leaf))) {
        return wrong("intermediate is not for the leaf's purpose");
    }
    Ok(())
}

/// Row 18.
pub(super) fn check_lengths(views: &[View<'_>], roots: &[&Certificate]) -> Result<(), Rejection> {
    let exceeded = |at| {
        Err(Rejection::new(Reason::PathLengthExceeded, at, "authority has more intermediates below it than it allows"))
    };
    let allows = |path_len: Option<u8>, below: usize| path_len.is_none_or(|most| below <= usize::from(most));
    // Of a chain's issuers, the first has no intermediate below it, the next has one.
    for (below, (at, issuer)) in numbered(views).skip(1).enumerate() {
        if !allows(issuer.basic_constraints().and_then(|constraints| constraints.path_len), below) {
            return exceeded(at);
        }
    }
    let intermediates = views.len().saturating_sub(1);
    if intermediates > MAX_INTERMEDIATES || !roots.iter().any(|root| allows(root.path_len(), intermediates)) {
        return exceeded(Position::Root);
    }
    Ok(())
}

/// Row 19: the root under whose key the last certificate verifies.
pub(super) fn check_signatures<'a>(
    views: &[View<'_>],
    keys: &[PublicKey],
    candidates: &[&'a Certificate],
    signatures: Signatures,
) -> Result<&'a Certificate, Rejection> {
    if let Signatures::KnownGood { root } = signatures
        && let Some(known) = candidates.iter().find(|candidate| candidate.spki_sha256() == root)
    {
        return Ok(known);
    }
    let verifies = |view: &View<'_>, key: &PublicKey| {
        SignatureAlgorithm::from_encoded(view.outer_algorithm)
            .is_some_and(|algorithm| algorithm.verifies(key, view.tbs, view.signature))
    };
    let invalid = |at| Rejection::new(Reason::SignatureInvalid, at, "signature does not verify under the issuer's key");
    for ((at, child), issuer_key) in numbered(views).zip(keys.iter().skip(1)) {
        if !verifies(child, issuer_key) {
            return Err(invalid(at));
        }
    }
    let (at, last) = numbered(views).next_back().ok_or_else(|| invalid(Position::Certificate(0)))?;
    let left = MAX_SIGNATURES.saturating_sub(views.len().saturating_sub(1));
    let intermediates = views.len().saturating_sub(1);
    let allows = |root: &&&Certificate| root.path_len().is_none_or(|most| intermediates <= usize::from(most));
    let mut tried = candidates.iter().filter(allows).take(left);
    tried.find(|root| verifies(last, root.public_key())).copied().ok_or_else(|| invalid(at))
}
