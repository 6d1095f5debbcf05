//! Texts with `*`, which stands for any run of characters.

#![deny(clippy::arithmetic_side_effects)]

/// A pattern of which only `*` is special. Matching takes time linear in text and pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Glob {
    first: Box<str>,
    middle: Box<[Box<str>]>,
    /// What follows the last star; `None` if there is no star.
    last: Option<Box<str>>,
    /// Of texts in lower case.
    is_folded: bool,
}

/// The two small forms of one capital: which one it becomes depends on what follows, and in a pattern a star does.
const FINAL_SIGMA: char = 'ς';
const SIGMA: &str = "σ";

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let mut pieces = pattern.split('*');
        let first = pieces.next().unwrap_or_default().into();
        let last = pieces.next_back().map(Into::into);
        let middle = pieces.filter(|piece| !piece.is_empty()).map(Into::into).collect();
        Self { first, middle, last, is_folded: false }
    }

    /// A pattern of texts in lower case, whatever its own case.
    pub(crate) fn folded(pattern: &str) -> Self {
        Self { is_folded: true, ..Self::new(&pattern.to_lowercase().replace(FINAL_SIGMA, SIGMA)) }
    }

    /// The text without any star; `None` if there is one.
    pub(crate) fn literal(&self) -> Option<&str> {
        self.last.is_none().then_some(&*self.first)
    }

    /// The texts between the stars, in their order; one more than there are stars, where several together count as one.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &str> {
        let inner = self.middle.iter().map(|piece| &**piece);
        std::iter::once(&*self.first).chain(inner).chain(self.last.as_deref())
    }

    /// Whether the whole text matches. A `*` in the text is a character like any other.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if self.is_folded && text.contains(FINAL_SIGMA) {
            return self.matches_plainly(&text.replace(FINAL_SIGMA, SIGMA));
        }
        self.matches_plainly(text)
    }

    fn matches_plainly(&self, text: &str) -> bool {
        let Some(last) = &self.last else { return *text == *self.first };
        let inner = text.strip_prefix(&*self.first).and_then(|rest| rest.strip_suffix(&**last));
        let Some(mut rest) = inner else { return false };
        // The leftmost place for each piece leaves most for the next.
        for piece in &self.middle {
            match rest.split_once(&**piece) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn star_stands_for_any_run() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*", "a", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a**b", "ab", true),
            ("*b*c*", "abxc", true),
            ("*b*c*", "acxb", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
            ("*aab", "aaab", true),
            ("é*", "éa", true),
            ("*", "*", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
        assert_eq!(Glob::new("ab").literal(), Some("ab"));
        assert_eq!(Glob::new("ab*").literal(), None);
    }

    #[test]
    fn folded_pattern_knows_both_small_sigmas() {
        for (pattern, text, expected) in [
            ("ΑΣ*", "ΑΣΑ", true),
            ("*ΑΣ*Β", "ΧΑΣΧΒ", true),
            ("ΑΣ", "ας", true),
            ("αΣ*", "ας", true),
            ("ΑΣ*", "ΑΤ", false),
            ("K*", "\u{212A}iel", true),
        ] {
            assert_eq!(Glob::folded(pattern).matches(&text.to_lowercase()), expected, "{pattern} {text}");
        }
    }

    fn slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => slowly(rest, text) || text.split_first().is_some_and(|(_, t)| slowly(pattern, t)),
            (Some((p, rest)), Some((t, behind))) => p == t && slowly(rest, behind),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            let all: (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Glob::new(&pattern).matches(&text), slowly(&all.0, &all.1));
        }
    }
}
