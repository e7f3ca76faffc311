//! A reader's part in cutting guilds over to another set of shards: it tells what it reads and how far it is.
//!
//! **Invariant:** with nothing to cut over, reading is as it would be without this.

use std::collections::HashSet;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use guildhall_domain::GuildId;
use tokio::sync::watch;
use twilight_gateway::{Shard, ShardState};

use super::inbox::{Inbox, Item};
use super::{End, Reader};
use crate::identify::Slot;
use crate::reshard::Attached;

/// What a reader has told.
#[derive(Default)]
pub(super) struct CutOver {
    /// Whether the session was named.
    pub(super) announced: bool,
    /// Whether nothing is left to be replayed on this connection.
    pub(super) live: bool,
    /// The guilds that the session is to introduce, when it began on this connection.
    pub(super) introducing: Option<HashSet<GuildId>>,
}

/// The next message, of those that were kept first, or nothing when the connection has ended without a word: the library would go on and connect again
/// within the same call, for which it may not be the time. Whether it was waited for is told to whom it concerns.
pub(super) async fn next(inbox: &mut Inbox, shard: &mut Shard<Slot>, attached: &Attached) -> Option<Item> {
    if let Some(item) = inbox.pop() {
        return Some(item);
    }
    let is_down = |shard: &Shard<Slot>| matches!(shard.state(), ShardState::Disconnected { .. });
    let (was_down, side) = (is_down(shard), attached.get());
    let mut waited = false;
    let polling = std::future::poll_fn(|context| match shard.poll_next_unpin(context) {
        Poll::Ready(item) => Poll::Ready(Some(item)),
        Poll::Pending if !was_down && is_down(shard) => Poll::Ready(None),
        Poll::Pending => {
            waited = true;
            if let Some(side) = &side {
                side.drained();
            }
            Poll::Pending
        }
    });
    let Some(side) = &side else { return polling.await };
    // Without the runtime's own budget, so that only an empty socket makes it wait.
    let item = tokio::task::unconstrained(polling).await;
    side.arrived(waited);
    item
}

/// Returns when the reader is asked whether something waits to be read.
pub(super) async fn asked(rounds: &mut Option<watch::Receiver<u64>>) {
    if let Some(rounds) = rounds
        && rounds.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

impl Reader<'_> {
    /// Names the session to whom it concerns, once.
    pub(super) fn announce(&mut self) {
        let (Some(side), Some(batcher)) = (self.attached.get(), &self.batcher) else { return };
        if !std::mem::replace(&mut self.cut_over.announced, true) {
            let age = self.deps.clock.now().millis_since(batcher.origin().started);
            let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
            let guilds = self.cut_over.introducing.take();
            side.session(&batcher.origin().session_id, batcher.read().seq, guilds, age);
            side.live(self.cut_over.live);
        }
    }

    pub(super) fn live(&mut self, live: bool) {
        self.cut_over.live = live;
        if let Some(side) = self.attached.get()
            && self.cut_over.announced
        {
            side.live(live);
        }
    }

    /// Sends the gap that a cut has left, if there is one.
    pub(super) async fn report_gap(&mut self) -> Result<(), End> {
        let Some(side) = self.attached.get().cloned() else { return Ok(()) };
        let Some(gap) = side.gap() else { return Ok(()) };
        let Some(batcher) = &mut self.batcher else { return Ok(()) };
        metrics::counter!("reshard_gaps_total").increment(1);
        tracing::error!(shard = %self.lease.shard(), from = %gap.from, to = %gap.to, "guilds were cut over with a gap");
        batcher.gap(gap.clone(), &mut self.closed);
        // Whoever is interrupted before this is told again of the gap, which counts once.
        let ids = self.submit().await?;
        side.gap_sent(gap, ids);
        Ok(())
    }
}
