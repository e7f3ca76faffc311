//! The read loop of one shard, from taking the lease to giving it up.
//!
//! **Invariant:** a new session is recorded, in DynamoDB and then in the journal, before its first event is forwarded.
//! **Invariant:** what was read of a session is delivered under that session, also when the session is then lost.
//! **Invariant:** no connection is begun without a fresh lease; a shard that Discord closed for good is not tried again.
//! **Invariant:** the loop waits for the journal instead of buffering: when the journal is full, nothing is read.
//! **Invariant:** it waits for the table only while the connection is kept alive ([`inbox`]).

mod cut_over;
mod dial;
mod finish;
mod flow;
mod inbox;
mod session;

use std::sync::Arc;
use std::time::Duration;

use guildhall_domain::{ClassMap, Clock, Timestamp};
use guildhall_wire::{CoverageGap, Event};
use secrecy::SecretString;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use twilight_gateway::error::ReceiveMessageErrorType as Receiving;
use twilight_gateway::{Intents, Message, Shard, ShardState};

use crate::batch::{Batch, Batcher};
use crate::gauges::{Gauges, next_slot};
use crate::identify::{Gate, Slot};
use crate::journal::{Journal, Unusable};
use crate::lease::{Lease, Lost};
use crate::meter::Meter;
use crate::project::{self, Dispatch, Frame};
use crate::reshard::Attached;
use crate::sharding::Sharding;
use crate::status::{Phase, Status};
use crate::watermark::{Mark, Watermarks};
use cut_over::{CutOver, asked, next};
use dial::Dial;
use inbox::{Inbox, Item};

/// Frames taken in one go before timers are looked at.
const BURST: usize = 64;
/// How often the watermarks follow what was read.
const ADVANCE: Duration = Duration::from_secs(1);

/// What every shard of a runner shares.
#[derive(Clone)]
pub struct Deps {
    /// The journal.
    pub journal: Journal,
    /// The watermarks.
    pub marks: Watermarks,
    /// The gate before each IDENTIFY.
    pub gate: Arc<Gate>,
    /// The clock.
    pub clock: Clock,
    /// What the probes see.
    pub status: Status,
    /// The bot's token.
    pub token: SecretString,
    /// The set of shards.
    pub sharding: Sharding,
    /// The intents to identify with.
    pub intents: Intents,
    /// The gateway's address, when it is not Discord's own.
    pub gateway_url: Option<String>,
    /// How long a hand-over waits for SQS.
    pub drain: Duration,
    /// The mapping that new sessions begin under.
    pub class_map: ClassMap,
}

/// How a shard's loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The lease was given up in good order.
    HandedOver,
    /// The lease is someone else's.
    Lost,
    /// Its guilds are all other shards' now: the session was closed for good, and the lease is kept.
    Retired,
    /// Discord closed the connection for good; the lease is kept, so that no other runner tries in vain.
    Fatal(u16),
    /// The journal can no longer be used.
    JournalUnusable,
}

/// Why reading ends.
enum End {
    Stop,
    Lost,
    Fatal(u16),
    Unusable,
}

impl From<Unusable> for End {
    fn from(_: Unusable) -> Self {
        Self::Unusable
    }
}

impl From<Lost> for End {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}

/// Runs a shard until `stop`, or until it is no longer this runner's. `local` is how far this disk's journal reaches.
pub async fn run(
    deps: Arc<Deps>,
    lease: Arc<Lease>,
    local: Option<(Arc<str>, Mark)>,
    attached: Attached,
    stop: CancellationToken,
) -> Outcome {
    let id = lease.shard();
    if let Some(code) = deps.gate.closed_for_good(lease.shard()).await {
        tracing::error!(
            shard = %lease.shard(),
            code,
            "Discord closed this shard for good, and nothing was changed since that could make a difference; it is not tried"
        );
        metrics::counter!("shard_fatal_total", "code" => code.to_string()).increment(1);
        deps.status.set(id, Some(Phase::Fatal { code }));
        return Outcome::Fatal(code);
    }
    deps.status.set(id, Some(Phase::Connecting));
    let slot = Slot::default();
    let outcome = match Reader::start(&deps, &lease, local, slot.clone(), attached.clone()).await {
        Ok(mut reader) => {
            let end = tokio::select! {
                end = reader.read(&stop) => end,
                end = refused(&deps.gate, &slot, &lease, &attached) => end,
            };
            Box::pin(reader.finish(end)).await
        }
        Err(End::Unusable) => Outcome::JournalUnusable,
        Err(_) => Outcome::Lost,
    };
    flow::forget(id);
    match outcome {
        Outcome::Fatal(code) => deps.status.set(id, Some(Phase::Fatal { code })),
        _ => deps.status.set(id, None),
    }
    outcome
}

