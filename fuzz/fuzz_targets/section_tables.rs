#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| qsec_fuzz::section_tables::check(input));
