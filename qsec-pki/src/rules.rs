//! The rules of acceptance of the profile `zone`, one row after the other; the first that is broken is the answer.
//!
//! Rows 1 to 15 need no signature. Two failures in one row: the one that the row names first wins, the leaf's before its issuer's.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod constraints;
pub(crate) mod form;
mod leaf;
mod path;
pub(crate) mod revocation;
pub(crate) mod root;
mod validity;

use std::time::SystemTime;

pub(crate) use leaf::LeafFacts;
pub(crate) use path::Signatures;

use crate::bundle::Bundle;
use crate::certificate::Certificate;
use crate::certificate::view::View;
use crate::key::PublicKey;
use crate::rejection::{Position, Rejection};
use crate::role::Role;
use crate::serial::Serial;

/// What a chain is judged against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) role: Role,
    /// Whether leaves with both purposes are taken at all.
    pub(crate) peer_leaves: bool,
}

/// A chain that passed rows 2 to 22, and the root that it leads to.
#[derive(Debug)]
pub(crate) struct Path<'a> {
    pub(crate) views: Vec<View<'a>>,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) leaf: LeafFacts,
    pub(crate) serial: Serial,
    pub(crate) root: &'a Certificate,
}

/// Rows 2 to 22. `signatures` is asked in row 19 whether the signatures must be computed.
pub(crate) fn judge<'a>(
    terms: Terms<'a>,
    chain: &[&'a [u8]],
    signatures: Signatures,
    now: SystemTime,
) -> Result<Path<'a>, Rejection> {
    let chain = form::check_size(terms.bundle, chain)?;
    let views = form::read_chain(&chain)?;
    let keys = form::check(&views)?;
    let (Some(first), Some(last)) = (views.first(), views.last()) else { return Err(form::unreadable(0)) };
    let leaf = leaf::check(first, terms)?;
    let serial = form::serial(first, 0)?;
    let candidates = path::link(&views, last, terms.bundle)?;
    path::check_intermediates(&views, terms.bundle, leaf.role)?;
    path::check_lengths(&views, &candidates)?;
    let root = path::check_signatures(&views, &keys, &candidates, signatures)?;
    validity::check_instant(&views, root, now)?;
    validity::check_lifetimes(&views, root)?;
    constraints::check(&views)?;
    Ok(Path { views, keys, leaf, serial, root })
}

/// An intermediate that stands directly below a root of the bundle: rows 2 to 10 and 16 to 19, as far as they concern it alone.
pub(crate) fn check_intermediate(der: &[u8], bundle: &Bundle) -> Result<Certificate, Rejection> {
    let views = form::read_chain(&[der])?;
    let keys = form::check(&views)?;
    let ([view], [key]) = (views.as_slice(), keys.as_slice()) else { return Err(form::unreadable(0)) };
    let candidates = path::link(&views, view, bundle)?;
    path::check_issuer(view, Position::Certificate(0), bundle, None)?;
    path::check_signatures(&views, &keys, &candidates, Signatures::Check)?;
    Ok(Certificate::of(view, key.clone(), form::serial(view, 0)?))
}

/// A chain's certificates with their positions, leaf first.
fn numbered<'v, 'a>(
    views: &'v [View<'a>],
) -> impl DoubleEndedIterator<Item = (Position, &'v View<'a>)> + ExactSizeIterator {
    views.iter().enumerate().map(|(index, view)| (Position::Certificate(index), view))
}
