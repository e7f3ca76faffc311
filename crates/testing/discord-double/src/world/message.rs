//! Messages: what is kept of them and how they are shown.
//!
//! **Invariant:** a channel keeps its newest [`KEPT`] messages; older ones can no longer be edited, deleted or listed.

mod write;

use std::sync::Arc;

use guildhall_domain::{ApplicationId, ChannelId, GuildId, MessageId, RoleId, Timestamp, UserId};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::channel::{Channel, ChannelKind};
use super::guild::Guild;
use super::ids::{Iso, Snowflake};
use super::reaction::{Reaction, ReactionJson};
use super::user::User;

pub use write::Edit;

/// Messages kept for each channel.
pub const KEPT: usize = 200;

/// A message.
#[derive(Debug)]
pub struct Message {
    /// The message's id, which is also when it was written.
    pub id: MessageId,
    /// Who wrote it.
    pub author: Arc<User>,
    /// The webhook it came by. The answers to interactions come by their application's.
    pub webhook: Option<Snowflake>,
    /// The text.
    pub content: Box<str>,
    /// When it was last edited.
    pub edited: Option<Timestamp>,
    /// Discord's number of the kind of message.
    pub kind: u8,
    /// Discord's flags.
    pub flags: u32,
    /// When it was pinned, if it is.
    pub pinned: Option<Timestamp>,
    /// Whether it reached everyone.
    pub mention_everyone: bool,
    /// Who reacted with what.
    pub reactions: Vec<Reaction>,
    /// What plain messages do not have.
    pub extras: Option<Box<Extras>>,
}

/// The parts of a message that most messages lack.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Embeds, as Discord answers with them.
    pub embeds: Vec<Value>,
    /// Components, as Discord answers with them.
    pub components: Vec<Value>,
    /// Attached files.
    pub attachments: Vec<Attachment>,
    /// The message or thread referred to.
    pub reference: Option<(ChannelId, Option<MessageId>)>,
    /// The interaction it answers.
    pub interaction: Option<Value>,
    /// The application it comes from.
    pub application: Option<ApplicationId>,
    /// The sender's mark, given back.
    pub nonce: Option<Value>,
    /// Read aloud.
    pub tts: bool,
}

/// An attached file; its bytes are with the world.
#[derive(Debug, Clone, Serialize)]
pub struct Attachment {
    /// The attachment's id.
    pub id: Snowflake,
    /// The file's name.
    pub filename: String,
    /// Bytes.
    pub size: usize,
    /// Where it can be fetched.
    pub url: String,
    /// The same through Discord's proxy.
    pub proxy_url: String,
    /// The media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What it shows, for those who cannot see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is only kept for the moment.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
}

/// A message about to be written.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The text.
    pub content: String,
    /// Discord's number of the kind; 0 is an ordinary message.
    pub kind: u8,
    /// Discord's flags.
    pub flags: u32,
    /// The message or thread referred to.
    pub reference: Option<(ChannelId, Option<MessageId>)>,
    /// Everything rarer.
    pub extras: Extras,
}

/// Who writes a message.
#[derive(Debug, Clone)]
pub enum Author {
    /// An account, human or bot.
    Account(UserId),
    /// The bot, answering an interaction.
    Answer,
    /// A webhook under the name it shows.
    Webhook {
        /// The webhook.
        id: Snowflake,
        /// The name shown.
        name: String,
    },
}

impl Message {
    /// Flag: visible to one member only.
    pub const EPHEMERAL: u32 = 1 << 6;
    /// Flag: a deferred answer that has not come yet.
    pub const LOADING: u32 = 1 << 7;
    /// Flag: a thread hangs on it.
    pub const HAS_THREAD: u32 = 1 << 5;
    /// Flag: made of components only.
    pub const COMPONENTS_V2: u32 = 1 << 15;
    /// Kind: someone pinned a message.
    pub(crate) const PINNED: u8 = 6;
    /// Kind: someone started a thread.
    pub(crate) const THREAD_CREATED: u8 = 18;
    /// Kind: a reply.
    pub(crate) const REPLY: u8 = 19;
    /// Kind: the answer to a slash command.
    pub(crate) const CHAT_INPUT_COMMAND: u8 = 20;

    /// Whether a bot or a webhook wrote it.
    pub fn automatic(&self) -> bool {
        self.author.bot || self.webhook.is_some()
    }

    /// When it was written.
    pub fn written_at(&self) -> Timestamp {
        self.id.created_at()
    }

    pub(crate) fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }
}

impl Draft {
    /// Plain text.
    pub fn text(content: &str) -> Self {
        Self { content: content.to_owned(), ..Self::default() }
    }

    pub(crate) fn system(kind: u8) -> Self {
        Self { kind, ..Self::default() }
    }
}

/// Discord's message object, for REST and for events.
#[derive(Serialize)]
pub(crate) struct MessageJson<'a> {
    id: MessageId,
    #[serde(rename = "type")]
    kind: u8,
    channel_id: ChannelId,
    #[serde(skip_serializing_if = "Option::is_none")]
    guild_id: Option<GuildId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_type: Option<ChannelKind>,
    author: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a RawValue>,
    content: &'a str,
    timestamp: Iso,
    edited_timestamp: Option<Iso>,
    tts: bool,
    mention_everyone: bool,
    mentions: Mentions<'a>,
    mention_roles: MentionedRoles<'a>,
    attachments: &'a [Attachment],
    embeds: &'a [Value],
    components: &'a [Value],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<ReactionJson<'a>>,
    pinned: bool,
    flags: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_id: Option<ApplicationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_reference: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referenced_message: Option<Option<Box<MessageJson<'a>>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_metadata: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a Value>,
}

