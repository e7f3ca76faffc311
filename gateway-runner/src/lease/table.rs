//! The coordination table in DynamoDB: every read and every conditional write.
//!
//! The key is `pk` and `sk`. What is looked at every few seconds is one partition, so that one Query reads it:
//! `fleet#<application>` holds `lease#<shard_count>#<shard>` (holder, counter, session, accepted watermark, gaps not yet
//! accepted), `runner#<holder>` (heartbeat) and `pin` (which set of shards runs). What is large or private lies apart:
//! `gauges#<application>` and `cuts#<application>` with a sort key for each shard, `budget#<application>` (IDENTIFYs left)
//! and `pace#<application>` with a sort key for each bucket.
//!
//! **Invariant:** a lease and its session are written only on the condition that the writer still holds the lease.
//! **Invariant:** no instant of one machine is compared with another's, but for the day-long IDENTIFY window, which
//! Discord's own answer bounds as well.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use guildhall_domain::{Clock, ShardId};

use super::item::{GaugeRecord, Item, SessionRecord, int, number, record, string, text, watermark};
use super::sweep::Seen;

/// How long an item outlives its last write: longer than journal, queue and dead letters live.
const KEEP_LEASE_SECS: i64 = 60 * 24 * 3_600;
pub(super) const KEEP_OTHER_SECS: i64 = 2 * 24 * 3_600;

/// The table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is none of this name.
    #[error("the coordination table {0:?} does not exist (COORDINATION_TABLE)")]
    Missing(String),
    /// The request failed; the text carries the whole chain of causes.
    #[error("the coordination table does not answer: {0}")]
    Unavailable(String),
}

/// The outcome of a conditional write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// The condition held.
    Done,
    /// Someone else was first.
    Refused,
}

/// The table.
#[derive(Clone)]
pub struct Table {
    pub(super) client: Client,
    pub(super) name: String,
    pub(super) application: Arc<str>,
    clock: Clock,
}

