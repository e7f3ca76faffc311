//! Threads.
//!
//! **Invariant:** a thread has a parent channel; its events are counted there.

use std::collections::BTreeMap;

use guildhall_domain::{ChannelId, EventKind, GuildId, MessageId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit::{Action, By, Entry, change};
use super::channel::{Channel, ChannelKind};
use super::guild::Guild;
use super::ids::Iso;
use super::message::{Draft, Message};
use super::{Missing, counted, intents};

/// What makes a channel a thread.
#[derive(Debug, Clone)]
pub struct Thread {
    /// Who started it.
    pub owner: UserId,
    /// Closed: it no longer counts as active.
    pub archived: bool,
    /// When it was last archived or reopened.
    pub archived_at: Timestamp,
    /// Minutes without activity after which it is archived.
    pub archive_after: u32,
    /// Only moderators may reopen it.
    pub locked: bool,
    /// Whether members may add others, in private threads.
    pub invitable: bool,
    /// How many messages were written in it.
    pub messages: u32,
    /// Who joined, and when.
    pub members: BTreeMap<UserId, Timestamp>,
}

/// Discord's thread metadata object.
#[derive(Serialize)]
pub(crate) struct ThreadMetadataJson {
    archived: bool,
    archive_timestamp: Iso,
    auto_archive_duration: u32,
    locked: bool,
    create_timestamp: Iso,
}

/// Discord's thread member object.
#[derive(Serialize)]
pub(crate) struct ThreadMemberJson {
    id: ChannelId,
    user_id: UserId,
    join_timestamp: Iso,
    flags: u32,
}

/// A thread to be started.
#[derive(Debug, Clone)]
pub struct ThreadDraft {
    /// Its name.
    pub name: String,
    /// Public, private or of an announcement channel.
    pub kind: ChannelKind,
    /// Minutes without activity after which it is archived.
    pub archive_after: u32,
    /// The message it hangs on.
    pub starter: Option<MessageId>,
}

/// What of a thread changes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ThreadChange {
    /// The name.
    pub name: Option<String>,
    /// Closed or reopened.
    pub archived: Option<bool>,
    /// Locked or unlocked.
    pub locked: Option<bool>,
    /// Minutes until it is archived.
    #[serde(rename = "auto_archive_duration")]
    pub archive_after: Option<u32>,
    /// Seconds between messages.
    #[serde(rename = "rate_limit_per_user")]
    pub slowmode: Option<i32>,
}

#[derive(Serialize)]
struct ThreadGone {
    id: ChannelId,
    guild_id: GuildId,
    parent_id: Option<ChannelId>,
    #[serde(rename = "type")]
    kind: ChannelKind,
}

impl Thread {
    pub(super) fn metadata(&self) -> ThreadMetadataJson {
        ThreadMetadataJson {
            archived: self.archived,
            archive_timestamp: Iso(self.archived_at),
            auto_archive_duration: self.archive_after,
            locked: self.locked,
            create_timestamp: Iso(self.archived_at),
        }
    }

    pub(crate) fn members_of(&self, thread: ChannelId) -> impl Iterator<Item = ThreadMemberJson> + '_ {
        self.members.iter().map(move |(user, joined)| ThreadMemberJson {
            id: thread,
            user_id: *user,
            join_timestamp: Iso(*joined),
            flags: 0,
        })
    }
}

impl ThreadMemberJson {
    /// Whose membership it is.
    pub(crate) fn user(&self) -> UserId {
        self.user_id
    }
}

impl Guild {
    /// The ids of the threads that are not archived, ascending.
    pub fn active_threads(&self) -> Vec<ChannelId> {
        self.ids_where(|channel| channel.thread.as_ref().is_some_and(|thread| !thread.archived))
    }

