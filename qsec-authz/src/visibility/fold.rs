//! Lower case, as far as a database can be made to agree with ours.
//!
//! `lower` of a database knows ASCII, or what its locale says. A text is therefore folded in two steps: each character whose lower
//! case occurs in the constant is replaced by it, then `lower` does ASCII. A character that was not replaced has a lower case
//! that the constant lacks, and lacks itself: the comparison is false before and after.

use std::sync::LazyLock;

/// Most characters that are replaced for one constant.
const MAX_REPLACED: usize = 16;

/// The end of the planes that have upper case.
const LAST: u32 = 0x1_FFFF;

/// Characters beyond ASCII with the lower case that they have by themselves.
static UPPER: LazyLock<Vec<(char, String)>> = LazyLock::new(|| {
    let all = (0x80..=LAST).filter_map(char::from_u32);
    let lower = |one: char| one.to_lowercase().collect::<String>();
    all.map(|one| (one, lower(one))).filter(|(one, lower)| !lower.chars().eq([*one])).collect()
});

/// What must be replaced in a text before it is compared with a constant in lower case; `None` if that is not enough.
pub(super) fn replaced<'c>(constants: impl Iterator<Item = &'c str>) -> Option<Vec<(char, &'static str)>> {
    let constants: Vec<&str> = constants.collect();
    let occurs = |one: char| constants.iter().any(|constant| constant.contains(one));
    // The lower case of a capital sigma depends on what follows. A dot above is half of the lower case of one capital.
    if ['σ', 'ς', '\u{307}'].into_iter().any(occurs) {
        return None;
    }
    let all =
        UPPER.iter().filter(|(_, lower)| lower.chars().any(occurs)).map(|(upper, lower)| (*upper, lower.as_str()));
    let all: Vec<_> = all.collect();
    (all.len() <= MAX_REPLACED).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_beyond_has_an_upper_case() {
        let beyond = (LAST + 1..=0x10_FFFF).filter_map(char::from_u32);
        assert!(beyond.into_iter().all(|one| one.to_lowercase().eq([one])));
    }

    #[test]
    fn capitals_that_become_ascii_are_known() {
        assert_eq!(replaced(["k"].into_iter()), Some(vec![('\u{212A}', "k")]));
        assert_eq!(replaced(["i"].into_iter()), Some(vec![('\u{130}', "i\u{307}")]));
        assert_eq!(replaced(["abc"].into_iter()), Some(vec![]));
        assert_eq!(replaced(["é"].into_iter()), Some(vec![('É', "é")]));
        assert_eq!(replaced(["ας"].into_iter()), None);
    }

    #[test]
    fn folding_of_all_that_occurs_finds_what_lower_case_finds() {
        let fold = |text: &str, constant: &str| {
            let pairs = replaced([constant].into_iter()).unwrap();
            let folded = pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(*from, to));
            folded.to_ascii_lowercase() == constant
        };
        for constant in ["kiel", "é", "ß", "åk", "дом", "a"] {
            for text in ["KIEL", "\u{212A}iel", "kİel", "É", "ẞ", "SS", "\u{212B}K", "ДОМ", "ДОm", "A", "Σ"] {
                assert_eq!(fold(text, constant), text.to_lowercase() == constant, "{text} {constant}");
            }
        }
    }
}
