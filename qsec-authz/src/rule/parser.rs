//! From the text of a condition to a tree.

#![deny(clippy::arithmetic_side_effects)]

use super::Malformed;
use super::Reading;
use super::action_named;
use super::glob::Glob;
use super::lexer::{Lexer, Token};
use super::syntax::{Expression, Operand, Operator, Path, Root, Segment};
use crate::flaw::guess;

/// Longest condition, in bytes: a set of some 5,000 ids; rules of real installations stay below 4 KiB.
pub const MAX_CONDITION_BYTES: usize = 256 * 1024;
/// Deepest nesting of parentheses and nots: given by the language.
const MAX_NESTING: u32 = 64;
/// Most comparisons, calls and texts in one condition: a set of 10,000 ids, and as much again.
const MAX_PARTS: u32 = 20_000;
/// The same in all conditions of a tenant: 20 for each of 100,000 rules.
const MAX_ALL_PARTS: u32 = 2_000_000;
/// Most steps to compare texts of conditions with patterns, in a tenant: they are compared when it is compiled. Real rules have none.
const MAX_LITERAL_STEPS: usize = 100_000;
/// Most segments of a path. Real rules have three (`resource.app.stream.name`).
const MAX_SEGMENTS: usize = 32;

const FUNCTIONS: [&str; 4] = ["HasPrivilege", "IsAnonymous", "IsOwned", "Empty"];
const KEYWORDS: [&str; 7] = ["and", "or", "not", "like", "matches", "true", "false"];

const OPERATORS: [(Token<'static>, Operator); 4] = [
    (Token::Equal, Operator::Equal),
    (Token::StrictEqual, Operator::StrictEqual),
    (Token::Unequal, Operator::Unequal),
    (Token::StrictUnequal, Operator::StrictUnequal),
];

/// Reads a condition; the empty one is `None`.
pub(crate) fn condition(text: &str, reading: &mut Reading) -> Result<Option<Expression>, Malformed> {
    if text.len() > MAX_CONDITION_BYTES {
        return Err(Malformed::new(0, format!("the condition is longer than {MAX_CONDITION_BYTES} bytes")));
    }
    let mut parser = Parser { lexer: Lexer::new(text), token: Token::End, at: 0, nesting: 0, parts: 0, reading };
    parser.advance()?;
    if parser.token == Token::End {
        return Ok(None);
    }
    let expression = parser.any()?;
    if parser.token == Token::End { Ok(Some(expression)) } else { Err(parser.unexpected("`and`, `or` or the end")) }
}

/// A name, and where it stands.
type Name<'t> = (&'t str, usize);

struct Parser<'t, 'p> {
    reading: &'p mut Reading,
    lexer: Lexer<'t>,
    token: Token<'t>,
    at: usize,
    nesting: u32,
    parts: u32,
}

