//! Where the leaves of a tree are in the log, so that reading from the middle does not begin at the beginning.

/// Between two places of a tree in a segment: 1 MiB, what is read in a millisecond.
const STEP: u64 = 1024 * 1024;

/// A frame that holds leaves of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first of its leaves.
    pub(crate) leaf: u64,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// Some of the frames that hold leaves of a tree, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    list: Vec<Place>,
}

impl Places {
    /// Keeps a frame if the last one that was kept is far from it.
    pub(crate) fn note(&mut self, place: Place) {
        let is_near = |last: &Place| last.segment == place.segment && place.offset.saturating_sub(last.offset) < STEP;
        if !self.list.last().is_some_and(is_near) {
            self.list.push(place);
        }
    }

    /// Where to begin for a leaf: at a frame that holds it, or one before.
    pub(crate) fn before(&self, leaf: u64) -> Place {
        let after = self.list.partition_point(|place| place.leaf <= leaf);
        after.checked_sub(1).and_then(|at| self.list.get(at)).or_else(|| self.list.first()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_before_a_leaf_is_the_nearest_that_was_kept() {
        let mut places = Places::default();
        assert_eq!(places.before(7), Place::default());
        for leaf in 0..100 {
            places.note(Place { leaf: leaf * 10, segment: leaf / 50, offset: 128 + leaf % 50 * STEP / 4 });
        }
        assert_eq!(places.list.len(), 2 * 13);
        for leaf in 0..1000 {
            let found = places.before(leaf);
            assert!(found.leaf <= leaf && leaf - found.leaf < 40, "{leaf}: {found:?}");
        }
    }
}
