//! What SQS and Lambda may do to a message, and what may become of the function that handles it.

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::function::{Delivering, Function};
use crate::proxy::Flow;
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage};
use crate::wait::eventually;
use crate::watch::{COMMITTED, COPY, Trap};

/// Transactions of this stage's functions in the middle of a COPY.
const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND xact_start IS NOT NULL AND state = 'active' AND query LIKE 'COPY events (%'";
/// Those that wait for another one's locks.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND xact_start IS NOT NULL AND wait_event_type = 'Lock'";

/// Every batch comes twice and in another order, some of it later still.
pub(super) async fn twice_and_reordered(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    treated(context, name, Delivering::TwiceAndReordered).await
}

/// One body in ten is damaged on the way.
pub(super) async fn corrupted(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    treated(context, name, Delivering::Corrupted(10)).await
}

async fn treated(context: &Context, name: &'static str, delivering: Delivering) -> anyhow::Result<Outcome> {
    let setup = Setup { visibility_secs: 3, ..Setup::new(name, context) };
    let stage = Stage::set(context, setup).await?;
    stage.functions.iter().for_each(|function| function.deliver(delivering));
    stage.traffic();
    stage.hold(stage.span(120, 4)).await;
    stage.functions.iter().for_each(|function| function.deliver(Delivering::Straight));
    let recovery = stage.recovered().await?;
    let (functions, _logs) = (stage.functions.clone(), stage.files());
    let outcome = stage.settle(Some(recovery)).await?;
    let delivered: u64 = functions.iter().map(|function| function.delivered()).sum();
    let sum = |count: fn(&Function) -> u64| functions.iter().map(|function| count(function)).sum::<u64>();
    let (treated, how, noticed) = match delivering {
        Delivering::Corrupted(_) => (sum(Function::damaged), "damaged", sum(Function::partial) + sum(Function::failed)),
        _ => (sum(Function::repeated), "repeated", sum(Function::duplicates)),
    };
    Ok(outcome
        .noting(format!("{delivered} deliveries, {treated} of them {how}"))
        .asserting(treated > 0, || format!("none of {delivered} deliveries was {how}"))
        .asserting(noticed > 0, || format!("no function noticed that something was {how}")))
}

/// The function is killed when PostgreSQL has committed and the function does not know it yet.
pub(super) async fn killed_after_commit(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let setup = Setup { visibility_secs: 3, ..Setup::new(name, context) };
    let stage = Stage::set(context, setup).await?;
    stage.traffic();
    stage.recovered().await?;
    let kills = stage.scale.kills / 2;
    for kill in 0..kills as usize {
        let number = kill % stage.functions.len();
        let (proxy, function) = (&stage.databases[number], &stage.functions[number]);
        let trap = Trap::set(proxy, Flow::ToClient, COMMITTED);
        let sprung = tokio::time::timeout(stage.scale.patience, trap.sprung()).await;
        sprung.context("the function commits nothing")?;
        signal(function.process().await?.id(), Signal::KILL)?;
        proxy.tap(None);
        proxy.reset();
    }
    let recovery = stage.recovered().await?;
    let (functions, _logs) = (stage.functions.clone(), stage.files());
    let outcome = stage.settle(Some(recovery)).await?;
    let again: u64 = functions.iter().map(|function| function.duplicates()).sum();
    Ok(outcome
        .noting(format!("{kills} kills; {again} events came again that had been counted"))
        .asserting(again > 0, || "nothing came again".to_owned()))
}

/// The function is stopped in the middle of its transaction, past its time and the message's; later it goes on.
pub(super) async fn ingest_timeout(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let setup = Setup { visibility_secs: 8, poison: 0, ..Setup::new(name, context) };
    let stage = Stage::set(context, setup).await?;
    stage.traffic();
    stage.recovered().await?;
    let mut frozen = Vec::new();
    for (proxy, function) in stage.databases.iter().zip(&stage.functions) {
        // The server has taken the COPY, and so the transaction is open; the function does not know it yet.
        let trap = Trap::delay_answer(proxy, COPY);
        let sprung = tokio::time::timeout(stage.scale.patience, trap.sprung()).await;
        sprung.context("the function writes nothing")?;
        let process = function.process().await?;
        signal(process.id(), Signal::STOP)?;
        proxy.tap(None);
        frozen.push(process);
        // Before its time is up: whoever takes its place ends what is in its way.
        let open = stage.database.number(OPEN).await;
        ensure!(open > 0, "no transaction is open although the function is stopped in one");
        function.give_up();
    }
    // Past the message's time: others take it up meanwhile, and wait for the locks.
    eventually("another function to wait for the locks", stage.scale.patience, || async {
        Ok((stage.database.number(WAITING).await > 0).then_some(()))
    })
    .await?;
    stage.hold(stage.span(60, 0)).await;
    for process in &frozen {
        signal(process.id(), Signal::CONT)?;
    }
    let recovery = stage.recovered().await?;
    let (functions, _logs) = (stage.functions.clone(), stage.files());
    let outcome = stage.settle(Some(recovery)).await?;
    drop(frozen);
    let given_up: Vec<_> = functions.iter().map(|function| function.replaced()).collect();
    Ok(outcome
        .noting(format!("{} invocations given up", given_up.iter().sum::<u64>()))
        .asserting(given_up.iter().all(|given_up| *given_up > 0), || format!("given up: {given_up:?}")))
}

fn signal(id: Option<u32>, signal: Signal) -> anyhow::Result<()> {
    let pid = id.and_then(|id| Pid::from_raw(id.cast_signed())).context("the function has no process")?;
    kill_process(pid, signal).context("the function's process is gone")
}
