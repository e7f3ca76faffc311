//! Reactions.
//!
//! **Invariant:** an account reacts to a message at most once with each emoji; a reaction nobody gave is forgotten.

use std::borrow::Cow;

use guildhall_domain::{ChannelId, EventKind, GuildId, MessageId, UserId};
use serde::Serialize;

use super::guild::Guild;
use super::ids::Snowflake;
use super::member::MemberJson;
use super::{Missing, counted, intents};

/// An emoji: a character of Unicode, or one a guild made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Emoji {
    /// The id of one a guild made.
    pub id: Option<Snowflake>,
    /// The character, or the name of one a guild made.
    pub name: Cow<'static, str>,
}

/// Everyone who reacted to a message with one emoji.
#[derive(Debug, Clone)]
pub struct Reaction {
    /// The emoji.
    pub emoji: Emoji,
    /// Who, in the order they came.
    pub users: Vec<UserId>,
}

#[derive(Serialize)]
pub(crate) struct ReactionJson<'a> {
    emoji: &'a Emoji,
    count: usize,
    count_details: CountDetails,
    burst_colors: [&'static str; 0],
    me_burst: bool,
    me: bool,
    burst_me: bool,
    burst_count: usize,
}

#[derive(Serialize)]
struct CountDetails {
    burst: usize,
    normal: usize,
}

#[derive(Serialize)]
struct Given<'a> {
    guild_id: GuildId,
    channel_id: ChannelId,
    message_id: MessageId,
    user_id: UserId,
    emoji: &'a Emoji,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<MemberJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_author_id: Option<UserId>,
    burst: bool,
    #[serde(rename = "type")]
    kind: u8,
}

#[derive(Serialize)]
struct Cleared<'a> {
    guild_id: GuildId,
    channel_id: ChannelId,
    message_id: MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<&'a Emoji>,
}

impl Emoji {
    /// A character of Unicode.
    pub const fn unicode(character: &'static str) -> Self {
        Self { id: None, name: Cow::Borrowed(character) }
    }

    /// The emoji a REST path names: a character, or `name:id`.
    pub fn from_path(text: &str) -> Self {
        match text.rsplit_once(':').map(|(name, id)| (name, id.parse().map(Snowflake))) {
            Some((name, Ok(id))) => Self { id: Some(id), name: Cow::Owned(name.to_owned()) },
            _ => Self { id: None, name: Cow::Owned(text.to_owned()) },
        }
    }

    /// Whether both name the same emoji; the name of one a guild made does not matter.
    pub fn same(&self, other: &Self) -> bool {
        match (self.id, other.id) {
            (Some(one), Some(two)) => one == two,
            (None, None) => self.name == other.name,
            _ => false,
        }
    }
}

impl Reaction {
    pub(crate) fn json(&self, me: UserId) -> ReactionJson<'_> {
        ReactionJson {
            emoji: &self.emoji,
            count: self.users.len(),
            count_details: CountDetails { burst: 0, normal: self.users.len() },
            burst_colors: [],
            me_burst: false,
            me: self.users.contains(&me),
            burst_me: false,
            burst_count: 0,
        }
    }
}

impl Guild {
    /// Reacts to a message. Returns whether the reaction is new.
    ///
    /// # Errors
    /// When the channel, the message or the member is missing.
    pub fn add_reaction(
        &mut self,
        channel: ChannelId,
        message: MessageId,
        user: UserId,
        emoji: &Emoji,
    ) -> Result<bool, Missing> {
        self.member(user)?;
        let target = self.find_mut(channel, message)?;
        let author = target.author.id;
        match target.reactions.iter_mut().find(|reaction| reaction.emoji.same(emoji)) {
            Some(reaction) if reaction.users.contains(&user) => return Ok(false),
            Some(reaction) => reaction.users.push(user),
            None => target.reactions.push(Reaction { emoji: emoji.clone(), users: vec![user] }),
        }
        let event = Given {
            member: Some(self.member(user)?.full()),
            message_author_id: Some(author),
            ..self.given(channel, message, user, emoji)
        };
        let counts = vec![counted(EventKind::ReactionAdd, Some(channel), Some(user))];
        self.emit("MESSAGE_REACTION_ADD", intents::GUILD_MESSAGE_REACTIONS, &event, counts);
        Ok(true)
    }

    /// Takes a reaction back. Returns whether there was one.
    ///
    /// # Errors
    /// When the channel or the message is missing.
    pub fn remove_reaction(
        &mut self,
        channel: ChannelId,
        message: MessageId,
        user: UserId,
        emoji: &Emoji,
    ) -> Result<bool, Missing> {
        let reactions = &mut self.find_mut(channel, message)?.reactions;
        let Some(reaction) = reactions.iter_mut().find(|reaction| reaction.emoji.same(emoji)) else {
            return Ok(false);
        };
        let Some(index) = reaction.users.iter().position(|given| *given == user) else { return Ok(false) };
        reaction.users.remove(index);
        reactions.retain(|reaction| !reaction.users.is_empty());
        let event = self.given(channel, message, user, emoji);
        let counts = vec![counted(EventKind::ReactionRemove, Some(channel), Some(user))];
        self.emit("MESSAGE_REACTION_REMOVE", intents::GUILD_MESSAGE_REACTIONS, &event, counts);
        Ok(true)
    }

    /// Removes all reactions of a message, or all with one emoji.
    ///
    /// # Errors
    /// When the channel or the message is missing.
    pub fn clear_reactions(
        &mut self,
        channel: ChannelId,
        message: MessageId,
        emoji: Option<&Emoji>,
    ) -> Result<(), Missing> {
        let reactions = &mut self.find_mut(channel, message)?.reactions;
        reactions.retain(|reaction| emoji.is_some_and(|emoji| !reaction.emoji.same(emoji)));
        let event = Cleared { guild_id: self.id, channel_id: channel, message_id: message, emoji };
        let name = match emoji {
            Some(_) => "MESSAGE_REACTION_REMOVE_EMOJI",
            None => "MESSAGE_REACTION_REMOVE_ALL",
        };
        let counts = vec![counted(EventKind::ReactionClear, Some(channel), None)];
        self.emit(name, intents::GUILD_MESSAGE_REACTIONS, &event, counts);
        Ok(())
    }

    fn given<'a>(&self, channel: ChannelId, message: MessageId, user: UserId, emoji: &'a Emoji) -> Given<'a> {
        Given {
            guild_id: self.id,
            channel_id: channel,
            message_id: message,
            user_id: user,
            emoji,
            member: None,
            message_author_id: None,
            burst: false,
            kind: 0,
        }
    }
}
