//! Poison beside good messages, and good messages that are given up because the database was away for too long.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use guildhall_devstack::redrive::{Redrive, Report};
use guildhall_domain::PriorityClass;
use guildhall_wire::{Envelope, SeqRange};
use tokio::time::Instant;

use crate::proxy::Mode;
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage};
use crate::wait::eventually;

/// The database is away until messages are given up; a redrive puts back what is whole, and the poison alone stays.
pub(super) async fn poison(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let setup = Setup { visibility_secs: 1, poison: 0, ..Setup::new(name, context) };
    let mut stage = Stage::set(context, setup).await?;
    stage.traffic();
    // Every session is known to the database before one is claimed for another class map.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    stage.happened((stage.scale.events_per_second * 3.0) as u64).await?;
    stage.recovered().await?;
    // Readable and acceptable by itself, and refused by the database: a session keeps the class map it began with. Only
    // halves of the batch tell which envelope it is.
    let sessions = stage.double.gateway().sessions();
    let busiest = sessions.into_iter().max_by_key(|session| session.sequence).context("no session")?;
    let envelope = Envelope {
        shard: busiest.shard,
        session_id: busiest.session_id,
        session_started: context.clock.now(),
        class: PriorityClass::High,
        class_map: guildhall_domain::event::CLASS_MAP_VERSION + 1,
        range: Some(SeqRange { first: 1, last: 1 }),
        events: Vec::new(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    };
    stage.poison_with(guildhall_wire::encode(&envelope)).await?;
    eventually("a batch to be counted but for the poison", stage.scale.patience, || async {
        Ok((stage.functions[0].partial() > 0).then_some(()))
    })
    .await?;
    // Readable, and of no map at all.
    stage.poison_with(guildhall_wire::encode(&Envelope { class_map: u16::MAX, ..envelope })).await?;
    stage.poison_with("no envelope".to_owned()).await?;
    stage.recovered().await?;
    stage.database(Mode::Cut);
    let poison = stage.poison_count();
    let limit = stage.scale.patience + Duration::from_secs(60);
    eventually("good messages to be given up", limit, || async {
        Ok((stage.dead_letters().await? > poison + 2).then_some(()))
    })
    .await?;
    stage.database(Mode::Pass);
    let back = Instant::now();
    stage.quiet().await;
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
        // The envelope of another map looks good, goes back, and is given up again.
        if put_back.whole - before <= 1 {
            break;
        }
    }
    ensure!(put_back.whole > 2, "nothing good was given up");
    stage.recovered().await?;
    let outcome = stage.settle(Some(back.elapsed())).await?;
    Ok(outcome.noting(format!("{} given up and put back", put_back.whole)))
}
