//! The distinct texts of access tables: each is stored once, cells are numbers.

use std::collections::HashMap;
use std::sync::Arc;

/// Strips blanks and tabs at both ends, and maps to upper case by the full Unicode mapping (`ß` becomes `SS`).
pub(super) fn normalise(text: &str) -> String {
    text.trim_matches([' ', '\t']).to_uppercase()
}

/// The number of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TextId(u32);

impl TextId {
    /// The blank cell.
    pub(super) const BLANK: Self = Self(0);
    /// The cell `*`.
    pub(super) const STAR: Self = Self(1);

    pub(super) fn is_value(self) -> bool {
        self > Self::STAR
    }
}

/// Texts by number, and numbers by text.
#[derive(Debug)]
pub(super) struct Texts {
    ids: HashMap<Arc<str>, TextId>,
    list: Vec<Arc<str>>,
}

impl Texts {
    pub(super) fn new() -> Self {
        let list: Vec<Arc<str>> = vec!["".into(), "*".into()];
        let ids = list.iter().cloned().zip([TextId::BLANK, TextId::STAR]).collect();
        Self { ids, list }
    }

    /// The number of `text`, a new one if needed; nothing once there are 2^32 texts, which the budget of cells does not allow.
    pub(super) fn intern(&mut self, text: &str) -> Option<TextId> {
        if let Some(&id) = self.ids.get(text) {
            return Some(id);
        }
        let id = TextId(u32::try_from(self.list.len()).ok()?);
        let text: Arc<str> = text.into();
        self.list.push(Arc::clone(&text));
        self.ids.insert(text, id);
        Some(id)
    }

    pub(super) fn find(&self, text: &str) -> Option<TextId> {
        self.ids.get(text).copied()
    }

    pub(super) fn get(&self, id: TextId) -> Option<&Arc<str>> {
        self.list.get(usize::try_from(id.0).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_strips_blanks_and_tabs_only_and_maps_to_full_upper_case() {
        assert_eq!(normalise(" \tStraße\t "), "STRASSE");
        assert_eq!(normalise("\u{a0}a\u{a0}"), "\u{a0}A\u{a0}");
        assert_eq!(normalise(" a b "), "A B");
        assert_eq!(normalise("\r\nx"), "\r\nX");
    }

    #[test]
    fn a_text_keeps_its_number() {
        let mut texts = Texts::new();
        let north = texts.intern("NORTH").unwrap();
        assert_eq!(texts.intern("NORTH"), Some(north));
        assert_eq!(texts.find("NORTH"), Some(north));
        assert_eq!(texts.get(north).map(AsRef::as_ref), Some("NORTH"));
        assert_eq!(texts.intern(""), Some(TextId::BLANK));
        assert_eq!(texts.intern("*"), Some(TextId::STAR));
        assert!(!TextId::STAR.is_value() && !TextId::BLANK.is_value() && north.is_value());
    }
}
