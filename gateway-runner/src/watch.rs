//! Says what lasts, for whoever has no Prometheus: the conditions of the alerts in `infra/monitoring`, as lines of the log
//! at the level of errors, which CloudWatch counts.
//!
//! **Invariant:** one line a minute at most for each condition, and none for what heals within its patience.
//! **Invariant:** no I/O and no clock: figures and instants are handed in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use guildhall_domain::ShardId;
use tokio::time::Instant;

/// How often what lasts is said again.
const EVERY: Duration = Duration::from_secs(60);
/// How long each may last before it is said, as in `infra/monitoring/rules/alerts.yml`.
const OFFLINE: Duration = Duration::from_secs(180);
const JOURNAL: Duration = Duration::from_secs(120);
const LAG: Duration = Duration::from_secs(120);
/// What a quiet runner may have in its buffers.
const BUFFERED: u64 = 1_000;
/// The lag that is worth a word, in seconds of what is read.
const BEHIND_SECS: u64 = 120;
/// Over how long the rate of reading is taken.
const RATE_OVER: Duration = Duration::from_secs(300);

/// Lets one through each minute.
#[derive(Default)]
pub struct Minutely {
    last: Option<Instant>,
}

impl Minutely {
    /// Whether it is time to say it, once more.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.last.is_none_or(|last| now >= last + EVERY);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

/// A condition that may last.
#[derive(Default)]
struct Lasting {
    since: Option<Instant>,
    said: Minutely,
}

impl Lasting {
    fn is_due(&mut self, is_so: bool, patience: Duration, now: Instant) -> bool {
        if !is_so {
            *self = Self::default();
            return false;
        }
        now >= *self.since.get_or_insert(now) + patience && self.said.is_due(now)
    }
}

/// What is looked at.
#[derive(Clone, Default, Debug)]
pub struct Figures {
    /// Shards that should receive events and do not: this runner's, and those that nobody runs.
    pub silent: BTreeSet<ShardId>,
    /// How many bytes the journal holds, and how many it may.
    pub journal: (u64, u64),
    /// Shard → the last sequence read, and how many sequences SQS has not accepted yet.
    pub read: BTreeMap<ShardId, (u64, u64)>,
    /// IDENTIFYs left, where that is known, and how many shards there should be.
    pub identifies: (Option<u32>, u32),
}

/// What a person must look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Complaint {
    /// Shards receive nothing.
    Offline(Vec<ShardId>),
    /// The journal is so full, in hundredths.
    JournalFilling(u64),
    /// So many sequences that were read are not in SQS.
    Lag(u64),
    /// So few IDENTIFYs are left.
    BudgetLow(u32),
}

/// Remembers what lasts since when.
#[derive(Default)]
pub struct Watch {
    silent: BTreeMap<ShardId, Instant>,
    offline: Minutely,
    journal: Lasting,
    lag: Lasting,
    budget: Lasting,
    last: BTreeMap<ShardId, u64>,
    /// All that was read so far, at some instants.
    read: VecDeque<(Instant, u64)>,
}

impl Watch {
    /// What is to be said now.
    pub fn look(&mut self, figures: &Figures, now: Instant) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        self.silent.retain(|shard, _| figures.silent.contains(shard));
        for shard in &figures.silent {
            self.silent.entry(*shard).or_insert(now);
        }
        let offline: Vec<_> =
            self.silent.iter().filter(|(_, since)| now >= **since + OFFLINE).map(|(shard, _)| *shard).collect();
        if offline.is_empty() {
            self.offline = Minutely::default();
        } else if self.offline.is_due(now) {
            complaints.push(Complaint::Offline(offline));
        }
        let (held, most) = figures.journal;
        if self.journal.is_due(held > most / 2, JOURNAL, now) {
            complaints.push(Complaint::JournalFilling(held.saturating_mul(100) / most.max(1)));
        }
        let bound = BUFFERED + BEHIND_SECS * self.per_second(figures, now);
        let lag = figures.read.values().map(|(_, lag)| *lag).max().unwrap_or(0);
        if self.lag.is_due(lag > bound, LAG, now) {
            complaints.push(Complaint::Lag(lag));
        }
        let (left, shards) = figures.identifies;
        if let Some(left) = left
            && self.budget.is_due(left < shards.saturating_mul(2), Duration::ZERO, now)
        {
            complaints.push(Complaint::BudgetLow(left));
        }
        complaints
    }

    /// How many sequences a second were read lately.
    fn per_second(&mut self, figures: &Figures, now: Instant) -> u64 {
        // A shard that is new here, or that began another session, has read nothing that is known.
        let new = |(shard, (read, _)): (&ShardId, &(u64, u64))| read.saturating_sub(*self.last.get(shard)?).into();
        let new: u64 = figures.read.iter().filter_map(new).sum();
        self.last = figures.read.iter().map(|(shard, (read, _))| (*shard, *read)).collect();
        let total = self.read.back().map_or(0, |(_, total)| *total) + new;
        self.read.push_back((now, total));
        while self.read.get(1).is_some_and(|(at, _)| *at + RATE_OVER <= now) {
            self.read.pop_front();
        }
        let (at, before) = self.read.front().copied().unwrap_or((now, total));
        (total - before) / now.saturating_duration_since(at).as_secs().max(1)
    }
}

impl Complaint {
    /// Says it.
    pub fn say(&self) {
        match self {
            Self::Offline(shards) => {
                let shards: Vec<_> = shards.iter().map(ToString::to_string).collect();
                tracing::error!(count = shards.len(), shards = shards.join(" "), "shards receive nothing");
            }
            Self::JournalFilling(percent) => tracing::error!(percent, "the journal fills up"),
            Self::Lag(sequences) => tracing::error!(sequences, "what was read does not reach the event queue"),
            Self::BudgetLow(left) => tracing::error!(left, "few IDENTIFYs are left until Discord's window ends"),
        }
    }
}

#[cfg(test)]
mod tests;
