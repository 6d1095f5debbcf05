//! The trees that a scan grows, and what it checks leaf by leaf.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::HashSet;

use super::finding::{Findings, Place};
use crate::event::leaf::Leaf;
use crate::keyed::{KeyedMap, KeyedSet};
use crate::log::{self, Places};
use crate::merkle::{self, Edge, Hash, Tile, leaf_hash, sha256};
use crate::name::{Origin, Tree};
use crate::note::{Checkpoint, VerifierKey};
use crate::value::Value;
use crate::wal::frame::{Frame, Record};

/// All trees of a log, as far as they have been read.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    origin: Option<Origin>,
    verifiers: Vec<VerifierKey>,
    remembered: Option<Checkpoint>,
    remembered_seen: bool,
    /// Whether the last events are wanted: whoever appends must know a retry.
    appending: bool,
    places: KeyedMap<String, usize>,
    pub(crate) list: Vec<Grown>,
    /// Tiles that became full: position of the tree, tile.
    pub(super) full: Vec<(usize, Tile)>,
    /// What recovery events say was quarantined: file name, length, digest.
    pub(crate) recovered: Vec<(String, u64, String)>,
    erasures: Erasures,
    pub(crate) events: u64,
}

/// Which frame a record is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct FramePlace {
    pub(super) commit: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Who was erased, by event and by state byte.
#[derive(Debug, Default)]
struct Erasures {
    subjects: HashSet<(String, String)>,
    purged: HashSet<String>,
    erased: Vec<(String, String, Place)>,
}

/// One tree.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) tree: Tree,
    pub(crate) edge: Edge,
    /// Digests of all its checkpoint notes, and the newest one.
    pub(crate) notes: HashSet<Hash>,
    pub(crate) newest: Option<(Checkpoint, String)>,
    ids: KeyedSet<[u8; 16]>,
    broken: bool,
    /// The last events, for the rule of duplicates: id, index, commit, fingerprint.
    pub(crate) recent: Vec<(crate::event::EventId, u64, u64, [u8; 16])>,
    /// Where its leaves are, for whoever appends.
    pub(crate) places: Places,
}

impl Grown {
    fn new(tree: Tree) -> Self {
        Self {
            tree,
            edge: Edge::default(),
            notes: HashSet::new(),
            newest: None,
            ids: KeyedSet::default(),
            broken: false,
            recent: Vec::new(),
            places: Places::default(),
        }
    }
}

impl Trees {
    pub(crate) fn new(
        origin: &Origin,
        verifiers: &[VerifierKey],
        remembered: Option<&Checkpoint>,
        appending: bool,
    ) -> Self {
        let (verifiers, remembered) = (verifiers.to_vec(), remembered.cloned());
        let remembered_seen = remembered.is_none();
        Self { origin: Some(origin.clone()), verifiers, remembered, remembered_seen, appending, ..Self::default() }
    }

    pub(crate) fn find(&self, tree: &Tree) -> Option<&Grown> {
        self.places.get(tree.record_id()).and_then(|place| self.list.get(*place))
    }

    /// The position of a record's tree; a new one begins with its first record.
    fn position(&mut self, record: &Record<'_>) -> Option<usize> {
        if let Some(position) = self.places.get(record.tenant) {
            return Some(*position);
        }
        let position = self.list.len();
        self.list.push(Grown::new(record.tree()?));
        self.places.insert(record.tenant.to_owned(), position);
        Some(position)
    }

    pub(super) fn event(
        &mut self,
        record: &Record<'_>,
        leaf: Hash,
        frame: FramePlace,
        findings: &mut Findings,
        place: impl Fn() -> Place,
    ) {
        self.events = self.events.saturating_add(1);
        let Some(position) = self.position(record) else { return };
        let Some(grown) = self.list.get_mut(position) else { return };
        let tree = grown.tree.clone();
        let here = || place().tree(&tree).index(record.index);
        let expected = grown.edge.len();
        if record.index != expected {
            let detail = format!("leaf {} stands where leaf {expected} must", record.index);
            findings.tampered("commit_gap", detail, here());
            grown.broken = true;
        }
        if self.appending {
            grown.places.note(log::Place { leaf: record.index, segment: frame.segment, offset: frame.offset });
        }
        let full = &mut self.full;
        grown.edge.push(leaf, &mut |tile| full.push((position, tile)));
        let size = grown.edge.len();
        let is_of_tree =
            |old: &&Checkpoint| self.origin.as_ref().is_some_and(|prefix| tree.origin(prefix) == old.origin());
        if let Some(old) = self.remembered.as_ref().filter(|old| old.size() == size).filter(is_of_tree) {
            self.remembered_seen = true;
            if grown.edge.root() != *old.root() {
                findings.tampered("forked", "the remembered checkpoint is of another history", here());
            }
        }
        if record.erased {
            self.erasures.erased.push((record.tenant.to_owned(), String::new(), here()));
        } else {
            self.read_event(record, position, frame.commit, findings, here);
        }
    }

    fn read_event(
        &mut self,
        record: &Record<'_>,
        position: usize,
        commit: u64,
        findings: &mut Findings,
        here: impl Fn() -> Place,
    ) {
        let leaf = match Leaf::parse(record.payload) {
            Ok(leaf) => leaf,
            Err(detail) => return findings.tampered("event_malformed", detail, here()),
        };
        if leaf.tenant.unwrap_or_default() != record.tenant {
            findings.tampered("wrong_tenant", "the event names another tenant than its tree", here());
        }
        if let Some(grown) = self.list.get_mut(position) {
            if !grown.ids.insert(*leaf.id.as_bytes()) {
                findings.tampered("duplicate_event_id", format!("`{}` stands twice in this tree", leaf.id), here());
            }
            if self.appending {
                let print = log::fingerprint(leaf.kind, leaf.subject, leaf.data);
                log::keep_recent(&mut grown.recent, (leaf.id, record.index, commit, print));
            }
        }
        if record.tenant.is_empty() {
            self.read_deployment_event(&leaf);
        }
    }

