//! Predicates on Arrow record batches.

use std::cell::Cell;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;

use super::Predicate;
use super::columns::{Column, Columns, Place, PushError, Reach, Unsaid};
use super::expression::{Expression, Row, Source};

const UNKNOWN: &str = "only a decision can answer it";

/// Which rows of a batch may be seen.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{ArrayRef, RecordBatch, StringArray};
/// use qsec_authz::visibility::{Column, Columns, Reach, Unsaid, Visibility};
/// use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
///
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{}}}"#)?.compile()?;
/// let apps = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("")).on_any("App");
/// let Visibility::If(predicate) = snapshot.visibility(&apps) else { panic!("her own") };
///
/// let owner: ArrayRef = Arc::new(StringArray::from(vec![Some("ana"), Some("bob"), None]));
/// let batch = RecordBatch::try_from_iter([("owner", owner)])?;
/// let columns = Columns::new(Unsaid::Refuse).constant(Column::Type, "App").column(Column::Owner, "owner");
/// let columns = columns.absent(Column::Space).absent(Column::App).absent(Column::Stream);
/// let mask = predicate.mask(&batch, &columns)?;
/// assert!(mask.rows().values().iter().eq([true, false, false]));
/// assert_eq!(mask.reach(), Reach::Exact);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Mask {
    rows: BooleanArray,
    reach: Reach,
}

impl Mask {
    /// A value for each row, none of them NULL.
    #[must_use]
    pub fn rows(&self) -> &BooleanArray {
        &self.rows
    }

    /// Which rows it marks.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }
}

impl Predicate {
    /// Which rows of a batch the predicate holds for. Columns are texts (`Utf8`, `LargeUtf8`, `Utf8View`, dictionaries of
    /// them) or booleans.
    ///
    /// # Errors
    /// With [`Unsaid::Refuse`], [`PushError::MissingColumn`] and [`PushError::Inexpressible`] for what cannot be said of the batch;
    /// [`PushError::UnsupportedType`] for a column of another type.
    pub fn mask(&self, batch: &RecordBatch, columns: &Columns) -> Result<Mask, PushError> {
        let refuses = columns.unsaid() == Unsaid::Refuse;
        let cells = Cells::of(&self.0, batch, columns, refuses)?;
        if refuses && !self.0.is_exact() {
            return Err(PushError::Inexpressible { reason: UNKNOWN });
        }
        let lacking = Cell::new(false);
        let rows = BooleanBuffer::collect_bool(batch.num_rows(), |row| {
            self.0.holds(&RowOf { cells: &cells, row }).unwrap_or_else(|| {
                lacking.set(true);
                columns.unsaid() == Unsaid::Show
            })
        });
        let reach = match (lacking.get(), columns.unsaid()) {
            (false, _) => Reach::Exact,
            (true, Unsaid::Show) => Reach::Wider,
            (true, Unsaid::Hide | Unsaid::Refuse) => Reach::Narrower,
        };
        Ok(Mask { rows: BooleanArray::new(rows, None), reach })
    }
}

/// The columns that a predicate asks for.
struct Cells<'b>(Vec<(Column, Held<'b>)>);

enum Held<'b> {
    Array(&'b dyn Array),
    Constant(&'b str),
    Absent,
}

impl<'b> Cells<'b> {
    fn of(
        expression: &Expression,
        batch: &'b RecordBatch,
        columns: &'b Columns,
        refuses: bool,
    ) -> Result<Self, PushError> {
        let mut wanted = Vec::new();
        asked_for(expression, &mut wanted);
        let mut cells = Vec::new();
        for column in wanted {
            let held = match columns.place(&column) {
                Some(Place::Absent) => Held::Absent,
                Some(Place::Constant(value)) => Held::Constant(value),
                Some(Place::Named(name)) => {
                    let Some(array) = batch.column_by_name(name) else {
                        return Err(PushError::MissingColumn { column });
                    };
                    if !array.is_empty() && !is_readable(array.as_ref()) {
                        let data_type = array.data_type().to_string();
                        return Err(PushError::UnsupportedType { name: name.clone(), data_type });
                    }
                    Held::Array(array.as_ref())
                }
                None if refuses => return Err(PushError::MissingColumn { column }),
                None => continue,
            };
            cells.push((column, held));
        }
        Ok(Self(cells))
    }
}

fn asked_for(expression: &Expression, columns: &mut Vec<Column>) {
    match expression {
        Expression::Not(inner) => asked_for(inner, columns),
        Expression::All(parts) | Expression::Any(parts) => parts.iter().for_each(|part| asked_for(part, columns)),
        Expression::Present(source) | Expression::Member(source, _) | Expression::Test(source, _) => {
            let both = [Column::Type, Column::Id];
            let asked = match source {
                Source::Column(column) => std::slice::from_ref(column),
                Source::Filter => &both,
            };
            for column in asked {
                if !columns.contains(column) {
                    columns.push(column.clone());
                }
            }
        }
        Expression::Always(_) | Expression::Unknown(_) => {}
    }
}

struct RowOf<'b> {
    cells: &'b Cells<'b>,
    row: usize,
}

impl Row for RowOf<'_> {
    fn each(&self, column: &Column, found: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        let (_, held) = self.cells.0.iter().find(|(one, _)| one == column)?;
        let value = match held {
            Held::Absent => None,
            Held::Constant(value) => Some(*value),
            Held::Array(array) => cell(*array, self.row),
        };
        Some(value.is_some_and(|value| !value.is_empty() && found(value)))
    }
}

fn is_readable(array: &dyn Array) -> bool {
    let texts = |array: &dyn Array| {
        array.as_string_opt::<i32>().is_some()
            || array.as_string_opt::<i64>().is_some()
            || array.as_string_view_opt().is_some()
    };
    texts(array)
        || array.as_boolean_opt().is_some()
        || array.as_any_dictionary_opt().is_some_and(|one| texts(one.values().as_ref()))
}

/// A cell as a text, if it holds one. What stands in an invalid cell is arbitrary.
fn cell(array: &dyn Array, row: usize) -> Option<&str> {
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    if let Some(texts) = array.as_string_opt::<i32>() {
        Some(texts.value(row))
    } else if let Some(texts) = array.as_string_opt::<i64>() {
        Some(texts.value(row))
    } else if let Some(texts) = array.as_string_view_opt() {
        Some(texts.value(row))
    } else if let Some(values) = array.as_boolean_opt() {
        Some(if values.value(row) { "true" } else { "false" })
    } else {
        let key = key(array, row)?;
        cell(array.as_any_dictionary_opt()?.values().as_ref(), key)
    }
}

fn key(array: &dyn Array, row: usize) -> Option<usize> {
    macro_rules! keys {
        ($($type:ty),+) => {
            $(if let Some(dictionary) = array.as_dictionary_opt::<$type>() {
                return dictionary.key(row);
            })+
        };
    }
    keys!(Int32Type, Int8Type, Int16Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type);
    None
}
