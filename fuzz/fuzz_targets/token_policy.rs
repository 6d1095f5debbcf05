#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| qsec_fuzz::token_policy::check(input));
