//! From a raw gateway frame to countable events.
//!
//! **Invariant:** projection is pure: the same frame read at the same instant gives the same events, in the same order.
//! **Invariant:** the class of an event is a function of its session's map and its body alone ([`class_of`]).
//! **Invariant:** no frame can make it panic; one of a known type that cannot be read counts as nothing and is reported.

mod members;
mod payload;
pub mod peek;
pub mod skim;

use guildhall_domain::{ChannelId, ClassMap, EventKind, GuildId, MessageId, PriorityClass, Timestamp, UserId};
use guildhall_wire::{Event, EventBody};
pub use peek::Frame;
use serde::Deserialize;

macro_rules! dispatches {
    ($($variant:ident = $name:literal,)*) => {
        /// A dispatched event the runner knows.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[expect(missing_docs, reason = "the names are Discord's own")]
        pub enum Dispatch { $($variant,)* }

        impl Dispatch {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The event with Discord's name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Discord's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

dispatches! {
    Ready = "READY",
    Resumed = "RESUMED",
    MessageCreate = "MESSAGE_CREATE",
    MessageUpdate = "MESSAGE_UPDATE",
    MessageDelete = "MESSAGE_DELETE",
    MessageDeleteBulk = "MESSAGE_DELETE_BULK",
    ReactionAdd = "MESSAGE_REACTION_ADD",
    ReactionRemove = "MESSAGE_REACTION_REMOVE",
    ReactionRemoveAll = "MESSAGE_REACTION_REMOVE_ALL",
    ReactionRemoveEmoji = "MESSAGE_REACTION_REMOVE_EMOJI",
    MemberAdd = "GUILD_MEMBER_ADD",
    MemberRemove = "GUILD_MEMBER_REMOVE",
    MemberUpdate = "GUILD_MEMBER_UPDATE",
    VoiceStateUpdate = "VOICE_STATE_UPDATE",
    BanAdd = "GUILD_BAN_ADD",
    BanRemove = "GUILD_BAN_REMOVE",
    AuditLogEntryCreate = "GUILD_AUDIT_LOG_ENTRY_CREATE",
    GuildCreate = "GUILD_CREATE",
    GuildUpdate = "GUILD_UPDATE",
    GuildDelete = "GUILD_DELETE",
    ChannelCreate = "CHANNEL_CREATE",
    ChannelUpdate = "CHANNEL_UPDATE",
    ChannelDelete = "CHANNEL_DELETE",
    RoleCreate = "GUILD_ROLE_CREATE",
    RoleUpdate = "GUILD_ROLE_UPDATE",
    RoleDelete = "GUILD_ROLE_DELETE",
    ThreadCreate = "THREAD_CREATE",
    ThreadUpdate = "THREAD_UPDATE",
    ThreadDelete = "THREAD_DELETE",
    InviteCreate = "INVITE_CREATE",
    InviteDelete = "INVITE_DELETE",
}

/// The class an event travels in, under its session's map. Who is in voice according to a roster is of one class under
/// every map.
pub fn class_of(map: ClassMap, body: &EventBody) -> PriorityClass {
    match body {
        EventBody::Count { kind, .. } => map.class(*kind),
        EventBody::VoiceRoster | EventBody::VoicePresent { .. } => PriorityClass::High,
    }
}

/// What a frame says beside its events, for the gauges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberCount {
    /// The guild.
    pub guild: GuildId,
    /// Its members; `None` when Discord did not say.
    pub members: Option<u32>,
}

/// A frame of a known type does not have its documented shape.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It does not deserialise.
    #[error("the payload does not have the documented shape")]
    Shape(#[from] serde_json::Error),
    /// An id is zero, which Discord never gives and which stands for "none" on the wire.
    #[error("an id is zero")]
    ZeroId,
    /// It has more events than can be numbered.
    #[error("more than 65,535 events in one frame")]
    TooMany,
}

/// The session a `READY` announces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadySession {
    /// Discord's id of the session.
    pub session_id: String,
    /// Where to resume it.
    pub resume_url: String,
    /// The guilds that the session is going to introduce.
    pub guilds: Vec<GuildId>,
}

/// Reads a `READY`.
///
/// # Errors
/// When it does not have the documented shape.
pub fn ready(text: &str) -> Result<ReadySession, Unreadable> {
    let ready: payload::Ready<'_> = whole(text)?;
    Ok(ReadySession {
        session_id: ready.session_id.into_owned(),
        resume_url: ready.resume_gateway_url.into_owned(),
        guilds: ready.guilds.iter().map(|guild| guild.id).collect(),
    })
}

/// Appends the frame's events to `out`; on an error, `out` is as it was.
///
/// # Errors
/// When the frame does not have the documented shape.
pub fn project(
    dispatch: Dispatch,
    frame: &Frame<'_>,
    seq: u64,
    received: Timestamp,
    out: &mut Vec<Event>,
) -> Result<Option<MemberCount>, Unreadable> {
    let before = out.len();
    let mut emit = Emit { seq, received, before, out };
    let result = emit.frame(dispatch, frame);
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// Reads what is asked for of a frame's data: in passing where the frame is as usual, else with a full parse.
///
/// # Errors
/// When a full parse does not find it.
pub fn data<'a, T: Deserialize<'a>>(frame: &Frame<'a>) -> Result<T, serde_json::Error> {
    match skim::object(frame.data) {
        Some(data) => Ok(data),
        None => whole(frame.text),
    }
}

fn whole<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str::<payload::Dispatch<T>>(text).map(|frame| frame.d)
}

struct Emit<'a> {
    seq: u64,
    received: Timestamp,
    before: usize,
    out: &'a mut Vec<Event>,
}

