//! What the gateway asks of the simulated community behind it.
//!
//! **Invariant:** the gateway knows nobody's state but the sessions': whatever READY, GUILD_CREATE and member chunks
//! say comes from here.

use std::fmt;
use std::sync::Arc;

use guildhall_domain::{ApplicationId, GuildId, UserId};
use serde_json::Value;

use crate::dispatch::Dispatch;
use crate::world::{Presence, World};

/// Which members a client asked for.
#[derive(Debug, Clone)]
pub struct MemberQuery {
    /// The guild.
    pub guild: GuildId,
    /// The beginning of the names wanted; empty for all.
    pub prefix: String,
    /// The most members wanted; 0 for all.
    pub limit: usize,
    /// These members, whatever their names.
    pub users: Option<Vec<UserId>>,
}

/// The community, as a set of questions.
pub struct Community {
    /// The application's id and flags.
    pub application: (ApplicationId, u64),
    /// The account of the bot.
    pub bot: UserId,
    /// The JSON of the bot's user.
    pub bot_user: Box<dyn Fn() -> Value + Send + Sync>,
    /// The guilds the bot belongs to.
    pub guild_ids: Box<dyn Fn() -> Vec<GuildId> + Send + Sync>,
    /// Calls back with a guild's GUILD_CREATE while nothing can happen in the guild, so that what follows in the stream
    /// builds on it. The number is the `large_threshold`. Not called for a guild the bot does not belong to.
    pub guild_create: GuildCreate,
    /// The JSON of the members that match.
    pub members: Members,
}

/// See [`Community::members`].
pub type Members = Box<dyn Fn(&MemberQuery) -> Vec<Value> + Send + Sync>;
/// See [`Community::guild_create`].
pub type GuildCreate = Box<dyn Fn(GuildId, usize, &mut dyn FnMut(Dispatch)) + Send + Sync>;

/// GATEWAY_GUILD_MEMBERS and GATEWAY_MESSAGE_CONTENT, as Discord shows them for applications with approved intents.
const APPLICATION_FLAGS: u64 = 1 << 14 | 1 << 18;

impl Community {
    /// The questions, answered by a simulated Discord for as long as it lives.
    pub fn of(world: &Arc<World>) -> Self {
        // Weak, because the world sends its events to the gateway that owns this.
        let weak = || Arc::downgrade(world);
        let (bot_user, guild_ids, guild_create, members) = (weak(), weak(), weak(), weak());
        Self {
            application: (world.application_id(), APPLICATION_FLAGS),
            bot: world.bot_id(),
            bot_user: Box::new(move || bot_user.upgrade().map(|world| world.bot_user()).unwrap_or_default()),
            guild_ids: Box::new(move || {
                let Some(world) = guild_ids.upgrade() else { return Vec::new() };
                let belongs = |id: &GuildId| world.guild(*id).is_some_and(|guild| guild.presence != Presence::Left);
                world.guild_ids().into_iter().filter(belongs).collect()
            }),
            guild_create: Box::new(move |guild, large_threshold, then| {
                if let Some(world) = guild_create.upgrade() {
                    world.with_guild_create(guild, large_threshold, then);
                }
            }),
            members: Box::new(move |query| {
                let Some(world) = members.upgrade() else { return Vec::new() };
                let guild = world.guild(query.guild);
                guild.map_or_else(Vec::new, |guild| {
                    guild.find_members(&query.prefix, query.users.as_deref(), query.limit)
                })
            }),
        }
    }
}

impl fmt::Debug for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Community").field("application", &self.application).finish_non_exhaustive()
    }
}
