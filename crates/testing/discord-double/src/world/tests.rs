//! Each change announces what Discord would, and counts it as [`EventKind`] says.

use std::sync::{Arc, Mutex, PoisonError};

use guildhall_domain::{ChannelId, Clock, EventKind, GuildId, Timestamp, UserId};
use serde_json::Value;

use super::*;
use crate::config::GuildPlan;
use crate::world::ids::Snowflake;
use crate::world::permissions::Overwrite;

const NOW: Timestamp = Timestamp::from_secs(1_767_268_800);

type Heard = Arc<Mutex<Vec<Dispatch>>>;

struct Scene {
    world: World,
    heard: Heard,
    guild: GuildId,
    text: ChannelId,
    voice: Vec<ChannelId>,
    owner: UserId,
    member: UserId,
}

impl Scene {
    fn new() -> Self {
        let heard = Heard::default();
        let mut config = Config::new(3, Clock::fixed(NOW));
        config.guilds = vec![GuildPlan::new("Test", 30, 5, 2)];
        let sink = Sink::new({
            let heard = heard.clone();
            move |event| heard.lock().unwrap_or_else(PoisonError::into_inner).push(event)
        });
        let world = World::new(&config, sink);
        let id = world.guild_ids()[0];
        let guild = world.guild(id).expect("planned");
        let (text, voice, owner) = (guild.text_channels()[0], guild.voice_channels(), guild.owner);
        let member = guild.members().find(|member| member.user.id != owner && !member.user.bot).expect("many").user.id;
        drop(guild);
        Self { world, heard, guild: id, text, voice, owner, member }
    }

    /// What is announced while `change` is made: names, intents, and what is counted.
    fn hear<R>(&self, change: impl FnOnce(&mut Guild) -> R) -> (R, Vec<Dispatch>) {
        self.heard.lock().expect("unpoisoned").clear();
        let result = change(&mut self.world.guild(self.guild).expect("planned"));
        (result, std::mem::take(&mut *self.heard.lock().expect("unpoisoned")))
    }

    fn by(&self) -> By<'static> {
        By { user: self.owner, reason: Some("a reason") }
    }
}

/// The names and counts of what was heard.
fn told(heard: &[Dispatch]) -> Vec<(&'static str, Vec<Counted>)> {
    heard.iter().map(|event| (event.event, event.counts.clone())).collect()
}

fn data(event: &Dispatch) -> Value {
    serde_json::from_str(&event.data).expect("JSON")
}

#[test]
fn messages_from_their_beginning_to_their_end() {
    let scene = Scene::new();
    let (text, member) = (scene.text, scene.member);
    let in_channel = |kind, who| counted(kind, Some(text), who);
    let (id, heard) = scene.hear(|guild| guild.post_message(text, member, "hi <@1>", NOW).expect("posts"));
    assert_eq!(told(&heard), [("MESSAGE_CREATE", vec![in_channel(EventKind::MessageCreate, Some(member))])]);
    let sent = data(&heard[0]);
    assert_eq!(
        (&sent["author"]["id"], &sent["guild_id"]),
        (&serde_json::json!(member), &serde_json::json!(scene.guild))
    );
    assert!(sent["member"]["joined_at"].is_string() && sent["member"].get("user").is_none());
    assert_eq!((heard[0].intents, heard[0].guild, id.created_at()), (intents::GUILD_MESSAGES, Some(scene.guild), NOW));

    let (_, heard) = scene.hear(|guild| guild.edit_message(text, id, "better", NOW).expect("edits"));
    assert_eq!(told(&heard), [("MESSAGE_UPDATE", vec![in_channel(EventKind::MessageUpdate, Some(member))])]);
    let (_, heard) = scene.hear(|guild| guild.delete_message(text, id).expect("deletes"));
    assert_eq!(told(&heard), [("MESSAGE_DELETE", vec![in_channel(EventKind::MessageDelete, None)])]);

    let bot = scene.world.bot_id();
    let (_, heard) = scene.hear(|guild| guild.post_message(text, bot, "beep", NOW).expect("posts"));
    assert_eq!(heard[0].counts, [in_channel(EventKind::BotMessageCreate, Some(bot))]);
    let author = Author::Webhook { id: Snowflake(5), name: "Herald".to_owned() };
    let (_, heard) = scene.hear(|guild| guild.post(text, author, Draft::text("hear"), NOW).expect("posts"));
    assert_eq!(heard[0].counts, [in_channel(EventKind::BotMessageCreate, Some(UserId::from_db(5)))]);

    let ((), heard) = scene.hear(|guild| {
        let kept: Vec<_> = guild.messages(text).expect("exists").map(|message| message.id).chain([id]).collect();
        assert_eq!(guild.delete_messages(text, &kept), Ok(2), "one was gone already");
    });
    assert_eq!(told(&heard), [("MESSAGE_DELETE_BULK", vec![in_channel(EventKind::MessageDelete, None); 2])]);
}

