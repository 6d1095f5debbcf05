//! Paths of RFC 9162: computing them from subtree roots, and checking them.

use super::{Hash, Hashes, node_hash};

/// A path that does not lead from what it claims to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path does not lead to the root")]
#[non_exhaustive]
pub struct InvalidPath;

impl InvalidPath {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        "proof_invalid"
    }
}

/// Largest power of two below `size`; `size` is at least 2.
const fn split(size: u64) -> u64 {
    match size.saturating_sub(1).checked_ilog2() {
        Some(level) => 1 << level,
        None => 0,
    }
}

/// Root of the leaves `start..end`, where `start` is a multiple of the power of two that spans the range.
pub(crate) fn subtree_root(hashes: &impl Hashes, start: u64, end: u64) -> Option<Hash> {
    let width = end.checked_sub(start)?;
    if width.is_power_of_two() {
        return hashes.hash(width.ilog2(), start.checked_div(width)?);
    }
    if width == 0 {
        return None;
    }
    let middle = start.checked_add(split(width))?;
    Some(node_hash(&subtree_root(hashes, start, middle)?, &subtree_root(hashes, middle, end)?))
}

/// `PATH(m, D_n)` of RFC 9162 section 2.1.3.1.
pub(crate) fn inclusion_path(hashes: &impl Hashes, index: u64, size: u64) -> Option<Vec<Hash>> {
    if index >= size {
        return None;
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0u64, size);
    while end.checked_sub(start)? > 1 {
        let middle = start.checked_add(split(end.checked_sub(start)?))?;
        if index < middle {
            path.push(subtree_root(hashes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree_root(hashes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// `PROOF(m, D_n)` of RFC 9162 section 2.1.4.1.
pub(crate) fn consistency_path(hashes: &impl Hashes, old: u64, new: u64) -> Option<Vec<Hash>> {
    if old == 0 || old > new {
        return None;
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0u64, new);
    while end > old {
        let middle = start.checked_add(split(end.checked_sub(start)?))?;
        if old <= middle {
            path.push(subtree_root(hashes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree_root(hashes, start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        // The old tree is not a full subtree on the left: its last part must be named.
        path.push(subtree_root(hashes, start, end)?);
    }
    path.reverse();
    Some(path)
}

/// Checks that a leaf is at `index` of the tree of `size` leaves with that root (RFC 9162 section 2.1.3.2).
///
/// # Errors
/// [`InvalidPath`] if the path does not lead there, is too short or too long, or `index` is not below `size`.
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> Result<(), InvalidPath> {
    if index >= size {
        return Err(InvalidPath);
    }
    let (mut node, mut last, mut hash) = (index, size.saturating_sub(1), *leaf);
    for step in path {
        if last == 0 {
            return Err(InvalidPath);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(step, &hash);
            (node, last) = skip_left_edge(node, last);
        } else {
            hash = node_hash(&hash, step);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(InvalidPath) }
}

/// "If LSB(fn) is not set, then right-shift both fn and sn equally until either LSB(fn) is set or fn is 0."
fn skip_left_edge(node: u64, last: u64) -> (u64, u64) {
    if node & 1 == 1 {
        return (node, last);
    }
    let shift = node.trailing_zeros();
    (node.checked_shr(shift).unwrap_or(0), last.checked_shr(shift).unwrap_or(0))
}

/// Checks that the tree of `new` leaves continues the one of `old` leaves (RFC 9162 section 2.1.4.2). Every tree continues the empty
/// one, so old size 0 proves nothing about a tree with leaves and is refused.
///
/// # Errors
/// [`InvalidPath`] if the path does not lead from the old root to the new one.
pub fn verify_consistency(
    old: u64,
    new: u64,
    path: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), InvalidPath> {
    if old > new || (old == 0 && (new != 0 || *old_root != super::EMPTY_ROOT)) {
        return Err(InvalidPath);
    }
    if old == new {
        return if path.is_empty() && old_root == new_root { Ok(()) } else { Err(InvalidPath) };
    }
    let (first, rest) = if old.is_power_of_two() {
        (*old_root, path)
    } else {
        path.split_first().map(|(first, rest)| (*first, rest)).ok_or(InvalidPath)?
    };
    let (mut node, mut last) = (old.saturating_sub(1), new.saturating_sub(1));
    let shift = node.trailing_ones();
    (node, last) = (node.checked_shr(shift).unwrap_or(0), last.checked_shr(shift).unwrap_or(0));
    let (mut from, mut to) = (first, first);
    for step in rest {
        if last == 0 {
            return Err(InvalidPath);
        }
        if node & 1 == 1 || node == last {
            from = node_hash(step, &from);
            to = node_hash(step, &to);
            (node, last) = skip_left_edge(node, last);
        } else {
            to = node_hash(&to, step);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && from == *old_root && to == *new_root { Ok(()) } else { Err(InvalidPath) }
}
