//! The record of cuts in the table: one item for each old shard and cut-over.
//!
//! **Invariant:** it is written only on the condition of the version that was read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use guildhall_domain::ShardId;

use super::item::{number, string, text};
use super::table::{Key, Table, TableError, Written};

/// A record of cuts as the table keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cuts {
    /// Moves with every write.
    pub version: u64,
    /// Who wrote last.
    pub holder: String,
    /// What [`crate::reshard::record::Record::encode`] made.
    pub data: Vec<u8>,
}

impl Table {
    /// The cuts of a shard's guilds to the set of this generation.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn cuts(&self, shard: ShardId, generation: u64) -> Result<Option<Cuts>, TableError> {
        let Some(item) = self.get(&self.cuts_key(shard, generation)).await? else { return Ok(None) };
        let read = || {
            let data = item.get("data")?.as_b().ok()?.as_ref().to_vec();
            Some(Cuts { version: number(&item, "counter")?, holder: string(&item, "holder")?.to_owned(), data })
        };
        Ok(read())
    }

    /// Writes the cuts, on the condition that they are still of the version seen.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put_cuts(
        &self,
        shard: ShardId,
        generation: u64,
        seen: Option<u64>,
        holder: &str,
        data: Vec<u8>,
    ) -> Result<Written, TableError> {
        let item =
            HashMap::from([("holder".to_owned(), text(holder)), ("data".to_owned(), AttributeValue::B(data.into()))]);
        self.put_long_lived(&self.cuts_key(shard, generation), seen, item).await
    }

    fn cuts_key(&self, shard: ShardId, generation: u64) -> Key {
        self.own("cuts", format!("{}#{}#{generation}", shard.count, shard.id))
    }
}
