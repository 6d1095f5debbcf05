//! The resource filter of a rule: which resources it is about, by type and id.

#![deny(clippy::arithmetic_side_effects)]

use super::Malformed;
use super::glob::Glob;

/// Longest filter, in bytes: some 1,000 ids.
pub(super) const MAX_FILTER_BYTES: usize = 64 * 1024;

/// Most patterns with a star in one filter: each is tried on every resource, and on every pattern of other filters where filters are
/// compared. Real rules have five.
const MAX_STARS: usize = 256;

/// A filter: any of its patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Those with a star first, then those of one resource; each in the order of their texts.
    pub(crate) patterns: Vec<FilterPattern>,
    /// How many have a star.
    stars: usize,
}

/// A pattern. Resources are written `Type_id`; no type has an underscore, so the first one ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterPattern {
    /// The whole pattern, of a type alone with `_*` behind it.
    pub(crate) text: String,
    pub(crate) types: Types,
    /// Of ids if one type is meant, else of the whole.
    pub(crate) glob: Glob,
}

/// The types that a pattern can match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Types {
    Every,
    /// This one; the id matches what follows the underscore.
    One(String),
    /// Those that begin so.
    Beginning(String),
}

impl Filter {
    /// Reads a filter.
    pub(super) fn read(text: &str) -> Result<Self, Malformed> {
        if text.len() > MAX_FILTER_BYTES {
            return Err(Malformed::new(0, format!("the filter is longer than {MAX_FILTER_BYTES} bytes")));
        }
        let mut patterns =
            text.split(',').map(|pattern| FilterPattern::read(pattern.trim())).collect::<Result<Vec<_>, _>>()?;
        patterns.sort_unstable_by(|one, two| (one.names_one(), &one.text).cmp(&(two.names_one(), &two.text)));
        patterns.dedup();
        let stars = patterns.partition_point(|pattern| !pattern.names_one());
        if stars > MAX_STARS {
            return Err(Malformed::new(0, format!("the filter has more than {MAX_STARS} patterns with a star")));
        }
        Ok(Self { patterns, stars })
    }

    /// Whether a resource is meant; one that is new may have no id.
    pub(crate) fn matches(&self, type_name: &str, id: Option<&str>) -> bool {
        let (stars, ones) = self.patterns.split_at_checked(self.stars).unwrap_or((&self.patterns, &[]));
        let id = id.unwrap_or_default();
        let written = || type_name.bytes().chain([b'_']).chain(id.bytes());
        stars.iter().any(|pattern| pattern.matches(type_name, id))
            || ones.binary_search_by(|one| one.text.bytes().cmp(written())).is_ok()
    }

    /// The steps that this takes: those of one resource are found among all.
    pub(crate) fn steps(&self) -> usize {
        self.stars.max(1)
    }

    /// Whether all of one type, or all of every type, are meant, and nothing else.
    pub(crate) fn means_all(&self) -> bool {
        let [only] = &*self.patterns else { return false };
        match &only.types {
            Types::Every => true,
            Types::One(_) => only.glob == Glob::new("*"),
            Types::Beginning(_) => false,
        }
    }

    /// Whether each resource that the other means is meant.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let (stars, ones) = self.patterns.split_at_checked(self.stars).unwrap_or((&self.patterns, &[]));
        other.patterns.iter().all(|one| {
            stars.iter().any(|pattern| pattern.covers(one))
                || ones.binary_search_by(|own| own.text.cmp(&one.text)).is_ok()
        })
    }
}

impl FilterPattern {
    fn read(text: &str) -> Result<Self, Malformed> {
        if text == "*" {
            return Ok(Self { text: text.to_owned(), types: Types::Every, glob: Glob::new(text) });
        }
        let (head, id) = text.split_once('_').map_or((text, None), |(head, id)| (head, Some(id)));
        let (name, open) = head.strip_suffix('*').map_or((head, false), |name| (name, true));
        if !crate::resource::is_type_name(name) {
            let hint = "write `*`, `Type_*`, `Type_id` or `Type*`, separated by commas".to_owned();
            return Err(Malformed::new(0, format!("`{text}` is no filter")).maybe_hint(Some(hint)));
        }
        if open {
            let types = Types::Beginning(name.to_owned());
            return Ok(Self { text: text.to_owned(), types, glob: Glob::new(text) });
        }
        let ids = id.unwrap_or("*");
        Ok(Self { text: format!("{name}_{ids}"), types: Types::One(name.to_owned()), glob: Glob::new(ids) })
    }

