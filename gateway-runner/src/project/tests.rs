//! Frames in the shapes of Discord's documentation, and what each counts.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod differential;

const RECEIVED: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Discord's own example of a snowflake, made at [`SNOWFLAKE_AT`].
const SNOWFLAKE: u64 = 175_928_847_299_117_063;
const SNOWFLAKE_AT: Timestamp = Timestamp::from_millis(1_462_015_105_796);

fn frame(name: &str, data: &Value) -> String {
    json!({ "t": name, "s": 42, "op": 0, "d": data }).to_string()
}

fn peeked(text: &str) -> Frame<'_> {
    Frame::peek(text).unwrap_or_default()
}

fn events_of(name: &str, data: &Value) -> Vec<Event> {
    let dispatch = Dispatch::from_name(name).expect("a known event");
    let mut events = Vec::new();
    project(dispatch, &peeked(&frame(name, data)), 42, RECEIVED, &mut events).expect("the documented shape");
    for (position, event) in events.iter().enumerate() {
        assert_eq!((event.seq, usize::from(event.index)), (42, position));
    }
    events
}

/// Kind, guild, channel, member, target and instant.
type Line = (EventKind, u64, Option<u64>, Option<u64>, Option<u64>, Timestamp);

fn lines(name: &str, data: &Value) -> Vec<Line> {
    let line = |event: Event| match event.body {
        EventBody::Count { kind, channel, member, target } => {
            (kind, event.guild.get(), channel.map(ChannelId::get), member.map(UserId::get), target, event.at)
        }
        other => panic!("not a count: {other:?}"),
    };
    events_of(name, data).into_iter().map(line).collect()
}

fn user(id: u64) -> Value {
    json!({ "id": id.to_string(), "username": "wumpus", "discriminator": "0", "avatar": null })
}

#[test]
fn messages_count_for_their_author_at_the_time_of_their_id() {
    let id = SNOWFLAKE.to_string();
    let mut message = json!({
        "type": 0, "tts": false, "id": id, "channel_id": "20", "guild_id": "10", "content": "he said \"hi\" {}",
        "author": user(30), "member": { "roles": ["1"], "joined_at": "2015-04-26T06:26:56.936000+00:00" },
        "mentions": [], "attachments": [], "embeds": [], "edited_timestamp": null,
    });
    let by = |kind| vec![(kind, 10, Some(20), Some(30), Some(SNOWFLAKE), SNOWFLAKE_AT)];
    assert_eq!(lines("MESSAGE_CREATE", &message), by(EventKind::MessageCreate));
    message["author"]["bot"] = json!(true);
    assert_eq!(lines("MESSAGE_CREATE", &message), by(EventKind::BotMessageCreate));
    message["author"]["bot"] = json!(false);
    message["webhook_id"] = json!("77");
    assert_eq!(lines("MESSAGE_CREATE", &message), by(EventKind::BotMessageCreate));

    let edit = json!({ "id": id, "channel_id": "20", "guild_id": "10", "embeds": [] });
    let edited = vec![(EventKind::MessageUpdate, 10, Some(20), None, Some(SNOWFLAKE), RECEIVED)];
    assert_eq!(lines("MESSAGE_UPDATE", &edit), edited, "an edit may come without its author");
    let edit = json!({ "id": id, "channel_id": "20", "guild_id": "10", "author": user(30) });
    assert_eq!(lines("MESSAGE_UPDATE", &edit)[0].3, Some(30));
}

#[test]
fn a_bulk_deletion_is_one_deletion_for_each_id() {
    let one = json!({ "id": "5", "channel_id": "20", "guild_id": "10" });
    let deleted = |id| (EventKind::MessageDelete, 10, Some(20), None, Some(id), RECEIVED);
    assert_eq!(lines("MESSAGE_DELETE", &one), [deleted(5)]);
    let many = json!({ "ids": ["5", "6", "7"], "channel_id": "20", "guild_id": "10" });
    assert_eq!(lines("MESSAGE_DELETE_BULK", &many), [deleted(5), deleted(6), deleted(7)]);
}

#[test]
fn reactions_count_for_who_reacted() {
    let emoji = json!({ "id": null, "name": "🔥" });
    let reaction = json!({
        "user_id": "30", "channel_id": "20", "message_id": "5", "guild_id": "10", "emoji": emoji, "burst": false,
        "member": { "user": user(30) }, "message_author_id": "31",
    });
    let by = |kind, member| vec![(kind, 10, Some(20), member, Some(5), RECEIVED)];
    assert_eq!(lines("MESSAGE_REACTION_ADD", &reaction), by(EventKind::ReactionAdd, Some(30)));
    assert_eq!(lines("MESSAGE_REACTION_REMOVE", &reaction), by(EventKind::ReactionRemove, Some(30)));
    let clear = json!({ "channel_id": "20", "message_id": "5", "guild_id": "10" });
    assert_eq!(lines("MESSAGE_REACTION_REMOVE_ALL", &clear), by(EventKind::ReactionClear, None));
    let clear = json!({ "channel_id": "20", "message_id": "5", "guild_id": "10", "emoji": emoji });
    assert_eq!(lines("MESSAGE_REACTION_REMOVE_EMOJI", &clear), by(EventKind::ReactionClear, None));
}

