//! The counters held against each other.

use guildhall_domain::PriorityClass;
use guildhall_store::audit;

use crate::support::{apply, at, databases, envelope, guild, message};

#[tokio::test]
async fn each_counter_that_was_tampered_with_is_named() {
    for database in databases().await {
        let pool = database.pool();
        let noon = at("2026-05-01T12:00:00Z");
        apply(pool, &[envelope("s", PriorityClass::High, (2..=9).map(|seq| message(seq, noon)).collect())]).await;
        let mut db = pool.acquire().await.expect("a connection");
        assert_eq!(audit::disagreements(&mut db).await.expect("readable"), []);

        for (counter, column) in [
            ("guild_quarters", "count"),
            ("channel_quarters", "count"),
            ("member_days", "count"),
            ("member_stats", "messages"),
        ] {
            let change = |by: i32| sqlx::AssertSqlSafe(format!("UPDATE {counter} SET {column} = {column} + {by}"));
            sqlx::query(change(1)).execute(&mut *db).await.expect("written");
            let found = audit::disagreements(&mut db).await.expect("readable");
            assert!(!found.is_empty(), "{counter}");
            for row in &found {
                assert_eq!((row.counter.as_str(), row.guild, row.found), (counter, guild(1), row.expected + 1));
            }
            sqlx::query(change(-1)).execute(&mut *db).await.expect("written");
        }
        assert_eq!(audit::disagreements(&mut db).await.expect("readable"), []);
    }
}
