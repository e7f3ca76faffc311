//! From n shards to 2n while everything runs.

use anyhow::ensure;

use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage};
use crate::wait::eventually;

/// One runner after the other is started with twice the number of shards; in the middle of it one is killed.
pub(super) async fn resharding(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let shards = context.scale.shards;
    let quiet = context.scale.lease_term.as_millis().to_string();
    let setup = Setup { environment: vec![("RUNNER_RESHARD_QUIET_MS".to_owned(), quiet)], ..Setup::new(name, context) };
    let mut stage = Stage::set(context, setup).await?;
    stage.traffic();
    stage.recovered().await?;
    let began = tokio::time::Instant::now();
    stage.runners[1].stop().await?;
    for runner in &mut stage.runners {
        runner.recipe.set("RUNNER_SHARD_COUNT", (shards * 2).to_string());
    }
    stage.runners[1].start()?;
    let limit = stage.scale.patience * 2;
    let of = |stage: &Stage, count: u32| {
        stage.double.gateway().sessions().iter().filter(|s| s.shard.count == count && s.connected).count()
    };
    let all_new = (shards * 2) as usize;
    eventually("the new sessions beside the old ones", limit, || async {
        Ok((of(&stage, shards * 2) >= all_new).then_some(()))
    })
    .await?;
    ensure!(of(&stage, shards) > 0, "the old sessions were closed before the guilds were cut over");
    stage.runners[0].kill().await?;
    stage.runners[0].start()?;
    eventually("the old sessions to be closed", limit, || async {
        Ok((of(&stage, shards) == 0 && of(&stage, shards * 2) >= all_new).then_some(()))
    })
    .await?;
    let took = began.elapsed();
    stage.resharded(shards * 2);
    let recovery = stage.recovered().await?;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome.noting(format!("{shards} to {} shards in {:.0} s", shards * 2, took.as_secs_f64())))
}
