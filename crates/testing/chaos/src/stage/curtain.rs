//! The end of a scene: what is left arrives, and the books are compared.

use std::time::Duration;

use anyhow::Context as _;

use super::Stage;
use crate::audit;
use crate::poison;
use crate::report::Outcome;
use crate::wait::eventually;

impl Stage {
    /// Waits until the queues are empty, ends the functions, and audits the books. No runner runs any more.
    ///
    /// # Errors
    /// When the queues do not empty; deviations of the books are part of the outcome.
    pub async fn close(mut self, recovery: Option<Duration>) -> anyhow::Result<Outcome> {
        self.empty_queues().await?;
        self.stop.cancel();
        while self.sources.join_next().await.is_some() {}

        let mut db = self.database.pool().acquire().await?;
        let mut books = audit::audit(&self.double, &mut db).await?;
        drop(db);
        let counts = self.double.gateway().counts();
        if counts.token_resets > 0 {
            books.deviations.push(format!("the budget of IDENTIFYs was exceeded: {counts:?}"));
        }
        let sessions = u64::from(self.setup.shards) + self.expectation.earlier_sessions;
        if !self.expectation.lost_sessions && (counts.identifies != sessions || books.gaps > 0) {
            books
                .deviations
                .push(format!("{} IDENTIFYs and {} gaps, although no session was lost", counts.identifies, books.gaps));
        }
        books.deviations.extend(poison::alone(&self.aws, &self.resources, &self.poison).await?);
        let outcome = Outcome {
            rate: self.rate(),
            sent: books.sent,
            counted: books.counted,
            missing: books.missing,
            gaps: books.gaps,
            identifies: counts.identifies,
            recovery,
            note: String::new(),
            deviations: books.deviations,
        };
        if !outcome.deviations.is_empty() {
            self.keep_logs();
        }
        Ok(outcome)
    }

    /// Waits until the event queues are empty: everything was handled or given up.
    ///
    /// # Errors
    /// When they do not empty.
    pub async fn empty_queues(&self) -> anyhow::Result<()> {
        // Poison is delivered ten times before it is given up.
        let limit = self.scale.patience + Duration::from_secs(12) * self.setup.visibility_secs;
        eventually("the queues to be empty", limit, || async {
            for queue in &self.resources.event_queues {
                if self.aws.waiting(&queue.url).await? > 0 {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
        .with_context(|| self.words())
    }

    /// Messages in all dead-letter queues of events.
    ///
    /// # Errors
    /// When a queue does not answer.
    pub async fn dead_letters(&self) -> anyhow::Result<usize> {
        let mut waiting = 0;
        for queue in &self.resources.event_queues {
            waiting += usize::try_from(self.aws.waiting(&queue.dead_letter_url).await?)?;
        }
        Ok(waiting)
    }

    /// Bodies that no function can handle and that were put into the queues.
    pub fn poison_count(&self) -> usize {
        self.poison.len()
    }

    /// Puts one more into the first queue.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn poison_with(&mut self, body: String) -> anyhow::Result<()> {
        let queue = &self.resources.event_queues[0];
        self.aws.sqs.send_message().queue_url(&queue.url).message_body(&body).send().await.context("no poison")?;
        self.poison.push(body);
        Ok(())
    }

    /// Keeps the runners' logs for whoever looks into a deviation.
    fn keep_logs(&self) {
        for runner in &self.runners {
            let kept = std::env::temp_dir().join(format!("chaos-{}-{}.log", self.setup.name, runner.name));
            if std::fs::copy(&runner.recipe.log, &kept).is_ok() {
                tracing::warn!(log = %kept.display(), "kept");
            }
        }
    }
}