impl<'t> Parser<'t, '_> {
    /// The token here, after which the next one stands here.
    fn advance(&mut self) -> Result<Token<'t>, Malformed> {
        let (next, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn malformed(&self, message: impl Into<String>) -> Malformed {
        Malformed::new(self.at, message.into())
    }

    fn unexpected(&self, expected: &str) -> Malformed {
        self.malformed(format!("expected {expected}, found {}", self.token.words()))
    }

    fn expect(&mut self, token: &Token<'_>) -> Result<(), Malformed> {
        if self.token == *token {
            self.advance()?;
            return Ok(());
        }
        Err(self.unexpected(&token.words()))
    }

    /// Whether this keyword stands here.
    fn keyword(&self, word: &str) -> bool {
        matches!(self.token, Token::Name(name) if name.eq_ignore_ascii_case(word))
    }

    fn part(&mut self) -> Result<(), Malformed> {
        self.parts = self.parts.saturating_add(1);
        self.reading.parts = self.reading.parts.saturating_add(1);
        if self.parts > MAX_PARTS || self.reading.parts > MAX_ALL_PARTS {
            let message = format!("more than {MAX_PARTS} parts in a condition, or {MAX_ALL_PARTS} in a tenant");
            return Err(self.malformed(message));
        }
        Ok(())
    }

    fn any(&mut self) -> Result<Expression, Malformed> {
        let mut all = vec![self.all()?];
        while self.token == Token::Or || self.keyword("or") {
            self.advance()?;
            all.push(self.all()?);
        }
        Ok(joined(all, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, Malformed> {
        let mut all = vec![self.not()?];
        while self.token == Token::And || self.keyword("and") {
            self.advance()?;
            all.push(self.not()?);
        }
        Ok(joined(all, Expression::All))
    }

    fn not(&mut self) -> Result<Expression, Malformed> {
        if self.token == Token::Not || self.keyword("not") {
            self.nest()?;
            self.advance()?;
            let inner = self.not()?;
            self.nesting = self.nesting.saturating_sub(1);
            // Two nots are none: so a tree is no deeper than its parentheses.
            return Ok(if let Expression::Not(twice) = inner { *twice } else { Expression::Not(Box::new(inner)) });
        }
        self.primary()
    }

    fn nest(&mut self) -> Result<(), Malformed> {
        self.nesting = self.nesting.saturating_add(1);
        if self.nesting > MAX_NESTING {
            return Err(self.malformed(format!("nested more than {MAX_NESTING} deep")));
        }
        Ok(())
    }

    fn primary(&mut self) -> Result<Expression, Malformed> {
        self.part()?;
        if self.token == Token::Open {
            self.nest()?;
            self.advance()?;
            let inner = self.any()?;
            self.expect(&Token::Close)?;
            self.nesting = self.nesting.saturating_sub(1);
            return Ok(inner);
        }
        for (word, value) in [("true", true), ("false", false)] {
            if self.keyword(word) {
                self.advance()?;
                return Ok(Expression::Constant(value));
            }
        }
        let (left, last) = self.operand("a comparison")?;
        match (left, last) {
            (Operand::Path(path), Some(name)) if self.token == Token::Open => self.call(path, name),
            (left, _) => self.comparison(left),
        }
    }

    /// A text, a set or a path; of a path also its last segment, if it is a plain name.
    fn operand(&mut self, expected: &str) -> Result<(Operand, Option<Name<'t>>), Malformed> {
        if self.token == Token::OpenSet {
            return Ok((self.set()?, None));
        }
        let Token::Name(name) = self.token else {
            return Ok((Operand::Texts(vec![self.text(expected)?]), None));
        };
        let is = |word: &&str| name.eq_ignore_ascii_case(word);
        let root = if is(&"user") {
            Root::User
        } else if is(&"resource") {
            Root::Resource
        } else if KEYWORDS.iter().any(is) {
            return Err(self.unexpected(expected));
        } else {
            let near = guess(name, ["user", "resource"]);
            let hint = near.unwrap_or_else(|| "attributes are of the `user` or of the `resource`".to_owned());
            return Err(self.malformed(format!("unknown name `{name}`")).maybe_hint(Some(hint)));
        };
        let (path, last) = self.path(root)?;
        Ok((Operand::Path(path), last))
    }

    fn text(&mut self, expected: &str) -> Result<String, Malformed> {
        if !matches!(self.token, Token::Text(_)) {
            return Err(self.unexpected(expected));
        }
        Ok(if let Token::Text(text) = self.advance()? { text } else { String::new() })
    }

    fn set(&mut self) -> Result<Operand, Malformed> {
        self.advance()?;
        let mut texts = vec![self.text("a text")?];
        while self.token == Token::Comma {
            self.part()?;
            self.advance()?;
            texts.push(self.text("a text")?);
        }
        self.expect(&Token::CloseSet)?;
        Ok(Operand::Texts(texts))
    }

    fn path(&mut self, root: Root) -> Result<(Path, Option<Name<'t>>), Malformed> {
        self.advance()?;
        let mut path = Path { root, segments: Vec::new() };
        let mut last = None;
        while self.token == Token::Dot {
            if path.segments.len() >= MAX_SEGMENTS {
                return Err(self.malformed(format!("a path of more than {MAX_SEGMENTS} segments")));
            }
            self.advance()?;
            let custom = self.token == Token::At;
            if custom {
                self.advance()?;
            }
            let at = self.at;
            let Token::Name(name) = self.token else { return Err(self.unexpected("a name")) };
            self.advance()?;
            last = (!custom).then_some((name, at));
            let folded = name.to_lowercase();
            path.segments.push(if custom { Segment::Custom(folded) } else { Segment::Name(folded) });
        }
        Ok((path, last))
    }

    fn call(&mut self, mut path: Path, (name, at): Name<'t>) -> Result<Expression, Malformed> {
        path.segments.pop();
        let refused = |message: String| Err(Malformed::new(at, message));
        let Some(function) = FUNCTIONS.iter().copied().find(|known| known.eq_ignore_ascii_case(name)) else {
            let near = guess(name, FUNCTIONS);
            return Err(Malformed::new(at, format!("unknown function `{name}`")).maybe_hint(near));
        };
        let (fits, place) = match function {
            "IsAnonymous" => (path.root == Root::User && path.segments.is_empty(), "`user`"),
            "Empty" => (!path.segments.is_empty(), "an attribute"),
            _ => (path.is_resource(), "`resource` or what it links to"),
        };
        if !fits {
            return refused(format!("`{function}` is a function of {place}"));
        }
        self.advance()?;
        if function == "HasPrivilege" {
            let argument = self.at;
            let action = self.text("the name of an action")?;
            self.expect(&Token::Close)?;
            return match action_named(&action) {
                Ok(action) => Ok(Expression::HasPrivilege(path, action)),
                Err(malformed) => Err(Malformed { at: argument, ..malformed }),
            };
        }
        if self.token != Token::Close {
            return Err(self.malformed(format!("`{function}` takes no argument")));
        }
        self.advance()?;
        Ok(match function {
            "IsAnonymous" => Expression::IsAnonymous,
            "IsOwned" => Expression::IsOwned(path),
            _ => Expression::Empty(path),
        })
    }

    fn comparison(&mut self, left: Operand) -> Result<Expression, Malformed> {
        if self.keyword("like") {
            let (pattern, _) = self.pattern()?;
            return Ok(Expression::Like(left, Glob::folded(&pattern)));
        }
        if self.keyword("matches") {
            let (pattern, at) = self.pattern()?;
            let read = self.reading.patterns.read(&pattern).map_err(|message| Malformed::new(at, message))?;
            let texts = if let Operand::Texts(texts) = &left { texts.as_slice() } else { &[] };
            for text in texts {
                self.reading.steps = self.reading.steps.saturating_add(read.cost(text));
            }
            if self.reading.steps > MAX_LITERAL_STEPS {
                return Err(Malformed::new(at, "the texts are too long for the pattern".to_owned()));
            }
            return Ok(Expression::Matches(left, read));
        }
        let Some((_, operator)) = OPERATORS.iter().find(|(token, _)| self.token == *token) else {
            return Err(self.unexpected("a comparison"));
        };
        self.advance()?;
        let (right, _) = self.operand("a text, a set or an attribute")?;
        Ok(Expression::Compare(left, *operator, right))
    }

    /// The right side of `like` and `matches`, and where it stands.
    fn pattern(&mut self) -> Result<(String, usize), Malformed> {
        self.advance()?;
        let at = self.at;
        Ok((self.text("a pattern in quotes")?, at))
    }
}

fn joined(mut all: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            all.push(last);
            join(all)
        }
        (None, _) => join(all),
    }
}
