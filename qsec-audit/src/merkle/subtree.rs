//! Proofs about aligned parts of a tree (draft-ietf-plants-merkle-tree-certs, section "Subtrees").

use super::{EMPTY_ROOT, Hash, InvalidPath, node_hash, verify_inclusion};

/// "start is a multiple of `BIT_CEIL(end - start)`", and the range is not empty.
fn width_of_subtree(start: u64, end: u64) -> Result<u64, InvalidPath> {
    let width = end.checked_sub(start).filter(|width| *width > 0).ok_or(InvalidPath)?;
    let span = width.checked_next_power_of_two().ok_or(InvalidPath)?;
    if start.is_multiple_of(span) { Ok(width) } else { Err(InvalidPath) }
}

/// Checks that a leaf is at `index` of the subtree `start..end` with that root.
///
/// ```
/// use qsec_audit::merkle::{leaf_hash, node_hash, verify_subtree_inclusion};
///
/// let (left, right) = (leaf_hash(b"3rd"), leaf_hash(b"4th"));
/// verify_subtree_inclusion(3, 2, 4, &right, &[left], &node_hash(&left, &right))?;
/// # Ok::<(), qsec_audit::merkle::InvalidPath>(())
/// ```
///
/// # Errors
/// [`InvalidPath`] if the path does not lead there, or `start..end` is no subtree that holds `index`.
pub fn verify_subtree_inclusion(
    index: u64,
    start: u64,
    end: u64,
    leaf: &Hash,
    path: &[Hash],
    root: &Hash,
) -> Result<(), InvalidPath> {
    let width = width_of_subtree(start, end)?;
    verify_inclusion(index.checked_sub(start).ok_or(InvalidPath)?, width, leaf, path, root)
}

/// Checks that the subtree `start..end` with root `subtree` is part of the tree of `size` leaves with root `root`.
///
/// An empty range is part of every tree, whatever its root: it is accepted with the empty root and an empty path only, and it
/// proves nothing.
///
/// ```
/// use qsec_audit::merkle::{leaf_hash, node_hash, verify_subtree_consistency};
///
/// let (left, right) = (leaf_hash(b"1st"), leaf_hash(b"2nd"));
/// verify_subtree_consistency(1, 2, 2, &[left], &right, &node_hash(&left, &right))?;
/// # Ok::<(), qsec_audit::merkle::InvalidPath>(())
/// ```
///
/// # Errors
/// [`InvalidPath`] if the path does not lead there, or `start..end` is no subtree of such a tree.
pub fn verify_subtree_consistency(
    start: u64,
    end: u64,
    size: u64,
    path: &[Hash],
    subtree: &Hash,
    root: &Hash,
) -> Result<(), InvalidPath> {
    if end > size {
        return Err(InvalidPath);
    }
    if start == end {
        return if path.is_empty() && *subtree == EMPTY_ROOT { Ok(()) } else { Err(InvalidPath) };
    }
    width_of_subtree(start, end)?;
    let mut walk = Walk { first: start, last: end.saturating_sub(1), tree: size.saturating_sub(1) };
    let rightmost = walk.last == walk.tree;
    while walk.first != walk.last && (rightmost || walk.last & 1 == 1) {
        walk.up();
    }
    let (from, rest) = if walk.first == walk.last {
        (*subtree, path)
    } else {
        path.split_first().map(|(from, rest)| (*from, rest)).ok_or(InvalidPath)?
    };
    let (mut inner, mut outer) = (from, from);
    for step in rest {
        if walk.tree == 0 {
            return Err(InvalidPath);
        }
        if walk.last & 1 == 1 || walk.last == walk.tree {
            if walk.first < walk.last {
                inner = node_hash(step, &inner);
            }
            outer = node_hash(step, &outer);
            while walk.last & 1 == 0 {
                walk.up();
            }
        } else {
            outer = node_hash(&outer, step);
        }
        walk.up();
    }
    if walk.tree == 0 && inner == *subtree && outer == *root { Ok(()) } else { Err(InvalidPath) }
}

struct Walk {
    first: u64,
    last: u64,
    tree: u64,
}

impl Walk {
    const fn up(&mut self) {
        self.first >>= 1;
        self.last >>= 1;
        self.tree >>= 1;
    }
}
