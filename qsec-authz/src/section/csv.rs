//! Reading and writing comma-separated values: RFC 4180 taken strictly, in bounded memory, without input or output of its own.
//!
//! An access table decides what people see, so a file that two readers could understand differently is refused: a quote
//! inside an unquoted cell, text behind a closing quote, a lone carriage return, rows of different lengths. Tolerated are
//! what every tool writes: a byte-order mark, LF for CRLF, wholly empty lines, no line end after the last row.
#![deny(clippy::arithmetic_side_effects)]

use std::io::{self, Write};

use thiserror::Error;

/// Bytes of one row of data. A row is the most that a stream holds in memory; 16 MiB is above any cell that a database exports as text.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// Columns of a table of data: above the widest tables of the databases that the outputs speak to (SQLite allows 2,000, PostgreSQL 1,600).
pub const MAX_DATA_COLUMNS: usize = 16_384;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why a text is not a table.
///
/// ```
/// use qsec_authz::section::{CsvError, Table};
///
/// let error = Table::parse_csv("REGION,SALES\nNORTH\n").unwrap_err();
/// assert!(matches!(error, CsvError::Ragged { line: 2, expected: 2, found: 1 }));
/// assert_eq!(error.code(), "bad_csv");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CsvError {
    /// There is no row at all.
    #[error("there is no header row")]
    NoHeader,
    /// The text ends inside a quoted cell.
    #[error("line {line}, column {column}: this quote is never closed")]
    UnclosedQuote {
        /// Line of the opening quote, from 1.
        line: u64,
        /// Character of the opening quote within its line, from 1.
        column: u64,
    },
    /// A quote stands inside an unquoted cell, or text stands behind a closing quote.
    #[error("line {line}, column {column}: a quote that neither opens nor ends a cell")]
    StrayQuote {
        /// Line, from 1.
        line: u64,
        /// Character within the line, from 1.
        column: u64,
    },
    /// A carriage return outside quotes is not followed by a line feed.
    #[error("line {line}, column {column}: a carriage return without a line feed")]
    StrayReturn {
        /// Line, from 1.
        line: u64,
        /// Character within the line, from 1.
        column: u64,
    },
    /// A row has another number of cells than the header.
    #[error("line {line}: {found} cells, but the header has {expected}")]
    Ragged {
        /// Line on which the row begins, from 1.
        line: u64,
        /// Cells of the header.
        expected: usize,
        /// Cells of this row.
        found: usize,
    },
    /// A cell is not UTF-8.
    #[error("line {line}: not valid UTF-8")]
    NotUtf8 {
        /// Line on which the row begins, from 1.
        line: u64,
    },
    /// A row is longer, or has more cells, than the reader takes.
    #[error("line {line}: more than {limit} {unit} in a row")]
    TooLarge {
        /// Line on which the row begins, from 1.
        line: u64,
        /// The bound that was passed.
        limit: usize,
        /// What it counts.
        unit: &'static str,
    },
}

impl CsvError {
    /// The stable name of the error: `bad_csv`, or `too_large` for a budget.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NoHeader
            | Self::UnclosedQuote { .. }
            | Self::StrayQuote { .. }
            | Self::StrayReturn { .. }
            | Self::Ragged { .. }
            | Self::NotUtf8 { .. } => "bad_csv",
        }
    }

    /// Where the error is, as `(line, column)`; the column is known for quotes and carriage returns only.
    pub fn position(&self) -> Option<(u64, Option<u64>)> {
        match *self {
            Self::NoHeader => None,
            Self::UnclosedQuote { line, column }
            | Self::StrayQuote { line, column }
            | Self::StrayReturn { line, column } => Some((line, Some(column))),
            Self::Ragged { line, .. } | Self::NotUtf8 { line } | Self::TooLarge { line, .. } => Some((line, None)),
        }
    }
}

/// What a reader takes of one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLimits {
    pub(super) columns: usize,
    pub(super) bytes: usize,
}

impl RowLimits {
    pub(super) const DATA: Self = Self { columns: MAX_DATA_COLUMNS, bytes: MAX_RECORD_BYTES };
}

/// One row, valid until the next one is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    text: &'a str,
    ends: &'a [usize],
    /// Line on which the row begins, from 1.
    pub(super) line: u64,
}