#[test]
fn reactions_are_counted_once_for_each_giver() {
    let scene = Scene::new();
    let (text, member, thumb) = (scene.text, scene.member, Emoji::unicode("👍"));
    let (id, _) = scene.hear(|guild| guild.post_message(text, member, "hi", NOW).expect("posts"));
    let ((), heard) = scene.hear(|guild| {
        assert_eq!(guild.add_reaction(text, id, member, &thumb), Ok(true));
        assert_eq!(guild.add_reaction(text, id, member, &thumb), Ok(false));
        assert_eq!(guild.remove_reaction(text, id, member, &thumb), Ok(true));
        assert_eq!(guild.remove_reaction(text, id, member, &thumb), Ok(false));
        guild.clear_reactions(text, id, None).expect("clears");
        guild.clear_reactions(text, id, Some(&thumb)).expect("clears");
    });
    let by = |kind| vec![counted(kind, Some(text), Some(member))];
    let clear = || vec![counted(EventKind::ReactionClear, Some(text), None)];
    assert_eq!(
        told(&heard),
        [
            ("MESSAGE_REACTION_ADD", by(EventKind::ReactionAdd)),
            ("MESSAGE_REACTION_REMOVE", by(EventKind::ReactionRemove)),
            ("MESSAGE_REACTION_REMOVE_ALL", clear()),
            ("MESSAGE_REACTION_REMOVE_EMOJI", clear()),
        ]
    );
}

#[test]
fn a_banned_member_leaves_voice_and_guild_first() {
    let scene = Scene::new();
    let (member, voice) = (scene.member, scene.voice.clone());
    let (_, heard) = scene.hear(|guild| {
        guild.voice_join(member, voice[0], VoiceFlags::default(), NOW).expect("joins");
        guild.voice_move(member, voice[1], NOW).expect("moves");
    });
    let in_voice = |channel| vec![counted(EventKind::VoiceState, channel, Some(member))];
    let state = "VOICE_STATE_UPDATE";
    assert_eq!(told(&heard), [(state, in_voice(Some(voice[0]))), (state, in_voice(Some(voice[1])))]);

    scene.hear(|guild| guild.post_message(scene.text, member, "spam", NOW).expect("posts"));
    let (_, heard) = scene.hear(|guild| guild.ban(member, 60, scene.by(), NOW).expect("bans"));
    let of_member = |kind| vec![counted(kind, None, Some(member))];
    let logged = ("GUILD_AUDIT_LOG_ENTRY_CREATE", vec![counted(EventKind::AuditLogEntry, None, Some(scene.owner))]);
    assert_eq!(
        told(&heard),
        [
            (state, in_voice(None)),
            ("GUILD_MEMBER_REMOVE", of_member(EventKind::MemberLeave)),
            ("GUILD_BAN_ADD", of_member(EventKind::BanAdd)),
            ("MESSAGE_DELETE_BULK", vec![counted(EventKind::MessageDelete, Some(scene.text), None)]),
            logged.clone(),
        ]
    );
    let entry = data(&heard[4]);
    assert_eq!((&entry["action_type"], &entry["reason"]), (&serde_json::json!(22), &serde_json::json!("a reason")));

    let (_, heard) = scene.hear(|guild| guild.unban(member, scene.by(), NOW).expect("lifts"));
    assert_eq!(told(&heard), [("GUILD_BAN_REMOVE", of_member(EventKind::BanRemove)), logged]);
    let (_, heard) = scene.hear(|guild| guild.member_join(member, NOW).expect("returns"));
    assert_eq!(told(&heard), [("GUILD_MEMBER_ADD", of_member(EventKind::MemberJoin))]);
}