/// The key of an item.
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Table {
    /// The part of the table with this name that belongs to an application.
    pub fn new(client: Client, name: String, application: &str, clock: Clock) -> Self {
        Self { client, name, application: application.into(), clock }
    }

    /// The application whose shards are coordinated.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// Fails when the table does not exist or cannot be reached.
    ///
    /// # Errors
    /// See [`TableError`].
    pub async fn check(&self) -> Result<(), TableError> {
        let get = self.client.get_item().table_name(&self.name);
        let sent = get.key("pk", text("check")).key("sk", text("check")).send().await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(GetItemError::is_resource_not_found_exception) => {
                Err(TableError::Missing(self.name.clone()))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Takes a lease, on the condition that it is still as it was `seen`; `None` when someone else was first.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn take(
        &self,
        shard: ShardId,
        seen: Option<&Seen>,
        holder: &str,
    ) -> Result<Option<Option<SessionRecord>>, TableError> {
        let mut update = self
            .update(self.lease_key(shard))
            .update_expression("SET holder = :me, #counter = :next, expires_at = :expires")
            .expression_attribute_names("#counter", "counter")
            .expression_attribute_values(":me", text(holder))
            .expression_attribute_values(":next", int(seen.map_or(1, |seen| seen.counter + 1)))
            .expression_attribute_values(":expires", self.expiry(KEEP_LEASE_SECS))
            .return_values(ReturnValue::AllNew);
        update = match seen {
            None => update.condition_expression("attribute_not_exists(pk)"),
            Some(seen) => update
                .condition_expression("holder = :holder AND #counter = :seen")
                .expression_attribute_values(":holder", text(&seen.holder))
                .expression_attribute_values(":seen", int(seen.counter)),
        };
        match update.send().await {
            Ok(output) => Ok(Some(output.attributes().and_then(record))),
            Err(error) if is_refused(&error) => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Moves the lease's counter, and writes the watermark and the gaps still open when there is a session.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn renew(
        &self,
        shard: ShardId,
        holder: &str,
        session: Option<&SessionRecord>,
    ) -> Result<Written, TableError> {
        let mut update = self.held(shard, holder);
        let mut expression = "SET expires_at = :expires".to_owned();
        if let Some(session) = session {
            expression.push_str(", accepted_seq = :seq, accepted_at = :at, gaps = :gaps");
            update = watermark(update, session);
        }
        expression.push_str(" ADD #counter :one");
        written(update.update_expression(expression).send().await)
    }

    /// Replaces the shard's session.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put_session(
        &self,
        shard: ShardId,
        holder: &str,
        session: &SessionRecord,
    ) -> Result<Written, TableError> {
        let update = watermark(self.held(shard, holder), session)
            .update_expression(
                "SET expires_at = :expires, accepted_seq = :seq, accepted_at = :at, gaps = :gaps, session_id = :session, \
                 resume_url = :url, session_started = :started, class_map = :map, generation_of_set = :set ADD #counter :one",
            )
            .expression_attribute_values(":session", text(session.session_id.as_ref()))
            .expression_attribute_values(":url", text(&session.resume_url))
            .expression_attribute_values(":started", int(session.started.as_millis()))
            .expression_attribute_values(":map", int(session.class_map))
            .expression_attribute_values(":set", int(session.generation));
        written(update.send().await)
    }

    /// Hands the lease over: anyone may take it now.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn release(
        &self,
        shard: ShardId,
        holder: &str,
        session: Option<&SessionRecord>,
    ) -> Result<Written, TableError> {
        let mut update = self.held(shard, holder).expression_attribute_values(":nobody", text(""));
        let mut expression = "SET expires_at = :expires, holder = :nobody".to_owned();
        if let Some(session) = session {
            expression.push_str(", accepted_seq = :seq, accepted_at = :at, gaps = :gaps");
            update = watermark(update, session);
        }
        expression.push_str(" ADD #counter :one");
        written(update.update_expression(expression).send().await)
    }

    /// Marks a shard of the old set: all its guilds are the next set's, which is of this generation.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn finish(&self, shard: ShardId, holder: &str, generation: u64) -> Result<Written, TableError> {
        let update = self.held(shard, holder).expression_attribute_values(":set", int(generation));
        let expression = "SET expires_at = :expires, finished = :set ADD #counter :one";
        written(update.update_expression(expression).send().await)
    }

    /// Removes the lease of a shard that no longer exists.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn remove(&self, shard: ShardId, holder: &str) -> Result<(), TableError> {
        let key = self.lease_key(shard);
        let delete = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key("pk", text(key.pk))
            .key("sk", text(key.sk))
            .condition_expression("holder = :me")
            .expression_attribute_values(":me", text(holder));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Keeps a shard's gauges. The last writer wins: they are measured, not counted.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put_gauges(&self, shard: ShardId, gauges: GaugeRecord) -> Result<(), TableError> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(keyed(Item::new(), &self.gauges_key(shard))))
            .item("session_id", text(gauges.session_id.as_ref()))
            .item("seq", int(gauges.seq))
            .item("data", AttributeValue::B(gauges.data.into()))
            .item("expires_at", self.expiry(KEEP_OTHER_SECS))
            .send();
        sent.await.map(drop).map_err(|error| unavailable(&error))
    }

    /// The gauges kept for a shard.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn gauges(&self, shard: ShardId) -> Result<Option<GaugeRecord>, TableError> {
        let Some(item) = self.get(&self.gauges_key(shard)).await? else { return Ok(None) };
        let record = || {
            let data = item.get("data")?.as_b().ok()?.as_ref().to_vec();
            Some(GaugeRecord { session_id: string(&item, "session_id")?.into(), seq: number(&item, "seq")?, data })
        };
        Ok(record())
    }

    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let get = self.client.get_item().table_name(&self.name).consistent_read(true);
        let sent = get.key("pk", text(&key.pk)).key("sk", text(&key.sk)).send();
        sent.await.map(|output| output.item).map_err(|error| unavailable(&error))
    }

    /// Puts a short-lived item as [`Table::put_if`] does.
    pub(crate) async fn put_short_lived(
        &self,
        key: &Key,
        seen: Option<u64>,
        item: Item,
    ) -> Result<Written, TableError> {
        self.put_if(key, seen, item, Some(self.expiry(KEEP_OTHER_SECS))).await
    }

    /// Puts an item that never expires, as [`Table::put_if`] does.
    pub(crate) async fn put_lasting(&self, key: &Key, seen: Option<u64>, item: Item) -> Result<Written, TableError> {
        self.put_if(key, seen, item, None).await
    }

    /// Puts an item that lives as long as a lease, as [`Table::put_if`] does.
    pub(super) async fn put_long_lived(&self, key: &Key, seen: Option<u64>, item: Item) -> Result<Written, TableError> {
        self.put_if(key, seen, item, Some(self.expiry(KEEP_LEASE_SECS))).await
    }

    /// Puts an item on the condition that its `counter` is still the one seen (`None`: there was no item).
    /// `expires` is when it may be deleted.
    pub(super) async fn put_if(
        &self,
        key: &Key,
        seen: Option<u64>,
        item: Item,
        expires: Option<AttributeValue>,
    ) -> Result<Written, TableError> {
        let mut put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(keyed(item, key)))
            .item("counter", int(seen.map_or(1, |seen| seen + 1)));
        if let Some(expires) = expires {
            put = put.item("expires_at", expires);
        }
        put = match seen {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(seen) => put
                .condition_expression("#counter = :seen")
                .expression_attribute_names("#counter", "counter")
                .expression_attribute_values(":seen", int(seen)),
        };
        match put.send().await {
            Ok(_) => Ok(Written::Done),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(Written::Refused)
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn update(&self, key: Key) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.name).key("pk", text(key.pk)).key("sk", text(key.sk))
    }

    fn held(&self, shard: ShardId, holder: &str) -> UpdateItemFluentBuilder {
        self.update(self.lease_key(shard))
            .condition_expression("holder = :me")
            .expression_attribute_names("#counter", "counter")
            .expression_attribute_values(":me", text(holder))
            .expression_attribute_values(":one", int(1))
            .expression_attribute_values(":expires", self.expiry(KEEP_LEASE_SECS))
    }

    pub(super) fn fleet(&self, sk: String) -> Key {
        self.own("fleet", sk)
    }

    /// The application's key of this kind.
    pub(crate) fn own(&self, kind: &str, sk: String) -> Key {
        Key { pk: format!("{kind}#{}", self.application), sk }
    }

    fn gauges_key(&self, shard: ShardId) -> Key {
        self.own("gauges", format!("{}#{}", shard.count, shard.id))
    }

    fn lease_key(&self, shard: ShardId) -> Key {
        self.fleet(format!("lease#{}#{}", shard.count, shard.id))
    }

    pub(super) fn expiry(&self, keep_secs: i64) -> AttributeValue {
        int(self.clock.now().as_secs() + keep_secs)
    }
}

pub(super) fn keyed(mut item: Item, key: &Key) -> Item {
    item.insert("pk".to_owned(), text(&key.pk));
    item.insert("sk".to_owned(), text(&key.sk));
    item
}

fn is_refused(error: &SdkError<UpdateItemError>) -> bool {
    error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception)
}

fn written<T>(sent: Result<T, SdkError<UpdateItemError>>) -> Result<Written, TableError> {
    match sent {
        Ok(_) => Ok(Written::Done),
        Err(error) if is_refused(&error) => Ok(Written::Refused),
        Err(error) => Err(unavailable(&error)),
    }
}

pub(super) fn unavailable(error: &(impl std::error::Error + Send + Sync + 'static)) -> TableError {
    TableError::Unavailable(DisplayErrorContext(error).to_string())
}
