//! `/stats`: the numbers, who may see them, and the picture.

use guildhall_domain::{EventKind, GuildSettings, Language, Module, Timestamp, UserId};
use guildhall_store::settings;
use guildhall_wire::{CoverageGap, GuildGauges};
use serde_json::{Value, json};

use crate::support::{CHANNEL, MANAGER, World, at, now, parts};

const HOUR: i64 = 3_600_000;

fn ago(hours: i64) -> Timestamp {
    now().plus_millis(-hours * HOUR)
}

/// Twelve messages this week, ten the week before, an hour of voice, a reaction, a join, a gap and gauges.
async fn busy(world: &World) {
    let mut events = Vec::new();
    for n in 0..10 {
        events.push((ago(24 * 9 + n), EventKind::MessageCreate, 5, 7));
    }
    for n in 0..12 {
        let (channel, member) = if n < 8 { (5, 7) } else { (6, 8) };
        events.push((ago(30 + n), EventKind::MessageCreate, channel, member));
    }
    events.push((ago(20), EventKind::BotMessageCreate, 5, 50));
    events.push((ago(6), EventKind::MemberJoin, 0, 8));
    let voice = [(ago(5), EventKind::VoiceState, 9, 8), (ago(4), EventKind::VoiceState, 0, 8)];
    events.extend(voice);
    let gap = CoverageGap { lost_session: world.guild.to_string(), after_seq: 3, from: ago(50), to: ago(48) };
    let gauges = GuildGauges {
        guild: world.guild,
        slot: at("2026-11-22T12:30:00Z"),
        members: Some(1_203),
        online: None,
        in_voice: 0,
    };
    world.ingest(&events, vec![gauges], vec![gap]).await;
}

async fn set_up(world: &World, settings: GuildSettings) {
    let mut db = world.database.pool().acquire().await.expect("a connection");
    let author = UserId::new(1).expect("an id");
    settings::save(&mut db, world.guild, &settings, None, author, now()).await.expect("saved");
}

fn paris() -> GuildSettings {
    GuildSettings {
        language: Language::French,
        time_zone: "Europe/Paris".parse().expect("a zone"),
        modules: [Module::Analytics].into(),
    }
}

async fn numbers(world: &World, body: &Value) -> (Value, Vec<u8>) {
    let response = world.send(body).await;
    assert_eq!(response.status(), 200);
    let (json, png) = parts(&response);
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    assert!(png.len() < 140 * 1_024, "{} bytes", png.len());
    (json, png)
}

#[tokio::test]
async fn the_server_in_english_before_any_setup() {
    let world = World::new().await;
    busy(&world).await;
    let (answer, _) = numbers(&world, &world.stats(MANAGER, "en-US", "server", &json!([]))).await;
    insta::assert_json_snapshot!("server_en", answer);
}

#[tokio::test]
async fn what_everyone_sees_is_in_the_guilds_language() {
    let world = World::new().await;
    set_up(&world, paris()).await;
    busy(&world).await;
    let (answer, picture) = numbers(&world, &world.stats("0", "en-US", "server", &json!([]))).await;
    insta::assert_json_snapshot!("server_fr", answer);
    let own = json!([{ "name": "share", "type": 5, "value": false }]);
    let (private, other_picture) = numbers(&world, &world.stats("0", "en-US", "server", &own)).await;
    assert_eq!(private["data"]["flags"], 64);
    assert!(private.to_string().contains("Compared with"), "what one person sees is in that person's language");
    assert_ne!(picture, other_picture, "words in the picture too");
}

#[tokio::test]
async fn an_answer_never_outlives_its_numbers() {
    let world = World::new().await;
    busy(&world).await;
    let ask = world.stats("0", "en-US", "server", &json!([]));
    let (first, _) = numbers(&world, &ask).await;
    let (same, _) = numbers(&world, &ask).await;
    assert_eq!(first, same);
    world.count(&[(ago(1), EventKind::MessageCreate, 5, 7)]).await;
    let (later, _) = numbers(&world, &ask).await;
    assert!(later.to_string().contains("**13**"), "{later}");
}

#[tokio::test]
async fn a_channel_is_for_those_who_see_it() {
    let world = World::new().await;
    busy(&world).await;
    let of = |channel: &str| json!([{ "name": "channel", "type": 7, "value": channel }]);
    let (here, _) = numbers(&world, &world.stats("0", "en-US", "channel", &json!([]))).await;
    insta::assert_json_snapshot!("channel", here);
    let (other, _) = numbers(&world, &world.stats("0", "en-US", "channel", &of("6"))).await;
    assert!(other.to_string().contains("<#6>"));
    let hidden = world.ask(&world.stats("0", "en-US", "channel", &of("66"))).await;
    assert!(hidden.to_string().contains("cannot see that channel"), "{hidden}");
}

