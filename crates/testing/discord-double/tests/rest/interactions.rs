//! Interactions, from what a member types to what the member sees.

use guildhall_discord_double::world::Author;
use guildhall_discord_double::world::Draft;
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, Reply};
use crate::harness::{Got, Harness, MULTIPART, multipart};

const APP: &str = "1100000000000000001";

impl Harness {
    async fn interact(&self, endpoint: &Endpoint, mut wanted: Value) -> Got {
        wanted["endpoint"] = json!(endpoint.url);
        wanted["guild_id"] = json!(self.guild);
        wanted["channel_id"] = json!(self.channel());
        self.control("/interactions", &wanted).await
    }

    /// Sends a request on behalf of the application, without any authorization but the token's.
    async fn app(&self, method: &str, path: &str, body: Value) -> Got {
        self.as_whom("", method, path, Some(body)).await
    }
}

async fn stats() -> (Harness, Endpoint) {
    let double = Harness::start().await;
    let endpoint = Endpoint::start(Some(&public_key())).await;
    let command = json!({ "name": "stats", "description": "Numbers", "options": [
        { "type": 1, "name": "server", "description": "Of the server", "options": [
            { "type": 3, "name": "period", "description": "How far back", "choices": [
                { "name": "A week", "value": "7d" }, { "name": "A day", "value": "1d" } ] } ] },
        { "type": 1, "name": "member", "description": "Of a member", "options": [
            { "type": 6, "name": "user", "description": "Who", "required": true } ] } ] });
    let created = double.bot("POST", &format!("/applications/{APP}/commands"), Some(command)).await;
    assert_eq!(created.status, 201, "{created:?}");
    (double, endpoint)
}

fn public_key() -> String {
    guildhall_discord_double::Config::new(7, guildhall_discord_double::Config::default().clock).public_key()
}

#[tokio::test]
async fn a_command_is_signed_looked_up_and_answered() {
    let (double, endpoint) = stats().await;
    endpoint.will(Reply::Json(json!({ "type": 4, "data": { "content": "42 messages" } })));
    let seen = double.interact(&endpoint, json!({ "command": "/stats server period:A week" })).await;
    assert_eq!((seen.status, &seen.body["content"]), (200, &json!("42 messages")), "{seen:?}");
    assert_eq!((&seen.body["type"], &seen.body["ephemeral"]), (&json!(4), &json!(false)));

    let sent = endpoint.received().await;
    assert_eq!((&sent["type"], &sent["data"]["name"], &sent["context"]), (&json!(2), &json!("stats"), &json!(0)));
    let expected =
        json!([{ "name": "server", "type": 1, "options": [{ "name": "period", "type": 3, "value": "7d" }] }]);
    assert_eq!(sent["data"]["options"], expected);
    assert_eq!((&sent["guild_id"], &sent["channel_id"]), (&json!(double.guild), &json!(double.channel())));
    assert_eq!(sent["member"]["user"]["id"], json!(double.owner()));
    let bits: u64 = sent["app_permissions"].as_str().and_then(|bits| bits.parse().ok()).expect("bits");
    assert!(bits & 1 << 11 != 0 && bits & 1 << 3 == 0, "what the bot holds there");
    assert_eq!(sent["authorizing_integration_owners"], json!({ "0": double.guild }));

    // Everybody sees the answer: it is a message of the channel.
    let message = double.ok("GET", &format!("/channels/{}/messages?limit=1", double.channel()), None).await;
    assert_eq!((&message[0]["content"], &message[0]["type"]), (&json!("42 messages"), &json!(20)));
    assert_eq!(message[0]["interaction_metadata"]["id"], sent["id"]);
}

#[tokio::test]
async fn members_are_resolved_by_name_and_mistakes_are_told() {
    let (double, endpoint) = stats().await;
    let name = double.world(|guild| guild.member(guild.owner).expect("a member").user.username.to_string());
    endpoint.will(Reply::Json(json!({ "type": 4, "data": { "content": "x", "flags": 64 } })));
    let seen = double.interact(&endpoint, json!({ "command": format!("/stats member user:{name}") })).await;
    assert_eq!(seen.body["ephemeral"], true);
    let sent = endpoint.received().await;
    let id = double.owner().to_string();
    assert_eq!(sent["data"]["options"][0]["options"][0]["value"], json!(id));
    assert_eq!(sent["data"]["resolved"]["users"][&id]["username"], json!(name));
    assert!(sent["data"]["resolved"]["members"][&id]["permissions"].is_string());
    double.world(|guild| assert_eq!(guild.messages(guild.text_channels()[0]).expect("exists").len(), 0, "ephemeral"));

    for (command, reason) in [
        ("/nonsense", "no command nonsense is registered"),
        ("/stats", "a subcommand is needed"),
        ("/stats server period:5y", "choose one of A week, A day"),
        ("/stats member", "is required"),
        ("/stats member user:Nobody At All", "is not a member"),
    ] {
        let refused = double.interact(&endpoint, json!({ "command": command })).await;
        let told = refused.body["error"].as_str().unwrap_or_default();
        assert!(refused.status == 400 && told.contains(reason), "{command}: {refused:?}");
    }
}

