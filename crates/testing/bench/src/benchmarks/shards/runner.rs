//! The runner's binary, as it is deployed, against the replay.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use guildhall_devstack::provision::{Aws, Resources};
use guildhall_domain::PriorityClass;
use guildhall_test_kit::services::AWS;
use guildhall_wire::MAX_EVENTS;
use rustix::process::{Pid, Signal, kill_process};

use super::{Size, answer, with_memory};
use crate::benchmarks::frames::countable;
use crate::digest::Digest;
use crate::replay::Replay;
use crate::{Contestant, Sample, Scale, Setup, Stopwatch, cpu};

const TICK: Duration = Duration::from_millis(2);
/// How often the runner is asked how much it has read, which takes time of its own.
const ASKED: Duration = Duration::from_millis(25);
/// Classes that wait for company. What is critical does not.
const WAITING: usize = PriorityClass::ALL.len() - 1;
/// A round that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// `None` where the binary was not built.
pub(super) fn contestant(
    name: &'static str,
    size: fn(Scale) -> Size,
    setup: &Setup,
    replay: Rc<Replay>,
) -> Result<Option<Contestant>> {
    let Some(binary) = setup.binary("gateway-runner")? else { return Ok(None) };
    let aws = setup.aws()?;
    let prefix = format!("bench-{}-{}", std::process::id(), replay.address().replace(['.', ':'], "-"));
    let folder = setup.scratch().join(&prefix);
    let endpoint = setup.service(AWS)?.to_owned();
    let table = crate::setup::runtime()?.block_on(async {
        let aws = Aws::connect(&endpoint).await;
        anyhow::Ok(Resources::create(&aws, &prefix, 1, 60).await?.table)
    })?;
    let mut rounds = 0_u64;
    Ok(Some(Contestant::new(name, move |scale| {
        rounds += 1;
        let size = size(scale);
        replay.prepare(size.shards, size.frames, size.guilds)?;
        let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = Command::new(&binary);
        command
            .envs(aws.iter().cloned())
            .env("AWS_ENDPOINT_URL_SQS", format!("http://{}/sqs", replay.address()))
            .env("DISCORD_TOKEN", "double.bot.token")
            // An application of its own has a budget of its own.
            .env("DISCORD_APPLICATION_ID", (1_100_000_000_000_000_000 + rounds).to_string())
            .env("DISCORD_API_URL", format!("http://{}", replay.address()))
            .env("EVENT_QUEUE_URLS", format!("http://{}/sqs", replay.address()))
            .env("COORDINATION_TABLE", &table)
            .env("RUNNER_JOURNAL_DIR", journal(&folder, rounds))
            .env("RUNNER_ADMIN_ADDR", &admin)
            .env("RUNNER_SHARD_COUNT", size.shards.to_string())
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null());
        round(&replay, size, command, &admin)
    })))
}

fn journal(folder: &Path, rounds: u64) -> std::path::PathBuf {
    folder.join(format!("runner-{rounds}"))
}

/// A process that is killed when it is forgotten.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// How many events there are to be counted: one for each guild that is introduced, and those of the recording.
fn to_count(replay: &Replay, size: Size) -> Result<u64> {
    let mut events = (size.shards * size.guilds) as u64;
    for shard in 0..size.shards {
        for frame in replay.frames(shard, size.frames) {
            events += countable(frame)?;
        }
    }
    Ok(events)
}

/// What has arrived in the queue.
#[derive(Default)]
struct Arrived(Digest);

impl Arrived {
    fn look(&mut self, replay: &Replay) -> Result<u64> {
        for body in replay.bodies() {
            self.0.envelope(&guildhall_wire::decode(&body)?);
        }
        Ok(self.0.events())
    }
}

fn round(replay: &Replay, size: Size, mut command: Command, admin: &str) -> Result<Sample> {
    let countable = to_count(replay, size)?;
    let mut running = Running(cpu::on(cpu::Core::Measured, || command.spawn().context("cannot start the runner"))?);
    let pid = running.0.id();
    let patience = Stopwatch::start();
    let mut wait = |what: &str, tick: Duration, done: &mut dyn FnMut() -> Result<bool>| -> Result<()> {
        while !done()? {
            ensure!(running.0.try_wait()?.is_none(), "the runner ended before {what}");
            ensure!(patience.wall() < PATIENCE, "the runner takes too long until {what}");
            std::thread::sleep(tick);
        }
        Ok(())
    };
    wait("its shards were ready", TICK, &mut || Ok(replay.has_begun()))?;
    let (watch, before) = (Stopwatch::start(), cpu::of_process(pid)?);
    let mut arrived = Arrived::default();
    let company = (size.shards * WAITING * MAX_EVENTS) as u64;
    wait("most had arrived", TICK, &mut || Ok(arrived.look(replay)? + company >= countable))?;
    wait("it had read everything", ASKED, &mut || Ok(processed(admin).unwrap_or(0) >= size.events() + size.shards))?;
    let memory = cpu::private_memory(pid)?;
    // It hands over: what still waits for company is sent.
    let process = Pid::from_raw(pid.cast_signed()).context("a process has a number")?;
    kill_process(process, Signal::TERM)?;
    wait("everything had arrived", TICK, &mut || Ok(arrived.look(replay)? >= countable))?;
    let sample = watch.sample_of(size.events() as u64, cpu::of_process(pid)?.saturating_sub(before));
    let ended = running.0.wait()?;
    ensure!(ended.success(), "the runner ended with {ended}");
    ensure!(arrived.look(replay)? == countable, "more arrived than there was to count");
    let sample = with_memory(sample, memory, size.shards);
    Ok(if size.guilds == 0 { sample.answering(answer(&arrived.0)) } else { sample })
}

/// How many dispatches the runner says it has processed, `READY` included.
fn processed(admin: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(admin)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let counters = text.lines().filter(|line| line.starts_with("events_processed_total{"));
    let values = counters.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
    let sum = values.sum();
    if sum == 0 {
        bail!("nothing was processed yet");
    }
    Ok(sum)
}
