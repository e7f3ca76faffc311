//! What Discord sends while the reader waits for something else.
//!
//! Where the table does not answer, a reader may have to wait: for the record of cuts, for a new session's record, for its
//! lease. The connection lives on meanwhile: heartbeats are sent, and what arrives is kept and handled afterwards, in
//! order.
//!
//! **Invariant:** what is kept is bounded; when there is no more room nothing is read, as when the journal is full.
//! **Invariant:** no connection is begun while something else is waited for, and nothing is read past what is kept.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use futures_util::{FutureExt as _, StreamExt as _};
use guildhall_domain::ShardId;
use metrics::Gauge;
use twilight_gateway::error::ReceiveMessageError;
use twilight_gateway::{Message, Shard, ShardState};

use super::Reader;
use crate::identify::Slot;

/// What the library gives: `None` is its end.
pub(super) type Item = Option<Result<Message, ReceiveMessageError>>;

/// The most that is kept, in bytes of text: a minute or so of a busy shard.
const MOST: usize = 32 << 20;

/// What is kept.
pub(super) struct Inbox {
    items: VecDeque<Item>,
    bytes: usize,
    depth: Gauge,
}

impl Inbox {
    pub(super) fn new(shard: ShardId) -> Self {
        let depth = metrics::gauge!("queue_depth", "queue" => format!("inbox-{shard}"));
        depth.set(0.0);
        Self { items: VecDeque::new(), bytes: 0, depth }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn has_room(&self) -> bool {
        self.bytes < MOST
    }

    fn push(&mut self, item: Item) {
        self.bytes += size(&item);
        self.items.push_back(item);
        self.measure();
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= size(&item);
        self.measure();
        Some(item)
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge; the values stay far below 2^52")]
    fn measure(&self) {
        self.depth.set(self.items.len() as f64);
    }
}

fn size(item: &Item) -> usize {
    let text = if let Some(Ok(Message::Text(text))) = item { text.len() } else { 0 };
    text + size_of::<Item>()
}

/// Whether there is nothing to be read before the library connects anew.
pub(super) fn is_down(shard: &Shard<Slot>) -> bool {
    matches!(shard.state(), ShardState::Disconnected { .. } | ShardState::FatallyClosed)
}

impl Reader<'_> {
    /// Waits for something else than Discord, while the connection is kept alive.
    pub(super) async fn meanwhile<T>(&mut self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        loop {
            let reads = self.inbox.has_room() && !is_down(&self.shard);
            let shard = &mut self.shard;
            // Ends as well when the connection does, without a word: the library would go on and connect.
            let arrival = std::future::poll_fn(|context| match shard.poll_next_unpin(context) {
                Poll::Ready(item) => Poll::Ready(Some(item)),
                Poll::Pending if is_down(shard) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            let arrived = tokio::select! {
                biased;
                done = &mut what => return done,
                arrived = arrival, if reads => arrived,
            };
            if let Some(item) = arrived {
                self.inbox.push(item);
                if let Some(side) = self.attached.get() {
                    side.arrived(false);
                }
            }
        }
    }

    /// The next message: of those that were kept, else from the connection.
    pub(super) async fn receive(&mut self) -> Item {
        match self.inbox.pop() {
            Some(item) => item,
            None => self.shard.next().await,
        }
    }

    /// The next message, if it is there already.
    pub(super) fn another(&mut self) -> Option<Item> {
        if let Some(item) = self.inbox.pop() {
            return Some(item);
        }
        if matches!(self.shard.state(), ShardState::Disconnected { .. }) {
            return None;
        }
        let item = self.shard.next().now_or_never();
        if item.is_none() && self.resumed {
            // Nothing is waiting behind RESUMED: what comes now happens now.
            self.replay_from = None;
        }
        item
    }
}
