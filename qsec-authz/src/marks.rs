//! Marks on numbers below a bound, as bits.

/// Bits of a word, 2^6.
const WORD_BITS: u32 = 6;

/// A mark, or none, for each number below a bound.
#[derive(Debug)]
pub(crate) struct Marks(Vec<u64>);

impl Marks {
    /// None for any of so many.
    pub(crate) fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(1 << WORD_BITS)])
    }

    /// Sets the mark of a number below the bound, or takes it away.
    #[inline]
    pub(crate) fn put(&mut self, number: u32, marked: bool) {
        let word = usize::try_from(number >> WORD_BITS).unwrap_or(usize::MAX);
        if let Some(word) = self.0.get_mut(word) {
            let place = number & ((1 << WORD_BITS) - 1);
            *word = *word & !1_u64.wrapping_shl(place) | u64::from(marked).wrapping_shl(place);
        }
    }

    /// The marked numbers, ascending.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let count = self.0.iter().fold(0_u32, |count, word| count.saturating_add(word.count_ones()));
        let mut numbers = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        for (row, word) in (0_u32..).zip(&self.0) {
            let mut left = *word;
            while left != 0 {
                numbers.push(row.wrapping_shl(WORD_BITS) | left.trailing_zeros());
                left &= left.wrapping_sub(1);
            }
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_numbers_are_those_that_were_marked_last() {
        let mut marks = Marks::new(130);
        for number in [129, 0, 63, 64, 65, 127, 128] {
            marks.put(number, true);
        }
        marks.put(65, false);
        marks.put(3, false);
        marks.put(u32::MAX, true);
        assert_eq!(marks.numbers(), [0, 63, 64, 127, 128, 129]);
        assert!(Marks::new(0).numbers().is_empty());
    }
}
