//! Proof files: C2SP tlog-proof, and the consistency file between a remembered checkpoint and a newer one.
#![deny(clippy::arithmetic_side_effects)]

use crate::merkle::{self, Hash};
use crate::note::{Checkpoint, NoteError, VerifierKey, encode_base64, parse_hash, parse_size};

/// Most hashes of an inclusion path: one a level of a tree of 2^63 leaves.
pub(crate) const MAX_INCLUSION_PATH: usize = 63;
/// Most hashes of a consistency path: one a level, and the old tree's last part.
pub(crate) const MAX_CONSISTENCY_PATH: usize = 64;

const INCLUSION: &str = "c2sp.org/tlog-proof@v1";
const CONSISTENCY: &str = "qsec-tlog-consistency@v1";

/// Why a proof is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Not a proof file, strictly read.
    #[error("the proof is malformed: {0}")]
    Malformed(&'static str),
    /// The path does not lead to the root.
    #[error("the path does not lead to the root")]
    Invalid,
    /// The checkpoint in the proof is not believed.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
    /// The newer checkpoint has fewer leaves than the remembered one.
    #[error("the log has {found} leaves, fewer than the {remembered} remembered")]
    RolledBack {
        /// The size it has.
        found: u64,
        /// The size it had.
        remembered: u64,
    },
    /// The history is another one than the remembered checkpoint commits to.
    #[error("the log is not a continuation of the remembered checkpoint")]
    Forked,
}

impl ProofError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "proof_malformed",
            Self::Invalid => "proof_invalid",
            Self::Checkpoint(error) => error.code(),
            Self::RolledBack { .. } => "rolled_back",
            Self::Forked => "forked",
        }
    }
}

/// That an entry is in a tree: C2SP tlog-proof.
///
/// ```
/// use qsec_audit::{Checkpoint, InclusionProof, SigningKey, merkle};
///
/// let key = SigningKey::generate()?;
/// let root = merkle::leaf_hash(b"an entry");
/// let note = Checkpoint::new("qsec.example/n1/acme", 1, root).sign(&key)?;
/// let proof = InclusionProof::new(0, Vec::new(), &note);
/// let checkpoint = proof.verify(b"an entry", &[key.verifier_key("qsec.example/n1/acme")])?;
/// assert_eq!(checkpoint.size(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    index: u64,
    path: Vec<Hash>,
    checkpoint: String,
}

impl InclusionProof {
    /// A proof from its parts; `checkpoint` is the signed note.
    #[must_use]
    pub fn new(index: u64, path: Vec<Hash>, checkpoint: &str) -> Self {
        Self { index, path, checkpoint: checkpoint.to_owned() }
    }

    /// Reads a proof file. Nothing is verified yet.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] if it is not a tlog-proof, strictly read.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let rest =
            line_of(text, INCLUSION).ok_or(ProofError::Malformed("the first line is not the one of a tlog-proof"))?;
        let rest = match rest.strip_prefix("extra ") {
            Some(extra) => skip_extra(extra)?,
            None => rest,
        };
        let (index, rest) = rest
            .strip_prefix("index ")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or(ProofError::Malformed("no index line"))?;
        let index = parse_size(index).ok_or(ProofError::Malformed("the index is not a canonical decimal number"))?;
        let (path, checkpoint) = parse_path(rest, MAX_INCLUSION_PATH)?;
        Ok(Self { index, path, checkpoint: checkpoint.to_owned() })
    }

    /// The text of the proof file.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{INCLUSION}\nindex {}\n{}\n{}", self.index, encode_path(&self.path), self.checkpoint)
    }

    /// Verifies that exactly these bytes are the entry at [`InclusionProof::index`] of the tree that a given key signed.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`] if the checkpoint is not believed, [`ProofError::Invalid`] if the path does not lead to its root.
    pub fn verify(&self, entry: &[u8], keys: &[VerifierKey]) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::verify(&self.checkpoint, keys)?;
        let leaf = merkle::leaf_hash(entry);
        merkle::verify_inclusion(self.index, checkpoint.size(), &leaf, &self.path, checkpoint.root())
            .map_err(|_| ProofError::Invalid)?;
        Ok(checkpoint)
    }

    /// Where the entry is.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The signed checkpoint, as it stands in the file.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }
}

/// That a tree continues the one of a remembered checkpoint.
///
/// ```
/// use qsec_audit::{Checkpoint, ConsistencyProof, SigningKey, merkle};
///
/// let (key, origin) = (SigningKey::generate()?, "qsec.example/n1/acme");
/// let mut tree = merkle::Tree::new();
/// tree.push(merkle::leaf_hash(b"first"));
/// let remembered = Checkpoint::new(origin, 1, tree.root());
/// tree.push(merkle::leaf_hash(b"second"));
/// let newer = Checkpoint::new(origin, 2, tree.root()).sign(&key)?;
///
/// let path = tree.consistency(1, 2).ok_or("no such size")?;
/// let proof = ConsistencyProof::new(&remembered, path, &newer);
/// assert_eq!(proof.verify(&remembered, &[key.verifier_key(origin)])?.size(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    old_size: u64,
    old_root: Hash,
    path: Vec<Hash>,
    checkpoint: String,
}

