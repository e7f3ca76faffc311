//! The rows that say which sequences of a session and class were counted.

use std::collections::{BTreeMap, HashMap};

use guildhall_domain::Timestamp;
use guildhall_wire::{Envelope, SeqRange};
use sqlx::PgConnection;

use super::ranges::Sequences;
use crate::StoreError;

/// One session and class.
pub(super) struct Source {
    /// The row's id, by which raw events name it.
    pub(super) id: i64,
    /// What was counted, this batch included as far as it was read.
    pub(super) counted: Sequences,
    added: Sequences,
    class_map: i16,
}

impl Source {
    pub(super) fn add(&mut self, range: SeqRange) {
        if !self.counted.includes(range) {
            self.counted.insert(range);
            self.added.insert(range);
        }
    }
}

/// The sessions and classes of a batch, locked.
pub(super) struct Sources(HashMap<String, BTreeMap<i16, Source>>);

/// Locks the rows of the envelopes' sessions and classes, and makes those that are missing.
pub(super) async fn lock(
    db: &mut PgConnection,
    envelopes: &[&Envelope],
    now: Timestamp,
) -> Result<Sources, StoreError> {
    let wanted: BTreeMap<(&str, i16), &Envelope> = envelopes
        .iter()
        .filter(|envelope| envelope.range.is_some())
        .map(|envelope| ((envelope.session_id.as_str(), envelope.class.code()), *envelope))
        .collect();
    if wanted.is_empty() {
        return Ok(Sources(HashMap::new()));
    }
    let session_ids: Vec<String> = wanted.keys().map(|(session, _)| (*session).to_owned()).collect();
    let classes: Vec<i16> = wanted.keys().map(|(_, class)| *class).collect();
    let column = |of: fn(&Envelope) -> u32| -> Vec<i32> {
        wanted.values().map(|envelope| of(envelope).try_into().unwrap_or(i32::MAX)).collect()
    };
    let started: Vec<_> = wanted.values().map(|envelope| envelope.session_started.to_utc()).collect();
    let class_maps: Vec<i16> =
        wanted.values().map(|envelope| envelope.class_map.try_into().unwrap_or(i16::MAX)).collect();
    sqlx::query!(
        "INSERT INTO gateway_sequences
             (session_id, class, class_map, shard_id, shard_count, session_started, updated_at)
         SELECT session_id, class, class_map, shard_id, shard_count, session_started, $7
         FROM unnest($1::text[], $2::smallint[], $3::smallint[], $4::integer[], $5::integer[], $6::timestamptz[])
             AS new (session_id, class, class_map, shard_id, shard_count, session_started)
         WHERE NOT EXISTS (SELECT FROM gateway_sequences known
                           WHERE known.session_id = new.session_id AND known.class = new.class)
         ORDER BY session_id COLLATE \"C\", class
         ON CONFLICT (session_id, class) DO NOTHING",
        &session_ids,
        &classes,
        &class_maps,
        &column(|envelope| envelope.shard.id),
        &column(|envelope| envelope.shard.count),
        &started,
        now.to_utc(),
    )
    .execute(&mut *db)
    .await?;
    let rows = sqlx::query!(
        r#"SELECT id, session_id, class, class_map, counted::text AS "counted!" FROM gateway_sequences
           JOIN unnest($1::text[], $2::smallint[]) AS wanted (session_id, class) USING (session_id, class)
           ORDER BY session_id, class FOR UPDATE OF gateway_sequences"#,
        &session_ids,
        &classes,
    )
    .fetch_all(db)
    .await?;
    let mut sources: HashMap<String, BTreeMap<i16, Source>> = HashMap::new();
    for row in rows {
        let unreadable = StoreError::Unreadable { table: "gateway_sequences", what: "not a set of sequences" };
        let counted = Sequences::from_sql(&row.counted).ok_or(unreadable)?;
        let source = Source { id: row.id, counted, added: Sequences::default(), class_map: row.class_map };
        sources.entry(row.session_id).or_default().insert(row.class, source);
    }
    let mut sources = Sources(sources);
    for envelope in envelopes.iter().filter(|envelope| envelope.range.is_some()) {
        // A range says which sequences of its class were counted: under two maps it would say two things.
        if i16::try_from(envelope.class_map) != Ok(sources.of(envelope)?.class_map) {
            let what = "a session keeps the class map it began with";
            return Err(StoreError::Contradiction { table: "gateway_sequences", what });
        }
    }
    Ok(sources)
}

impl Sources {
    /// The source of an envelope with a range.
    pub(super) fn of(&mut self, envelope: &Envelope) -> Result<&mut Source, StoreError> {
        self.0
            .get_mut(&envelope.session_id)
            .and_then(|classes| classes.get_mut(&envelope.class.code()))
            .ok_or(StoreError::Unreadable { table: "gateway_sequences", what: "a row vanished under its lock" })
    }

    /// Adds the sequences of this batch.
    pub(super) async fn store(self, db: &mut PgConnection, now: Timestamp) -> Result<(), StoreError> {
        let (ids, added): (Vec<i64>, Vec<String>) = self
            .0
            .values()
            .flat_map(BTreeMap::values)
            .filter(|source| !source.added.is_empty())
            .map(|source| (source.id, source.added.to_sql()))
            .unzip();
        if ids.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "UPDATE gateway_sequences SET counted = counted + new.added::int8multirange, updated_at = $3
             FROM unnest($1::bigint[], $2::text[]) AS new (id, added) WHERE gateway_sequences.id = new.id",
            &ids,
            &added,
            now.to_utc(),
        )
        .execute(db)
        .await?;
        Ok(())
    }
}
