//! The rule of duplicates: a retry is one leaf, and a known id does not swallow another event.

use std::collections::{HashMap, VecDeque};

use crate::event::EventId;
use crate::merkle::sha256;
use crate::value::Value;

/// How many events back a retry is recognised.
pub(crate) const WINDOW: usize = 65_536;

/// Of type, subject and data; `subject` as it is escaped in the leaf.
pub(crate) fn fingerprint(kind: &str, subject: Option<&str>, data: &str) -> [u8; 16] {
    let digest = sha256(&[kind.as_bytes(), b"\0", subject.unwrap_or_default().as_bytes(), b"\0", data.as_bytes()]);
    digest.first_chunk().copied().unwrap_or_default()
}

/// A subject as it stands between the quotes of a leaf.
pub(super) fn escaped(subject: &str) -> String {
    let quoted = Value::from(subject).encode();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// One event of the window, as a scan hands it over.
pub(crate) type Recent = (EventId, u64, u64, [u8; 16]);

/// Keeps the newest [`WINDOW`] of a tree.
pub(crate) fn keep_recent(recent: &mut Vec<Recent>, event: Recent) {
    if recent.len() >= WINDOW.saturating_mul(2) {
        recent.drain(..WINDOW);
    }
    recent.push(event);
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) index: u64,
    pub(super) commit: u64,
    print: [u8; 16],
}

impl Seen {
    pub(super) fn is_same(&self, print: &[u8; 16]) -> bool {
        self.print == *print
    }
}

/// The last events of the whole log, by tree and id.
#[derive(Debug, Default)]
pub(super) struct Window {
    by_id: HashMap<(u32, EventId), Seen>,
    order: VecDeque<(u32, EventId)>,
}

impl Window {
    pub(super) fn find(&self, tree: u32, id: EventId) -> Option<Seen> {
        self.by_id.get(&(tree, id)).copied()
    }

    pub(super) fn push(&mut self, tree: u32, (id, index, commit, print): Recent) {
        if self.order.len() >= WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back((tree, id));
        self.by_id.insert((tree, id), Seen { index, commit, print });
    }
}