#[tokio::test]
async fn a_deferred_answer_is_waited_for_with_its_files() {
    let (double, endpoint) = stats().await;
    endpoint.will(Reply::Json(json!({ "type": 5 })));
    let later = async {
        let sent = endpoint.received().await;
        let token = sent["token"].as_str().expect("a token").to_owned();
        let path = format!("/webhooks/{APP}/{token}/messages/@original");
        // The edit may arrive before the deferral was taken in: Discord then knows no message yet.
        loop {
            let body = json!({ "content": "done", "attachments": [{ "id": 0, "description": "a chart" }],
                               "embeds": [{ "title": "t", "image": { "url": "attachment://chart.png" } }] });
            let edited = double.upload("", "PATCH", &path, &body, &[("chart.png", b"PNG")]).await;
            if edited.status == 200 {
                return (edited.body, token);
            }
            assert_eq!(edited.status, 404, "{edited:?}");
            tokio::task::yield_now().await;
        }
    };
    let wanted = json!({ "command": "/stats server" });
    let (seen, (edited, token)) = tokio::join!(double.interact(&endpoint, wanted), later);
    assert_eq!((&seen.body["type"], &seen.body["content"]), (&json!(5), &json!("done")), "{seen:?}");
    assert_eq!(seen.body["edits"].as_array().map(Vec::len), Some(1));
    let file = &seen.body["attachments"][0];
    assert_eq!(
        (&file["filename"], &file["base64"], &file["description"]),
        (&json!("chart.png"), &json!("UE5H"), &json!("a chart"))
    );
    assert_eq!(edited["embeds"][0]["image"]["url"], edited["attachments"][0]["url"]);
    assert_eq!((&edited["flags"], &edited["edited_timestamp"]), (&json!(0), &Value::Null), "the answer, not an edit");

    let url = edited["attachments"][0]["url"].as_str().expect("an address");
    let path = url.strip_prefix(&double.double.base_url()).expect("the double's own");
    assert_eq!(double.raw("GET", path, &[], Vec::new()).await.body, "PNG");

    let followed = double.app("POST", &format!("/webhooks/{APP}/{token}"), json!({ "content": "more" })).await;
    assert_eq!((followed.status, &followed.body["content"]), (200, &json!("more")));
    double.hand.forward(15 * 60_000);
    let late = double.app("POST", &format!("/webhooks/{APP}/{token}"), json!({ "content": "late" })).await;
    assert_eq!(late.code(), (401, 50_027), "a token lives for 15 minutes");
}

#[tokio::test]
async fn what_is_not_answered_in_three_seconds_or_wrongly_failed() {
    let (double, endpoint) = stats().await;
    for (reply, status) in [
        (Reply::Status(500), 500),
        (Reply::Json(json!({ "type": 1 })), 200),
        (Reply::Json(json!({ "type": 7, "data": { "content": "no message to update" } })), 200),
        (Reply::Json(json!({ "type": 4, "data": { "content": "" } })), 200),
        (Reply::Json(json!({ "type": 4, "data": { "content": "x".repeat(2_001) } })), 200),
        (Reply::Silence, 504),
    ] {
        endpoint.will(reply.clone());
        let seen = double.interact(&endpoint, json!({ "command": "/stats server" })).await;
        assert_eq!(seen.body["content"], "The application did not respond", "{reply:?}: {seen:?}");
        assert_eq!(seen.body["status"], status, "{reply:?}");
        let token = endpoint.received().await["token"].as_str().expect("a token").to_owned();
        let late = double.app("POST", &format!("/webhooks/{APP}/{token}"), json!({ "content": "late" })).await;
        assert_eq!(late.code(), (401, 50_027), "{reply:?}");
    }
}

#[tokio::test]
async fn files_come_with_the_first_answer_too() {
    let (double, endpoint) = stats().await;
    let form = multipart(&json!({ "type": 4, "data": { "content": "with a file" } }), &[("a.png", b"one")]);
    endpoint.will(Reply::Form(MULTIPART, form));
    let seen = double.interact(&endpoint, json!({ "command": "/stats server" })).await;
    assert_eq!(
        (&seen.body["content"], &seen.body["attachments"][0]["base64"]),
        (&json!("with a file"), &json!("b25l"))
    );
}

