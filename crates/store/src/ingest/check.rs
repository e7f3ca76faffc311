//! What is refused before it reaches a transaction.

use guildhall_domain::Timestamp;
use guildhall_wire::Envelope;

/// A shard's clock may run ahead of ours by this much.
const FUTURE_MILLIS: i64 = 24 * 3_600_000;

/// Discord's are 32 characters long.
const LONGEST_SESSION_ID: usize = 128;

/// A frame of 65,535 events is never split, and may follow 99 others.
const MOST_EVENTS: usize = 66_000;
/// More than any runner sends at once, and few enough for one transaction's locks.
const MOST_GAUGES: usize = 5_000;
const MOST_GAPS: usize = 1_000;

/// The envelope is readable, and no delivery of it can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// Maps are numbered from one. Which one it is does not matter here, as long as a session keeps it.
    #[error("the envelope names no class map")]
    ClassMap,
    /// More than any runner puts into one.
    #[error("the envelope holds more than any should")]
    Size,
    /// Empty, longer than any, or with characters that no database keeps.
    #[error("the envelope's session has an id that cannot be")]
    Session,
    /// Before Discord existed, or in the future.
    #[error("the envelope names an instant that cannot be")]
    Instant,
    /// Discord counts shards from 0 to their number.
    #[error("the envelope's shard is not one of its set")]
    Shard,
}

/// Whether the envelope can be counted.
///
/// # Errors
/// When it cannot, on this delivery or any other.
pub fn check(envelope: &Envelope, now: Timestamp) -> Result<(), Unacceptable> {
    if envelope.class_map == 0 || i16::try_from(envelope.class_map).is_err() {
        return Err(Unacceptable::ClassMap);
    }
    let Envelope { events, gauges, gaps, .. } = envelope;
    if events.len() > MOST_EVENTS || gauges.len() > MOST_GAUGES || gaps.len() > MOST_GAPS {
        return Err(Unacceptable::Size);
    }
    let mut sessions = envelope.gaps.iter().map(|gap| &gap.lost_session).chain([&envelope.session_id]);
    if sessions.any(|id| id.is_empty() || id.len() > LONGEST_SESSION_ID || id.chars().any(char::is_control)) {
        return Err(Unacceptable::Session);
    }
    let shard = envelope.shard;
    if shard.id >= shard.count || i32::try_from(shard.count).is_err() {
        return Err(Unacceptable::Shard);
    }
    let latest = now.plus_millis(FUTURE_MILLIS);
    let possible = |at: Timestamp| Timestamp::DISCORD_EPOCH <= at && at <= latest;
    let instants = std::iter::once(envelope.session_started)
        .chain(envelope.events.iter().map(|event| event.at))
        .chain(envelope.gauges.iter().map(|gauges| gauges.slot))
        .chain(envelope.gaps.iter().flat_map(|gap| [gap.from, gap.to]));
    for at in instants {
        if !possible(at) {
            return Err(Unacceptable::Instant);
        }
    }
    Ok(())
}
