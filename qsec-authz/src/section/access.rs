//! The access tables: read, normalised, and checked as far as that needs no data.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use ring::digest;

use super::csv::{RowLimits, read_all};
use super::error::AccessError;
use super::identity::IdentityColumn;
use super::options::Options;
use super::texts::{TextId, Texts, normalise};

/// Access tables of one load. A load has one or two and a few mappings; 64 leaves room.
pub const MAX_ACCESS_TABLES: usize = 64;
/// Bytes of all access tables together: a million rows of sixty bytes.
pub const MAX_ACCESS_BYTES: usize = 64 << 20;
/// Rows of all access tables together: a row for every user of the largest tenants.
pub const MAX_ACCESS_ROWS: usize = 1_000_000;
/// Columns of one access table.
pub const MAX_ACCESS_COLUMNS: usize = 1_000;
/// Cells of all access tables together; each takes four bytes beside its distinct text.
pub const MAX_ACCESS_CELLS: usize = 10_000_000;

const LEGACY: [&str; 4] = ["SERIAL", "PASSWORD", "NTSID", "NTDOMAINSID"];

/// Access tables that are well-formed. They reduce nothing until they are checked against the columns of the data.
///
/// ```
/// use qsec_authz::section::{AccessError, SectionAccess};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nADMIN,BOSS,\nUSER,ANA,NORTH\n"])?;
/// let access = access.check_columns(["Region", "Sales"])?;
/// assert_eq!(access.version().to_string().len(), 64);
///
/// let error = SectionAccess::parse(["ACCESS,USERID\nSUPER,ANA\n"]).unwrap_err();
/// assert_eq!((error.code(), error.position()), ("bad_access_value", Some((2, None))));
/// # Ok::<(), AccessError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SectionAccess {
    pub(super) tables: Arc<Tables>,
}

impl SectionAccess {
    /// Reads access tables, in the order given, by the strictest [`Options`].
    ///
    /// # Errors
    /// As [`SectionAccess::parse_with`].
    pub fn parse(tables: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, AccessError> {
        Self::parse_with(tables, Options::new())
    }

    /// Reads access tables, in the order given.
    ///
    /// # Errors
    /// The first that applies to any table of `bad_csv`, `duplicate_column`, `unsupported_field`, `no_access_column`,
    /// `no_identity_column`, `bad_access_value`; `too_large` when a budget is passed.
    pub fn parse_with(
        tables: impl IntoIterator<Item = impl AsRef<str>>,
        options: Options,
    ) -> Result<Self, AccessError> {
        let raw = RawTables::read(tables, options)?;
        raw.check_names()?;
        raw.build()
    }

    /// The version that these tables are when they are activated.
    pub fn version(&self) -> Version {
        self.tables.version
    }

    /// Rows of all tables together.
    pub(super) fn row_count(&self) -> usize {
        self.tables.list.iter().map(|table| table.rows().len()).sum()
    }

    /// The identity columns that the tables use: with the tenant and the [`Version`], the key of a cache of reduced data.
    pub fn identity_columns(&self) -> impl Iterator<Item = &'static str> {
        let used = |column: &IdentityColumn| {
            let mut roles = self.tables.list.iter().flat_map(|table| &table.roles);
            roles.any(|role| matches!(role, Role::Identity(identity) if identity == column))
        };
        IdentityColumn::ALL.into_iter().filter(used).map(IdentityColumn::name)
    }
}

/// Names access tables by what they say: the SHA-256 of the normalised tables, in their order.
///
/// Spelling that makes no difference (case, blanks around cells, quotes, line ends) makes no other version.
///
/// ```
/// use qsec_authz::section::{AccessError, SectionAccess};
///
/// let one = SectionAccess::parse(["ACCESS,USERID\nUSER,ANA\n"])?.version();
/// assert_eq!(one, SectionAccess::parse(["access, userid\r\n\"user\", ana\r\n"])?.version());
/// assert_ne!(one, SectionAccess::parse(["ACCESS,USERID\nUSER,BOB\n"])?.version());
/// # Ok::<(), AccessError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version([u8; 32]);

impl Version {
    /// The digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

/// A column that is neither system nor legacy, by its number over all tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FieldId(pub(super) usize);

/// What a column of an access table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Access,
    Identity(IdentityColumn),
    Omit,
    Field(FieldId),
}

impl Role {
    /// The role of a system column; any other is a field.
    fn system(name: &str) -> Option<Self> {
        match name {
            "ACCESS" => Some(Self::Access),
            "OMIT" => Some(Self::Omit),
            _ => IdentityColumn::ALL.into_iter().find(|column| column.name() == name).map(Self::Identity),
        }
    }
}

/// One access table, normalised.
#[derive(Debug)]
pub(super) struct AccessTable {
    pub(super) number: usize,
    pub(super) roles: Vec<Role>,
    cells: Vec<TextId>,
    lines: Vec<u64>,
}

