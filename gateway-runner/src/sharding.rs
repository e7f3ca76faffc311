//! One set of shards at a time: how many shards there are, agreed on before the first of them is connected.
//!
//! Discord lets sets with different numbers of shards connect side by side, and each receives every event under sessions
//! of its own: what two sets read is counted twice. So the number is pinned in the coordination table.
//!
//! **Invariant:** a runner says that it is alive, and of which set, before it looks for runners of another set; of two
//! that start at once, one at least sees the other, and does not begin.
//! **Invariant:** the pin is replaced only when no runner of another set gave a sign of life for a whole term, or when all
//! guilds were cut over to the new set; a runner that finds it replaced otherwise ends.
//!
//! To a multiple of the pinned number the guilds are cut over while everything runs: the runner that asks for it writes
//! down the target and joins the others ([`crate::reshard`]).

use std::collections::HashMap;
use std::time::Duration;

use guildhall_domain::ShardId;

use crate::lease::{Pin, SessionRecord, Table, TableError, Written};

/// The set of shards this runner belongs to.
#[derive(Clone, Debug)]
pub struct Sharding {
    /// How many there are.
    pub count: u32,
    /// Which set it is; a session of an earlier one is not resumed.
    pub generation: u64,
    /// The sessions an earlier set ended with.
    pub former: Vec<(ShardId, SessionRecord)>,
}

/// The number of shards cannot be settled.
#[derive(Debug, thiserror::Error)]
pub enum ShardingError {
    /// The table cannot be used.
    #[error("the number of shards is kept in the coordination table")]
    Table(#[from] TableError),
    /// Runners of another set are alive.
    #[error(
        "RUNNER_SHARD_COUNT is {wanted}, but runners of another set of shards are alive ({pinned} are pinned), and two sets \
         would count every event twice; stop all runners, then start them with the new number"
    )]
    Another {
        /// The number asked for.
        wanted: u32,
        /// The number pinned.
        pinned: u32,
    },
    /// Guilds are being cut over to another set.
    #[error(
        "RUNNER_SHARD_COUNT is {wanted}, but guilds are being cut over from {pinned} shards to {target}; wait for the end"
    )]
    Underway {
        /// The number asked for.
        wanted: u32,
        /// The number pinned.
        pinned: u32,
        /// The number that is begun.
        target: u32,
    },
    /// There is no number to begin with.
    #[error("Discord recommends no shards at all; set RUNNER_SHARD_COUNT")]
    Nothing,
}

/// Who asks.
pub struct Candidate<'a> {
    /// The table.
    pub table: &'a Table,
    /// This runner's name.
    pub holder: &'a str,
    /// Runners that are proven dead.
    pub predecessors: &'a [String],
    /// After how long without a sign of life a runner counts as gone.
    pub term: Duration,
}

