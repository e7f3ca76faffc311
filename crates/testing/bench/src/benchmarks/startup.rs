//! Cold starts: from the start of a function's process to its first answer, and what has to be fetched before.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};

use super::interaction;
use crate::cpu::{self, Core};
use crate::function::{Function, nest};
use crate::{Benchmark, Better, Claim, Contestant, Figure, Sample, Setup, Stopwatch};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 11,
    name: "startup",
    what: "The start of a function's process to its first answer, and the size of its zip.",
    note: "Every start is a new process under a local runtime API, with the database and the cache it connects to on loopback; \
           the first answer is the end of the first invocation, a signed PING for `interactions` and an empty batch for the \
           functions on queues. The limit is a hello world on `lambda_runtime`, which connects to nothing; ours connect \
           when they have asked for the first invocation, beside answering it, and read certificates and credentials of \
           AWS for the first message they send. The files are in memory: what Lambda adds to fetch and unpack the zip is \
           not in it, and grows with its size. Zip sizes are of the release profile, deflated at the best level.",
    binaries: &["interactions", "worker", "stats-ingest", "stats-rollup", "migrate", "hello-lambda"],
    as_deployed: true,
    figures,
    prepare,
};

/// The functions whose start somebody waits for.
const STARTED: [&str; 3] = ["interactions", "worker", "stats-ingest"];
/// The functions that are never waited for: only their size counts.
const SIZED: [&str; 2] = ["stats-rollup", "migrate"];

fn figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    for function in STARTED {
        let title = match function {
            "interactions" => "start to first answer, interactions",
            "worker" => "start to first answer, worker",
            _ => "start to first answer, stats-ingest",
        };
        figures.push(
            Figure::new(title, "ms", Better::Lower, Sample::millis_each, function)
                .limit("hello-lambda", Claim::MoreByAtMost(10.0))
                .peer("nestjs", Claim::Times(10.0)),
        );
    }
    let megabytes = |sample: &Sample| Some(sample.bytes_each()? / 1e6);
    for function in STARTED.into_iter().chain(SIZED) {
        let title = match function {
            "interactions" => "zip, interactions",
            "worker" => "zip, worker",
            "stats-ingest" => "zip, stats-ingest",
            "stats-rollup" => "zip, stats-rollup",
            _ => "zip, migrate",
        };
        let figure = Figure::new(title, "MB", Better::Lower, megabytes, function).claiming(Claim::AtMost(6.0));
        figures.push(figure.beside("hello-lambda").beside("nestjs"));
    }
    figures
}

/// Its size in a zip file, whose frame adds some hundred bytes.
fn zipped(file: &Path) -> Result<u64> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&fs::read(file).with_context(|| format!("cannot read {}", file.display()))?)?;
    Ok(encoder.finish()?.len() as u64)
}

/// What the function is invoked with first, and whether it has answered that.
fn first(function: &str) -> (Value, fn(&Value) -> bool) {
    match function {
        "interactions" | "nestjs" => {
            let body = r#"{"id":"1","application_id":"1100000000000000001","type":1,"token":"t","version":1}"#;
            (interaction::event(&interaction::key(), body), interaction::is_pong)
        }
        "hello-lambda" => (json!({}), |answer| answer["body"] == "hello"),
        _ => (json!({ "Records": [] }), |answer| answer["batchItemFailures"] == json!([])),
    }
}

struct Starts {
    name: &'static str,
    program: PathBuf,
    bytes: u64,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
}

impl Starts {
    /// Starts it some times; the sample's operations are starts.
    fn round(&self, ops: u64) -> Result<Sample> {
        let mut wall = Duration::ZERO;
        let mut cpu = Duration::ZERO;
        for _ in 0..ops {
            let (event, answered) = first(self.name);
            let watch = Stopwatch::start();
            let function = Function::start(&self.program, &self.environment, &self.log)?;
            let answer = cpu::on(Core::Driver, || function.invoke(&event))?;
            wall += watch.wall();
            cpu += function.cpu()?;
            ensure!(answered(&answer), "{} answered {answer}", self.name);
        }
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Ok(Sample { ops, wall_ns: nanos(wall), cpu_ns: nanos(cpu), ..Sample::default() }.with_bytes(self.bytes * ops))
    }
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let environment = interaction::environment(setup)?;
    let mut programs = Vec::new();
    for name in STARTED.into_iter().chain(["hello-lambda"]) {
        if let Some(program) = setup.deployed(name)? {
            programs.push((name, zipped(&program)?, program));
        }
    }
    let node = nest(setup)?;
    programs.push(("nestjs", zipped(&node.bundle)?, node.program));
    let log = setup.scratch().join("functions.log");
    let mut contestants: Vec<_> = programs
        .into_iter()
        .map(|(name, bytes, program)| {
            let starts = Starts { name, program, bytes, environment: environment.clone(), log: log.clone() };
            Contestant::new(name, move |scale| starts.round(scale.of(8, 1)))
        })
        .collect();
    for name in SIZED {
        if let Some(program) = setup.deployed(name)? {
            let bytes = zipped(&program)?;
            let sized = move |_| Ok(Sample { ops: 1, bytes: Some(bytes), ..Sample::default() });
            contestants.push(Contestant::new(name, sized));
        }
    }
    Ok(contestants)
}
