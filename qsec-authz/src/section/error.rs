//! What can go wrong, and who is refused.

use std::io;

use thiserror::Error;

use super::csv::CsvError;

/// Why access tables are not usable, as such or for these columns of data. Nothing is activated by tables that are in error.
///
/// `table` counts the access tables from 1, in the order given; `line` counts lines of that table's text from 1.
///
/// ```
/// use qsec_authz::section::{AccessError, SectionAccess};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGON\nUSER,ANA,NORTH\n"])?;
/// let error = access.check_columns(["REGION", "SALES"]).unwrap_err();
/// assert_eq!(error.code(), "unknown_reduction_field");
/// assert_eq!(error.hint().as_deref(), Some("did you mean `REGION`?"));
/// # Ok::<(), AccessError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A table is not CSV.
    #[error("access table {table}: {problem}")]
    BadCsv {
        /// The access table, from 1.
        table: usize,
        /// What is wrong with it, and where.
        problem: CsvError,
    },
    /// Two columns of an access table, or of the data, have the same name in upper case.
    #[error("{}: column `{column}` is there twice", of(*table))]
    DuplicateColumn {
        /// The access table, from 1; nothing for the data.
        table: Option<usize>,
        /// The name in upper case.
        column: String,
    },
    /// A column of an access table has no name.
    #[error("access table {table}: column number {position} has no name")]
    UnnamedColumn {
        /// The access table, from 1.
        table: usize,
        /// The column within the table, from 1.
        position: usize,
    },
    /// A legacy identity column: ignoring it would widen access.
    #[error("access table {table}: column `{column}` is not supported")]
    UnsupportedField {
        /// The access table, from 1.
        table: usize,
        /// The column.
        column: String,
    },
    /// No table has `ACCESS`, or a table with this column lacks it.
    #[error("{}", no_access(*table, column.as_deref()))]
    NoAccessColumn {
        /// The access table, from 1; nothing if no table has `ACCESS`.
        table: Option<usize>,
        /// The column that needs `ACCESS` beside it.
        column: Option<String>,
    },
    /// A table has `ACCESS` but does not say for whom.
    #[error("access table {table}: no identity column")]
    NoIdentityColumn {
        /// The access table, from 1.
        table: usize,
    },
    /// A cell of `ACCESS` is neither `USER` nor `ADMIN`.
    #[error("access table {table}, line {line}: `{value}` is not an access level")]
    BadAccessValue {
        /// The access table, from 1.
        table: usize,
        /// The line of its text, from 1.
        line: u64,
        /// The cell, in upper case.
        value: String,
    },
    /// An `OMIT` names no column of the data, so it would hide nothing.
    #[error("access table {table}, line {line}: OMIT `{pattern}` matches no column of the data")]
    UnknownOmitField {
        /// The access table, from 1.
        table: usize,
        /// The line of its text, from 1.
        line: u64,
        /// The cell, in upper case.
        pattern: String,
        /// The most similar column.
        similar: Option<String>,
    },
    /// A mapping table shares no column with the tables before it.
    #[error("access table {table}: no column in common with the tables before it")]
    UnlinkedTable {
        /// The access table, from 1.
        table: usize,
    },
    /// A column is neither in the data nor a key of a mapping table, so it would reduce nothing.
    #[error("access table {table}: column `{column}` is not in the data and links no tables")]
    UnknownReductionField {
        /// The access table, from 1: the first that has the column.
        table: usize,
        /// The column.
        column: String,
        /// The most similar column of the data.
        similar: Option<String>,
    },
    /// The tables, or the columns of the data, pass a budget.
    #[error("more than {limit} {unit}")]
    TooLarge {
        /// The bound that was passed.
        limit: usize,
        /// What it counts.
        unit: &'static str,
    },
}

fn of(table: Option<usize>) -> String {
    table.map_or_else(|| "data".to_owned(), |table| format!("access table {table}"))
}

fn no_access(table: Option<usize>, column: Option<&str>) -> String {
    match (table, column) {
        (Some(table), Some(column)) => format!("access table {table}: column `{column}` without a column `ACCESS`"),
        _ => "no access table has a column `ACCESS`".to_owned(),
    }
}

