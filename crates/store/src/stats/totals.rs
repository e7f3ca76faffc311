//! Counts by kind.

use std::collections::BTreeMap;

use guildhall_domain::EventKind;

use crate::StoreError;

/// The number under which counters keep milliseconds in voice. It is no event kind and never travels.
pub(crate) const VOICE_MILLIS: i16 = 100;

/// How often each kind happened, and for how long members were in voice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Counts by kind; a kind that did not happen is absent.
    pub counts: BTreeMap<EventKind, u64>,
    /// Milliseconds in voice, of all members together. Kept this fine so that parts add up to their whole.
    pub voice_millis: u64,
}

impl Totals {
    /// How often a kind happened.
    pub fn get(&self, kind: EventKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Messages by people.
    pub fn messages(&self) -> u64 {
        self.get(EventKind::MessageCreate)
    }

    /// Reactions given. One that was taken back was given all the same.
    pub fn reactions(&self) -> u64 {
        self.get(EventKind::ReactionAdd)
    }

    /// Whole seconds in voice.
    pub const fn voice_seconds(&self) -> u64 {
        self.voice_millis / 1_000
    }

    /// Whole minutes in voice.
    pub const fn voice_minutes(&self) -> u64 {
        self.voice_millis / 60_000
    }

    /// Messages + 2 × voice minutes + reactions: what members are ranked by.
    pub fn score(&self) -> u64 {
        self.messages() + 2 * self.voice_minutes() + self.reactions()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.voice_millis == 0
    }

    /// Adds what a counter's row says.
    pub(crate) fn add(&mut self, kind: i16, count: i64) -> Result<(), StoreError> {
        let unreadable = |what| StoreError::Unreadable { table: "counters", what };
        let count = u64::try_from(count).map_err(|_| unreadable("a negative count"))?;
        if count == 0 {
            return Ok(());
        }
        if kind == VOICE_MILLIS {
            self.voice_millis += count;
            return Ok(());
        }
        let kind = u8::try_from(kind).ok().and_then(EventKind::from_code).ok_or(unreadable("an unknown kind"))?;
        *self.counts.entry(kind).or_default() += count;
        Ok(())
    }
}

/// Folds rows of (key, kind, count), sorted by key, into totals by key, in the same order.
pub(crate) fn fold<K: PartialEq>(
    rows: impl IntoIterator<Item = (K, i16, i64)>,
) -> Result<Vec<(K, Totals)>, StoreError> {
    let mut folded: Vec<(K, Totals)> = Vec::new();
    for (key, kind, count) in rows {
        if folded.last().is_none_or(|(last, _)| *last != key) {
            folded.push((key, Totals::default()));
        }
        if let Some((_, totals)) = folded.last_mut() {
            totals.add(kind, count)?;
        }
    }
    folded.retain(|(_, totals)| !totals.is_empty());
    Ok(folded)
}

/// Sums rows of (kind, count).
pub(crate) fn sum(rows: impl IntoIterator<Item = (i16, i64)>) -> Result<Totals, StoreError> {
    let mut totals = Totals::default();
    for (kind, count) in rows {
        totals.add(kind, count)?;
    }
    Ok(totals)
}