#[test]
fn members_come_and_go() {
    let joined = json!({
        "guild_id": "10", "user": user(30), "roles": [], "joined_at": "2023-11-14T22:13:20.500000+00:00",
        "deaf": false, "mute": false, "flags": 0,
    });
    let joined_at = Timestamp::from_millis(1_700_000_000_500);
    let by = |kind, at| vec![(kind, 10, None, Some(30), None, at)];
    assert_eq!(lines("GUILD_MEMBER_ADD", &joined), by(EventKind::MemberJoin, joined_at));
    let gone = json!({ "guild_id": "10", "user": user(30) });
    assert_eq!(lines("GUILD_MEMBER_REMOVE", &gone), by(EventKind::MemberLeave, RECEIVED));
    assert_eq!(lines("GUILD_MEMBER_UPDATE", &joined), by(EventKind::MemberUpdate, RECEIVED));
    assert_eq!(lines("GUILD_BAN_ADD", &gone), by(EventKind::BanAdd, RECEIVED));
    assert_eq!(lines("GUILD_BAN_REMOVE", &gone), by(EventKind::BanRemove, RECEIVED));
    let without = json!({ "guild_id": "10", "user": user(30), "joined_at": null });
    assert_eq!(lines("GUILD_MEMBER_ADD", &without), by(EventKind::MemberJoin, RECEIVED));
}

#[test]
fn voice_names_the_channel_entered_or_none() {
    let mut state = json!({
        "guild_id": "10", "channel_id": "21", "user_id": "30", "session_id": "x", "deaf": false, "mute": false,
        "member": { "user": user(30), "joined_at": "2023-11-14T22:13:20+00:00" },
    });
    assert_eq!(lines("VOICE_STATE_UPDATE", &state), [(EventKind::VoiceState, 10, Some(21), Some(30), None, RECEIVED)]);
    state["channel_id"] = Value::Null;
    assert_eq!(lines("VOICE_STATE_UPDATE", &state), [(EventKind::VoiceState, 10, None, Some(30), None, RECEIVED)]);
}

#[test]
fn an_instant_that_cannot_be_right_gives_way_to_the_time_of_reading() {
    for (joined_at, at) in [
        ("1970-01-01T00:00:00+00:00", RECEIVED),
        ("2014-12-31T23:59:59.999+00:00", RECEIVED),
        ("2015-01-01T00:00:00+00:00", Timestamp::DISCORD_EPOCH),
        // Ahead of a clock that is slow: Discord's is right.
        ("2023-11-14T22:23:20+00:00", RECEIVED.plus_millis(600_000)),
        ("2023-11-15T04:13:20+00:00", RECEIVED.plus_millis(21_600_000)),
        ("2023-11-15T04:13:20.001+00:00", RECEIVED),
        ("9999-12-31T23:59:59+00:00", RECEIVED),
    ] {
        let joined = json!({ "guild_id": "10", "user": user(30), "joined_at": joined_at });
        assert_eq!(lines("GUILD_MEMBER_ADD", &joined)[0].5, at, "{joined_at}");
    }
    let future = json!({ "id": (1_u64 << 62).to_string(), "channel_id": "20", "guild_id": "10", "author": user(30) });
    assert_eq!(lines("MESSAGE_CREATE", &future)[0].5, RECEIVED);
}

#[test]
fn audit_log_entries_name_actor_and_target() {
    let entry = json!({
        "guild_id": "10", "id": SNOWFLAKE.to_string(), "user_id": "30", "target_id": "31", "action_type": 22,
        "reason": "spam",
    });
    assert_eq!(
        lines("GUILD_AUDIT_LOG_ENTRY_CREATE", &entry),
        [(EventKind::AuditLogEntry, 10, None, Some(30), Some(31), SNOWFLAKE_AT)]
    );
    let entry = json!({ "guild_id": "10", "id": SNOWFLAKE.to_string(), "user_id": null, "target_id": null });
    assert_eq!(
        lines("GUILD_AUDIT_LOG_ENTRY_CREATE", &entry),
        [(EventKind::AuditLogEntry, 10, None, None, None, SNOWFLAKE_AT)]
    );
}

