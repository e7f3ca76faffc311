//! What is counted, and how urgently it travels.
//!
//! **Invariant:** a kind's number and name never change; new kinds are appended.
//! **Invariant:** the class of a kind is a pure function, fixed by [`CLASS_MAP_VERSION`]; whoever changes the map
//! raises the version, because ranges of sequences are kept per class.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the mapping from kinds to classes that new sessions begin under.
pub const CLASS_MAP_VERSION: u16 = 1;

/// A mapping from kinds to classes. A session keeps the one it began with, across deployments.
///
/// Who changes the mapping: put the present one into a function that names the differences, add it to
/// [`ClassMap::KNOWN`] under its version, change the table of kinds, and raise [`CLASS_MAP_VERSION`]. A map may be
/// forgotten once no session that began under it can live. Where the release before must be able to take such sessions
/// back, it has to know the new map already: let one release know it, and the next begin sessions under it.
#[derive(Clone, Copy)]
pub struct ClassMap {
    version: u16,
    class_of: fn(EventKind) -> PriorityClass,
}

impl ClassMap {
    /// The one new sessions begin under.
    pub const CURRENT: Self = Self::new(CLASS_MAP_VERSION, EventKind::class);
    /// Those whose sessions may still be alive.
    pub const KNOWN: &[Self] = &[Self::CURRENT];

    /// A map.
    pub const fn new(version: u16, class_of: fn(EventKind) -> PriorityClass) -> Self {
        Self { version, class_of }
    }

    /// The known map with this version.
    pub fn of(version: u16) -> Option<Self> {
        Self::KNOWN.iter().copied().find(|map| map.version == version)
    }

    /// The map's version.
    pub const fn version(self) -> u16 {
        self.version
    }

    /// The class of a kind under this map.
    pub fn class(self, kind: EventKind) -> PriorityClass {
        (self.class_of)(kind)
    }
}

/// Maps are equal when their versions are: a version never means two maps.
impl PartialEq for ClassMap {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

impl Eq for ClassMap {}

impl fmt::Debug for ClassMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClassMap({})", self.version)
    }
}

/// How long an event may wait before it is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityClass {
    /// Sent at once: bans, audit log, guilds, coverage gaps.
    Critical,
    /// Within a second: messages, joins, leaves, voice.
    High,
    /// Within five seconds: reactions, threads, invites, edits.
    Medium,
    /// Within thirty seconds: gauges, changes of channels, roles and guilds.
    Low,
}

impl PriorityClass {
    /// All classes, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The longest an event of this class waits for company, in milliseconds.
    pub const fn flush_after_millis(self) -> u64 {
        match self {
            Self::Critical => 0,
            Self::High => 1_000,
            Self::Medium => 5_000,
            Self::Low => 30_000,
        }
    }

    /// The same while the queue takes nothing: what is urgent has to wait anyway, and fewer, fuller envelopes are sent,
    /// received and counted sooner when it is back.
    pub const fn flush_after_millis_in_outage(self) -> u64 {
        const LEAST: u64 = 5_000;
        let usual = self.flush_after_millis();
        if usual < LEAST { LEAST } else { usual }
    }

    /// The number under which the class is stored.
    pub const fn code(self) -> i16 {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Medium => 2,
            Self::Low => 3,
        }
    }

    /// The class with this number.
    pub const fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Critical),
            1 => Some(Self::High),
            2 => Some(Self::Medium),
            3 => Some(Self::Low),
            _ => None,
        }
    }

    /// The class's name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for PriorityClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $class:ident;)*) => {
        /// A kind of countable event.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum EventKind {
            $($(#[$doc])* $variant = $code,)*
        }

        impl EventKind {
            /// Every kind, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number under which the kind is stored and sent.
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The kind with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The kind's name in metrics, logs and APIs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The kind with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The priority class, under [`ClassMap::CURRENT`].
            pub const fn class(self) -> PriorityClass {
                match self {
                    $(Self::$variant => PriorityClass::$class,)*
                }
            }
        }
    };
}

