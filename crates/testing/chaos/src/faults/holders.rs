//! Runners that stand still, whose clock is wrong, whose disk is full, and whose memory is short.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::{Signal, getuid};
use tokio::time::Instant;

use crate::proxy::Mode;
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Runner, Setup, Stage};
use crate::wait::eventually;

/// A runner stands still for longer than its leases last, loses them to the other, and wakes up.
pub(super) async fn frozen_holder(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    stage.recovered().await?;
    let shards = f64::from(stage.scale.shards);
    let began = Instant::now();
    stage.runners[0].signal(Signal::STOP)?;
    metric(&mut stage, 1, "active_shards", |active| active >= shards).await?;
    let taken_over = began.elapsed();
    let frozen = stage.span(60, 0).max(stage.scale.lease_term * 3);
    stage.hold(frozen.saturating_sub(taken_over)).await;
    stage.runners[0].signal(Signal::CONT)?;
    metric(&mut stage, 0, "lease_lost_total", |lost| lost > 0.0).await?;
    let recovery = stage.recovered().await?;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome.noting(format!("taken over after {:.1} s", taken_over.as_secs_f64())))
}

/// Waits until a runner's metric is as wanted.
async fn metric(stage: &mut Stage, runner: usize, name: &str, wanted: impl Fn(f64) -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + stage.scale.patience;
    loop {
        let value = stage.runners[runner].process()?.metric(name, "").await?;
        if wanted(value) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{name} of runner {runner} stays at {value}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One runner's clock is ten minutes ahead of the database's, the other's ten minutes behind.
pub(super) async fn clock_skew(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let library = context.faketime.as_ref().context("GUILDHALL_FAKETIME does not say where libfaketime is")?;
    let mut stage = Stage::dark(context, Setup::new(name, context)).await?;
    for (runner, offset) in stage.runners.iter_mut().zip(["+600s", "-600s"]) {
        runner.recipe.set("LD_PRELOAD", library.display().to_string());
        runner.recipe.set("FAKETIME", offset);
        runner.recipe.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        runner.recipe.set("DONT_FAKE_MONOTONIC", "1");
        runner.start()?;
    }
    stage.shared_out().await?;
    stage.traffic();
    stage.recovered().await?;
    stage.hold(stage.span(60, 2)).await;
    let skews: Vec<_> = stage.runners.iter().map(Runner::minutes_ahead).collect();
    // A hand-over between clocks twenty minutes apart.
    stage.runners[0].kill().await?;
    stage.runners[0].start()?;
    let recovery = stage.recovered().await?;
    let outcome = stage.settle(Some(recovery)).await?;
    let skewed = matches!(skews[..], [Some(ahead), Some(behind)] if ahead >= 9 && behind <= -9);
    Ok(outcome
        .noting(format!("minutes ahead: {skews:?}"))
        .asserting(skewed, || format!("the runners' clocks are {skews:?} minutes ahead")))
}

/// A runner may have hardly more memory than on a quiet day, its journal little room, and SQS is away: it stops reading.
pub(super) async fn memory_limit(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let full = context.scale.poison_everywhere;
    let room: u64 = if full { 4 * 1_024 * 1_024 } else { 16 * 1_024 };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    let full_at = room as f64 * 0.75;
    let setup = Setup {
        environment: vec![("RUNNER_JOURNAL_MAX_BYTES".to_owned(), room.to_string())],
        ..Setup::new(name, context)
    };
    let mut stage = Stage::set(context, setup).await?;
    stage.traffic();
    stage.recovered().await?;
    let mut limits = Vec::new();
    for runner in &mut stage.runners {
        let limit = runner.process()?.data_size()? * 3 / 2;
        runner.process()?.limit_data(limit)?;
        limits.push(limit);
    }
    stage.sqs(Mode::Cut);
    for runner in 0..stage.runners.len() {
        // What is left has no room for another envelope.
        metric(&mut stage, runner, "journal_bytes", |bytes| bytes >= full_at).await?;
    }
    unread(&stage).await?;
    stage.hold(stage.span(60, 0)).await;
    stage.sqs(Mode::Pass);
    let recovery = stage.recovered().await?;
    let mut peaks = Vec::new();
    for (runner, limit) in stage.runners.iter_mut().zip(limits) {
        ensure!(runner.process()?.is_alive(), "a runner ended for want of memory: {}", runner.words());
        let process = runner.process()?;
        let (data, peak) = (process.data_size()?, process.peak_memory()?);
        peaks.push(format!("{:.1} of {:.1} MB of data, {} MB in all", mb(data), mb(limit), peak / 1_000_000));
    }
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome.noting(peaks.join(" and ")))
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Waits until a shard has not read for some heartbeats what Discord sends it, whether it is still connected or not.
async fn unread(stage: &Stage) -> anyhow::Result<()> {
    const HEARTBEATS: Duration = Duration::from_secs(6);
    let seen = RefCell::new(BTreeMap::<String, (u64, u64, Instant)>::new());
    eventually("a shard to stop reading", stage.scale.patience + stage.span(120, 0), || async {
        let now = Instant::now();
        let mut seen = seen.borrow_mut();
        for session in stage.double.gateway().sessions() {
            let entry = seen.entry(session.session_id).or_insert((session.confirmed, session.sequence, now));
            if entry.0 != session.confirmed {
                *entry = (session.confirmed, session.sequence, now);
            }
            if session.sequence > entry.1 && now - entry.2 >= HEARTBEATS {
                return Ok(Some(()));
            }
        }
        Ok(None)
    })
    .await
}

/// A runner's disk is full: it says so, waits, and goes on when there is room, with nothing torn.
pub(super) async fn disk_full(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    // A file system of its own, in a mount namespace of its own, which ends with the process.
    let mount =
        r#"mkdir -p "$RUNNER_JOURNAL_DIR" && mount -t tmpfs -o size=32m chaos "$RUNNER_JOURNAL_DIR" && exec "$0""#;
    let root: &[&str] = if getuid().is_root() { &[] } else { &["--map-root-user"] };
    let wrapper = [&["unshare", "--mount"], root, &["sh", "-c", mount]].concat();
    let setup = Setup { wrapper: wrapper.into_iter().map(str::to_owned).collect(), ..Setup::new(name, context) };
    let mut stage = Stage::set(context, setup).await?;
    stage.traffic();
    stage.recovered().await?;
    let disk = stage.runners[0].disk();
    let inside = Path::new(&format!("/proc/{}/root", stage.runners[0].process()?.pid())).to_path_buf();
    let filler = inside.join(disk.strip_prefix("/").unwrap_or(&disk)).join("filler");
    stage.sqs(Mode::Cut);
    fill(&filler).await?;
    metric(&mut stage, 0, "journal_failures_total", |failures| failures > 0.0).await?;
    stage.hold(stage.span(60, 3)).await;
    // What it has of the disk already may last for some transactions more.
    let deadline = Instant::now() + stage.scale.patience;
    let (status, readiness) = loop {
        let (status, readiness) = stage.runners[0].process()?.get("/readyz").await?;
        if status == 503 || Instant::now() > deadline {
            break (status, readiness);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    std::fs::remove_file(&filler).context("the filler is gone")?;
    stage.sqs(Mode::Pass);
    let recovery = stage.recovered().await?;
    let ready = stage.runners[0].process()?.get("/readyz").await?.0;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome
        .asserting(status == 503 && readiness.contains("failing"), || format!("on a full disk it says {readiness}"))
        .asserting(ready == 200, || format!("with room again it answers {ready}")))
}

/// Writes until there is no room left.
async fn fill(path: &Path) -> anyhow::Result<()> {
    let path: PathBuf = path.to_owned();
    let filled = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::create(&path)?;
        for size in [65_536, 4_096, 1] {
            let block = vec![0_u8; size];
            while std::io::Write::write_all(&mut file, &block).is_ok() {}
        }
        std::io::Result::Ok(())
    });
    filled.await?.context("the disk cannot be filled: is the runner in a mount namespace of its own?")
}