impl Candidate<'_> {
    /// Settles the number: `wanted`, else what is pinned, else what Discord recommends.
    ///
    /// # Errors
    /// When `wanted` is another number than that of runners that are alive, or the table cannot be used.
    pub async fn settle(&self, wanted: Option<u32>, recommended: u32) -> Result<Sharding, ShardingError> {
        let mut beat = 0;
        loop {
            let pinned = self.table.pin().await?;
            let count = wanted.or(pinned.map(|pin| pin.count)).unwrap_or(recommended);
            if count == 0 {
                return Err(ShardingError::Nothing);
            }
            let Some(pin) = pinned else {
                let first = self.table.put_pin(None, count).await?;
                tracing::info!(count, first = first == Written::Done, "there was no number of shards yet");
                continue;
            };
            let count = match pin.target {
                Some(target) if count == target || count == pin.count => pin.count,
                Some(target) => return Err(ShardingError::Underway { wanted: count, pinned: pin.count, target }),
                None if count > pin.count && count.is_multiple_of(pin.count) => {
                    tracing::warn!(
                        from = pin.count,
                        to = count,
                        "guilds are to be cut over to another number of shards"
                    );
                    self.table.put_target(pin, count).await?;
                    continue;
                }
                None => count,
            };
            if !self.is_alone(count, pin.target, &mut beat).await? {
                if count != pin.count {
                    self.table.farewell(self.holder).await?;
                    return Err(ShardingError::Another { wanted: count, pinned: pin.count });
                }
                tracing::warn!(count, "runners of another set of shards are still alive; waiting for their end");
                continue;
            }
            // Read again: it may have been replaced before this runner was seen.
            if self.table.pin().await? != Some(pin) {
                continue;
            }
            let pin = if pin.count == count {
                pin
            } else {
                tracing::warn!(from = pin.count, to = count, "the number of shards changes; every session begins anew");
                if self.table.put_pin(Some(pin), count).await? == Written::Refused {
                    continue;
                }
                Pin { count, generation: pin.next_generation(), ..pin }
            };
            let former = if pin.generation > 1 { self.table.former(pin.generation).await? } else { Vec::new() };
            measure(count, recommended);
            return Ok(Sharding { count, generation: pin.generation, former });
        }
    }

    /// Whether no runner of another set gives a sign of life; this runner does so meanwhile.
    async fn is_alone(&self, count: u32, target: Option<u32>, beat: &mut u64) -> Result<bool, TableError> {
        let before = self.strangers(count, target, beat).await?;
        if before.is_empty() {
            return Ok(true);
        }
        // A little longer than a term, in which who is alive writes three times.
        for _ in 0..4 {
            tokio::time::sleep(self.term / 3).await;
            let now = self.strangers(count, target, beat).await?;
            if now.iter().any(|(sign, counter)| before.get(sign) != Some(counter)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Signs of life of other sets' runners, heartbeats and leases that are held, with their counters.
    async fn strangers(
        &self,
        count: u32,
        target: Option<u32>,
        beat: &mut u64,
    ) -> Result<HashMap<(String, Option<ShardId>), u64>, TableError> {
        *beat += 1;
        self.table.heartbeat(self.holder, count, *beat).await?;
        let sweep = self.table.sweep().await?;
        let foreign = |shards: u32| shards != count && Some(shards) != target;
        let known = |holder: &str| holder.is_empty() || self.predecessors.iter().any(|name| name == holder);
        let runners = sweep.runners.into_iter().map(|(holder, beat)| (holder, None, beat.shards, beat.counter));
        let leases =
            sweep.leases.into_iter().map(|(shard, seen)| (seen.holder, Some(shard), shard.count, seen.counter));
        let signs = runners.chain(leases).filter(|(holder, _, shards, _)| foreign(*shards) && !known(holder));
        Ok(signs.map(|(holder, shard, _, counter)| ((holder, shard), counter)).collect())
    }
}

impl Sharding {
    /// The earlier set's sessions that had guilds which are this shard's now.
    ///
    /// A guild is in the shard that its id leaves as the remainder, so two shards of different sets share guilds when
    /// they are equal modulo the greatest common divisor of the sets' sizes.
    pub fn inherited(&self, shard: ShardId) -> impl Iterator<Item = &SessionRecord> {
        self.former.iter().filter_map(move |(old, record)| {
            let divisor = divisor(old.count, shard.count).max(1);
            (old.id % divisor == shard.id % divisor).then_some(record)
        })
    }
}

fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}

fn measure(pinned: u32, recommended: u32) {
    metrics::gauge!("shards_pinned").set(f64::from(pinned));
    metrics::gauge!("shards_recommended").set(f64::from(recommended));
    if recommended > pinned {
        tracing::warn!(
            pinned,
            recommended,
            "Discord recommends more shards; see RUNNER_SHARD_COUNT on how to change it"
        );
    }
}

#[cfg(test)]
mod tests {
    use guildhall_domain::Timestamp;

    use super::*;
    use crate::watermark::Mark;

    fn former(count: u32) -> Sharding {
        let record = |id: u32| SessionRecord {
            session_id: id.to_string().into(),
            resume_url: String::new(),
            started: Timestamp::from_secs(1),
            class_map: 1,
            generation: 1,
            accepted: Mark { seq: 1, at: Timestamp::from_secs(1) },
            gaps: Vec::new(),
        };
        let former = (0..count).map(|id| (ShardId { id, count }, record(id))).collect();
        Sharding { count: 0, generation: 2, former }
    }

    fn inherited(from: u32, id: u32, count: u32) -> Vec<String> {
        former(from).inherited(ShardId { id, count }).map(|record| record.session_id.to_string()).collect()
    }

    #[test]
    fn a_shard_inherits_the_gaps_of_those_it_shares_guilds_with() {
        assert_eq!(inherited(2, 3, 4), ["1"]);
        assert_eq!(inherited(4, 1, 2), ["1", "3"]);
        assert_eq!(inherited(2, 0, 3), ["0", "1"]);
        for (from, to) in [(4_u32, 6_u32), (1, 5), (7, 7)] {
            for guild in 0..from * to {
                let heir = inherited(from, guild % to, to);
                assert!(heir.contains(&(guild % from).to_string()), "{from} to {to}, guild {guild}");
            }
        }
    }
}
