//! Every answer of REST has the shape that Discord's own description gives it, and every route was looked at.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::endpoint::{Endpoint, Reply};
use crate::harness::Harness;

/// Where the packages of `tests/openapi/package-lock.json` are installed, if not beside it: a folder with `node_modules`.
const SPEC: &str = "GUILDHALL_DISCORD_API_SPEC";
const APP: &str = "/applications/1100000000000000001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_the_shape_discord_describes() {
    let endpoint = Endpoint::start(None).await;
    let double = Harness::with(|config| config.interactions_endpoint = Some(endpoint.url.clone())).await;
    application(&double).await;
    people(&double).await;
    guild(&double).await;
    members(&double).await;
    roles(&double).await;
    channels(&double).await;
    messages(&double).await;
    threads(&double).await;
    doors(&double).await;
    commands(&double).await;
    answers(&double, &endpoint).await;
    refusals(&double).await;

    let recorded = double.recorded.lock().expect("unpoisoned").clone();
    let verdict = validate(&recorded).await;
    let problems: Vec<String> = verdict["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|found| {
            let exchange = &recorded[usize::try_from(found["exchange"].as_u64().expect("a number")).expect("small")];
            format!("{} {} {}: {}", exchange["method"], exchange["path"], exchange["status"], found["problem"])
        })
        .collect();
    assert!(problems.is_empty(), "{} of {} answers:\n{}", problems.len(), recorded.len(), problems.join("\n"));

    let exercised: BTreeSet<&str> = list(&verdict["exercised"]);
    let mut served = BTreeSet::new();
    for route in list(&verdict["described"]) {
        let (method, template) = route.split_once(' ').expect("a method and a path");
        if serves(&double, method, template).await {
            served.insert(route);
        }
    }
    let missed: Vec<_> = served.difference(&exercised).collect();
    assert!(missed.is_empty(), "routes that no scenario calls with success: {missed:?}");
    assert!(served.len() >= 90, "{} routes", served.len());
}

