#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| qsec_fuzz::local_kms_blob::check(input));
