//! A table of texts in memory.

use std::io::{self, Write};

use super::checked::CheckedAccess;
use super::csv::{CsvError, RowLimits, Writer, read_all};
use super::error::ReduceError;
use super::options::DataCase;
use super::reduction::sealed::{Data, Judged};
use super::reduction::{Binding, Reducible, Reduction, Verdict};

/// Bytes of a table in memory. What is larger goes through [`Reduction::apply_csv`], which holds one row at a time.
pub const MAX_TABLE_BYTES: usize = 1 << 30;

/// A table of texts, in memory.
///
/// It is read from RFC 4180 CSV, taken strictly, and written with LF line ends and quotes only where needed. Cells are
/// never changed.
///
/// ```
/// use qsec_authz::section::Table;
///
/// let table = Table::parse_csv("\u{feff}NAME,NOTE\r\nana,\"say \"\"hi\"\"\"\r\n\r\nbob,\"\"\r\n")?;
/// assert_eq!(table.columns().collect::<Vec<_>>(), ["NAME", "NOTE"]);
/// assert_eq!((table.rows(), table.cell(0, 1)), (2, Some("say \"hi\"")));
/// assert_eq!(table.to_csv(), "NAME,NOTE\nana,\"say \"\"hi\"\"\"\nbob,\n");
/// # Ok::<(), qsec_authz::section::CsvError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    columns: Vec<String>,
    /// All cells, glued together.
    text: String,
    /// Where each cell ends, row by row.
    ends: Vec<usize>,
}

impl Table {
    /// Reads CSV text: UTF-8, the first row is the header.
    ///
    /// # Errors
    /// Any [`CsvError`].
    pub fn parse_csv(text: impl AsRef<[u8]>) -> Result<Self, CsvError> {
        let text = text.as_ref();
        if text.len() > MAX_TABLE_BYTES {
            return Err(CsvError::TooLarge { line: 1, limit: MAX_TABLE_BYTES, unit: "bytes" });
        }
        let mut header: Option<Vec<String>> = None;
        let mut table = Self { columns: Vec::new(), text: String::new(), ends: Vec::new() };
        read_all(text, RowLimits::DATA, |record| -> Result<(), CsvError> {
            if header.is_none() {
                header = Some(record.cells().map(str::to_owned).collect());
            } else {
                table.push(record.cells());
            }
            Ok(())
        })?;
        table.columns = header.ok_or(CsvError::NoHeader)?;
        Ok(table)
    }

    fn push<'a>(&mut self, cells: impl Iterator<Item = &'a str>) {
        for cell in cells {
            self.text.push_str(cell);
            self.ends.push(self.text.len());
        }
    }

    /// Writes CSV: rows end in LF, cells are quoted only where needed.
    ///
    /// # Errors
    /// What `output` says.
    pub fn write_csv(&self, output: impl Write) -> io::Result<()> {
        let mut writer = Writer::new(output);
        writer.write(self.columns())?;
        for row in 0..self.rows() {
            writer.write((0..self.columns.len()).map(|column| self.cell(row, column).unwrap_or_default()))?;
        }
        writer.flush()
    }

    /// The table as CSV text.
    pub fn to_csv(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail, and cells are UTF-8.
        self.write_csv(&mut text).ok().and_then(|()| String::from_utf8(text).ok()).unwrap_or_default()
    }

    /// The names of the columns, in their order.
    pub fn columns(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.iter().map(String::as_str)
    }

    /// The number of rows, without the header.
    pub fn rows(&self) -> usize {
        self.ends.len() / self.columns.len().max(1)
    }

    /// The cell in this row and column, both from 0.
    pub fn cell(&self, row: usize, column: usize) -> Option<&str> {
        if column >= self.columns.len() {
            return None;
        }
        let index = row.checked_mul(self.columns.len())?.checked_add(column)?;
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..end)
    }
}

impl Reducible for Table {
    fn row_count(&self) -> usize {
        self.rows()
    }
}

