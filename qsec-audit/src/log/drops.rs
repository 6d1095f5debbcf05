//! What was counted instead of kept.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::catalogue::AuditEventsDropped;
use crate::event::{Actor, Event};
use crate::name::Tree;

/// Most trees whose drops are recorded in one frame.
pub(super) const MAX_TREES: usize = 64;

#[derive(Debug)]
struct Count {
    types: BTreeMap<&'static str, i64>,
    from: SystemTime,
    to: SystemTime,
    cause: &'static str,
}

/// Counts per tenant and type.
#[derive(Debug, Default)]
pub(super) struct Drops {
    trees: BTreeMap<Tree, Count>,
}

impl Drops {
    pub(super) fn count(&mut self, tree: &Tree, kind: &'static str, cause: &'static str, now: SystemTime) {
        let new = || Count { types: BTreeMap::new(), from: now, to: now, cause };
        let count = self.trees.entry(tree.clone()).or_insert_with(new);
        let number = count.types.entry(kind).or_default();
        *number = number.saturating_add(1);
        count.to = count.to.max(now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// One event a tree; what is taken is forgotten.
    pub(super) fn take(&mut self) -> Vec<(Tree, Event)> {
        let mut events = Vec::new();
        while events.len() < MAX_TREES
            && let Some((tree, count)) = self.trees.pop_first()
        {
            let counts = count.types.into_iter().map(|(kind, number)| (kind.to_owned(), number));
            let event = AuditEventsDropped::new().counts(counts).from(count.from).to(count.to).cause(count.cause);
            events.push((tree, event.by(Actor::system())));
        }
        events
    }
}
