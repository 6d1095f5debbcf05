//! How access tables and data are read. Every default is the strictest.

/// Rows whose reduction cell is NULL: chosen in [`Options`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a row is hidden or shown, there is no third")]
pub enum NullRows {
    /// Nobody sees them.
    Hide,
    /// Every admitted user sees them, if their other fields agree.
    Show,
}

/// Rows whose reduction cell is empty: chosen in [`Options`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a row is hidden or shown, there is no third")]
pub enum EmptyRows {
    /// Nobody sees them.
    Hide,
    /// Every admitted user sees them, if their other fields agree.
    Show,
}

/// How cells of data are compared with the values of the access tables, which are upper case: chosen in [`Options`].
///
/// ```
/// use qsec_authz::section::{DataCase, Identity, Options, SectionAccess, Table};
///
/// let data = Table::parse_csv("REGION,V\nNorth,1\nNORTH,2\n")?;
/// let rows = |case| -> Result<usize, Box<dyn std::error::Error>> {
///     let options = Options::new().data_case(case);
///     let access = SectionAccess::parse_with(["ACCESS,USERID,REGION\nUSER,ANA,North\n"], options)?;
///     Ok(access.check_columns(data.columns())?.reduction(Identity::user("ana"))?.apply(&data)?.rows())
/// };
/// assert_eq!((rows(DataCase::Exact)?, rows(DataCase::Upper)?), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "data is compared as it is or in upper case")]
pub enum DataCase {
    /// As they are: only upper-case data can match.
    Exact,
    /// In upper case: `north` and `NORTH` are one value.
    Upper,
}

/// What happens to a user of whom some field has no value in the data: chosen in [`Options`].
///
/// ```
/// use qsec_authz::section::{Exclusion, Identity, Options, SectionAccess, Table};
///
/// let data = Table::parse_csv("REGION,V\nNORTH,1\n")?;
/// let options = Options::new().exclusion(Exclusion::NoRows);
/// let access = SectionAccess::parse_with(["ACCESS,USERID,REGION\nUSER,ERICA,EAST\n"], options)?;
/// let reduction = access.check_columns(data.columns())?.reduction(Identity::user("erica"))?;
/// assert_eq!(reduction.apply(&data)?.to_csv(), "REGION,V\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a user is refused or sees what remains")]
pub enum Exclusion {
    /// The user is refused.
    Strict,
    /// The user gets the header and the rows that remain: none if a field has no value at all.
    NoRows,
}

/// How access tables and data are read.
///
/// ```
/// use qsec_authz::section::{EmptyRows, Identity, Options, SectionAccess, Table};
///
/// let options = Options::new().null_text("\\N").empty_rows(EmptyRows::Show);
/// let access = SectionAccess::parse_with(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"], options)?;
/// let data = Table::parse_csv("REGION,V\nNORTH,1\n,2\n\\N,3\n")?;
///
/// let reduction = access.check_columns(data.columns())?.reduction(Identity::user("ana"))?;
/// assert_eq!(reduction.apply(&data)?.to_csv(), "REGION,V\nNORTH,1\n,2\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    pub(super) null_text: Option<Box<str>>,
    pub(super) null_rows: NullRows,
    pub(super) empty_rows: EmptyRows,
    pub(super) data_case: DataCase,
    pub(super) exclusion: Exclusion,
}

impl Options {
    /// The strictest: no text is NULL, NULL and empty cells hide their row, data is compared as it is, exclusion is strict.
    #[expect(clippy::new_without_default, reason = "what decides who sees what is written out, never defaulted")]
    pub fn new() -> Self {
        Self {
            null_text: None,
            null_rows: NullRows::Hide,
            empty_rows: EmptyRows::Hide,
            data_case: DataCase::Exact,
            exclusion: Exclusion::Strict,
        }
    }

    /// A cell that is exactly `text` is NULL in data, and blank in access tables.
    #[must_use]
    pub fn null_text(self, text: impl Into<String>) -> Self {
        Self { null_text: Some(text.into().into_boxed_str()), ..self }
    }

    /// Hides or shows rows whose reduction cell is NULL.
    #[must_use]
    pub fn null_rows(self, null_rows: NullRows) -> Self {
        Self { null_rows, ..self }
    }

    /// Hides or shows rows whose reduction cell is empty.
    #[must_use]
    pub fn empty_rows(self, empty_rows: EmptyRows) -> Self {
        Self { empty_rows, ..self }
    }

    /// Compares data as it is, or in upper case.
    #[must_use]
    pub fn data_case(self, data_case: DataCase) -> Self {
        Self { data_case, ..self }
    }

    /// Refuses a user without values in the data, or gives them no rows.
    #[must_use]
    pub fn exclusion(self, exclusion: Exclusion) -> Self {
        Self { exclusion, ..self }
    }
}
