//! Who may do what: permissions, overwrites and the order of roles.

use guildhall_discord_double::world::ids::Snowflake;
use guildhall_discord_double::world::permissions::Overwrite;
use guildhall_discord_double::world::{By, MemberChange, Permissions, RoleDraft};
use serde_json::json;

use crate::harness::Harness;

const MISSING_PERMISSIONS: (u16, u64) = (403, 50_013);
const MISSING_ACCESS: (u16, u64) = (403, 50_001);

impl Harness {
    /// The bot keeps everything but these permissions.
    fn take(&self, permissions: Permissions) {
        let (role, owner, now) = (self.role("Guildhall"), self.owner(), self.now());
        self.world(|guild| {
            let left = Permissions::ALL.without(Permissions::ADMINISTRATOR).without(permissions);
            let draft = RoleDraft { permissions: Some(left), ..RoleDraft::default() };
            guild.role_update(role, draft, By::user(owner), now).expect("the role exists");
            let everyone = guild.everyone();
            let everybody = Permissions::EVERYONE.without(permissions);
            let draft = RoleDraft { permissions: Some(everybody), ..RoleDraft::default() };
            guild.role_update(everyone, draft, By::user(owner), now).expect("the role exists");
        });
    }
}

#[tokio::test]
async fn every_power_has_its_permission() {
    let double = Harness::start().await;
    let (guild, channel, nobody) = (double.guild, double.channel(), double.nobody());
    let now = double.now();
    let message = double.world(|guild| guild.post_message(channel, nobody, "hello", now)).expect("posts");
    let (in_guild, in_channel) = (format!("/guilds/{guild}"), format!("/channels/{channel}"));
    let member = format!("{in_guild}/members/{nobody}");
    let cases = [
        (Permissions::MANAGE_GUILD, "PATCH", in_guild.clone(), json!({ "name": "New" })),
        (Permissions::MANAGE_GUILD, "POST", format!("{in_guild}/bulk-ban"), json!({ "user_ids": [nobody] })),
        (Permissions::BAN_MEMBERS, "POST", format!("{in_guild}/bulk-ban"), json!({ "user_ids": [nobody] })),
        (Permissions::BAN_MEMBERS, "PUT", format!("{in_guild}/bans/{nobody}"), json!({})),
        (Permissions::KICK_MEMBERS, "DELETE", member.clone(), json!({})),
        (Permissions::MANAGE_NICKNAMES, "PATCH", member.clone(), json!({ "nick": "n" })),
        (Permissions::MODERATE_MEMBERS, "PATCH", member.clone(), json!({ "communication_disabled_until": null })),
        (Permissions::MANAGE_ROLES, "PATCH", member.clone(), json!({ "roles": [] })),
        (Permissions::MANAGE_ROLES, "POST", format!("{in_guild}/roles"), json!({ "name": "r" })),
        (Permissions::MANAGE_CHANNELS, "POST", format!("{in_guild}/channels"), json!({ "name": "c" })),
        (Permissions::MANAGE_CHANNELS, "PATCH", in_channel.clone(), json!({ "topic": "t" })),
        (Permissions::VIEW_AUDIT_LOG, "GET", format!("{in_guild}/audit-logs"), json!({})),
        (Permissions::SEND_MESSAGES, "POST", format!("{in_channel}/messages"), json!({ "content": "c" })),
        (Permissions::MANAGE_MESSAGES, "DELETE", format!("{in_channel}/messages/{message}"), json!({})),
        // A permission of its own since February 2026: managing messages no longer pins them.
        (Permissions::PIN_MESSAGES, "PUT", format!("{in_channel}/messages/pins/{message}"), json!({})),
        (Permissions::MANAGE_WEBHOOKS, "POST", format!("{in_channel}/webhooks"), json!({ "name": "w" })),
        (Permissions::CREATE_INSTANT_INVITE, "POST", format!("{in_channel}/invites"), json!({})),
        (
            Permissions::CREATE_PUBLIC_THREADS,
            "POST",
            format!("{in_channel}/threads"),
            json!({ "name": "t", "type": 11 }),
        ),
    ];
    for (permission, method, path, body) in cases {
        double.take(permission);
        let refused = double.bot(method, &path, Some(body.clone())).await;
        assert_eq!(refused.code(), MISSING_PERMISSIONS, "{method} {path} without {permission:?}: {refused:?}");
    }
    // Nothing of all that happened.
    double.world(|guild| {
        assert!(guild.member(nobody).is_ok() && guild.message(channel, message).is_ok());
        assert_eq!(guild.bans().count(), 0);
    });
}

#[tokio::test]
async fn a_channel_that_is_not_seen_is_not_there_for_one() {
    let double = Harness::start().await;
    let (channel, owner, now, bot) = (double.channel(), double.owner(), double.now(), double.double.world().bot_id());
    let hidden =
        Overwrite { id: Snowflake(bot.get()), kind: 1, allow: Permissions::NONE, deny: Permissions::VIEW_CHANNEL };
    double.world(|guild| guild.overwrite_set(channel, hidden, By::user(owner), now)).expect("the channel exists");
    for (method, path) in [("GET", ""), ("GET", "/messages"), ("POST", "/messages"), ("DELETE", "")] {
        let refused = double.bot(method, &format!("/channels/{channel}{path}"), Some(json!({ "content": "c" }))).await;
        assert_eq!(refused.code(), MISSING_ACCESS, "{method} {path}");
    }
}

