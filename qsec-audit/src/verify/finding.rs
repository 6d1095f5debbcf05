//! What verification found, each under a stable name.

use std::fmt;

use crate::name::Tree;

/// Most findings that are listed.
pub(crate) const MAX_FINDINGS: usize = 1_000;

/// Whether a finding speaks against the log.
///
/// ```
/// use qsec_audit::Severity;
///
/// assert!(Severity::Note < Severity::Tampered);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// The log is not what was committed.
    Tampered,
}

impl Severity {
    /// `note` or `tampered`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Tampered => "tampered",
        }
    }
}

/// The answer of a verification.
///
/// ```
/// use qsec_audit::Verdict;
///
/// assert_eq!(Verdict::Intact.as_str(), "intact");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third verdict")]
pub enum Verdict {
    /// Every byte is what was committed.
    Intact,
    /// At least one finding says otherwise.
    Tampered,
}

impl Verdict {
    /// `intact` or `tampered`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Tampered => "tampered",
        }
    }
}

/// One thing that was found.
///
/// ```
/// use std::time::UNIX_EPOCH;
/// use qsec_audit::{VerifyOptions, verify};
///
/// let folder = tempfile::tempdir()?;
/// let report = verify(folder.path(), &VerifyOptions::new(UNIX_EPOCH))?;
/// let finding = report.findings().first().ok_or("an empty folder is no log")?;
/// assert_eq!((finding.code(), finding.file()), ("log_meta_damaged", Some("log.meta")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    code: &'static str,
    severity: Severity,
    detail: String,
    place: Place,
}

/// Where something was found, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Option<String>,
    pub(crate) offset: Option<u64>,
    pub(crate) tree: Option<Tree>,
    pub(crate) index: Option<u64>,
    pub(crate) commit: Option<u64>,
}

impl Place {
    pub(crate) fn file(name: impl Into<String>) -> Self {
        Self { file: Some(name.into()), ..Self::default() }
    }

    pub(crate) fn at(self, offset: usize) -> Self {
        Self { offset: u64::try_from(offset).ok(), ..self }
    }

    pub(crate) fn commit(self, commit: u64) -> Self {
        Self { commit: Some(commit), ..self }
    }

    pub(crate) fn tree(self, tree: &Tree) -> Self {
        Self { tree: Some(tree.clone()), ..self }
    }

    pub(crate) fn index(self, index: u64) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl Finding {
    /// Its stable name.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// Whether it speaks against the log.
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The file, relative to the log folder.
    pub fn file(&self) -> Option<&str> {
        self.place.file.as_deref()
    }

    /// The byte in that file.
    pub const fn offset(&self) -> Option<u64> {
        self.place.offset
    }

    /// Whose tree.
    pub const fn tree(&self) -> Option<&Tree> {
        self.place.tree.as_ref()
    }

    /// The leaf in that tree.
    pub const fn index(&self) -> Option<u64> {
        self.place.index
    }

    /// The commit.
    pub const fn commit(&self) -> Option<u64> {
        self.place.commit
    }
}

/// For a person: `frame_damaged: the frame fails its CRC (wal/00000000000000000000.qwal, byte 4112, commit 9, tree acme, leaf 7)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)?;
        let places = [
            self.file().map(str::to_owned),
            self.offset().map(|offset| format!("byte {offset}")),
            self.commit().map(|commit| format!("commit {commit}")),
            self.tree().map(|tree| format!("tree {tree}")),
            self.index().map(|index| format!("leaf {index}")),
        ];
        let known: Vec<String> = places.into_iter().flatten().collect();
        if known.is_empty() { Ok(()) } else { write!(f, " ({})", known.join(", ")) }
    }
}

/// The list that never ends a run early.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    tampered: bool,
}

impl Findings {
    pub(crate) fn tampered(&mut self, code: &'static str, detail: impl Into<String>, place: Place) {
        self.tampered = true;
        self.push(Finding { code, severity: Severity::Tampered, detail: detail.into(), place });
    }

    pub(crate) fn note(&mut self, code: &'static str, detail: impl Into<String>, place: Place) {
        self.push(Finding { code, severity: Severity::Note, detail: detail.into(), place });
    }

    pub(crate) const fn is_tampered(&self) -> bool {
        self.tampered
    }

    pub(crate) fn into_list(self) -> Vec<Finding> {
        self.list
    }

    fn push(&mut self, finding: Finding) {
        if self.list.len() < MAX_FINDINGS {
            self.list.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_is_shown_with_all_that_is_known_of_its_place() {
        let place = Place::file("wal/0.qwal").at(4_112).commit(9).tree(&Tree::Deployment).index(7);
        let finding =
            |place| Finding { code: "mac_invalid", severity: Severity::Tampered, detail: "no".to_owned(), place };
        assert_eq!(
            finding(place).to_string(),
            "mac_invalid: no (wal/0.qwal, byte 4112, commit 9, tree _deployment, leaf 7)"
        );
        assert_eq!(finding(Place::default()).to_string(), "mac_invalid: no");
        assert_eq!((Severity::Note.as_str(), Severity::Tampered.as_str()), ("note", "tampered"));
    }
}
