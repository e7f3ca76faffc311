//! One guild: its state, its own settings, and how it is announced.
//!
//! **Invariant:** every change announces itself through the sink while the guild is locked, so the order of events is
//! the order of changes. The sink must therefore never call back into the world.
//! **Invariant:** a guild the bot is not in, or that is unavailable, changes silently.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use guildhall_domain::{ChannelId, EventKind, GuildId, RoleId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::{Action, By, Entry, Written, change};
use super::ban::Ban;
use super::channel::{Channel, ChannelJson};
use super::ids::{Iso, Snowflake};
use super::invite::{Invite, Webhook};
use super::member::{Member, MemberJson};
use super::role::Role;
use super::voice::{VoiceJson, VoiceState};
use super::{Shared, counted, intents};
use crate::dispatch::{Counted, Dispatch};

/// A guild.
#[derive(Debug)]
pub struct Guild {
    /// The guild's id.
    pub id: GuildId,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// Who owns it.
    pub owner: UserId,
    /// The locale it prefers.
    pub locale: String,
    /// 0 (none) to 4 (very high).
    pub verification_level: u8,
    /// 0 all messages, 1 mentions only.
    pub default_notifications: u8,
    /// 0 nobody, 1 members without roles, 2 everyone.
    pub content_filter: u8,
    /// Where Discord's own notices go.
    pub system_channel: Option<ChannelId>,
    /// Whether the bot sees it.
    pub presence: Presence,
    pub(super) roles: BTreeMap<RoleId, Role>,
    pub(super) channels: HashMap<ChannelId, Channel>,
    pub(super) members: BTreeMap<UserId, Member>,
    pub(super) bans: BTreeMap<UserId, Ban>,
    pub(super) voice: HashMap<UserId, VoiceState>,
    pub(super) invites: BTreeMap<String, Invite>,
    pub(super) webhooks: HashMap<Snowflake, Webhook>,
    pub(super) audit_log: VecDeque<Written>,
    pub(super) shared: Arc<Shared>,
}

/// Whether the bot sees a guild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It does.
    Joined,
    /// The bot belongs to it, but Discord has an outage there.
    Unavailable,
    /// The bot does not belong to it.
    Left,
}

/// What of a guild's own settings changes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct GuildChange {
    /// The name.
    pub name: Option<String>,
    /// The description.
    #[serde(deserialize_with = "super::present")]
    pub description: Option<Option<String>>,
    /// The verification level.
    pub verification_level: Option<u8>,
    /// What members are notified of.
    #[serde(rename = "default_message_notifications")]
    pub default_notifications: Option<u8>,
    /// Whose media are filtered.
    #[serde(rename = "explicit_content_filter")]
    pub content_filter: Option<u8>,
    /// The locale.
    #[serde(rename = "preferred_locale")]
    pub locale: Option<String>,
    /// Where notices go.
    #[serde(rename = "system_channel_id", deserialize_with = "super::present")]
    pub system_channel: Option<Option<ChannelId>>,
}

/// Discord's guild object.
#[derive(Serialize)]
pub(crate) struct GuildJson<'a> {
    id: GuildId,
    name: &'a str,
    icon: Option<()>,
    description: Option<&'a str>,
    home_header: Option<()>,
    splash: Option<()>,
    discovery_splash: Option<()>,
    features: [&'static str; 0],
    banner: Option<()>,
    owner_id: UserId,
    application_id: Option<()>,
    region: &'static str,
    afk_channel_id: Option<ChannelId>,
    afk_timeout: u32,
    system_channel_id: Option<ChannelId>,
    system_channel_flags: u32,
    widget_enabled: bool,
    widget_channel_id: Option<ChannelId>,
    verification_level: u8,
    roles: Vec<&'a Role>,
    default_message_notifications: u8,
    mfa_level: u8,
    explicit_content_filter: u8,
    max_presences: Option<u32>,
    max_members: u32,
    max_stage_video_channel_users: u32,
    max_video_channel_users: u32,
    vanity_url_code: Option<()>,
    premium_tier: u8,
    premium_subscription_count: u32,
    preferred_locale: &'a str,
    rules_channel_id: Option<ChannelId>,
    safety_alerts_channel_id: Option<ChannelId>,
    public_updates_channel_id: Option<ChannelId>,
    premium_progress_bar_enabled: bool,
    nsfw: bool,
    nsfw_level: u8,
    emojis: [(); 0],
    stickers: [(); 0],
    incidents_data: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_member_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_presence_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_at: Option<Iso>,
    #[serde(skip_serializing_if = "Option::is_none")]
    large: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice_states: Option<Vec<VoiceJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<ChannelJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<Vec<ChannelJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presences: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage_instances: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guild_scheduled_events: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    soundboard_sounds: Option<[(); 0]>,
}

