//! Proofs of what the log holds.

use std::time::SystemTime;

use super::commit::Shared;
use super::round::Signed;
use super::{Log, ProveError, Receipt};
use crate::event::EventId;
use crate::event::leaf::Leaf;
use crate::merkle::{Edge, Hash, Hashes, Tile, consistency_path, hash_in_tile, inclusion_path, tile_of};
use crate::name::Tree;
use crate::note::Checkpoint;
use crate::proof::{ConsistencyProof, InclusionProof};

/// A proof, and the exact bytes it is about.
///
/// ```
/// # use qsec_audit::{Actor, Draft, Log, LogKeys, MacKey, Origin, SigningKey, Tree, danger};
/// # let now = std::time::UNIX_EPOCH;
/// # let folder = tempfile::tempdir()?;
/// # let keys = LogKeys::new(SigningKey::generate()?, danger::plain_sealer());
/// # let log = Log::create(folder.path(), &Origin::parse("qsec.example/n1")?, keys, &MacKey::generate()?, now)?;
/// let receipt = log.record(Draft::new("lamp.lit").by(Actor::system()), now)?.durable()?;
/// let proven = log.prove(&receipt, now)?;
/// proven.proof().verify(proven.entry(), &[log.verifier_key(&Tree::Deployment)])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    proof: InclusionProof,
    entry: Vec<u8>,
}

impl Proven {
    /// The proof; `encode` makes its file.
    pub const fn proof(&self) -> &InclusionProof {
        &self.proof
    }

    /// The entry, byte for byte.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }
}

impl Log {
    /// Proves that the event of a receipt is in its tree. A round is made first if its checkpoint does not reach it yet.
    ///
    /// # Errors
    /// As [`Log::prove_index`].
    pub fn prove(&self, receipt: &Receipt, now: SystemTime) -> Result<Proven, ProveError> {
        self.prove_index(receipt.tree(), receipt.index(), now)
    }

    /// Proves the leaf at an index.
    ///
    /// # Errors
    /// [`ProveError::NoSuchEvent`], [`ProveError::Erased`], [`ProveError::Record`] if a round cannot be made,
    /// [`ProveError::Read`] or [`ProveError::Proof`] if the files are damaged.
    pub fn prove_index(&self, tree: &Tree, index: u64, now: SystemTime) -> Result<Proven, ProveError> {
        if self.tree_size(tree).is_none_or(|size| index >= size) {
            return Err(ProveError::NoSuchEvent);
        }
        let (signed, hashes) = self.signed_above(tree, index, now)?;
        let entry = self.tail(tree, index).next().ok_or(ProveError::NoSuchEvent)??;
        if entry.is_erased() {
            return Err(ProveError::Erased);
        }
        let path = inclusion_path(&hashes, index, signed.size()).unwrap_or_default();
        let proof = InclusionProof::new(index, path, &signed.note);
        // Hashes come from files: what does not verify here is not handed out.
        proof.verify(entry.bytes(), &[self.verifier_key(tree)])?;
        Ok(Proven { proof, entry: entry.bytes().to_vec() })
    }

    /// Proves the event with an id.
    ///
    /// # Errors
    /// As [`Log::prove_index`].
    pub fn prove_event(&self, tree: &Tree, id: &EventId, now: SystemTime) -> Result<Proven, ProveError> {
        self.flush(now)?;
        if let Some(index) = self.shared.find(tree, *id) {
            return self.prove_index(tree, index, now);
        }
        for entry in self.tail(tree, 0) {
            let entry = entry?;
            if Leaf::parse(entry.bytes()).is_ok_and(|leaf| leaf.id == *id) {
                return self.prove_index(tree, entry.index(), now);
            }
        }
        Err(ProveError::NoSuchEvent)
    }

    /// Proves that a tree continues the one of a remembered checkpoint.
    ///
    /// # Errors
    /// [`ProveError::Forked`] if the checkpoint is not of this history, [`ProveError::RolledBack`] if it has more leaves,
    /// [`ProveError::NoSuchEvent`] if the tree is empty or the checkpoint proves nothing, [`ProveError::Record`].
    pub fn prove_since(
        &self,
        tree: &Tree,
        remembered: &Checkpoint,
        now: SystemTime,
    ) -> Result<ConsistencyProof, ProveError> {
        if remembered.origin() != tree.origin(self.origin()) {
            return Err(ProveError::Forked);
        }
        let size = self.tree_size(tree).filter(|size| *size > 0).ok_or(ProveError::NoSuchEvent)?;
        if remembered.size() > size {
            return Err(ProveError::RolledBack);
        }
        let (signed, hashes) = self.signed_above(tree, size.saturating_sub(1), now)?;
        let path = consistency_path(&hashes, remembered.size(), signed.size()).ok_or(ProveError::NoSuchEvent)?;
        let path = if remembered.size() == signed.size() { Vec::new() } else { path };
        let proof = ConsistencyProof::new(remembered, path, &signed.note);
        proof.verify(remembered, &[self.verifier_key(tree)]).map_err(|_| ProveError::Forked)?;
        Ok(proof)
    }

    /// The newest signed checkpoint of a tree, over all its leaves.
    ///
    /// # Errors
    /// [`ProveError::NoSuchEvent`] if the tree is empty, [`ProveError::Record`] if a round cannot be made.
    pub fn checkpoint(&self, tree: &Tree, now: SystemTime) -> Result<String, ProveError> {
        let size = self.tree_size(tree).filter(|size| *size > 0).ok_or(ProveError::NoSuchEvent)?;
        Ok(self.signed_above(tree, size.saturating_sub(1), now)?.0.note)
    }

    /// A checkpoint that covers a leaf, and the hashes below it.
    fn signed_above(&self, tree: &Tree, index: u64, now: SystemTime) -> Result<(Signed, Stored<'_>), ProveError> {
        let shared = &self.shared;
        if shared.signed(tree).is_none_or(|signed| signed.size() <= index) {
            shared.round(now, Some(tree), false)?;
        }
        let core = shared.lock();
        let growing = core.trees.get(tree).ok_or(ProveError::NoSuchEvent)?;
        let signed = growing.signed.clone().filter(|signed| signed.size() > index).ok_or(ProveError::NoSuchEvent)?;
        Ok((signed, Stored { shared, tree: tree.clone(), edge: growing.edge.clone(), tiles: growing.tiles.clone() }))
    }
}

impl Shared {
    fn signed(&self, tree: &Tree) -> Option<Signed> {
        let core = self.quiet().ok()?;
        core.trees.get(tree).and_then(|growing| growing.signed.clone())
    }
}

/// The hashes of a tree: its edge in memory, its full tiles in memory until they are written, and on disk.
struct Stored<'a> {
    shared: &'a Shared,
    tree: Tree,
    edge: Edge,
    tiles: Vec<Tile>,
}

impl Hashes for Stored<'_> {
    fn hash(&self, level: u32, index: u64) -> Option<Hash> {
        if let Some(hash) = self.edge.hash(level, index) {
            return Some(hash);
        }
        let place = tile_of(level, index);
        if let Some(tile) = self.tiles.iter().find(|tile| (tile.level, tile.index) == place) {
            return hash_in_tile(&tile.bytes, level, index);
        }
        let fixed = &self.shared.fixed;
        let path = fixed.dir.join("trees").join(self.tree.name()).join(Tile::path(place.0, place.1));
        hash_in_tile(&fixed.fs.read(&path).ok()?, level, index)
    }
}
