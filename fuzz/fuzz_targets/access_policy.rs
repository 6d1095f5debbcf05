//! A policy file that is accepted is written again as an equal one, and a request never makes a decision panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qsec_authz::{Policy, Request};

const POLICY: &str = r#"{"tenants":{}}"#;

fuzz_target!(|text: &str| {
    if let Ok(policy) = Policy::parse(text) {
        let again = Policy::parse(&policy.to_json()).expect("what we wrote");
        assert_eq!(policy, again);
        let _ = policy.compile();
    }
    let snapshot = Policy::parse(POLICY).and_then(|policy| policy.compile());
    if let (Ok(snapshot), Ok(request)) = (snapshot, Request::parse(text)) {
        assert!(!snapshot.decide(&request).is_allowed());
    }
});
