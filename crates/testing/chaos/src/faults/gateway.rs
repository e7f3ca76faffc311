//! What Discord's gateway is known to do.

use std::time::Duration;

use anyhow::ensure;
use guildhall_discord_double::gateway::GatewayFault;
use rand::Rng as _;
use rand::seq::SliceRandom as _;

use super::chance;
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage};
use crate::wait::eventually;

/// Sessions are invalidated, some for good, and some are dropped without a word.
pub(super) async fn invalid_sessions(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut chance = chance(context, name);
    let mut stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.sessions_may_be_lost();
    stage.traffic();
    stage.recovered().await?;
    let rounds = (stage.scale.kills / 3).max(2);
    let mut shards: Vec<u32> = (0..stage.scale.shards).collect();
    for _ in 0..rounds {
        shards.shuffle(&mut chance);
        let gateway = stage.double.gateway();
        for shard in &shards[..2] {
            gateway.misbehave(GatewayFault::InvalidSession { shard: Some(*shard), resumable: false });
        }
        gateway.misbehave(GatewayFault::InvalidSession { shard: Some(shards[2]), resumable: true });
        gateway.misbehave(GatewayFault::DropSession { shard: Some(shards[3]) });
        events(&stage, &mut chance).await?;
        stage.all_connected().await?;
    }
    let recovery = stage.recovered().await?;
    let lost = rounds as usize * 3;
    let outcome = stage.settle(Some(recovery)).await?;
    let (gaps, identifies, shards) = (outcome.gaps, outcome.identifies, u64::from(context.scale.shards));
    Ok(outcome
        .asserting(gaps == lost, || format!("{lost} sessions were lost, and {gaps} gaps recorded"))
        .asserting(identifies == shards + lost as u64, || format!("{identifies} IDENTIFYs for {lost} lost sessions")))
}

/// Every connection is closed, over and over: by opcode, by close code, without a word, and while nobody is let in.
pub(super) async fn reconnect_storm(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut chance = chance(context, name);
    let stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    stage.recovered().await?;
    let before = stage.double.gateway().counts().resumes;
    for _ in 0..(stage.scale.kills / 3).max(2) {
        for fault in [
            GatewayFault::Reconnect { shard: None },
            GatewayFault::DropConnections { shard: None },
            GatewayFault::Close { shard: None, code: 4000 },
            GatewayFault::GatewayDown { seconds: 1 },
        ] {
            stage.double.gateway().misbehave(fault);
            events(&stage, &mut chance).await?;
        }
        stage.all_connected().await?;
    }
    let recovery = stage.recovered().await?;
    let resumes = stage.double.gateway().counts().resumes - before;
    let shards = u64::from(stage.scale.shards);
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome
        .noting(format!("{resumes} RESUMEs"))
        .asserting(resumes >= shards, || format!("a storm of {resumes} RESUMEs is none")))
}

/// Discord says that the token is wrong: the shards stop, say so, and try nothing until they are started anew.
pub(super) async fn fatal_4004(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    stage.recovered().await?;
    let shards = f64::from(stage.scale.shards);
    stage.double.gateway().misbehave(GatewayFault::Close { shard: None, code: 4004 });
    let deadline = tokio::time::Instant::now() + stage.scale.patience;
    loop {
        let mut fatal = 0.0;
        for runner in &mut stage.runners {
            fatal += runner.process()?.metric("shard_fatal_total", "code=\"4004\"").await?;
        }
        if fatal >= shards {
            break;
        }
        ensure!(tokio::time::Instant::now() < deadline, "only {fatal} of {shards} shards raise the alarm");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = stage.double.gateway().counts();
    let mut wrong = Vec::new();
    for runner in &mut stage.runners {
        for (path, expected) in [("/readyz", 503), ("/healthz", 200)] {
            let (status, body) = runner.process()?.get(path).await?;
            if status != expected {
                wrong.push(format!("{path} answers {status}: {body}"));
            }
        }
    }
    stage.hold(stage.span(60, 4)).await;
    // Whoever keeps it running starts it anew, which mends nothing.
    stage.runners[0].stop().await?;
    stage.runners[0].start()?;
    stage.hold(stage.span(60, 4)).await;
    let after = stage.double.gateway().counts();
    // Somebody mends the token and starts the runners anew.
    for runner in &mut stage.runners {
        runner.stop().await?;
    }
    for runner in &mut stage.runners {
        runner.recipe.set("RUNNER_RETRY", "the token was mended");
        runner.start()?;
    }
    let recovery = stage.recovered().await?;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome
        .asserting(wrong.is_empty(), || format!("a runner with fatally closed shards: {wrong:?}"))
        .asserting(before == after, || format!("it went on trying: {before:?}, then {after:?}")))
}

/// Discord grants twenty IDENTIFYs, and twelve in what is left of the first window: who needs more waits for the next.
pub(super) async fn identify_budget(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    const GRANTED: u32 = 20;
    const LEFT: u32 = 12;
    let window = context.scale.span(Duration::from_secs(120), Duration::from_secs(40));
    let setup = Setup { identify_budget: (GRANTED, window), ..Setup::new(name, context) };
    let mut stage = Stage::dark(context, setup).await?;
    // The window has begun, and so Discord says when it ends.
    stage.double.gateway().misbehave(GatewayFault::IdentifyBudget { remaining: LEFT });
    for runner in &mut stage.runners {
        runner.start()?;
    }
    stage.shared_out().await?;
    stage.sessions_may_be_lost();
    stage.traffic();
    // Each round takes as many IDENTIFYs as there are shards. A slow machine needs more rounds, because the window
    // passes meanwhile and the next one grants everything.
    let deadline = tokio::time::Instant::now() + stage.scale.patience * 2;
    let mut blocked = false;
    while !blocked {
        let identifies = stage.double.gateway().counts().identifies;
        stage.double.gateway().misbehave(GatewayFault::InvalidSession { shard: None, resumable: false });
        loop {
            for runner in &mut stage.runners {
                blocked |= runner.process()?.metric("identify_blocked_until_seconds", "").await? > 0.0;
            }
            let renewed = stage.double.gateway().counts().identifies - identifies >= u64::from(stage.scale.shards);
            if blocked || renewed && stage.connected() >= stage.scale.shards as usize {
                break;
            }
            ensure!(tokio::time::Instant::now() < deadline, "the budget is never used up: {}", stage.words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let before = stage.double.gateway().identify_windows();
    eventually("the next window", stage.scale.patience + window, || async {
        let next = stage.double.gateway().identify_windows().len() > before.len();
        Ok(next.then_some(()))
    })
    .await?;
    let recovery = stage.recovered().await?;
    let windows = stage.double.gateway().identify_windows();
    let outcome = stage.settle(Some(recovery)).await?;
    let (identifies, lost) = (outcome.identifies, outcome.gaps as u64);
    let shards = u64::from(context.scale.shards);
    let shown: Vec<_> = windows.iter().map(|window| format!("{} of {}", window.used, window.granted)).collect();
    Ok(outcome
        .noting(format!("IDENTIFYs in each window: {}", shown.join(", ")))
        .asserting(windows.iter().all(|window| window.used <= window.granted), || format!("too many: {shown:?}"))
        .asserting(identifies == shards + lost, || format!("{identifies} IDENTIFYs for {lost} lost sessions")))
}

/// Lets some things happen.
async fn events(stage: &Stage, chance: &mut rand::rngs::StdRng) -> anyhow::Result<()> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    let events = (stage.scale.events_per_second * chance.random_range(0.1..1.0)) as u64;
    stage.happened(events).await
}
