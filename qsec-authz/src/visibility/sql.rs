//! Predicates in SQL, with bound parameters only.

use super::columns::{Column, Columns, Place, PushError, Reach, Unsaid};
use super::expression::{Expression, Source, ValueTest};
use super::fold;
use crate::resource::is_type_name;
use crate::rule::glob::Glob;
use crate::rule::syntax::Operator;
use crate::section::{Dialect, SqlError};
use crate::snapshot::condition::Texts;

/// Longest pattern of `GLOB` and `LIKE` in SQLite, in bytes: `SQLITE_MAX_LIKE_PATTERN_LENGTH`.
const MAX_PATTERN_BYTES: usize = 50_000;

const REGULAR_EXPRESSION: &str = "databases have other regular expressions";
const LETTERS: &str = "databases know the lower case of ASCII only";
const NO_TYPE: &str = "a rule asks for type and id, and the table lacks one";
const TEXT: &str = "the database cannot hold the text";

/// A predicate in SQL: a condition with its parameters. Columns are compared as texts, byte by byte, whatever their collation is.
///
/// ```
/// use qsec_authz::section::Dialect;
/// use qsec_authz::visibility::{Column, Columns, Reach, Unsaid, Visibility};
/// use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
///
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{"spaces":{
///     "sales":{"type":"managed","members":{"user:ana":["consumer"]}}}}}}"#)?.compile()?;
/// let request = Request::new("acme", &Subject::user("ana"), Action::ExportData, ResourceRef::id("")).on_any("App");
/// let Visibility::If(predicate) = snapshot.visibility(&request) else { panic!("some") };
///
/// let columns = Columns::new(Unsaid::Refuse).constant(Column::Type, "App").absent(Column::App).absent(Column::Stream);
/// let columns = columns.column(Column::Owner, "owner").column(Column::Space, "space");
/// let sql = predicate.to_sql(Dialect::Sqlite, &columns).unwrap();
/// assert!(sql.predicate().starts_with("(CAST(`space` AS TEXT) COLLATE BINARY IN (?) OR ("));
/// assert_eq!((sql.parameters(), sql.reach()), (&["sales".to_owned(), "ana".to_owned()][..], Reach::Exact));
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct SqlFilter {
    predicate: String,
    parameters: Vec<String>,
    reach: Reach,
}

impl SqlFilter {
    /// The condition, in parentheses where it needs them.
    #[must_use]
    pub fn predicate(&self) -> &str {
        &self.predicate
    }

    /// The parameters, in the order of their places.
    #[must_use]
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// Which rows it gives.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    pub(super) fn new(expression: &Expression, dialect: Dialect, columns: &Columns) -> Result<Self, PushError> {
        if !matches!(dialect, Dialect::Postgres | Dialect::Sqlite) {
            return Err(PushError::UnsupportedDialect);
        }
        let mut writer = Writer { dialect, columns, parameters: Vec::new(), reach: Reach::Exact };
        let predicate = writer.write(expression, true)?;
        let (found, limit) = (writer.parameters.len(), dialect.max_parameters());
        if found > limit {
            return Err(PushError::TooManyParameters { found, limit });
        }
        Ok(Self { predicate, parameters: writer.parameters, reach: writer.reach })
    }
}

struct Writer<'w> {
    dialect: Dialect,
    columns: &'w Columns,
    parameters: Vec<String>,
    reach: Reach,
}

/// A column, said in SQL; or the value that every row has, if any.
enum Said {
    Text(String),
    Constant(Option<String>),
}

