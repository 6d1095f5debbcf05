//! Access tables that agree with the columns of the data, and what they give to one user.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::access::{AccessTable, FieldId, Role, SectionAccess, Tables, Version};
use super::csv::MAX_DATA_COLUMNS;
use super::error::{AccessError, Cause, ReduceError, Refusal, similar};
use super::identity::{Identity, Presented};
use super::mapping::{Collected, Keys, Mappings};
use super::options::Exclusion;
use super::reduction::{Field, Level, Reduction};
use super::texts::TextId;
use super::values::ValueSet;

/// Characters that are compared to match `OMIT` patterns with the columns of the data: less than a second.
pub const MAX_OMIT_STEPS: usize = 20_000_000;

/// Access tables that are checked against the columns of the data: every column and every `OMIT` of theirs has something to act on.
///
/// ```
/// use qsec_authz::section::{Identity, SectionAccess};
///
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?.check_columns(["Region", "Sales"])?;
/// let reduction = access.reduction(Identity::user("ana"))?;
/// assert_eq!(reduction.fields()[0].column(), "Region");
/// assert_eq!(access.reduction(Identity::user("zoe")).unwrap_err().code(), "not_listed");
/// # Ok::<(), qsec_authz::section::ReduceError>(())
/// ```
#[derive(Debug, Clone)]
pub struct CheckedAccess {
    checked: Arc<Checked>,
}

#[derive(Debug)]
struct Checked {
    tables: Arc<Tables>,
    version: Version,
    columns: Arc<[Box<str>]>,
    /// The data column of each field; nothing for a mere key.
    field_columns: Vec<Option<usize>>,
    /// The data columns that each `OMIT` matches.
    omits: HashMap<TextId, Vec<usize>>,
    mappings: Mappings,
}

impl SectionAccess {
    /// Checks the access tables against the columns of the data.
    ///
    /// # Errors
    /// The first that applies of `duplicate_column` (two data columns are the same in upper case), `unknown_omit_field`,
    /// `unlinked_table`, `unknown_reduction_field`; `too_large` when a budget is passed.
    pub fn check_columns(
        &self,
        columns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<CheckedAccess, AccessError> {
        let columns: Arc<[Box<str>]> =
            columns.into_iter().take(MAX_DATA_COLUMNS + 1).map(|column| Box::from(column.as_ref())).collect();
        let upper = unique_columns(&columns)?;
        let tables = Arc::clone(&self.tables);
        let omits = match_omits(&tables, &upper)?;
        let mappings = Mappings::new(&tables)?;
        let field_columns = match_fields(&tables, &mappings, &upper)?;
        let checked = Checked { tables, version: self.version(), columns, field_columns, omits, mappings };
        Ok(CheckedAccess { checked: Arc::new(checked) })
    }
}

impl CheckedAccess {
    /// The version that these tables are.
    pub fn version(&self) -> Version {
        self.checked.version
    }

    /// The columns of the data that the tables were checked against.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.checked.columns.iter().map(AsRef::as_ref)
    }

    /// What a user may see of the data.
    ///
    /// # Errors
    /// [`ReduceError::NoUser`] if the identity has no value, [`Refusal::NotListed`] if no row is for this user,
    /// [`Refusal::Excluded`] if they are left without a column, or (under [`Exclusion::Strict`]) without a value for
    /// a field; `too_large` when joining the mapping tables passes its budget.
    pub fn reduction(&self, identity: impl Into<Identity>) -> Result<Reduction, ReduceError> {
        let identity = identity.into();
        if identity.is_empty() {
            return Err(ReduceError::NoUser);
        }
        let Checked { tables, mappings, .. } = &*self.checked;
        let mut grant = Grant::new(tables, mappings, &Presented::new(&identity, &tables.texts))?;
        mappings.join(std::mem::take(&mut grant.keys), &mut grant.collected)?;

        let omitted = self.omitted(&grant);
        if omitted.len() == self.checked.columns.len() {
            return Err(Refusal::Excluded(Cause::AllOmitted).into());
        }
        let fields = self.fields(&grant);
        let empty = fields.iter().find(|field| field.values().is_empty());
        if let (Exclusion::Strict, Some(field)) = (tables.options.exclusion, empty) {
            return Err(Refusal::Excluded(Cause::NoValue(field.column().to_owned())).into());
        }
        let columns = Arc::clone(&self.checked.columns);
        Ok(Reduction::new(grant.level, fields, columns, &omitted, self.version(), &tables.options))
    }

