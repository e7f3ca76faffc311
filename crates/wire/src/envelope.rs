//! The shapes an envelope carries.

use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};

/// The most events one envelope carries; a single frame with more of them is never split, and may exceed it.
pub const MAX_EVENTS: usize = 100;

/// Events of one gateway session and one priority class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// The shard that received the events.
    pub shard: ShardId,
    /// Discord's id of the gateway session.
    pub session_id: String,
    /// When the session's READY was received; orders the sessions of a shard.
    pub session_started: Timestamp,
    /// The class of every event inside.
    pub class: PriorityClass,
    /// Which mapping from kinds to classes the session uses.
    pub class_map: u16,
    /// The sequences covered for this class. `None` when only gauges or gaps travel.
    pub range: Option<SeqRange>,
    /// The events, in order of their sequence.
    pub events: Vec<Event>,
    /// Gauges, identified by guild and time slot.
    pub gauges: Vec<GuildGauges>,
    /// Coverage gaps, identified by shard and lost session.
    pub gaps: Vec<CoverageGap>,
}

/// First and last sequence, both inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeqRange {
    /// The first sequence covered.
    pub first: u64,
    /// The last sequence covered.
    pub last: u64,
}

impl SeqRange {
    /// Whether the sequence is covered.
    pub const fn contains(self, seq: u64) -> bool {
        self.first <= seq && seq <= self.last
    }
}

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The gateway sequence of the frame it came in.
    pub seq: u64,
    /// Its position among the events of that frame.
    pub index: u16,
    /// The guild it happened in.
    pub guild: GuildId,
    /// Discord's own time where the event has one, else when the runner received it.
    pub at: Timestamp,
    /// What happened.
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventBody {
    /// One more of a kind. For [`EventKind::VoiceState`] the channel is the one the member is in from now on, and
    /// `None` means they left voice.
    Count {
        /// The kind.
        kind: EventKind,
        /// The channel it happened in, where there is one.
        channel: Option<ChannelId>,
        /// The member who did it or whom it befell, where there is one.
        member: Option<UserId>,
        /// The id of the message, invite target, role or entry concerned, where there is one.
        target: Option<u64>,
    },
    /// The guild's voice states follow in full, at higher indices of this frame: who is not named is not in voice.
    VoiceRoster,
    /// The member is in this voice channel, according to a roster.
    VoicePresent {
        /// The member.
        member: UserId,
        /// The channel.
        channel: ChannelId,
    },
}

/// What can be measured but not counted, at the start of a five-minute slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuildGauges {
    /// The guild.
    pub guild: GuildId,
    /// The start of the five-minute slot.
    pub slot: Timestamp,
    /// Members, where known.
    pub members: Option<u32>,
    /// Members online, where known.
    pub online: Option<u32>,
    /// Members in voice channels.
    pub in_voice: u32,
}

/// A time in which a shard's events were lost because its session could not be resumed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoverageGap {
    /// The session that was lost.
    pub lost_session: String,
    /// The last sequence of it that is known to be safe.
    pub after_seq: u64,
    /// When the last safe event was received.
    pub from: Timestamp,
    /// When the new session was ready.
    pub to: Timestamp,
}
