//! The words of the field, and the pure rules that every other part shares.
//!
//! **Invariant:** nothing here is asynchronous, performs I/O, or reads a clock or a source of randomness.
//! **Invariant:** a value that exists is valid; parsing happens in constructors, once.

pub mod event;
pub mod id;
pub mod period;
pub mod permissions;
pub mod settings;
pub mod time;

pub use event::{ClassMap, EventKind, PriorityClass};
pub use id::{ApplicationId, ChannelId, GuildId, InteractionId, MessageId, RoleId, ShardId, UserId};
pub use period::{Period, Span};
pub use permissions::Permissions;
pub use settings::{GuildSettings, Language, Module};
pub use time::{Clock, QuarterHour, TimeZone, Timestamp};
