//! Which set of shards is the one: its number of shards, pinned in the table, and what earlier sets left behind.
//!
//! **Invariant:** the pin is replaced only on the condition that it is still the one seen, and never expires.
//! **Invariant:** a set's generation is one more than that of the set before it, also while both run.

use std::collections::HashMap;

use guildhall_domain::ShardId;

use super::item::{Item, SessionRecord, int, number, record, string};
use super::table::{Table, TableError, Written};

pub(super) const PIN: &str = "pin";

/// The set of shards that is to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin {
    /// How many shards it has.
    pub count: u32,
    /// Which one it is, counted from one: the same number of shards may be pinned again later.
    pub generation: u64,
    /// How many shards the set has that its guilds are being cut over to.
    pub target: Option<u32>,
    /// Moves with every change.
    pub version: u64,
}

impl Pin {
    /// The set that begins beside this one, or instead of it.
    pub const fn next_generation(&self) -> u64 {
        self.generation + 1
    }
}

pub(super) fn pin(item: &Item) -> Option<Pin> {
    Some(Pin {
        count: number(item, "shards")?,
        generation: number(item, "generation")?,
        target: number(item, "target"),
        version: number(item, "counter")?,
    })
}

impl Table {
    /// The set that is pinned for the application.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn pin(&self) -> Result<Option<Pin>, TableError> {
        Ok(self.get(&self.fleet(PIN.to_owned())).await?.as_ref().and_then(pin))
    }

    /// Pins a set of `count` shards, on the condition that the pin is still the one `seen`.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put_pin(&self, seen: Option<Pin>, count: u32) -> Result<Written, TableError> {
        let generation = seen.map_or(1, |pin| pin.next_generation());
        let item = HashMap::from([("shards".to_owned(), int(count)), ("generation".to_owned(), int(generation))]);
        self.put_if(&self.fleet(PIN.to_owned()), seen.map(|pin| pin.version), item, None).await
    }

    /// Begins to cut the guilds of the pinned set over to one of `target` shards.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put_target(&self, seen: Pin, target: u32) -> Result<Written, TableError> {
        let item = HashMap::from([
            ("shards".to_owned(), int(seen.count)),
            ("generation".to_owned(), int(seen.generation)),
            ("target".to_owned(), int(target)),
        ]);
        self.put_if(&self.fleet(PIN.to_owned()), Some(seen.version), item, None).await
    }

    /// The sessions of the last set that had any before `generation`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn former(&self, generation: u64) -> Result<Vec<(ShardId, SessionRecord)>, TableError> {
        let mut former: Vec<(ShardId, SessionRecord)> = Vec::new();
        for item in self.query("").await? {
            let Some((shard, record)) = string(&item, "sk").and_then(shard_of).zip(record(&item)) else { continue };
            if record.generation < generation {
                former.push((shard, record));
            }
        }
        let last = former.iter().map(|(_, record)| record.generation).max();
        former.retain(|(_, record)| Some(record.generation) == last);
        Ok(former)
    }
}

pub(super) fn shard_of(key: &str) -> Option<ShardId> {
    let (count, id) = key.strip_prefix("lease#")?.split_once('#')?;
    Some(ShardId { id: id.parse().ok()?, count: count.parse().ok()? })
}