impl<'a> Record<'a> {
    pub(super) fn cells(self) -> impl Iterator<Item = &'a str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends).map(move |(start, &end)| self.text.get(start..end).unwrap_or_default())
    }

    /// The cell at `index`; empty when there is none, which a row of the header's length does not have.
    pub(super) fn cell(self, index: usize) -> &'a str {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let cell = start.zip(self.ends.get(index)).and_then(|(start, &end)| self.text.get(start..end));
        cell.unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This many bytes of a byte-order mark have been seen at the start of the text.
    Mark(usize),
    CellStart,
    Plain,
    Quoted,
    /// Behind a quote inside a quoted cell: the end of the cell, or the first half of a doubled quote.
    QuoteInQuoted,
    /// Behind a carriage return outside quotes.
    Return,
}

/// How far a parser got with a piece of text.
pub(super) struct Progress {
    pub(super) used: usize,
    pub(super) record: bool,
}

/// The reader's state between pieces of text: one row, at most.
#[derive(Debug)]
pub(super) struct Parser {
    limits: RowLimits,
    state: State,
    bytes: Vec<u8>,
    text: String,
    ends: Vec<usize>,
    width: Option<usize>,
    /// A quote was opened in this row, so it is a row even if it is empty.
    quoted: bool,
    /// The row is whole, and is forgotten when reading goes on.
    complete: bool,
    line: u64,
    column: u64,
    record_line: u64,
    opened: (u64, u64),
}

impl Parser {
    pub(super) fn new(limits: RowLimits) -> Self {
        Self {
            limits,
            state: State::Mark(0),
            bytes: Vec::new(),
            text: String::new(),
            ends: Vec::new(),
            width: None,
            quoted: false,
            complete: false,
            line: 1,
            column: 0,
            record_line: 1,
            opened: (1, 1),
        }
    }

