//! Discord permissions, and what a member may really do in a channel.
//!
//! The order of the rules is that of Discord's page "Permissions", section "Permission Overwrites".
//!
//! **Invariant:** bits this version does not know are kept: a permission Discord adds later survives a round trip.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::{GuildId, RoleId, UserId};

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(u64);

macro_rules! permissions {
    ($($(#[$doc:meta])* $constant:ident = $bit:literal;)*) => {
        impl Permissions {
            $($(#[$doc])* pub const $constant: Self = Self(1 << $bit);)*

            /// Every permission this version knows, with Discord's name, lowest bit first.
            pub const KNOWN: &'static [(Self, &'static str)] = &[$((Self::$constant, stringify!($constant)),)*];
        }
    };
}

permissions! {
    /// Make invites.
    CREATE_INSTANT_INVITE = 0;
    /// Kick members.
    KICK_MEMBERS = 1;
    /// Ban members.
    BAN_MEMBERS = 2;
    /// Everything, past every channel overwrite.
    ADMINISTRATOR = 3;
    /// Manage channels.
    MANAGE_CHANNELS = 4;
    /// Manage the guild itself ("Manage Server").
    MANAGE_GUILD = 5;
    /// Add reactions.
    ADD_REACTIONS = 6;
    /// Read the audit log.
    VIEW_AUDIT_LOG = 7;
    /// Speak as priority speaker.
    PRIORITY_SPEAKER = 8;
    /// Share video.
    STREAM = 9;
    /// See a channel.
    VIEW_CHANNEL = 10;
    /// Send messages.
    SEND_MESSAGES = 11;
    /// Send spoken messages.
    SEND_TTS_MESSAGES = 12;
    /// Delete others' messages.
    MANAGE_MESSAGES = 13;
    /// Links unfold.
    EMBED_LINKS = 14;
    /// Attach files.
    ATTACH_FILES = 15;
    /// Read what was written before.
    READ_MESSAGE_HISTORY = 16;
    /// Mention everyone.
    MENTION_EVERYONE = 17;
    /// Use emoji of other guilds.
    USE_EXTERNAL_EMOJIS = 18;
    /// See the guild's insights ("View Server Insights").
    VIEW_GUILD_INSIGHTS = 19;
    /// Join voice.
    CONNECT = 20;
    /// Speak in voice.
    SPEAK = 21;
    /// Mute others.
    MUTE_MEMBERS = 22;
    /// Deafen others.
    DEAFEN_MEMBERS = 23;
    /// Move others between voice channels.
    MOVE_MEMBERS = 24;
    /// Talk without push-to-talk.
    USE_VAD = 25;
    /// Change one's nickname.
    CHANGE_NICKNAME = 26;
    /// Change others' nicknames.
    MANAGE_NICKNAMES = 27;
    /// Manage roles and channel permissions.
    MANAGE_ROLES = 28;
    /// Manage webhooks.
    MANAGE_WEBHOOKS = 29;
    /// Manage emoji, stickers and sounds.
    MANAGE_GUILD_EXPRESSIONS = 30;
    /// Use application commands.
    USE_APPLICATION_COMMANDS = 31;
    /// Ask to speak on a stage.
    REQUEST_TO_SPEAK = 32;
    /// Manage scheduled events.
    MANAGE_EVENTS = 33;
    /// Manage threads.
    MANAGE_THREADS = 34;
    /// Make public threads.
    CREATE_PUBLIC_THREADS = 35;
    /// Make private threads.
    CREATE_PRIVATE_THREADS = 36;
    /// Use stickers of other guilds.
    USE_EXTERNAL_STICKERS = 37;
    /// Send messages in threads.
    SEND_MESSAGES_IN_THREADS = 38;
    /// Use activities.
    USE_EMBEDDED_ACTIVITIES = 39;
    /// Time members out.
    MODERATE_MEMBERS = 40;
    /// See revenue figures.
    VIEW_CREATOR_MONETIZATION_ANALYTICS = 41;
    /// Use the soundboard.
    USE_SOUNDBOARD = 42;
    /// Make emoji, stickers and sounds; a permission of its own since February 2026.
    CREATE_GUILD_EXPRESSIONS = 43;
    /// Make scheduled events; a permission of its own since February 2026.
    CREATE_EVENTS = 44;
    /// Use sounds of other guilds.
    USE_EXTERNAL_SOUNDS = 45;
    /// Send voice messages.
    SEND_VOICE_MESSAGES = 46;
    /// Set a voice channel's status.
    SET_VOICE_CHANNEL_STATUS = 48;
    /// Start polls.
    SEND_POLLS = 49;
    /// Use apps that the member installed.
    USE_EXTERNAL_APPS = 50;
    /// Pin messages; a permission of its own since February 2026.
    PIN_MESSAGES = 51;
    /// Write past slow mode; a permission of its own since February 2026.
    BYPASS_SLOWMODE = 52;
}

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);
    /// Every permission, those of later years included.
    pub const ALL: Self = Self(u64::MAX);
    /// What a member in a timeout keeps.
    const IN_TIMEOUT: Self = Self(Self::VIEW_CHANNEL.0 | Self::READ_MESSAGE_HISTORY.0);
    /// What is of no use to someone who cannot send messages.
    const OF_SENDERS: Self =
        Self(Self::SEND_TTS_MESSAGES.0 | Self::MENTION_EVERYONE.0 | Self::EMBED_LINKS.0 | Self::ATTACH_FILES.0);

    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The set's bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `wanted` are in the set.
    pub const fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether any of `wanted` is in the set.
    pub const fn intersects(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }

    /// Whether the set grants `wanted`, which an administrator always has.
    pub const fn allows(self, wanted: Self) -> bool {
        self.contains(Self::ADMINISTRATOR) || self.contains(wanted)
    }

    /// The known permissions of the set by Discord's names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::KNOWN.iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| *name)
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Permissions {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Permissions {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permissions({:#x})", self.0)
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| de::Error::custom("a permission set is a decimal number in a string"))
    }
}

/// Whom a channel's overwrite is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// A role; the role with the guild's own id is everyone.
    Role(RoleId),
    /// One member.
    Member(UserId),
}

/// What a channel changes for a role or a member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Overwrite {
    /// For whom.
    pub subject: Subject,
    /// What is taken away.
    pub deny: Permissions,
    /// What is given, after what is taken away.
    pub allow: Permissions,
}