fn list(value: &Value) -> BTreeSet<&str> {
    value.as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

/// Whether the double has a route: it answers other than "no such path" or "not with this method".
async fn serves(double: &Harness, method: &str, template: &str) -> bool {
    let filled: Vec<&str> = template.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
    let got = double.raw(method, &format!("/api/v10{}", filled.join("/")), &[], Vec::new()).await;
    !matches!(got.body["message"].as_str(), Some("404: Not Found" | "405: Method Not Allowed"))
}

async fn validate(recorded: &[Value]) -> Value {
    let beside = "tests/openapi";
    #[expect(clippy::disallowed_methods, reason = "tests are configured by the command that installs what they need")]
    let directory = std::env::var_os(SPEC).unwrap_or_else(|| beside.into());
    assert!(
        Path::new(&directory).join("node_modules").is_dir(),
        "run `cargo xtask test`, which installs what the tests need"
    );
    let script = "tests/openapi/validate.mjs";
    let mut node = Command::new("node")
        .arg(script)
        .arg(Path::new(&directory).canonicalize().expect("a path"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let lines: String = recorded.iter().map(|exchange| format!("{exchange}\n")).collect();
    let mut input = node.stdin.take().expect("piped");
    input.write_all(lines.as_bytes()).await.expect("node reads");
    drop(input);
    let output = node.wait_with_output().await.expect("node ends");
    assert!(output.status.success(), "the validator failed");
    serde_json::from_slice(&output.stdout).expect("a verdict")
}

async fn application(double: &Harness) {
    for path in ["/gateway", "/gateway/bot", "/applications/@me", "/oauth2/applications/@me"] {
        double.ok("GET", path, None).await;
    }
}

async fn people(double: &Harness) {
    double.ok("GET", "/users/@me", None).await;
    double.ok("GET", "/users/@me/guilds?with_counts=true&limit=1", None).await;
    double.ok("GET", &format!("/users/{}", double.owner()), None).await;
    let all = double.bearer("identify email guilds guilds.members.read").await;
    let member = format!("/users/@me/guilds/{}/member", double.guild);
    for path in ["/users/@me", "/users/@me/guilds", member.as_str(), "/oauth2/@me"] {
        assert_eq!(double.as_whom(&all, "GET", path, None).await.status, 200, "{path}");
    }
    let other = double.double.world().guild_ids()[1];
    double.ok("DELETE", &format!("/users/@me/guilds/{other}"), None).await;
    assert_eq!(double.bot("GET", &format!("/guilds/{other}"), None).await.code(), (403, 50_001));
}

async fn guild(double: &Harness) {
    let guild = format!("/guilds/{}", double.guild);
    double.ok("GET", &guild, None).await;
    double.ok("GET", &format!("{guild}?with_counts=true"), None).await;
    let changed = double.ok("PATCH", &guild, Some(json!({ "name": "Renamed", "description": "About" }))).await;
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Renamed"), &json!("About")));
    double.ok("GET", &format!("{guild}/preview"), None).await;
    double.ok("GET", &format!("{guild}/regions"), None).await;
    let log = double.ok("GET", &format!("{guild}/audit-logs?limit=5"), None).await;
    assert_eq!(log["audit_log_entries"][0]["changes"][0]["new_value"], "Renamed");
}

async fn members(double: &Harness) {
    let (guild, nobody) = (format!("/guilds/{}", double.guild), double.nobody());
    let role = double.role("Regular");
    double.ok("GET", &format!("{guild}/members?limit=10"), None).await;
    double.ok("GET", &format!("{guild}/members/search?query=a&limit=10"), None).await;
    let member = format!("{guild}/members/{nobody}");
    double.ok("GET", &member, None).await;
    double.ok("PATCH", &member, Some(json!({ "nick": "Nick", "roles": [role] }))).await;
    let until = "2026-01-02T00:00:00.000Z";
    let silenced = double.ok("PATCH", &member, Some(json!({ "communication_disabled_until": until }))).await;
    assert_eq!(silenced["communication_disabled_until"], "2026-01-02T00:00:00.000000+00:00");
    double.ok("PATCH", &format!("{guild}/members/@me"), Some(json!({ "nick": "Hall" }))).await;
    double.ok("DELETE", &format!("{member}/roles/{role}"), None).await;
    double.ok("PUT", &format!("{member}/roles/{role}"), None).await;
    double.ok("DELETE", &member, None).await;
    assert_eq!(double.bot("GET", &member, None).await.code(), (404, 10_007));

    double.ok("PUT", &format!("{guild}/bans/{nobody}"), Some(json!({ "delete_message_seconds": 60 }))).await;
    double.ok("GET", &format!("{guild}/bans"), None).await;
    double.ok("GET", &format!("{guild}/bans/{nobody}"), None).await;
    double.ok("DELETE", &format!("{guild}/bans/{nobody}"), None).await;
    assert_eq!(double.bot("GET", &format!("{guild}/bans/{nobody}"), None).await.code(), (404, 10_026));
    let several = json!({ "user_ids": [double.nobody(), double.owner()] });
    let banned = double.ok("POST", &format!("{guild}/bulk-ban"), Some(several)).await;
    assert_eq!(
        (&banned["failed_users"], banned["banned_users"].as_array().map(Vec::len)),
        (&json!([double.owner()]), Some(1))
    );
}

async fn roles(double: &Harness) {
    let guild = format!("/guilds/{}", double.guild);
    let role = double.ok("POST", &format!("{guild}/roles"), Some(json!({ "name": "Guests", "color": 255 }))).await;
    let path = format!("{guild}/roles/{}", role["id"].as_str().expect("an id"));
    double.ok("GET", &format!("{guild}/roles"), None).await;
    double.ok("GET", &path, None).await;
    double.ok("PATCH", &path, Some(json!({ "hoist": true, "permissions": "1024" }))).await;
    let moved = double.ok("PATCH", &format!("{guild}/roles"), Some(json!([{ "id": role["id"], "position": 3 }]))).await;
    let guests = moved.as_array().expect("a list").iter().find(|other| other["id"] == role["id"]);
    assert_eq!(guests.map(|role| &role["position"]), Some(&json!(3)));
    let counts = double.ok("GET", &format!("{guild}/roles/member-counts"), None).await;
    assert_eq!(counts[role["id"].as_str().expect("an id")], 0);
    double.ok("DELETE", &path, None).await;
}

async fn channels(double: &Harness) {
    let guild = format!("/guilds/{}", double.guild);
    double.ok("GET", &format!("{guild}/channels"), None).await;
    let category = double.ok("POST", &format!("{guild}/channels"), Some(json!({ "name": "Place", "type": 4 }))).await;
    for (kind, name) in [(0, "words"), (2, "Voices"), (15, "topics")] {
        let body = json!({ "name": name, "type": kind, "parent_id": category["id"], "topic": "t" });
        let made = double.ok("POST", &format!("{guild}/channels"), Some(body)).await;
        let path = format!("/channels/{}", made["id"].as_str().expect("an id"));
        double.ok("GET", &path, None).await;
        double.ok("PATCH", &path, Some(json!({ "name": "renamed", "topic": null }))).await;
        let role = double.role("Regular");
        let overwrite = json!({ "type": 0, "allow": "1024", "deny": "2048" });
        double.ok("PUT", &format!("{path}/permissions/{role}"), Some(overwrite)).await;
        double.ok("DELETE", &format!("{path}/permissions/{role}"), None).await;
        double.ok("PATCH", &format!("{guild}/channels"), Some(json!([{ "id": made["id"], "position": 0 }]))).await;
        double.ok("DELETE", &path, None).await;
    }
    double.ok("POST", &format!("/channels/{}/typing", double.channel()), None).await;
}

async fn messages(double: &Harness) {
    let messages = format!("/channels/{}/messages", double.channel());
    let plain = double
        .ok("POST", &messages, Some(json!({ "content": format!("hi <@{}>", double.owner()), "nonce": "1" })))
        .await;
    assert_eq!(plain["mentions"][0]["id"], json!(double.owner()));
    let rich = json!({
        "content": "rich",
        "message_reference": { "message_id": plain["id"] },
        "embeds": [{ "title": "T", "description": "D", "color": 255, "timestamp": "2026-01-01T00:00:00Z",
                     "fields": [{ "name": "n", "value": "v" }], "footer": { "text": "f" }, "author": { "name": "a" },
                     "image": { "url": "attachment://a.png" } }],
        "components": [
            { "type": 1, "components": [{ "type": 2, "style": 5, "label": "link", "url": "https://example.com" },
                                        { "type": 2, "style": 1, "custom_id": "b", "emoji": { "name": "👍" } }] },
            { "type": 1, "components": [{ "type": 3, "custom_id": "s", "options": [{ "label": "l", "value": "v" }] }] },
            { "type": 1, "components": [{ "type": 8, "custom_id": "c", "channel_types": [0] }] }],
    });
    let bot = "Bot double.bot.token";
    let sent = double.upload(bot, "POST", &messages, &rich, &[("a.png", b"png")]).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(sent.body["referenced_message"]["id"], plain["id"]);
    let second = json!({ "flags": 32768, "components": [
        { "type": 17, "accent_color": 255, "components": [
            { "type": 10, "content": "# Title" },
            { "type": 9, "components": [{ "type": 10, "content": "x" }],
              "accessory": { "type": 11, "media": { "url": "attachment://a.png" } } },
            { "type": 12, "items": [{ "media": { "url": "attachment://a.png" }, "description": "d" }] },
            { "type": 14 }, { "type": 13, "file": { "url": "attachment://a.png" } },
            { "type": 1, "components": [{ "type": 5, "custom_id": "u", "placeholder": "p" }] }] }] });
    let sent = double.upload(bot, "POST", &messages, &second, &[("a.png", b"png")]).await;
    assert_eq!(sent.status, 200, "{sent:?}");

    let id = plain["id"].as_str().expect("an id");
    let one = format!("{messages}/{id}");
    double.ok("PATCH", &one, Some(json!({ "content": "edited", "embeds": [] }))).await;
    double.ok("PUT", &format!("{one}/reactions/%F0%9F%91%8D/@me"), None).await;
    double.ok("PUT", &format!("{one}/reactions/wave:41771983429993937/@me"), None).await;
    assert_eq!(double.ok("GET", &one, None).await["reactions"][0]["count"], 1);
    double.ok("GET", &format!("{one}/reactions/%F0%9F%91%8D"), None).await;
    double.ok("DELETE", &format!("{one}/reactions/%F0%9F%91%8D/@me"), None).await;
    let bot_id = double.double.world().bot_id();
    double.ok("DELETE", &format!("{one}/reactions/wave:41771983429993937/{bot_id}"), None).await;
    double.ok("DELETE", &format!("{one}/reactions/%F0%9F%91%8D"), None).await;
    double.ok("DELETE", &format!("{one}/reactions"), None).await;

    let old = format!("/channels/{}/pins", double.channel());
    double.ok("PUT", &format!("{old}/{id}"), None).await;
    assert_eq!(double.ok("GET", &old, None).await.as_array().map(Vec::len), Some(1));
    double.ok("DELETE", &format!("{old}/{id}"), None).await;
    double.ok("PUT", &format!("{messages}/pins/{id}"), None).await;
    assert_eq!(double.ok("GET", &format!("{messages}/pins"), None).await["items"][0]["message"]["id"], plain["id"]);
    double.ok("DELETE", &format!("{messages}/pins/{id}"), None).await;

    let listed = double.ok("GET", &format!("{messages}?limit=50&around={id}"), None).await;
    let ids: Vec<&Value> = listed.as_array().expect("a list").iter().map(|message| &message["id"]).collect();
    assert_eq!(ids.len(), 5, "three messages and two notices of pins");
    double.ok("DELETE", &one, None).await;
    double.ok("POST", &format!("{messages}/bulk-delete"), Some(json!({ "messages": [ids[0], ids[1]] }))).await;
}

async fn threads(double: &Harness) {
    let channel = format!("/channels/{}", double.channel());
    let message = double.ok("POST", &format!("{channel}/messages"), Some(json!({ "content": "starter" }))).await;
    let body = json!({ "name": "on a message", "auto_archive_duration": 60 });
    let from = format!("{channel}/messages/{}/threads", message["id"].as_str().expect("an id"));
    let thread = double.ok("POST", &from, Some(body.clone())).await;
    assert_eq!((&thread["id"], &thread["type"]), (&message["id"], &json!(11)));
    assert_eq!(double.bot("POST", &from, Some(body)).await.code(), (400, 160_004));
    let free = double.ok("POST", &format!("{channel}/threads"), Some(json!({ "name": "free", "type": 11 }))).await;
    let path = format!("/channels/{}", free["id"].as_str().expect("an id"));
    double.ok("GET", &format!("{path}/thread-members"), None).await;
    double.ok("DELETE", &format!("{path}/thread-members/@me"), None).await;
    double.ok("PUT", &format!("{path}/thread-members/@me"), None).await;
    double.ok("POST", &format!("{path}/messages"), Some(json!({ "content": "inside" }))).await;
    let active = double.ok("GET", &format!("/guilds/{}/threads/active", double.guild), None).await;
    assert_eq!(
        (active["threads"].as_array().map(Vec::len), active["members"].as_array().map(Vec::len)),
        (Some(2), Some(2))
    );
    let closed = double.ok("PATCH", &path, Some(json!({ "archived": true, "locked": true }))).await;
    assert_eq!(closed["thread_metadata"]["archived"], true);
    double.ok("GET", &path, None).await;
    double.ok("DELETE", &path, None).await;
}

/// Invites and webhooks.
async fn doors(double: &Harness) {
    let (guild, channel) = (format!("/guilds/{}", double.guild), format!("/channels/{}", double.channel()));
    let invite = double.ok("POST", &format!("{channel}/invites"), Some(json!({ "max_age": 3600 }))).await;
    let path = format!("/invites/{}", invite["code"].as_str().expect("a code"));
    double.ok("GET", &format!("{guild}/invites"), None).await;
    double.ok("GET", &format!("{channel}/invites"), None).await;
    assert_eq!(
        double.ok("GET", &format!("{path}?with_counts=true"), None).await["expires_at"],
        "2026-01-01T13:00:00.000000+00:00"
    );
    double.ok("DELETE", &path, None).await;
    assert_eq!(double.bot("GET", &path, None).await.code(), (404, 10_006));

    let webhook = double.ok("POST", &format!("{channel}/webhooks"), Some(json!({ "name": "Herald" }))).await;
    double.ok("GET", &format!("{channel}/webhooks"), None).await;
    double.ok("GET", &format!("{guild}/webhooks"), None).await;
    let id = format!("/webhooks/{}", webhook["id"].as_str().expect("an id"));
    double.ok("GET", &id, None).await;
    let with_token = format!("{id}/{}", webhook["token"].as_str().expect("a token"));
    let free = async |method: &str, path: &str, body: Value| double.as_whom("", method, path, Some(body)).await;
    assert_eq!(free("GET", &with_token, json!({})).await.status, 200);
    assert_eq!(free("POST", &with_token, json!({ "content": "quiet" })).await.status, 204);
    let told =
        free("POST", &format!("{with_token}?wait=true"), json!({ "content": "aloud", "username": "Crier" })).await;
    assert_eq!((told.status, &told.body["author"]["username"]), (200, &json!("Crier")));
    let message = format!("{with_token}/messages/{}", told.body["id"].as_str().expect("an id"));
    assert_eq!(free("GET", &message, json!({})).await.status, 200);
    assert_eq!(free("PATCH", &message, json!({ "content": "louder" })).await.status, 200);
    assert_eq!(free("DELETE", &message, json!({})).await.status, 204);
    assert_eq!(free("POST", &format!("{id}/wrong"), json!({ "content": "x" })).await.code(), (401, 50_027));
    double.ok("DELETE", &id, None).await;
}

async fn commands(double: &Harness) {
    double.ok("GET", &format!("{APP}/guilds/{}/commands/permissions", double.guild), None).await;
    let command = json!({ "name": "stats", "description": "Numbers", "name_localizations": { "fr": "chiffres" },
        "default_member_permissions": "32", "contexts": [0], "integration_types": [0], "options": [
            { "type": 2, "name": "of", "description": "Of", "options": [
                { "type": 1, "name": "member", "description": "m", "options": [
                    { "type": 6, "name": "user", "description": "u", "required": true },
                    { "type": 3, "name": "period", "description": "p", "choices": [{ "name": "Week", "value": "7d" }] },
                    { "type": 4, "name": "top", "description": "t", "min_value": 1, "max_value": 10 },
                    { "type": 7, "name": "channel", "description": "c", "channel_types": [0] }] }] }] });
    for place in [format!("{APP}/commands"), format!("{APP}/guilds/{}/commands", double.guild)] {
        let made = double.bot("POST", &place, Some(command.clone())).await;
        assert_eq!(made.status, 201, "{made:?}");
        let again = double.bot("POST", &place, Some(command.clone())).await;
        assert_eq!((again.status, &again.body["id"]), (200, &made.body["id"]));
        let one = format!("{place}/{}", made.body["id"].as_str().expect("an id"));
        double.ok("GET", &one, None).await;
        double.ok("PATCH", &one, Some(json!({ "description": "More numbers" }))).await;
        let menu = json!({ "name": "Show Stats", "type": 2 });
        let all = double.ok("PUT", &place, Some(json!([command, menu]))).await;
        assert_eq!(all[0]["id"], made.body["id"], "a command that stays keeps its id");
        double.ok("GET", &format!("{place}?with_localizations=true"), None).await;
        double.ok("GET", &place, None).await;
        double.ok("DELETE", &one, None).await;
        let bad = double.bot("POST", &place, Some(json!({ "name": "No Good", "description": "" }))).await;
        assert_eq!(bad.code(), (400, 50_035));
        assert_eq!(bad.body["errors"]["name"]["_errors"][0]["code"], "APPLICATION_COMMAND_INVALID_NAME");
        double.ok("PUT", &place, Some(json!([]))).await;
    }
}

/// The application's answers to interactions, by requests of its own.
async fn answers(double: &Harness, endpoint: &Endpoint) {
    for ephemeral in [0, 64] {
        endpoint.will(Reply::Status(202));
        let body = json!({ "guild_id": double.guild, "channel_id": double.channel(), "command": "/hello" });
        let answer = async {
            let sent = endpoint.received().await;
            let text = |key: &str| sent[key].as_str().expect("text").to_owned();
            let callback = format!("/interactions/{}/{}/callback", text("id"), text("token"));
            let body = json!({ "type": 4, "data": { "content": "hello", "flags": ephemeral } });
            let shown = double.as_whom("", "POST", &format!("{callback}?with_response=true"), Some(body.clone())).await;
            assert_eq!(shown.status, 200, "{shown:?}");
            assert_eq!(double.as_whom("", "POST", &callback, Some(body)).await.code(), (400, 40_060));
            text("token")
        };
        let (seen, token) = tokio::join!(double.control("/interactions", &body), answer);
        assert_eq!(seen.body["content"], "hello", "{seen:?}");
        let base = format!("/webhooks/1100000000000000001/{token}");
        let free = async |method: &str, path: &str, body: Value| double.as_whom("", method, path, Some(body)).await;
        let followed =
            free("POST", &format!("{base}?wait=true"), json!({ "content": "more", "flags": ephemeral })).await;
        assert_eq!(followed.status, 200);
        let follow_up = format!("{base}/messages/{}", followed.body["id"].as_str().expect("an id"));
        for which in [format!("{base}/messages/@original"), follow_up] {
            assert_eq!(free("GET", &which, json!({})).await.status, 200);
            assert_eq!(free("PATCH", &which, json!({ "content": "changed" })).await.status, 200);
            assert_eq!(free("DELETE", &which, json!({})).await.status, 204);
            assert_eq!(free("GET", &which, json!({})).await.code(), (404, 10_008));
        }
    }
}

/// Errors have shapes of their own.
async fn refusals(double: &Harness) {
    let messages = format!("/channels/{}/messages", double.channel());
    for (body, code) in [
        (json!({}), 50_006),
        (json!({ "content": "x".repeat(2_001) }), 50_035),
        (json!({ "content": "x", "embeds": [{ "title": "x".repeat(257), "fields": [{ "name": "" }] }] }), 50_035),
        (json!({ "content": "x", "components": [{ "type": 2, "style": 1, "custom_id": "x" }] }), 50_035),
        (json!({ "flags": 32768, "content": "x", "components": [{ "type": 10, "content": "x" }] }), 50_035),
        (json!({ "content": 5 }), 50_035),
    ] {
        assert_eq!(double.bot("POST", &messages, Some(body.clone())).await.code(), (400, code), "{body}");
    }
    assert_eq!(double.bot("GET", "/channels/1", None).await.code(), (404, 10_003));
    assert_eq!(double.bot("GET", "/guilds/1", None).await.code(), (404, 10_004));
    assert_eq!(double.bot("GET", "/guilds/abc", None).await.code(), (400, 50_035));
    assert_eq!(double.as_whom("", "GET", "/users/@me", None).await.code(), (401, 0));
}
