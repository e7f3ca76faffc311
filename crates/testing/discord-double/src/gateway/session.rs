//! A session: the numbered stream of one shard's events, and the window of it that can be replayed.
//!
//! **Invariant:** sequences begin at 1 and have no holes; an event keeps its sequence for ever.
//! **Invariant:** a connection holds a cursor into the buffer and no queue of its own, so that a slow client costs no
//! memory beyond the buffer. A session whose unsent events fill the buffer is lost for good.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guildhall_domain::{GuildId, ShardId, Timestamp};
use serde::Serialize;
use tokio::time::Instant;

use super::link::Link;
use crate::dispatch::Dispatch;
use crate::ledger::{LostEvent, LostSession, Tally};

/// One shard's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) shard: ShardId,
    pub(super) intents: u64,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The sequence of the buffer's first event.
    first: u64,
    /// The events, with when they were dispatched.
    buffer: VecDeque<(Timestamp, Arc<Dispatch>)>,
    /// The last sequence handed to a connection.
    sent: u64,
    /// The last sequence the client said it had.
    confirmed: u64,
    /// What left the buffer after `confirmed`.
    evicted: Tally,
    link: Option<Arc<Link>>,
    detached_at: Option<Instant>,
    resumes: u32,
    resumes_elsewhere: u32,
    /// Guilds whose GUILD_CREATE has not come yet.
    awaited: HashSet<GuildId>,
    over: bool,
}

impl State {
    fn last(&self) -> u64 {
        self.first + self.buffer.len() as u64 - 1
    }
}

/// What became of an event offered to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in the stream.
    Kept,
    /// There is no room left for it: the session must end.
    Overflow,
    /// The session is over, or the guild's GUILD_CREATE has not come yet.
    Refused,
}

/// Why a RESUME was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The events after the client's sequence are gone.
    Evicted,
    /// The sequence lies in the future.
    Sequence,
    /// The session is over.
    Over,
}

/// A session as the control API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct SessionInfo {
    /// Its id.
    pub session_id: String,
    /// Its shard.
    #[serde(flatten)]
    pub shard: ShardId,
    /// The intents it identified with.
    pub intents: u64,
    /// Whether a connection carries it now.
    pub connected: bool,
    /// The last sequence of the stream.
    pub sequence: u64,
    /// The last sequence handed to a connection.
    pub sent: u64,
    /// The last sequence the client said it had.
    pub confirmed: u64,
    /// How many events can be replayed.
    pub buffered: usize,
    /// How often it was resumed.
    pub resumes: u32,
    /// How often it was resumed at another address than its own `resume_gateway_url`.
    pub resumes_elsewhere: u32,
}

