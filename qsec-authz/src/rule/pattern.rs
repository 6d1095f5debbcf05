//! The regular expressions of `matches`: a small language, checked here and run in linear time.

#![deny(clippy::arithmetic_side_effects)]

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes: those of real rules have some 100.
const MAX_PATTERN_BYTES: usize = 2048;
/// Deepest nesting of groups.
const MAX_GROUPS: u32 = 32;
/// Most repetitions that a pattern may count to.
const MAX_COUNT: u32 = 1000;
/// Largest compiled pattern, in bytes: two ids of 32 `\w` each, which have all of Unicode's letters and digits 64 times.
const MAX_COMPILED_BYTES: usize = 4 * 1024 * 1024;
/// Most different patterns in one tenant: 256 of the largest are 1 GiB.
const MAX_PATTERNS: usize = 256;
/// So many bytes in so many places of a pattern count as a step. The engine is linear in the text and, at its worst (`.*a.{1000}`),
/// in the pattern: 20 ns for each byte in each place, 20 s for a text of 1 MiB.
const STEP_PLACES: usize = 16;

/// A pattern that can match.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Characters and signs that it has, each as often as it is repeated by number.
    places: usize,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.regex.as_str().hash(state);
    }
}

impl Pattern {
    /// Whether the whole text matches, whatever its case.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The steps that this takes at most.
    pub(crate) fn cost(&self, text: &str) -> usize {
        text.len().saturating_mul(self.places) / STEP_PLACES
    }
}

/// The patterns of one tenant, each compiled once.
#[derive(Debug, Default)]
pub(crate) struct Patterns(HashMap<String, Pattern>);

impl Patterns {
    /// Reads a pattern.
    pub(super) fn read(&mut self, text: &str) -> Result<Pattern, String> {
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        if self.0.len() >= MAX_PATTERNS {
            return Err(format!("the tenant has more than {MAX_PATTERNS} different patterns"));
        }
        let (written, places) = translate(text)?;
        let mut engine = RegexBuilder::new(&written);
        let engine = engine.case_insensitive(true).size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES);
        let regex = engine.build().map_err(|_| "the pattern is too large".to_owned())?;
        let pattern = Pattern { regex, places };
        self.0.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }
}

/// The same pattern in the words of the engine, anchored, and its places. Characters are written as numbers, so that what is special
/// to the engine and plain in our language stays plain.
fn translate(text: &str) -> Result<(String, usize), String> {
    if text.len() > MAX_PATTERN_BYTES {
        return Err(format!("the pattern is longer than {MAX_PATTERN_BYTES} bytes"));
    }
    let mut reader = Reader { rest: text.chars().peekable(), written: String::from(r"\A(?:"), groups: 0, places: 0 };
    reader.alternatives()?;
    match reader.rest.next() {
        None => Ok((reader.written + r")\z", reader.places)),
        Some(_) => Err("a group is closed that was not opened".to_owned()),
    }
}

struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
    written: String,
    groups: u32,
    places: usize,
}