impl AccessTable {
    /// A table without `ACCESS` maps keys to values.
    pub(super) fn is_mapping(&self) -> bool {
        !self.roles.contains(&Role::Access)
    }

    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[TextId]> {
        // No table is without columns; the bound keeps `chunks_exact` from panicking if one were.
        self.cells.chunks_exact(self.roles.len().max(1))
    }

    /// Every cell of the columns with `role`, with its line.
    pub(super) fn cells_of(&self, role: Role) -> impl Iterator<Item = (TextId, u64)> {
        let column = self.roles.iter().position(|&own| own == role);
        let rows = self.rows().zip(&self.lines);
        rows.filter_map(move |(row, &line)| Some((*row.get(column?)?, line)))
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = FieldId> {
        self.roles.iter().filter_map(|role| if let Role::Field(field) = role { Some(*field) } else { None })
    }
}

/// A field of all tables.
#[derive(Debug)]
pub(super) struct AccessField {
    /// The first table that has it.
    pub(super) table: usize,
    /// What `*` stands for: the values of this column in any row of any table.
    pub(super) listed: HashSet<TextId>,
    /// Whether any row has `*`.
    pub(super) starred: bool,
}

/// All access tables.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) list: Vec<AccessTable>,
    pub(super) fields: IndexMap<String, AccessField>,
    pub(super) texts: Texts,
    pub(super) admin: Option<TextId>,
    pub(super) options: Options,
    version: Version,
}

/// Tables that are CSV, and not yet known to be more.
#[derive(Debug)]
pub(super) struct RawTables {
    list: Vec<RawTable>,
    texts: Texts,
    options: Options,
}

#[derive(Debug, Default)]
struct RawTable {
    names: Vec<String>,
    cells: Vec<TextId>,
    lines: Vec<u64>,
}

impl RawTables {
    /// Reads the tables: `bad_csv`, or `too_large`.
    pub(super) fn read(
        tables: impl IntoIterator<Item = impl AsRef<str>>,
        options: Options,
    ) -> Result<Self, AccessError> {
        let mut raw = Self { list: Vec::new(), texts: Texts::new(), options };
        let mut budget = Budget { bytes: MAX_ACCESS_BYTES, rows: MAX_ACCESS_ROWS, cells: MAX_ACCESS_CELLS };
        for text in tables {
            if raw.list.len() >= MAX_ACCESS_TABLES {
                return Err(AccessError::TooLarge { limit: MAX_ACCESS_TABLES, unit: "access tables" });
            }
            let text = text.as_ref();
            spend(&mut budget.bytes, text.len(), MAX_ACCESS_BYTES, "bytes of access tables")?;
            raw.read_table(text, &mut budget)?;
        }
        Ok(raw)
    }

    fn read_table(&mut self, text: &str, budget: &mut Budget) -> Result<(), AccessError> {
        let number = self.list.len() + 1;
        let (texts, null) = (&mut self.texts, self.options.null_text.as_deref());
        let mut table = RawTable::default();
        let limits = RowLimits { columns: MAX_ACCESS_COLUMNS, bytes: MAX_ACCESS_BYTES };
        read_all(text.as_bytes(), limits, |record| -> Result<(), Fault> {
            if table.names.is_empty() {
                table.names = record.cells().map(normalise).collect();
                return Ok(());
            }
            spend(&mut budget.rows, 1, MAX_ACCESS_ROWS, "rows of access tables")?;
            spend(&mut budget.cells, table.names.len(), MAX_ACCESS_CELLS, "cells of access tables")?;
            table.lines.push(record.line);
            for cell in record.cells() {
                let id = if null == Some(cell) { Some(TextId::BLANK) } else { texts.intern(&normalise(cell)) };
                table
                    .cells
                    .push(id.ok_or(AccessError::TooLarge { limit: MAX_ACCESS_CELLS, unit: "cells of access tables" })?);
            }
            Ok(())
        })
        .map_err(|fault| match fault {
            Fault::Csv(problem) => AccessError::BadCsv { table: number, problem },
            Fault::Access(error) => error,
        })?;
        self.list.push(table);
        Ok(())
    }

    /// `duplicate_column`.
    pub(super) fn check_names(&self) -> Result<(), AccessError> {
        for (table, raw) in (1..).zip(&self.list) {
            let mut seen = HashSet::new();
            for (position, name) in (1..).zip(&raw.names) {
                if name.is_empty() {
                    return Err(AccessError::UnnamedColumn { table, position });
                }
                if !seen.insert(name) {
                    return Err(AccessError::DuplicateColumn { table: Some(table), column: name.clone() });
                }
            }
        }
        Ok(())
    }

