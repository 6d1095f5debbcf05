//! A token policy is read or refused by the name of a member.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qsec_identity::TokenPolicy;

fuzz_target!(|json: &[u8]| {
    let _ = TokenPolicy::parse(json);
});