#[expect(private_interfaces, reason = "the trait is sealed by being unnameable")]
impl Data for Table {
    type Mask = Vec<bool>;

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns()
    }

    fn judge(&self, reduction: &Reduction, binding: &Binding) -> Result<Judged<Vec<bool>>, ReduceError> {
        let mut found = vec![false; reduction.fields().len()];
        let judge = |row| judge_row(reduction, binding, |column| self.cell(row, column), &mut found);
        let mask = (0..self.rows()).map(judge).collect();
        Ok(Judged { found, mask })
    }

    fn keep(&self, binding: &Binding, mask: &Vec<bool>) -> Result<Self, ReduceError> {
        let columns = binding.kept.iter().filter_map(|&index| self.columns.get(index)).cloned().collect();
        let mut kept = Self { columns, text: String::new(), ends: Vec::new() };
        for (row, _) in mask.iter().enumerate().filter(|(_, visible)| **visible) {
            kept.push(binding.kept.iter().map(|&column| self.cell(row, column).unwrap_or_default()));
        }
        Ok(kept)
    }
}

/// Whether a row of texts is visible; `found` learns which fields had a listed cell. A missing cell hides the row.
pub(super) fn judge_row<'a>(
    reduction: &Reduction,
    binding: &Binding,
    cell: impl Fn(usize) -> Option<&'a str>,
    found: &mut [bool],
) -> bool {
    let mut visible = true;
    for ((field, &column), found) in reduction.fields().iter().zip(&binding.fields).zip(found) {
        let text = cell(column);
        let verdict = match text {
            None => Verdict::Hidden,
            Some(_) if text == reduction.null_text() => field.judge(None),
            Some(_) => field.judge(text),
        };
        visible &= verdict != Verdict::Hidden;
        *found |= verdict == Verdict::Listed;
    }
    visible
}

/// How many values of a column a `*` does not reach, because no row of the access tables lists them.
///
/// ```
/// use qsec_authz::section::{SectionAccess, Table};
///
/// let data = Table::parse_csv("REGION\nNORTH\nWEST\nWEST\n")?;
/// let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,CAT,*\nUSER,ANA,NORTH\n"])?;
/// let unreached = access.check_columns(data.columns())?.unreached(&data);
/// assert_eq!((unreached[0].column(), unreached[0].values()), ("REGION", 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    column: String,
    values: usize,
}

impl Unreached {
    /// The column, as the data spells it.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Distinct values of the data that are listed nowhere; NULL and empty cells are no values.
    pub fn values(&self) -> usize {
        self.values
    }
}

impl CheckedAccess {
    /// For each column in which some row of the access tables has `*`, how many values of the data it does not reach.
    pub fn unreached(&self, data: &Table) -> Vec<Unreached> {
        let options = self.options();
        let unreached = |(name, listed): (&str, super::values::ValueSet)| {
            let column = data.columns().position(|column| column == name)?;
            let cells = (0..data.rows()).filter_map(|row| data.cell(row, column));
            let values = cells.filter(|cell| !cell.is_empty() && options.null_text.as_deref() != Some(*cell));
            let foreign: std::collections::HashSet<String> = values
                .map(|cell| if options.data_case == DataCase::Upper { cell.to_uppercase() } else { cell.to_owned() })
                .filter(|value| !listed.contains(value))
                .collect();
            Some(Unreached { column: name.to_owned(), values: foreign.len() })
        };
        self.starred().filter_map(unreached).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let tricky = "A\n\"\"\n\"a,b\"\n\"c\"\"d\"\n\"e\nf\"\n\"\r\"\n\u{feff}x\n";
        let table = Table::parse_csv(tricky).unwrap();
        assert_eq!((table.rows(), table.cell(0, 0), table.cell(4, 0)), (6, Some(""), Some("\r")));
        assert_eq!(table.to_csv(), tricky);
        let marked = Table::parse_csv("\u{feff}\u{feff}A,B\n").unwrap();
        assert_eq!(marked.columns().next(), Some("\u{feff}A"));
        assert_eq!(Table::parse_csv(marked.to_csv()).unwrap(), marked);
    }

    #[test]
    fn there_is_no_cell_outside_the_table() {
        let table = Table::parse_csv("A,B\n1,2\n3,4\n").unwrap();
        assert_eq!(table.cell(1, 1), Some("4"));
        assert_eq!((table.cell(0, 2), table.cell(2, 0), table.cell(usize::MAX, 1)), (None, None, None));
    }
}
