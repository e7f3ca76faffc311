//! Runners are killed, again and again: at any moment, while a batch is on its way to SQS, and after SQS took it but before
//! its answer. Some come back on their disk, some are taken over by strangers.

use anyhow::Context as _;
use rand::Rng as _;

use super::chance;
use crate::proxy::Flow;
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage};
use crate::watch::{SEND_BATCH, Trap};

/// Runs it.
pub(super) async fn kills(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut chance = chance(context, name);
    let mut stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    let (mut in_flush, mut unanswered, mut strangers) = (0, 0, 0);
    for kill in 0..stage.scale.kills {
        if kill % 3 == 0 {
            stage.all_connected().await?;
        }
        // Between a tenth of a second's traffic and one second's.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let events = (stage.scale.events_per_second * chance.random_range(0.1..1.0)) as u64;
        stage.happened(events).await?;
        let victim = usize::try_from(kill)? % stage.runners.len();
        let runner = &mut stage.runners[victim];
        let trap = match kill % 3 {
            0 => None,
            1 => {
                in_flush += 1;
                Some(Trap::set(&runner.sqs, Flow::ToServer, SEND_BATCH))
            }
            _ => {
                unanswered += 1;
                Some(Trap::set_for_answer(&runner.sqs, SEND_BATCH))
            }
        };
        if let Some(trap) = trap {
            let sprung = tokio::time::timeout(stage.scale.patience, trap.sprung()).await;
            sprung.context("the runner sends nothing")?;
        }
        runner.kill().await?;
        runner.sqs.tap(None);
        runner.sqs.reset();
        if chance.random_bool(0.4) {
            strangers += 1;
            runner.become_a_stranger();
        }
        runner.start()?;
    }
    let recovery = stage.recovered().await?;
    let kills = stage.scale.kills;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome.noting(format!(
        "{kills} kills: {in_flush} in mid-flush, {unanswered} before SQS's answer, {strangers} on another disk"
    )))
}
