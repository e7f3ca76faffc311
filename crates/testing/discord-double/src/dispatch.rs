//! What passes from the world to the gateway: one event for the sessions that watch a guild.
//!
//! **Invariant:** the counts are decided here, by whoever caused the event, and never derived from the JSON: the
//! ledger must not share code with the program it judges.

use std::fmt;
use std::sync::Arc;

use guildhall_domain::{ChannelId, EventKind, GuildId, Timestamp, UserId};

/// An event on its way to the gateway sessions.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// The guild whose shard receives it; `None` for events of the whole application.
    pub guild: Option<GuildId>,
    /// Discord's name of the event, such as `MESSAGE_CREATE`.
    pub event: &'static str,
    /// The JSON of the payload's `d`.
    pub data: Arc<str>,
    /// The intents (bit set) of which a session needs one to receive the event; 0 when none is needed.
    pub intents: u64,
    /// What the ledger counts for it.
    pub counts: Vec<Counted>,
    /// When it happened, where the payload itself says so (by a new id, or by `joined_at`); else the client has only the
    /// time it reads.
    pub at: Option<Timestamp>,
}

/// One count of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counted {
    /// The kind.
    pub kind: EventKind,
    /// The channel it happened in, where there is one; for voice the channel entered, `None` when voice was left.
    pub channel: Option<ChannelId>,
    /// The member who did it or whom it befell, where there is one.
    pub member: Option<UserId>,
}

/// Where the world sends its events.
#[derive(Clone)]
pub struct Sink(Arc<dyn Fn(Dispatch) + Send + Sync>);

impl Sink {
    /// A sink that hands each event to `send`.
    pub fn new(send: impl Fn(Dispatch) + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    /// Hands one event on.
    pub fn send(&self, dispatch: Dispatch) {
        (self.0)(dispatch);
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}
