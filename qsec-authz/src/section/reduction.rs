//! The reduction of one user: one value, from which every output is made.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::access::Version;
use super::error::{Cause, ReduceError, Refusal};
use super::options::{DataCase, EmptyRows, Exclusion, NullRows, Options};
use super::values::ValueSet;

/// What the matching rows say of the user.
///
/// ```
/// use qsec_authz::section::{Identity, Level, SectionAccess};
///
/// let access = SectionAccess::parse(["ACCESS,USERID\nADMIN,*\nUSER,ANA\n"])?.check_columns(["SALES"])?;
/// assert_eq!(access.reduction(Identity::user("boss"))?.level(), Level::Admin);
/// assert_eq!(access.reduction(Identity::user("ana"))?.level().as_str(), "USER");
/// # Ok::<(), qsec_authz::section::ReduceError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the two words of the column ACCESS")]
pub enum Level {
    /// At least one row says `USER`.
    User,
    /// Every row says `ADMIN`. It lifts the reduction of fields left blank, and nothing else.
    Admin,
}

impl Level {
    /// The word of the access table: `USER` or `ADMIN`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Admin => "ADMIN",
        }
    }
}

/// A column that reduces the rows.
///
/// A row is visible if, for each field, its cell is among [`Field::values`], or NULL or empty where those are shown.
/// Without any value nothing is visible, NULL and empty cells neither.
///
/// ```
/// use qsec_authz::section::{Identity, NullRows, SectionAccess};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?.check_columns(["Region"])?;
/// let reduction = access.reduction(Identity::user("ana"))?;
/// let field = &reduction.fields()[0];
/// assert_eq!((field.column(), field.null_rows()), ("Region", NullRows::Hide));
/// # Ok::<(), qsec_authz::section::ReduceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    column: Box<str>,
    values: ValueSet,
    null_rows: NullRows,
    empty_rows: EmptyRows,
    data_case: DataCase,
}

/// What a field says of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Among the values: visible, and a reason not to exclude the user.
    Listed,
    /// NULL or empty, and shown: visible, but no such reason.
    Shown,
    Hidden,
}

impl Field {
    pub(super) fn new(column: &str, values: ValueSet, options: &Options) -> Self {
        Self {
            column: column.into(),
            values,
            null_rows: options.null_rows,
            empty_rows: options.empty_rows,
            data_case: options.data_case,
        }
    }

    /// The column, as the data spells it.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The values that the user may see: upper case, none of them empty.
    pub fn values(&self) -> &ValueSet {
        &self.values
    }

    /// Whether rows with NULL in this column are shown.
    pub fn null_rows(&self) -> NullRows {
        self.null_rows
    }

    /// Whether rows with an empty text in this column are shown.
    pub fn empty_rows(&self) -> EmptyRows {
        self.empty_rows
    }

    /// Whether cells are compared as they are or in upper case.
    pub fn data_case(&self) -> DataCase {
        self.data_case
    }

    /// Judges one cell; NULL is nothing.
    pub(super) fn judge(&self, cell: Option<&str>) -> Verdict {
        let listed = |text: &str| match self.data_case {
            DataCase::Exact => self.values.contains(text),
            DataCase::Upper => self.values.contains(&text.to_uppercase()),
        };
        let shown = match cell {
            Some("") => self.empty_rows == EmptyRows::Show,
            Some(text) if listed(text) => return Verdict::Listed,
            Some(_) => false,
            None => self.null_rows == NullRows::Show,
        };
        if shown && !self.values.is_empty() { Verdict::Shown } else { Verdict::Hidden }
    }
}

/// What one user may see of the data: rows by [`Field`]s, columns by omission.
///
/// It is data of that user. A cache of it, or of what it lets through, is keyed by the tenant, the values of the identity
/// columns that the tables use, and the [`Version`].
///
/// ```
/// use qsec_authz::section::{Identity, Level, SectionAccess, Table};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION,OMIT\nADMIN,BOSS,,\nUSER,ANA,NORTH,COST\n"])?;
/// let data = Table::parse_csv("Region,Sales,Cost\nNORTH,10,7\nSOUTH,20,9\n")?;
/// let access = access.check_columns(data.columns())?;
///
/// let ana = access.reduction(Identity::user("ana"))?;
/// assert_eq!(ana.apply(&data)?.to_csv(), "Region,Sales\nNORTH,10\n");
/// assert_eq!((ana.level(), ana.omitted()), (Level::User, ["COST".to_owned()].as_slice()));
///
/// let boss = access.reduction(Identity::user("boss"))?;
/// assert_eq!(boss.apply(&data)?, data);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduction {
    level: Level,
    fields: Vec<Field>,
    columns: Arc<[Box<str>]>,
    kept: Vec<bool>,
    omitted: Vec<String>,
    version: Version,
    exclusion: Exclusion,
    null_text: Option<Box<str>>,
}

