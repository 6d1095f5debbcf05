//! Mapping tables: joined to the rows of a user, in the order given, by the columns that they share with the tables before them.

use std::collections::{HashMap, HashSet};

use super::access::{AccessTable, FieldId, Role, Tables};
use super::error::{AccessError, ReduceError};
use super::texts::TextId;

/// Cells of pairs of a user's row and a mapping row that are looked at for one user: less than a second, and 100 MB.
pub const MAX_JOIN_STEPS: usize = 10_000_000;
/// Columns that link the tables of one load. Each row of a user holds a cell for each while the tables are joined.
pub const MAX_LINK_COLUMNS: usize = 16;

/// A cell of a user's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Cell {
    /// The access tables leave it blank: it lifts the reduction of an ADMIN.
    Blank,
    /// A mapping has nothing for the key: it lifts nothing.
    NoValue,
    /// `*`: every listed value.
    Star,
    Value(TextId),
}

impl Cell {
    pub(super) fn own(text: TextId) -> Self {
        match text {
            TextId::BLANK => Self::Blank,
            TextId::STAR => Self::Star,
            value => Self::Value(value),
        }
    }

    /// A blank cell of a mapping row is no value, else a forgotten cell would open the column to an ADMIN.
    fn mapped(text: TextId) -> Self {
        match Self::own(text) {
            Self::Blank | Self::NoValue => Self::NoValue,
            cell @ (Self::Star | Self::Value(_)) => cell,
        }
    }
}

/// The cells of one field over all rows of a user.
#[derive(Debug, Clone, Default)]
pub(super) struct Collected {
    pub(super) values: HashSet<TextId>,
    pub(super) star: bool,
    /// A cell was not blank.
    pub(super) touched: bool,
}

impl Collected {
    pub(super) fn add(&mut self, cell: Cell) {
        self.touched |= cell != Cell::Blank;
        self.star |= cell == Cell::Star;
        if let Cell::Value(value) = cell {
            self.values.insert(value);
        }
    }
}

/// The keys of a row of a user: one cell for each field that links tables, blank once no later table needs it.
pub(super) type Keys = Box<[Cell]>;

/// A mapping table, ready to be joined.
#[derive(Debug)]
struct Join {
    /// Places of the shared columns within [`Keys`].
    shared: Vec<usize>,
    adds: Vec<Added>,
    rows: Vec<MappingRow>,
    /// Rows without `*` among their keys, by their keys.
    exact: HashMap<Box<[TextId]>, Vec<usize>>,
    /// Rows with `*` among their keys.
    starred: Vec<usize>,
    /// Places within [`Keys`] that a later table needs.
    needed: HashSet<usize>,
}

#[derive(Debug)]
struct Added {
    field: FieldId,
    place: Option<usize>,
}

#[derive(Debug)]
struct MappingRow {
    keys: Box<[TextId]>,
    values: Box<[TextId]>,
}

/// All mapping tables.
#[derive(Debug)]
pub(super) struct Mappings {
    links: Vec<FieldId>,
    joins: Vec<Join>,
}

impl Mappings {
    /// Links the mapping tables: `unlinked_table`, or `too_large`.
    pub(super) fn new(tables: &Tables) -> Result<Self, AccessError> {
        let (mappings, authorizations): (Vec<_>, Vec<_>) = tables.list.iter().partition(|table| table.is_mapping());
        let mut before: HashSet<FieldId> = authorizations.iter().flat_map(|table| table.fields()).collect();
        let mut links: Vec<FieldId> = Vec::new();
        for table in &mappings {
            let shared: Vec<FieldId> = table.fields().filter(|field| before.contains(field)).collect();
            if shared.is_empty() {
                return Err(AccessError::UnlinkedTable { table: table.number });
            }
            links.extend(shared);
            before.extend(table.fields());
        }
        links.sort_unstable_by_key(|field| field.0);
        links.dedup();
        if links.len() > MAX_LINK_COLUMNS {
            return Err(AccessError::TooLarge { limit: MAX_LINK_COLUMNS, unit: "columns that link access tables" });
        }
        let mut known: HashSet<FieldId> = authorizations.iter().flat_map(|table| table.fields()).collect();
        let mut joins = Vec::new();
        for table in &mappings {
            joins.push(Join::new(table, &known, &links));
            known.extend(table.fields());
        }
        let mut needed = HashSet::new();
        for join in joins.iter_mut().rev() {
            join.needed.clone_from(&needed);
            needed.extend(&join.shared);
        }
        Ok(Self { links, joins })
    }

    /// Whether the field is a key between tables, so that it need not be in the data.
    pub(super) fn links(&self, field: FieldId) -> bool {
        self.links.contains(&field)
    }

    /// The keys of a row of an authorization table.
    pub(super) fn keys(&self, table: &AccessTable, row: &[TextId]) -> Keys {
        let cell = |link: &FieldId| {
            let column = table.roles.iter().position(|role| *role == Role::Field(*link));
            column.and_then(|column| row.get(column)).map_or(Cell::Blank, |&cell| Cell::own(cell))
        };
        self.links.iter().map(cell).collect()
    }

