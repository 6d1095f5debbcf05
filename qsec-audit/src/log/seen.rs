//! The rule of duplicates: a retry is one leaf, and a known id does not swallow another event.

use std::borrow::Cow;

use crate::event::EventId;
use crate::keyed::KeyedMap;
use crate::merkle::sha256;
use crate::value::{Value, is_plain};

/// How many events back a retry is recognised.
pub(crate) const WINDOW: usize = 65_536;

/// Of type, subject and data; `subject` as it is escaped in the leaf.
pub(crate) fn fingerprint(kind: &str, subject: Option<&str>, data: &str) -> [u8; 16] {
    let digest = sha256(&[kind.as_bytes(), b"\0", subject.unwrap_or_default().as_bytes(), b"\0", data.as_bytes()]);
    digest.first_chunk().copied().unwrap_or_default()
}

/// A subject as it stands between the quotes of a leaf.
pub(super) fn escaped(subject: &str) -> Cow<'_, str> {
    if is_plain(subject) {
        return Cow::Borrowed(subject);
    }
    let quoted = Value::from(subject).encode();
    Cow::Owned(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned())
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

/// An event that was taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    tree: u32,
    id: EventId,
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
///
/// Ids are random, so a place in an index of them is far from any other: keeping one for every event would cost as much as its hash
/// does. Only a retry asks; what it asks about is indexed then.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// A ring: event number `n` of all that came stands at `n % WINDOW`.
    events: Vec<Seen>,
    came: usize,
    /// Events before this one are in `places`, as far as they are in the ring.
    indexed: usize,
    places: KeyedMap<(u32, EventId), usize>,
}

impl Window {
    pub(super) fn find(&mut self, tree: u32, id: EventId) -> Option<Seen> {
        let oldest = self.came.saturating_sub(WINDOW);
        for number in self.indexed.max(oldest)..self.came {
            if let Some(seen) = self.events.get(number % WINDOW) {
                self.places.insert((seen.tree, seen.id), number);
            }
        }
        self.indexed = self.came;
        let number = *self.places.get(&(tree, id))?;
        self.events.get(number % WINDOW).copied()
    }

    pub(super) fn push(&mut self, tree: u32, (id, index, commit, print): Recent) {
        let seen = Seen { tree, id, index, commit, print };
        if self.events.len() < WINDOW {
            self.events.push(seen);
        } else if let Some(oldest) = self.events.get_mut(self.came % WINDOW) {
            if self.came.saturating_sub(WINDOW) < self.indexed {
                self.places.remove(&(oldest.tree, oldest.id));
            }
            *oldest = seen;
        }
        self.came = self.came.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn window_knows_the_last_events_and_no_older_one() {
        let mut window = Window::default();
        let ids: Vec<EventId> = (0..3 * WINDOW).map(|_| EventId::new(UNIX_EPOCH).unwrap()).collect();
        for (index, id) in (0..).zip(&ids) {
            window.push(3, (*id, index, index + 1, [0; 16]));
            let came = usize::try_from(index).unwrap() + 1;
            // Asked now and then, so that events are indexed in pieces, forgotten indexed, and forgotten unindexed.
            if [1, 10, WINDOW - 1, WINDOW + 5, WINDOW + 6, 3 * WINDOW].contains(&came) {
                let oldest = came.saturating_sub(WINDOW);
                for at in [0, 1, oldest.saturating_sub(1), oldest, oldest + 1, came / 2, came - 1, came] {
                    let expected = (oldest..came).contains(&at).then_some(u64::try_from(at).unwrap());
                    assert_eq!(window.find(3, ids[at % ids.len()]).map(|seen| seen.index), expected, "{at} of {came}");
                }
                assert!(window.find(4, *id).is_none());
                assert_eq!(window.places.len(), came.min(WINDOW));
            }
        }
        assert_eq!(window.events.len(), WINDOW);
    }
}
