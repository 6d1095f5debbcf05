//! CSV that need not fit into memory: one row at a time, read twice.

use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, Write};

use super::access::RawTables;
use super::checked::unique_columns;
use super::csv::{Parser, Record, RowLimits, Writer};
use super::error::ReduceError;
use super::identity::Identity;
use super::options::Options;
use super::reduction::Reduction;
use super::table::judge_row;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Rows, without the header.
    pub rows: u64,
}

impl Reduction {
    /// Reduces CSV from `input` to `output`, with one row in memory at a time.
    ///
    /// The input is read twice, from its beginning: all of it is checked, and strict exclusion decided, before the first
    /// byte is written. If it changes in between, every row is still judged as it is when it is written.
    ///
    /// # Errors
    /// As [`Reduction::apply`]; `bad_csv` if any row is; [`ReduceError::Unavailable`] if reading or writing fails.
    pub fn apply_csv(&self, input: impl Read + Seek, output: impl Write) -> Result<Written, ReduceError> {
        let mut input = BufReader::new(input);
        self.check_csv(&mut input)?;
        self.write_csv(&mut input, output)
    }

    fn check_csv(&self, input: &mut (impl BufRead + Seek)) -> Result<(), ReduceError> {
        let mut rows = Rows::new(input)?;
        let binding = self.bind(rows.header()?.iter().map(String::as_str))?;
        let mut survey = self.survey();
        while let Some(row) = rows.next()? {
            judge_row(self, &binding, |column| Some(row.cell(column)), survey.found());
        }
        survey.admit()?;
        Ok(())
    }

    fn write_csv(&self, input: &mut (impl BufRead + Seek), output: impl Write) -> Result<Written, ReduceError> {
        let mut rows = Rows::new(input)?;
        let header = rows.header()?;
        let binding = self.bind(header.iter().map(String::as_str))?;
        let mut writer = Writer::new(BufWriter::new(output));
        let names = binding.kept.iter().filter_map(|&column| header.get(column)).map(String::as_str);
        writer.write(names).map_err(ReduceError::Unavailable)?;
        let mut written = Written { rows: 0 };
        let mut ignored = vec![false; self.fields().len()];
        while let Some(row) = rows.next()? {
            if judge_row(self, &binding, |column| Some(row.cell(column)), &mut ignored) {
                let cells = binding.kept.iter().map(|&column| row.cell(column));
                writer.write(cells).map_err(ReduceError::Unavailable)?;
                written.rows = written.rows.saturating_add(1);
            }
        }
        writer.flush().map_err(ReduceError::Unavailable)?;
        Ok(written)
    }
}

/// Reduces CSV in one call, with all errors in the documented order: `no_user`, then `bad_csv` of the access tables and of
/// the data, then the other errors of the access tables, and only then who is refused.
///
/// ```
/// use std::io::Cursor;
/// use qsec_authz::section::{Identity, Options, reduce_csv};
///
/// let access = ["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"];
/// let data = Cursor::new("REGION,SALES\nNORTH,1\nSOUTH,2\n");
/// let mut mine = Vec::new();
/// let (reduction, written) = reduce_csv(access, Options::new(), Identity::user("ana"), data, &mut mine)?;
/// assert_eq!(mine, b"REGION,SALES\nNORTH,1\n");
/// assert_eq!((written.rows, reduction.level().as_str()), (1, "USER"));
/// # Ok::<(), qsec_authz::section::ReduceError>(())
/// ```
///
/// # Errors
/// All of [`SectionAccess::parse_with`](super::SectionAccess::parse_with),
/// [`SectionAccess::check_columns`](super::SectionAccess::check_columns),
/// [`CheckedAccess::reduction`](super::CheckedAccess::reduction) and [`Reduction::apply_csv`]. Nothing is written then, unless
/// writing itself fails, or the input changes while it is read.
pub fn reduce_csv(
    access: impl IntoIterator<Item = impl AsRef<str>>,
    options: Options,
    identity: impl Into<Identity>,
    input: impl Read + Seek,
    output: impl Write,
) -> Result<(Reduction, Written), ReduceError> {
    let identity = identity.into();
    if identity.is_empty() {
        return Err(ReduceError::NoUser);
    }
    let raw = RawTables::read(access, options)?;
    let mut input = BufReader::new(input);
    let header = Rows::new(&mut input)?.header()?;
    let reduction = match reduction(raw, &header, identity) {
        Ok(reduction) => reduction,
        Err(error) => {
            // A row that is no row comes before everything but the access tables' own.
            let mut rows = Rows::new(&mut input)?;
            while rows.next()?.is_some() {}
            return Err(error);
        }
    };
    reduction.check_csv(&mut input)?;
    let written = reduction.write_csv(&mut input, output)?;
    Ok((reduction, written))
}

fn reduction(raw: RawTables, header: &[String], identity: Identity) -> Result<Reduction, ReduceError> {
    raw.check_names()?;
    unique_columns(header)?;
    raw.build()?.check_columns(header)?.reduction(identity)
}

/// The columns of CSV data: reads the first row, and leaves `input` somewhere behind it.
///
/// # Errors
/// `bad_csv` if there is no header or it is no row; [`ReduceError::Unavailable`] if reading fails.
///
/// ```
/// use qsec_authz::section::csv_columns;
///
/// assert_eq!(csv_columns("Region,Sales\nNORTH,1\n".as_bytes())?, ["Region", "Sales"]);
/// # Ok::<(), qsec_authz::section::ReduceError>(())
/// ```
pub fn csv_columns(input: impl Read) -> Result<Vec<String>, ReduceError> {
    Rows::reading(&mut BufReader::new(input)).header()
}

/// The rows of a stream.
struct Rows<'i, I> {
    input: &'i mut I,
    parser: Parser,
    at_end: bool,
}

impl<'i, I: BufRead + Seek> Rows<'i, I> {
    /// Begins at the beginning.
    fn new(input: &'i mut I) -> Result<Self, ReduceError> {
        input.rewind().map_err(ReduceError::Unavailable)?;
        Ok(Self::reading(input))
    }
}

impl<'i, I: BufRead> Rows<'i, I> {
    fn reading(input: &'i mut I) -> Self {
        Self { input, parser: Parser::new(RowLimits::DATA), at_end: false }
    }

    fn header(&mut self) -> Result<Vec<String>, ReduceError> {
        // A text without any row is `bad_csv` already.
        Ok(self.next()?.map(|row| row.cells().map(str::to_owned).collect()).unwrap_or_default())
    }

    fn next(&mut self) -> Result<Option<Record<'_>>, ReduceError> {
        while !self.at_end {
            let input = match self.input.fill_buf() {
                Ok(input) => input,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(ReduceError::Unavailable(error)),
            };
            if input.is_empty() {
                self.at_end = true;
                return Ok(self.parser.finish()?.then(|| self.parser.record()));
            }
            let progress = self.parser.feed(input)?;
            self.input.consume(progress.used);
            if progress.record {
                return Ok(Some(self.parser.record()));
            }
        }
        Ok(None)
    }
}