#[derive(Serialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: u8,
    channel_id: ChannelId,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<MessageId>,
    guild_id: GuildId,
}

/// The accounts a text mentions.
struct Mentions<'a> {
    guild: &'a Guild,
    content: &'a str,
}

impl Serialize for Mentions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for id in mentioned(self.content, "@").filter_map(|id| id.parse().ok()) {
            if let Some(member) = self.guild.members.get(&id) {
                list.serialize_element(member.user.raw())?;
            }
        }
        list.end()
    }
}

/// The roles a text mentions.
struct MentionedRoles<'a> {
    guild: &'a Guild,
    content: &'a str,
}

impl Serialize for MentionedRoles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let roles = mentioned(self.content, "@&").filter_map(|id| id.parse::<RoleId>().ok());
        serializer.collect_seq(roles.filter(|role| self.guild.roles.contains_key(role)))
    }
}

/// The ids in marks such as `<@1>`, `<@!1>` or `<@&1>`.
fn mentioned<'a>(content: &'a str, mark: &'static str) -> impl Iterator<Item = &'a str> {
    content.split('<').skip(1).filter_map(move |part| {
        let id = part.strip_prefix(mark)?.split_once('>')?.0;
        Some(id.strip_prefix('!').unwrap_or(id))
    })
}

impl Guild {
    /// The messages kept of a channel, oldest first.
    ///
    /// # Errors
    /// When the guild has no such channel.
    pub fn messages(
        &self,
        channel: ChannelId,
    ) -> Result<impl DoubleEndedIterator<Item = &Message> + ExactSizeIterator, super::Missing> {
        Ok(self.channel(channel)?.messages.iter())
    }

    /// A message that is still kept.
    ///
    /// # Errors
    /// When the channel or the message is missing.
    pub fn message(&self, channel: ChannelId, message: MessageId) -> Result<&Message, super::Missing> {
        self.channel(channel)?.find(message).ok_or(super::Missing::Message)
    }

    /// The message as REST shows it.
    pub(crate) fn message_json<'a>(&'a self, channel: &Channel, message: &'a Message) -> MessageJson<'a> {
        let reference = message.extras.as_ref().and_then(|extras| extras.reference);
        let referenced = match (message.kind, reference) {
            (Message::REPLY, Some((channel, Some(id)))) => Some(self.channels.get(&channel).and_then(|channel| {
                let message = channel.find(id)?;
                Some(Box::new(self.shallow_json(channel, message)))
            })),
            _ => None,
        };
        MessageJson { referenced_message: referenced, ..self.shallow_json(channel, message) }
    }

    /// The message as `MESSAGE_CREATE` and `MESSAGE_UPDATE` carry it.
    pub(super) fn message_event<'a>(&'a self, channel: &Channel, message: &'a Message) -> MessageJson<'a> {
        let member = match message.webhook {
            Some(_) => None,
            None => self.members.get(&message.author.id).map(super::member::Member::fragment),
        };
        let base = self.message_json(channel, message);
        MessageJson { guild_id: Some(self.id), channel_type: Some(channel.kind), member, ..base }
    }

    fn shallow_json<'a>(&'a self, channel: &Channel, message: &'a Message) -> MessageJson<'a> {
        let extras = message.extras.as_deref();
        MessageJson {
            id: message.id,
            kind: message.kind,
            channel_id: channel.id,
            guild_id: None,
            channel_type: None,
            author: message.author.raw(),
            member: None,
            content: &message.content,
            timestamp: Iso(message.written_at()),
            edited_timestamp: message.edited.map(Iso),
            tts: extras.is_some_and(|extras| extras.tts),
            mention_everyone: message.mention_everyone,
            mentions: Mentions { guild: self, content: &message.content },
            mention_roles: MentionedRoles { guild: self, content: &message.content },
            attachments: extras.map_or(&[], |extras| &extras.attachments),
            embeds: extras.map_or(&[], |extras| &extras.embeds),
            components: extras.map_or(&[], |extras| &extras.components),
            reactions: message.reactions.iter().map(|reaction| reaction.json(self.shared.bot.id)).collect(),
            pinned: message.pinned.is_some(),
            flags: message.flags,
            webhook_id: message.webhook,
            application_id: extras.and_then(|extras| extras.application),
            message_reference: extras.and_then(|extras| extras.reference).map(|(channel_id, message_id)| Reference {
                kind: 0,
                channel_id,
                message_id,
                guild_id: self.id,
            }),
            referenced_message: None,
            interaction_metadata: extras.and_then(|extras| extras.interaction.as_ref()),
            nonce: extras.and_then(|extras| extras.nonce.as_ref()),
        }
    }
}

impl Channel {
    /// A message that is still kept. Ids ascend with time, but simulated histories may be written in any order, so
    /// the search does not rely on it.
    pub(super) fn find(&self, message: MessageId) -> Option<&Message> {
        self.messages.iter().rev().find(|kept| kept.id == message)
    }

    pub(super) fn written_since(&self, user: UserId, since: Timestamp) -> Vec<MessageId> {
        let by_user = self.messages.iter().filter(|message| message.author.id == user && message.webhook.is_none());
        by_user.filter(|message| message.written_at() >= since).map(|message| message.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::mentioned;

    #[test]
    fn mentions_are_found_in_text() {
        let text = "<@1> and <@!2>, role <@&3>, channel <#4>, 1 < 2, <@x";
        let users: Vec<&str> = mentioned(text, "@").filter(|id| id.parse::<u64>().is_ok()).collect();
        assert_eq!(users, ["1", "2"]);
        assert_eq!(mentioned(text, "@&").collect::<Vec<_>>(), ["3"]);
    }
}
