//! Services that are away, or answer that they have had enough.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use guildhall_discord_double::gateway::GatewayFault;
use guildhall_domain::Timestamp;
use rand::Rng as _;
use tokio::time::Instant;

use super::chance;
use crate::proxy::{Canned, Mode, Proxy};
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage};
use crate::wait::eventually;
use crate::watch::{Record, Sent};

/// A runner has so many calls of a queue under way at a time at most: they may pass in another order than they were made.
const CALLS: usize = 8;
/// An envelope is certain to have waited in the journal when its class's deadline had passed by this much.
const MARGIN: Duration = Duration::from_secs(1);
/// What passes of an answer that is cut off.
const PART_OF_AN_ANSWER: usize = 120;
/// How much later each chunk comes when the database is slow.
const LATE: Duration = Duration::from_millis(100);
/// Bytes a second, when SQS is slow.
const SLOW: u32 = 20_000;
/// How much faster than events arrive what waited must be sent.
const DRAIN_FACTOR: f64 = 3.0;

/// SQS is away at peak: the journal fills; when it is back, what waited goes out at least three times as fast as events
/// arrive, critical first.
pub(super) async fn sqs_away(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    stage.recovered().await?;
    // It announces itself: slow, then with answers that break off, so that what was taken is sent again.
    let mut befallen = Vec::new();
    for mode in [Mode::Throttle(SLOW), Mode::ResetAfter(PART_OF_AN_ANSWER), Mode::Cut] {
        let before: Vec<_> = stage.runners.iter().map(|runner| runner.sqs.befallen()).collect();
        stage.sqs(mode);
        stage.hold(if mode == Mode::Cut { stage.scale.outage } else { stage.span(30, 2) }).await;
        befallen.extend(stage.runners.iter().zip(before).map(|(runner, before)| runner.sqs.befallen() - before));
    }
    ensure!(pending(&mut stage).await? > 0.0, "nothing waits in the journals");
    let records: Vec<_> = stage.runners.iter().map(|runner| Record::of(&runner.sqs)).collect();
    let (restored, arrived) = (context.clock.now(), stage.double.ledger().total());
    let waited = pending(&mut stage).await?;
    stage.sqs(Mode::Pass);
    let since = Instant::now();
    drained(&mut stage, waited).await?;
    // In the same instant: what is sent later has no part in the speed.
    let sent: Vec<_> = records.iter().map(Record::sent).collect();
    let arrived = stage.double.ledger().total() - arrived;
    // Receiving and deleting take the emulator longer the more messages a queue holds.
    stage.recovered_within(stage.scale.patience + stage.scale.outage).await?;
    let recovery = since.elapsed();

    let factor = speed(&sent, since, arrived);
    let order = sent.iter().map(|sent| order(sent, restored)).fold(Order::default(), Order::and);
    // Beside other stages, how fast something is says more about them.
    let alone = stage.scale.side_by_side == 1;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome
        .noting(format!(
            "{waited:.0} envelopes waited and went out {factor:.1} times as fast as events came; {} compared",
            order.compared
        ))
        .asserting(befallen.iter().all(|count| *count > 0), || format!("a fault befell nobody: {befallen:?}"))
        .asserting(!alone || factor >= DRAIN_FACTOR, || {
            format!("drained only {factor:.1} times as fast as events came")
        })
        .asserting(order.compared > 0, || "no envelope's place could be judged".to_owned())
        .asserting(order.wrong == 0, || {
            format!("{} of {} envelopes went after less urgent ones that had waited", order.wrong, order.compared)
        }))
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

/// How the envelopes of a runner were ordered.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    /// Those whose place something can be said about.
    compared: usize,
    /// Those that went after a less urgent one.
    wrong: usize,
}

impl Order {
    const fn and(self, other: Self) -> Self {
        Self { compared: self.compared + other.compared, wrong: self.wrong + other.wrong }
    }
}

/// Whether what had waited when SQS came back went critical first.
///
/// A call is put together from the most urgent envelopes, in order. The first call after an outage is alone; later ones
/// may overtake each other, as many as are under way at a time. What was tried before had been chosen earlier.
fn order(sent: &[Sent], restored: Timestamp) -> Order {
    let mut queues: BTreeMap<&str, BTreeMap<usize, Vec<&Sent>>> = BTreeMap::new();
    for sent in sent {
        queues.entry(&sent.queue).or_default().entry(sent.call).or_default().push(sent);
    }
    let had_waited = |sent: &&&Sent| {
        let deadline = Duration::from_millis(sent.class.flush_after_millis_in_outage()) + MARGIN;
        let millis = i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX);
        !sent.retried && sent.newest.is_some_and(|newest| newest.plus_millis(millis) < restored)
    };
    let mut order = Order::default();
    for calls in queues.into_values() {
        let calls: Vec<Vec<&Sent>> =
            calls.into_values().map(|call| call.iter().filter(had_waited).copied().collect()).collect();
        let least: Vec<_> = calls.iter().map(|call| call.iter().map(|sent| sent.class).max()).collect();
        // The least urgent of the calls that surely were made before.
        let mut before = None;
        for (number, call) in calls.iter().enumerate() {
            if number == 1 {
                before = least[0];
            }
            if let Some(earlier) = number.checked_sub(CALLS) {
                before = before.max(least[earlier]);
            }
            let mut before = before;
            for sent in call {
                if let Some(before) = before {
                    order.compared += 1;
                    order.wrong += usize::from(sent.class < before);
                }
                before = before.max(Some(sent.class));
            }
        }
    }
    order
}

