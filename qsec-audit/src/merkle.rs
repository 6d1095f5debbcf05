//! RFC 6962 trees with SHA-256: roots, inclusion and consistency proofs (RFC 9162 section 2.1).
//!
//! ```
//! use qsec_audit::merkle::{Tree, leaf_hash, verify_consistency, verify_inclusion};
//!
//! let mut tree = Tree::new();
//! tree.push(leaf_hash(b"first"));
//! let old = (tree.len(), tree.root());
//! tree.push(leaf_hash(b"second"));
//! tree.push(leaf_hash(b"third"));
//!
//! let path = tree.inclusion(1, tree.len()).ok_or("no such leaf")?;
//! verify_inclusion(1, tree.len(), &leaf_hash(b"second"), &path, &tree.root())?;
//! let path = tree.consistency(old.0, tree.len()).ok_or("no such size")?;
//! verify_consistency(old.0, tree.len(), &path, &old.1, &tree.root())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(clippy::arithmetic_side_effects)]

mod edge;
mod path;
mod subtree;

use ring::digest;

pub(crate) use edge::{Edge, Tile, hash_in_tile, tile_of};
pub use path::{InvalidPath, verify_consistency, verify_inclusion};
pub(crate) use path::{consistency_path, inclusion_path, subtree_root};
pub use subtree::{verify_subtree_consistency, verify_subtree_inclusion};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Root of the tree without leaves: `SHA-256("")`.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// `H(0x00 || entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0x00], entry])
}

/// `H(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[0x01], left, right])
}

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    // The output of SHA-256 has 32 bytes; `zip` needs no proof of it.
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// Something that knows the roots of full subtrees.
pub(crate) trait Hashes {
    /// Root of the `2^level` leaves that start at leaf `index * 2^level`.
    fn hash(&self, level: u32, index: u64) -> Option<Hash>;
}

/// A tree that keeps every hash: for tests, exports and small histories. It takes 64 bytes a leaf.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    levels: Vec<Vec<Hash>>,
    size: u64,
}

impl Tree {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        self.size = self.size.saturating_add(1);
        let mut carried = leaf;
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else { return };
            hashes.push(carried);
            if !hashes.len().is_multiple_of(2) {
                return;
            }
            let Some([left, right]) = hashes.last_chunk::<2>() else { return };
            carried = node_hash(left, right);
        }
    }

    /// How many leaves the tree has.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether the tree has no leaf.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root_at(self.size).unwrap_or(EMPTY_ROOT)
    }

    /// The root over the first `size` leaves; `None` if the tree is smaller.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        if size > self.size {
            return None;
        }
        if size == 0 { Some(EMPTY_ROOT) } else { subtree_root(self, 0, size) }
    }

    /// The audit path of a leaf in the tree of the first `size` leaves (RFC 9162 section 2.1.3.1).
    #[must_use]
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if size > self.size { None } else { inclusion_path(self, index, size) }
    }

    /// The path between the trees of the first `old` and the first `new` leaves (RFC 9162 section 2.1.4.1).
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if new > self.size { None } else { consistency_path(self, old, new) }
    }
}

impl Hashes for Tree {
    fn hash(&self, level: u32, index: u64) -> Option<Hash> {
        self.levels.get(usize::try_from(level).ok()?)?.get(usize::try_from(index).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_root_is_the_hash_of_nothing() {
        assert_eq!(EMPTY_ROOT, sha256(&[]));
        assert_eq!(Tree::new().root(), EMPTY_ROOT);
    }

    fn slow_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_ROOT,
            [one] => *one,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&slow_root(&leaves[..split]), &slow_root(&leaves[split..]))
            }
        }
    }

    #[test]
    fn empty_tree_proves_nothing_about_a_tree_with_leaves() {
        let root = leaf_hash(b"first");
        assert!(verify_consistency(0, 1, &[], &EMPTY_ROOT, &root).is_err());
        assert!(verify_consistency(0, 0, &[], &EMPTY_ROOT, &EMPTY_ROOT).is_ok());
        assert!(verify_consistency(0, 0, &[], &root, &root).is_err());
    }

    #[test]
    fn every_path_up_to_40_leaves_verifies_and_no_other_leaf_or_size_does() {
        let leaves: Vec<Hash> = (0u8..40).map(|i| leaf_hash(&[i])).collect();
        let mut tree = Tree::new();
        for leaf in &leaves {
            tree.push(*leaf);
        }
        for size in 0..=40u64 {
            let root = tree.root_at(size).unwrap();
            assert_eq!(root, slow_root(&leaves[..usize::try_from(size).unwrap()]));
            for index in 0..size {
                let path = tree.inclusion(index, size).unwrap();
                for (other, leaf) in leaves.iter().enumerate() {
                    let verdict = verify_inclusion(index, size, leaf, &path, &root);
                    assert_eq!(verdict.is_ok(), other as u64 == index, "leaf {other} at {index} of {size}");
                }
            }
            assert!(tree.inclusion(size, size).is_none());
            for old in 1..=size {
                let path = tree.consistency(old, size).unwrap();
                let old_root = tree.root_at(old).unwrap();
                verify_consistency(old, size, &path, &old_root, &root).unwrap();
                assert!(verify_consistency(old, size, &path, &[9; 32], &root).is_err());
                assert!(verify_consistency(old, size, &path, &old_root, &[9; 32]).is_err());
            }
        }
        assert!(tree.inclusion(0, 41).is_none() && tree.consistency(1, 41).is_none() && tree.root_at(41).is_none());
    }
}