impl Guild {
    pub(super) fn new(id: GuildId, name: &str, owner: UserId, locale: &str, shared: Arc<Shared>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            description: None,
            owner,
            locale: locale.to_owned(),
            verification_level: 1,
            default_notifications: 1,
            content_filter: 2,
            system_channel: None,
            presence: Presence::Joined,
            roles: BTreeMap::new(),
            channels: HashMap::new(),
            members: BTreeMap::new(),
            bans: BTreeMap::new(),
            voice: HashMap::new(),
            invites: BTreeMap::new(),
            webhooks: HashMap::new(),
            audit_log: VecDeque::new(),
            shared,
        }
    }

    /// Changes the guild's own settings.
    pub fn update(&mut self, wanted: GuildChange, by: By<'_>, at: Timestamp) {
        let mut changes = Vec::new();
        macro_rules! set {
            ($field:ident, $key:literal) => {
                if let Some(new) = wanted.$field {
                    if self.$field != new {
                        changes.push(change($key, json!(self.$field), json!(new)));
                        self.$field = new;
                    }
                }
            };
        }
        set!(name, "name");
        set!(description, "description");
        set!(verification_level, "verification_level");
        set!(default_notifications, "default_message_notifications");
        set!(content_filter, "explicit_content_filter");
        set!(locale, "preferred_locale");
        set!(system_channel, "system_channel_id");
        let counts = vec![counted(EventKind::GuildUpdate, None, None)];
        self.emit("GUILD_UPDATE", intents::GUILDS, &self.json(), counts);
        self.audit(Entry { changes, ..Entry::new(Action::GuildUpdate, self.id.get()) }, by, at);
    }

    /// The bot is removed from the guild.
    pub fn leave(&mut self) {
        let event = json!({ "id": self.id });
        self.emit("GUILD_DELETE", intents::GUILDS, &event, vec![counted(EventKind::GuildDelete, None, None)]);
        self.presence = Presence::Left;
    }

    /// An outage begins.
    pub fn become_unavailable(&mut self) {
        let event = json!({ "id": self.id, "unavailable": true });
        self.emit("GUILD_DELETE", intents::GUILDS, &event, vec![counted(EventKind::GuildDelete, None, None)]);
        self.presence = Presence::Unavailable;
    }

    /// The bot is added to the guild, or an outage ends; `large_threshold` as in [`Self::create_dispatch`].
    pub fn become_available(&mut self, large_threshold: usize) {
        self.presence = Presence::Joined;
        let dispatch = self.create_dispatch(large_threshold);
        self.shared.sink.send(dispatch);
    }

    /// The guild's `GUILD_CREATE`. A guild with more than `large_threshold` members brings only the bot and those in
    /// voice; the others are asked for.
    pub fn create_dispatch(&self, large_threshold: usize) -> Dispatch {
        let large = self.members.len() > large_threshold;
        let bot = self.shared.bot.id;
        let shown = |member: &&Member| !large || member.user.id == bot || self.voice.contains_key(&member.user.id);
        let threads = self.channels.values().filter(|c| c.thread.as_ref().is_some_and(|thread| !thread.archived));
        let mut channels: Vec<&Channel> = self.channels().collect();
        channels.sort_unstable_by_key(|channel| channel.id);
        let event = GuildJson {
            joined_at: self.members.get(&bot).map(|member| Iso(member.joined_at)),
            large: Some(large),
            unavailable: Some(false),
            member_count: Some(self.members.len()),
            voice_states: Some(self.voice.iter().map(|(user, state)| self.voice_json(*user, state)).collect()),
            members: Some(self.members.values().filter(shown).map(Member::full).collect()),
            channels: Some(channels.into_iter().map(|channel| channel.json(self.id)).collect()),
            threads: Some(threads.map(|thread| thread.json(self.id)).collect()),
            presences: Some([]),
            stage_instances: Some([]),
            guild_scheduled_events: Some([]),
            soundboard_sounds: Some([]),
            ..self.json()
        };
        self.dispatch("GUILD_CREATE", intents::GUILDS, &event, vec![counted(EventKind::GuildCreate, None, None)])
    }

    /// The members whose names begin with `query`, or those of `users`, as chunks carry them.
    pub fn find_members(&self, query: &str, users: Option<&[UserId]>, limit: usize) -> Vec<Value> {
        let wanted = |member: &&Member| match users {
            Some(users) => users.contains(&member.user.id),
            None => member.named(query),
        };
        let limit = if limit == 0 { usize::MAX } else { limit };
        self.members.values().filter(wanted).take(limit).map(|member| json!(member.full())).collect()
    }

    pub(crate) fn json(&self) -> GuildJson<'_> {
        GuildJson {
            id: self.id,
            name: &self.name,
            icon: None,
            description: self.description.as_deref(),
            home_header: None,
            splash: None,
            discovery_splash: None,
            features: [],
            banner: None,
            owner_id: self.owner,
            application_id: None,
            region: "deprecated",
            afk_channel_id: None,
            afk_timeout: 300,
            system_channel_id: self.system_channel,
            system_channel_flags: 0,
            widget_enabled: false,
            widget_channel_id: None,
            verification_level: self.verification_level,
            roles: self.roles.values().collect(),
            default_message_notifications: self.default_notifications,
            mfa_level: 0,
            explicit_content_filter: self.content_filter,
            max_presences: None,
            max_members: 500_000,
            max_stage_video_channel_users: 50,
            max_video_channel_users: 25,
            vanity_url_code: None,
            premium_tier: 0,
            premium_subscription_count: 0,
            preferred_locale: &self.locale,
            rules_channel_id: None,
            safety_alerts_channel_id: None,
            public_updates_channel_id: None,
            premium_progress_bar_enabled: false,
            nsfw: false,
            nsfw_level: 0,
            emojis: [],
            stickers: [],
            incidents_data: None,
            approximate_member_count: None,
            approximate_presence_count: None,
            joined_at: None,
            large: None,
            unavailable: None,
            member_count: None,
            voice_states: None,
            members: None,
            channels: None,
            threads: None,
            presences: None,
            stage_instances: None,
            guild_scheduled_events: None,
            soundboard_sounds: None,
        }
    }

    /// The guild with the counts `with_counts` asks for.
    pub(crate) fn json_with_counts(&self) -> GuildJson<'_> {
        GuildJson {
            approximate_member_count: Some(self.members.len()),
            approximate_presence_count: Some(self.online()),
            ..self.json()
        }
    }

    /// About how many members are online: nobody simulates presences, so a fifth.
    pub fn online(&self) -> usize {
        self.members.len().div_ceil(5)
    }

    /// Announces an event, unless the bot does not see the guild.
    pub(crate) fn emit<T: Serialize>(&self, event: &'static str, intents: u64, data: &T, counts: Vec<Counted>) {
        if self.presence == Presence::Joined {
            self.shared.sink.send(self.dispatch(event, intents, data, counts));
        }
    }

    /// Announces an event whose payload says when it happened.
    pub(crate) fn emit_at<T: Serialize>(
        &self,
        at: Timestamp,
        event: &'static str,
        intents: u64,
        data: &T,
        counts: Vec<Counted>,
    ) {
        if self.presence == Presence::Joined {
            self.shared.sink.send(Dispatch { at: Some(at), ..self.dispatch(event, intents, data, counts) });
        }
    }

    fn dispatch<T: Serialize>(&self, event: &'static str, intents: u64, data: &T, counts: Vec<Counted>) -> Dispatch {
        // None of the types announced has a map with keys other than strings, which alone could fail.
        let data = serde_json::to_string(data).unwrap_or_default().into();
        Dispatch { guild: Some(self.id), event, data, intents, counts, at: None }
    }
}
