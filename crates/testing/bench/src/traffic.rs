//! The recording as ingest gets it: transactions of envelopes, each round a session of its own.

use anyhow::Result;
use guildhall_domain::{ChannelId, Timestamp, UserId};
use guildhall_wire::{Envelope, Event, EventBody};

use crate::recording::{self, Recording};
use crate::{Scale, benchmarks};

/// Events in a transaction.
pub const BATCH: usize = 10_000;
const BATCHES: usize = 2;
const TINY: usize = 300;

/// After everything in the recording.
pub const NOW: Timestamp = Timestamp::from_millis(recording::START + 86_400_000);

/// Envelopes of one session.
#[derive(Debug, Clone)]
pub struct Traffic(Vec<Envelope>);

/// A raw event, flat, as every contestant stores it.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct Row {
    pub at: Timestamp,
    pub guild: i64,
    pub channel: Option<i64>,
    pub user: Option<i64>,
    pub target: Option<i64>,
    pub seq: i64,
    pub idx: i32,
    pub shard: i32,
    pub kind: i16,
}

impl Traffic {
    /// Records enough for a round.
    ///
    /// # Errors
    /// When the double breaks off.
    pub fn record() -> Result<Self> {
        let recording = Recording::of(BATCH * BATCHES + BATCH / 4)?;
        benchmarks::envelopes_of(&recording).map(Self)
    }

    /// The round's transactions, in the session of this name; each envelope as often as `copies` says, by its number.
    pub fn transactions(&self, scale: Scale, session: &str, copies: impl Fn(usize) -> usize) -> Vec<Vec<Envelope>> {
        let (batch, batches) = match scale {
            Scale::Full => (BATCH, BATCHES),
            Scale::Tiny => (TINY, 2),
        };
        let mut transactions = vec![Vec::new()];
        let mut held = 0;
        for (number, envelope) in self.0.iter().enumerate() {
            if held >= batch {
                if transactions.len() == batches {
                    break;
                }
                transactions.push(Vec::new());
                held = 0;
            }
            for _ in 0..copies(number) {
                held += envelope.events.len();
                let renamed = Envelope { session_id: session.to_owned(), ..envelope.clone() };
                transactions.last_mut().into_iter().for_each(|last| last.push(renamed.clone()));
            }
        }
        transactions
    }
}

/// The countable events of envelopes.
pub fn rows(envelopes: &[Envelope]) -> impl Iterator<Item = Row> + '_ {
    envelopes.iter().flat_map(|envelope| envelope.events.iter().filter_map(|event| row(envelope, event)))
}

fn row(envelope: &Envelope, event: &Event) -> Option<Row> {
    let EventBody::Count { kind, channel, member, target } = event.body else { return None };
    Some(Row {
        at: event.at,
        guild: event.guild.to_db(),
        channel: channel.map(ChannelId::to_db),
        user: member.map(UserId::to_db),
        target: target.map(u64::cast_signed),
        seq: event.seq.cast_signed(),
        idx: event.index.into(),
        shard: envelope.shard.id.cast_signed(),
        kind: kind.code().into(),
    })
}
