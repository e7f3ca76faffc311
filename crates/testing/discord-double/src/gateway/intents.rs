//! The intents' bits (Discord documentation, "Gateway Intents").

pub use crate::world::intents::{
    GUILD_INVITES, GUILD_MEMBERS, GUILD_MESSAGE_REACTIONS, GUILD_MESSAGES, GUILD_MODERATION, GUILD_VOICE_STATES, GUILDS,
};

/// Presences. Privileged.
pub const GUILD_PRESENCES: u64 = 1 << 8;
/// The text, embeds, attachments and components of other people's messages. Privileged.
pub const MESSAGE_CONTENT: u64 = 1 << 15;

/// The intents that need Discord's approval.
pub const PRIVILEGED: u64 = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT;

/// Every bit that has a meaning: 0 to 16, 20, 21, 24 and 25.
pub const KNOWN: u64 = 0x1_ffff | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25;
