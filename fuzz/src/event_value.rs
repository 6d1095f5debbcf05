//! Values of events: canonical text is read as the value it was written from.

use qsec_audit::Value;

pub fn check(input: &[u8]) {
    let Ok(json) = std::str::from_utf8(input) else { return };
    if let Ok(value) = Value::parse(json) {
        let again = Value::parse(&value.encode()).expect("what we wrote");
        assert_eq!(value, again);
    }
}