#[tokio::test]
async fn buttons_menus_and_forms_follow_from_what_was_shown() {
    let (double, endpoint) = stats().await;
    let row = |component: Value| json!([{ "type": 1, "components": [component] }]);
    let menu = json!({ "type": 3, "custom_id": "pick", "options": [{ "label": "French", "value": "fr" }] });
    endpoint.will(Reply::Json(
        json!({ "type": 4, "data": { "content": "Language?", "flags": 64, "components": row(menu) } }),
    ));
    double.interact(&endpoint, json!({ "command": "/stats server" })).await;
    endpoint.received().await;

    let button = json!({ "type": 2, "style": 1, "label": "Why?", "custom_id": "why" });
    endpoint.will(Reply::Json(json!({ "type": 7, "data": { "content": "Bien", "components": row(button) } })));
    let seen = double.interact(&endpoint, json!({ "custom_id": "pick", "values": ["French"] })).await;
    assert_eq!((&seen.body["content"], &seen.body["ephemeral"]), (&json!("Bien"), &json!(true)), "{seen:?}");
    let sent = endpoint.received().await;
    assert_eq!((&sent["type"], &sent["data"]["values"]), (&json!(3), &json!(["fr"])));
    assert_eq!(sent["message"]["content"], "Language?");
    let gone = double.interact(&endpoint, json!({ "custom_id": "pick", "values": ["French"] })).await;
    assert_eq!(gone.status, 400, "the menu was replaced");

    let input = json!({ "type": 4, "custom_id": "reason", "style": 1, "label": "Why", "max_length": 10 });
    let form = json!({ "type": 9, "data": { "custom_id": "form", "title": "Reason", "components": row(input) } });
    endpoint.will(Reply::Json(form));
    let seen = double.interact(&endpoint, json!({ "custom_id": "why" })).await;
    assert_eq!(seen.body["modal"]["title"], "Reason");
    endpoint.received().await;

    let long = double.interact(&endpoint, json!({ "custom_id": "form", "fields": { "reason": "x".repeat(11) } })).await;
    assert_eq!(long.status, 400);
    endpoint.will(Reply::Json(json!({ "type": 6 })));
    let wanted = json!({ "custom_id": "form", "fields": { "reason": "because" }, "wait_ms": 0 });
    double.interact(&endpoint, wanted).await;
    let sent = endpoint.received().await;
    assert_eq!(sent["type"], 5);
    assert_eq!(sent["data"]["components"][0]["components"][0]["value"], "because");
}

#[tokio::test]
async fn a_message_the_bot_wrote_by_itself_has_components_too() {
    let (double, endpoint) = stats().await;
    let (channel, now, bot) = (double.channel(), double.now(), double.double.world().bot_id());
    let mut draft = Draft::text("press");
    draft.extras.components = vec![json!({ "type": 1, "id": 1, "components": [
        { "type": 2, "id": 2, "style": 1, "label": "x", "custom_id": "x" }] })];
    let message = double.world(|guild| guild.post(channel, Author::Account(bot), draft, now)).expect("posts");
    endpoint.will(Reply::Json(json!({ "type": 4, "data": { "content": "pressed" } })));
    let seen = double.interact(&endpoint, json!({ "custom_id": "x", "message_id": message })).await;
    assert_eq!(seen.body["content"], "pressed", "{seen:?}");
}

#[tokio::test]
async fn autocomplete_offers_choices() {
    let (double, endpoint) = stats().await;
    endpoint.will(Reply::Json(json!({ "type": 8, "data": { "choices": [{ "name": "A week", "value": "7d" }] } })));
    let seen = double.interact(&endpoint, json!({ "command": "/stats server period:A", "focused": "period" })).await;
    assert_eq!(seen.body["choices"][0]["value"], "7d", "{seen:?}");
    let sent = endpoint.received().await;
    assert_eq!((&sent["type"], &sent["data"]["options"][0]["options"][0]["focused"]), (&json!(4), &json!(true)));
}

#[tokio::test]
async fn commands_are_hidden_from_those_who_lack_their_permissions() {
    let (double, endpoint) = stats().await;
    let command = json!({ "name": "setup", "description": "Settings", "default_member_permissions": "32" });
    double.ok("POST", &format!("/applications/{APP}/commands"), Some(command)).await;
    let wanted = json!({ "command": "/setup", "user_id": double.nobody() });
    assert_eq!(double.interact(&endpoint, wanted).await.status, 400);
    endpoint.will(Reply::Json(json!({ "type": 4, "data": { "content": "welcome" } })));
    assert_eq!(double.interact(&endpoint, json!({ "command": "/setup" })).await.body["content"], "welcome");
}

#[tokio::test]
async fn the_probe_tells_careful_endpoints_from_credulous_ones() {
    let double = Harness::start().await;
    let careful = Endpoint::start(Some(&public_key())).await;
    let credulous = Endpoint::start(None).await;
    let found = double.control("/interactions/probe", &json!({ "endpoint": careful.url })).await.body;
    assert_eq!(
        (&found["accepted"], &found["pong"], &found["refused_bad_signature"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!(careful.received().await["type"], 1);
    let found = double.control("/interactions/probe", &json!({ "endpoint": credulous.url })).await.body;
    assert_eq!(
        (&found["accepted"], &found["pong"], &found["bad_signature_status"]),
        (&json!(false), &json!(true), &json!(200))
    );
}
