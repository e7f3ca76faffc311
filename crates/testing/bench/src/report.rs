//! What a run found, as a table and as JSON.

mod docs;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub use docs::write as write_docs;
pub use table::Table;

use crate::figure::{Claim, Figure, Role, Row, times};
use crate::machine::Machine;
use crate::run::{Options, Samples};
use crate::{Benchmark, Sample};

/// Everything a run found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The benchmark's place in the documentation.
    pub number: u8,
    /// The benchmark's name.
    pub name: String,
    /// Where it was run.
    pub machine: Machine,
    /// The load average of the minute before, and of the last minute of the run.
    pub load: (f64, f64),
    /// Rounds that count.
    pub rounds: usize,
    /// The figures.
    pub figures: Vec<FigureOutcome>,
    /// What they were read from.
    pub samples: Vec<(String, Vec<Sample>)>,
}

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FigureOutcome {
    /// What it is.
    pub title: String,
    /// Its unit.
    pub unit: String,
    /// Ours, then the others.
    pub rows: Vec<RowOutcome>,
}

/// One contestant's figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RowOutcome {
    /// The contestant.
    pub contestant: String,
    /// `ours`, `limit`, `peer` or `beside`.
    pub role: String,
    /// The median of all rounds.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// How ours compares: a limit's share, otherwise how many times as good. The median of each round's own.
    pub compared: Option<f64>,
    /// What is claimed.
    pub target: Option<String>,
    /// Whether it holds.
    pub held: Option<bool>,
}

impl Outcome {
    pub(crate) fn of(benchmark: &Benchmark, options: Options, samples: &Samples, load: (f64, f64)) -> Result<Self> {
        let figures = (benchmark.figures)();
        let figures = figures.iter().filter_map(|figure| figure_of(figure, samples).transpose());
        Ok(Self {
            number: benchmark.number,
            name: benchmark.name.to_owned(),
            machine: Machine::this(),
            load,
            rounds: options.rounds,
            figures: figures.collect::<Result<_>>()?,
            samples: samples.iter().map(|(name, samples)| ((*name).to_owned(), samples.clone())).collect(),
        })
    }

    /// Writes it to `FOLDER/NAME.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(format!("{}.json", self.name));
        fs::write(&path, serde_json::to_vec_pretty(self)?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads what [`Outcome::save`] wrote; `None` when there is nothing.
    ///
    /// # Errors
    /// When the file is of another version of this program.
    pub fn load(folder: &Path, name: &str) -> Result<Option<Self>> {
        let path = folder.join(format!("{name}.json"));
        let Ok(bytes) = fs::read(&path) else { return Ok(None) };
        serde_json::from_slice(&bytes).with_context(|| format!("{} is unreadable: measure again", path.display()))
    }

    /// Whether every target was held.
    pub fn held(&self) -> bool {
        self.figures.iter().flat_map(|figure| &figure.rows).all(|row| row.held != Some(false))
    }
}

/// `None` when ours did not take part.
fn figure_of(figure: &Figure, samples: &Samples) -> Result<Option<FigureOutcome>> {
    let values = |row: &Row| -> Result<Vec<f64>> {
        let samples = samples.get(row.contestant).map(Vec::as_slice).unwrap_or_default();
        let values = samples.iter().map(|sample| {
            (figure.of)(sample).with_context(|| format!("{} does not say its {}", row.contestant, figure.title))
        });
        values.collect()
    };
    let Some(first) = figure.rows.first() else { return Ok(None) };
    let ours = values(first)?;
    if ours.is_empty() {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for row in &figure.rows {
        let theirs = values(row)?;
        if !theirs.is_empty() {
            rows.push(row_of(figure, *row, &ours, &theirs));
        }
    }
    Ok(Some(FigureOutcome { title: figure.title.to_owned(), unit: figure.unit.to_owned(), rows }))
}

fn row_of(figure: &Figure, row: Row, ours: &[f64], theirs: &[f64]) -> RowOutcome {
    let per_round = |judge: &dyn Fn(f64, f64) -> f64| median(ours.iter().zip(theirs).map(|(o, t)| judge(*o, *t)));
    let compared = match row.role {
        Role::Ours => None,
        Role::Limit => Some(per_round(&|ours, theirs| ours / theirs)),
        Role::Peer | Role::Beside => Some(per_round(&|ours, theirs| times(figure.better, ours, theirs))),
    };
    let held = |claim: Claim| claim.holds(per_round(&|ours, theirs| claim.quantity(figure.better, ours, theirs)));
    RowOutcome {
        contestant: row.contestant.to_owned(),
        role: row.role.word().to_owned(),
        median: median(theirs.iter().copied()),
        min: theirs.iter().copied().fold(f64::INFINITY, f64::min),
        max: theirs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        compared,
        target: row.claim.map(|claim| claim.to_string()),
        held: row.claim.map(held),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Better;

    fn at(nanos: u64) -> Sample {
        Sample { ops: 1, wall_ns: nanos, cpu_ns: nanos, ..Sample::default() }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine was four times slower in the second round, for everybody.
        let samples = Samples::from([
            ("ours", vec![at(1_000), at(4_000), at(1_000)]),
            ("limit", vec![at(900), at(3_600), at(900)]),
            ("peer", vec![at(5_000), at(20_000), at(5_000)]),
        ]);
        let figure = Figure::new("time", "µs", Better::Lower, Sample::micros_each, "ours")
            .claiming(Claim::AtMost(2.0))
            .limit("limit", Claim::RatioAtMost(1.15))
            .peer("peer", Claim::Times(6.0))
            .peer("absent", Claim::Times(1.0));
        let outcome = figure_of(&figure, &samples).expect("complete").expect("ours took part");
        let rows: Vec<_> =
            outcome.rows.iter().map(|row| (row.contestant.as_str(), row.median, row.max, row.held)).collect();
        assert_eq!(
            rows,
            [("ours", 1.0, 4.0, Some(true)), ("limit", 0.9, 3.6, Some(true)), ("peer", 5.0, 20.0, Some(false)),]
        );
        assert_eq!(outcome.rows[2].compared, Some(5.0));
        assert!(outcome.rows[1].compared.is_some_and(|share| (share - 1.111).abs() < 0.001));
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_the_middle_two() {
        assert!((median([4.0, 1.0, 3.0, 2.0].into_iter()) - 2.5).abs() < f64::EPSILON);
    }
}