    /// The remaining checks, in their order, each over all tables.
    pub(super) fn build(self) -> Result<SectionAccess, AccessError> {
        self.check_legacy()?;
        self.check_access_columns()?;
        self.check_identity_columns()?;
        self.check_access_values()?;
        let version = self.version();
        let mut fields: IndexMap<String, AccessField> = IndexMap::new();
        let mut list = Vec::new();
        for (number, raw) in (1..).zip(self.list) {
            let role = |name: String| {
                Role::system(&name).unwrap_or_else(|| {
                    let field = AccessField { table: number, listed: HashSet::new(), starred: false };
                    let entry = fields.entry(name);
                    let id = FieldId(entry.index());
                    entry.or_insert(field);
                    Role::Field(id)
                })
            };
            let roles: Vec<Role> = raw.names.into_iter().map(role).collect();
            let table = AccessTable { number, roles, cells: raw.cells, lines: raw.lines };
            for row in table.rows() {
                list_values(&mut fields, &table.roles, row);
            }
            list.push(table);
        }
        let admin = self.texts.find("ADMIN");
        let tables = Tables { list, fields, admin, texts: self.texts, options: self.options, version };
        Ok(SectionAccess { tables: Arc::new(tables) })
    }

    fn check_legacy(&self) -> Result<(), AccessError> {
        for (table, raw) in (1..).zip(&self.list) {
            if let Some(column) = raw.names.iter().find(|name| LEGACY.contains(&name.as_str())) {
                return Err(AccessError::UnsupportedField { table, column: column.clone() });
            }
        }
        Ok(())
    }

    fn check_access_columns(&self) -> Result<(), AccessError> {
        if !self.list.iter().any(RawTable::has_access) {
            // A forgotten column is a better clue than a missing table.
            let first = (1..).zip(&self.list).find_map(|(number, raw)| Some((number, raw.system_column()?)));
            let (table, column) = first.unzip();
            return Err(AccessError::NoAccessColumn { table, column });
        }
        for (table, raw) in (1..).zip(&self.list) {
            if let (false, Some(column)) = (raw.has_access(), raw.system_column()) {
                return Err(AccessError::NoAccessColumn { table: Some(table), column: Some(column) });
            }
        }
        Ok(())
    }

    fn check_identity_columns(&self) -> Result<(), AccessError> {
        for (table, raw) in (1..).zip(&self.list) {
            let mut roles = raw.names.iter().filter_map(|name| Role::system(name));
            if raw.has_access() && !roles.any(|role| matches!(role, Role::Identity(_))) {
                return Err(AccessError::NoIdentityColumn { table });
            }
        }
        Ok(())
    }

    fn check_access_values(&self) -> Result<(), AccessError> {
        for (table, raw) in (1..).zip(&self.list) {
            let Some(column) = raw.names.iter().position(|name| name == "ACCESS") else { continue };
            let cells = raw.cells.iter().skip(column).step_by(raw.names.len().max(1));
            for (&cell, &line) in cells.zip(&raw.lines) {
                let value = self.texts.get(cell).map_or("", |text| &**text);
                if !matches!(value, "USER" | "ADMIN") {
                    return Err(AccessError::BadAccessValue { table, line, value: value.to_owned() });
                }
            }
        }
        Ok(())
    }

    /// Every count and every text is preceded by its length, so no two sets of tables hash the same bytes.
    fn version(&self) -> Version {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"qsec section access 1\n");
        let number = |hash: &mut digest::Context, number: usize| {
            hash.update(&u64::try_from(number).unwrap_or(u64::MAX).to_le_bytes());
        };
        number(&mut hash, self.list.len());
        for table in &self.list {
            number(&mut hash, table.names.len());
            number(&mut hash, table.lines.len());
            let cells = table.cells.iter().filter_map(|&cell| self.texts.get(cell)).map(|text| &**text);
            for text in table.names.iter().map(String::as_str).chain(cells) {
                number(&mut hash, text.len());
                hash.update(text.as_bytes());
            }
        }
        let mut version = [0; 32];
        version.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Version(version)
    }
}

impl RawTable {
    fn has_access(&self) -> bool {
        self.names.iter().any(|name| name == "ACCESS")
    }

    /// The first system column other than `ACCESS`.
    fn system_column(&self) -> Option<String> {
        let mut names = self.names.iter();
        names.find(|name| Role::system(name).is_some_and(|role| role != Role::Access)).cloned()
    }
}

fn list_values(fields: &mut IndexMap<String, AccessField>, roles: &[Role], row: &[TextId]) {
    for (role, &cell) in roles.iter().zip(row) {
        let Role::Field(FieldId(index)) = role else { continue };
        let Some((_, field)) = fields.get_index_mut(*index) else { continue };
        if cell.is_value() {
            field.listed.insert(cell);
        }
        field.starred |= cell == TextId::STAR;
    }
}

/// What is left to read.
struct Budget {
    bytes: usize,
    rows: usize,
    cells: usize,
}

fn spend(left: &mut usize, amount: usize, limit: usize, unit: &'static str) -> Result<(), AccessError> {
    *left = left.checked_sub(amount).ok_or(AccessError::TooLarge { limit, unit })?;
    Ok(())
}

enum Fault {
    Csv(super::csv::CsvError),
    Access(AccessError),
}

impl From<super::csv::CsvError> for Fault {
    fn from(error: super::csv::CsvError) -> Self {
        Self::Csv(error)
    }
}

impl From<AccessError> for Fault {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}
