//! Which set of shards is the one: its number of shards, pinned in the table, and what earlier sets left behind.
//!
//! **Invariant:** the pin is replaced only on the condition that it is still the one seen, and never expires.

use std::collections::HashMap;

use guildhall_domain::ShardId;

use super::item::{Item, SessionRecord, int, number, record, string};
use super::table::{Table, TableError, Written};

/// The set of shards that is to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin {
    /// How many shards it has.
    pub count: u32,
    /// Which one it is, counted from one: the same number of shards may be pinned again later.
    pub generation: u64,
}

pub(super) fn pin_key(application: &str) -> String {
    format!("shards#{application}")
}

impl Table {
    /// The set that is pinned for the application.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn pin(&self, application: &str) -> Result<Option<Pin>, TableError> {
        let item = self.get(&pin_key(application)).await?;
        let read = |item: &Item| Some(Pin { count: number(item, "shards")?, generation: number(item, "counter")? });
        Ok(item.as_ref().and_then(read))
    }

    /// Pins a set of `count` shards, on the condition that the pin is still the one `seen`.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put_pin(&self, application: &str, seen: Option<Pin>, count: u32) -> Result<Written, TableError> {
        let item = HashMap::from([("shards".to_owned(), int(count))]);
        self.put_if(&pin_key(application), seen.map(|pin| pin.generation), item, None).await
    }

    /// The sessions of the last set that had any before `generation`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn former(&self, generation: u64) -> Result<Vec<(ShardId, SessionRecord)>, TableError> {
        let mut former: Vec<(ShardId, SessionRecord)> = Vec::new();
        for item in self.items().await? {
            let Some((shard, record)) = string(&item, "pk").and_then(shard_of).zip(record(&item)) else { continue };
            if record.generation < generation {
                former.push((shard, record));
            }
        }
        let last = former.iter().map(|(_, record)| record.generation).max();
        former.retain(|(_, record)| Some(record.generation) == last);
        Ok(former)
    }

    async fn items(&self) -> Result<Vec<Item>, TableError> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let page = self.scan(start).send().await.map_err(|error| super::table::unavailable(&error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(items);
            }
        }
    }
}

fn shard_of(key: &str) -> Option<ShardId> {
    let (count, id) = key.strip_prefix("lease#")?.split_once('#')?;
    Some(ShardId { id: id.parse().ok()?, count: count.parse().ok()? })
}