    fn read_deployment_event(&mut self, leaf: &Leaf<'_>) {
        if !matches!(leaf.kind, "audit.log.recovered" | "audit.personal.erased" | "tenant.purged") {
            return;
        }
        let Ok(Value::Object(data)) = Value::parse(leaf.data) else { return };
        let text = |name: &str| data.get(name).and_then(Value::as_text).unwrap_or_default().to_owned();
        let number =
            |name: &str| data.get(name).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok());
        match leaf.kind {
            "audit.log.recovered" => {
                if let (Some(segment), Some(offset), Some(length)) =
                    (number("segment"), number("offset"), number("bytes"))
                    && length > 0
                {
                    self.recovered.push((super::cover::quarantine_name(segment, offset), length, text("digest")));
                }
            }
            "audit.personal.erased" => {
                self.erasures.subjects.insert((text("tenant"), text("subject")));
            }
            _ => {
                let tenant = leaf.subject.and_then(|subject| subject.strip_prefix("tenant/")).unwrap_or_default();
                self.erasures.purged.insert(tenant.to_owned());
            }
        }
    }

    pub(super) fn personal(
        &mut self,
        record: &Record<'_>,
        frame: &Frame<'_>,
        findings: &mut Findings,
        place: impl Fn() -> Place,
    ) {
        let of = |event: &&Record<'_>| {
            event.kind == crate::wal::frame::Kind::Event && event.tenant == record.tenant && event.index == record.index
        };
        let event = frame.records.iter().rev().skip_while(|event| event.at >= record.at).find(of);
        let here = || record.tree().map_or_else(&place, |tree| place().tree(&tree)).index(record.index);
        if event.is_none() {
            findings.tampered("frame_damaged", "a personal part does not follow its event", here());
        }
        if record.erased {
            self.erasures.erased.push((record.tenant.to_owned(), record.subject.to_owned(), here()));
        }
    }

    pub(super) fn checkpoint(&mut self, record: &Record<'_>, findings: &mut Findings, place: impl Fn() -> Place) {
        let Some(origin) = record.tree().zip(self.origin.as_ref()).map(|(tree, origin)| tree.origin(origin)) else {
            return;
        };
        let place = || record.tree().map_or_else(&place, |tree| place().tree(&tree));
        let keys: Vec<VerifierKey> = self.verifiers.iter().map(|key| key.named(&origin)).collect();
        let note = std::str::from_utf8(record.payload).unwrap_or_default();
        let read = if keys.is_empty() { Checkpoint::parse_unverified(note) } else { Checkpoint::verify(note, &keys) };
        let checkpoint = match read {
            Ok(checkpoint) => checkpoint,
            Err(error) => return findings.tampered(error.code(), error.to_string(), place()),
        };
        if checkpoint.origin() != origin {
            return findings.tampered(
                "wrong_origin",
                format!("it is of `{}`", crate::name::shorten(checkpoint.origin())),
                place(),
            );
        }
        let Some(grown) = self.position(record).and_then(|position| self.list.get_mut(position)) else { return };
        // A checkpoint signs the tree as it stands at that record.
        if !grown.broken && (checkpoint.size(), *checkpoint.root()) != (grown.edge.len(), grown.edge.root()) {
            findings.tampered("root_mismatch", "the tree has another size or root than was signed", place());
        }
        grown.notes.insert(sha256(&[record.payload]));
        grown.newest = Some((checkpoint, note.to_owned()));
    }

    /// RFC 6962 root over the newest checkpoint bodies, sorted by origin.
    pub(crate) fn root(&self, with_deployment: bool) -> Hash {
        let bodies = self.list.iter().filter(|grown| with_deployment || grown.tree != Tree::Deployment);
        let bodies =
            bodies.filter_map(|grown| Some((grown.tree.name(), leaf_hash(grown.newest.as_ref()?.0.body().as_bytes()))));
        heads_root(bodies.collect())
    }

    pub(super) fn finish(&mut self, findings: &mut Findings, _open: bool) {
        if let Some(old) = self.remembered.as_ref().filter(|old| !self.remembered_seen && old.size() > 0) {
            let code = if self.origin.as_ref().is_some_and(|prefix| old.origin().starts_with(prefix.as_str())) {
                "rolled_back"
            } else {
                "wrong_origin"
            };
            findings.tampered(
                code,
                "the remembered checkpoint is larger than its tree, or of another log",
                Place::default(),
            );
        }
        let mut named = 0u64;
        for (tenant, subject, place) in std::mem::take(&mut self.erasures.erased) {
            let with_record = self.erasures.purged.contains(&tenant)
                || (!subject.is_empty() && self.erasures.subjects.contains(&(tenant, subject)));
            if with_record {
                named = named.saturating_add(1);
            } else {
                findings.tampered("erased_without_record", "no event of the deployment names this erasure", place);
            }
        }
        if named > 0 {
            findings.note("erased", format!("{named} records are erased, with record"), Place::default());
        }
    }
}

/// Root over `(tree name, leaf)` in the order of the names.
pub(crate) fn heads_root(mut bodies: Vec<(&str, Hash)>) -> Hash {
    bodies.sort_unstable();
    let mut edge = Edge::default();
    for (_, leaf) in bodies {
        edge.push(leaf, &mut |_| {});
    }
    if edge.len() == 0 { merkle::EMPTY_ROOT } else { edge.root() }
}