    /// Joins every mapping table to the user's rows, and adds their cells to `collected`, which is by field.
    pub(super) fn join(&self, mut rows: HashSet<Keys>, collected: &mut [Collected]) -> Result<(), ReduceError> {
        let mut steps = MAX_JOIN_STEPS;
        for join in &self.joins {
            rows = join.apply(&rows, collected, &mut steps)?;
        }
        Ok(())
    }
}

impl Join {
    fn new(table: &AccessTable, known: &HashSet<FieldId>, links: &[FieldId]) -> Self {
        let place = |field: FieldId| links.iter().position(|&link| link == field);
        let shared: Vec<usize> = table.fields().filter(|field| known.contains(field)).filter_map(place).collect();
        let adds = table.fields().filter(|field| !known.contains(field));
        let adds = adds.map(|field| Added { field, place: place(field) }).collect();
        let is_key: Vec<bool> = table.fields().map(|field| known.contains(&field)).collect();
        let cells = |row: &[TextId], key: bool| -> Box<[TextId]> {
            row.iter().zip(&is_key).filter(|&(_, &own)| own == key).map(|(&cell, _)| cell).collect()
        };
        let mut join =
            Self { shared, adds, rows: Vec::new(), exact: HashMap::new(), starred: Vec::new(), needed: HashSet::new() };
        for row in table.rows() {
            let row = MappingRow { keys: cells(row, true), values: cells(row, false) };
            // A blank key is equal to nothing.
            if row.keys.contains(&TextId::BLANK) {
                continue;
            }
            let index = join.rows.len();
            if row.keys.contains(&TextId::STAR) {
                join.starred.push(index);
            } else {
                join.exact.entry(row.keys.clone()).or_default().push(index);
            }
            join.rows.push(row);
        }
        join
    }

    fn apply(
        &self,
        rows: &HashSet<Keys>,
        collected: &mut [Collected],
        steps: &mut usize,
    ) -> Result<HashSet<Keys>, ReduceError> {
        let mut joined = HashSet::new();
        for row in rows {
            let keys: Vec<Cell> = self.shared.iter().filter_map(|&place| row.get(place)).copied().collect();
            let mut matched = false;
            for mapping in self.candidates(&keys) {
                *steps = steps
                    .checked_sub(row.len().saturating_add(1))
                    .ok_or(ReduceError::TooLarge { limit: MAX_JOIN_STEPS, unit: "cells of mapping rows" })?;
                if keys.iter().zip(&mapping.keys).all(|(&own, &key)| equal(own, key)) {
                    matched = true;
                    let cells = mapping.values.iter().map(|&value| Cell::mapped(value));
                    joined.insert(self.extend(row, Some(&mapping.keys), cells, collected));
                }
            }
            if !matched {
                // Without any key the columns are blank; with keys that map to nothing they have no value.
                let blank = keys.iter().all(|&cell| cell == Cell::Blank);
                let cells = std::iter::repeat(if blank { Cell::Blank } else { Cell::NoValue });
                joined.insert(self.extend(row, None, cells, collected));
            }
        }
        Ok(joined)
    }

    /// The mapping rows that may match these keys.
    fn candidates(&self, keys: &[Cell]) -> Box<dyn Iterator<Item = &MappingRow> + '_> {
        let values: Option<Box<[TextId]>> =
            keys.iter().map(|cell| if let Cell::Value(value) = cell { Some(*value) } else { None }).collect();
        if let Some(values) = values {
            let exact = self.exact.get(&values).into_iter().flatten();
            return Box::new(exact.chain(&self.starred).filter_map(|&index| self.rows.get(index)));
        }
        if keys.iter().any(|cell| matches!(cell, Cell::Blank | Cell::NoValue)) {
            return Box::new(std::iter::empty());
        }
        Box::new(self.rows.iter())
    }

    /// Adds the cells of this table to a user's row, and drops the keys that no later table needs.
    fn extend(
        &self,
        row: &Keys,
        keys: Option<&[TextId]>,
        cells: impl Iterator<Item = Cell>,
        collected: &mut [Collected],
    ) -> Keys {
        let mut row = row.clone();
        // `*` stands for the listed values one by one: joined to the row of one of them, it is that one for later tables.
        for (&place, &key) in self.shared.iter().zip(keys.unwrap_or_default()) {
            if let Some(own @ Cell::Star) = row.get_mut(place) {
                *own = Cell::own(key);
            }
        }
        for (added, cell) in self.adds.iter().zip(cells) {
            if let Some(collected) = collected.get_mut(added.field.0) {
                collected.add(cell);
            }
            if let Some(own) = added.place.and_then(|place| row.get_mut(place)) {
                *own = cell;
            }
        }
        for (place, own) in row.iter_mut().enumerate() {
            // Places of columns that a later table brings are blank until then: nothing is lost by clearing them.
            if !self.needed.contains(&place) {
                *own = Cell::Blank;
            }
        }
        row
    }
}

fn equal(own: Cell, key: TextId) -> bool {
    match own {
        Cell::Star => true,
        Cell::Value(value) => key == TextId::STAR || key == value,
        Cell::Blank | Cell::NoValue => false,
    }
}