impl Reader<'_> {
    /// Up to a closing parenthesis or the end.
    fn alternatives(&mut self) -> Result<(), String> {
        while let Some(character) = self.rest.next_if(|next| *next != ')') {
            let before = self.places;
            let repeatable = match character {
                '|' | '^' | '$' => {
                    self.written.push(character);
                    self.place();
                    false
                }
                '(' => {
                    self.group()?;
                    true
                }
                '[' => {
                    self.class()?;
                    self.place()
                }
                '.' => {
                    self.written.push('.');
                    self.place()
                }
                '\\' => {
                    self.escape()?;
                    self.place()
                }
                '*' | '+' | '?' | '{' => return Err(format!("`{character}` repeats nothing")),
                plain => {
                    self.plain(plain);
                    self.place()
                }
            };
            if repeatable {
                let times = usize::try_from(self.repetition()?).unwrap_or(usize::MAX);
                self.places = before.saturating_add(self.places.saturating_sub(before).saturating_mul(times));
            }
        }
        Ok(())
    }

    /// Counts a place. That it can be repeated.
    fn place(&mut self) -> bool {
        self.places = self.places.saturating_add(1);
        true
    }

    fn plain(&mut self, character: char) {
        // Writing to a text does not fail.
        let _ = write!(self.written, r"\x{{{:X}}}", u32::from(character));
    }

    fn group(&mut self) -> Result<(), String> {
        if self.rest.peek() == Some(&'?') {
            return Err("groups of the form `(?…)` are not part of the language".to_owned());
        }
        self.groups = self.groups.saturating_add(1);
        if self.groups > MAX_GROUPS {
            return Err(format!("groups are nested more than {MAX_GROUPS} deep"));
        }
        self.written.push_str("(?:");
        self.alternatives()?;
        self.groups = self.groups.saturating_sub(1);
        if self.rest.next() != Some(')') {
            return Err("a group is not closed".to_owned());
        }
        self.written.push(')');
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.escaped()? {
            Ok(class) => self.written.push_str(class),
            Err(character) => self.plain(character),
        }
        Ok(())
    }

    /// What follows a backslash: a class, or a character that stands for itself.
    fn escaped(&mut self) -> Result<Result<&'static str, char>, String> {
        Ok(match self.rest.next() {
            Some('d') => Ok(r"\d"),
            Some('D') => Ok(r"\D"),
            Some('w') => Ok(r"\w"),
            Some('W') => Ok(r"\W"),
            Some('s') => Ok(r"\s"),
            Some('S') => Ok(r"\S"),
            Some(other) if other.is_alphanumeric() => {
                return Err(format!(r"`\{other}` is not part of the language"));
            }
            Some(other) => Err(other),
            None => return Err("the pattern ends in a backslash".to_owned()),
        })
    }

    fn class(&mut self) -> Result<(), String> {
        self.written.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.written.push('^');
        }
        let mut members = 0_usize;
        loop {
            let member = match self.rest.next() {
                None => return Err("a class is not closed".to_owned()),
                Some(']') if members > 0 => break,
                Some(']') => return Err("a class is empty".to_owned()),
                Some('\\') => self.escaped()?,
                Some(plain) => Err(plain),
            };
            members = members.saturating_add(1);
            match member {
                Ok(class) => self.written.push_str(class),
                Err(first) => self.range(first)?,
            }
        }
        self.written.push(']');
        Ok(())
    }

    /// A character, or a range from it.
    fn range(&mut self, first: char) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || ahead.next().is_none_or(|next| next == ']') {
            self.plain(first);
            return Ok(());
        }
        self.rest.next();
        let last = match self.rest.next() {
            Some('\\') => self.escaped()?.map_or_else(Some, |_| None),
            plain => plain,
        };
        match last.filter(|last| first <= *last) {
            Some(last) => {
                self.plain(first);
                self.written.push('-');
                self.plain(last);
                Ok(())
            }
            None => Err("a range of a class runs backwards".to_owned()),
        }
    }

    /// How often what stands before stands in the engine's program.
    fn repetition(&mut self) -> Result<u32, String> {
        let Some(sign) = self.rest.next_if(|next| ['*', '+', '?', '{'].contains(next)) else { return Ok(1) };
        self.written.push(sign);
        let times = if sign == '{' { self.count()? } else { 1 };
        if self.rest.next_if_eq(&'?').is_some() {
            self.written.push('?');
        }
        match self.rest.peek() {
            Some('*' | '+' | '?' | '{') => Err("a repetition of a repetition is not part of the language".to_owned()),
            _ => Ok(times),
        }
    }

    /// `m}`, `m,}` or `m,n}`: the largest number, at least 1.
    fn count(&mut self) -> Result<u32, String> {
        let least = self.number()?.ok_or("a repetition needs a number")?;
        let mut largest = least;
        if self.rest.next_if_eq(&',').is_some() {
            self.written.push(',');
            largest = self.number()?.unwrap_or(least);
            if largest < least {
                return Err("a repetition runs backwards".to_owned());
            }
        }
        if self.rest.next() != Some('}') {
            return Err("a repetition is not closed".to_owned());
        }
        self.written.push('}');
        Ok(largest.max(1))
    }

    fn number(&mut self) -> Result<Option<u32>, String> {
        let mut number = None;
        while let Some(digit) = self.rest.peek().and_then(|next| next.to_digit(10)) {
            self.rest.next();
            let value = number.unwrap_or(0_u32).saturating_mul(10).saturating_add(digit);
            if value > MAX_COUNT {
                return Err(format!("a repetition of more than {MAX_COUNT}"));
            }
            number = Some(value);
        }
        if let Some(number) = number {
            let _ = write!(self.written, "{number}");
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Patterns::default().read(pattern).expect(pattern).matches(text)
    }

    #[test]
    fn whole_text_matches_whatever_its_case() {
        for (pattern, text, expected) in [
            ("app", "APP", true),
            ("app", "apps", false),
            ("a|b", "ab", false),
            (r"(App|Stream)_\w{4}-\w{4}", "app_ab12-cd34", true),
            (r"\d+\.\d*", "1.", true),
            (".", "\n", false),
            ("a{2,3}?", "aaa", true),
            ("[a-c]x", "Bx", true),
            ("[^a-c]", "b", false),
            ("[-a]", "-", true),
            ("[&&~~[:alpha:]", "[", true),
            ("[--/]", ".", true),
            ("[&&a]", "&", true),
            ("a#b c", "a#b c", true),
            ("é", "É", true),
            (r"\\", "\\", true),
            ("", "", true),
            ("(a|)", "", true),
            ("^a$", "a", true),
            ("]}", "]}", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_the_language_lacks_is_refused() {
        for pattern in [
            "(?i)a", "(?=a)", "(?:a)", r"(a)\1", r"\bA", r"\A", r"\Z", "a*+", "a++", "a?+", "a{2}+", "a**", "*a",
            "a|*", "(*a)", "(a", "a)", "[a", "[]", "[b-a]", r"[a-\d]", "a{", "a{,2}", "a{3,2}", "a{2", "a{1001}",
            r"\pL", r"\x41", "a\\", "^*",
        ] {
            assert!(Patterns::default().read(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn cost_is_of_every_repetition_in_every_byte() {
        for (pattern, places) in [
            ("", 0),
            ("abc", 3),
            (".*a.{1000}", 1002),
            (r"([a-z]\d){3,5}", 10),
            ("(a{2}b){3}", 9),
            ("a{0}b{4,}", 5),
            ("a+|b?", 3),
            (".*(|){1000}", 1001),
            ("^$", 2),
        ] {
            let read = Patterns::default().read(pattern).expect(pattern);
            assert_eq!(read.cost(&"x".repeat(STEP_PLACES)), places, "{pattern}");
        }
    }

    #[test]
    fn patterns_are_bounded() {
        let id = r"(\w{8}-\w{4}-\w{4}-\w{4}-\w{12}_?){2}";
        assert!(Patterns::default().read(id).is_ok());
        for pattern in ["(((a{1000}){1000}){1000})", &"(".repeat(40), &"a".repeat(2049)] {
            assert!(Patterns::default().read(pattern).is_err());
        }
        let mut patterns = Patterns::default();
        assert!((0..MAX_PATTERNS).all(|n| patterns.read(&n.to_string()).is_ok()));
        assert!(patterns.read("one more").is_err());
        assert!(patterns.read("0").is_ok());
    }
}
