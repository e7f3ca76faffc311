//! Contestants of a benchmark compute the same thing. How fast they do is no test's business.

use guildhall_bench::run::{Options, rounds};
use guildhall_bench::{Scale, Setup, benchmarks};
use guildhall_runtime::Environment;

fn agree(name: &str) {
    let benchmark = benchmarks::named(name).unwrap_or_else(|| panic!("no benchmark {name}"));
    let setup = Setup::new(Environment::of_process()).expect("a scratch folder");
    let mut contestants = (benchmark.prepare)(&setup).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    assert!(contestants.len() > 1, "{name} compares nothing");
    let options = Options { rounds: 2, warm_up: 0, scale: Scale::Tiny };
    let samples = rounds(&mut contestants, options, |_| {}).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    for contestant in &contestants {
        assert!(
            samples[contestant.name()].iter().all(|sample| sample.answer.is_some()),
            "{name}: {} does not say what it computed",
            contestant.name()
        );
    }
}

#[test]
fn verify() {
    agree("verify");
}

#[test]
fn queue() {
    agree("queue");
}

#[test]
fn frames() {
    agree("frames");
}

#[test]
fn shards() {
    agree("shards");
}

#[test]
fn envelopes() {
    agree("envelopes");
}

#[test]
fn ingest() {
    agree("ingest");
}

#[test]
fn counters() {
    agree("counters");
}

#[test]
fn journal() {
    agree("journal");
}