    fn omitted(&self, grant: &Grant) -> BTreeSet<usize> {
        grant.omits.iter().filter_map(|omit| self.checked.omits.get(omit)).flatten().copied().collect()
    }

    /// The reducing fields, in the order of the data's columns.
    fn fields(&self, grant: &Grant) -> Vec<Field> {
        let Checked { tables, columns, field_columns, .. } = &*self.checked;
        let mut fields = Vec::new();
        for ((collected, field), column) in grant.collected.iter().zip(tables.fields.values()).zip(field_columns) {
            let Some((index, name)) = column.and_then(|index| Some((index, columns.get(index)?))) else { continue };
            // A field does not reduce only for an ADMIN who leaves it blank everywhere.
            if grant.level == Level::Admin && !collected.touched {
                continue;
            }
            let listed = if collected.star { Some(&field.listed) } else { None };
            let ids = collected.values.iter().chain(listed.into_iter().flatten());
            let values = ids.filter_map(|&id| tables.texts.get(id)).cloned().collect::<ValueSet>();
            fields.push((index, Field::new(name, values, &tables.options)));
        }
        fields.sort_by_key(|(index, _)| *index);
        fields.into_iter().map(|(_, field)| field).collect()
    }

    /// Fields in which some row has `*`, with the values that it stands for.
    pub(super) fn starred(&self) -> impl Iterator<Item = (&str, ValueSet)> {
        let Checked { tables, columns, field_columns, .. } = &*self.checked;
        let fields = tables.fields.values().zip(field_columns).filter(|(field, _)| field.starred);
        fields.filter_map(|(field, column)| {
            let texts = field.listed.iter().filter_map(|&id| tables.texts.get(id)).cloned();
            Some((columns.get((*column)?)?.as_ref(), texts.collect()))
        })
    }

    /// The columns of the data: whether some table reduces them, and whether some row leaves them out.
    pub(super) fn column_uses(&self) -> impl Iterator<Item = (&str, bool, bool)> {
        let reducing: HashSet<usize> = self.checked.field_columns.iter().copied().flatten().collect();
        let omittable: HashSet<usize> = self.checked.omits.values().flatten().copied().collect();
        let columns = self.columns().enumerate();
        columns.map(move |(index, name)| (name, reducing.contains(&index), omittable.contains(&index)))
    }

    /// The access tables, from before they were checked.
    pub(super) fn tables(&self) -> SectionAccess {
        SectionAccess { tables: Arc::clone(&self.checked.tables) }
    }

    pub(super) fn options(&self) -> &super::options::Options {
        &self.checked.tables.options
    }
}

/// What the matching rows of the authorization tables give.
struct Grant {
    level: Level,
    collected: Vec<Collected>,
    omits: HashSet<TextId>,
    keys: HashSet<Keys>,
}

impl Grant {
    fn new(tables: &Tables, mappings: &Mappings, presented: &Presented) -> Result<Self, Refusal> {
        let mut grant = Self {
            level: Level::Admin,
            collected: vec![Collected::default(); tables.fields.len()],
            omits: HashSet::new(),
            keys: HashSet::new(),
        };
        for table in tables.list.iter().filter(|table| !table.is_mapping()) {
            for row in table.rows().filter(|row| is_for(presented, table, row)) {
                grant.add(tables.admin, table, row);
                grant.keys.insert(mappings.keys(table, row));
            }
        }
        if grant.keys.is_empty() { Err(Refusal::NotListed) } else { Ok(grant) }
    }

    fn add(&mut self, admin: Option<TextId>, table: &AccessTable, row: &[TextId]) {
        for (role, &cell) in table.roles.iter().zip(row) {
            match role {
                Role::Identity(_) => {}
                // One USER row makes a user.
                Role::Access if Some(cell) == admin => {}
                Role::Access => self.level = Level::User,
                Role::Omit => {
                    self.omits.insert(cell);
                }
                Role::Field(FieldId(index)) => {
                    if let Some(collected) = self.collected.get_mut(*index) {
                        collected.add(super::mapping::Cell::own(cell));
                    }
                }
            }
        }
    }
}

/// Whether every identity column of its table says that the row is for this user.
fn is_for(presented: &Presented, table: &AccessTable, row: &[TextId]) -> bool {
    table.roles.iter().zip(row).all(|(role, &cell)| match role {
        Role::Identity(column) => presented.matches(*column, cell),
        Role::Access | Role::Omit | Role::Field(_) => true,
    })
}

