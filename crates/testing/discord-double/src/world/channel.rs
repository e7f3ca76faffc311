//! Channels and categories; threads are channels too, see [`super::thread`].
//!
//! **Invariant:** a channel's overwrites name each role or member once.

mod overwrites;

use std::collections::VecDeque;

use guildhall_domain::{ChannelId, EventKind, GuildId, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::{Action, By, Entry, change};
use super::guild::Guild;
use super::ids::Iso;
use super::message::Message;
use super::permissions::Overwrite;
use super::thread::{Thread, ThreadMetadataJson};
use super::{Missing, counted, intents};

/// Kinds of channels, by Discord's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of Discord's table of channel types")]
pub enum ChannelKind {
    Text = 0,
    Voice = 2,
    Category = 4,
    Announcement = 5,
    AnnouncementThread = 10,
    PublicThread = 11,
    PrivateThread = 12,
    Stage = 13,
    Forum = 15,
}

/// The number is not a kind of channel the double knows.
#[derive(Debug, thiserror::Error)]
#[error("not a kind of guild channel")]
pub struct UnknownKind;

impl TryFrom<u8> for ChannelKind {
    type Error = UnknownKind;

    fn try_from(code: u8) -> Result<Self, UnknownKind> {
        Ok(match code {
            0 => Self::Text,
            2 => Self::Voice,
            4 => Self::Category,
            5 => Self::Announcement,
            10 => Self::AnnouncementThread,
            11 => Self::PublicThread,
            12 => Self::PrivateThread,
            13 => Self::Stage,
            15 => Self::Forum,
            _ => return Err(UnknownKind),
        })
    }
}

impl From<ChannelKind> for u8 {
    fn from(kind: ChannelKind) -> Self {
        kind as u8
    }
}

impl ChannelKind {
    /// Whether one can connect to it.
    pub const fn is_voice(self) -> bool {
        matches!(self, Self::Voice | Self::Stage)
    }

    /// Whether messages are written in it. Voice channels have a chat.
    pub const fn has_messages(self) -> bool {
        !matches!(self, Self::Category | Self::Forum)
    }

    /// Whether it is a thread.
    pub const fn is_thread(self) -> bool {
        matches!(self, Self::AnnouncementThread | Self::PublicThread | Self::PrivateThread)
    }
}

/// A channel.
#[derive(Debug)]
pub struct Channel {
    /// The channel's id.
    pub id: ChannelId,
    /// Its kind.
    pub kind: ChannelKind,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub topic: Option<String>,
    /// Its category, or the channel a thread belongs to.
    pub parent: Option<ChannelId>,
    /// Its place in the list.
    pub position: i32,
    /// Whether it is for adults.
    pub nsfw: bool,
    /// Seconds a member waits between messages.
    pub slowmode: i32,
    /// Bits a second, of voice channels.
    pub bitrate: i32,
    /// How many may connect; 0 is no limit.
    pub user_limit: i32,
    /// Whose permissions differ here.
    pub overwrites: Vec<Overwrite>,
    /// What makes it a thread.
    pub thread: Option<Thread>,
    /// The newest message ever written in it.
    pub last_message: Option<MessageId>,
    /// When a message was last pinned.
    pub last_pin: Option<Timestamp>,
    pub(super) messages: VecDeque<Message>,
}

/// What a channel is made of, or what of it changes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ChannelDraft {
    /// The name.
    pub name: Option<String>,
    /// The kind; only when it is created.
    #[serde(rename = "type")]
    pub kind: Option<ChannelKind>,
    /// The topic, `Some(None)` to remove it.
    #[serde(deserialize_with = "super::present")]
    pub topic: Option<Option<String>>,
    /// The category, `Some(None)` for none.
    #[serde(rename = "parent_id", deserialize_with = "super::present")]
    pub parent: Option<Option<ChannelId>>,
    /// The place.
    pub position: Option<i32>,
    /// For adults.
    pub nsfw: Option<bool>,
    /// Seconds between messages.
    #[serde(rename = "rate_limit_per_user")]
    pub slowmode: Option<i32>,
    /// Bits a second.
    pub bitrate: Option<i32>,
    /// How many may connect.
    pub user_limit: Option<i32>,
    /// The overwrites, all of them.
    #[serde(rename = "permission_overwrites")]
    pub overwrites: Option<Vec<Overwrite>>,
}