#[test]
fn a_guild_arrives_with_its_voice_roster() {
    let guild = json!({
        "id": "10", "name": "Guild", "member_count": 1234, "large": true, "unavailable": false,
        "joined_at": "2023-11-14T22:13:20+00:00", "channels": [{ "id": "20", "type": 0, "permission_overwrites": [] }],
        "members": [], "roles": [], "threads": [], "presences": [],
        "voice_states": [
            { "channel_id": "21", "user_id": "30", "session_id": "a" },
            { "channel_id": null, "user_id": "32", "session_id": "b" },
            { "channel_id": "22", "user_id": "31", "session_id": "c" },
        ],
    });
    let mut events = Vec::new();
    let members = project(Dispatch::GuildCreate, &peeked(&frame("GUILD_CREATE", &guild)), 42, RECEIVED, &mut events);
    let guild = GuildId::from_db(10);
    assert_eq!(members.expect("readable"), Some(MemberCount { guild, members: Some(1_234) }));
    let present = |member, channel| EventBody::VoicePresent {
        member: UserId::from_db(member),
        channel: ChannelId::from_db(channel),
    };
    let bodies: Vec<_> = events.iter().map(|event| event.body).collect();
    let created = EventBody::Count { kind: EventKind::GuildCreate, channel: None, member: None, target: None };
    assert_eq!(bodies, [created, EventBody::VoiceRoster, present(30, 21), present(31, 22)]);
    let classes: Vec<_> = bodies.iter().map(|body| class_of(ClassMap::CURRENT, body)).collect();
    let high = PriorityClass::High;
    assert_eq!(classes, [PriorityClass::Critical, high, high, high]);
    assert_eq!(events.iter().map(|event| event.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn guilds_channels_and_roles_change() {
    let plain = |kind| vec![(kind, 10, None, None, None, RECEIVED)];
    assert_eq!(lines("GUILD_UPDATE", &json!({ "id": "10", "name": "x" })), plain(EventKind::GuildUpdate));
    assert_eq!(lines("GUILD_DELETE", &json!({ "id": "10" })), plain(EventKind::GuildDelete));
    assert_eq!(lines("GUILD_DELETE", &json!({ "id": "10", "unavailable": true })), plain(EventKind::GuildDelete));

    let channel = json!({ "id": SNOWFLAKE.to_string(), "guild_id": "10", "type": 0, "name": "general" });
    let by = |kind, at| vec![(kind, 10, Some(SNOWFLAKE), None, None, at)];
    assert_eq!(lines("CHANNEL_CREATE", &channel), by(EventKind::ChannelCreate, SNOWFLAKE_AT));
    assert_eq!(lines("CHANNEL_UPDATE", &channel), by(EventKind::ChannelUpdate, RECEIVED));
    assert_eq!(lines("CHANNEL_DELETE", &channel), by(EventKind::ChannelDelete, RECEIVED));

    let role = json!({ "guild_id": "10", "role": { "id": "40", "name": "mod", "permissions": "8" } });
    let by = |kind| vec![(kind, 10, None, None, Some(40), RECEIVED)];
    assert_eq!(lines("GUILD_ROLE_CREATE", &role), by(EventKind::RoleCreate));
    assert_eq!(lines("GUILD_ROLE_UPDATE", &role), by(EventKind::RoleUpdate));
    assert_eq!(lines("GUILD_ROLE_DELETE", &json!({ "guild_id": "10", "role_id": "40" })), by(EventKind::RoleDelete));
}

#[test]
fn threads_count_in_their_parent_and_invites_for_their_inviter() {
    let thread = json!({
        "id": SNOWFLAKE.to_string(), "guild_id": "10", "parent_id": "20", "owner_id": "30", "type": 11,
        "newly_created": true, "thread_metadata": { "archived": false },
    });
    let by = |kind, member, at| vec![(kind, 10, Some(20), member, Some(SNOWFLAKE), at)];
    assert_eq!(lines("THREAD_CREATE", &thread), by(EventKind::ThreadCreate, Some(30), SNOWFLAKE_AT));
    assert_eq!(lines("THREAD_UPDATE", &thread), by(EventKind::ThreadUpdate, None, RECEIVED));
    let mut shown = thread.clone();
    shown["newly_created"] = json!(false);
    assert_eq!(lines("THREAD_CREATE", &shown), by(EventKind::ThreadCreate, None, RECEIVED), "the bot was added to it");
    shown.as_object_mut().expect("an object").remove("newly_created");
    assert_eq!(lines("THREAD_CREATE", &shown), by(EventKind::ThreadCreate, None, RECEIVED));
    let deleted = json!({ "id": SNOWFLAKE.to_string(), "guild_id": "10", "parent_id": "20", "type": 11 });
    assert_eq!(lines("THREAD_DELETE", &deleted), by(EventKind::ThreadDelete, None, RECEIVED));

    let invite = json!({
        "channel_id": "20", "guild_id": "10", "code": "abc", "inviter": user(30), "target_user": user(31), "uses": 0,
        "created_at": "2023-11-14T22:13:20+00:00", "max_age": 0, "max_uses": 0, "temporary": false,
    });
    let created = (EventKind::InviteCreate, 10, Some(20), Some(30), Some(31), RECEIVED);
    assert_eq!(lines("INVITE_CREATE", &invite), [created]);
    let deleted = json!({ "channel_id": "20", "guild_id": "10", "code": "abc" });
    assert_eq!(lines("INVITE_DELETE", &deleted), [(EventKind::InviteDelete, 10, Some(20), None, None, RECEIVED)]);
}

#[test]
fn every_kind_is_produced_by_some_frame_above() {
    let expectations = include_str!("tests.rs");
    for kind in EventKind::ALL {
        let name = format!("EventKind::{kind:?}");
        assert!(expectations.contains(&name), "{name} is not tested");
    }
}

#[test]
fn direct_messages_count_as_nothing() {
    let message = json!({ "id": "5", "channel_id": "20", "author": user(30), "content": "psst" });
    assert_eq!(lines("MESSAGE_CREATE", &message), []);
    let reaction = json!({ "user_id": "30", "channel_id": "20", "message_id": "5", "emoji": { "name": "x" } });
    assert_eq!(lines("MESSAGE_REACTION_ADD", &reaction), []);
    assert_eq!(lines("CHANNEL_UPDATE", &json!({ "id": "20", "type": 1 })), []);
}

#[test]
fn what_cannot_be_read_counts_as_nothing_at_all() {
    let mut events = Vec::new();
    let bulk = json!({ "ids": ["5", "6"], "channel_id": "0", "guild_id": "10" });
    for (name, data) in [
        ("MESSAGE_CREATE", json!({ "id": "x", "channel_id": "20", "guild_id": "10" })),
        ("MESSAGE_CREATE", json!("text")),
        ("MESSAGE_DELETE_BULK", bulk),
        ("GUILD_MEMBER_ADD", json!({ "guild_id": "0", "user": user(30) })),
        ("GUILD_CREATE", json!({ "id": "0" })),
        ("GUILD_BAN_ADD", json!({ "guild_id": "10" })),
    ] {
        let dispatch = Dispatch::from_name(name).expect("a known event");
        let result = project(dispatch, &peeked(&frame(name, &data)), 42, RECEIVED, &mut events);
        assert!(result.is_err(), "{name} {data}");
        assert_eq!(events, [], "{name} {data}");
    }
}

#[test]
fn ready_names_the_session() {
    let data = json!({
        "v": 10, "user": user(1), "guilds": [{ "id": "10", "unavailable": true }], "session_id": "abc",
        "resume_gateway_url": "wss://gateway-us-east1-b.discord.gg", "shard": [0, 1], "application": { "id": "1" },
    });
    let session = ready(&frame("READY", &data)).expect("the documented shape");
    assert_eq!((&*session.session_id, &*session.resume_url), ("abc", "wss://gateway-us-east1-b.discord.gg"));
    assert!(ready(&frame("READY", &json!({}))).is_err());
}

proptest! {
    #[test]
    fn rubbish_never_panics(
        dispatch in proptest::sample::select(Dispatch::ALL),
        fields in proptest::collection::vec(
            (proptest::sample::select(vec![
                "id", "ids", "guild_id", "channel_id", "user_id", "user", "author", "role", "role_id", "message_id",
                "voice_states", "joined_at", "member_count", "webhook_id", "parent_id", "owner_id", "inviter",
            ]), proptest::sample::select(vec![
                "null", "0", "-1", "\"10\"", "\"18446744073709551615\"", "9223372036854775807", "[]", "{}", "[\"1\",2]",
                "{\"id\":\"5\",\"bot\":1}", "{\"id\":\"5\"}", "\"2023\\u002d11-14T22:13:20Z\"", "1e400", "tru", "\"\\",
            ])),
            0..8,
        ),
    ) {
        let body: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let text = format!("{{\"op\":0,\"s\":1,\"t\":\"{}\",\"d\":{{{}}}}}", dispatch.name(), body.join(","));
        let mut events = Vec::new();
        if project(dispatch, &peeked(&text), 1, RECEIVED, &mut events).is_err() {
            prop_assert_eq!(events.len(), 0);
        }
        let _frame = Frame::peek(&text);
    }
}
