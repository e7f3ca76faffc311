//! The run of one benchmark: rounds in turn, then the figures.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use crate::report::Outcome;
use crate::{Benchmark, Contestant, Sample, Scale, Setup, machine};

/// How often and how much.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Rounds that count.
    pub rounds: usize,
    /// Rounds before them that do not: caches, branch predictors and compilers at run time settle.
    pub warm_up: usize,
    /// How much work a round is.
    pub scale: Scale,
}

impl Default for Options {
    fn default() -> Self {
        Self { rounds: 7, warm_up: 1, scale: Scale::Full }
    }
}

/// The samples of each contestant, in order of the rounds.
pub type Samples = BTreeMap<&'static str, Vec<Sample>>;

/// Prepares a benchmark and runs it; `progress` is told of each round.
///
/// # Errors
/// When a contestant fails, or two of them disagree on what they computed.
pub fn run(benchmark: &Benchmark, setup: &Setup, options: Options, progress: impl Fn(&str)) -> Result<Outcome> {
    let load_before = machine::load();
    let mut contestants =
        (benchmark.prepare)(setup).with_context(|| format!("{} cannot be prepared", benchmark.name))?;
    let samples = rounds(&mut contestants, options, progress)?;
    drop(contestants);
    Outcome::of(benchmark, options, &samples, (load_before, machine::load()))
}

/// Lets the contestants take turns.
///
/// # Errors
/// As [`run`].
pub fn rounds(contestants: &mut [Contestant], options: Options, progress: impl Fn(&str)) -> Result<Samples> {
    let mut samples = Samples::new();
    for round in 0..options.warm_up + options.rounds {
        let mut agreed: Option<(&'static str, String)> = None;
        for contestant in &mut *contestants {
            let name = contestant.name();
            let sample = contestant.round(options.scale).with_context(|| format!("{name} failed in round {round}"))?;
            agree(&mut agreed, name, sample.answer.as_deref())?;
            if round >= options.warm_up {
                samples.entry(name).or_default().push(sample);
            }
        }
        progress(&match round.checked_sub(options.warm_up) {
            None => "warm".to_owned(),
            Some(counted) => format!("round {} of {}", counted + 1, options.rounds),
        });
    }
    Ok(samples)
}

/// Whoever states what was computed states the same as everybody before.
fn agree(agreed: &mut Option<(&'static str, String)>, name: &'static str, answer: Option<&str>) -> Result<()> {
    match (&agreed, answer) {
        (_, None) => {}
        (None, Some(answer)) => *agreed = Some((name, answer.to_owned())),
        (Some((other, expected)), Some(answer)) if expected != answer => {
            bail!("{name} computed {answer:?}, where {other} computed {expected:?}")
        }
        (Some(_), Some(_)) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_ROUNDS: Options = Options { rounds: 2, warm_up: 1, scale: Scale::Tiny };

    fn counting(name: &'static str, step: u64) -> Contestant {
        let mut count = 0;
        Contestant::new(name, move |scale| {
            count += step;
            Ok(Sample { ops: scale.of(10, 1), ..Sample::default() }.answering(count.to_string()))
        })
    }

    #[test]
    fn everybody_takes_turns_and_the_warm_up_does_not_count() {
        let samples = rounds(&mut [counting("a", 1), counting("b", 1)], TWO_ROUNDS, |_| {}).expect("they agree");
        for name in ["a", "b"] {
            let answers: Vec<_> = samples[name].iter().map(|sample| sample.answer.as_deref()).collect();
            assert_eq!(answers, [Some("2"), Some("3")], "{name}");
        }
    }

    #[test]
    fn a_round_in_which_two_disagree_is_a_failure() {
        let error = rounds(&mut [counting("a", 1), counting("b", 2)], TWO_ROUNDS, |_| {}).expect_err("they differ");
        assert_eq!(error.to_string(), r#"b computed "2", where a computed "1""#);
    }
}
