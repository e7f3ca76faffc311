//! The counters held against each other.

use guildhall_domain::{EventKind, PriorityClass};
use guildhall_store::audit;
use guildhall_wire::CoverageGap;

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

#[tokio::test]
async fn quarters_and_gaps_are_read_as_they_were_counted() {
    for database in databases().await {
        let pool = database.pool();
        let (before, after) = (at("2026-05-01T12:14:59.999Z"), at("2026-05-01T12:15:00Z"));
        let mut envelope =
            envelope("s", PriorityClass::High, vec![message(2, before), message(3, after), message(4, after)]);
        let gap = CoverageGap { lost_session: "r".to_owned(), after_seq: 7, from: before, to: after };
        envelope.gaps.push(gap.clone());
        let shard = envelope.shard;
        apply(pool, &[envelope]).await;
        let mut db = pool.acquire().await.expect("a connection");
        let quarters = audit::quarters(&mut db).await.expect("readable");
        let found: Vec<_> = quarters.iter().map(|row| (row.guild, row.quarter, row.kind, row.count)).collect();
        let kind = EventKind::MessageCreate;
        assert_eq!(found, [(guild(1), before.quarter_hour(), kind, 1), (guild(1), after.quarter_hour(), kind, 2)]);
        assert_eq!(audit::gaps(&mut db).await.expect("readable"), [(shard, gap)]);
    }
}