/// Serves the shard's IDENTIFYs; returns when Discord closed it for good. Of a lost lease reading learns by itself, where
/// nothing is cut off.
async fn refused(gate: &Gate, slot: &Slot, lease: &Lease, attached: &Attached) -> End {
    match gate.serve(slot, lease, attached).await {
        Some(code) => End::Fatal(code),
        None => std::future::pending().await,
    }
}

struct Reader<'a> {
    deps: &'a Deps,
    lease: &'a Lease,
    shard: Shard<Slot>,
    inbox: Inbox,
    dial: Dial,
    slot: Slot,
    /// The session's own address.
    resume_url: Option<String>,
    /// The session's buffers; `None` until there is a session.
    batcher: Option<Batcher>,
    /// Sessions that are known and cannot be resumed.
    lost: Vec<(Arc<str>, Mark)>,
    /// Gaps that an earlier set of shards left open.
    inherited: Vec<CoverageGap>,
    /// Guilds being cut over from or to this shard.
    attached: Attached,
    cut_over: CutOver,
    gauges: Gauges,
    meter: Meter,
    /// While missed events are replayed: when the newest event before them was received.
    replay_from: Option<Timestamp>,
    /// Whether this connection has said RESUMED.
    resumed: bool,
    close_code: u16,
    advanced: u64,
    events: Vec<Event>,
    closed: Vec<Batch>,
    /// The id of the first closed envelope, once it is registered.
    next_id: Option<i64>,
}

