//! Writing, editing, pinning and deleting messages.
//!
//! **Invariant:** a message's creation is announced before anything else about it.

use std::sync::Arc;

use guildhall_domain::{ChannelId, EventKind, GuildId, MessageId, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;

use super::{Author, Draft, Extras, KEPT, Message};
use crate::world::audit::{Action, By, Entry};
use crate::world::guild::Guild;
use crate::world::ids::Snowflake;
use crate::world::permissions::Permissions;
use crate::world::user::User;
use crate::world::{Missing, counted, intents};

/// What of a message changes; absent fields stay.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// The text.
    pub content: Option<String>,
    /// The embeds.
    pub embeds: Option<Vec<serde_json::Value>>,
    /// The components.
    pub components: Option<Vec<serde_json::Value>>,
    /// The attachments.
    pub attachments: Option<Vec<super::Attachment>>,
    /// The flags.
    pub flags: Option<u32>,
    /// Whether the edit is marked. The first answer after a deferral is not.
    pub unmarked: bool,
}

impl Edit {
    /// Makes the change.
    pub(crate) fn apply(self, target: &mut Message, at: Timestamp) {
        if let Some(content) = self.content {
            target.content = content.into_boxed_str();
        }
        if let Some(embeds) = self.embeds {
            target.extras_mut().embeds = embeds;
        }
        if let Some(components) = self.components {
            target.extras_mut().components = components;
        }
        if let Some(attachments) = self.attachments {
            target.extras_mut().attachments = attachments;
        }
        if let Some(flags) = self.flags {
            target.flags = flags;
        }
        if !self.unmarked {
            target.edited = Some(at);
        }
    }
}

#[derive(Serialize)]
struct Deleted {
    id: MessageId,
    channel_id: ChannelId,
    guild_id: GuildId,
}

#[derive(Serialize)]
struct BulkDeleted<'a> {
    ids: &'a [MessageId],
    channel_id: ChannelId,
    guild_id: GuildId,
}

impl Guild {
    /// Writes plain text.
    ///
    /// # Errors
    /// When the channel is missing or the author does not belong to the guild.
    pub fn post_message(
        &mut self,
        channel: ChannelId,
        author: UserId,
        content: &str,
        at: Timestamp,
    ) -> Result<MessageId, Missing> {
        self.post(channel, Author::Account(author), Draft::text(content), at)
    }

    /// Writes a message.
    ///
    /// # Errors
    /// When the channel is missing, takes no messages, or the author does not belong to the guild.
    pub fn post(
        &mut self,
        channel: ChannelId,
        author: Author,
        draft: Draft,
        at: Timestamp,
    ) -> Result<MessageId, Missing> {
        let message = self.compose(channel, author, draft, at)?;
        let id = message.id;
        let target = self.channels.get_mut(&channel).ok_or(Missing::Channel)?;
        if let Some(thread) = &mut target.thread {
            thread.messages += 1;
        }
        let kind = if message.automatic() { EventKind::BotMessageCreate } else { EventKind::MessageCreate };
        let counts = vec![counted(kind, Some(channel), Some(message.author.id))];
        target.last_message = Some(id);
        let target = &self.channels[&channel];
        let event = self.message_event(target, &message);
        self.emit_at(at, "MESSAGE_CREATE", intents::GUILD_MESSAGES, &event, counts);
        if let Some(target) = self.channels.get_mut(&channel) {
            if target.messages.len() == KEPT {
                target.messages.pop_front();
            }
            target.messages.push_back(message);
        }
        Ok(id)
    }

    /// Makes a message that is not written anywhere, as the answers are that only one member sees.
    ///
    /// # Errors
    /// When the channel is missing, takes no messages, or the author does not belong to the guild.
    pub(crate) fn compose(
        &self,
        channel: ChannelId,
        author: Author,
        draft: Draft,
        at: Timestamp,
    ) -> Result<Message, Missing> {
        if !self.channel(channel)?.kind.has_messages() {
            return Err(Missing::Channel);
        }
        let (author, webhook) = self.author(author)?;
        let calls = draft.content.contains("@everyone") || draft.content.contains("@here");
        let may_call = |user| self.channel_permissions(channel, user, at).has(Permissions::MENTION_EVERYONE);
        let plain = draft.reference.is_none() && is_plain(&draft.extras);
        Ok(Message {
            id: self.shared.ids.id(at),
            mention_everyone: calls && (webhook.is_some() || may_call(author.id)),
            author,
            webhook,
            content: draft.content.into_boxed_str(),
            edited: None,
            kind: draft.kind,
            flags: draft.flags,
            pinned: None,
            reactions: Vec::new(),
            extras: (!plain).then(|| Box::new(Extras { reference: draft.reference, ..draft.extras })),
        })
    }

    /// Replaces a message's text.
    ///
    /// # Errors
    /// When the channel or the message is missing.
    pub fn edit_message(
        &mut self,
        channel: ChannelId,
        message: MessageId,
        content: &str,
        at: Timestamp,
    ) -> Result<(), Missing> {
        self.edit(channel, message, Edit { content: Some(content.to_owned()), ..Edit::default() }, at)
    }