impl ConsistencyProof {
    /// A proof from its parts; `checkpoint` is the newer signed note.
    #[must_use]
    pub fn new(remembered: &Checkpoint, path: Vec<Hash>, checkpoint: &str) -> Self {
        Self { old_size: remembered.size(), old_root: *remembered.root(), path, checkpoint: checkpoint.to_owned() }
    }

    /// Reads a consistency file. Nothing is verified yet.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] if it is not one, strictly read; old size 0 proves nothing and is refused.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let rest = line_of(text, CONSISTENCY)
            .ok_or(ProofError::Malformed("the first line is not the one of a consistency file"))?;
        let (old, rest) = rest
            .strip_prefix("old ")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or(ProofError::Malformed("no line of the old checkpoint"))?;
        let (size, root) = old.split_once(' ').ok_or(ProofError::Malformed("no line of the old checkpoint"))?;
        let old_size =
            parse_size(size).filter(|size| *size > 0).ok_or(ProofError::Malformed("the old size proves nothing"))?;
        let old_root =
            parse_hash(root).ok_or(ProofError::Malformed("the old root is not a hash in canonical base64"))?;
        let (path, checkpoint) = parse_path(rest, MAX_CONSISTENCY_PATH)?;
        Ok(Self { old_size, old_root, path, checkpoint: checkpoint.to_owned() })
    }

    /// The text of the consistency file.
    #[must_use]
    pub fn encode(&self) -> String {
        let root = encode_base64(&self.old_root);
        format!("{CONSISTENCY}\nold {} {root}\n{}\n{}", self.old_size, encode_path(&self.path), self.checkpoint)
    }

    /// Verifies against the checkpoint that the verifier remembers; what the file says about the old tree is no evidence.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`] if the newer checkpoint is not believed or of another origin, [`ProofError::RolledBack`],
    /// [`ProofError::Forked`] if the histories differ, [`ProofError::Invalid`] if the path leads nowhere.
    pub fn verify(&self, remembered: &Checkpoint, keys: &[VerifierKey]) -> Result<Checkpoint, ProofError> {
        let newer = Checkpoint::verify(&self.checkpoint, keys)?;
        if newer.origin() != remembered.origin() {
            let (found, wanted) = (newer.origin().to_owned(), remembered.origin().to_owned());
            return Err(NoteError::WrongOrigin { found, wanted }.into());
        }
        if newer.size() < remembered.size() {
            return Err(ProofError::RolledBack { found: newer.size(), remembered: remembered.size() });
        }
        let (old, new) = (remembered.size(), newer.size());
        let same_old = self.old_size == old && self.old_root == *remembered.root();
        if old > 0 && merkle::verify_consistency(old, new, &self.path, remembered.root(), newer.root()).is_ok() {
            return Ok(newer);
        }
        let leads = merkle::verify_consistency(self.old_size, new, &self.path, &self.old_root, newer.root()).is_ok();
        // The path is good, but from another old tree of that size: somebody shows another history.
        if leads && !same_old && self.old_size == old { Err(ProofError::Forked) } else { Err(ProofError::Invalid) }
    }

    /// The newer signed checkpoint, as it stands in the file.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }
}

fn line_of<'a>(text: &'a str, line: &str) -> Option<&'a str> {
    text.strip_prefix(line)?.strip_prefix('\n')
}

fn skip_extra(text: &str) -> Result<&str, ProofError> {
    use base64::Engine as _;
    let (extra, rest) = text.split_once('\n').ok_or(ProofError::Malformed("no end of the extra line"))?;
    base64::engine::general_purpose::STANDARD
        .decode(extra)
        .map(|_| rest)
        .map_err(|_| ProofError::Malformed("the extra line is not canonical base64"))
}

/// One hash a line, an empty line, and the rest of the text.
fn parse_path(mut rest: &str, most: usize) -> Result<(Vec<Hash>, &str), ProofError> {
    let mut path = Vec::new();
    loop {
        let (line, after) =
            rest.split_once('\n').ok_or(ProofError::Malformed("no empty line before the checkpoint"))?;
        rest = after;
        if line.is_empty() {
            return Ok((path, rest));
        }
        if path.len() == most {
            return Err(ProofError::Malformed("the path is too long"));
        }
        path.push(
            parse_hash(line).ok_or(ProofError::Malformed("a line of the path is not a hash in canonical base64"))?,
        );
    }
}

fn encode_path(path: &[Hash]) -> String {
    path.iter().fold(String::new(), |text, hash| text + &encode_base64(hash) + "\n")
}
