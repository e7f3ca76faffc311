//! Permission bits, and how Discord derives a member's permissions (Discord documentation, "Permissions").
//!
//! **Invariant:** the owner and administrators hold every permission, in every channel.

use guildhall_domain::{GuildId, RoleId, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ids::Snowflake;

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Permissions(pub u64);

macro_rules! permissions {
    ($($name:ident = $bit:literal,)*) => {
        impl Permissions {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Self = Self(1 << $bit);)*
            /// Every permission there is.
            pub const ALL: Self = Self($((1 << $bit))|*);
            /// The names, in the order of the bits.
            pub const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, stringify!($name)),)*];
        }
    };
}

permissions! {
    CREATE_INSTANT_INVITE = 0,
    KICK_MEMBERS = 1,
    BAN_MEMBERS = 2,
    ADMINISTRATOR = 3,
    MANAGE_CHANNELS = 4,
    MANAGE_GUILD = 5,
    ADD_REACTIONS = 6,
    VIEW_AUDIT_LOG = 7,
    PRIORITY_SPEAKER = 8,
    STREAM = 9,
    VIEW_CHANNEL = 10,
    SEND_MESSAGES = 11,
    SEND_TTS_MESSAGES = 12,
    MANAGE_MESSAGES = 13,
    EMBED_LINKS = 14,
    ATTACH_FILES = 15,
    READ_MESSAGE_HISTORY = 16,
    MENTION_EVERYONE = 17,
    USE_EXTERNAL_EMOJIS = 18,
    VIEW_GUILD_INSIGHTS = 19,
    CONNECT = 20,
    SPEAK = 21,
    MUTE_MEMBERS = 22,
    DEAFEN_MEMBERS = 23,
    MOVE_MEMBERS = 24,
    USE_VAD = 25,
    CHANGE_NICKNAME = 26,
    MANAGE_NICKNAMES = 27,
    MANAGE_ROLES = 28,
    MANAGE_WEBHOOKS = 29,
    MANAGE_GUILD_EXPRESSIONS = 30,
    USE_APPLICATION_COMMANDS = 31,
    REQUEST_TO_SPEAK = 32,
    MANAGE_EVENTS = 33,
    MANAGE_THREADS = 34,
    CREATE_PUBLIC_THREADS = 35,
    CREATE_PRIVATE_THREADS = 36,
    USE_EXTERNAL_STICKERS = 37,
    SEND_MESSAGES_IN_THREADS = 38,
    USE_EMBEDDED_ACTIVITIES = 39,
    MODERATE_MEMBERS = 40,
    VIEW_CREATOR_MONETIZATION_ANALYTICS = 41,
    USE_SOUNDBOARD = 42,
    CREATE_GUILD_EXPRESSIONS = 43,
    CREATE_EVENTS = 44,
    USE_EXTERNAL_SOUNDS = 45,
    SEND_VOICE_MESSAGES = 46,
    SEND_POLLS = 49,
    USE_EXTERNAL_APPS = 50,
    PIN_MESSAGES = 51,
    BYPASS_SLOWMODE = 52,
}

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);

    /// What @everyone may do in a new guild.
    pub const EVERYONE: Self = Self(
        Self::CREATE_INSTANT_INVITE.0
            | Self::ADD_REACTIONS.0
            | Self::STREAM.0
            | Self::VIEW_CHANNEL.0
            | Self::SEND_MESSAGES.0
            | Self::EMBED_LINKS.0
            | Self::ATTACH_FILES.0
            | Self::READ_MESSAGE_HISTORY.0
            | Self::USE_EXTERNAL_EMOJIS.0
            | Self::CONNECT.0
            | Self::SPEAK.0
            | Self::USE_VAD.0
            | Self::CHANGE_NICKNAME.0
            | Self::USE_APPLICATION_COMMANDS.0
            | Self::REQUEST_TO_SPEAK.0
            | Self::CREATE_PUBLIC_THREADS.0
            | Self::SEND_MESSAGES_IN_THREADS.0
            | Self::SEND_VOICE_MESSAGES.0
            | Self::SEND_POLLS.0,
    );

    /// What is left to a member in timeout.
    const IN_TIMEOUT: Self = Self(Self::VIEW_CHANNEL.0 | Self::READ_MESSAGE_HISTORY.0);

    /// Whether every permission of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The permissions in either set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The permissions of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Text {
            Number(u64),
            Text(String),
        }
        match Text::deserialize(deserializer)? {
            Text::Number(bits) => Ok(Self(bits)),
            Text::Text(text) => text.parse().map(Self).map_err(de::Error::custom),
        }
    }
}

