//! What must hold for any bytes that strangers can send: checked by the fuzzers in `fuzz/`, and by the ordinary tests for
//! every input of `corpus/`.
//!
//! Each function takes arbitrary bytes and panics when a promise is broken. They are here, and not in the fuzz targets, so
//! that what a fuzzer has found once is tested from then on without a fuzzer.

mod envelope;
mod frame;
mod interaction;

pub use envelope::envelope;
pub use frame::frame;
pub use interaction::interaction;

/// Takes any bytes, and panics when a promise is broken.
pub type Check = fn(&[u8]);

/// Every target: its name, which is also its folder in `corpus/`, and its check.
pub const TARGETS: [(&str, Check); 3] = [("envelope", envelope), ("frame", frame), ("interaction", interaction)];
