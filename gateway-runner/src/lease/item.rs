//! The shapes of the coordination table's items.
//!
//! **Invariant:** a session's record is read whole or not at all: an item without a session, or with an incomplete one,
//! has none.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use guildhall_domain::Timestamp;
use guildhall_wire::CoverageGap;

use crate::watermark::Mark;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A shard's session as the table keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRecord {
    /// Discord's id of the session.
    pub session_id: Arc<str>,
    /// Where to resume it.
    pub resume_url: String,
    /// When its `READY` was received.
    pub started: Timestamp,
    /// The mapping from kinds to classes it began with.
    pub class_map: u16,
    /// The set of shards it belongs to: [`super::Pin::generation`].
    pub generation: u64,
    /// What SQS has accepted.
    pub accepted: Mark,
    /// Gaps that SQS has not accepted yet.
    pub gaps: Vec<CoverageGap>,
}

impl SessionRecord {
    /// Up to when events of `session` are counted, or told to be missing: this one, or one that this one replaced, of
    /// whose loss it tells itself.
    pub(crate) fn counted_until(&self, session: &str) -> Timestamp {
        if *self.session_id == *session { self.accepted.at } else { self.started }
    }
}

/// The gauges of a shard, as they were handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GaugeRecord {
    /// The session they were gathered from.
    pub session_id: Arc<str>,
    /// The last sequence that is in them.
    pub seq: u64,
    /// What [`crate::gauges::Gauges::snapshot`] made.
    pub data: Vec<u8>,
}

/// Binds the values of the watermark and the open gaps.
pub(super) fn watermark(update: UpdateItemFluentBuilder, session: &SessionRecord) -> UpdateItemFluentBuilder {
    let gaps: Vec<_> = session
        .gaps
        .iter()
        .map(|gap| (&gap.lost_session, gap.after_seq, gap.from.as_millis(), gap.to.as_millis()))
        .collect();
    update
        .expression_attribute_values(":seq", int(session.accepted.seq))
        .expression_attribute_values(":at", int(session.accepted.at.as_millis()))
        .expression_attribute_values(":gaps", text(serde_json::json!(gaps).to_string()))
}

/// The session of a lease's item.
pub(super) fn record(item: &Item) -> Option<SessionRecord> {
    let gaps: Vec<(String, u64, i64, i64)> =
        string(item, "gaps").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    Some(SessionRecord {
        session_id: string(item, "session_id")?.into(),
        resume_url: string(item, "resume_url")?.to_owned(),
        started: Timestamp::from_millis(number(item, "session_started")?),
        class_map: number(item, "class_map")?,
        generation: number(item, "generation_of_set")?,
        accepted: Mark { seq: number(item, "accepted_seq")?, at: Timestamp::from_millis(number(item, "accepted_at")?) },
        gaps: gaps
            .into_iter()
            .map(|(lost_session, after_seq, from, to)| CoverageGap {
                lost_session,
                after_seq,
                from: Timestamp::from_millis(from),
                to: Timestamp::from_millis(to),
            })
            .collect(),
    })
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn int(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(crate) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(crate) fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}
