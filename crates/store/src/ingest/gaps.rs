//! Coverage gaps: what is not known of a session that was lost.
//!
//! A gap can arrive before or after what is derived from it. So that neither misses the other, a transaction that counts
//! for a session shares a lock on it, and one that reports it lost has the lock alone: either the session's rows are
//! there when the report looks for them, or the report is there when they are written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use guildhall_domain::{GuildId, ShardId, Timestamp};
use guildhall_wire::Envelope;
use sqlx::PgConnection;

use crate::StoreError;

/// Locks the envelopes' sessions, in order.
pub(super) async fn lock(db: &mut PgConnection, envelopes: &[&Envelope]) -> Result<(), StoreError> {
    let mut sessions: BTreeMap<&str, bool> = BTreeMap::new();
    for envelope in envelopes {
        if envelope.range.is_some() {
            sessions.entry(&envelope.session_id).or_default();
        }
        sessions.extend(envelope.gaps.iter().map(|gap| (gap.lost_session.as_str(), true)));
    }
    if sessions.is_empty() {
        return Ok(());
    }
    let (ids, lost): (Vec<String>, Vec<bool>) = sessions.into_iter().map(|(id, lost)| (id.to_owned(), lost)).unzip();
    sqlx::query!(
        "SELECT CASE WHEN lost THEN pg_advisory_xact_lock(key) ELSE pg_advisory_xact_lock_shared(key) END FROM (
             SELECT hashtextextended(session_id, 2) AS key, bool_or(lost) AS lost
             FROM unnest($1::text[], $2::boolean[]) AS named (session_id, lost) GROUP BY key ORDER BY key
         ) keys",
        &ids,
        &lost,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// From when on nothing is known of sessions.
pub(super) struct Losses(HashMap<String, Vec<(ShardId, Timestamp)>>);

impl Losses {
    /// From when on nothing is known of the session in this guild.
    pub(super) fn of(&self, guild: GuildId, session: &str) -> Option<Timestamp> {
        let gaps = self.0.get(session)?.iter();
        gaps.filter(|(shard, _)| *shard == ShardId::for_guild(guild, shard.count)).map(|(_, from)| *from).min()
    }
}

/// What is known to be lost of these sessions.
pub(super) async fn load(db: &mut PgConnection, sessions: &BTreeSet<&str>) -> Result<Losses, StoreError> {
    let mut losses: HashMap<String, Vec<_>> = HashMap::new();
    if sessions.is_empty() {
        return Ok(Losses(losses));
    }
    let sessions: Vec<String> = sessions.iter().map(|session| (*session).to_owned()).collect();
    let rows = sqlx::query!(
        "SELECT shard_id, shard_count, lost_session, gap_from FROM coverage_gaps WHERE lost_session = ANY($1)",
        &sessions,
    )
    .fetch_all(db)
    .await?;
    for row in rows {
        let shard = ShardId { id: row.shard_id.unsigned_abs(), count: row.shard_count.unsigned_abs() };
        losses.entry(row.lost_session).or_default().push((shard, Timestamp::from_utc(row.gap_from)));
    }
    Ok(Losses(losses))
}

/// Stores the envelopes' coverage gaps. Two reports of one lost session make one gap that holds both.
/// Returns the lost sessions of which something new is known.
pub(super) async fn upsert(db: &mut PgConnection, envelopes: &[&Envelope]) -> Result<Vec<String>, StoreError> {
    let mut gaps: BTreeMap<(i32, i32, &str), (i64, Timestamp, Timestamp)> = BTreeMap::new();
    for envelope in envelopes {
        for gap in &envelope.gaps {
            let int4 = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
            let after_seq = i64::try_from(gap.after_seq).unwrap_or(i64::MAX);
            let merged = gaps
                .entry((int4(envelope.shard.id), int4(envelope.shard.count), gap.lost_session.as_str()))
                .or_insert((after_seq, gap.from, gap.to));
            *merged = (merged.0.min(after_seq), merged.1.min(gap.from), merged.2.max(gap.to));
        }
    }
    if gaps.is_empty() {
        return Ok(Vec::new());
    }
    let shard_ids: Vec<i32> = gaps.keys().map(|(id, ..)| *id).collect();
    let shard_counts: Vec<i32> = gaps.keys().map(|(_, count, _)| *count).collect();
    let sessions: Vec<String> = gaps.keys().map(|(_, _, session)| (*session).to_owned()).collect();
    let after_seqs: Vec<i64> = gaps.values().map(|gap| gap.0).collect();
    let from: Vec<_> = gaps.values().map(|gap| gap.1.to_utc()).collect();
    let to: Vec<_> = gaps.values().map(|gap| gap.2.to_utc()).collect();
    let changed = sqlx::query_scalar!(
        "INSERT INTO coverage_gaps AS known (shard_id, shard_count, lost_session, after_seq, gap_from, gap_to)
         SELECT shard_id, shard_count, lost_session, after_seq, gap_from, gap_to
         FROM unnest($1::integer[], $2::integer[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
             AS new (shard_id, shard_count, lost_session, after_seq, gap_from, gap_to)
         ORDER BY shard_id, shard_count, lost_session COLLATE \"C\"
         ON CONFLICT (shard_id, shard_count, lost_session) DO UPDATE SET
             after_seq = least(known.after_seq, excluded.after_seq),
             gap_from = least(known.gap_from, excluded.gap_from),
             gap_to = greatest(known.gap_to, excluded.gap_to)
         WHERE (known.after_seq, known.gap_from, known.gap_to) IS DISTINCT FROM
             (least(known.after_seq, excluded.after_seq), least(known.gap_from, excluded.gap_from),
              greatest(known.gap_to, excluded.gap_to))
         RETURNING lost_session",
        &shard_ids,
        &shard_counts,
        &sessions,
        &after_seqs,
        &from,
        &to,
    )
    .fetch_all(db)
    .await?;
    Ok(changed)
}
