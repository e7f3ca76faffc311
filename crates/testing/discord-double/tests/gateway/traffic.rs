//! Scripted traffic, the ledger and the control API of a whole double.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use guildhall_discord_double::dispatch::Sink;
use guildhall_discord_double::gateway::GatewayFault;
use guildhall_discord_double::ledger::Row;
use guildhall_discord_double::traffic::{Traffic, TrafficPlan};
use guildhall_discord_double::{Config, Double, World};
use guildhall_domain::{Clock, EventKind, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{Client, Received, identify};
use super::harness::ALL;
use super::http::call;

const NOON: Timestamp = Timestamp::from_secs(1_767_268_800);

fn config() -> Config {
    let mut config = Config::new(7, Clock::fixed(NOON));
    super::TOKEN.clone_into(&mut config.bot_token);
    config.gateway.identify_interval = std::time::Duration::ZERO;
    config.guilds[2].members = 5_000;
    config
}

fn plan(events: u64) -> TrafficPlan {
    TrafficPlan {
        events_per_second: 50_000.0,
        seed: 3,
        guild_ids: None,
        stop_after_events: Some(events),
        seconds: None,
    }
}

/// What a client counts: guild, channel, member, kind.
type Counts = BTreeMap<(String, String, String, &'static str), u64>;

/// Counts a dispatch from its JSON, as Discord documents it.
fn count(counts: &mut Counts, event: &str, d: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let guild = text(&d["guild_id"]);
    let mut add = |channel: &Value, member: &Value, kind: &'static str, times: u64| {
        *counts.entry((guild.clone(), text(channel), text(member), kind)).or_default() += times;
    };
    let (none, channel, user) = (&Value::Null, &d["channel_id"], &d["user"]["id"]);
    match event {
        "MESSAGE_CREATE" => {
            let bot = d["author"]["bot"] == true || d.get("webhook_id").is_some();
            add(channel, &d["author"]["id"], if bot { "bot_message_create" } else { "message_create" }, 1);
        }
        "MESSAGE_UPDATE" => add(channel, &d["author"]["id"], "message_update", 1),
        "MESSAGE_DELETE" => add(channel, none, "message_delete", 1),
        "MESSAGE_DELETE_BULK" => {
            add(channel, none, "message_delete", d["ids"].as_array().map_or(0, |ids| ids.len() as u64));
        }
        "MESSAGE_REACTION_ADD" => add(channel, &d["user_id"], "reaction_add", 1),
        "MESSAGE_REACTION_REMOVE" => add(channel, &d["user_id"], "reaction_remove", 1),
        "MESSAGE_REACTION_REMOVE_ALL" | "MESSAGE_REACTION_REMOVE_EMOJI" => add(channel, none, "reaction_clear", 1),
        "GUILD_MEMBER_ADD" => add(none, user, "member_join", 1),
        "GUILD_MEMBER_REMOVE" => add(none, user, "member_leave", 1),
        "GUILD_MEMBER_UPDATE" => add(none, user, "member_update", 1),
        "VOICE_STATE_UPDATE" => add(channel, &d["user_id"], "voice_state", 1),
        "GUILD_BAN_ADD" => add(none, user, "ban_add", 1),
        "GUILD_BAN_REMOVE" => add(none, user, "ban_remove", 1),
        _ => {}
    }
}

/// The kinds that [`count`] knows.
fn countable(row: &Row) -> bool {
    row.kind.code() <= EventKind::BanRemove.code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_equals_what_a_client_counted() {
    let double = Double::start(config()).await.expect("starts");
    let mut client = Client::connect(&double.gateway().url(), "zstd-stream").await;
    client.send(&identify((0, 1), ALL)).await;
    client.event("READY").await;
    for _ in 0..3 {
        client.event("GUILD_CREATE").await;
    }
    double.traffic().start(plan(20_000));
    let mut counting = JoinSet::new();
    counting.spawn(async move {
        let mut counts = Counts::new();
        loop {
            let payload = client.payload().await;
            match payload["t"].as_str() {
                Some("RESUMED") => unreachable!("nobody resumed"),
                Some(event) => count(&mut counts, event, &payload["d"]),
                // The heartbeat request below comes after the last event.
                None => return (counts, client.sequence),
            }
        }
    });
    double.traffic().finished().await;
    assert_eq!(double.traffic().status().events, 20_000);
    let waiting = async {
        while double.gateway().backlog() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.expect("the client takes it all");
    double.gateway().misbehave(GatewayFault::RequestHeartbeat { shard: None });
    let (counted, sequence) = counting.join_next().await.expect("one task").expect("counts");

    let mut ledger = Counts::new();
    for row in double.ledger().rows().into_iter().filter(countable) {
        let text = |id: Option<String>| id.unwrap_or_default();
        let key = (
            text(row.guild_id.map(|id| id.to_string())),
            text(row.channel_id.map(|id| id.to_string())),
            text(row.user_id.map(|id| id.to_string())),
            row.kind.name(),
        );
        ledger.insert(key, row.count);
    }
    assert_eq!(counted, ledger);
    assert_eq!(double.gateway().sessions()[0].sequence, sequence, "the client has the whole stream");
    let totals = double.ledger().totals();
    assert_eq!(totals[&EventKind::GuildCreate], 3);
    for kind in EventKind::ALL {
        let expected = !matches!(kind, EventKind::GuildDelete);
        assert_eq!(totals.contains_key(kind), expected, "{kind}");
    }
    double.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_cut_off_again_and_again_misses_nothing() {
    let double = Double::start(config()).await.expect("starts");
    let (mut client, ready) = Client::identified(&double.gateway().url(), (0, 1), ALL).await;
    double.traffic().start(TrafficPlan { events_per_second: 4_000.0, ..plan(4_000) });
    let mut nudge = JoinSet::new();
    let (traffic, gateway) = (double.traffic().clone(), double.gateway().clone());
    nudge.spawn(async move {
        traffic.finished().await;
        // Wakes the loop below, in case it has read everything already.
        gateway.misbehave(GatewayFault::RequestHeartbeat { shard: None });
    });
    let (mut counts, mut cuts) = (Counts::new(), 0);
    loop {
        match client.receive().await {
            Received::Payload(payload) => {
                count(&mut counts, payload["t"].as_str().unwrap_or_default(), &payload["d"]);
                if client.sequence > 150 * (cuts + 1) && double.traffic().status().running {
                    double.gateway().misbehave(GatewayFault::DropConnections { shard: None });
                    cuts += 1;
                }
            }
            Received::End(_) => client = Client::resuming(&ready, client.sequence).await,
        }
        if !double.traffic().status().running && client.sequence == double.gateway().sessions()[0].sequence {
            break;
        }
    }
    assert!(cuts >= 3, "{cuts}");
    let messages = |kind: EventKind| double.ledger().totals().get(&kind).copied().unwrap_or(0);
    let counted: u64 = counts.iter().filter(|(key, _)| key.3.ends_with("message_create")).map(|(_, count)| count).sum();
    assert_eq!(counted, messages(EventKind::MessageCreate) + messages(EventKind::BotMessageCreate));
    assert_eq!(double.ledger().lost().len(), 0);
    assert_eq!(double.gateway().counts().identifies, 1);
}

/// The events that some steps bring, without a gateway.
fn events(seed: u64, steps: usize) -> Vec<(&'static str, String)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Sink::new({
        let seen = Arc::clone(&seen);
        move |event| seen.lock().expect("no panic").push((event.event, event.data.to_string()))
    });
    let mut config = config();
    config.guilds.truncate(2);
    let world = World::new(&config, sink);
    let mut traffic = Traffic::new(seed, &world, None);
    for _ in 0..steps {
        traffic.step(&world, NOON);
    }
    std::mem::take(&mut seen.lock().expect("no panic"))
}

#[test]
fn the_same_seed_brings_the_same_events() {
    let once = events(11, 3_000);
    assert_eq!(once, events(11, 3_000));
    assert_ne!(once, events(12, 3_000));
}

#[test]
fn the_mixture_is_believable() {
    let events = events(5, 20_000);
    let share = |names: &[&str]| {
        let count = events.iter().filter(|(event, _)| names.contains(event)).count();
        f64::from(u32::try_from(count).expect("small")) / 20_000.0
    };
    let messages = share(&["MESSAGE_CREATE"]);
    assert!((0.66..0.76).contains(&messages), "{messages}");
    let voice = share(&["VOICE_STATE_UPDATE"]);
    assert!((0.03..0.07).contains(&voice), "{voice}");
    let reactions = share(&["MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"]);
    assert!((0.08..0.14).contains(&reactions), "{reactions}");
}

#[test]
fn voice_is_consistent_per_member() {
    let mut inside: BTreeMap<String, String> = BTreeMap::new();
    let (mut joins, mut moves, mut leaves) = (0, 0, 0);
    for (_, data) in events(5, 20_000).iter().filter(|(event, _)| *event == "VOICE_STATE_UPDATE") {
        let state: Value = serde_json::from_str(data).expect("JSON");
        let key = format!("{} {}", state["guild_id"], state["user_id"]);
        match state["channel_id"].as_str() {
            Some(channel) => match inside.insert(key, channel.to_owned()) {
                None => joins += 1,
                Some(_) => moves += 1,
            },
            None => {
                assert!(inside.remove(&key).is_some(), "left without having been there");
                leaves += 1;
            }
        }
    }
    assert!(joins > 100 && moves > 50 && leaves > 100, "{joins} {moves} {leaves}");
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept_and_ends_in_time() {
    let double = Double::start(config()).await.expect("starts");
    let plan = TrafficPlan { events_per_second: 150.5, stop_after_events: None, seconds: Some(20.0), ..plan(0) };
    double.traffic().start(plan);
    double.traffic().finished().await;
    let events = double.traffic().status().events;
    assert!((2_980..=3_010).contains(&events), "{events}");
}

#[tokio::test]
async fn traffic_starts_shows_and_ends_over_the_control_api() {
    let double = Double::start(config()).await.expect("starts");
    let traffic = format!("{}/_double/traffic", double.base_url());
    let (_ready, _) = Client::identified(&double.gateway().url(), (0, 1), ALL).await;
    let (status, answer) = call("GET", &traffic, None).await;
    assert_eq!((status, &answer["running"], &answer["plan"]), (200, &json!(false), &Value::Null));
    let guild = double.world().guild_ids()[1];
    let plan = json!({"events_per_second": 2_000, "seed": 9, "guild_ids": [guild], "stop_after_events": 300});
    let (status, answer) = call("POST", &traffic, Some(&plan)).await;
    assert_eq!((status, &answer["plan"]["seed"]), (200, &json!(9)));
    double.traffic().finished().await;
    let (_, rows) = call("GET", &format!("{}/_double/ledger", double.base_url()), None).await;
    let rows = rows.as_array().expect("rows");
    assert!(rows.iter().all(|row| row["guild_id"] == json!(guild) || row["kind"] == "guild_create"));
    let counted: u64 = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
    assert!(counted >= 300, "{counted}");
    let (_, totals) = call("GET", &format!("{}/_double/ledger/totals", double.base_url()), None).await;
    assert!(totals["message_create"].as_u64().expect("messages") > 150);

    let (status, _) = call("POST", &traffic, Some(&json!({"events_per_second": 500}))).await;
    assert_eq!(status, 200);
    let (_, answer) = call("DELETE", &traffic, None).await;
    assert_eq!(answer["running"], false);
    let total = double.ledger().total();
    let (_, answer) = call("GET", &traffic, None).await;
    assert_eq!((&answer["running"], double.ledger().total()), (&json!(false), total));
    let (status, _) = call("POST", &traffic, Some(&json!({"events_per_minute": 5}))).await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn guilds_sessions_and_faults_over_the_control_api() {
    let double = Double::start(config()).await.expect("starts");
    let control = format!("{}/_double", double.base_url());
    let (_, guilds) = call("GET", &format!("{control}/guilds?members=10"), None).await;
    assert_eq!(guilds.as_array().map(Vec::len), Some(3));
    let largest = &guilds[2];
    assert_eq!(largest["member_count"], 5_001);
    assert_eq!(largest["members"].as_array().map(Vec::len), Some(10));
    assert_eq!((&largest["members"][0]["rank"], &largest["members"][9]["rank"]), (&json!("owner"), &json!("bot")));
    assert_eq!(largest["channels"][0]["type"], 0);

    let (mut client, ready) = Client::identified(&double.gateway().url(), (0, 1), ALL).await;
    let (_, answer) = call("GET", &format!("{control}/ledger/sessions"), None).await;
    assert_eq!(answer["sessions"][0]["session_id"], ready["session_id"]);
    assert_eq!((&answer["sessions"][0]["shard_id"], &answer["sessions"][0]["connected"]), (&json!(0), &json!(true)));
    assert_eq!(
        (&answer["counts"]["identifies"], &answer["session_start_limit"]["remaining"]),
        (&json!(1), &json!(999))
    );

    let faults = format!("{control}/faults");
    let (status, answer) = call("POST", &faults, Some(&json!({"kind": "drop_connections", "shard": 5}))).await;
    assert_eq!((status, &answer["affected"]), (200, &json!(0)));
    let (_, answer) = call("POST", &faults, Some(&json!({"kind": "drop_session", "shard": 0}))).await;
    assert_eq!(answer["affected"], 1);
    assert_eq!(client.end().await, None);
    let (_, answer) = call("GET", &format!("{control}/ledger/sessions"), None).await;
    assert_eq!((&answer["sessions"], &answer["lost"][0]["session_id"]), (&json!([]), &ready["session_id"]));
    for wrong in [json!({"kind": "mischief"}), json!({"kind": "close"}), json!({"kind": "silence", "second": 1})] {
        let (status, _) = call("POST", &faults, Some(&wrong)).await;
        assert_eq!(status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn rest_fails_as_often_as_it_is_told_and_knows_the_identify_budget() {
    let double = Double::start(config()).await.expect("starts");
    let fault = json!({"kind": "rest_error", "status": 502, "count": 1});
    let (_, answer) = call("POST", &format!("{}/_double/faults", double.base_url()), Some(&fault)).await;
    assert_eq!(answer["affected"], 1);
    let gateway = format!("{}/api/v10/gateway", double.base_url());
    assert_eq!(call("GET", &gateway, None).await.0, 502);
    let (status, answer) = call("GET", &gateway, None).await;
    assert_eq!((status, &answer["url"]), (200, &json!(double.gateway().url())));
}