/// Where the columns of a reduction are in a piece of data.
#[derive(Debug)]
pub(super) struct Binding {
    /// For each field, its column.
    pub(super) fields: Vec<usize>,
    /// The columns that are not omitted.
    pub(super) kept: Vec<usize>,
}

impl Reduction {
    pub(super) fn new(
        level: Level,
        fields: Vec<Field>,
        columns: Arc<[Box<str>]>,
        omitted: &BTreeSet<usize>,
        version: Version,
        options: &Options,
    ) -> Self {
        let kept = (0..columns.len()).map(|index| !omitted.contains(&index)).collect();
        let mut names: Vec<String> =
            omitted.iter().filter_map(|&index| columns.get(index)).map(|name| name.to_uppercase()).collect();
        names.sort_unstable();
        let (exclusion, null_text) = (options.exclusion, options.null_text.clone());
        Self { level, fields, columns, kept, omitted: names, version, exclusion, null_text }
    }

    /// What the matching rows say of the user.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The columns that reduce the rows, in the order of the data's columns. Without any, all rows are visible.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The columns that the user may see, in the order of the data. At least one.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().zip(&self.kept).filter(|(_, kept)| **kept).map(|(column, _)| column.as_ref())
    }

    /// The columns that were checked, and whether the user may see them.
    pub(super) fn all_columns(&self) -> impl ExactSizeIterator<Item = (&str, bool)> {
        self.columns.iter().zip(&self.kept).map(|(column, &kept)| (column.as_ref(), kept))
    }

    /// The columns that are left out, in upper case and sorted.
    pub fn omitted(&self) -> &[String] {
        &self.omitted
    }

    /// The version of the access tables that this comes from.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What happens if some field has no value in the data.
    pub fn exclusion(&self) -> Exclusion {
        self.exclusion
    }

    /// The text that is NULL in data of texts.
    pub(super) fn null_text(&self) -> Option<&str> {
        self.null_text.as_deref()
    }

    /// Finds the columns in data with these columns.
    ///
    /// Data may lack columns that neither reduce nor matter. A column that was not there when the tables were checked is
    /// refused: an `OMIT` pattern could have been meant for it.
    pub(super) fn bind<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Binding, ReduceError> {
        let changed = |column: &str, problem| ReduceError::SchemaChanged { column: column.to_owned(), problem };
        let known: HashMap<&str, bool> =
            self.columns.iter().map(AsRef::as_ref).zip(self.kept.iter().copied()).collect();
        let mut places = HashMap::new();
        let mut kept = Vec::new();
        for (index, name) in names.enumerate() {
            if places.insert(name, index).is_some() {
                return Err(changed(name, "is there twice"));
            }
            if *known.get(name).ok_or_else(|| changed(name, "is new"))? {
                kept.push(index);
            }
        }
        let place = |field: &Field| {
            let column = field.column();
            places.get(column).copied().ok_or_else(|| changed(column, "reduces rows and is missing"))
        };
        let fields = self.fields.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Binding { fields, kept })
    }

    /// Strict exclusion, by whether each field had a listed cell.
    pub(super) fn admit(&self, found: &[bool]) -> Result<(), Refusal> {
        if self.exclusion == Exclusion::NoRows {
            return Ok(());
        }
        let mut missing = self.fields.iter().zip(found).filter(|(_, found)| !**found);
        match missing.next() {
            Some((field, _)) => Err(Refusal::Excluded(Cause::NotInData(field.column().to_owned()))),
            None => Ok(()),
        }
    }

    /// Reduces `data`, which is all of the data: rows and columns, in their order.
    ///
    /// For data in several parts take [`Reduction::survey`], since a user is excluded by the whole, not by a part.
    ///
    /// # Errors
    /// [`Refusal::Excluded`] under [`Exclusion::Strict`] if some field has no cell among its values; `schema_changed` if
    /// the columns are not those that were checked, `unsupported_type` if a reduction column does not hold texts.
    pub fn apply<D: Reducible>(&self, data: &D) -> Result<D, ReduceError> {
        let binding = self.bind(data.names())?;
        let judged = data.judge(self, &binding)?;
        self.admit(&judged.found)?;
        data.keep(&binding, &judged.mask)
    }

    /// Begins to look through data in several parts.
    pub fn survey(&self) -> Survey<'_> {
        Survey { reduction: self, found: vec![false; self.fields.len()] }
    }
}