/// PostgreSQL is slow, then away, first with a reset, then without a word.
pub(super) async fn database_away(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let away = context.scale.span(Duration::from_secs(120), Duration::from_secs(5));
    // A message must survive the outage: it is delivered ten times at most.
    let visibility = u32::try_from(away.as_secs() / 4)?.max(5);
    let setup = Setup { visibility_secs: visibility, poison: 0, ..Setup::new(name, context) };
    let stage = Stage::set(context, setup).await?;
    stage.traffic();
    stage.recovered().await?;
    let mut befallen = Vec::new();
    let spans = [(Mode::Delay(LATE), stage.span(30, 2)), (Mode::Cut, away * 2 / 3), (Mode::Hole, away / 3)];
    for (mode, span) in spans {
        let before: u64 = stage.databases.iter().map(Proxy::befallen).sum();
        stage.database(mode);
        stage.hold(span).await;
        befallen.push(stage.databases.iter().map(Proxy::befallen).sum::<u64>() - before);
    }
    ensure!(stage.connected() >= stage.scale.shards as usize, "shards outlive a dead database");
    // What waits in the hole is thrown away with it.
    stage.database(Mode::Cut);
    stage.database(Mode::Pass);
    let recovery = stage.recovered().await?;
    let functions = stage.functions.clone();
    let outcome = stage.settle(Some(recovery)).await?;
    let failed: u64 = functions.iter().map(|function| function.failed()).sum();
    Ok(outcome
        .noting(format!("{failed} invocations failed"))
        .asserting(failed > 0, || "no invocation failed".to_owned())
        .asserting(befallen.iter().all(|count| *count > 0), || format!("a fault befell nobody: {befallen:?}")))
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
    let refused: Vec<_> = stage.runners.iter().map(|runner| runner.dynamodb.befallen()).collect();
    stage.dynamodb(Mode::Pass);
    let recovery = stage.recovered().await?;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome
        .noting(format!("connections refused to each runner: {refused:?}"))
        .asserting(refused.iter().all(|count| *count > 0), || "a runner never missed the table".to_owned())
        .asserting(connected.is_none(), || {
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
    let answers: Vec<_> = stage.runners.iter().map(|runner| runner.dynamodb.befallen()).collect();
    let recovery = stage.recovered().await?;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome
        .noting(format!("throttled answers to each runner: {answers:?}"))
        .asserting(answers.iter().all(|count| *count > 0), || "a runner was never throttled".to_owned()))
}

#[cfg(test)]
mod tests {
    use guildhall_domain::PriorityClass;
    use guildhall_domain::PriorityClass::{Critical, High, Low};

    use super::*;

    const LONG_AGO: Timestamp = Timestamp::DISCORD_EPOCH;

    fn sent(call: usize, class: PriorityClass) -> Sent {
        let (passed, queue) = (Instant::now(), "queue".to_owned());
        Sent { passed, call, retried: false, queue, class, events: 1, newest: Some(LONG_AGO) }
    }

    fn judged(sent: &[Sent]) -> (usize, usize) {
        let Order { compared, wrong } = order(sent, LONG_AGO.plus_millis(3_600_000));
        (compared, wrong)
    }

    #[test]
    fn a_call_is_in_order_and_the_first_one_before_all() {
        assert_eq!(judged(&[sent(0, Critical), sent(0, High), sent(1, High), sent(1, Low)]), (3, 0));
        assert_eq!(judged(&[sent(0, High), sent(0, Critical)]), (1, 1));
        assert_eq!(judged(&[sent(0, Low), sent(1, High), sent(2, Critical)]), (2, 2));
    }

    #[test]
    fn calls_overtake_only_what_is_under_way_with_them() {
        let mut calls = vec![sent(0, Critical), sent(1, Low), sent(2, High)];
        assert_eq!(judged(&calls), (2, 0));
        calls.push(sent(1 + CALLS, High));
        for call in 3..=CALLS {
            calls.push(sent(call, Low));
        }
        assert_eq!(judged(&calls).1, 1);
    }

    #[test]
    fn what_was_tried_before_or_has_just_come_is_not_judged() {
        let retried = Sent { retried: true, ..sent(0, Low) };
        assert_eq!(judged(&[retried, sent(1, Critical)]), (0, 0));
        let fresh = Sent { newest: Some(LONG_AGO.plus_millis(3_599_999)), ..sent(0, Low) };
        assert_eq!(judged(&[fresh, sent(1, Critical)]), (0, 0));
    }
}
