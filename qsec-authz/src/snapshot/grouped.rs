//! Numbers by a key, in one piece.

use super::tenant::index;

/// The numbers from 0 on by their keys. Room is taken for each key up to the highest.
#[derive(Debug)]
pub(crate) struct Grouped {
    /// Where the numbers of each key begin, and the end of the last.
    starts: Box<[u32]>,
    numbers: Box<[u32]>,
}

impl Grouped {
    /// From the key of each number.
    pub(crate) fn new(keys: impl Iterator<Item = u32>) -> Self {
        let mut pairs: Vec<(u32, u32)> = keys.zip(0..).collect();
        pairs.sort_unstable();
        let mut starts = Vec::new();
        for (position, (key, _)) in (0..).zip(&pairs) {
            starts.resize(place(*key).saturating_add(1), position);
        }
        starts.push(index(pairs.len()));
        Self { starts: starts.into(), numbers: pairs.into_iter().map(|(_, number)| number).collect() }
    }

    /// Those of a key, in their order.
    pub(crate) fn of(&self, key: u32) -> &[u32] {
        let bounds = self.starts.get(place(key)..).and_then(<[u32]>::first_chunk);
        let Some([start, end]) = bounds else { return &[] };
        self.numbers.get(place(*start)..place(*end)).unwrap_or_default()
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_key() {
        let keys = [3, 1, 3, 7, 1, 0];
        let grouped = Grouped::new(keys.into_iter());
        for key in (0..10).chain([u32::MAX]) {
            let expected: Vec<u32> = (0..).zip(keys).filter(|(_, one)| *one == key).map(|(number, _)| number).collect();
            assert_eq!(grouped.of(key), expected, "{key}");
        }
        assert!(Grouped::new(std::iter::empty()).of(0).is_empty());
    }
}
