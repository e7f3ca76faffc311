//! `/setup`, pressed through as a person would.

use guildhall_domain::{GuildSettings, Language, Module, UserId};
use guildhall_store::settings::{self, Saved};
use serde_json::{Value, json};

use crate::support::{MANAGER, MEMBER, World, now};

/// The id of the button or select whose label, or placeholder, is this.
fn id_of(answer: &Value, label: &str) -> String {
    let rows = answer["data"]["components"].as_array().expect("rows");
    let all: Vec<&Value> = rows.iter().filter_map(|row| row["components"].as_array()).flatten().collect();
    let found = all.iter().find(|c| c["label"] == label || c["placeholder"] == label);
    found.unwrap_or_else(|| panic!("no {label} in {all:?}"))["custom_id"].as_str().expect("an id").to_owned()
}

async fn press(world: &World, answer: &Value, label: &str, values: &[&str]) -> Value {
    world.ask(&world.component(MANAGER, &id_of(answer, label), values)).await
}

async fn stored(world: &World) -> Option<settings::StoredSettings> {
    let mut db = world.database.pool().acquire().await.expect("a connection");
    settings::find(&mut db, world.guild).await.expect("read")
}

#[tokio::test]
async fn four_steps_and_the_guild_is_set_up() {
    let world = World::new().await;
    let language = world.ask(&world.command(MANAGER, "en-US", "setup")).await;
    insta::assert_json_snapshot!("language", language);
    let zone = press(&world, &language, "Français", &[]).await;
    insta::assert_json_snapshot!("zone", zone);
    let modules = press(&world, &zone, "Choose a city in your time zone", &["Europe/Paris"]).await;
    insta::assert_json_snapshot!("modules", modules);
    let review = press(&world, &modules, "Choose modules", &["analytics", "tickets"]).await;
    insta::assert_json_snapshot!("review", review);
    assert_eq!(stored(&world).await, None, "nothing is stored before Save");
    let saved = press(&world, &review, "Save", &[]).await;
    insta::assert_json_snapshot!("saved", saved);

    let stored = stored(&world).await.expect("settings");
    assert_eq!(stored.settings.language, Language::French);
    assert_eq!(stored.settings.time_zone.name(), "Europe/Paris");
    assert_eq!(stored.settings.modules.iter().copied().collect::<Vec<_>>(), [Module::Analytics, Module::Tickets]);
    assert_eq!((stored.revision, stored.updated_by), (1, UserId::new(MEMBER).expect("an id")));
    assert_eq!(world.database.number("SELECT count(*) FROM audit_logs").await, 1);

    let again = world.ask(&world.command(MANAGER, "en-US", "setup")).await;
    let french = again["data"]["components"][0]["components"][1].clone();
    assert_eq!((&french["label"], &french["style"]), (&json!("Français"), &json!(3)), "the current choice is marked");
}

#[tokio::test]
async fn a_zone_can_be_typed_and_a_slip_brings_suggestions() {
    let world = World::new().await;
    let language = world.ask(&world.command(MANAGER, "en-US", "setup")).await;
    let zone = press(&world, &language, "English", &[]).await;
    let modal = press(&world, &zone, "Type a name…", &[]).await;
    insta::assert_json_snapshot!("modal", modal);
    let custom_id = modal["data"]["custom_id"].as_str().expect("an id");
    let typed = |text: &str| {
        let field = json!({ "type": 4, "custom_id": "zone", "value": text });
        let components = json!([{ "type": 18, "component": field }]);
        world.interaction(5, MANAGER, "en-US", &json!({ "custom_id": custom_id, "components": components }))
    };
    let slip = world.ask(&typed("Kathmandou `@everyone`")).await;
    assert_eq!(slip["type"], 7);
    assert!(!slip.to_string().contains("`@everyone`"), "what was typed cannot break out of its quotes");
    let slip = world.ask(&typed("Kathmandou")).await;
    assert!(slip.to_string().contains("Asia/Kathmandu"), "{slip}");
    let modules = world.ask(&typed("kathmandu")).await;
    let review = press(&world, &modules, "Continue", &[]).await;
    assert!(review.to_string().contains("Asia/Kathmandu"), "{review}");
}

#[tokio::test]
async fn somebody_elses_save_meanwhile_is_shown_and_kept() {
    let world = World::new().await;
    let language = world.ask(&world.command(MANAGER, "en-US", "setup")).await;
    let zone = press(&world, &language, "English", &[]).await;
    let modules = press(&world, &zone, "Keep UTC", &[]).await;
    let review = press(&world, &modules, "Continue", &[]).await;

    let theirs = GuildSettings { time_zone: "Asia/Tokyo".parse().expect("a zone"), ..GuildSettings::default() };
    let other = UserId::new(99).expect("an id");
    let mut db = world.database.pool().acquire().await.expect("a connection");
    let saved = settings::save(&mut db, world.guild, &theirs, None, other, now()).await.expect("saved");
    assert_eq!(saved, Saved::Done { revision: 1 });
    drop(db);

    let conflict = press(&world, &review, "Save", &[]).await;
    insta::assert_json_snapshot!("conflict", conflict);
    assert_eq!(stored(&world).await.expect("settings").settings, theirs);
    press(&world, &conflict, "Save mine instead", &[]).await;
    let mine = stored(&world).await.expect("settings");
    assert_eq!((mine.revision, mine.settings.time_zone.name()), (2, "UTC"));
}

#[tokio::test]
async fn a_save_that_is_sent_twice_takes_effect_once() {
    let world = World::new().await;
    let save = world.component(MANAGER, "setup1:s:en:1::UTC", &[]);
    assert_eq!(world.ask(&save).await["type"], 7);
    let second = world.ask(&save).await;
    assert_eq!((&second["type"], &second["data"]["flags"]), (&json!(4), &json!(64)));
    assert!(second.to_string().contains("already handled"), "{second}");
    assert_eq!(world.database.number("SELECT count(*) FROM audit_logs").await, 1);
}

#[tokio::test]
async fn only_who_may_manage_the_server_gets_anywhere() {
    let world = World::new().await;
    let denied = [
        world.command("1024", "en-US", "setup"),
        world.component("1024", "setup1:l:en:1::UTC", &[]),
        world.component("1024", "setup1:s:en:1::UTC", &[]),
        world.interaction(5, "1024", "en-US", &json!({ "custom_id": "setup1:t:en:1::UTC", "components": [] })),
    ];
    for body in denied {
        let answer = world.ask(&body).await;
        assert_eq!(answer["data"]["flags"], 64);
        assert!(answer.to_string().contains("Manage Server"), "{answer}");
    }
    assert_eq!(stored(&world).await, None);
    let admin = world.ask(&world.command("8", "en-US", "setup")).await;
    assert!(admin["data"]["embeds"][0].is_object(), "an administrator may do everything");
}
