//! See `guildhall_fuzz::interaction`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| guildhall_fuzz::interaction(bytes));
