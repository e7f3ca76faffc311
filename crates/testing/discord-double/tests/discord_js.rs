//! discord.js, a client library that knows nothing of this project, logs in, calls REST, receives events and resumes.

use std::path::PathBuf;

use guildhall_discord_double::{Config, Double};
use guildhall_domain::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::process::Command;

/// Where the committed lock file was installed, if not beside it.
const DIRECTORY: &str = "GUILDHALL_DISCORDJS_DIR";

/// The folder that holds the packages of the lock file.
#[expect(clippy::disallowed_methods, reason = "where node_modules lies is the test environment's business")]
fn packages() -> PathBuf {
    let beside = PathBuf::from("tests/discordjs");
    let folder = std::env::var_os(DIRECTORY).map_or(beside, PathBuf::from);
    let installed = folder.join("node_modules/discord.js").is_dir();
    assert!(installed, "discord.js is not installed: run `cargo xtask test`, which installs what the tests need");
    folder.canonicalize().expect("a path")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discord_js_is_at_home() {
    let directory = packages();
    let double =
        Double::start(Config::new(21, Clock::fixed(Timestamp::from_secs(1_767_268_800)))).await.expect("starts");
    let script = "tests/discordjs/smoke.mjs";
    let output = Command::new("node")
        .arg(script)
        .env("DOUBLE_URL", double.base_url())
        .env("DOUBLE_TOKEN", Config::default().bot_token)
        .env("DISCORDJS_DIR", directory)
        .kill_on_drop(true)
        .output()
        .await
        .expect("node runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&told).expect("JSON");

    assert_eq!(report["ready"]["bot"], true);
    let guilds = report["ready"]["guilds"].as_array().expect("guilds");
    assert_eq!(guilds.len(), 3);
    for (guild, id) in guilds.iter().zip(double.world().guild_ids()) {
        let known = double.world().guild(id).expect("exists");
        assert_eq!((&guild["name"], &guild["available"]), (&json!(known.name), &json!(true)));
        assert!(guild["channels"].as_u64() >= Some(known.text_channels().len() as u64), "{guild}");
    }

    let messages = &report["messages"];
    let expected = json!({
        "echoed": true, "edited": "edited by discord.js", "emoji": "👍", "fetched": "edited by discord.js",
        "reactions": 1, "deleted": true,
    });
    assert_eq!(messages, &expected);

    let moderation = &report["moderation"];
    for fact in ["left", "banned", "lifted"] {
        assert_eq!(moderation[fact], true, "{fact}: {moderation}");
    }
    assert_eq!((&moderation["reason"], &moderation["bans"]), (&json!("a test ✓"), &json!(1)));
    assert_eq!(moderation["refusal"], json!({"status": 403, "code": 50_013}), "the owner cannot be banned");
    assert_eq!(moderation["unknown"], json!({"status": 404, "code": 10_013}));
    assert_eq!(moderation["members"], moderation["memberCount"], "all members came in chunks");

    let resume = &report["resume"];
    assert_eq!((&resume["same"], &resume["missing"], &resume["duplicates"]), (&json!(true), &json!([]), &json!(0)));
    assert!(resume["replayed"].as_u64() >= Some(200), "{resume}");
    assert_eq!((&resume["resumes"], &resume["resumes_elsewhere"]), (&json!(1), &json!(0)));

    let (totals, events) = (&report["counts"]["totals"], &report["counts"]["events"]);
    let total = |kinds: &[&str]| kinds.iter().filter_map(|kind| totals[kind].as_u64()).sum::<u64>();
    for (event, kinds) in [
        ("MESSAGE_CREATE", &["message_create", "bot_message_create"][..]),
        ("MESSAGE_UPDATE", &["message_update"]),
        ("MESSAGE_REACTION_ADD", &["reaction_add"]),
        ("VOICE_STATE_UPDATE", &["voice_state"]),
        ("GUILD_MEMBER_ADD", &["member_join"]),
        ("GUILD_MEMBER_REMOVE", &["member_leave"]),
        ("GUILD_BAN_ADD", &["ban_add"]),
        ("GUILD_AUDIT_LOG_ENTRY_CREATE", &["audit_log_entry"]),
        ("GUILD_CREATE", &["guild_create"]),
    ] {
        assert_eq!(events[event].as_u64(), Some(total(kinds)), "{event}: {events} {totals}");
    }
    assert_eq!(report["problems"], json!([]));
    assert_eq!(double.gateway().sessions().len(), 0, "discord.js said goodbye");
    double.stop().await;
}
