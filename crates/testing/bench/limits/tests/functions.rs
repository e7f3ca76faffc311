//! The least functions answer what the product's function and its peer answer.

use std::path::Path;

use guildhall_bench::run::{Options, rounds};
use guildhall_bench::{Scale, Setup, benchmarks};

/// Those that were built beside this test; the project's own functions are, when all tests are run.
fn agree(name: &str, least: &str) {
    let benchmark = benchmarks::named(name).expect("a benchmark");
    let folder = Path::new(env!("CARGO_BIN_EXE_verify-lambda")).parent().expect("a folder");
    let setup = Setup::lenient(folder).expect("a scratch folder");
    let mut contestants = (benchmark.prepare)(&setup).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    for expected in [least, "nestjs"] {
        assert!(contestants.iter().any(|contestant| contestant.name() == expected), "{name} is without {expected}");
    }
    let options = Options { rounds: 1, warm_up: 0, scale: Scale::Tiny };
    rounds(&mut contestants, options, |_| {}).unwrap_or_else(|error| panic!("{name}: {error:#}"));
}

#[test]
fn a_signed_ping_is_answered_and_a_forged_one_refused() {
    agree("interaction", "hyper + verify");
}

#[test]
fn every_function_starts_and_answers() {
    agree("startup", "hello-lambda");
}