impl<'a> Reader<'a> {
    async fn read(&mut self, stop: &CancellationToken) -> End {
        let (deps, lease) = (self.deps, self.lease);
        let mut lost = std::pin::pin!(lease.lost());
        let mut advance = tokio::time::interval(ADVANCE);
        advance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut slot = next_slot(deps.clock.now());
        let mut slot_timer = std::pin::pin!(tokio::time::sleep(until(slot, &deps.clock)));
        let mut deadline = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        let mut rounds = None;
        loop {
            self.announce();
            if let (None, Some(side)) = (&rounds, self.attached.get()) {
                rounds = Some(side.rounds());
            }
            let due = self.batcher.as_ref().and_then(Batcher::next_deadline);
            if let Some(due) = due
                && deadline.deadline() != due
            {
                deadline.as_mut().reset(due);
            }
            let disconnected = self.inbox.is_empty() && matches!(self.shard.state(), ShardState::Disconnected { .. });
            if self.dial.note(!disconnected, Instant::now()) {
                self.disconnected();
            }
            // Only connecting waits, for its time and for the lease; what was read is sent on meanwhile.
            let forbidden = disconnected && !lease.is_fresh();
            let early = disconnected && !self.dial.may_connect(Instant::now());
            let wake = self.dial.wake(Instant::now());
            let step = tokio::select! {
                biased;
                () = stop.cancelled() => return End::Stop,
                () = &mut lost => return End::Lost,
                () = &mut deadline, if due.is_some() => {
                    self.close_due();
                    Ok(())
                }
                () = &mut slot_timer => {
                    self.measure(slot);
                    self.save_gauges().await;
                    slot = next_slot(deps.clock.now().max(slot));
                    slot_timer.as_mut().reset(Instant::now() + until(slot, &deps.clock));
                    Ok(())
                }
                _ = advance.tick() => self.advance().await.and(self.report_gap().await),
                fresh = lease.fresh(), if forbidden => fresh.map_err(End::from),
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if self.dial.is_mute(Instant::now()) {
                        tracing::warn!(shard = %lease.shard(), "the gateway took the connection and says nothing");
                        self.redial();
                    }
                    Ok(())
                }
                // Asked whether something waits to be read: polling the shard once more tells.
                () = asked(&mut rounds) => Ok(()),
                item = next(&mut self.inbox, &mut self.shard, &self.attached), if !forbidden && !early => match item {
                    Some(item) => self.burst(item).await,
                    None => Ok(()),
                },
            };
            let step = match step {
                Ok(()) => self.submit().await.map(drop).map_err(End::from),
                Err(end) => Err(end),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Takes one message, and those that are there already.
    async fn burst(&mut self, first: Item) -> Result<(), End> {
        let mut item = Some(first);
        let mut taken = 0;
        while let Some(message) = item.take() {
            match message {
                Some(Ok(Message::Text(text))) => {
                    self.dial.heard();
                    self.text(&text).await?;
                }
                Some(Ok(Message::Close(frame))) => {
                    // Whatever closes was open, if only within one turn of the library's.
                    self.dial.note(true, Instant::now());
                    self.close_code = frame.as_ref().map_or(1006, |frame| frame.code);
                    tracing::info!(shard = %self.lease.shard(), code = self.close_code, "the gateway connection was closed");
                }
                Some(Err(error)) => {
                    metrics::counter!("gateway_errors_total").increment(1);
                    // The error's text can carry a whole payload, which does not belong into a log.
                    let kind = match error.kind() {
                        Receiving::Compression => "compression",
                        Receiving::Deserializing { .. } => "unreadable payload",
                        Receiving::Reconnect => "cannot connect",
                        _ => "other",
                    };
                    tracing::warn!(shard = %self.lease.shard(), kind, "receiving from the gateway failed");
                    if let Receiving::Reconnect = error.kind() {
                        self.redial();
                        return Ok(());
                    }
                }
                None => return Err(End::Fatal(self.close_code)),
            }
            if self.inbox.is_empty() && self.shard.state() == ShardState::FatallyClosed {
                return Err(End::Fatal(self.close_code));
            }
            taken += 1;
            let calm = taken >= BURST || !self.closed.is_empty();
            if !calm {
                item = self.another();
            }
        }
        Ok(())
    }

    async fn text(&mut self, text: &str) -> Result<(), End> {
        if !self.lease.is_confirmed() {
            let lease = self.lease;
            self.meanwhile(lease.confirmed()).await?;
        }
        let began = self.meter.begin();
        let Some(frame) = Frame::peek(text) else { return Ok(()) };
        let (Some(0), Some(seq), Some(name)) = (frame.op, frame.seq, frame.name) else { return Ok(()) };
        let dispatch = Dispatch::from_name(name);
        match dispatch {
            Some(Dispatch::Ready) => self.ready(text, seq).await?,
            Some(Dispatch::Resumed) => self.resumed(),
            _ => {}
        }
        self.announce();
        let Some(batcher) = &self.batcher else { return Ok(()) };
        // Beyond what a database can hold, or read before.
        if seq >= i64::MAX as u64 || seq <= batcher.read().seq {
            self.meter.repeated();
            return Ok(());
        }
        let received = self.deps.clock.now();
        if let Some(dispatch) = dispatch {
            match project::project(dispatch, &frame, seq, received, &mut self.events) {
                Ok(members) => {
                    if let Some(members) = members {
                        self.gauges.members(seq, members);
                    }
                    self.events.iter().for_each(|event| self.gauges.event(event));
                }
                Err(error) => {
                    self.meter.unreadable(dispatch);
                    tracing::warn!(
                        shard = %self.lease.shard(),
                        seq,
                        event = dispatch.name(),
                        error = guildhall_runtime::telemetry::chain(&error),
                        "a payload could not be read and counts as nothing"
                    );
                }
            }
        }
        if let Some(side) = self.attached.get().cloned() {
            let (session, mut events) = (batcher.origin().session_id.clone(), std::mem::take(&mut self.events));
            if !self.meanwhile(side.frame(&session, seq, &mut events)).await {
                return Err(End::Stop);
            }
            self.events = events;
        }
        let Some(batcher) = &mut self.batcher else { return Ok(()) };
        let at = Mark { seq, at: self.replay_from.unwrap_or(received) };
        batcher.outage(self.deps.journal.has_outage(self.lease.shard()), Instant::now());
        batcher.frame(at, &mut self.events, Instant::now(), &mut self.closed);
        self.meter.processed(dispatch, began);
        Ok(())
    }

    /// A replay ends with RESUMED, and may contain the RESUMED of earlier connections.
    fn resumed(&mut self) {
        self.live(true);
        if self.resumed {
            return;
        }
        self.resumed = true;
        self.dial.receiving(Instant::now());
        metrics::counter!("resumes_total").increment(1);
        tracing::info!(shard = %self.lease.shard(), "resumed");
        self.deps.status.set(self.lease.shard(), Some(Phase::Active));
    }

    /// The connection has gone; what follows until RESUMED happened after what was read last.
    fn disconnected(&mut self) {
        if let Some(batcher) = &self.batcher {
            self.replay_from.get_or_insert(batcher.read().at);
        }
        self.resumed = false;
        self.live(false);
        self.deps.status.set(self.lease.shard(), Some(Phase::Connecting));
    }
}

fn until(slot: Timestamp, clock: &Clock) -> Duration {
    Duration::from_millis(u64::try_from(slot.millis_since(clock.now())).unwrap_or(0))
}
