//! How far a re-encryption has come: what it counts, and what its cursor says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::reencryption::error::ReencryptionError;
use crate::tenant::{Purpose, TenantId};

/// Most failed objects that are listed; all are counted. Together with their ids they bound the cursor, which is written
/// after each object.
pub const MAX_FAILURES_LISTED: usize = 256;

/// Most bytes of a cursor that is read: its failures, each with the longest id with every byte escaped, and its counts.
const MAX_CURSOR_BYTES: usize = 8 << 20;

/// The shape of the cursor. Another one is refused, not guessed at.
const FORMAT: u32 = 1;

/// How far a re-encryption has come.
///
/// The counts go on where the cursor left them. An object that was swapped just before a crash, and not counted yet, is
/// counted as [already newest](Self::already_newest) when it is found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    format: u32,
    tenant: String,
    purpose: String,
    version: u32,
    /// The id of the last object that was looked at.
    after: Option<String>,
    finished: bool,
    done: u64,
    already_newest: u64,
    failed: u64,
    bytes: u64,
    /// How many objects are under each version, as this one left them.
    under: BTreeMap<u32, u64>,
    /// How many of them may be under any version.
    under_unknown: u64,
    failures: Vec<Failure>,
    #[serde(skip)]
    resumed: bool,
}

/// An object that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Failure {
    /// Its id.
    pub object: String,
    /// The code of the error.
    pub code: String,
}

impl Progress {
    pub(super) fn new(tenant: &TenantId, purpose: &Purpose, version: u32) -> Self {
        Self {
            format: FORMAT,
            tenant: tenant.to_string(),
            purpose: purpose.to_string(),
            version,
            after: None,
            finished: false,
            done: 0,
            already_newest: 0,
            failed: 0,
            bytes: 0,
            under: BTreeMap::new(),
            under_unknown: 0,
            failures: Vec::new(),
            resumed: false,
        }
    }

    /// What a cursor says, if it is one of the same tenant and purpose. When the key was rotated since, it begins again at
    /// the start: the objects behind the cursor are under a version that only opens now.
    pub(super) fn resume(
        text: &str,
        tenant: &TenantId,
        purpose: &Purpose,
        version: u32,
    ) -> Result<Self, ReencryptionError> {
        let invalid = |what: &str| ReencryptionError::CursorInvalid { what: what.to_owned() };
        if text.len() > MAX_CURSOR_BYTES {
            return Err(invalid("it is too long"));
        }
        let saved: Self = serde_json::from_str(text).map_err(|_| invalid("it does not read as a cursor"))?;
        if saved.format != FORMAT || saved.failures.len() > MAX_FAILURES_LISTED {
            return Err(invalid("it is of another format"));
        }
        if (saved.tenant.as_str(), saved.purpose.as_str()) != (tenant.as_str(), purpose.as_str()) {
            return Err(invalid("it is of another tenant or purpose"));
        }
        if saved.version > version {
            return Err(invalid("it is of a key version that there is not"));
        }
        if saved.version < version {
            return Ok(Self::new(tenant, purpose, version));
        }
        Ok(Self { resumed: true, ..saved })
    }

    pub(super) fn encode(&self) -> Result<String, ReencryptionError> {
        serde_json::to_string(self)
            .map_err(|_| ReencryptionError::CursorInvalid { what: "it cannot be written".to_owned() })
    }

    /// The version that was the newest when it began.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether it goes on where another one was cut off.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether every object was looked at.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// How many objects were looked at.
    pub fn seen(&self) -> u64 {
        self.done.saturating_add(self.already_newest).saturating_add(self.failed)
    }

    /// How many objects were sealed again.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// How many objects were under the newest version already, and not touched.
    pub fn already_newest(&self) -> u64 {
        self.already_newest
    }

