//! The double's ledger against the database's books.
//!
//! **Invariant:** counts agree exactly, per guild, channel, member and kind, and per quarter-hour for the kinds whose
//! payload says when they happened. What is missing belongs to a session that Discord dropped for good, comes after the
//! last sequence its coverage gap calls safe, and happened inside that gap.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use guildhall_discord_double::Double;
use guildhall_discord_double::ledger::Key;
use guildhall_domain::{EventKind, GuildId, QuarterHour};
use guildhall_store::{PgConnection, audit};

/// Differing keys that are shown.
const SHOWN: usize = 12;

/// What the comparison found.
#[derive(Debug, Default)]
pub struct Books {
    /// Events in the ledger.
    pub sent: u64,
    /// Events in the database.
    pub counted: u64,
    /// Events missing inside gaps.
    pub missing: u64,
    /// Gaps.
    pub gaps: usize,
    /// What should not be so.
    pub deviations: Vec<String>,
}

type Quarter = (GuildId, QuarterHour, EventKind);

/// Compares the books.
///
/// # Errors
/// When the database cannot be read.
pub async fn audit(double: &Double, db: &mut PgConnection) -> anyhow::Result<Books> {
    let ledger = double.ledger();
    let gaps = audit::gaps(db).await?;
    let mut books = Books { gaps: gaps.len(), ..Books::default() };

    // What may be missing.
    let (mut lost, mut lost_quarters) = (BTreeMap::<Key, u64>::new(), BTreeMap::<Quarter, u64>::new());
    let mut known = BTreeSet::new();
    let mut outside = 0;
    for session in ledger.lost() {
        known.insert(session.session_id.clone());
        let Some((_, gap)) = gaps.iter().find(|(_, gap)| gap.lost_session == session.session_id) else { continue };
        for event in session.events.iter().filter(|event| event.sequence > gap.after_seq) {
            if event.at < gap.from || gap.to < event.at {
                outside += 1;
                if outside <= 3 {
                    books.deviations.push(format!(
                        "an event of {} that may be missing was dispatched at {}, outside the gap from {} to {}",
                        session.session_id, event.at, gap.from, gap.to
                    ));
                }
                continue;
            }
            for key in event.keys() {
                *lost.entry(key).or_default() += 1;
                if let (Some(guild), Some(at)) = (key.guild, event.happened()) {
                    *lost_quarters.entry((guild, at.quarter_hour(), key.kind)).or_default() += 1;
                }
            }
        }
    }
    for (shard, gap) in gaps.iter().filter(|(_, gap)| !known.contains(&gap.lost_session)) {
        books.deviations.push(format!("shard {shard} has a gap for {}, which Discord did not lose", gap.lost_session));
    }

    let sent: BTreeMap<Key, u64> = ledger
        .rows()
        .into_iter()
        .map(|row| {
            (Key { guild: row.guild_id, channel: row.channel_id, member: row.user_id, kind: row.kind }, row.count)
        })
        .collect();
    let counted: BTreeMap<Key, u64> = audit::counts(db)
        .await?
        .into_iter()
        .map(|row| {
            (Key { guild: Some(row.guild), channel: row.channel, member: row.member, kind: row.kind }, row.count)
        })
        .collect();
    books.sent = sent.values().sum();
    books.counted = counted.values().sum();
    books.missing = books.sent.saturating_sub(books.counted);
    books.deviations.extend(differences("key", &sent, &counted, &lost));

    let sent: BTreeMap<Quarter, u64> = ledger
        .quarters()
        .into_iter()
        .filter_map(|((guild, quarter, kind), count)| Some(((guild?, quarter, kind), count)))
        .collect();
    let timed: BTreeSet<EventKind> = sent.keys().map(|(_, _, kind)| *kind).collect();
    let counted: BTreeMap<Quarter, u64> = audit::quarters(db)
        .await?
        .into_iter()
        .filter(|row| timed.contains(&row.kind))
        .map(|row| ((row.guild, row.quarter, row.kind), row.count))
        .collect();
    books.deviations.extend(differences("quarter-hour", &sent, &counted, &lost_quarters));
    let disagreements = audit::disagreements(db).await?;
    books.deviations.extend(disagreements.into_iter().map(|row| format!("counters disagree: {row:?}")));
    Ok(books)
}

/// Where `counted` is more than `sent`, or less by more than `lost`.
fn differences<K: Ord + Debug>(
    what: &str,
    sent: &BTreeMap<K, u64>,
    counted: &BTreeMap<K, u64>,
    lost: &BTreeMap<K, u64>,
) -> Vec<String> {
    let keys: BTreeSet<&K> = sent.keys().chain(counted.keys()).collect();
    let of = |books: &BTreeMap<K, u64>, key: &K| books.get(key).copied().unwrap_or(0);
    let differing: Vec<_> = keys
        .into_iter()
        .map(|key| (key, of(sent, key), of(counted, key), of(lost, key)))
        .filter(|(_, sent, counted, lost)| counted > sent || counted + lost < *sent)
        .collect();
    let more = differing.len().saturating_sub(SHOWN);
    let mut lines: Vec<_> = differing
        .into_iter()
        .take(SHOWN)
        .map(|(key, sent, counted, lost)| format!("{what} {key:?}: sent {sent}, counted {counted}, inside gaps {lost}"))
        .collect();
    if more > 0 {
        lines.push(format!("and {more} more of the kind {what}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_is_never_excused_and_too_few_only_by_gaps() {
        let sent = BTreeMap::from([("a", 5), ("b", 5), ("c", 5)]);
        let lost = BTreeMap::from([("a", 1), ("b", 1)]);
        let counted = BTreeMap::from([("a", 4), ("b", 3), ("c", 6), ("d", 1)]);
        let lines = differences("key", &sent, &counted, &lost);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("\"b\": sent 5, counted 3, inside gaps 1"), "{lines:?}");
        let exact = BTreeMap::from([("a", 4), ("b", 4), ("c", 5)]);
        assert!(differences("key", &sent, &exact, &lost).is_empty());
    }
}