/// Discord's channel object.
#[derive(Serialize)]
pub(crate) struct ChannelJson<'a> {
    id: ChannelId,
    #[serde(rename = "type")]
    kind: ChannelKind,
    guild_id: GuildId,
    name: &'a str,
    parent_id: Option<ChannelId>,
    last_message_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_pin_timestamp: Option<Iso>,
    flags: u32,
    rate_limit_per_user: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nsfw: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission_overwrites: Option<&'a [Overwrite]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bitrate: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtc_region: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_tags: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_id: Option<guildhall_domain::UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_metadata: Option<ThreadMetadataJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_message_sent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_count: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    newly_created: bool,
}

impl ChannelJson<'_> {
    /// Marks a thread as just made, which tells its event from being added to it.
    pub(super) fn marked_new(self) -> Self {
        Self { newly_created: true, ..self }
    }
}

impl Channel {
    /// An empty channel.
    pub fn new(id: ChannelId, kind: ChannelKind, name: &str) -> Self {
        Self {
            id,
            kind,
            name: name.to_owned(),
            topic: None,
            parent: None,
            position: 0,
            nsfw: false,
            slowmode: 0,
            bitrate: 64_000,
            user_limit: 0,
            overwrites: Vec::new(),
            thread: None,
            last_message: None,
            last_pin: None,
            messages: VecDeque::new(),
        }
    }

    pub(crate) fn json(&self, guild: GuildId) -> ChannelJson<'_> {
        let thread = self.thread.as_ref();
        let place = thread.is_none();
        let voice = self.kind.is_voice();
        ChannelJson {
            id: self.id,
            kind: self.kind,
            guild_id: guild,
            name: &self.name,
            parent_id: self.parent,
            last_message_id: self.last_message,
            last_pin_timestamp: self.last_pin.map(Iso),
            flags: 0,
            rate_limit_per_user: self.slowmode,
            topic: place.then_some(&self.topic),
            nsfw: place.then_some(self.nsfw),
            position: place.then_some(self.position),
            permission_overwrites: place.then_some(&self.overwrites),
            bitrate: voice.then_some(self.bitrate),
            user_limit: voice.then_some(self.user_limit),
            rtc_region: voice.then_some(None),
            available_tags: (self.kind == ChannelKind::Forum).then_some([]),
            owner_id: thread.map(|thread| thread.owner),
            thread_metadata: thread.map(Thread::metadata),
            message_count: thread.map(|thread| thread.messages),
            total_message_sent: thread.map(|thread| thread.messages),
            member_count: thread.map(|thread| thread.members.len().min(50)),
            newly_created: false,
        }
    }

    pub(super) fn apply(&mut self, draft: ChannelDraft) -> Vec<Value> {
        let mut changes = Vec::new();
        macro_rules! set {
            ($field:ident, $key:literal) => {
                if let Some(new) = draft.$field {
                    if self.$field != new {
                        changes.push(change($key, json!(self.$field), json!(new)));
                        self.$field = new;
                    }
                }
            };
        }
        set!(name, "name");
        set!(kind, "type");
        set!(topic, "topic");
        set!(parent, "parent_id");
        set!(position, "position");
        set!(nsfw, "nsfw");
        set!(slowmode, "rate_limit_per_user");
        set!(bitrate, "bitrate");
        set!(user_limit, "user_limit");
        set!(overwrites, "permission_overwrites");
        changes
    }
}