impl Session {
    /// A session without a connection and without events.
    pub(super) fn new(id: String, number: u64, shard: ShardId, intents: u64, capacity: usize) -> Arc<Self> {
        let state = State {
            first: 1,
            buffer: VecDeque::new(),
            sent: 0,
            confirmed: 0,
            evicted: Tally::default(),
            link: None,
            detached_at: None,
            resumes: 0,
            resumes_elsewhere: 0,
            awaited: HashSet::new(),
            over: false,
        };
        Arc::new(Self { id, number, shard, intents, capacity, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the session is subscribed to events that need one of these intents.
    pub(super) const fn wants(&self, intents: u64) -> bool {
        intents == 0 || self.intents & intents != 0
    }

    /// Takes no events of these guilds until [`Session::open_guild`]: they build on a GUILD_CREATE to come.
    pub(super) fn await_guilds(&self, guilds: &[GuildId]) {
        self.state().awaited.extend(guilds);
    }

    /// Takes the guild's events from now on.
    pub(super) fn open_guild(&self, guild: GuildId) {
        self.state().awaited.remove(&guild);
    }

    /// Appends an event to the stream.
    pub(super) fn push(&self, event: &Arc<Dispatch>, now: Timestamp) -> Pushed {
        let mut state = self.state();
        if state.over || event.guild.is_some_and(|guild| state.awaited.contains(&guild)) {
            return Pushed::Refused;
        }
        if state.buffer.len() >= self.capacity {
            if state.sent < state.first {
                return Pushed::Overflow;
            }
            if let Some((_, evicted)) = state.buffer.pop_front() {
                if state.first > state.confirmed {
                    state.evicted.add(&evicted);
                }
                state.first += 1;
            }
        }
        state.buffer.push_back((now, Arc::clone(event)));
        if let Some(link) = &state.link {
            link.wake();
        }
        Pushed::Kept
    }

    /// Moves up to `limit` events that follow the cursor into `batch`, with their sequences. Nothing for a connection
    /// that no longer carries the session.
    pub(super) fn take(&self, link: &Link, limit: usize, batch: &mut Vec<(u64, Arc<Dispatch>)>) {
        let mut state = self.state();
        if state.link.as_ref().is_none_or(|own| own.number != link.number) {
            return;
        }
        let from = usize::try_from(state.sent + 1 - state.first).unwrap_or(usize::MAX).min(state.buffer.len());
        let to = from.saturating_add(limit).min(state.buffer.len());
        batch.extend((state.sent + 1..).zip(state.buffer.range(from..to).map(|(_, event)| Arc::clone(event))));
        state.sent += batch.len() as u64;
    }

    /// Gives the new session its connection.
    pub(super) fn attach(&self, link: &Arc<Link>) {
        self.state().link = Some(Arc::clone(link));
    }

    /// Moves the session to another connection, behind the client's sequence. Answers with the connection it had.
    pub(super) fn resume(
        &self,
        link: &Arc<Link>,
        sequence: u64,
        elsewhere: bool,
    ) -> Result<Option<Arc<Link>>, Refused> {
        let mut state = self.state();
        if state.over {
            return Err(Refused::Over);
        }
        if sequence > state.last() {
            return Err(Refused::Sequence);
        }
        if sequence + 1 < state.first {
            return Err(Refused::Evicted);
        }
        state.sent = sequence;
        confirm(&mut state, sequence);
        state.resumes += 1;
        state.resumes_elsewhere += u32::from(elsewhere);
        state.detached_at = None;
        Ok(state.link.replace(Arc::clone(link)))
    }

    /// The connection is gone; the session waits for a RESUME.
    pub(super) fn detach(&self, link: &Link) {
        let mut state = self.state();
        if state.link.as_ref().is_some_and(|own| own.number == link.number) {
            state.link = None;
            state.detached_at = Some(Instant::now());
        }
    }

    /// The client has everything up to `sequence`.
    pub(super) fn confirm(&self, sequence: u64) {
        let mut state = self.state();
        if sequence <= state.sent && sequence > state.confirmed {
            confirm(&mut state, sequence);
        }
    }

    /// Ends the session for good. `after` is the client's last sequence, if it said so just now.
    pub(super) fn end(&self, reason: &'static str, after: Option<u64>) -> Option<(LostSession, Option<Arc<Link>>)> {
        let mut state = self.state();
        if std::mem::replace(&mut state.over, true) {
            return None;
        }
        let (confirmed, last) = (after.unwrap_or(state.confirmed), state.last());
        let mut unconfirmed = std::mem::take(&mut state.evicted);
        let mut unsent = Tally::default();
        let mut events = Vec::new();
        for (sequence, (at, event)) in (state.first..).zip(&state.buffer) {
            if sequence > confirmed && !event.counts.is_empty() {
                events.push(LostEvent { sequence, at: *at, event: Arc::clone(event) });
            }
            if sequence > state.sent {
                unsent.add(event);
            } else if sequence > confirmed {
                unconfirmed.add(event);
            }
        }
        state.buffer = VecDeque::new();
        state.first = last + 1;
        let lost = LostSession {
            session_id: self.id.clone(),
            shard: self.shard,
            reason,
            confirmed,
            sent: state.sent,
            sequence: last,
            unconfirmed: unconfirmed.into_rows(),
            unsent: unsent.into_rows(),
            events,
        };
        Some((lost, state.link.take()))
    }

    /// Since when the session waits for a RESUME.
    pub(super) fn detached_at(&self) -> Option<Instant> {
        self.state().detached_at
    }

    /// How many events wait for a connection that takes them as fast as it can; 0 for any other.
    pub(super) fn backlog(&self) -> u64 {
        let state = self.state();
        let healthy = state.link.as_ref().is_some_and(|link| link.is_healthy());
        if healthy { state.last() - state.sent } else { 0 }
    }

    /// Whether a connection carries the session.
    pub(super) fn is_connected(&self) -> bool {
        self.state().link.is_some()
    }

    /// The session for the control API.
    pub(super) fn info(&self) -> SessionInfo {
        let state = self.state();
        SessionInfo {
            session_id: self.id.clone(),
            shard: self.shard,
            intents: self.intents,
            connected: state.link.is_some(),
            sequence: state.last(),
            sent: state.sent,
            confirmed: state.confirmed,
            buffered: state.buffer.len(),
            resumes: state.resumes,
            resumes_elsewhere: state.resumes_elsewhere,
        }
    }
}

fn confirm(state: &mut State, sequence: u64) {
    state.confirmed = sequence;
    // Eviction never overtakes the cursor, so a sequence at or past the buffer's start covers all that was evicted.
    if sequence + 1 >= state.first {
        state.evicted.clear();
    }
}
