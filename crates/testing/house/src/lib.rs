//! The rules of the house: what the tests of this crate hold the repository to, and the template that is made of
//! fragments.
//!
//! **Invariant:** a rule that cannot be broken unnoticed needs no reviewer; each test names the offender and the rule.
//! **Invariant:** a list of exceptions only shrinks: an entry that is no longer needed fails its test.

pub mod cloudformation;
pub mod fragments;
pub mod repository;
pub mod rust_source;
pub mod workspace;
