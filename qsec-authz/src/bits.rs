//! Small closed sets of names, as bits.

use std::fmt;
use std::marker::PhantomData;

/// A name of a closed set of at most 32.
pub(crate) trait Bit: Copy + fmt::Debug + 'static {
    /// Every one, in the order of their bits.
    const ALL: &'static [Self];

    /// Which bit: below 32.
    fn index(self) -> u32;

    /// The name that the formats use.
    fn name(self) -> &'static str;

    /// The one of that name; names are case-sensitive.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }
}

/// Declares an enum of names with their bits.
macro_rules! names {
    ($(#[$meta:meta])* $vis:vis enum $type:ident { $($(#[$note:meta])* $variant:ident = $index:literal $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $type { $($(#[$note])* $variant,)+ }

        impl $crate::bits::Bit for $type {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            #[inline]
            fn index(self) -> u32 {
                match self { $(Self::$variant => $index,)+ }
            }

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

pub(crate) use names;

/// A set of such names.
pub(crate) struct Set<T>(u32, PhantomData<T>);

impl<T> Clone for Set<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Set<T> {}

impl<T> PartialEq for Set<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Set<T> {}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> Set<T> {
    pub(crate) const EMPTY: Self = Self(0, PhantomData);

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0, PhantomData)
    }

    #[inline]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0, PhantomData)
    }

    #[inline]
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0, PhantomData)
    }

    #[inline]
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl<T: Bit> Set<T> {
    pub(crate) fn of(ones: &[T]) -> Self {
        ones.iter().copied().collect()
    }

    pub(crate) fn add(&mut self, one: T) {
        self.0 |= 1_u32.wrapping_shl(one.index());
    }

    #[inline]
    pub(crate) fn has(self, one: T) -> bool {
        self.0.wrapping_shr(one.index()) & 1 == 1
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = T> {
        T::ALL.iter().copied().filter(move |one| self.has(*one))
    }
}

impl<T: Bit> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(ones: I) -> Self {
        let mut set = Self::EMPTY;
        for one in ones {
            set.add(one);
        }
        set
    }
}

impl<T: Bit> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Bit::name)).finish()
    }
}

/// Proves that the bits of a set are 0, 1, 2 … and its names unique: what the macro cannot.
#[cfg(test)]
pub(crate) fn assert_counted<T: Bit>() {
    let names: std::collections::HashSet<_> = T::ALL.iter().map(|one| one.name()).collect();
    assert_eq!(names.len(), T::ALL.len());
    assert!(T::ALL.len() <= 32);
    for (index, one) in T::ALL.iter().enumerate() {
        assert_eq!(one.index() as usize, index, "{one:?}");
        assert!(T::named(one.name()).is_some_and(|found| found.index() == one.index()));
    }
}
