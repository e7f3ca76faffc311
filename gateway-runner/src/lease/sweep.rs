//! What every runner looks at every few seconds: the leases, the runners' signs of life, and the pin.
//!
//! **Invariant:** it is one partition of the table, read consistently by one Query.

use std::collections::HashMap;

use guildhall_domain::ShardId;

use super::item::{Item, int, number, string, text};
use super::set::{PIN, Pin, pin, shard_of};
use super::table::{KEEP_OTHER_SECS, Table, TableError, keyed, unavailable};

/// Who holds a lease, as last seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The holder; empty when the lease was handed over.
    pub holder: String,
    /// Moves with every write of the holder.
    pub counter: u64,
}

/// A runner's heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beat {
    /// How many shards the set has that it runs.
    pub shards: u32,
    /// Moves with every beat.
    pub counter: u64,
}

/// What one sweep found.
#[derive(Default, Debug)]
pub struct Sweep {
    /// Shard → holder and counter, of every set of shards.
    pub leases: HashMap<ShardId, Seen>,
    /// Shards whose guilds have all been cut over to the set of this generation.
    pub finished: HashMap<ShardId, u64>,
    /// Shards that have a session → the generation of the set it was begun in.
    pub sessions: HashMap<ShardId, u64>,
    /// Runner → its heartbeat.
    pub runners: HashMap<String, Beat>,
    /// The set that is pinned.
    pub pin: Option<Pin>,
}

impl Table {
    /// Every lease of every set of shards, every runner's heartbeat, and the pin, by one consistent Query.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn sweep(&self) -> Result<Sweep, TableError> {
        let mut sweep = Sweep::default();
        for item in self.query("sk, holder, #counter, shards, generation, target, finished, generation_of_set").await? {
            let Some(key) = string(&item, "sk") else { continue };
            if key == PIN {
                sweep.pin = pin(&item);
                continue;
            }
            let Some(counter) = number(&item, "counter") else { continue };
            let holder = string(&item, "holder").unwrap_or_default().to_owned();
            if let Some(shard) = shard_of(key) {
                sweep.finished.extend(number(&item, "finished").map(|generation: u64| (shard, generation)));
                sweep.sessions.extend(number(&item, "generation_of_set").map(|generation: u64| (shard, generation)));
                sweep.leases.insert(shard, Seen { holder, counter });
            } else if let Some((holder, shards)) = key.strip_prefix("runner#").zip(number(&item, "shards")) {
                sweep.runners.insert(holder.to_owned(), Beat { shards, counter });
            }
        }
        Ok(sweep)
    }

    /// The whole partition of leases, with the attributes of `projection`.
    pub(super) async fn query(&self, projection: &str) -> Result<Vec<Item>, TableError> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let mut query = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(format!("fleet#{}", self.application)));
            if !projection.is_empty() {
                query = query.projection_expression(projection).expression_attribute_names("#counter", "counter");
            }
            let page = query.send().await.map_err(|error| unavailable(&error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// Says that this runner is alive, and of which set of shards it is.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn heartbeat(&self, holder: &str, shard_count: u32, counter: u64) -> Result<(), TableError> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(keyed(Item::new(), &self.fleet(format!("runner#{holder}")))))
            .item("shards", int(shard_count))
            .item("counter", int(counter))
            .item("expires_at", self.expiry(KEEP_OTHER_SECS))
            .send();
        sent.await.map(drop).map_err(|error| unavailable(&error))
    }

    /// Says that this runner has ended.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn farewell(&self, holder: &str) -> Result<(), TableError> {
        let key = self.fleet(format!("runner#{holder}"));
        let delete = self.client.delete_item().table_name(&self.name).key("pk", text(key.pk)).key("sk", text(key.sk));
        delete.send().await.map(drop).map_err(|error| unavailable(&error))
    }
}
