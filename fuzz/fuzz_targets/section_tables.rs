//! Access tables and data: what the reduction writes can be read again.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use qsec_authz::section::{Identity, Options, Table, reduce_csv};

const DATA: &str = "REGION,AMOUNT\nNORTH,1\nSOUTH,2\n";

fuzz_target!(|text: &str| {
    let _ = Table::parse_csv(text);
    let mut written = Vec::new();
    let reduced = reduce_csv([text], Options::new(), Identity::user("ana"), Cursor::new(DATA), &mut written);
    if reduced.is_ok() {
        assert!(Table::parse_csv(&written).is_ok());
    }
    let access = "ACCESS,USERID,REGION\nUSER,ANA,NORTH\n";
    let _ = reduce_csv([access], Options::new(), Identity::user("ana"), Cursor::new(text), &mut Vec::new());
});
