//! Programs that do the least a contestant can do, as functions under a Lambda runtime.
//!
//! They are apart from the benchmarks so that they are built with nothing but what they need: their size and their start are
//! measured.
