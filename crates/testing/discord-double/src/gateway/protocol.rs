//! Payloads and close codes (Discord documentation, "Gateway", "Opcodes and Status Codes").
//!
//! **Invariant:** what a client may get wrong is decided here, before any state changes.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Opcodes that a client sends or receives.
pub(super) mod op {
    pub(in crate::gateway) const HEARTBEAT: u8 = 1;
    pub(in crate::gateway) const IDENTIFY: u8 = 2;
    pub(in crate::gateway) const PRESENCE_UPDATE: u8 = 3;
    pub(in crate::gateway) const VOICE_STATE_UPDATE: u8 = 4;
    pub(in crate::gateway) const RESUME: u8 = 6;
    pub(in crate::gateway) const RECONNECT: u8 = 7;
    pub(in crate::gateway) const REQUEST_GUILD_MEMBERS: u8 = 8;
    pub(in crate::gateway) const INVALID_SESSION: u8 = 9;
    pub(in crate::gateway) const HELLO: u8 = 10;
    pub(in crate::gateway) const HEARTBEAT_ACK: u8 = 11;
}

/// Why the gateway ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// Something else; try again.
    UnknownError = 4000,
    /// No such opcode.
    UnknownOpcode = 4001,
    /// The payload could not be read, or was larger than 4096 bytes.
    DecodeError = 4002,
    /// A payload before IDENTIFY or RESUME.
    NotAuthenticated = 4003,
    /// The token is wrong. Fatal.
    AuthenticationFailed = 4004,
    /// A second IDENTIFY or RESUME.
    AlreadyAuthenticated = 4005,
    /// RESUME with a sequence that was never sent.
    InvalidSequence = 4007,
    /// More than 120 payloads in a minute.
    RateLimited = 4008,
    /// No heartbeat in time.
    SessionTimedOut = 4009,
    /// The shard array makes no sense. Fatal.
    InvalidShard = 4010,
    /// The shard would have more than 2,500 guilds. Fatal.
    ShardingRequired = 4011,
    /// No such API version. Fatal.
    InvalidApiVersion = 4012,
    /// The intents have bits without a meaning. Fatal.
    InvalidIntents = 4013,
    /// A privileged intent that the application may not use. Fatal.
    DisallowedIntents = 4014,
}

impl CloseCode {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The reason sent with it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownError => "Unknown error.",
            Self::UnknownOpcode => "Unknown opcode.",
            Self::DecodeError => "Error while decoding payload.",
            Self::NotAuthenticated => "Not authenticated.",
            Self::AuthenticationFailed => "Authentication failed.",
            Self::AlreadyAuthenticated => "Already authenticated.",
            Self::InvalidSequence => "Invalid seq.",
            Self::RateLimited => "Rate limited.",
            Self::SessionTimedOut => "Session timed out.",
            Self::InvalidShard => "Invalid shard.",
            Self::ShardingRequired => "Sharding required.",
            Self::InvalidApiVersion => "Invalid API version.",
            Self::InvalidIntents => "Invalid intent(s).",
            Self::DisallowedIntents => "Disallowed intent(s).",
        }
    }
}

/// A payload from a client, its `d` not yet read.
#[derive(Debug, Deserialize)]
pub(super) struct Incoming<'a> {
    pub(super) op: u8,
    #[serde(borrow, default)]
    pub(super) d: Option<&'a RawValue>,
}

impl<'a> Incoming<'a> {
    /// Reads the payload's envelope.
    pub(super) fn parse(text: &'a str, max_payload: usize) -> Result<Self, CloseCode> {
        if text.len() > max_payload {
            return Err(CloseCode::DecodeError);
        }
        serde_json::from_str(text).map_err(|_| CloseCode::DecodeError)
    }

    /// Reads `d`.
    pub(super) fn data<T: Deserialize<'a>>(&self) -> Result<T, CloseCode> {
        let text = self.d.map_or("null", RawValue::get);
        serde_json::from_str(text).map_err(|_| CloseCode::DecodeError)
    }
}

/// `d` of IDENTIFY.
#[derive(Debug, Deserialize)]
pub(super) struct Identify {
    pub(super) token: String,
    pub(super) intents: u64,
    #[serde(default)]
    pub(super) shard: Option<(u32, u32)>,
    /// Members from which on a GUILD_CREATE leaves out those who are offline.
    #[serde(default = "fifty")]
    pub(super) large_threshold: usize,
    /// Required by Discord; what it holds does not matter here.
    #[serde(rename = "properties")]
    _properties: serde::de::IgnoredAny,
}

const fn fifty() -> usize {
    50
}

/// `d` of RESUME.
#[derive(Debug, Deserialize)]
pub(super) struct Resume {
    pub(super) token: String,
    pub(super) session_id: String,
    pub(super) seq: u64,
}

/// `d` of REQUEST_GUILD_MEMBERS.
#[derive(Debug, Deserialize)]
pub(super) struct RequestMembers {
    pub(super) guild_id: guildhall_domain::GuildId,
    #[serde(default)]
    pub(super) query: Option<String>,
    #[serde(default)]
    pub(super) limit: usize,
    #[serde(default)]
    pub(super) presences: bool,
    #[serde(default)]
    pub(super) user_ids: Option<OneOrMany>,
    #[serde(default)]
    pub(super) nonce: Option<String>,
}

/// An id, or an array of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(guildhall_domain::UserId),
    Many(Vec<guildhall_domain::UserId>),
}

impl OneOrMany {
    pub(super) fn into_vec(self) -> Vec<guildhall_domain::UserId> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

/// A token as clients write it: Discord takes it with and without the scheme.
pub(super) fn bare_token(token: &str) -> &str {
    token.strip_prefix("Bot ").unwrap_or(token)
}