impl AccessError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadCsv { problem, .. } => problem.code(),
            Self::DuplicateColumn { .. } | Self::UnnamedColumn { .. } => "duplicate_column",
            Self::UnsupportedField { .. } => "unsupported_field",
            Self::NoAccessColumn { .. } => "no_access_column",
            Self::NoIdentityColumn { .. } => "no_identity_column",
            Self::BadAccessValue { .. } => "bad_access_value",
            Self::UnknownOmitField { .. } => "unknown_omit_field",
            Self::UnlinkedTable { .. } => "unlinked_table",
            Self::UnknownReductionField { .. } => "unknown_reduction_field",
            Self::TooLarge { .. } => "too_large",
        }
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::BadCsv { .. } | Self::DuplicateColumn { .. } | Self::TooLarge { .. } => return None,
            Self::UnnamedColumn { .. } => "name the column, or remove it".to_owned(),
            Self::UnsupportedField { .. } => {
                "name users by `USERID`, `USER.EMAIL`, `USER.NAME`, `NTNAME` or `GROUP`".to_owned()
            }
            Self::NoAccessColumn { .. } => "add a column `ACCESS` with `USER` or `ADMIN` in every row".to_owned(),
            Self::NoIdentityColumn { .. } => {
                "add `USERID`, `USER.EMAIL`, `USER.NAME`, `NTNAME` or `GROUP`; `*` in it means every user".to_owned()
            }
            Self::BadAccessValue { .. } => "write `USER` or `ADMIN`".to_owned(),
            Self::UnlinkedTable { .. } => "give it a key column that an earlier table has too".to_owned(),
            Self::UnknownOmitField { pattern, similar, .. } => match similar {
                Some(similar) => format!("did you mean `{similar}`?"),
                None if pattern.contains(',') => "write one column a row".to_owned(),
                None => return None,
            },
            Self::UnknownReductionField { similar, .. } => format!("did you mean `{}`?", similar.as_ref()?),
        };
        Some(hint)
    }

    /// Where the error is, as `(line, column)` of the text of its table, where that is known.
    pub fn position(&self) -> Option<(u64, Option<u64>)> {
        match self {
            Self::BadCsv { problem, .. } => problem.position(),
            Self::BadAccessValue { line, .. } | Self::UnknownOmitField { line, .. } => Some((*line, None)),
            Self::DuplicateColumn { .. }
            | Self::UnnamedColumn { .. }
            | Self::UnsupportedField { .. }
            | Self::NoAccessColumn { .. }
            | Self::NoIdentityColumn { .. }
            | Self::UnlinkedTable { .. }
            | Self::UnknownReductionField { .. }
            | Self::TooLarge { .. } => None,
        }
    }
}

/// A user is refused: an answer, not an error. They get no header either.
///
/// Its text is for the user and names no column; [`Refusal::cause`] is for the record.
///
/// ```
/// use qsec_authz::section::{Cause, Identity, SectionAccess, Table};
///
/// let data = Table::parse_csv("REGION\nSOUTH\n")?;
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?.check_columns(data.columns())?;
/// let error = access.reduction(Identity::user("ana"))?.apply(&data).unwrap_err();
/// let refusal = error.refusal().unwrap();
/// assert_eq!((refusal.code(), refusal.to_string().as_str()), ("excluded", "user is excluded"));
/// assert_eq!(refusal.cause(), Some(&Cause::NotInData("REGION".to_owned())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No row of the access tables is for this user.
    #[error("user is not listed")]
    NotListed,
    /// The user is listed, but there is nothing for them in the data.
    #[error("user is excluded")]
    Excluded(Cause),
}

impl Refusal {
    /// The stable name of the refusal: `not_listed` or `excluded`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotListed => "not_listed",
            Self::Excluded(_) => "excluded",
        }
    }

    /// Why the user is excluded: for whoever runs the system, not for the user.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::NotListed => None,
            Self::Excluded(cause) => Some(cause),
        }
    }
}

/// Why a listed user is excluded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Cause {
    /// The access tables give the user no value for this column.
    #[error("no value for column `{0}`")]
    NoValue(String),
    /// No cell of this column is among the user's values.
    #[error("no cell of column `{0}` is among the values")]
    NotInData(String),
    /// Every column of the data is omitted.
    #[error("every column is omitted")]
    AllOmitted,
}