impl Writer<'_> {
    /// The expression, or (`wanted` being false) its negation. Each leaf is written so that NULL never makes it true.
    fn write(&mut self, expression: &Expression, wanted: bool) -> Result<String, PushError> {
        match expression {
            Expression::Always(value) => Ok(self.literal(*value == wanted)),
            Expression::Not(inner) => self.write(inner, !wanted),
            Expression::All(parts) => self.join(parts, if wanted { " AND " } else { " OR " }, wanted),
            Expression::Any(parts) => self.join(parts, if wanted { " OR " } else { " AND " }, wanted),
            Expression::Unknown(reason) => self.unsaid(PushError::Inexpressible { reason }),
            Expression::Present(source) => {
                self.leaf(source, wanted, &|_| true, |_, text, wanted| Ok(present(text, wanted)))
            }
            Expression::Member(source, ids) => {
                let held = |value: &str| ids.binary_search_by(|id| (**id).cmp(value)).is_ok();
                self.leaf(source, wanted, &held, |this, text, wanted| Ok(this.listed(text, text, ids, wanted)))
            }
            Expression::Test(source, test) => {
                self.leaf(source, wanted, &|value| test.of(value), |this, text, wanted| match test {
                    ValueTest::Texts(operator, texts) => this.compare(text, (*operator, texts), wanted),
                    ValueTest::Like(glob) => this.like(text, glob, (true, wanted)),
                    ValueTest::Glob(glob) => this.like(text, glob, (false, wanted)),
                    ValueTest::Matches(_) => this.unsaid(PushError::Inexpressible { reason: REGULAR_EXPRESSION }),
                })
            }
        }
    }

    fn literal(&self, value: bool) -> String {
        self.dialect.literal(value).to_owned()
    }

    /// Joined as a balanced tree: databases bound the depth of an expression.
    fn join(&mut self, parts: &[Expression], operator: &str, wanted: bool) -> Result<String, PushError> {
        match parts {
            [] => Ok(self.literal(operator == " AND ")),
            [only] => self.write(only, wanted),
            _ => {
                let (neutral, deciding) = (self.literal(operator == " AND "), self.literal(operator != " AND "));
                let (left, right) = parts.split_at(parts.len() / 2);
                let bound = self.parameters.len();
                let left = self.join(left, operator, wanted)?;
                let right = if left == deciding { deciding.clone() } else { self.join(right, operator, wanted)? };
                if left == deciding || right == deciding {
                    self.parameters.truncate(bound);
                    return Ok(deciding);
                }
                Ok(match (left == neutral, right == neutral) {
                    (true, _) => right,
                    (false, true) => left,
                    (false, false) => format!("({left}{operator}{right})"),
                })
            }
        }
    }

    /// What cannot be said: an error, nothing, or everything, as the caller decided.
    fn unsaid(&mut self, error: PushError) -> Result<String, PushError> {
        let value = match self.columns.unsaid() {
            Unsaid::Refuse => return Err(error),
            Unsaid::Hide => false,
            Unsaid::Show => true,
        };
        // Leaves are written with their negation inside, so that more of a leaf is more of the whole.
        self.reach = if value { Reach::Wider } else { Reach::Narrower };
        Ok(self.literal(value))
    }

    fn leaf(
        &mut self,
        source: &Source,
        wanted: bool,
        held: &dyn Fn(&str) -> bool,
        write: impl FnOnce(&mut Self, &str, bool) -> Result<String, PushError>,
    ) -> Result<String, PushError> {
        match self.said(source) {
            Ok(Said::Text(text)) => write(self, &text, wanted),
            Ok(Said::Constant(value)) => {
                let holds = value.is_some_and(|value| !value.is_empty() && held(&value));
                Ok(self.literal(holds == wanted))
            }
            Err(error @ (PushError::MissingColumn { .. } | PushError::Inexpressible { .. })) => self.unsaid(error),
            Err(error) => Err(error),
        }
    }

    fn said(&mut self, source: &Source) -> Result<Said, PushError> {
        let column = match source {
            Source::Column(column) => column,
            Source::Filter => return self.said_filter(),
        };
        match self.columns.place(column) {
            None => Err(PushError::MissingColumn { column: column.clone() }),
            Some(Place::Absent) => Ok(Said::Constant(None)),
            Some(Place::Constant(value)) => Ok(Said::Constant(Some(value.clone()))),
            Some(Place::Named(name)) => match self.dialect.identifier(name) {
                Ok(quoted) => Ok(Said::Text(self.dialect.text(&quoted))),
                Err(SqlError::BadIdentifier { name }) => Err(PushError::BadIdentifier { name }),
                Err(_) => Err(PushError::Inexpressible { reason: TEXT }),
            },
        }
    }

    /// `Type_id`, where an id that is not there is empty.
    fn said_filter(&mut self) -> Result<Said, PushError> {
        let type_name = match self.said(&Source::Column(Column::Type))? {
            Said::Text(text) => format!("COALESCE({text}, '')"),
            // A type name has no character that means anything inside quotes.
            Said::Constant(Some(name)) if is_type_name(&name) => format!("'{name}'"),
            Said::Constant(_) => return Err(PushError::Inexpressible { reason: NO_TYPE }),
        };
        let id = match self.said(&Source::Column(Column::Id))? {
            Said::Text(text) => format!("COALESCE({text}, '')"),
            Said::Constant(_) => return Err(PushError::Inexpressible { reason: NO_TYPE }),
        };
        let written = format!("({type_name} || '_' || {id})");
        Ok(Said::Text(self.dialect.text(&written)))
    }

    /// `text`, folded, is one of these.
    fn listed(&mut self, text: &str, folded: &str, ids: &[Box<str>], wanted: bool) -> String {
        let mut places = Vec::new();
        for id in ids {
            // PostgreSQL has no text with U+0000: it is nobody's id there, and binding it would fail.
            if id.is_empty() || (self.dialect == Dialect::Postgres && id.contains('\0')) {
                continue;
            }
            self.parameters.push(id.to_string());
            places.push(self.dialect.place(self.parameters.len()));
        }
        let places = places.join(", ");
        match (places.is_empty(), wanted) {
            (true, _) => self.literal(!wanted),
            (false, true) => format!("{folded} IN ({places})"),
            (false, false) => format!("({text} IS NULL OR {folded} NOT IN ({places}))"),
        }
    }

    fn compare(
        &mut self,
        text: &str,
        (operator, texts): (Operator, &Texts),
        wanted: bool,
    ) -> Result<String, PushError> {
        let strict = matches!(operator, Operator::StrictEqual | Operator::StrictUnequal);
        let list = if strict { texts.exact() } else { texts.folded() };
        if matches!(operator, Operator::Unequal | Operator::StrictUnequal) {
            return match list {
                [] => Ok(self.literal(!wanted)),
                // Whatever a value is, it differs from one of two.
                [_, _, ..] => Ok(present(text, wanted)),
                [_] => self.differs(text, list, strict, wanted),
            };
        }
        match self.folded(text, list, strict) {
            Some(folded) => Ok(self.listed(text, &folded, list, wanted)),
            None => self.unsaid(PushError::Inexpressible { reason: LETTERS }),
        }
    }

    fn differs(&mut self, text: &str, list: &[Box<str>], strict: bool, wanted: bool) -> Result<String, PushError> {
        let present = present(text, wanted);
        let Some(folded) = self.folded(text, list, strict) else {
            return self.unsaid(PushError::Inexpressible { reason: LETTERS });
        };
        let equal = self.listed(text, &folded, list, !wanted);
        Ok(if wanted { format!("({present} AND {equal})") } else { format!("({present} OR {equal})") })
    }

    /// The text in lower case, as far as these constants look.
    fn folded(&self, text: &str, constants: &[Box<str>], strict: bool) -> Option<String> {
        self.in_lower_case(text, constants.iter().map(|one| &**one), strict)
    }

    fn in_lower_case<'c>(&self, text: &str, constants: impl Iterator<Item = &'c str>, strict: bool) -> Option<String> {
        if strict {
            return Some(text.to_owned());
        }
        let name = if self.dialect == Dialect::Postgres { "chr" } else { "char" };
        let mut folded = text.to_owned();
        for (from, to) in fold::replaced(constants)? {
            let to: Vec<String> = to.chars().map(|one| format!("{name}({})", u32::from(one))).collect();
            folded = format!("replace({folded}, {name}({}), {})", u32::from(from), to.join(" || "));
        }
        Some(format!("lower({folded})"))
    }

    fn like(&mut self, text: &str, glob: &Glob, (fold, wanted): (bool, bool)) -> Result<String, PushError> {
        let Some(folded) = self.in_lower_case(text, glob.pieces(), !fold) else {
            return self.unsaid(PushError::Inexpressible { reason: LETTERS });
        };
        let pattern = glob.pieces().map(|piece| self.escaped(piece)).collect::<Vec<_>>();
        let pattern = pattern.join(if self.dialect == Dialect::Postgres { "%" } else { "*" });
        if pattern.len() > MAX_PATTERN_BYTES || pattern.contains('\0') {
            return self.unsaid(PushError::Inexpressible { reason: TEXT });
        }
        self.parameters.push(pattern);
        let place = self.dialect.place(self.parameters.len());
        let not = if wanted { "" } else { "NOT " };
        let matches = if self.dialect == Dialect::Postgres {
            format!("{folded} {not}LIKE {place} ESCAPE '!'")
        } else {
            // A pattern sees a text up to its first U+0000: what follows could be what it is hidden by.
            format!("(instr({text}, char(0)) = 0 AND {folded} {not}GLOB {place})")
        };
        let present = present(text, wanted);
        Ok(if wanted { format!("({present} AND {matches})") } else { format!("({present} OR {matches})") })
    }

    fn escaped(&self, piece: &str) -> String {
        let mut escaped = String::with_capacity(piece.len());
        for one in piece.chars() {
            match (self.dialect, one) {
                (Dialect::Postgres, '%' | '_' | '!') => escaped.extend(['!', one]),
                (Dialect::Sqlite, '*' | '?' | '[') => escaped.extend(['[', one, ']']),
                _ => escaped.push(one),
            }
        }
        escaped
    }
}

/// There is a value; or, if that is not wanted, there is none.
fn present(text: &str, wanted: bool) -> String {
    if wanted { format!("{text} <> ''") } else { format!("({text} IS NULL OR {text} = '')") }
}
