//! What the double dispatched, per guild, channel, member and kind: the truth that statistics are compared with.
//!
//! **Invariant:** an event is counted once, however many sessions it went to, and only if at least one took it into its
//! stream; what nobody was subscribed to was never delivered and is not counted.
//! **Invariant:** a guild that is introduced to a new session while a session of another set of shards follows it is no
//! event; both sets are told the same from then on.
//! **Invariant:** what a session still held when it was lost for good is recorded with the session, so that every event
//! a client missed is attributed to one.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guildhall_domain::{ChannelId, EventKind, GuildId, QuarterHour, ShardId, Timestamp, UserId};
use serde::{Serialize, Serializer};

use crate::dispatch::Dispatch;

/// Enough that writers rarely meet.
const STRIPES: usize = 64;

/// What is counted by time, of kinds whose payload says when they happened.
pub type QuarterKey = (Option<GuildId>, QuarterHour, EventKind);

/// What is counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The guild.
    pub guild: Option<GuildId>,
    /// The channel, where there is one.
    pub channel: Option<ChannelId>,
    /// The member, where there is one.
    pub member: Option<UserId>,
    /// The kind.
    pub kind: EventKind,
}

/// One line of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The guild.
    pub guild_id: Option<GuildId>,
    /// The channel, where there is one.
    pub channel_id: Option<ChannelId>,
    /// The member, where there is one.
    pub user_id: Option<UserId>,
    /// The kind, by its name.
    #[serde(serialize_with = "by_name")]
    pub kind: EventKind,
    /// How many.
    pub count: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn by_name<S: Serializer>(kind: &EventKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

/// A set of counts.
#[derive(Debug, Clone, Default)]
pub struct Tally(HashMap<Key, u64>);

impl Tally {
    /// Adds what one event counts.
    pub fn add(&mut self, event: &Dispatch) {
        for key in keys(event) {
            *self.0.entry(key).or_default() += 1;
        }
    }

    /// Adds another set.
    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The counts, sorted by guild, channel, member and kind.
    pub fn into_rows(self) -> Vec<Row> {
        rows(self.0)
    }
}

/// Why a session can no longer be resumed, and what went with it.
#[derive(Debug, Clone, Serialize)]
pub struct LostSession {
    /// The session.
    pub session_id: String,
    /// Its shard.
    #[serde(flatten)]
    pub shard: ShardId,
    /// Why.
    pub reason: &'static str,
    /// The last sequence the client said it had, by a heartbeat or by the RESUME that was refused.
    pub confirmed: u64,
    /// The last sequence handed to a connection.
    pub sent: u64,
    /// The last sequence of the session.
    pub sequence: u64,
    /// Handed to a connection, but never confirmed: the client has them or not.
    pub unconfirmed: Vec<Row>,
    /// Never handed to a connection.
    pub unsent: Vec<Row>,
    /// What was counted after the last confirmed sequence and could have been replayed, in order.
    #[serde(skip)]
    pub events: Vec<LostEvent>,
}

/// An event of a lost session.
#[derive(Debug, Clone)]
pub struct LostEvent {
    /// Its sequence.
    pub sequence: u64,
    /// When it was dispatched.
    pub at: Timestamp,
    pub(crate) event: Arc<Dispatch>,
}

impl LostEvent {
    /// What the ledger counted for it.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        keys(&self.event)
    }

    /// When it happened, where its payload says so.
    pub fn happened(&self) -> Option<Timestamp> {
        self.event.at
    }
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    stripes: Vec<Mutex<HashMap<Key, u64>>>,
    quarters: Mutex<BTreeMap<QuarterKey, u64>>,
    lost: Mutex<Vec<Arc<LostSession>>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            quarters: Mutex::default(),
            lost: Mutex::default(),
        }
    }
}

impl Ledger {
    /// Counts an event that at least one session took.
    pub fn record(&self, event: &Dispatch) {
        for key in keys(event) {
            *self.stripe(&key).entry(key).or_default() += 1;
        }
        if let Some(at) = event.at {
            let mut quarters = self.quarters.lock().unwrap_or_else(PoisonError::into_inner);
            for key in keys(event) {
                *quarters.entry((key.guild, at.quarter_hour(), key.kind)).or_default() += 1;
            }
        }
    }

    /// The counts per guild, quarter-hour and kind, of events whose payload says when they happened.
    pub fn quarters(&self) -> BTreeMap<QuarterKey, u64> {
        self.quarters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All counts, sorted by guild, channel, member and kind.
    pub fn rows(&self) -> Vec<Row> {
        rows(self.stripes.iter().flat_map(|stripe| {
            let counts = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            counts.iter().map(|(key, count)| (*key, *count)).collect::<Vec<_>>()
        }))
    }

    /// The counts per kind; kinds that did not happen are absent.
    pub fn totals(&self) -> BTreeMap<EventKind, u64> {
        let mut totals = BTreeMap::new();
        for row in self.rows() {
            *totals.entry(row.kind).or_default() += row.count;
        }
        totals
    }

    /// The number of all counted events.
    pub fn total(&self) -> u64 {
        self.totals().values().sum()
    }

    /// The sessions that were lost for good.
    pub fn lost(&self) -> Vec<Arc<LostSession>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn record_loss(&self, session: LostSession) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(session));
    }

    fn stripe(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, u64>> {
        let mut hasher = DefaultHasher::new();
        (key.guild, key.member).hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or(0);
        self.stripes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keys(event: &Dispatch) -> impl Iterator<Item = Key> {
    let guild = event.guild;
    event.counts.iter().map(move |counted| Key {
        guild,
        channel: counted.channel,
        member: counted.member,
        kind: counted.kind,
    })
}

fn rows(counts: impl IntoIterator<Item = (Key, u64)>) -> Vec<Row> {
    let mut rows: Vec<(Key, u64)> = counts.into_iter().collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    rows.into_iter()
        .map(|(key, count)| Row {
            guild_id: key.guild,
            channel_id: key.channel,
            user_id: key.member,
            kind: key.kind,
            count,
        })
        .collect()
}
