//! What was counted, in few enough words that contestants can be compared by it.

use std::fmt::Write as _;

use guildhall_domain::EventKind;
use guildhall_wire::{Envelope, EventBody};

/// Guilds are summed up by this remainder of their ids, which JavaScript's numbers hold.
const GUILD: u64 = 1_000_000;

/// Events by kind, and a sum over the guilds they happened in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest {
    kinds: [u64; 32],
    guilds: u64,
}

impl Digest {
    /// Counts one event.
    pub fn count(&mut self, kind: EventKind, guild: u64) {
        self.kinds[usize::from(kind.code()) % 32] += 1;
        self.guilds += guild % GUILD;
    }

    /// Counts several events of a kind at once; `guilds` is the sum over them.
    pub fn add(&mut self, kind: EventKind, events: u64, guilds: u64) {
        self.kinds[usize::from(kind.code()) % 32] += events;
        self.guilds += guilds;
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.kinds.iter_mut().zip(other.kinds).for_each(|(kind, more)| *kind += more);
        self.guilds += other.guilds;
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.kinds.iter_mut().zip(earlier.kinds).for_each(|(kind, before)| *kind -= before);
        since.guilds -= earlier.guilds;
        since
    }

    /// Counts what an event of this type amounts to; `events` is more than one for a deletion of several messages.
    pub fn dispatch(&mut self, name: &str, bot: bool, guild: u64, events: usize) {
        let Some(kind) = kind(name, bot) else { return };
        (0..events).for_each(|_| self.count(kind, guild));
    }

    /// Counts the events of an envelope.
    pub fn envelope(&mut self, envelope: &Envelope) {
        for event in &envelope.events {
            if let EventBody::Count { kind, .. } = event.body {
                self.count(kind, event.guild.get());
            }
        }
    }

    /// How many events were counted.
    pub fn events(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// `1:700 5:100 … guilds:12345`, in the order of the kinds' numbers.
    pub fn answer(&self) -> String {
        let mut text = String::new();
        for (code, count) in self.kinds.iter().enumerate().filter(|(_, count)| **count > 0) {
            // Writing to a String cannot fail.
            let _infallible = write!(text, "{code}:{count} ");
        }
        text + &format!("guilds:{}", self.guilds)
    }
}

/// What an event of this type counts as.
fn kind(name: &str, bot: bool) -> Option<EventKind> {
    Some(match name {
        "MESSAGE_CREATE" if bot => EventKind::BotMessageCreate,
        "MESSAGE_CREATE" => EventKind::MessageCreate,
        "MESSAGE_UPDATE" => EventKind::MessageUpdate,
        "MESSAGE_DELETE" | "MESSAGE_DELETE_BULK" => EventKind::MessageDelete,
        "MESSAGE_REACTION_ADD" => EventKind::ReactionAdd,
        "MESSAGE_REACTION_REMOVE" => EventKind::ReactionRemove,
        "MESSAGE_REACTION_REMOVE_ALL" | "MESSAGE_REACTION_REMOVE_EMOJI" => EventKind::ReactionClear,
        "GUILD_MEMBER_ADD" => EventKind::MemberJoin,
        "GUILD_MEMBER_REMOVE" => EventKind::MemberLeave,
        "GUILD_MEMBER_UPDATE" => EventKind::MemberUpdate,
        "VOICE_STATE_UPDATE" => EventKind::VoiceState,
        "GUILD_BAN_ADD" => EventKind::BanAdd,
        "GUILD_BAN_REMOVE" => EventKind::BanRemove,
        "GUILD_AUDIT_LOG_ENTRY_CREATE" => EventKind::AuditLogEntry,
        "GUILD_UPDATE" => EventKind::GuildUpdate,
        "CHANNEL_CREATE" => EventKind::ChannelCreate,
        "CHANNEL_UPDATE" => EventKind::ChannelUpdate,
        "CHANNEL_DELETE" => EventKind::ChannelDelete,
        "GUILD_ROLE_CREATE" => EventKind::RoleCreate,
        "GUILD_ROLE_UPDATE" => EventKind::RoleUpdate,
        "GUILD_ROLE_DELETE" => EventKind::RoleDelete,
        "THREAD_CREATE" => EventKind::ThreadCreate,
        "THREAD_UPDATE" => EventKind::ThreadUpdate,
        "THREAD_DELETE" => EventKind::ThreadDelete,
        "INVITE_CREATE" => EventKind::InviteCreate,
        "INVITE_DELETE" => EventKind::InviteDelete,
        _ => return None,
    })
}
