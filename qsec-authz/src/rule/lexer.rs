//! The words of a condition, one at a time.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt::Write;

use super::Malformed;

/// A word. Keywords are names: behind a dot they are attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    Open,
    Close,
    OpenSet,
    CloseSet,
    Comma,
    Dot,
    At,
    Not,
    And,
    Or,
    Equal,
    StrictEqual,
    Unequal,
    StrictUnequal,
    Name(&'t str),
    Text(String),
    End,
}

impl Token<'_> {
    /// As a message names it.
    pub(super) fn words(&self) -> String {
        let sign = match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::OpenSet => "{",
            Self::CloseSet => "}",
            Self::Comma => ",",
            Self::Dot => ".",
            Self::At => "@",
            Self::Not => "!",
            Self::And => "&&",
            Self::Or => "||",
            Self::Equal => "=",
            Self::StrictEqual => "==",
            Self::Unequal => "!=",
            Self::StrictUnequal => "!==",
            Self::Name(name) => name,
            Self::Text(_) => return "a text".to_owned(),
            Self::End => return "the end".to_owned(),
        };
        format!("`{sign}`")
    }
}

/// Signs, longest first.
const SIGNS: [(&str, Token<'static>); 14] = [
    ("!==", Token::StrictUnequal),
    ("!=", Token::Unequal),
    ("==", Token::StrictEqual),
    ("&&", Token::And),
    ("||", Token::Or),
    ("=", Token::Equal),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
    ("{", Token::OpenSet),
    ("}", Token::CloseSet),
    (",", Token::Comma),
    (".", Token::Dot),
    ("@", Token::At),
];

/// Reads words from the front of a text.
#[derive(Debug)]
pub(crate) struct Lexer<'t> {
    whole: &'t str,
    rest: &'t str,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { whole: text, rest: text }
    }

    fn offset(&self) -> usize {
        self.whole.len().saturating_sub(self.rest.len())
    }

    /// The next word and where it begins, in bytes. Behind the last one there is only [`Token::End`].
    pub(crate) fn next(&mut self) -> Result<(Token<'t>, usize), Malformed> {
        self.rest = self.rest.trim_start();
        let at = self.offset();
        let Some(first) = self.rest.chars().next() else { return Ok((Token::End, at)) };
        if first == '"' {
            return Ok((Token::Text(self.text(at)?), at));
        }
        if first == '_' || first.is_alphabetic() {
            let end = self.rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
            self.rest = rest;
            return Ok((Token::Name(name), at));
        }
        for (sign, token) in SIGNS {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                return Ok((token, at));
            }
        }
        let message = format!("`{}` means nothing here", first.escape_debug());
        Err(Malformed::new(at, message).maybe_hint(hint(first)))
    }

    /// A text, from its opening quote. Only `\"` and `\\` are escapes.
    fn text(&mut self, at: usize) -> Result<String, Malformed> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((_, character)) = characters.next() {
            match (character, characters.peek()) {
                ('"', next) => {
                    let end = next.map_or(self.rest.len(), |(end, _)| *end);
                    self.rest = self.rest.get(end..).unwrap_or_default();
                    return Ok(text);
                }
                ('\n', _) => break,
                ('\\', Some((_, escaped @ ('"' | '\\')))) => {
                    text.push(*escaped);
                    characters.next();
                }
                _ => text.push(character),
            }
        }
        Err(Malformed::new(at, "the text that begins here is not closed".to_owned()))
    }
}

/// The words of a condition that was read, in one form: blanks and the case of names mean nothing.
pub(crate) fn normal(text: &str) -> String {
    let (mut lexer, mut all) = (Lexer::new(text), String::new());
    while let Ok((token, _)) = lexer.next() {
        if token == Token::End {
            break;
        }
        if let Token::Name(name) = token {
            all += &name.to_lowercase();
        } else {
            // Writing to a text does not fail.
            let _ = write!(all, "{token:?}");
        }
        all.push(' ');
    }
    all
}

fn hint(character: char) -> Option<String> {
    match character {
        '\'' | '‘' | '’' | '“' | '”' => Some("write texts in straight double quotes: \"…\"".to_owned()),
        '0'..='9' => Some("write numbers as texts: \"1\"".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<(Token<'_>, usize)>, usize> {
        let (mut lexer, mut all) = (Lexer::new(text), Vec::new());
        loop {
            match lexer.next() {
                Ok((Token::End, at)) => {
                    assert_eq!(at, text.len());
                    return Ok(all);
                }
                Ok(word) => all.push(word),
                Err(malformed) => return Err(malformed.at),
            }
        }
    }

    #[test]
    fn longest_sign_wins() {
        let signs: Vec<_> = words("!==!=!===&&||").unwrap().into_iter().map(|(token, _)| token).collect();
        let expected =
            [Token::StrictUnequal, Token::Unequal, Token::StrictUnequal, Token::Equal, Token::And, Token::Or];
        assert_eq!(signs, expected);
    }

    #[test]
    fn only_quotes_and_backslashes_are_escaped() {
        assert_eq!(words(r#""a\"b""#), Ok(vec![(Token::Text("a\"b".into()), 0)]));
        assert_eq!(words(r#""\\w""#), words(r#""\w""#));
        assert_eq!(words(r#" "\n""#), Ok(vec![(Token::Text("\\n".into()), 1)]));
        assert_eq!(words(r#""\\" x"#), Ok(vec![(Token::Text("\\".into()), 0), (Token::Name("x"), 5)]));
    }

    #[test]
    fn strangers_are_found_where_they_stand() {
        for (text, at) in [
            ("~", 0),
            ("a ~", 2),
            ("é 1", 3),
            ("'x'", 0),
            ("a \"b", 2),
            ("\"a\nb\"", 0),
            ("\"a\\\"", 0),
            ("a & b", 2),
            ("“x”", 0),
        ] {
            assert_eq!(words(text), Err(at), "{text}");
        }
    }

    #[test]
    fn names_have_letters_of_any_script() {
        assert_eq!(words("Größe_2 名前").unwrap(), [(Token::Name("Größe_2"), 0), (Token::Name("名前"), 10)]);
        assert_eq!(normal("User . Größe=\"É\"\n"), normal("user.größe = \"É\""));
        assert_ne!(normal("a and b"), normal("a && b"));
        assert_ne!(normal("\"A\""), normal("\"a\""));
    }
}
