//! Access tables and data of strangers: whatever reduces them, the same rows remain, and they can be read again.

use std::io::Cursor;

use qsec_authz::section::{
    DataCase, EmptyRows, Exclusion, Identity, NullRows, Options, ReduceError, SectionAccess, Table, reduce_csv,
};

/// What ends a table: the record separator of ASCII.
const SEPARATOR: char = '\u{1e}';

/// The first byte chooses the options; the last table is the data, the others are access tables.
pub fn check(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut access: Vec<&str> = text.split(SEPARATOR).collect();
    let data = access.pop().unwrap_or_default();
    if access.is_empty() {
        // A table alone is tried as both.
        reduces_alike(&["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"], data, *choice);
        reduces_alike(&[data], "REGION,AMOUNT\nNORTH,1\nSOUTH,2\n", *choice);
    } else {
        reduces_alike(&access, data, *choice);
    }
}

fn options(choice: u8) -> Options {
    let is = |bit: u8| choice & bit != 0;
    let options = if is(1) { Options::new().null_text("NULL") } else { Options::new() };
    options
        .null_rows(if is(2) { NullRows::Show } else { NullRows::Hide })
        .empty_rows(if is(4) { EmptyRows::Show } else { EmptyRows::Hide })
        .data_case(if is(8) { DataCase::Upper } else { DataCase::Exact })
        .exclusion(if is(16) { Exclusion::NoRows } else { Exclusion::Strict })
}

fn identity() -> Identity {
    Identity::user("ACME\\ana").email("ana@acme.example").name("Ana").ntname("ACME\\ana").groups(["SALES", "ana"])
}

fn reduces_alike(access: &[&str], data: &str, choice: u8) {
    for identity in [Identity::user("ana"), identity()] {
        let mut streamed = Vec::new();
        let options = options(choice);
        let written = reduce_csv(access, options.clone(), identity.clone(), Cursor::new(data), &mut streamed);
        match reduced(access, data, options, identity) {
            Ok(table) => {
                let (_, written) = written.expect("the table in memory is reduced");
                assert_eq!(String::from_utf8(streamed).expect("it came from text"), table.to_csv());
                assert_eq!(written.rows, u64::try_from(table.rows()).expect("a count"));
                assert_eq!(Table::parse_csv(table.to_csv()).expect("what we wrote").rows(), table.rows());
            }
            Err(_) => assert!(written.is_err() && streamed.is_empty()),
        }
    }
}

/// The same in memory.
fn reduced(access: &[&str], data: &str, options: Options, identity: Identity) -> Result<Table, ReduceError> {
    let data = Table::parse_csv(data)?;
    let access = SectionAccess::parse_with(access, options)?.check_columns(data.columns())?;
    access.reduction(identity)?.apply(&data)
}