#[tokio::test]
async fn nobody_acts_upon_equals_or_superiors() {
    let double = Harness::start().await;
    let (guild, owner, now) = (double.guild, double.owner(), double.now());
    let admin = double.role("Admin");
    let high = double.world(|guild| {
        guild.members().find(|member| member.roles.contains(&admin)).expect("there is an administrator").user.id
    });
    for user in [owner, high] {
        for (method, path, body) in [
            ("PUT", format!("/guilds/{guild}/bans/{user}"), json!({})),
            ("DELETE", format!("/guilds/{guild}/members/{user}"), json!({})),
            ("PATCH", format!("/guilds/{guild}/members/{user}"), json!({ "nick": "lower" })),
        ] {
            let refused = double.bot(method, &path, Some(body)).await;
            assert_eq!(refused.code(), MISSING_PERMISSIONS, "{method} {path}");
        }
    }
    // A role above the bot's own is out of its reach, to change and to give.
    let nobody = double.nobody();
    for (method, path) in [
        ("PATCH", format!("/guilds/{guild}/roles/{admin}")),
        ("DELETE", format!("/guilds/{guild}/roles/{admin}")),
        ("PUT", format!("/guilds/{guild}/members/{nobody}/roles/{admin}")),
    ] {
        assert_eq!(double.bot(method, &path, Some(json!({}))).await.code(), MISSING_PERMISSIONS, "{method} {path}");
    }
    // Nor does it hand out what it does not hold.
    let body = json!({ "name": "too much", "permissions": Permissions::ADMINISTRATOR });
    let refused = double.bot("POST", &format!("/guilds/{guild}/roles"), Some(body)).await;
    assert_eq!(refused.code(), MISSING_PERMISSIONS);

    // Below it, everything goes.
    let regular = double.role("Regular");
    assert_eq!(double.bot("PUT", &format!("/guilds/{guild}/members/{nobody}/roles/{regular}"), None).await.status, 204);
    double.world(|guild| {
        let lifted = MemberChange { roles: Some(vec![admin]), ..MemberChange::default() };
        guild.member_update(nobody, lifted, By::user(owner), now).expect("a member");
    });
    let refused = double.bot("DELETE", &format!("/guilds/{guild}/members/{nobody}"), None).await;
    assert_eq!(refused.code(), MISSING_PERMISSIONS, "whoever is lifted above the bot is safe from it");
}

#[tokio::test]
async fn tokens_are_checked_and_reasons_reach_the_audit_log() {
    let double = Harness::start().await;
    let (guild, nobody) = (double.guild, double.nobody());
    for authorization in ["", "Bot wrong", "Bearer wrong", "double.bot.token"] {
        let refused = double.as_whom(authorization, "GET", "/users/@me", None).await;
        assert_eq!(refused.code(), (401, 0), "{authorization:?}");
    }
    let headers = [("authorization", "Bot double.bot.token"), ("x-audit-log-reason", "spam%20%F0%9F%8D%9D%2B1")];
    let banned = double.raw("PUT", &format!("/api/v10/guilds/{guild}/bans/{nobody}"), &headers, Vec::new()).await;
    assert_eq!(banned.status, 204);
    let log = double.ok("GET", &format!("/guilds/{guild}/audit-logs?action_type=22"), None).await;
    let entry = &log["audit_log_entries"][0];
    assert_eq!((&entry["reason"], &entry["target_id"]), (&json!("spam 🍝+1"), &json!(nobody)));
    let ban = double.ok("GET", &format!("/guilds/{guild}/bans/{nobody}"), None).await;
    assert_eq!(ban["reason"], "spam 🍝+1");
}

#[tokio::test]
async fn messages_older_than_two_weeks_are_not_deleted_in_bulk() {
    let double = Harness::start().await;
    let (channel, nobody, now) = (double.channel(), double.nobody(), double.now());
    let old = now.plus_millis(-14 * 86_400_000 - 1);
    let (first, second) = double.world(|guild| {
        let first = guild.post_message(channel, nobody, "old", old).expect("posts");
        (first, guild.post_message(channel, nobody, "new", now).expect("posts"))
    });
    let path = format!("/channels/{channel}/messages/bulk-delete");
    let refused = double.bot("POST", &path, Some(json!({ "messages": [first, second] }))).await;
    assert_eq!(refused.code(), (400, 50_034));
    let refused = double.bot("POST", &path, Some(json!({ "messages": [second] }))).await;
    assert_eq!(refused.code(), (400, 50_016));
    double.world(|guild| assert_eq!(guild.messages(channel).expect("exists").len(), 2));
}