/// A member as far as permissions go.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The member.
    pub user: UserId,
    /// Whether the guild is theirs.
    pub is_owner: bool,
    /// What the role everyone has grants.
    pub everyone: Permissions,
    /// The member's further roles with what each grants.
    pub roles: Vec<(RoleId, Permissions)>,
    /// Whether the member is in a timeout now.
    pub in_timeout: bool,
}

impl Holder {
    /// What the member may do in the guild, before channels have their say.
    pub fn in_guild(&self) -> Permissions {
        let granted = self.roles.iter().fold(self.everyone, |sum, (_, role)| sum | *role);
        if self.is_owner || granted.contains(Permissions::ADMINISTRATOR) {
            return Permissions::ALL;
        }
        if self.in_timeout { granted & Permissions::IN_TIMEOUT } else { granted }
    }

    /// What the member may do in a channel with these overwrites. A thread has those of its parent.
    pub fn in_channel(&self, guild: GuildId, overwrites: &[Overwrite]) -> Permissions {
        let mut permissions = self.in_guild();
        if permissions == Permissions::ALL {
            return permissions;
        }
        let everyone = overwrites.iter().filter(|o| matches!(o.subject, Subject::Role(r) if r.get() == guild.get()));
        permissions = apply(permissions, everyone);
        let of_roles = overwrites.iter().filter(
            |o| matches!(o.subject, Subject::Role(r) if r.get() != guild.get() && self.roles.iter().any(|(id, _)| *id == r)),
        );
        permissions = apply(permissions, of_roles);
        let own = overwrites.iter().filter(|o| o.subject == Subject::Member(self.user));
        permissions = apply(permissions, own);

        if !permissions.contains(Permissions::VIEW_CHANNEL) {
            return Permissions::NONE;
        }
        if !permissions.contains(Permissions::SEND_MESSAGES) {
            permissions = permissions & !Permissions::OF_SENDERS;
        }
        if self.in_timeout { permissions & Permissions::IN_TIMEOUT } else { permissions }
    }
}

/// Applies overwrites of equal rank: all that is denied goes first, then all that is allowed comes back.
fn apply<'a>(permissions: Permissions, overwrites: impl Iterator<Item = &'a Overwrite>) -> Permissions {
    let (deny, allow) =
        overwrites.fold((Permissions::NONE, Permissions::NONE), |(deny, allow), o| (deny | o.deny, allow | o.allow));
    (permissions & !deny) | allow
}

#[cfg(test)]
mod tests;
