//! Poison beside good messages, and good messages that are given up because the database was away for too long.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use guildhall_devstack::redrive::{Redrive, Report};
use guildhall_domain::{PriorityClass, ShardId};
use guildhall_wire::Envelope;

use crate::proxy::Mode;
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage};
use crate::wait::eventually;

/// The database is away until messages are given up; a redrive puts back what is whole, and the poison alone stays.
pub(super) async fn poison(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let setup = Setup { visibility_secs: 1, poison: 1, ..Setup::new(name, context) };
    let mut stage = Stage::set(context, setup).await?;
    let at = context.clock.now();
    let envelope = Envelope {
        shard: ShardId { id: 0, count: stage.scale.shards },
        session_id: "of another class map".to_owned(),
        session_started: at,
        class: PriorityClass::High,
        class_map: u16::MAX,
        range: None,
        events: Vec::new(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    };
    // Readable, and unacceptable all the same.
    stage.poison_with(guildhall_wire::encode(&envelope)).await?;
    // Readable and acceptable, and refused by the database, whose texts know no NUL.
    let envelope =
        Envelope { session_id: "\0".to_owned(), class_map: guildhall_domain::event::CLASS_MAP_VERSION, ..envelope };
    stage.poison_with(guildhall_wire::encode(&envelope)).await?;
    stage.traffic();
    stage.recovered().await?;
    stage.database(Mode::Cut);
    let poison = stage.poison_count();
    let limit = stage.scale.patience + Duration::from_secs(60);
    eventually("good messages to be given up", limit, || async {
        Ok((stage.dead_letters().await? > poison + 2).then_some(()))
    })
    .await?;
    stage.database(Mode::Pass);
    stage.double.traffic().stop().await;
    let mut put_back = Report::default();
    // What is given up until the queues are empty; the last round finds nothing more.
    loop {
        stage.empty_queues().await?;
        let before = put_back.whole;
        for queue in &stage.resources.event_queues {
            let redrive = Redrive {
                from: queue.dead_letter_url.clone(),
                to: queue.url.clone(),
                folder: Some(stage.path("mended")),
                dry_run: false,
            };
            let report = redrive.run(&stage.aws.sqs, context.clock.now(), drop).await.context("redrive")?;
            put_back.whole += report.whole;
            put_back.left = put_back.left.max(report.left);
        }
        // The envelope with a NUL looks good, goes back, and is given up again.
        if put_back.whole - before <= 1 {
            break;
        }
    }
    ensure!(put_back.whole > 2, "nothing good was given up");
    let recovery = stage.recovered().await?;
    let outcome = stage.settle(Some(recovery)).await?;
    Ok(outcome.noting(format!("{} given up and put back", put_back.whole)))
}