event_kinds! {
    /// A message by a person (`MESSAGE_CREATE`).
    MessageCreate = 1, "message_create", High;
    /// A message by a bot or a webhook (`MESSAGE_CREATE` with `author.bot` or `webhook_id`).
    BotMessageCreate = 2, "bot_message_create", High;
    /// An edit (`MESSAGE_UPDATE`).
    MessageUpdate = 3, "message_update", Medium;
    /// A deleted message; a bulk deletion is one for each id (`MESSAGE_DELETE`, `MESSAGE_DELETE_BULK`).
    MessageDelete = 4, "message_delete", High;
    /// A reaction given (`MESSAGE_REACTION_ADD`).
    ReactionAdd = 5, "reaction_add", Medium;
    /// A reaction taken back (`MESSAGE_REACTION_REMOVE`).
    ReactionRemove = 6, "reaction_remove", Medium;
    /// All reactions of a message, or all of one emoji, removed (`MESSAGE_REACTION_REMOVE_ALL`, `…_EMOJI`).
    ReactionClear = 7, "reaction_clear", Medium;
    /// A member joined (`GUILD_MEMBER_ADD`).
    MemberJoin = 8, "member_join", High;
    /// A member left, was kicked or banned (`GUILD_MEMBER_REMOVE`).
    MemberLeave = 9, "member_leave", High;
    /// A member's roles, nickname or timeout changed (`GUILD_MEMBER_UPDATE`).
    MemberUpdate = 10, "member_update", Low;
    /// Someone entered, left or changed a voice channel or its flags (`VOICE_STATE_UPDATE`).
    VoiceState = 11, "voice_state", High;
    /// A ban (`GUILD_BAN_ADD`).
    BanAdd = 12, "ban_add", Critical;
    /// A lifted ban (`GUILD_BAN_REMOVE`).
    BanRemove = 13, "ban_remove", Critical;
    /// An entry of the guild's audit log (`GUILD_AUDIT_LOG_ENTRY_CREATE`).
    AuditLogEntry = 14, "audit_log_entry", Critical;
    /// A guild became available to the bot (`GUILD_CREATE`).
    GuildCreate = 15, "guild_create", Critical;
    /// The bot left a guild, or the guild became unavailable (`GUILD_DELETE`).
    GuildDelete = 16, "guild_delete", Critical;
    /// A guild's own settings changed (`GUILD_UPDATE`).
    GuildUpdate = 17, "guild_update", Low;
    /// `CHANNEL_CREATE`.
    ChannelCreate = 18, "channel_create", Low;
    /// `CHANNEL_UPDATE`.
    ChannelUpdate = 19, "channel_update", Low;
    /// `CHANNEL_DELETE`.
    ChannelDelete = 20, "channel_delete", Low;
    /// `GUILD_ROLE_CREATE`.
    RoleCreate = 21, "role_create", Low;
    /// `GUILD_ROLE_UPDATE`.
    RoleUpdate = 22, "role_update", Low;
    /// `GUILD_ROLE_DELETE`.
    RoleDelete = 23, "role_delete", Low;
    /// `THREAD_CREATE`.
    ThreadCreate = 24, "thread_create", Medium;
    /// `THREAD_UPDATE`.
    ThreadUpdate = 25, "thread_update", Medium;
    /// `THREAD_DELETE`.
    ThreadDelete = 26, "thread_delete", Medium;
    /// `INVITE_CREATE`.
    InviteCreate = 27, "invite_create", Medium;
    /// `INVITE_DELETE`.
    InviteDelete = 28, "invite_delete", Medium;
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_map_has_a_version_of_its_own_and_the_current_one_is_among_them() {
        let versions: std::collections::BTreeSet<_> = ClassMap::KNOWN.iter().map(|map| map.version()).collect();
        assert_eq!(versions.len(), ClassMap::KNOWN.len());
        assert_eq!(ClassMap::of(CLASS_MAP_VERSION), Some(ClassMap::CURRENT));
        assert_eq!(ClassMap::of(0), None);
    }

    /// A map is frozen with the first session that began under it: this test fails when one is changed in place.
    #[test]
    fn the_first_map_is_as_it_was() {
        let map = ClassMap::of(1).expect("known");
        let classes: String = EventKind::ALL.iter().map(|kind| map.class(*kind).code().to_string()).collect();
        assert_eq!(classes, "1121222113100000333333322222");
    }

    #[test]
    fn codes_and_names_lead_back_to_their_kind() {
        for kind in EventKind::ALL.iter().copied() {
            assert_eq!(EventKind::from_code(kind.code()), Some(kind));
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(EventKind::from_code(0), None);
        for class in PriorityClass::ALL {
            assert_eq!(PriorityClass::from_code(class.code()), Some(class));
        }
    }
}
