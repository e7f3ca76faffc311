//! See `guildhall_fuzz::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| guildhall_fuzz::frame(bytes));