/// The parts of a counted event that differ.
#[derive(Clone, Copy)]
struct Counted {
    at: Option<Timestamp>,
    channel: Option<ChannelId>,
    member: Option<UserId>,
    target: Option<u64>,
}

/// How far ahead of this machine's clock an instant of Discord's may be. Between the two it is this machine's clock that is
/// wrong, so the bound is wide: it only keeps out what ingest, which allows a day, would refuse with the whole envelope.
const AHEAD_MILLIS: i64 = 6 * 60 * 60 * 1_000;

const NOTHING: Counted = Counted { at: None, channel: None, member: None, target: None };

impl Emit<'_> {
    fn push(&mut self, guild: GuildId, at: Timestamp, body: EventBody) -> Result<(), Unreadable> {
        if guild.get() == 0 {
            return Err(Unreadable::ZeroId);
        }
        let index = u16::try_from(self.out.len() - self.before).map_err(|_| Unreadable::TooMany)?;
        self.out.push(Event { seq: self.seq, index, guild, at, body });
        Ok(())
    }

    /// Whether an instant that Discord gave can be right; one that cannot would be refused with its whole envelope.
    fn is_plausible(&self, at: Timestamp) -> bool {
        Timestamp::DISCORD_EPOCH <= at && at <= self.received.plus_millis(AHEAD_MILLIS)
    }

    /// Counts one; an event outside a guild (a direct message) counts as nothing.
    fn count(&mut self, kind: EventKind, guild: Option<GuildId>, with: Counted) -> Result<(), Unreadable> {
        let Some(guild) = guild else { return Ok(()) };
        let zero = with.channel.is_some_and(|id| id.get() == 0) || with.member.is_some_and(|id| id.get() == 0);
        if zero {
            return Err(Unreadable::ZeroId);
        }
        let body = EventBody::Count { kind, channel: with.channel, member: with.member, target: with.target };
        self.push(guild, with.at.filter(|at| self.is_plausible(*at)).unwrap_or(self.received), body)
    }

    fn frame(&mut self, dispatch: Dispatch, frame: &Frame<'_>) -> Result<Option<MemberCount>, Unreadable> {
        match dispatch {
            Dispatch::Ready | Dispatch::Resumed => {}
            Dispatch::MessageCreate => {
                let message: payload::Message = data(frame)?;
                let bot = message.webhook_id.is_some() || message.author.as_ref().is_some_and(|author| author.bot);
                let kind = if bot { EventKind::BotMessageCreate } else { EventKind::MessageCreate };
                self.message(kind, &message, Some(message.id.created_at()))?;
            }
            Dispatch::MessageUpdate => self.message(EventKind::MessageUpdate, &data(frame)?, None)?,
            Dispatch::MessageDelete => {
                let deleted: payload::MessageDelete = data(frame)?;
                self.deleted(deleted.guild_id, deleted.channel_id, deleted.id)?;
            }
            Dispatch::MessageDeleteBulk => {
                let deleted: payload::MessageDeleteBulk = data(frame)?;
                for id in deleted.ids {
                    self.deleted(deleted.guild_id, deleted.channel_id, id)?;
                }
            }
            Dispatch::ReactionAdd => self.reaction(EventKind::ReactionAdd, &data(frame)?)?,
            Dispatch::ReactionRemove => self.reaction(EventKind::ReactionRemove, &data(frame)?)?,
            Dispatch::ReactionRemoveAll | Dispatch::ReactionRemoveEmoji => {
                let cleared = payload::Reaction { user_id: None, ..data(frame)? };
                self.reaction(EventKind::ReactionClear, &cleared)?;
            }
            Dispatch::MemberAdd => {
                let member: payload::Member<'_> = data(frame)?;
                let at = member.joined_at.as_ref().and_then(|text| Timestamp::parse_rfc3339(&text.0));
                self.member(EventKind::MemberJoin, &member, at)?;
            }
            Dispatch::MemberRemove => self.member(EventKind::MemberLeave, &data(frame)?, None)?,
            Dispatch::MemberUpdate => self.member(EventKind::MemberUpdate, &data(frame)?, None)?,
            Dispatch::BanAdd => self.member(EventKind::BanAdd, &data(frame)?, None)?,
            Dispatch::BanRemove => self.member(EventKind::BanRemove, &data(frame)?, None)?,
            Dispatch::VoiceStateUpdate => {
                let state: payload::VoiceState = data(frame)?;
                let with = Counted { channel: state.channel_id, member: Some(state.user_id), ..NOTHING };
                self.count(EventKind::VoiceState, state.guild_id, with)?;
            }
            Dispatch::AuditLogEntryCreate => {
                let entry: payload::AuditLogEntry<'_> = data(frame)?;
                let with = Counted {
                    at: Some(entry.id.created_at()),
                    member: entry.user_id,
                    target: entry.target_id.as_ref().and_then(|id| id.0.parse().ok()).map(MessageId::get),
                    channel: None,
                };
                self.count(EventKind::AuditLogEntry, Some(entry.guild_id), with)?;
            }
            Dispatch::GuildCreate => return self.guild_created(&data(frame)?).map(Some),
            Dispatch::GuildUpdate => self.guild(EventKind::GuildUpdate, &data(frame)?)?,
            Dispatch::GuildDelete => self.guild(EventKind::GuildDelete, &data(frame)?)?,
            Dispatch::ChannelCreate => {
                let channel: payload::Channel = data(frame)?;
                self.channel(EventKind::ChannelCreate, &channel, Some(channel.id.created_at()))?;
            }
            Dispatch::ChannelUpdate => self.channel(EventKind::ChannelUpdate, &data(frame)?, None)?,
            Dispatch::ChannelDelete => self.channel(EventKind::ChannelDelete, &data(frame)?, None)?,
            Dispatch::RoleCreate => self.role(EventKind::RoleCreate, &data(frame)?)?,
            Dispatch::RoleUpdate => self.role(EventKind::RoleUpdate, &data(frame)?)?,
            Dispatch::RoleDelete => self.role(EventKind::RoleDelete, &data(frame)?)?,
            Dispatch::ThreadCreate => self.thread(EventKind::ThreadCreate, &data(frame)?)?,
            Dispatch::ThreadUpdate => self.thread(EventKind::ThreadUpdate, &data(frame)?)?,
            Dispatch::ThreadDelete => self.thread(EventKind::ThreadDelete, &data(frame)?)?,
            Dispatch::InviteCreate => {
                let invite: payload::Invite = data(frame)?;
                let inviter = invite.inviter.as_ref().map(|user| user.id);
                self.invite(EventKind::InviteCreate, &invite, inviter)?;
            }
            Dispatch::InviteDelete => self.invite(EventKind::InviteDelete, &data(frame)?, None)?,
        }
        Ok(None)
    }

    fn message(
        &mut self,
        kind: EventKind,
        message: &payload::Message,
        at: Option<Timestamp>,
    ) -> Result<(), Unreadable> {
        let member = message.author.as_ref().map(|author| author.id);
        let with = Counted { at, channel: Some(message.channel_id), member, target: Some(message.id.get()) };
        self.count(kind, message.guild_id, with)
    }

    fn deleted(&mut self, guild: Option<GuildId>, channel: ChannelId, id: MessageId) -> Result<(), Unreadable> {
        let with = Counted { channel: Some(channel), target: Some(id.get()), ..NOTHING };
        self.count(EventKind::MessageDelete, guild, with)
    }

    fn reaction(&mut self, kind: EventKind, reaction: &payload::Reaction) -> Result<(), Unreadable> {
        let with = Counted {
            channel: Some(reaction.channel_id),
            member: reaction.user_id,
            target: Some(reaction.message_id.get()),
            at: None,
        };
        self.count(kind, reaction.guild_id, with)
    }

    fn member(
        &mut self,
        kind: EventKind,
        member: &payload::Member<'_>,
        at: Option<Timestamp>,
    ) -> Result<(), Unreadable> {
        self.count(kind, Some(member.guild_id), Counted { at, member: Some(member.user.id), ..NOTHING })
    }

    fn guild(&mut self, kind: EventKind, guild: &payload::Guild) -> Result<(), Unreadable> {
        self.count(kind, Some(guild.id), NOTHING)
    }

    fn guild_created(&mut self, guild: &payload::Guild) -> Result<MemberCount, Unreadable> {
        self.guild(EventKind::GuildCreate, guild)?;
        self.push(guild.id, self.received, EventBody::VoiceRoster)?;
        for state in &guild.voice_states {
            let Some(channel) = state.channel_id.filter(|id| id.get() != 0) else { continue };
            if state.user_id.get() == 0 {
                continue;
            }
            self.push(guild.id, self.received, EventBody::VoicePresent { member: state.user_id, channel })?;
        }
        Ok(MemberCount { guild: guild.id, members: guild.member_count })
    }

    fn channel(
        &mut self,
        kind: EventKind,
        channel: &payload::Channel,
        at: Option<Timestamp>,
    ) -> Result<(), Unreadable> {
        self.count(kind, channel.guild_id, Counted { at, channel: Some(channel.id), ..NOTHING })
    }

    fn role(&mut self, kind: EventKind, role: &payload::Role) -> Result<(), Unreadable> {
        let id = role.role.as_ref().map(|role| role.id).or(role.role_id);
        self.count(kind, Some(role.guild_id), Counted { target: id.map(guildhall_domain::RoleId::get), ..NOTHING })
    }

    fn thread(&mut self, kind: EventKind, thread: &payload::Thread) -> Result<(), Unreadable> {
        // Discord also announces an old thread so, when the bot is added to it: then nobody created anything now.
        let created = kind == EventKind::ThreadCreate && thread.newly_created;
        let with = Counted {
            at: created.then(|| thread.id.created_at()),
            channel: thread.parent_id,
            member: thread.owner_id.filter(|_| created),
            target: Some(thread.id.get()),
        };
        self.count(kind, thread.guild_id, with)
    }

    fn invite(&mut self, kind: EventKind, invite: &payload::Invite, inviter: Option<UserId>) -> Result<(), Unreadable> {
        let target = invite.target_user.as_ref().map(|user| user.id.get());
        let with = Counted { channel: Some(invite.channel_id), member: inviter, target, at: None };
        self.count(kind, invite.guild_id, with)
    }
}

#[cfg(test)]
mod tests;