#[test]
fn channels_roles_threads_and_invites_are_counted_where_they_belong() {
    let scene = Scene::new();
    let (by, text, owner) = (scene.by(), scene.text, scene.owner);
    let named = |name: &str| ChannelDraft { name: Some(name.to_owned()), ..ChannelDraft::default() };
    let (channel, heard) = scene.hear(|guild| {
        let channel = guild.channel_create(named("new"), by, NOW);
        guild.channel_update(channel, named("newer"), by, NOW).expect("changes");
        let hide = Overwrite { id: Snowflake(1), kind: 0, allow: Permissions::NONE, deny: Permissions::VIEW_CHANNEL };
        guild.overwrite_set(channel, hide, by, NOW).expect("sets");
        guild.channel_delete(channel, by, NOW).expect("deletes");
        channel
    });
    let of_channel = |kind| vec![counted(kind, Some(channel), None)];
    assert_eq!(
        counts(&heard),
        [
            of_channel(EventKind::ChannelCreate),
            of_channel(EventKind::ChannelUpdate),
            of_channel(EventKind::ChannelUpdate),
            of_channel(EventKind::ChannelDelete),
        ]
    );

    let (_, heard) = scene.hear(|guild| {
        let role = guild.role_create(RoleDraft::default(), by, NOW);
        guild.role_update(role, RoleDraft { hoist: Some(true), ..RoleDraft::default() }, by, NOW).expect("changes");
        guild.role_delete(role, by, NOW).expect("deletes");
        guild.update(GuildChange { name: Some("Renamed".to_owned()), ..GuildChange::default() }, by, NOW);
    });
    let plain = |kind| vec![counted(kind, None, None)];
    let expected = [EventKind::RoleCreate, EventKind::RoleUpdate, EventKind::RoleDelete, EventKind::GuildUpdate];
    assert_eq!(counts(&heard), expected.map(plain));

    let (_, heard) = scene.hear(|guild| {
        let draft = ThreadDraft {
            name: "thread".to_owned(),
            kind: ChannelKind::PrivateThread,
            archive_after: 60,
            starter: None,
        };
        let thread = guild.thread_create(text, &draft, by, NOW).expect("starts");
        let close = ThreadChange { archived: Some(true), ..ThreadChange::default() };
        guild.thread_update(thread, close, by, NOW).expect("closes");
        guild.thread_delete(thread, by, NOW).expect("deletes");
        let code = guild.invite_create(text, 0, 0, by, NOW).expect("invites");
        guild.invite_delete(&code, by, NOW).expect("revokes");
    });
    let in_text = |kind, who| vec![counted(kind, Some(text), who)];
    assert_eq!(
        counts(&heard),
        [
            in_text(EventKind::ThreadCreate, Some(owner)),
            in_text(EventKind::ThreadUpdate, None),
            in_text(EventKind::ThreadDelete, None),
            in_text(EventKind::InviteCreate, Some(owner)),
            in_text(EventKind::InviteDelete, None),
        ]
    );
}

/// What was counted, audit log entries and uncounted events aside.
fn counts(heard: &[Dispatch]) -> Vec<Vec<Counted>> {
    let all = heard.iter().map(|event| event.counts.clone());
    all.filter(|counts| counts.first().is_some_and(|count| count.kind != EventKind::AuditLogEntry)).collect()
}

#[test]
fn a_guild_the_bot_left_changes_silently() {
    let scene = Scene::new();
    let (_, heard) = scene.hear(Guild::leave);
    assert_eq!(told(&heard), [("GUILD_DELETE", vec![counted(EventKind::GuildDelete, None, None)])]);
    assert!(scene.world.guild_create(scene.guild, 50).is_none());
    let (_, heard) = scene.hear(|guild| guild.post_message(scene.text, scene.member, "alone", NOW).expect("posts"));
    assert!(heard.is_empty());
    let (_, heard) = scene.hear(|guild| guild.become_available(10));
    assert_eq!(told(&heard), [("GUILD_CREATE", vec![counted(EventKind::GuildCreate, None, None)])]);
    let created = data(&heard[0]);
    assert_eq!((&created["large"], &created["member_count"]), (&serde_json::json!(true), &serde_json::json!(31)));
    assert_eq!(created["members"].as_array().map(Vec::len), Some(1), "of a large guild only the bot");
}

#[test]
fn a_seed_makes_the_same_world_again() {
    let (one, two) = (Scene::new(), Scene::new());
    let picture = |scene: &Scene| scene.world.guild_create(scene.guild, 1_000).expect("joined").data;
    assert_eq!(picture(&one), picture(&two));
}

#[test]
fn a_channel_keeps_its_newest_messages() {
    let scene = Scene::new();
    scene.hear(|guild| {
        for _ in 0..message::KEPT + 5 {
            guild.post_message(scene.text, scene.member, "x", NOW).expect("posts");
        }
        assert_eq!(guild.messages(scene.text).expect("exists").len(), message::KEPT);
    });
}
