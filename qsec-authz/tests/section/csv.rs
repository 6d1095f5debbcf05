//! The reader: strict, bounded, and of one mind with another reader about everything that it accepts.

use std::io::{Cursor, Read, Seek, SeekFrom};

use proptest::prelude::*;
use qsec_authz::section::{CsvError, MAX_DATA_COLUMNS, MAX_RECORD_BYTES, SectionAccess, Table, csv_columns};

fn error(text: &str) -> CsvError {
    Table::parse_csv(text).unwrap_err()
}

#[test]
fn a_table_without_header_is_refused() {
    for text in ["", "\n\n", "\r\n", "\u{feff}", "\u{feff}\n"] {
        assert_eq!(error(text), CsvError::NoHeader, "{text:?}");
    }
}

#[test]
fn a_quote_left_open_is_refused_at_its_place() {
    assert_eq!(error("A,B\nx,\"y\nz"), CsvError::UnclosedQuote { line: 2, column: 3 });
    assert_eq!(error("é,\""), CsvError::UnclosedQuote { line: 1, column: 3 });
}

#[test]
fn a_stray_quote_is_refused() {
    assert_eq!(error("A\nx\"y\n"), CsvError::StrayQuote { line: 2, column: 2 });
    assert_eq!(error("A\n\"x\"y\n"), CsvError::StrayQuote { line: 2, column: 4 });
    assert_eq!(error("A\n \"x\"\n"), CsvError::StrayQuote { line: 2, column: 2 });
}

#[test]
fn a_lone_carriage_return_is_refused() {
    assert_eq!(error("A\rB\n"), CsvError::StrayReturn { line: 1, column: 2 });
    assert_eq!(error("A\n\"x\"\r"), CsvError::StrayReturn { line: 2, column: 4 });
}

#[test]
fn a_row_of_another_length_is_refused_with_its_first_line() {
    assert_eq!(error("A,B\n\n\"1\n1\",2\nx\n"), CsvError::Ragged { line: 5, expected: 2, found: 1 });
    assert_eq!(error("A\n\"1\n1\",2\n"), CsvError::Ragged { line: 2, expected: 1, found: 2 });
}

#[test]
fn cells_that_are_not_utf8_are_refused() {
    // The two halves of `é` in two cells are valid only together.
    for bytes in [b"A,B\n\xff,x\n".as_slice(), b"A,B\n\xc3,\xa9\n"] {
        assert_eq!(Table::parse_csv(bytes).unwrap_err(), CsvError::NotUtf8 { line: 2 });
    }
}

#[test]
fn what_every_tool_writes_is_read() {
    let table = Table::parse_csv("\u{feff}\"A\",B\r\n\r\n1,\"2\r\n\"\"3\"\r\n\n\"\",").unwrap();
    assert_eq!(table.columns().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(
        (table.rows(), table.cell(0, 1), table.cell(1, 0), table.cell(1, 1)),
        (2, Some("2\r\n\"3"), Some(""), Some(""))
    );
    assert_eq!(Table::parse_csv("A\n\"\"\n").unwrap().rows(), 1);
}

#[test]
fn rows_beyond_the_budget_are_refused() {
    let wide = ",".repeat(MAX_DATA_COLUMNS);
    assert_eq!(error(&wide).code(), "too_large");
    assert_eq!(Table::parse_csv(&wide[1..]).unwrap().columns().count(), MAX_DATA_COLUMNS);
    let long = "x".repeat(MAX_RECORD_BYTES + 1);
    assert_eq!(error(&long), CsvError::TooLarge { line: 1, limit: MAX_RECORD_BYTES, unit: "bytes" });
}

/// Gives one byte at a time, with interruptions.
struct Trickle<'a>(Cursor<&'a [u8]>, bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

impl Seek for Trickle<'_> {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(position)
    }
}

#[test]
fn pieces_of_any_size_make_the_same_rows() {
    let text = "\u{feff}REGION,\"é\"\"\"\r\nNORTH,\"a\r\nb\"\r\n";
    assert_eq!(csv_columns(Trickle(Cursor::new(text.as_bytes()), false)).unwrap(), ["REGION", "é\""]);
    let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH"]).unwrap();
    let reduction =
        access.check_columns(["REGION", "é\""]).unwrap().reduction(qsec_authz::section::Identity::user("ana")).unwrap();
    let mut output = Vec::new();
    reduction.apply_csv(Trickle(Cursor::new(text.as_bytes()), false), &mut output).unwrap();
    assert_eq!(String::from_utf8(output).unwrap(), "REGION,\"é\"\"\"\nNORTH,\"a\r\nb\"\n");
}

/// Text that is made of what matters to a reader.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b",",
        b"\"",
        b"\n",
        b"\r\n",
        b"\r",
        b"a",
        b"\"\"",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xff",
        b"*",
        b"\0",
        b"ACCESS",
        b"USERID",
        b"USER",
        b"\xc3\x9f",
        b" ",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_text_never_panics_and_accepted_text_survives_writing(text in hostile()) {
        if let Ok(access) = std::str::from_utf8(&text)
            && let Ok(access) = SectionAccess::parse([access])
        {
            let _ = access.check_columns(["a"]);
        }
        if let Ok(table) = Table::parse_csv(&text) {
            prop_assert_eq!(Table::parse_csv(table.to_csv()).unwrap(), table);
        }
    }

    #[test]
    fn another_reader_reads_the_same_from_accepted_text(text in hostile()) {
        let Ok(table) = Table::parse_csv(&text) else { return Ok(()) };
        let mut other = csv::Reader::from_reader(text.as_slice());
        let header: Vec<String> = other.headers().unwrap().iter().map(str::to_owned).collect();
        prop_assert_eq!(table.columns().collect::<Vec<_>>(), header);
        for (row, record) in other.records().enumerate() {
            let record: Vec<String> = record.unwrap().iter().map(str::to_owned).collect();
            let own: Vec<&str> = (0..record.len()).filter_map(|column| table.cell(row, column)).collect();
            prop_assert_eq!(own, record);
        }
        prop_assert_eq!(csv::Reader::from_reader(text.as_slice()).records().count(), table.rows());
    }
}