/// The data's columns in upper case; `duplicate_column` if two are the same.
pub(super) fn unique_columns<S: AsRef<str>>(columns: &[S]) -> Result<HashMap<String, usize>, AccessError> {
    if columns.len() > MAX_DATA_COLUMNS {
        return Err(AccessError::TooLarge { limit: MAX_DATA_COLUMNS, unit: "columns of data" });
    }
    let mut upper = HashMap::new();
    for (index, column) in columns.iter().enumerate() {
        let name = column.as_ref().to_uppercase();
        if upper.insert(name.clone(), index).is_some() {
            return Err(AccessError::DuplicateColumn { table: None, column: name });
        }
    }
    Ok(upper)
}

/// Matches every `OMIT` of any row with the data's columns: `unknown_omit_field`.
fn match_omits(tables: &Tables, upper: &HashMap<String, usize>) -> Result<HashMap<TextId, Vec<usize>>, AccessError> {
    let mut omits = HashMap::new();
    let mut steps = MAX_OMIT_STEPS;
    for table in &tables.list {
        for (cell, line) in table.cells_of(Role::Omit) {
            let Some(pattern) = tables.texts.get(cell) else { continue };
            if cell == TextId::BLANK || omits.contains_key(&cell) {
                continue;
            }
            let mut matched = Vec::new();
            if pattern.contains(['*', '?']) {
                for (name, &index) in upper {
                    if is_match(pattern, name, &mut steps)? {
                        matched.push(index);
                    }
                }
            } else {
                matched.extend(upper.get(&**pattern));
            }
            if matched.is_empty() {
                let similar = similar(pattern, upper.keys().map(String::as_str));
                let (table, pattern) = (table.number, pattern.to_string());
                return Err(AccessError::UnknownOmitField { table, line, pattern, similar });
            }
            omits.insert(cell, matched);
        }
    }
    Ok(omits)
}

/// Finds the data column of every field: `unknown_reduction_field`.
fn match_fields(
    tables: &Tables,
    mappings: &Mappings,
    upper: &HashMap<String, usize>,
) -> Result<Vec<Option<usize>>, AccessError> {
    let column = |(index, (name, field)): (usize, (&String, &super::access::AccessField))| {
        let column = upper.get(name).copied();
        if column.is_none() && !mappings.links(FieldId(index)) {
            let similar = similar(name, upper.keys().map(String::as_str));
            return Err(AccessError::UnknownReductionField { table: field.table, column: name.clone(), similar });
        }
        Ok(column)
    };
    tables.fields.iter().enumerate().map(column).collect()
}

/// Matches a name with a pattern: `*` is any run of characters, `?` is one.
fn is_match(pattern: &str, name: &str, steps: &mut usize) -> Result<bool, AccessError> {
    // On a mismatch only the last `*` is tried again, one character later: at most the product of the lengths.
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        *steps = steps
            .checked_sub(1)
            .ok_or(AccessError::TooLarge { limit: MAX_OMIT_STEPS, unit: "characters to compare for OMIT" })?;
        let (mut next_pattern, mut next_name) = (pattern.clone(), name.clone());
        let step = match (next_pattern.next(), next_name.next()) {
            (Some('*'), _) => {
                retry = Some((next_pattern.clone(), name.clone()));
                pattern = next_pattern;
                continue;
            }
            (None, None) => return Ok(true),
            (Some('?'), Some(_)) => true,
            (Some(wanted), Some(found)) => wanted == found,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if step {
            (pattern, name) = (next_pattern, next_name);
        } else if let Some((after_star, start)) = &mut retry {
            if start.next().is_none() {
                return Ok(false);
            }
            (pattern, name) = (after_star.clone(), start.clone());
        } else {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        is_match(pattern, name, &mut 1_000_000).unwrap()
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name) in
            [("S*", "SALES"), ("*", ""), ("*", "A"), ("?A*", "SALES"), ("*S", "SALES"), ("A**B", "AXXB")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("S", "SALES"), ("?", ""), ("*X", "SALES"), ("S?", "S"), ("", "A"), ("A*B", "AXXBC")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let (pattern, name) = ("*A".repeat(50) + "B", "A".repeat(2_000));
        assert!(!matches(&pattern, &name));
    }
}