#[tokio::test]
async fn another_channels_numbers_are_posted_only_by_somebody_entitled() {
    let world = World::new().await;
    busy(&world).await;
    let of = |channel: u64, share: Option<bool>| {
        let mut options = vec![json!({ "name": "channel", "type": 7, "value": channel.to_string() })];
        options.extend(share.map(|share| json!({ "name": "share", "type": 5, "value": share })));
        Value::from(options)
    };
    let cases = [
        // This channel, named or not: everyone here sees it.
        ("0", of(CHANNEL, None), false),
        ("0", of(CHANNEL, Some(true)), false),
        ("0", of(CHANNEL, Some(false)), true),
        ("0", of(6, None), true),
        ("0", of(6, Some(true)), true),
        (MANAGER, of(6, None), true),
        (MANAGER, of(6, Some(true)), false),
    ];
    for (permissions, options, ephemeral) in cases {
        let (answer, _) = numbers(&world, &world.stats(permissions, "en-US", "channel", &options)).await;
        assert_eq!(answer["data"]["flags"] == json!(64), ephemeral, "{permissions} {options}");
    }
}

#[tokio::test]
async fn which_channels_are_busy_is_for_those_entitled() {
    let world = World::new().await;
    busy(&world).await;
    for (permissions, listed) in [("0", false), ("8", true), (MANAGER, true), ("524288", true), ("0", false)] {
        for subject in ["server", "member"] {
            let (answer, _) = numbers(&world, &world.stats(permissions, "en-US", subject, &json!([]))).await;
            assert_eq!(answer.to_string().contains("<#5>"), listed, "{permissions} {subject}: {answer}");
        }
        let (answer, _) = numbers(&world, &world.stats(permissions, "en-US", "server", &json!([]))).await;
        assert!(answer.to_string().contains("Most active members"), "{answer}");
    }
}

#[tokio::test]
async fn a_members_numbers_are_that_members_and_of_those_entitled() {
    let world = World::new().await;
    busy(&world).await;
    let of = |member: &str, share: bool| {
        json!([
            { "name": "member", "type": 6, "value": member },
            { "name": "share", "type": 5, "value": share },
        ])
    };
    let (own, _) = numbers(&world, &world.stats("0", "en-US", "member", &json!([]))).await;
    insta::assert_json_snapshot!("member", own);
    assert_eq!(own["data"]["flags"], 64, "for oneself unless shared");
    let (shared, _) = numbers(&world, &world.stats("0", "en-US", "member", &of("7", true))).await;
    assert_eq!(shared["data"]["flags"], Value::Null);

    let denied = world.ask(&world.stats("1024", "en-US", "member", &of("8", false))).await;
    assert!(denied.to_string().contains("View Server Insights"), "{denied}");
    // Administrator, Manage Server, View Server Insights.
    for permissions in ["8", MANAGER, "524288"] {
        let (theirs, _) = numbers(&world, &world.stats(permissions, "en-US", "member", &of("8", true))).await;
        assert_eq!(theirs["data"]["flags"], 64, "never shown around by others");
        assert!(theirs.to_string().contains("<@8>"));
    }
}

#[tokio::test]
async fn every_period_of_every_subject_draws() {
    let world = World::new().await;
    busy(&world).await;
    for subject in ["server", "channel", "member"] {
        for period in ["24h", "7d", "30d", "90d", "365d"] {
            let options = json!([{ "name": "period", "type": 3, "value": period }]);
            let response = world.send(&world.stats("0", "fr", subject, &options)).await;
            assert_eq!(response.status(), 200, "{subject} {period}");
            if (subject, period) != ("channel", "24h") {
                let (answer, _) = parts(&response);
                assert_eq!(answer["data"]["embeds"][0]["image"]["url"], "attachment://stats.png", "{subject} {period}");
            }
        }
    }
}

#[tokio::test]
async fn where_there_is_nothing_it_says_what_to_do() {
    let world = World::new().await;
    let nothing = world.ask(&world.stats("0", "en-US", "server", &json!([]))).await;
    assert_eq!(nothing["data"]["flags"], 64);
    assert!(nothing.to_string().contains("not counted anything here yet"), "{nothing}");
    busy(&world).await;
    let elsewhere = json!([{ "name": "member", "type": 6, "value": "12345" }]);
    let stranger = world.ask(&world.stats(MANAGER, "en-US", "member", &elsewhere)).await;
    assert!(stranger.to_string().contains("<@12345>: nothing was counted"), "{stranger}");
    set_up(&world, GuildSettings { modules: [].into(), ..paris() }).await;
    let off = world.ask(&world.stats("0", "en-US", "server", &json!([]))).await;
    assert!(off.to_string().contains("switched off"), "{off}");
}

#[tokio::test]
async fn nobody_is_ever_notified() {
    let world = World::new().await;
    busy(&world).await;
    let (answer, _) = numbers(&world, &world.stats("0", "en-US", "server", &json!([]))).await;
    assert_eq!(answer["data"]["allowed_mentions"], json!({ "parse": [] }));
}