/// A change of permissions in one channel, for a role or a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwrite {
    /// The role's or the member's id.
    pub id: Snowflake,
    /// 0 for a role, 1 for a member.
    #[serde(rename = "type")]
    pub kind: u8,
    /// What is granted.
    #[serde(default)]
    pub allow: Permissions,
    /// What is taken away.
    #[serde(default)]
    pub deny: Permissions,
}

/// The member whose permissions are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) guild: GuildId,
    pub(crate) user: UserId,
    pub(crate) roles: &'a [RoleId],
    pub(crate) owner: bool,
    pub(crate) in_timeout: bool,
}

/// The permissions of a member from the guild's roles: @everyone's and those of the member's roles.
pub(crate) fn base(subject: Subject<'_>, permissions_of: impl Fn(RoleId) -> Permissions) -> Permissions {
    if subject.owner {
        return Permissions::ALL;
    }
    let everyone = permissions_of(RoleId::from_db(subject.guild.to_db()));
    let all = subject.roles.iter().fold(everyone, |all, role| all.with(permissions_of(*role)));
    if all.has(Permissions::ADMINISTRATOR) { Permissions::ALL } else { all }
}

/// The permissions of a member in a channel with these overwrites.
pub(crate) fn in_channel(subject: Subject<'_>, base: Permissions, overwrites: &[Overwrite]) -> Permissions {
    if base.has(Permissions::ADMINISTRATOR) {
        return Permissions::ALL;
    }
    let find = |id: u64, kind: u8| overwrites.iter().find(move |o| o.id.0 == id && o.kind == kind);
    let mut result = base;
    if let Some(everyone) = find(subject.guild.get(), 0) {
        result = result.without(everyone.deny).with(everyone.allow);
    }
    let (mut allow, mut deny) = (Permissions::NONE, Permissions::NONE);
    for overwrite in subject.roles.iter().filter_map(|role| find(role.get(), 0)) {
        allow = allow.with(overwrite.allow);
        deny = deny.with(overwrite.deny);
    }
    result = result.without(deny).with(allow);
    if let Some(own) = find(subject.user.get(), 1) {
        result = result.without(own.deny).with(own.allow);
    }
    implied(subject, result)
}

/// What follows from missing permissions: who may not see a channel can do nothing there, who may not write cannot
/// embed, attach or mention, and a timeout leaves reading only.
fn implied(subject: Subject<'_>, permissions: Permissions) -> Permissions {
    if !permissions.has(Permissions::VIEW_CHANNEL) {
        return Permissions::NONE;
    }
    let mut result = permissions;
    if !result.has(Permissions::SEND_MESSAGES) {
        result = result.without(Permissions(
            Permissions::EMBED_LINKS.0
                | Permissions::ATTACH_FILES.0
                | Permissions::MENTION_EVERYONE.0
                | Permissions::SEND_TTS_MESSAGES.0,
        ));
    }
    if subject.in_timeout { Permissions(result.0 & Permissions::IN_TIMEOUT.0) } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUILD: GuildId = GuildId::from_db(10);
    const ROLE: RoleId = RoleId::from_db(20);

    fn subject(roles: &[RoleId]) -> Subject<'_> {
        Subject { guild: GUILD, user: UserId::from_db(1), roles, owner: false, in_timeout: false }
    }

    fn overwrite(id: u64, kind: u8, allow: Permissions, deny: Permissions) -> Overwrite {
        Overwrite { id: Snowflake(id), kind, allow, deny }
    }

    #[test]
    fn overwrites_apply_everyone_then_roles_then_member() {
        let send = Permissions::SEND_MESSAGES;
        let everyone = overwrite(10, 0, Permissions::NONE, send);
        let role = overwrite(20, 0, send, Permissions::NONE);
        let own = overwrite(1, 1, Permissions::NONE, send);
        let base = Permissions::EVERYONE;
        assert!(!in_channel(subject(&[]), base, &[everyone, role]).has(send));
        assert!(in_channel(subject(&[ROLE]), base, &[everyone, role]).has(send));
        assert!(!in_channel(subject(&[ROLE]), base, &[everyone, role, own]).has(send));
    }

    #[test]
    fn administrators_ignore_overwrites_and_the_unseeing_can_do_nothing() {
        let hidden = [overwrite(10, 0, Permissions::NONE, Permissions::VIEW_CHANNEL)];
        assert_eq!(in_channel(subject(&[]), Permissions::ADMINISTRATOR, &hidden), Permissions::ALL);
        assert_eq!(in_channel(subject(&[]), Permissions::EVERYONE, &hidden), Permissions::NONE);
    }

    #[test]
    fn a_timeout_leaves_reading() {
        let silenced = Subject { in_timeout: true, ..subject(&[]) };
        let left = in_channel(silenced, Permissions::EVERYONE, &[]);
        assert_eq!(left, Permissions(Permissions::VIEW_CHANNEL.0 | Permissions::READ_MESSAGE_HISTORY.0));
    }
}
