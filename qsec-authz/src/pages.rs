//! A list in shared pages: a copy with one element changed copies one page.

use std::sync::Arc;

/// Elements of a page, 2^6: a tenant of 10,000 users has 157 pages, and a change copies 64 users.
const PAGE_BITS: u32 = 6;
const PAGE: usize = 1 << PAGE_BITS;

/// A list that grows, and never shrinks.
#[derive(Debug, Clone)]
pub(crate) struct Pages<T> {
    pages: Vec<Arc<Vec<T>>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    pub(crate) fn len(&self) -> usize {
        let full = self.pages.len().saturating_sub(1).saturating_mul(PAGE);
        self.pages.last().map_or(0, |last| full.saturating_add(last.len()))
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (page, slot) = place(index);
        self.pages.get(page)?.get(slot)
    }

    /// How many pages it has in common with another list, at the same places.
    #[cfg(test)]
    pub(crate) fn shared(&self, other: &Self) -> usize {
        self.pages.iter().zip(&other.pages).filter(|(one, two)| Arc::ptr_eq(one, two)).count()
    }
}

impl<T: Clone> Pages<T> {
    pub(crate) fn push(&mut self, value: T) {
        match self.pages.last_mut().filter(|page| page.len() < PAGE) {
            Some(page) => Arc::make_mut(page).push(value),
            None => self.pages.push(Arc::new(vec![value])),
        }
    }

    /// An element to change: its page is copied if somebody else has it.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (page, slot) = place(index);
        Arc::make_mut(self.pages.get_mut(page)?).get_mut(slot)
    }
}

impl<T: Clone> FromIterator<T> for Pages<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut pages = Self::default();
        values.into_iter().for_each(|value| pages.push(value));
        pages
    }
}

#[inline]
fn place(index: u32) -> (usize, usize) {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    (index >> PAGE_BITS, index & (PAGE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_with_one_change_shares_the_other_pages() {
        for count in [0_u32, 1, 63, 64, 65, 200] {
            let pages: Pages<u32> = (0..count).collect();
            assert_eq!(pages.len(), usize::try_from(count).unwrap());
            assert!(
                (0..count).all(|one| pages.get(one) == Some(&one))
                    && pages.get(count).is_none()
                    && pages.get(u32::MAX).is_none()
            );
        }
        let old: Pages<u32> = (0..200).collect();
        let mut new = old.clone();
        *new.get_mut(70).unwrap() = 7;
        assert_eq!((old.get(70), new.get(70), new.get(71)), (Some(&70), Some(&7), Some(&71)));
        assert_eq!((new.shared(&old), new.pages.len()), (3, 4));
        assert!(new.get_mut(200).is_none());
    }
}