    /// Changes a message.
    ///
    /// # Errors
    /// When the channel or the message is missing.
    pub fn edit(&mut self, channel: ChannelId, message: MessageId, edit: Edit, at: Timestamp) -> Result<(), Missing> {
        let target = self.find_mut(channel, message)?;
        edit.apply(target, at);
        self.emit_update(channel, message)
    }

    /// Deletes one message.
    ///
    /// # Errors
    /// When the channel or the message is missing.
    pub fn delete_message(&mut self, channel: ChannelId, message: MessageId) -> Result<(), Missing> {
        let messages = &mut self.channel_mut(channel)?.messages;
        let index = messages.iter().position(|kept| kept.id == message).ok_or(Missing::Message)?;
        messages.remove(index);
        let event = Deleted { id: message, channel_id: channel, guild_id: self.id };
        let counts = vec![counted(EventKind::MessageDelete, Some(channel), None)];
        self.emit("MESSAGE_DELETE", intents::GUILD_MESSAGES, &event, counts);
        Ok(())
    }

    /// Deletes several messages with one event. Those that are already gone are passed over; when all are, nothing
    /// is announced. Returns how many went.
    ///
    /// # Errors
    /// When the channel is missing.
    pub fn delete_messages(&mut self, channel: ChannelId, messages: &[MessageId]) -> Result<usize, Missing> {
        let kept = &mut self.channel_mut(channel)?.messages;
        let mut gone = Vec::new();
        kept.retain(|message| {
            let goes = messages.contains(&message.id);
            if goes {
                gone.push(message.id);
            }
            !goes
        });
        if !gone.is_empty() {
            let event = BulkDeleted { ids: &gone, channel_id: channel, guild_id: self.id };
            let counts = vec![counted(EventKind::MessageDelete, Some(channel), None); gone.len()];
            self.emit("MESSAGE_DELETE_BULK", intents::GUILD_MESSAGES, &event, counts);
        }
        Ok(gone.len())
    }

    /// Pins or unpins a message; a pin is announced by a system message.
    ///
    /// # Errors
    /// When the channel or the message is missing.
    pub fn pin(
        &mut self,
        channel: ChannelId,
        message: MessageId,
        pinned: bool,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<(), Missing> {
        let target = self.find_mut(channel, message)?;
        if target.pinned.is_some() == pinned {
            return Ok(());
        }
        target.pinned = pinned.then_some(at);
        let author = target.author.id;
        self.emit_update(channel, message)?;
        if pinned {
            self.channel_mut(channel)?.last_pin = Some(at);
        }
        let last = self.channel(channel)?.last_pin.map(crate::world::ids::Iso);
        let event = json!({ "guild_id": self.id, "channel_id": channel, "last_pin_timestamp": last });
        self.emit("CHANNEL_PINS_UPDATE", intents::GUILDS, &event, Vec::new());
        if pinned {
            let notice = Draft { reference: Some((channel, Some(message))), ..Draft::system(Message::PINNED) };
            self.post(channel, Author::Account(by.user), notice, at)?;
        }
        let action = if pinned { Action::MessagePin } else { Action::MessageUnpin };
        let mut entry = Entry::new(action, author.get());
        entry.options.insert("channel_id".to_owned(), json!(channel));
        entry.options.insert("message_id".to_owned(), json!(message));
        self.audit(entry, by, at);
        Ok(())
    }

    /// Sets a flag of a message and announces it.
    pub(in crate::world) fn flag_message(
        &mut self,
        channel: ChannelId,
        message: MessageId,
        flag: u32,
    ) -> Result<(), Missing> {
        self.find_mut(channel, message)?.flags |= flag;
        self.emit_update(channel, message)
    }

    pub(in crate::world) fn find_mut(
        &mut self,
        channel: ChannelId,
        message: MessageId,
    ) -> Result<&mut Message, Missing> {
        let messages = &mut self.channel_mut(channel)?.messages;
        messages.iter_mut().rev().find(|kept| kept.id == message).ok_or(Missing::Message)
    }

    fn emit_update(&self, channel: ChannelId, message: MessageId) -> Result<(), Missing> {
        let channel = self.channel(channel)?;
        let message = channel.find(message).ok_or(Missing::Message)?;
        let counts = vec![counted(EventKind::MessageUpdate, Some(channel.id), Some(message.author.id))];
        self.emit("MESSAGE_UPDATE", intents::GUILD_MESSAGES, &self.message_event(channel, message), counts);
        Ok(())
    }

    fn author(&self, author: Author) -> Result<(Arc<User>, Option<Snowflake>), Missing> {
        match author {
            Author::Account(user) => Ok((self.member(user)?.user.clone(), None)),
            Author::Answer => Ok((self.shared.bot.clone(), Some(Snowflake(self.shared.application_id.get())))),
            Author::Webhook { id, name } => {
                let user = User::new(UserId::from_db(id.0.cast_signed()), &name, None, true, "en-US");
                Ok((user, Some(id)))
            }
        }
    }
}

fn is_plain(extras: &Extras) -> bool {
    extras.embeds.is_empty()
        && extras.components.is_empty()
        && extras.attachments.is_empty()
        && extras.interaction.is_none()
        && extras.application.is_none()
        && extras.nonce.is_none()
        && !extras.tts
}