    /// Starts a thread. One that hangs on a message has that message's id; a public one that hangs on none is
    /// announced in its channel by a system message.
    ///
    /// # Errors
    /// When the channel or the message is missing, or the message has a thread already.
    pub fn thread_create(
        &mut self,
        parent: ChannelId,
        draft: &ThreadDraft,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<ChannelId, Missing> {
        self.channel(parent)?;
        let id = match draft.starter {
            Some(message) => {
                let id = ChannelId::from_db(message.get().cast_signed());
                if self.channels.contains_key(&id) {
                    return Err(Missing::Message);
                }
                self.flag_message(parent, message, Message::HAS_THREAD)?;
                id
            }
            None => self.shared.ids.id(at),
        };
        let mut channel = Channel::new(id, draft.kind, &draft.name);
        channel.parent = Some(parent);
        channel.thread = Some(Thread {
            owner: by.user,
            archived: false,
            archived_at: at,
            archive_after: draft.archive_after,
            locked: false,
            invitable: true,
            messages: 0,
            members: BTreeMap::from([(by.user, at)]),
        });
        let event = channel.json(self.id).marked_new();
        let counts = vec![counted(EventKind::ThreadCreate, Some(parent), Some(by.user))];
        self.emit("THREAD_CREATE", intents::GUILDS, &event, counts);
        self.shared.place(id, self.id);
        self.channels.insert(id, channel);
        if draft.starter.is_none() && draft.kind == ChannelKind::PublicThread {
            let announcement = Draft { content: draft.name.clone(), ..Draft::system(Message::THREAD_CREATED) };
            let announcement = Draft { reference: Some((id, None)), ..announcement };
            self.post(parent, super::message::Author::Account(by.user), announcement, at)?;
        }
        let changes = vec![change("name", serde_json::Value::Null, json!(draft.name))];
        self.audit(Entry { changes, ..Entry::new(Action::ThreadCreate, id.get()) }, by, at);
        Ok(id)
    }

    /// Changes, archives or reopens a thread.
    ///
    /// # Errors
    /// When there is no such thread.
    pub fn thread_update(
        &mut self,
        thread: ChannelId,
        wanted: ThreadChange,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<(), Missing> {
        let channel = self.channel_mut(thread)?;
        let state = channel.thread.as_mut().ok_or(Missing::Channel)?;
        let mut changes = Vec::new();
        if let Some(archived) = wanted.archived.filter(|archived| *archived != state.archived) {
            changes.push(change("archived", json!(state.archived), json!(archived)));
            (state.archived, state.archived_at) = (archived, at);
        }
        if let Some(locked) = wanted.locked {
            changes.push(change("locked", json!(state.locked), json!(locked)));
            state.locked = locked;
        }
        if let Some(minutes) = wanted.archive_after {
            changes.push(change("auto_archive_duration", json!(state.archive_after), json!(minutes)));
            state.archive_after = minutes;
        }
        if let Some(name) = wanted.name {
            changes.push(change("name", json!(channel.name), json!(name)));
            channel.name = name;
        }
        if let Some(seconds) = wanted.slowmode {
            changes.push(change("rate_limit_per_user", json!(channel.slowmode), json!(seconds)));
            channel.slowmode = seconds;
        }
        let channel = self.channel(thread)?;
        let counts = vec![counted(EventKind::ThreadUpdate, channel.parent, None)];
        self.emit("THREAD_UPDATE", intents::GUILDS, &channel.json(self.id), counts);
        self.audit(Entry { changes, ..Entry::new(Action::ThreadUpdate, thread.get()) }, by, at);
        Ok(())
    }

    /// An account joins or leaves a thread. Only the bot hears of itself without the members intent.
    ///
    /// # Errors
    /// When there is no such thread.
    pub fn thread_member(
        &mut self,
        thread: ChannelId,
        user: UserId,
        joins: bool,
        at: Timestamp,
    ) -> Result<(), Missing> {
        let guild = self.id;
        let state = self.channel_mut(thread)?.thread.as_mut().ok_or(Missing::Channel)?;
        if joins {
            state.members.entry(user).or_insert(at);
        } else {
            state.members.remove(&user);
        }
        let count = state.members.len().min(50);
        let added: Vec<_> = state.members_of(thread).filter(|member| joins && member.user_id == user).collect();
        let removed: &[UserId] = if joins { &[] } else { &[user] };
        let event = json!({
            "id": thread,
            "guild_id": guild,
            "member_count": count,
            "added_members": added,
            "removed_member_ids": removed,
        });
        let intents = if user == self.shared.bot.id { intents::GUILDS } else { intents::GUILD_MEMBERS };
        self.emit("THREAD_MEMBERS_UPDATE", intents, &event, Vec::new());
        Ok(())
    }

    /// Deletes a thread.
    ///
    /// # Errors
    /// When there is no such thread.
    pub fn thread_delete(&mut self, thread: ChannelId, by: By<'_>, at: Timestamp) -> Result<(), Missing> {
        let channel = self.channel(thread)?;
        if channel.thread.is_none() {
            return Err(Missing::Channel);
        }
        let event = ThreadGone { id: thread, guild_id: self.id, parent_id: channel.parent, kind: channel.kind };
        let counts = vec![counted(EventKind::ThreadDelete, channel.parent, None)];
        self.emit("THREAD_DELETE", intents::GUILDS, &event, counts);
        self.forget_channel(thread);
        self.audit(Entry::new(Action::ThreadDelete, thread.get()), by, at);
        Ok(())
    }
}