impl Guild {
    /// The guild's channels, threads excluded, in no order.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values().filter(|channel| channel.thread.is_none())
    }

    /// A channel or thread.
    ///
    /// # Errors
    /// When the guild has no such channel.
    pub fn channel(&self, channel: ChannelId) -> Result<&Channel, Missing> {
        self.channels.get(&channel).ok_or(Missing::Channel)
    }

    pub(super) fn channel_mut(&mut self, channel: ChannelId) -> Result<&mut Channel, Missing> {
        self.channels.get_mut(&channel).ok_or(Missing::Channel)
    }

    /// The ids of the channels where messages are written (voice chats and threads excluded), ascending.
    pub fn text_channels(&self) -> Vec<ChannelId> {
        self.ids_where(|channel| channel.thread.is_none() && !channel.kind.is_voice() && channel.kind.has_messages())
    }

    /// The ids of the voice channels, ascending.
    pub fn voice_channels(&self) -> Vec<ChannelId> {
        self.ids_where(|channel| channel.kind.is_voice())
    }

    pub(super) fn ids_where(&self, wanted: impl Fn(&Channel) -> bool) -> Vec<ChannelId> {
        let mut ids: Vec<ChannelId> =
            self.channels.values().filter(|channel| wanted(channel)).map(|channel| channel.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Creates a channel at the end of the list.
    pub fn channel_create(&mut self, draft: ChannelDraft, by: By<'_>, at: Timestamp) -> ChannelId {
        let id: ChannelId = self.shared.ids.id(at);
        let mut channel = Channel::new(id, draft.kind.unwrap_or(ChannelKind::Text), "");
        channel.position = self.channels().map(|channel| channel.position + 1).max().unwrap_or(0);
        let changes = channel.apply(draft);
        self.shared.place(id, self.id);
        self.channels.insert(id, channel);
        self.emit_channel("CHANNEL_CREATE", EventKind::ChannelCreate, id);
        self.audit(Entry { changes, ..Entry::new(Action::ChannelCreate, id.get()) }, by, at);
        id
    }

    /// Changes a channel.
    ///
    /// # Errors
    /// When the guild has no such channel.
    pub fn channel_update(
        &mut self,
        channel: ChannelId,
        draft: ChannelDraft,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<(), Missing> {
        let changes = self.channel_mut(channel)?.apply(draft);
        self.emit_channel("CHANNEL_UPDATE", EventKind::ChannelUpdate, channel);
        self.audit(Entry { changes, ..Entry::new(Action::ChannelUpdate, channel.get()) }, by, at);
        Ok(())
    }

    /// Deletes a channel. Whoever is connected to it is disconnected first; its threads go silently with it, the
    /// channels of a category stay without one.
    ///
    /// # Errors
    /// When the guild has no such channel.
    pub fn channel_delete(&mut self, channel: ChannelId, by: By<'_>, at: Timestamp) -> Result<(), Missing> {
        self.channel(channel)?;
        self.voice_empty(channel);
        for orphan in self.ids_where(|other| other.parent == Some(channel) && other.thread.is_none()) {
            self.channel_mut(orphan)?.parent = None;
            self.emit_channel("CHANNEL_UPDATE", EventKind::ChannelUpdate, orphan);
        }
        self.emit_channel("CHANNEL_DELETE", EventKind::ChannelDelete, channel);
        for thread in self.ids_where(|other| other.parent == Some(channel)) {
            self.forget_channel(thread);
        }
        let name = self.channel(channel)?.name.clone();
        self.forget_channel(channel);
        let changes = vec![change("name", json!(name), Value::Null)];
        self.audit(Entry { changes, ..Entry::new(Action::ChannelDelete, channel.get()) }, by, at);
        Ok(())
    }

    pub(super) fn forget_channel(&mut self, channel: ChannelId) {
        self.channels.remove(&channel);
        self.invites.retain(|_, invite| invite.channel != channel);
        self.webhooks.retain(|_, webhook| webhook.channel != channel);
        self.shared.displace(channel);
    }

    pub(super) fn emit_channel(&self, event: &'static str, kind: EventKind, channel: ChannelId) {
        if let Some(channel) = self.channels.get(&channel) {
            let counts = vec![counted(kind, Some(channel.id), None)];
            match kind {
                EventKind::ChannelCreate => {
                    let created = channel.id.created_at();
                    self.emit_at(created, event, intents::GUILDS, &channel.json(self.id), counts);
                }
                _ => self.emit(event, intents::GUILDS, &channel.json(self.id), counts),
            }
        }
    }
}