    /// Whether it has no star.
    fn names_one(&self) -> bool {
        self.glob.literal().is_some()
    }

    fn covers(&self, other: &Self) -> bool {
        // The star of the other is a character that only a star of this one can stand for.
        Glob::new(&self.text).matches(&other.text)
    }

    fn matches(&self, type_name: &str, id: &str) -> bool {
        match &self.types {
            Types::Every => true,
            Types::One(name) => *name == type_name && self.glob.matches(id),
            Types::Beginning(name) => {
                let begins = type_name.starts_with(name.as_str());
                // `Type*` says nothing of the rest.
                begins
                    && (self.text.len() == name.len().saturating_add(1)
                        || self.glob.matches(&format!("{type_name}_{id}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, type_name: &str, id: Option<&str>) -> bool {
        Filter::read(filter).expect(filter).matches(type_name, id)
    }

    #[test]
    fn pattern_matches_the_whole_of_type_and_id() {
        for (filter, type_name, id, expected) in [
            ("*", "App", None, true),
            ("App_*", "App", Some("1"), true),
            ("App_*", "App", None, true),
            ("App_*", "App.Object", Some("1"), false),
            ("App*", "App.Object", Some("1"), true),
            ("App*", "Apple", Some("1"), true),
            ("App", "App", Some("1"), true),
            ("App", "App.Object", Some("1"), false),
            ("app_*", "App", Some("1"), false),
            ("App_1", "App", Some("1"), true),
            ("App_1", "App", Some("12"), false),
            ("App_", "App", None, true),
            ("App_", "App", Some("1"), false),
            ("App_a*c", "App", Some("abc"), true),
            ("App_a_*", "App", Some("a_b"), true),
            ("App*_x", "App.Object", Some("x"), true),
            ("App*_x", "App", Some("y_x"), true),
            ("App*_x", "App", Some("xx"), false),
            ("Stream_*, App_1 ", "App", Some("1"), true),
            ("App_é b", "App", Some("é b"), true),
        ] {
            assert_eq!(matches(filter, type_name, id), expected, "{filter} {type_name} {id:?}");
        }
    }

    #[test]
    fn each_of_many_patterns_counts() {
        let many: Vec<String> = (0..500).map(|n| format!("App_{n}")).collect();
        let filter = format!("{}, App_x*, Stream_,App_a_b", many.join(","));
        for n in 0..500 {
            assert!(matches(&filter, "App", Some(&n.to_string())) && !matches(&filter, "Stream", Some(&n.to_string())));
        }
        assert!(matches(&filter, "App", Some("xyz")) && matches(&filter, "App", Some("a_b")));
        assert!(matches(&filter, "Stream", None) && !matches(&filter, "App", None));
        assert!(!matches(&filter, "App", Some("500")) && !matches(&filter, "Ap", Some("p_1")));
        let steps = |text| Filter::read(text).unwrap().steps();
        assert_eq!((steps(&*filter), steps("App_1"), steps("App_*,App*_x,Stream_*,App_1")), (1, 1, 3));
    }

    #[test]
    fn patterns_with_a_star_are_bounded() {
        let filter = |count: usize| (0..count).map(|n| format!("App_{n}*")).collect::<Vec<_>>().join(",");
        assert!(Filter::read(&filter(MAX_STARS)).is_ok() && Filter::read(&filter(MAX_STARS + 1)).is_err());
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for filter in
            ["", " ", "App_*,", ",", "_x", "*_x", "**", "A*p_x", "1App", "App x", "Äpp_*", &"a".repeat(70_000)]
        {
            assert!(Filter::read(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn filter_covers_what_lies_inside_it() {
        for (outer, inner, expected) in [
            ("*", "App*", true),
            ("App*", "App.Object_*", true),
            ("App", "App_*", true),
            ("App_*", "App", true),
            ("App_*", "App*", false),
            ("App_a*", "App_a*b", true),
            ("App_a*b", "App_a*", false),
            ("App_*,Stream_*", "Stream_1,App_1", true),
            ("App_*", "App_1,Stream_1", false),
            ("App_1,App_2,App_3", "App_3,App_1", true),
            ("App_1,App_2", "App_1,App_4", false),
            ("App_1", "App_*", false),
        ] {
            let read = |text| Filter::read(text).unwrap();
            assert_eq!(read(outer).covers(&read(inner)), expected, "{outer} {inner}");
        }
    }
}
