//! Values of events: canonical text is read as the value it was written from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qsec_audit::Value;

fuzz_target!(|json: &str| {
    if let Ok(value) = Value::parse(json) {
        let again = Value::parse(&value.encode()).expect("what we wrote");
        assert_eq!(value, again);
    }
});
