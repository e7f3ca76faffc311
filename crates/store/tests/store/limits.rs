//! What a function leaves behind when it is stopped in the middle of a transaction does not stay.

use guildhall_domain::{GuildSettings, PriorityClass};
use guildhall_store::{Connection as _, PgConnection, ingest, rollup, settings};

use crate::support::{NOW, database, envelope, guild, message, user};

const SETTINGS: [&str; 4] =
    ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "tcp_keepalives_idle"];

async fn current(db: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT current_setting(name) FROM unnest($1::text[]) AS name")
        .bind(SETTINGS)
        .fetch_all(db)
        .await
        .expect("settings")
}

#[tokio::test]
async fn every_transaction_that_ingest_waits_for_is_limited_and_nothing_else_is() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    let unlimited = current(&mut db).await;
    for what in ["ingest", "refresh", "save"] {
        let mut tx = db.begin().await.expect("begun");
        match what {
            "ingest" => {
                let counted = envelope("s", PriorityClass::High, vec![message(2, NOW)]);
                ingest::apply(&mut tx, &[&counted], NOW).await.expect("counted");
            }
            "refresh" => {
                rollup::refresh(&mut tx, NOW, 1).await.expect("refreshed");
            }
            _ => {
                let chosen = GuildSettings::default();
                settings::save(&mut tx, guild(1), &chosen, None, user(9), NOW).await.expect("saved");
            }
        }
        let limited = current(&mut tx).await;
        assert!(limited.iter().zip(&unlimited).all(|(set, usual)| set != "0" && set != usual), "{what}: {limited:?}");
        tx.commit().await.expect("committed");
        assert_eq!(current(&mut db).await, unlimited, "{what}");
    }
}

#[tokio::test]
async fn a_save_gives_up_on_a_lock_that_stays() {
    let database = database().await;
    let pool = database.pool();
    let mut holder = pool.acquire().await.expect("a connection");
    let mut held = holder.begin().await.expect("begun");
    ingest::apply(&mut held, &[&envelope("s", PriorityClass::High, vec![message(2, NOW)])], NOW)
        .await
        .expect("counted");
    let mut db = pool.acquire().await.expect("a connection");
    let error = settings::save(&mut db, guild(1), &GuildSettings::default(), None, user(9), NOW).await;
    let error = error.expect_err("the lock is held");
    assert!(!error.is_data(), "trying again can help");
}
