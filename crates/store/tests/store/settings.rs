//! Settings: revisions, conflicts, and what is written with them.

use std::time::Duration;

use guildhall_domain::{GuildSettings, Language, PriorityClass, Timestamp};
use guildhall_store::settings::{self, Saved};
use guildhall_store::{Connection as _, ingest};
use guildhall_test_kit::until;

use crate::support::{NOW, database, envelope, guild, message, user};

fn french() -> GuildSettings {
    GuildSettings { language: Language::French, ..GuildSettings::default() }
}

fn parisian() -> GuildSettings {
    GuildSettings { time_zone: "Europe/Paris".parse().expect("a zone"), ..french() }
}

#[tokio::test]
async fn what_was_saved_is_found_with_its_revision() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    assert_eq!(settings::find(&mut db, guild(1)).await.expect("asked"), None);
    let saved = settings::save(&mut db, guild(1), &french(), None, user(9), NOW).await.expect("saved");
    assert_eq!(saved, Saved::Done { revision: 1 });
    let stored = settings::find(&mut db, guild(1)).await.expect("asked").expect("settings");
    assert_eq!((stored.settings, stored.revision, stored.updated_by), (french(), 1, user(9)));
    assert_eq!(stored.updated_at, NOW);
    let saved = settings::save(&mut db, guild(1), &parisian(), Some(1), user(8), NOW).await.expect("saved");
    assert_eq!(saved, Saved::Done { revision: 2 });
    assert_eq!(settings::find(&mut db, guild(2)).await.expect("asked"), None, "another guild's are its own");
}

#[tokio::test]
async fn an_author_who_saw_an_older_revision_writes_nothing() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    settings::save(&mut db, guild(1), &french(), None, user(9), NOW).await.expect("saved");
    for seen in [None, Some(7)] {
        let saved = settings::save(&mut db, guild(1), &parisian(), seen, user(8), NOW).await.expect("answered");
        let Saved::Conflict(stored) = saved else { panic!("not a conflict: {saved:?}") };
        assert_eq!((stored.settings, stored.revision), (french(), 1));
    }
    let rows: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM guild_setting_revisions), (SELECT count(*) FROM audit_logs),
             (SELECT count(*) FROM guild_time_zones)",
    )
    .fetch_one(&mut *db)
    .await
    .expect("counts");
    assert_eq!(rows, (1, 1, 1));
}

#[tokio::test]
async fn of_concurrent_saves_of_one_revision_one_wins() {
    let database = database().await;
    for (round, expected) in [None, Some(1), Some(2)].into_iter().enumerate() {
        let save = async |language, zone: &str| {
            let mut db = database.pool().acquire().await.expect("a connection");
            let mut wanted = GuildSettings { language, time_zone: zone.parse().expect("a zone"), ..french() };
            wanted.modules.clear();
            if round == 1 {
                wanted.modules.extend(guildhall_domain::Module::ALL);
            }
            settings::save(&mut db, guild(1), &wanted, expected, user(9), NOW).await.expect("answered")
        };
        let saves = tokio::join!(save(Language::English, "Asia/Tokyo"), save(Language::French, "Europe/Paris"));
        let revision = i64::try_from(round).expect("small") + 1;
        let won = [&saves.0, &saves.1].into_iter().filter(|saved| **saved == Saved::Done { revision }).count();
        assert_eq!(won, 1, "{saves:?}");
    }
    let revisions: Vec<i64> = sqlx::query_scalar("SELECT revision FROM guild_setting_revisions ORDER BY revision")
        .fetch_all(database.pool())
        .await
        .expect("rows");
    assert_eq!(revisions, [1, 2, 3]);
}

#[tokio::test]
async fn equal_settings_keep_their_revision() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    settings::save(&mut db, guild(1), &french(), None, user(9), NOW).await.expect("saved");
    let again = settings::save(&mut db, guild(1), &french(), Some(1), user(9), NOW).await.expect("answered");
    assert_eq!(again, Saved::Done { revision: 1 });
}

#[tokio::test]
async fn a_zone_applies_from_the_instant_it_was_chosen() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    settings::save(&mut db, guild(1), &french(), None, user(9), NOW).await.expect("saved");
    settings::save(&mut db, guild(1), &parisian(), Some(1), user(9), NOW.plus_millis(5)).await.expect("saved");
    let english = GuildSettings { language: Language::English, ..parisian() };
    settings::save(&mut db, guild(1), &english, Some(2), user(9), NOW.plus_millis(9)).await.expect("saved");
    let zones: Vec<String> = sqlx::query_scalar("SELECT time_zone FROM guild_time_zones ORDER BY since")
        .fetch_all(&mut *db)
        .await
        .expect("rows");
    assert_eq!(zones, ["UTC", "Europe/Paris"], "a change of language is no change of zone");
    let actions: Vec<(i64, String)> =
        sqlx::query_as("SELECT actor_id, action FROM audit_logs ORDER BY id").fetch_all(&mut *db).await.expect("rows");
    assert_eq!(actions, vec![(9, "settings.save".to_owned()); 3]);
}

#[tokio::test]
async fn a_zone_waits_for_what_is_being_counted_and_begins_after_it() {
    let database = database().await;
    let pool = database.pool();
    let mut ingesting = pool.acquire().await.expect("a connection");
    // First with a guild that nobody knew, then with one that has its row.
    for (seq, expected) in [(2, None), (3, Some(1))] {
        let now = NOW.plus_millis(i64::try_from(seq).expect("small") * 60_000);
        let mut tx = ingesting.begin().await.expect("begun");
        let events = envelope("s", PriorityClass::High, vec![message(seq, now)]);
        ingest::apply(&mut tx, &[&events], now).await.expect("counted");
        let zone = if expected.is_some() { "Asia/Tokyo" } else { "Europe/Paris" };
        let wanted = GuildSettings { time_zone: zone.parse().expect("a zone"), ..french() };
        let save = async {
            let mut db = pool.acquire().await.expect("a connection");
            settings::save(&mut db, guild(1), &wanted, expected, user(9), now.plus_millis(-1)).await.expect("saved")
        };
        let commit = async {
            until("the save waits", Duration::from_secs(20), || async {
                let waiting: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%guilds%'",
                )
                .fetch_one(pool)
                .await
                .expect("a number");
                (waiting == 1).then_some(())
            })
            .await;
            tx.commit().await.expect("committed");
        };
        tokio::join!(save, commit);
        let since: i64 =
            sqlx::query_scalar("SELECT (extract(epoch FROM max(since)) * 1000)::bigint FROM guild_time_zones")
                .fetch_one(pool)
                .await
                .expect("a number");
        assert_eq!(Timestamp::from_millis(since), now, "not when the author asked, but where counting had come to");
    }
}
