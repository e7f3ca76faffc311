//! The end of a shard's loop: what was read is made safe, and the lease is handed over.
//!
//! **Invariant:** the connection is closed so that the session can be resumed; its lease is released only after its
//! watermark is written, and no later than the drain's bound.

use std::time::Duration;

use twilight_gateway::{CloseFrame, Message, ShardState};

use super::{End, Outcome, Reader};
use crate::project::Frame;
use crate::status::Phase;

/// How long a closing handshake may take.
const CLOSING: Duration = Duration::from_secs(1);
/// What the gateway says first on a connection (Discord documentation, "Gateway opcodes").
const HELLO: u64 = 10;

impl Reader<'_> {
    /// Ends the connection and sees that what was read is safe.
    pub(super) async fn finish(mut self, end: End) -> Outcome {
        match end {
            End::Unusable => return Outcome::JournalUnusable,
            End::Stop if self.is_retired() => self.close(CloseFrame::NORMAL).await,
            End::Stop => self.close(CloseFrame::RESUME).await,
            End::Lost => {}
            End::Fatal(code) => self.alarm(code),
        }
        if let Some(batcher) = &mut self.batcher {
            batcher.close_all(&mut self.closed);
        }
        if self.submit().await.is_err() || self.advance().await.is_err() {
            return Outcome::JournalUnusable;
        }
        match end {
            End::Fatal(code) => {
                self.deps.gate.close_for_good(self.lease.shard(), code).await;
                Outcome::Fatal(code)
            }
            End::Stop if self.is_retired() => {
                self.retire();
                Outcome::Retired
            }
            End::Stop => self.hand_over().await,
            _ => {
                self.retire();
                Outcome::Lost
            }
        }
    }

    /// Says that Discord closed the shard for good, before anything that may have to wait for the disk or the table.
    fn alarm(&self, code: u16) {
        let shard = self.lease.shard();
        self.deps.status.set(shard, Some(Phase::Fatal { code }));
        metrics::counter!("shard_fatal_total", "code" => code.to_string()).increment(1);
        tracing::error!(shard = %shard, code, "Discord closed the shard for good; it stays closed");
    }

    /// Closes the connection so that the session can be resumed, and reads what Discord sent before it noticed.
    async fn close(&mut self, frame: CloseFrame<'static>) {
        self.deps.status.set(self.lease.shard(), Some(Phase::HandingOver));
        if matches!(self.shard.state(), ShardState::Disconnected { .. } | ShardState::FatallyClosed) {
            return;
        }
        self.shard.close(frame);
        let reading = async {
            while let Some(Ok(Message::Text(text))) = self.receive().await {
                // Where Discord hangs up without a word, the library connects again by itself; that session is the next
                // holder's to resume.
                let is_hello = Frame::peek(&text).is_some_and(|frame| frame.op == Some(HELLO));
                if is_hello || self.text(&text).await.is_err() {
                    return;
                }
            }
        };
        // Whatever is not read by then is replayed to the next holder.
        let _late = tokio::time::timeout(CLOSING, reading).await.is_err();
    }

    /// Whether the guilds are all other shards' now, so that the session is not needed any longer.
    fn is_retired(&self) -> bool {
        self.attached.get().is_some_and(|side| side.is_retired())
    }

    fn retire(&self) {
        if let Some(batcher) = &self.batcher {
            self.deps.marks.retire(&batcher.origin().session_id);
        }
    }

    async fn hand_over(&mut self) -> Outcome {
        if let Some(batcher) = &self.batcher {
            let session = batcher.origin().session_id.clone();
            let drained = self.deps.marks.drained(&session);
            let waited = tokio::select! {
                waited = tokio::time::timeout(self.deps.drain, drained) => waited,
                () = self.lease.lost() => {
                    self.retire();
                    return Outcome::Lost;
                }
            };
            if waited.is_err() {
                tracing::warn!(
                    shard = %self.lease.shard(),
                    "the hand-over does not wait longer for SQS; the next holder replays what is missing"
                );
            }
        }
        self.save_gauges().await;
        if let Err(error) = self.lease.release().await {
            tracing::warn!(shard = %self.lease.shard(), error = %error, "the lease could not be released and will expire");
        }
        self.retire();
        Outcome::HandedOver
    }
}
