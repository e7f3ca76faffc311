//! The usual way: `INSERT … VALUES` of many rows.

use anyhow::Result;
use sqlx::{Connection as _, PgConnection, Postgres, QueryBuilder};

use crate::traffic::Row;

const ROWS: usize = 1_000;

/// Inserts the rows in one transaction.
pub(super) async fn insert(db: &mut PgConnection, rows: &[Row]) -> Result<()> {
    let mut tx = db.begin().await?;
    for some in rows.chunks(ROWS) {
        let mut insert = QueryBuilder::<Postgres>::new(
            "INSERT INTO events (ts, guild_id, channel_id, user_id, target_id, source_id, seq, idx, shard_id, kind) ",
        );
        insert.push_values(some, |mut values, row| {
            values.push_bind(row.at.to_utc()).push_bind(row.guild).push_bind(row.channel).push_bind(row.user);
            values.push_bind(row.target).push_bind(1_i64).push_bind(row.seq).push_bind(row.idx);
            values.push_bind(row.shard).push_bind(row.kind);
        });
        insert.build().execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}
