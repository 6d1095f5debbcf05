//! `verify`: a log folder against nothing but what the verifier brings along.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::finding::{Finding, Findings, Place, Verdict};
use super::scan::{Evidence, Scanned};
use crate::fs::{Disk, FileSystem};
use crate::head::Head;
use crate::note::{Checkpoint, SigningKey, VerifierKey};
use crate::wal::from_micros;
use crate::wal::mac::MacKey;

/// Why a folder could not be verified at all. What is wrong *in* it is a [`Finding`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no such folder.
    #[error("there is no folder `{}`", .0.display())]
    NotFound(PathBuf),
    /// It cannot be read now.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl VerifyError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}

/// What a verifier brings along; nothing found in the folder is taken as a key.
///
/// ```
/// use std::time::UNIX_EPOCH;
/// use qsec_audit::{MacKey, VerifyOptions};
///
/// let options = VerifyOptions::new(UNIX_EPOCH).escrow(MacKey::from_bytes(&[0x42; 32]));
/// assert!(format!("{options:?}").contains("MacKey(..)"));
/// ```
#[derive(Debug)]
pub struct VerifyOptions {
    now: SystemTime,
    escrow: Option<MacKey>,
    remembered: Option<Checkpoint>,
    head: Option<Head>,
    keys: Vec<VerifierKey>,
}

impl VerifyOptions {
    /// Nothing but the time.
    #[must_use]
    pub const fn new(now: SystemTime) -> Self {
        Self { now, escrow: None, remembered: None, head: None, keys: Vec::new() }
    }

    /// The first MAC key: every frame's MAC is checked.
    #[must_use]
    pub fn escrow(mut self, first: MacKey) -> Self {
        self.escrow = Some(first);
        self
    }

    /// A checkpoint that this verifier kept from earlier, verified.
    #[must_use]
    pub fn remembered(mut self, checkpoint: Checkpoint) -> Self {
        self.remembered = Some(checkpoint);
        self
    }

    /// The head that a store remembers.
    #[must_use]
    pub fn head(mut self, head: Head) -> Self {
        self.head = Some(head);
        self
    }

    /// The node's own signing key: signatures of the checkpoints of all trees are checked.
    #[must_use]
    pub fn signed_by(self, key: &SigningKey) -> Self {
        self.key(key.verifier_key("any"))
    }

    /// The node's key, under the name of any of its trees: signatures of checkpoints are checked.
    #[must_use]
    pub fn key(mut self, key: VerifierKey) -> Self {
        self.keys.push(key);
        self
    }
}

/// What verification says.
///
/// ```
/// use std::time::UNIX_EPOCH;
/// use qsec_audit::{Verdict, VerifyOptions, verify};
///
/// let folder = tempfile::tempdir()?;
/// let report = verify(folder.path(), &VerifyOptions::new(UNIX_EPOCH))?;
/// assert_eq!(report.verdict(), Verdict::Tampered);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Report {
    trees: u64,
    events: u64,
    segments: u64,
    commits: u64,
    last_commit_time: Option<SystemTime>,
    checked: Vec<&'static str>,
    findings: Vec<Finding>,
    verdict: Verdict,
}

impl Report {
    /// Whether every byte is what was committed.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How many trees there are.
    pub const fn trees(&self) -> u64 {
        self.trees
    }

    /// How many leaves they have together.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// How many segments were read.
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// How many frames were read.
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    /// When the last frame was committed.
    pub const fn last_commit_time(&self) -> Option<SystemTime> {
        self.last_commit_time
    }

    /// What was checked: `chain`, `trees`, `events`, `files`, and with what was brought along `mac`, `signatures`, `head`, `remembered`.
    pub fn checked(&self) -> &[&'static str] {
        &self.checked
    }

    /// What was found, at most 1,000.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// Verifies a log folder: every byte of every file. It reads only and takes no lock; damage never ends it early.
///
/// # Errors
/// [`VerifyError::NotFound`] if there is no such folder, [`VerifyError::Unreadable`] if the system does not let it be read.
pub fn verify(dir: impl AsRef<Path>, options: &VerifyOptions) -> Result<Report, VerifyError> {
    let dir = dir.as_ref();
    verify_with(&Disk, dir, options).map_err(|source| {
        if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            return VerifyError::NotFound(dir.to_owned());
        }
        VerifyError::Unreadable { path: dir.to_owned(), source }
    })
}

fn verify_with(fs: &dyn FileSystem, dir: &Path, options: &VerifyOptions) -> io::Result<Report> {
    let evidence = Evidence {
        key: options.escrow.as_ref().map(|first| (1, first.next())),
        head: options.head.as_ref(),
        verifiers: &options.keys,
        remembered: options.remembered.as_ref(),
        appending: false,
    };
    let mut scanned = Scanned::new(fs, dir, &evidence)?;
    let last = (scanned.commits > 0).then(|| from_micros(scanned.last.time));
    let checked = note_unchecked(&mut scanned.findings, options);
    if last.is_some_and(|last| last > options.now) {
        scanned.findings.note("clock_ahead", "the last commit is from the future", Place::default());
    }
    let verdict = if scanned.findings.is_tampered() { Verdict::Tampered } else { Verdict::Intact };
    Ok(Report {
        trees: u64::try_from(scanned.trees.list.len()).unwrap_or(u64::MAX),
        events: scanned.trees.events,
        segments: scanned.segments,
        commits: scanned.commits,
        last_commit_time: last,
        checked,
        findings: scanned.findings.into_list(),
        verdict,
    })
}

fn note_unchecked(findings: &mut Findings, options: &VerifyOptions) -> Vec<&'static str> {
    let mut checked = vec!["chain", "trees", "events", "files"];
    if options.escrow.is_some() {
        checked.push("mac");
    } else {
        findings.note("mac_not_checked", "no escrowed key was given", Place::default());
    }
    if options.head.is_some() {
        checked.push("head");
    } else {
        findings.note("heads_not_checked", "no head of a store was given", Place::default());
    }
    checked.extend((!options.keys.is_empty()).then_some("signatures"));
    checked.extend(options.remembered.is_some().then_some("remembered"));
    checked
}