/// Why data was not reduced: the user is refused, or the input is in error.
///
/// ```
/// use qsec_authz::section::{Identity, Refusal, SectionAccess};
///
/// let access = SectionAccess::parse(["ACCESS,USERID\nUSER,ANA\n"])?.check_columns(["SALES"])?;
/// let error = access.reduction(Identity::user("zoe")).unwrap_err();
/// assert_eq!(error.refusal(), Some(&Refusal::NotListed));
/// assert_eq!(access.reduction(Identity::new()).unwrap_err().code(), "no_user");
/// # Ok::<(), qsec_authz::section::AccessError>(())
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReduceError {
    /// The identity has no value: the caller has not authenticated anybody.
    #[error("no identity given")]
    NoUser,
    /// The user is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The access tables are in error.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The data is not CSV.
    #[error("data: {0}")]
    BadData(CsvError),
    /// The data's columns are not those that the access tables were checked against.
    #[error("column `{column}` {problem}: check the columns again")]
    SchemaChanged {
        /// The column.
        column: String,
        /// What is the matter with it.
        problem: &'static str,
    },
    /// A reduction column does not hold texts.
    #[error("column `{column}` of type {data_type} does not hold texts")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// Joining the mapping tables to this user's rows passes the budget.
    #[error("more than {limit} {unit} for one user")]
    TooLarge {
        /// The bound that was passed.
        limit: usize,
        /// What it counts.
        unit: &'static str,
    },
    /// Reading or writing failed: what was written so far is not the whole answer.
    #[error("data cannot be read or written")]
    Unavailable(#[source] io::Error),
    /// A fault of this crate: nothing is shown.
    #[error("internal: {0}")]
    Internal(String),
}

impl ReduceError {
    /// The stable name of the refusal or error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoUser => "no_user",
            Self::Refused(refusal) => refusal.code(),
            Self::Access(error) => error.code(),
            Self::BadData(error) => error.code(),
            Self::SchemaChanged { .. } => "schema_changed",
            Self::UnsupportedType { .. } => "unsupported_type",
            Self::TooLarge { .. } => "too_large",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// The refusal, if the user is refused; nothing for an error.
    pub fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused(refusal) = self { Some(refusal) } else { None }
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> Option<String> {
        if let Self::Access(error) = self { error.hint() } else { None }
    }
}

impl From<CsvError> for ReduceError {
    fn from(error: CsvError) -> Self {
        Self::BadData(error)
    }
}

/// The candidate that a person most likely meant by `name`: at most two letters away, and at most a third of them.
pub(super) fn similar<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const MAX_LETTERS: usize = 64;
    let allowed = (name.chars().count() / 3).min(2);
    let fits = |text: &str| text.chars().take(MAX_LETTERS + 1).count() <= MAX_LETTERS;
    if allowed == 0 || !fits(name) {
        return None;
    }
    let scored = candidates.into_iter().filter(|candidate| fits(candidate));
    let best = scored.map(|candidate| (distance(name, candidate), candidate)).min()?;
    (best.0 <= allowed).then(|| best.1.to_owned())
}

/// Letters to insert, delete or replace between two texts (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(to.chars()) {
            let cost = (diagonal + usize::from(left != right)).min(before + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, cost);
            before = cost;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("", "ABC"), 3);
        assert_eq!(distance("ABC", ""), 3);
        assert_eq!(distance("REGON", "REGION"), 1);
        assert_eq!(distance("SALARY", "SALES"), 3);
        assert_eq!(distance("KITTEN", "SITTING"), 3);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        assert_eq!(similar("REGON", ["SALES", "REGION"]), Some("REGION".to_owned()));
        assert_eq!(similar("SALARY", ["SALES"]), None);
        assert_eq!(similar("AB", ["AC"]), None);
        assert_eq!(similar(&"A".repeat(65), [&*"A".repeat(64)]), None);
    }

    #[test]
    fn the_public_text_of_a_refusal_names_no_column() {
        let refusal = Refusal::Excluded(Cause::NotInData("SALARY".to_owned()));
        assert_eq!(refusal.to_string(), "user is excluded");
        assert_eq!(refusal.cause().unwrap().to_string(), "no cell of column `SALARY` is among the values");
    }
}