    /// Reads `input` up to the end of the next row, or all of it.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<Progress, CsvError> {
        self.forget();
        let mut used = 0_usize;
        for &byte in input {
            used = used.saturating_add(1);
            if self.step(byte)? {
                return Ok(Progress { used, record: true });
            }
        }
        Ok(Progress { used, record: false })
    }

    /// Ends the text: true if it held one more row, without a line end.
    pub(super) fn finish(&mut self) -> Result<bool, CsvError> {
        self.forget();
        match self.state {
            State::Quoted => {
                let (line, column) = self.opened;
                return Err(CsvError::UnclosedQuote { line, column });
            }
            State::Return => return Err(CsvError::StrayReturn { line: self.line, column: self.column }),
            State::Mark(seen) => self.restore_mark(seen)?,
            State::CellStart | State::Plain | State::QuoteInQuoted => {}
        }
        let record = self.end_record()?;
        if self.width.is_none() { Err(CsvError::NoHeader) } else { Ok(record) }
    }

    /// The row that `feed` or `finish` has just completed.
    pub(super) fn record(&self) -> Record<'_> {
        Record { text: &self.text, ends: &self.ends, line: self.record_line }
    }

    /// Takes one byte: true if it completes a row.
    fn step(&mut self, byte: u8) -> Result<bool, CsvError> {
        // Continuation bytes of UTF-8 do not begin a character.
        if byte & 0xc0 != 0x80 {
            self.column = self.column.saturating_add(1);
        }
        match (self.state, byte) {
            (State::Mark(seen), _) => return self.step_mark(seen, byte),
            (State::Quoted, b'"') => self.state = State::QuoteInQuoted,
            (State::Quoted, _) => {
                if byte == b'\n' {
                    self.next_line();
                }
                self.push(byte)?;
            }
            (State::QuoteInQuoted, b'"') => {
                self.push(byte)?;
                self.state = State::Quoted;
            }
            (State::CellStart, b'"') => {
                self.quoted = true;
                self.opened = (self.line, self.column);
                self.state = State::Quoted;
            }
            (State::Return | State::CellStart | State::Plain | State::QuoteInQuoted, b'\n') => {
                let record = self.end_record()?;
                self.next_line();
                if !record {
                    self.record_line = self.line;
                }
                return Ok(record);
            }
            (State::Return, _) => {
                return Err(CsvError::StrayReturn { line: self.line, column: self.column.saturating_sub(1) });
            }
            (State::CellStart | State::Plain | State::QuoteInQuoted, b'\r') => self.state = State::Return,
            (State::CellStart | State::Plain | State::QuoteInQuoted, b',') => {
                self.end_cell()?;
                self.state = State::CellStart;
            }
            (State::Plain, b'"') | (State::QuoteInQuoted, _) => {
                return Err(CsvError::StrayQuote { line: self.line, column: self.column });
            }
            (State::CellStart | State::Plain, _) => {
                self.push(byte)?;
                self.state = State::Plain;
            }
        }
        Ok(false)
    }

    fn step_mark(&mut self, seen: usize, byte: u8) -> Result<bool, CsvError> {
        if BYTE_ORDER_MARK.get(seen) == Some(&byte) {
            let seen = seen.saturating_add(1);
            self.state = if seen == BYTE_ORDER_MARK.len() { State::CellStart } else { State::Mark(seen) };
            self.column = 0;
            return Ok(false);
        }
        self.restore_mark(seen)?;
        self.column = 0;
        self.step(byte)
    }

    /// What looked like a byte-order mark was the beginning of a cell.
    fn restore_mark(&mut self, seen: usize) -> Result<(), CsvError> {
        self.state = if seen == 0 { State::CellStart } else { State::Plain };
        BYTE_ORDER_MARK.iter().take(seen).try_for_each(|&byte| self.push(byte))
    }

    fn push(&mut self, byte: u8) -> Result<(), CsvError> {
        if self.bytes.len() >= self.limits.bytes {
            let limit = self.limits.bytes;
            return Err(CsvError::TooLarge { line: self.record_line, limit, unit: "bytes" });
        }
        self.bytes.push(byte);
        Ok(())
    }

    fn end_cell(&mut self) -> Result<(), CsvError> {
        if self.ends.len() >= self.limits.columns {
            let limit = self.limits.columns;
            return Err(CsvError::TooLarge { line: self.record_line, limit, unit: "cells" });
        }
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Ends the row: false if it was a wholly empty line, which is no row.
    fn end_record(&mut self) -> Result<bool, CsvError> {
        self.state = State::CellStart;
        if self.ends.is_empty() && self.bytes.is_empty() && !self.quoted {
            return Ok(false);
        }
        self.end_cell()?;
        let line = self.record_line;
        let (expected, found) = (*self.width.get_or_insert(self.ends.len()), self.ends.len());
        if expected != found {
            return Err(CsvError::Ragged { line, expected, found });
        }
        self.text = String::from_utf8(std::mem::take(&mut self.bytes)).map_err(|_| CsvError::NotUtf8 { line })?;
        // Two halves of a character in neighbouring cells are valid only once they are glued together.
        if !self.ends.iter().all(|&end| self.text.is_char_boundary(end)) {
            return Err(CsvError::NotUtf8 { line });
        }
        self.complete = true;
        Ok(true)
    }

    /// Forgets the row that was completed, and keeps its memory.
    fn forget(&mut self) {
        if self.complete {
            self.bytes = std::mem::take(&mut self.text).into_bytes();
            self.bytes.clear();
            self.ends.clear();
            self.quoted = false;
            self.complete = false;
            self.record_line = self.line;
        }
    }

    fn next_line(&mut self) {
        self.line = self.line.saturating_add(1);
        self.column = 0;
    }
}

/// Hands every row of `text` to `take`, the header first.
pub(super) fn read_all<E: From<CsvError>>(
    text: &[u8],
    limits: RowLimits,
    mut take: impl FnMut(Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut parser = Parser::new(limits);
    let mut rest = text;
    loop {
        let progress = parser.feed(rest)?;
        rest = rest.get(progress.used..).unwrap_or_default();
        if progress.record {
            take(parser.record())?;
        } else {
            return if parser.finish()? { take(parser.record()) } else { Ok(()) };
        }
    }
}

/// Writes rows that end in LF, with quotes only where a reader would otherwise see something else.
#[derive(Debug)]
pub(super) struct Writer<W> {
    output: W,
    at_start: bool,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, at_start: true }
    }

    pub(super) fn write<'a>(&mut self, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let mut cells = cells.peekable();
        let mut first = true;
        while let Some(cell) = cells.next() {
            if !first {
                self.output.write_all(b",")?;
            }
            // A single empty cell would be a wholly empty line, and a leading U+FEFF would be a byte-order mark.
            let vanishes =
                first && (self.at_start && cell.starts_with('\u{feff}') || cell.is_empty() && cells.peek().is_none());
            if vanishes || cell.contains(['"', ',', '\r', '\n']) {
                write!(self.output, "\"{}\"", cell.replace('"', "\"\""))?;
            } else {
                self.output.write_all(cell.as_bytes())?;
            }
            first = false;
        }
        self.at_start = false;
        self.output.write_all(b"\n")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
