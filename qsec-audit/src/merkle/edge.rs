//! The growing edge of a tree, kept as tiles: what a log holds in memory, whatever its length.

use super::{EMPTY_ROOT, Hash, Hashes, node_hash, subtree_root};

/// Hashes in a full tile (C2SP tlog-tiles).
pub(crate) const TILE_WIDTH: usize = 256;
/// Bytes of a full tile.
pub(crate) const TILE_BYTES: usize = 8192;
/// Levels of a tree that one tile spans.
const TILE_LEVELS: u32 = 8;

/// A full tile: its bytes never change again.
#[derive(Debug, Clone)]
pub(crate) struct Tile {
    pub(crate) level: u32,
    pub(crate) index: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Tile {
    /// `tile/<L>/<N>`, with `<N>` in groups of three digits, all but the last prefixed with `x` (C2SP tlog-tiles).
    pub(crate) fn path(level: u32, index: u64) -> String {
        let mut groups = format!("{:03}", index % 1000);
        let mut rest = index / 1000;
        while rest > 0 {
            groups = format!("x{:03}/{groups}", rest % 1000);
            rest /= 1000;
        }
        format!("tile/{level}/{groups}")
    }
}

/// The partial tile of every level. Full tiles leave through [`Edge::push`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    levels: Vec<Vec<Hash>>,
    size: u64,
}

impl Edge {
    pub(crate) fn len(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; a tile that became full is handed to `full`.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut impl FnMut(Tile)) {
        self.size = self.size.saturating_add(1);
        let mut carried = leaf;
        for level in 0u32.. {
            let Ok(slot) = usize::try_from(level) else { return };
            if self.levels.len() <= slot {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(slot) else { return };
            hashes.push(carried);
            if hashes.len() < TILE_WIDTH {
                return;
            }
            carried = fold(hashes);
            let leaves_of_tile = TILE_LEVELS.saturating_mul(level.saturating_add(1));
            let index = (self.size.checked_shr(leaves_of_tile).unwrap_or(0)).saturating_sub(1);
            full(Tile { level, index, bytes: hashes.concat() });
            hashes.clear();
        }
    }

    pub(crate) fn root(&self) -> Hash {
        if self.size == 0 {
            return EMPTY_ROOT;
        }
        subtree_root(self, 0, self.size).unwrap_or_else(|| self.fold_edge())
    }

    /// The root from the edge alone: every full subtree left of it has become one hash of a level above.
    fn fold_edge(&self) -> Hash {
        let mut right: Option<Hash> = None;
        for hashes in &self.levels {
            right = match (fold_ragged(hashes), right) {
                (None, right) => right,
                (Some(_), _) => fold_onto(hashes, right),
            };
        }
        right.unwrap_or(EMPTY_ROOT)
    }
}

/// Root of a full tile.
fn fold(hashes: &[Hash]) -> Hash {
    fold_ragged(hashes).unwrap_or(EMPTY_ROOT)
}

fn fold_ragged(hashes: &[Hash]) -> Option<Hash> {
    fold_onto(hashes, None)
}

/// Root over the hashes of one level, followed by what the levels below had left over on the right.
fn fold_onto(hashes: &[Hash], right: Option<Hash>) -> Option<Hash> {
    let mut level: Vec<Hash> = hashes.to_vec();
    let mut right = right;
    while !level.is_empty() {
        let (pairs, odd) = level.as_chunks::<2>();
        let above = pairs.iter().map(|[a, b]| node_hash(a, b)).collect();
        if let [last] = odd {
            right = Some(right.map_or(*last, |right| node_hash(last, &right)));
        }
        level = above;
    }
    right
}

impl Hashes for Edge {
    /// Known are the hashes inside the partial tiles.
    fn hash(&self, level: u32, index: u64) -> Option<Hash> {
        let (tile_level, inner) = (level / TILE_LEVELS, level % TILE_LEVELS);
        let hashes = self.levels.get(usize::try_from(tile_level).ok()?)?;
        let before = self.size.checked_shr(TILE_LEVELS.checked_mul(tile_level)?).unwrap_or(0);
        let in_tiles = before.checked_sub(u64::try_from(hashes.len()).ok()?)?;
        let first = index.checked_shl(inner)?.checked_sub(in_tiles)?;
        let width = 1usize.checked_shl(inner)?;
        let first = usize::try_from(first).ok()?;
        hashes.get(first..first.checked_add(width)?).map(fold)
    }
}

/// The hash at a place inside the bytes of a full tile.
pub(crate) fn hash_in_tile(bytes: &[u8], level: u32, index: u64) -> Option<Hash> {
    let inner = level % TILE_LEVELS;
    let width = 1usize.checked_shl(inner)?;
    let first = usize::try_from(index.checked_shl(inner)? % 256).ok()?;
    let (hashes, []) = bytes.as_chunks::<32>() else { return None };
    hashes.get(first..first.checked_add(width)?).map(fold)
}

/// Which full tile holds a hash: tile level and tile index.
pub(crate) const fn tile_of(level: u32, index: u64) -> (u32, u64) {
    let inner = level % TILE_LEVELS;
    (level / TILE_LEVELS, (index << inner) / 256)
}

#[cfg(test)]
mod tests {
    use super::super::{Tree, leaf_hash};
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn edge_has_the_root_of_the_whole_tree_at_every_size() {
        let (mut edge, mut tree) = (Edge::default(), Tree::new());
        for i in 0..1100u32 {
            assert_eq!(edge.root(), tree.root(), "{i}");
            let leaf = leaf_hash(&i.to_be_bytes());
            edge.push(leaf, &mut |_| {});
            tree.push(leaf);
        }
    }

    #[test]
    fn edge_and_full_tiles_know_every_hash_of_the_tree() {
        let (mut edge, mut tree, mut tiles) = (Edge::default(), Tree::new(), HashMap::new());
        for i in 0..70_000u32 {
            let leaf = leaf_hash(&i.to_be_bytes());
            tree.push(leaf);
            edge.push(leaf, &mut |tile| {
                assert_eq!(tile.bytes.len(), TILE_BYTES);
                tiles.insert((tile.level, tile.index), tile.bytes);
            });
        }
        assert_eq!(tiles.len(), 70_000 / 256 + 1);
        assert_eq!(edge.root(), tree.root());
        for level in 0..=16 {
            for index in 0..(70_000u64 >> level) {
                let tile = tile_of(level, index);
                let found = match tiles.get(&tile) {
                    Some(bytes) => hash_in_tile(bytes, level, index),
                    None => edge.hash(level, index),
                };
                assert_eq!(found, tree.hash(level, index), "level {level}, index {index}");
            }
        }
    }

    #[test]
    fn tile_paths_are_grouped_by_three_digits() {
        assert_eq!(Tile::path(0, 0), "tile/0/000");
        assert_eq!(Tile::path(2, 1_234_067), "tile/2/x001/x234/067");
    }
}