/// Data that can be reduced: a [`Table`](super::Table), and with the feature `arrow` a `RecordBatch`. It cannot be implemented elsewhere.
pub trait Reducible: sealed::Data {
    /// How many rows there are: what a record of a reduction says before and after.
    fn row_count(&self) -> usize;
}

pub(super) mod sealed {
    use super::{Binding, ReduceError, Reduction};

    /// What a piece of data is to a reduction.
    #[expect(unnameable_types, reason = "the trait is sealed by being unnameable")]
    #[expect(private_interfaces, reason = "the trait is sealed by being unnameable")]
    pub trait Data: Sized {
        /// Which rows are visible.
        type Mask;
        fn names(&self) -> impl Iterator<Item = &str>;
        fn judge(&self, reduction: &Reduction, binding: &Binding) -> Result<Judged<Self::Mask>, ReduceError>;
        fn keep(&self, binding: &Binding, mask: &Self::Mask) -> Result<Self, ReduceError>;
    }

    #[derive(Debug)]
    #[expect(unnameable_types, reason = "the trait is sealed by being unnameable")]
    pub struct Judged<M> {
        /// For each field, whether some cell is among its values.
        pub(crate) found: Vec<bool>,
        pub(crate) mask: M,
    }
}

/// Looks through data in several parts, so that strict exclusion is decided over all of it before any row is given out.
///
/// ```
/// use qsec_authz::section::{Identity, SectionAccess, Table};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?.check_columns(["REGION", "V"])?;
/// let reduction = access.reduction(Identity::user("ana"))?;
/// let parts = [Table::parse_csv("REGION,V\nSOUTH,1\n")?, Table::parse_csv("REGION,V\nNORTH,2\n")?];
///
/// let mut survey = reduction.survey();
/// for part in &parts {
///     survey.observe(part)?;
/// }
/// let admitted = survey.admit()?;
/// assert_eq!(admitted.apply(&parts[0])?.rows(), 0);
/// assert_eq!(admitted.apply(&parts[1])?.rows(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Survey<'r> {
    reduction: &'r Reduction,
    found: Vec<bool>,
}

impl<'r> Survey<'r> {
    /// Looks through one part.
    ///
    /// # Errors
    /// `schema_changed` if the columns are not those that were checked, `unsupported_type` if a reduction column does not
    /// hold texts.
    pub fn observe<D: Reducible>(&mut self, data: &D) -> Result<(), ReduceError> {
        let binding = self.reduction.bind(data.names())?;
        let judged = data.judge(self.reduction, &binding)?;
        self.found.iter_mut().zip(judged.found).for_each(|(found, here)| *found |= here);
        Ok(())
    }

    /// Decides, after all parts were observed.
    ///
    /// # Errors
    /// [`Refusal::Excluded`] under [`Exclusion::Strict`] if some field had no cell among its values in any part.
    pub fn admit(self) -> Result<Admitted<'r>, ReduceError> {
        self.reduction.admit(&self.found)?;
        Ok(Admitted { reduction: self.reduction })
    }

    pub(super) fn found(&mut self) -> &mut [bool] {
        &mut self.found
    }
}

/// A reduction of a user who is not excluded by the data: it comes from [`Survey::admit`] alone.
#[derive(Debug, Clone, Copy)]
pub struct Admitted<'r> {
    reduction: &'r Reduction,
}

impl Admitted<'_> {
    /// Reduces one part of the data: rows and columns, in their order.
    ///
    /// # Errors
    /// `schema_changed` if the columns are not those that were checked, `unsupported_type` if a reduction column does not
    /// hold texts.
    pub fn apply<D: Reducible>(&self, data: &D) -> Result<D, ReduceError> {
        let binding = self.reduction.bind(data.names())?;
        let judged = data.judge(self.reduction, &binding)?;
        data.keep(&binding, &judged.mask)
    }
}
