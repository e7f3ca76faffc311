//! Envelopes become numbers, exactly once.
//!
//! [`apply`] is one transaction over many envelopes:
//!
//! 1. lock their sessions, those they report lost alone, and the rows of their sessions and classes, in order, and drop the events whose sequence was counted before;
//! 2. upsert gauges and coverage gaps, which have identities of their own;
//! 3. lock the rows of the guilds that change, in order: from here on a guild's numbers change in one transaction at a
//!    time, so that time in voice can be derived from what is stored;
//! 4. COPY the raw events, store voice transitions, derive time in voice for the members touched;
//! 5. upsert the counters in the order of their keys, mark the hours whose snapshots are now old, add the sequences.
//!
//! **Invariant:** a redelivery, a replay, an overlap or another order of delivery ends in the same numbers.
//! **Invariant:** every lock is taken in the same order by everybody (sessions, sequences, gauges and gaps, guilds,
//! the rest by guild), so ingest never deadlocks with itself.
//! **Invariant:** no counter is written outside this transaction, and none is derived later from raw events, which are
//! gone after thirty days.

mod check;
mod copy;
mod counters;
mod gaps;
mod guilds;
mod ranges;
mod sources;
mod stuck;
mod tally;
mod voice;

use guildhall_domain::{EventKind, GuildId, Timestamp};
use guildhall_wire::{Envelope, Event, EventBody};
use sqlx::{Connection as _, PgConnection};

use crate::StoreError;
use crate::limits::Limits;
use crate::timed::Timed;
use guilds::{Changes, Guilds};
use tally::Tally;

pub use check::{Unacceptable, check};
pub(crate) use guilds::{zone_at, zones};
pub use stuck::end_stuck;

/// What a batch amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Events taken in now, those included that only say who is in voice.
    pub events: u64,
    /// Events that had been taken in before.
    pub duplicates: u64,
    /// Guilds of which some number changed.
    pub guilds: u64,
}

/// An event that was not counted before, with where it came from.
#[derive(Clone, Copy)]
struct Fresh<'a> {
    envelope: &'a Envelope,
    event: &'a Event,
    /// The row of its session and class.
    source: i64,
}

/// Counts the envelopes, in one transaction. Each must have passed [`check`].
///
/// # Errors
/// When the database does not carry it out; nothing was counted then.
pub async fn apply(db: &mut PgConnection, envelopes: &[&Envelope], now: Timestamp) -> Result<Applied, StoreError> {
    let _timed = Timed::begin("ingest");
    let mut tx = db.begin().await?;
    Limits::INGEST.set(&mut tx).await?;
    gaps::lock(&mut tx, envelopes).await?;
    let mut sources = sources::lock(&mut tx, envelopes, now).await?;
    let mut fresh = Vec::new();
    let mut applied = Applied::default();
    for envelope in envelopes {
        let Some(range) = envelope.range else { continue };
        let source = sources.of(envelope)?;
        let before = fresh.len();
        fresh.extend(envelope.events.iter().filter(|event| !source.counted.contains(event.seq)).map(|event| Fresh {
            envelope,
            event,
            source: source.id,
        }));
        applied.events += (fresh.len() - before) as u64;
        applied.duplicates += (envelope.events.len() - (fresh.len() - before)) as u64;
        source.add(range);
    }

    let mut changes = Changes::default();
    for Fresh { event, .. } in &fresh {
        changes.note(event);
    }
    for (guild, slot) in guilds::upsert_gauges(&mut tx, envelopes).await? {
        changes.note_gauge(guild, slot);
    }
    let lost = gaps::upsert(&mut tx, envelopes).await?;
    for (guild, at) in voice::guilds_of(&mut tx, &lost).await? {
        changes.note_stay(guild, at);
    }
    let guilds = guilds::lock(&mut tx, &changes, now).await?;
    applied.guilds = guilds.len() as u64;

    let mut tally = Tally::default();
    for Fresh { event, .. } in &fresh {
        count(&mut tally, &guilds, event);
    }
    copy::events(&mut tx, &fresh).await?;
    voice::apply(&mut tx, &fresh, &lost, &guilds, &mut tally).await?;
    counters::upsert(&mut tx, &tally, &guilds).await?;
    counters::mark_hours(&mut tx, &tally, &changes, now).await?;
    sources.store(&mut tx, now).await?;
    tx.commit().await?;
    Ok(applied)
}

/// Stores the raw rows of these envelopes and counts nothing: what a benchmark sets beside a bare COPY.
///
/// # Errors
/// When the database does not carry it out.
pub async fn raw(db: &mut PgConnection, envelopes: &[&Envelope], source: i64) -> Result<(), StoreError> {
    let fresh: Vec<_> = envelopes
        .iter()
        .flat_map(|envelope| envelope.events.iter().map(|event| Fresh { envelope, event, source }))
        .collect();
    copy::events(db, &fresh).await
}

fn count(tally: &mut Tally, guilds: &Guilds, event: &Event) {
    match event.body {
        EventBody::Count { kind, channel, member, .. } => {
            let day = guilds.zone_at(event.guild, event.at).date_of(event.at);
            let kind = i16::from(kind.code());
            tally.add(tally::Cell { guild: event.guild, channel, member, kind, at: event.at, day }, 1);
            if let Some(member) = member {
                tally.see(event.guild, member, event.at);
            }
        }
        EventBody::VoicePresent { member, .. } => tally.see(event.guild, member, event.at),
        EventBody::VoiceRoster => {}
    }
}

/// Whether the event says who is in voice by saying that nobody is: a roster, or the loss of the guild, after which
/// Discord says nothing about its voice channels until the next roster.
const fn empties_voice(event: &Event) -> bool {
    matches!(event.body, EventBody::VoiceRoster | EventBody::Count { kind: EventKind::GuildDelete, .. })
}

/// The guild ids of a column.
fn ids(guilds: impl IntoIterator<Item = GuildId>) -> Vec<i64> {
    guilds.into_iter().map(GuildId::to_db).collect()
}