    /// How many objects did not open, and were left as they are.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// The first 256 of those.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// How many bytes of plaintext were sealed again.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The id of the last object that was looked at.
    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Counts an object by what came of it.
    pub(super) fn count(&mut self, object: &str, outcome: Outcome) {
        self.after = Some(object.to_owned());
        let under = match outcome {
            Outcome::Done { version, bytes } => {
                self.done = self.done.saturating_add(1);
                self.bytes = self.bytes.saturating_add(bytes);
                Some(version)
            }
            Outcome::AlreadyNewest { version } => {
                self.already_newest = self.already_newest.saturating_add(1);
                Some(version)
            }
            Outcome::Failed { version, code } => {
                self.failed = self.failed.saturating_add(1);
                if self.failures.len() < MAX_FAILURES_LISTED {
                    self.failures.push(Failure { object: object.to_owned(), code: code.to_owned() });
                }
                version
            }
        };
        let count = match under {
            Some(version) => self.under.entry(version).or_default(),
            None => &mut self.under_unknown,
        };
        *count = count.saturating_add(1);
    }

    /// Whether, as far as was seen, no object needs this version any more.
    pub(super) fn is_without_objects(&self, version: u32) -> bool {
        self.finished && self.under_unknown == 0 && !self.under.contains_key(&version)
    }
}

/// What came of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is sealed under this version now.
    Done { version: u32, bytes: u64 },
    /// It was under this version, and still is.
    AlreadyNewest { version: u32 },
    /// It is as it was: under the version that its header names, if it names one.
    Failed { version: Option<u32>, code: &'static str },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress::new(&TenantId::new("acme").unwrap(), &Purpose::data(), 3)
    }

    fn resume(text: &str, tenant: &str, version: u32) -> Result<Progress, &'static str> {
        let resumed = Progress::resume(text, &TenantId::new(tenant).unwrap(), &Purpose::data(), version);
        resumed.map_err(|error| error.code())
    }

    #[test]
    fn a_cursor_goes_on_with_its_counts() {
        let mut counted = progress();
        counted.count("a", Outcome::Done { version: 3, bytes: 7 });
        counted.count("b", Outcome::AlreadyNewest { version: 3 });
        counted.count("c", Outcome::Failed { version: Some(1), code: "not_opened" });
        let resumed = resume(&counted.encode().unwrap(), "acme", 3).unwrap();
        assert_eq!(resumed, Progress { resumed: true, ..counted });
        assert_eq!((resumed.after(), resumed.seen(), resumed.bytes()), (Some("c"), 3, 7));
    }

    #[test]
    fn a_cursor_of_an_older_version_begins_again_and_a_foreign_one_is_refused() {
        let mut counted = progress();
        counted.count("a", Outcome::AlreadyNewest { version: 3 });
        counted.finish();
        let text = counted.encode().unwrap();
        let again = resume(&text, "acme", 4).unwrap();
        assert_eq!((again.after(), again.seen(), again.is_finished(), again.is_resumed()), (None, 0, false, false));
        assert_eq!(resume(&text, "acmf", 3), Err("cursor_invalid"));
        assert_eq!(resume(&text, "acme", 2), Err("cursor_invalid"), "of the future");
        for text in ["", "{}", &text[1..], &text.replace("\"format\":1", "\"format\":2"), &text.replace("done", "x")] {
            assert_eq!(resume(text, "acme", 3), Err("cursor_invalid"), "{text}");
        }
        assert_eq!(resume(&" ".repeat(MAX_CURSOR_BYTES + 1), "acme", 3), Err("cursor_invalid"));
    }

    #[test]
    fn failures_are_listed_to_a_bound_and_all_counted_and_fit_the_cursor() {
        let mut counted = progress();
        let longest = "\u{1}".repeat(super::super::MAX_OBJECT_ID_BYTES);
        for _ in 0..1_000 {
            counted.count(&longest, Outcome::Failed { version: None, code: "malformed" });
        }
        assert_eq!((counted.failed(), counted.failures().len()), (1_000, MAX_FAILURES_LISTED));
        assert_eq!(resume(&counted.encode().unwrap(), "acme", 3).unwrap().failed(), 1_000);
    }

    #[test]
    fn a_version_is_without_objects_only_if_every_object_is_known_to_be_elsewhere() {
        let mut counted = progress();
        counted.count("a", Outcome::Done { version: 3, bytes: 0 });
        counted.count("b", Outcome::Failed { version: Some(2), code: "not_opened" });
        assert!(!counted.is_without_objects(1), "not finished");
        counted.finish();
        assert!(counted.is_without_objects(1) && !counted.is_without_objects(2) && !counted.is_without_objects(3));
        counted.count("c", Outcome::Failed { version: None, code: "unreadable" });
        assert!(!counted.is_without_objects(1), "it may be that one's");
    }
}
