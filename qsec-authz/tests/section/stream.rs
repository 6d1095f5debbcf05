//! CSV by streams: checked as a whole before anything is written.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use qsec_authz::section::{Identity, ReduceError, Reduction, SectionAccess};

fn reduction() -> Reduction {
    let access = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"]).unwrap();
    access.check_columns(["REGION", "V"]).unwrap().reduction(Identity::user("ana")).unwrap()
}

#[test]
fn nothing_is_written_when_the_last_row_is_bad() {
    let data = "REGION,V\n".to_owned() + &"NORTH,1\n".repeat(100_000) + "NORTH\n";
    let mut output = Vec::new();
    let error = reduction().apply_csv(Cursor::new(data), &mut output).unwrap_err();
    assert_eq!((error.code(), output.len()), ("bad_csv", 0));
}

#[test]
fn nothing_is_written_for_an_excluded_user() {
    let mut output = Vec::new();
    let error = reduction().apply_csv(Cursor::new("REGION,V\nSOUTH,1\n"), &mut output).unwrap_err();
    assert_eq!((error.code(), output.len()), ("excluded", 0));
}

#[test]
fn rows_are_counted() {
    let data = "REGION,V\n".to_owned() + &"NORTH,1\nSOUTH,2\n".repeat(1_000);
    let written = reduction().apply_csv(Cursor::new(data), io::sink()).unwrap();
    assert_eq!(written.rows, 1_000);
}

/// A file that is replaced once it has been read to its end.
struct Replaced {
    now: Cursor<&'static str>,
    then: &'static str,
}

impl Read for Replaced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.now.read(buffer)
    }
}

impl Seek for Replaced {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        if self.now.position() > 0 {
            self.now = Cursor::new(self.then);
        }
        self.now.seek(position)
    }
}

#[test]
fn rows_of_a_file_that_changes_are_judged_as_they_are_written() {
    let swapped = |then| Replaced { now: Cursor::new("REGION,V\nNORTH,1\n"), then };
    let mut output = Vec::new();
    reduction().apply_csv(swapped("REGION,V\nSOUTH,2\nNORTH,3\n"), &mut output).unwrap();
    assert_eq!(output, b"REGION,V\nNORTH,3\n");
    let error = reduction().apply_csv(swapped("V,COST\nNORTH,3\n"), io::sink()).unwrap_err();
    assert_eq!(error.code(), "schema_changed");
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failing_output_is_reported_with_its_source() {
    let error = reduction().apply_csv(Cursor::new("REGION,V\nNORTH,1\n"), Full).unwrap_err();
    assert!(matches!(&error, ReduceError::Unavailable(source) if source.kind() == io::ErrorKind::StorageFull));
    assert_eq!(error.code(), "unavailable");
}
