//! The simulated Discord: accounts, guilds and everything in them.
//!
//! Whoever changes something locks one guild ([`World::guild`]) and calls the method named after the change. Each
//! change announces exactly the events Discord would, through the [`Sink`], before the method returns.
//!
//! **Invariant:** the set of guilds is fixed; the bot may leave and join them.
//! **Invariant:** guilds are locked one at a time, never two at once.

pub mod audit;
pub mod ban;
pub mod channel;
pub mod guild;
pub mod ids;
pub mod invite;
pub mod member;
pub mod message;
pub mod permissions;
pub mod reaction;
pub mod role;
mod seed;
pub mod thread;
pub mod user;
pub mod voice;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use guildhall_domain::{ApplicationId, ChannelId, EventKind, GuildId, Timestamp, UserId};
use serde::{Deserialize, Deserializer};

pub use self::audit::By;
pub use self::channel::{ChannelDraft, ChannelKind};
pub use self::guild::{Guild, GuildChange, Presence};
use self::ids::{Snowflake, Snowflakes};
pub use self::member::MemberChange;
pub use self::message::{Author, Draft, Edit};
pub use self::permissions::Permissions;
pub use self::reaction::Emoji;
pub use self::role::RoleDraft;
pub use self::thread::{ThreadChange, ThreadDraft};
use self::user::User;
pub use self::voice::VoiceFlags;
use crate::config::Config;
use crate::dispatch::{Counted, Dispatch, Sink};

/// The intents that let a session receive an event (Discord documentation, "Gateway Intents").
pub mod intents {
    /// Guilds, roles, channels, threads.
    pub const GUILDS: u64 = 1 << 0;
    /// Joins, leaves and changes of members.
    pub const GUILD_MEMBERS: u64 = 1 << 1;
    /// Bans and the audit log.
    pub const GUILD_MODERATION: u64 = 1 << 2;
    /// Webhooks.
    pub const GUILD_WEBHOOKS: u64 = 1 << 5;
    /// Invites.
    pub const GUILD_INVITES: u64 = 1 << 6;
    /// Voice states.
    pub const GUILD_VOICE_STATES: u64 = 1 << 7;
    /// Messages.
    pub const GUILD_MESSAGES: u64 = 1 << 9;
    /// Reactions.
    pub const GUILD_MESSAGE_REACTIONS: u64 = 1 << 10;
    /// Typing.
    pub const GUILD_MESSAGE_TYPING: u64 = 1 << 11;
}

/// What was asked for does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No such guild, or the bot does not belong to it.
    #[error("unknown guild")]
    Guild,
    /// No such channel, or not one for this.
    #[error("unknown channel")]
    Channel,
    /// No such message, or it is no longer kept.
    #[error("unknown message")]
    Message,
    /// No such member.
    #[error("unknown member")]
    Member,
    /// No such account.
    #[error("unknown user")]
    User,
    /// No such role.
    #[error("unknown role")]
    Role,
    /// No such ban.
    #[error("unknown ban")]
    Ban,
    /// No such invite.
    #[error("unknown invite")]
    Invite,
    /// No such webhook.
    #[error("unknown webhook")]
    Webhook,
    /// No such overwrite.
    #[error("unknown overwrite")]
    Overwrite,
    /// The member is not connected.
    #[error("unknown voice state")]
    VoiceState,
}

/// The simulated Discord.
#[derive(Debug)]
pub struct World {
    shared: Arc<Shared>,
    guilds: BTreeMap<GuildId, Mutex<Guild>>,
}

/// What all guilds share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) application_id: ApplicationId,
    pub(crate) bot: Arc<User>,
    pub(crate) ids: Snowflakes,
    sink: Sink,
    users: RwLock<HashMap<UserId, Arc<User>>>,
    channels: RwLock<HashMap<ChannelId, GuildId>>,
    webhooks: RwLock<HashMap<Snowflake, GuildId>>,
}

impl Shared {
    pub(crate) fn user(&self, user: UserId) -> Option<Arc<User>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).get(&user).cloned()
    }

    fn place(&self, channel: ChannelId, guild: GuildId) {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(channel, guild);
    }

    fn displace(&self, channel: ChannelId) {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).remove(&channel);
    }

    fn place_webhook(&self, webhook: Snowflake, guild: GuildId) {
        self.webhooks.write().unwrap_or_else(PoisonError::into_inner).insert(webhook, guild);
    }
}

impl World {
    /// The world the configuration plans. Nothing is announced while it is made.
    pub fn new(config: &Config, sink: Sink) -> Self {
        seed::world(config, sink)
    }

    /// The ids of all guilds, ascending, whether or not the bot belongs to them.
    pub fn guild_ids(&self) -> Vec<GuildId> {
        self.guilds.keys().copied().collect()
    }

    /// Locks a guild. Hold it briefly, and never two.
    pub fn guild(&self, guild: GuildId) -> Option<MutexGuard<'_, Guild>> {
        self.guilds.get(&guild).map(|guild| guild.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The guild a channel or thread belongs to.
    pub fn guild_of(&self, channel: ChannelId) -> Option<GuildId> {
        self.shared.channels.read().unwrap_or_else(PoisonError::into_inner).get(&channel).copied()
    }

    /// The guild a webhook belongs to.
    pub fn guild_of_webhook(&self, webhook: Snowflake) -> Option<GuildId> {
        self.shared.webhooks.read().unwrap_or_else(PoisonError::into_inner).get(&webhook).copied()
    }

    /// The `GUILD_CREATE` of a guild the bot sees; see [`Guild::create_dispatch`].
    pub fn guild_create(&self, guild: GuildId, large_threshold: usize) -> Option<Dispatch> {
        self.with_guild_create(guild, large_threshold, |dispatch| dispatch)
    }

    /// Hands a guild's `GUILD_CREATE` to `receive` while the guild is locked, so that no event can come between the
    /// picture and what is done with it.
    pub fn with_guild_create<R>(
        &self,
        guild: GuildId,
        large_threshold: usize,
        receive: impl FnOnce(Dispatch) -> R,
    ) -> Option<R> {
        let guild = self.guild(guild)?;
        (guild.presence == Presence::Joined).then(|| receive(guild.create_dispatch(large_threshold)))
    }

    /// The application's own account, as `READY` shows it.
    pub fn bot_user(&self) -> serde_json::Value {
        let mut user = serde_json::json!(*self.shared.bot);
        user["verified"] = true.into();
        user["mfa_enabled"] = true.into();
        user["email"] = serde_json::Value::Null;
        user
    }

    /// The id of the application's own account.
    pub fn bot_id(&self) -> UserId {
        self.shared.bot.id
    }

    /// The application.
    pub fn application_id(&self) -> ApplicationId {
        self.shared.application_id
    }

    /// An account.
    pub fn user(&self, user: UserId) -> Option<Arc<User>> {
        self.shared.user(user)
    }

    /// Registers a new account that belongs to no guild yet.
    pub fn user_create(&self, username: &str, bot: bool, at: Timestamp) -> UserId {
        let id = self.shared.ids.id(at);
        let user = User::new(id, username, None, bot, "en-US");
        self.shared.users.write().unwrap_or_else(PoisonError::into_inner).insert(id, user);
        id
    }

    pub(crate) fn ids(&self) -> &Snowflakes {
        &self.shared.ids
    }
}

/// One count.
pub(crate) fn counted(kind: EventKind, channel: Option<ChannelId>, member: Option<UserId>) -> Counted {
    Counted { kind, channel, member }
}

/// Reads a field that may be absent, null or a value, and tells the three apart (with `#[serde(default)]`).
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    reader: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(reader).map(Some)
}
