//! The growing edge of a tree, kept as tiles: what a log holds in memory, whatever its length.

use super::{EMPTY_ROOT, Hash, Hashes, node_hash};

/// Hashes in a full tile (C2SP tlog-tiles).
pub(crate) const TILE_WIDTH: usize = 256;
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
    /// At a bit that is set in the size: the root of the full subtree of so many leaves. So a root takes one hash a bit, and every
    /// node is hashed once.
    spine: Vec<Hash>,
    size: u64,
}

impl Edge {
    pub(crate) fn len(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; a tile that became full is handed to `full`.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut impl FnMut(Tile)) {
        let before = self.size;
        self.size = before.saturating_add(1);
        self.keep(0, leaf, full);
        let mut carried = leaf;
        for (bit, height) in (0usize..).zip(0u32..) {
            match self.spine.get_mut(bit) {
                Some(left) if before.checked_shr(height).unwrap_or(0) & 1 == 1 => carried = node_hash(left, &carried),
                Some(slot) => {
                    *slot = carried;
                    return;
                }
                None => {
                    self.spine.push(carried);
                    return;
                }
            }
            let above = height.saturating_add(1);
            if above.is_multiple_of(TILE_LEVELS) {
                self.keep(above / TILE_LEVELS, carried, full);
            }
        }
    }

    /// Puts a hash into the partial tile of its level.
    fn keep(&mut self, level: u32, hash: Hash, full: &mut impl FnMut(Tile)) {
        let Ok(slot) = usize::try_from(level) else { return };
        if self.levels.len() <= slot {
            self.levels.push(Vec::new());
        }
        let Some(hashes) = self.levels.get_mut(slot) else { return };
        hashes.push(hash);
        if hashes.len() == TILE_WIDTH {
            let leaves_of_tile = TILE_LEVELS.saturating_mul(level.saturating_add(1));
            let index = (self.size.checked_shr(leaves_of_tile).unwrap_or(0)).saturating_sub(1);
            full(Tile { level, index, bytes: hashes.concat() });
            hashes.clear();
        }
    }

    pub(crate) fn root(&self) -> Hash {
        let set = (0u32..).zip(&self.spine).filter(|(bit, _)| self.size.checked_shr(*bit).unwrap_or(0) & 1 == 1);
        let above = |right: Option<Hash>, left: &Hash| Some(right.map_or(*left, |right| node_hash(left, &right)));
        set.fold(None, |right, (_, left)| above(right, left)).unwrap_or(EMPTY_ROOT)
    }
}

/// Root of hashes of one level, as many as a power of two.
fn fold(hashes: &[Hash]) -> Hash {
    let mut level: Vec<Hash> = hashes.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    level.first().copied().unwrap_or(EMPTY_ROOT)
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
                assert_eq!(tile.bytes.len(), 8_192);
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
