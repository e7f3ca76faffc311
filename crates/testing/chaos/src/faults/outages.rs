//! Services that are away, or answer that they have had enough.

use std::time::Duration;

use anyhow::ensure;
use guildhall_discord_double::gateway::GatewayFault;
use guildhall_domain::Timestamp;
use rand::Rng as _;
use tokio::time::Instant;

use super::chance;
use crate::proxy::{Canned, Mode};
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage};
use crate::wait::eventually;
use crate::watch::{Record, Sent};

/// A runner asks for so many batches at a time at most: those that were under way when SQS went away were chosen then.
const UNDER_WAY: usize = 40;
/// An envelope is certain to have waited in the journal when its class's deadline had passed by this much.
const MARGIN: Duration = Duration::from_secs(1);
/// How much faster than events arrive what waited must be sent.
const DRAIN_FACTOR: f64 = 3.0;

/// SQS is away at peak: the journal fills; when it is back, what waited goes out at least three times as fast as events
/// arrive, critical first.
pub(super) async fn sqs_away(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    stage.recovered().await?;
    stage.sqs(Mode::Cut);
    stage.hold(stage.scale.outage).await;
    ensure!(pending(&mut stage).await? > 0.0, "nothing waits in the journals");
    let records: Vec<_> = stage.runners.iter().map(|runner| Record::of(&runner.sqs)).collect();
    let (restored, arrived) = (context.clock.now(), stage.double.ledger().total());
    let waited = pending(&mut stage).await?;
    stage.sqs(Mode::Pass);
    let since = Instant::now();
    drained(&mut stage, waited).await?;
    let arrived = stage.double.ledger().total() - arrived;
    let recovery = stage.recovered().await? + since.elapsed();

    let sent: Vec<_> = records.iter().map(Record::sent).collect();
    let factor = speed(&sent, since, arrived);
    let disorder = sent.iter().map(|sent| out_of_order(sent, restored)).sum::<usize>();
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome
        .noting(format!("{waited:.0} envelopes waited and went out {factor:.1} times as fast as events came"))
        .asserting(factor >= DRAIN_FACTOR, || format!("drained only {factor:.1} times as fast as events came"))
        .asserting(disorder == 0, || format!("{disorder} envelopes went before more urgent ones that had waited")))
}

/// Envelopes in all journals.
async fn pending(stage: &mut Stage) -> anyhow::Result<f64> {
    let mut pending = 0.0;
    for runner in &mut stage.runners {
        pending += runner.process()?.metric("journal_pending", "").await?;
    }
    Ok(pending)
}

/// Waits until hardly anything of what `waited` is left.
async fn drained(stage: &mut Stage, waited: f64) -> anyhow::Result<()> {
    let patience = stage.scale.patience + stage.scale.outage;
    let deadline = Instant::now() + patience;
    while pending(stage).await? > (waited / 20.0).max(8.0) {
        ensure!(Instant::now() < deadline, "the journals are not drained after {patience:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Events sent for each that arrived, from the first send after the outage to the last one recorded.
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn speed(sent: &[Vec<Sent>], since: Instant, arrived: u64) -> f64 {
    let events: u64 = sent.iter().flatten().map(|sent| sent.events).sum();
    let first = sent.iter().flatten().map(|sent| sent.passed).min().unwrap_or(since);
    let last = sent.iter().flatten().map(|sent| sent.passed).max().unwrap_or(since);
    // Of those that arrived while it was drained, the share that arrived after the sender had noticed.
    let share = (last - first).as_secs_f64() / (last - since).as_secs_f64().max(0.001);
    events as f64 / (arrived as f64 * share).max(1.0)
}

/// Envelopes that had waited when SQS came back and were sent before a more urgent one that had waited too.
fn out_of_order(sent: &[Sent], restored: Timestamp) -> usize {
    let mut queues: std::collections::BTreeMap<&str, Vec<&Sent>> = std::collections::BTreeMap::new();
    for sent in sent {
        queues.entry(&sent.queue).or_default().push(sent);
    }
    let had_waited = |sent: &&&Sent| {
        let deadline = Duration::from_millis(sent.class.flush_after_millis()) + MARGIN;
        let millis = i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX);
        sent.newest.is_some_and(|newest| newest.plus_millis(millis) < restored)
    };
    queues
        .into_values()
        .map(|sent| {
            let waited: Vec<_> = sent.iter().skip(UNDER_WAY).filter(had_waited).collect();
            waited.windows(2).filter(|pair| pair[0].class > pair[1].class).count()
        })
        .sum()
}

/// PostgreSQL is away, first with a reset, then without a word.
pub(super) async fn database_away(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let away = context.scale.span(Duration::from_secs(120), Duration::from_secs(5));
    // A message must survive the outage: it is delivered ten times at most.
    let visibility = u32::try_from(away.as_secs() / 4)?.max(5);
    let setup = Setup {
        visibility_secs: visibility,
        function_timeout: Duration::from_secs(u64::from(visibility)),
        poison: 0,
        ..Setup::new(name, context)
    };
    let stage = Stage::set(context, setup).await?;
    stage.traffic();
    stage.recovered().await?;
    stage.database(Mode::Cut);
    stage.hold(away * 2 / 3).await;
    stage.database(Mode::Hole);
    stage.hold(away / 3).await;
    ensure!(stage.connected() >= stage.scale.shards as usize, "shards outlive a dead database");
    // What waits in the hole is thrown away with it.
    stage.database(Mode::Cut);
    stage.database(Mode::Pass);
    let recovery = stage.recovered().await?;
    stage.settle(Some(recovery)).await
}

/// DynamoDB is away for longer than a lease lasts: what is connected goes on, what loses its connection waits.
pub(super) async fn dynamodb_away(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    stage.recovered().await?;
    let away = stage.span(120, 0).max(stage.scale.lease_term * 2);
    stage.dynamodb(Mode::Cut);
    stage.hold(away).await;
    let left = stage.connected();
    ensure!(left >= stage.scale.shards as usize, "only {left} shards go on without the table: {}", stage.words());
    stage.double.gateway().misbehave(GatewayFault::DropConnections { shard: Some(0) });
    let waiting = || !stage.double.gateway().sessions().iter().any(|s| s.shard.id == 0 && s.connected);
    eventually("the connection to end", stage.scale.patience, || async { Ok(waiting().then_some(())) }).await?;
    stage.hold(stage.span(30, 2)).await;
    let connected = (!waiting()).then(|| stage.words());
    stage.dynamodb(Mode::Pass);
    let recovery = stage.recovered().await?;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome.asserting(connected.is_none(), || {
        format!("a shard was connected without a fresh lease: {}", connected.unwrap_or_default())
    }))
}

/// DynamoDB throttles: one runner for longer than its leases last, then both, now and then.
pub(super) async fn dynamodb_throttled(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut chance = chance(context, name);
    let stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    stage.recovered().await?;
    let throttled = Mode::Answer(Canned::DYNAMODB_THROTTLED);
    stage.runners[0].dynamodb.set(throttled);
    stage.hold(stage.scale.lease_term * 2).await;
    let end = Instant::now() + stage.span(120, 4);
    while Instant::now() < end {
        stage.dynamodb(throttled);
        stage.hold(stage.scale.lease_term.mul_f64(chance.random_range(0.1..0.6))).await;
        stage.dynamodb(Mode::Pass);
        stage.hold(stage.scale.lease_term.mul_f64(chance.random_range(0.1..0.6))).await;
    }
    let recovery = stage.recovered().await?;
    stage.settle(Some(recovery)).await
}
