//! The half of a connection that others may touch: what is to be sent besides events, and how it is to misbehave.
//!
//! **Invariant:** a link never blocks whoever uses it; the connection's own task does all waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use guildhall_domain::ShardId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::protocol::CloseCode;
use super::session::Session;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client left, with this close code if it said goodbye.
    Client(Option<u16>),
    /// The gateway says goodbye, with this code and reason.
    Close(u16, &'static str),
    /// The socket goes away without a word.
    Abort,
}

impl From<CloseCode> for End {
    fn from(code: CloseCode) -> Self {
        Self::Close(code.number(), code.reason())
    }
}

/// What the connection's writer does next.
pub(super) enum Next {
    /// Send this payload, which has no sequence.
    Payload(String),
    /// Send the session's events, and rest this long after each batch.
    Events(Arc<Session>, Duration),
    /// Nothing to send until woken.
    Idle,
    /// Play dead until then.
    Silent(Instant),
}

/// A connection, as the rest of the gateway sees it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    wake: Notify,
    ending: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outbox: VecDeque<String>,
    end: Option<End>,
    session: Option<Arc<Session>>,
    silent_until: Option<Instant>,
    rest: Duration,
}

impl Link {
    pub(super) fn new(number: u64) -> Arc<Self> {
        Arc::new(Self { number, wake: Notify::new(), ending: Notify::new(), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a payload without a sequence in line.
    pub(super) fn send(&self, payload: String) {
        self.state().outbox.push_back(payload);
        self.wake();
    }

    /// Ends the connection, also one that plays dead or whose client takes nothing. The first end counts.
    pub(super) fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.ending.notify_one();
    }

    /// Waits for [`Link::end`].
    pub(super) async fn ended(&self) -> End {
        loop {
            if let Some(end) = self.state().end {
                return end;
            }
            self.ending.notified().await;
        }
    }

    /// Tells the writer that there may be something to do.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for [`Link::wake`].
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The session this connection carries.
    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.state().session.clone()
    }

    /// The shard of the session this connection carries.
    pub(super) fn shard(&self) -> Option<ShardId> {
        self.state().session.as_ref().map(|session| session.shard)
    }

    pub(super) fn set_session(&self, session: Option<Arc<Session>>) {
        self.state().session = session;
        self.wake();
    }

    /// From now until then nothing is sent, and what arrives is ignored.
    pub(super) fn silence(&self, until: Instant) {
        self.state().silent_until = Some(until);
        self.wake();
    }

    /// After each batch of events the writer rests this long.
    pub(super) fn slow_down(&self, rest: Duration) {
        self.state().rest = rest;
    }

    pub(super) fn is_silent(&self) -> bool {
        self.state().silent_until.is_some_and(|until| until > Instant::now())
    }

    /// Whether events flow as fast as the client takes them.
    pub(super) fn is_healthy(&self) -> bool {
        !self.is_silent() && self.state().rest.is_zero()
    }

    pub(super) fn next(&self) -> Next {
        let mut state = self.state();
        if let Some(until) = state.silent_until {
            if until > Instant::now() {
                state.outbox.clear();
                return Next::Silent(until);
            }
            state.silent_until = None;
        }
        match (state.outbox.pop_front(), &state.session) {
            (Some(payload), _) => Next::Payload(payload),
            (None, Some(session)) => Next::Events(Arc::clone(session), state.rest),
            (None, None) => Next::Idle,
        }
    }
}
