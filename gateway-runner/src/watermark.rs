//! What SQS has accepted of each session.
//!
//! **Invariant:** the accepted watermark is the highest sequence below which every event of the session was accepted
//! by SQS; it never falls.
//! **Invariant:** an envelope is registered here before it can be sent, so that no watermark runs ahead of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guildhall_domain::Timestamp;
use tokio::sync::watch;

/// A sequence below which everything is safe, and when the newest of it was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The sequence.
    pub seq: u64,
    /// No event after the sequence was received before this instant.
    pub at: Timestamp,
}

/// An event's own time may be a little before that of another one that arrived earlier.
const REORDERING_MILLIS: i64 = 2_000;

/// A time before that of every event that arrived after this instant.
pub(crate) const fn surely_before(arrived: Timestamp) -> Timestamp {
    arrived.plus_millis(-REORDERING_MILLIS)
}

#[derive(Default)]
struct Session {
    /// What is safe once nothing is outstanding; `None` for a session of which only the journal's rest is known.
    floor: Option<Mark>,
    /// Envelopes not yet accepted: (oldest event's sequence, journal id) → when that event was received.
    outstanding: BTreeMap<(u64, i64), Timestamp>,
    /// Envelopes without events (gauges, gaps), which hold back no sequence.
    bare: BTreeSet<i64>,
}

impl Session {
    fn accepted(&self) -> Option<Mark> {
        let floor = self.floor?;
        match self.outstanding.first_key_value() {
            Some((&(first, _), &at)) if first <= floor.seq => Some(Mark { seq: first - 1, at }),
            _ => Some(floor),
        }
    }

    fn is_drained(&self) -> bool {
        self.outstanding.is_empty() && self.bare.is_empty()
    }
}

/// The watermarks of every session this runner has to do with.
#[derive(Clone)]
pub struct Watermarks {
    sessions: Arc<Mutex<HashMap<Arc<str>, Session>>>,
    changed: Arc<watch::Sender<()>>,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { sessions: Arc::default(), changed: Arc::new(watch::Sender::new(())) }
    }
}

impl Watermarks {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session is read from `safe` on.
    pub fn begin(&self, session: &Arc<str>, safe: Mark) {
        self.lock().entry(session.clone()).or_default().floor = Some(safe);
    }

    /// An envelope was closed; `mark` is what is safe once it and all before it are accepted.
    pub fn submitted(&self, session: &Arc<str>, id: i64, first: Option<u64>, first_at: Timestamp, mark: Option<Mark>) {
        let mut sessions = self.lock();
        let entry = sessions.entry(session.clone()).or_default();
        match first {
            Some(first) => drop(entry.outstanding.insert((first, id), first_at)),
            None => drop(entry.bare.insert(id)),
        }
        if mark.is_some() {
            entry.floor = mark;
        }
    }

    /// Nothing countable is buffered below `mark`.
    pub fn advance(&self, session: &str, mark: Mark) {
        if let Some(entry) = self.lock().get_mut(session) {
            entry.floor = Some(mark);
        }
    }

    /// SQS accepted the envelope.
    pub fn accepted(&self, session: &str, id: i64, first: Option<u64>) {
        {
            let mut sessions = self.lock();
            let Some(entry) = sessions.get_mut(session) else { return };
            match first {
                Some(first) => drop(entry.outstanding.remove(&(first, id))),
                None => drop(entry.bare.remove(&id)),
            }
            if entry.floor.is_none() && entry.is_drained() {
                sessions.remove(session);
            }
        }
        self.changed.send_replace(());
    }

    /// The session is no longer read; it is forgotten once its rest is accepted.
    pub fn retire(&self, session: &str) {
        let mut sessions = self.lock();
        if let Some(entry) = sessions.get_mut(session) {
            entry.floor = None;
            if entry.is_drained() {
                sessions.remove(session);
            }
        }
    }

    /// The session's accepted watermark; `None` when this runner does not read the session.
    pub fn mark(&self, session: &str) -> Option<Mark> {
        self.lock().get(session).and_then(Session::accepted)
    }

    /// Whether SQS has accepted the envelope with this id.
    pub fn is_accepted(&self, session: &str, id: i64) -> bool {
        self.lock().get(session).is_none_or(|entry| {
            !entry.bare.contains(&id) && !entry.outstanding.keys().any(|(_, outstanding)| *outstanding == id)
        })
    }

    /// Whether SQS has accepted everything of the session up to `seq`, of which no more than that is read any longer.
    pub fn is_safe(&self, session: &str, seq: u64) -> bool {
        self.lock().get(session).is_none_or(|entry| match entry.accepted() {
            Some(mark) => mark.seq >= seq,
            None => entry.is_drained(),
        })
    }

    /// Waits until SQS has accepted everything of the session.
    pub async fn drained(&self, session: &str) {
        let mut changed = self.changed.subscribe();
        while !self.lock().get(session).is_none_or(Session::is_drained) {
            // The sender lives in `self`, so the channel cannot close.
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until SQS has accepted everything of every session.
    pub async fn all_drained(&self) {
        let mut changed = self.changed.subscribe();
        while !self.lock().values().all(Session::is_drained) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(seq: u64) -> Mark {
        Mark { seq, at: Timestamp::from_secs(i64::try_from(seq).expect("small")) }
    }

    #[test]
    fn the_watermark_waits_for_the_oldest_event_outstanding() {
        let marks = Watermarks::default();
        let session: Arc<str> = "s".into();
        marks.begin(&session, mark(10));
        assert_eq!(marks.mark("s"), Some(mark(10)));
        marks.submitted(&session, 1, Some(12), Timestamp::from_secs(12), Some(mark(15)));
        marks.submitted(&session, 2, Some(18), Timestamp::from_secs(18), Some(mark(20)));
        assert_eq!(marks.mark("s"), Some(Mark { seq: 11, at: Timestamp::from_secs(12) }));
        marks.accepted("s", 2, Some(18));
        assert_eq!(marks.mark("s").map(|m| m.seq), Some(11));
        marks.accepted("s", 1, Some(12));
        assert_eq!(marks.mark("s"), Some(mark(20)));
    }

    #[test]
    fn buffered_events_hold_the_watermark_even_when_all_envelopes_are_accepted() {
        let marks = Watermarks::default();
        let session: Arc<str> = "s".into();
        marks.begin(&session, mark(1));
        // An envelope closed while an older event of another class is still buffered: the mark stays below that.
        marks.submitted(&session, 1, Some(5), Timestamp::from_secs(5), Some(mark(3)));
        marks.accepted("s", 1, Some(5));
        assert_eq!(marks.mark("s"), Some(mark(3)));
    }

    #[test]
    fn the_rest_of_an_earlier_run_holds_back_the_session_it_belongs_to() {
        let marks = Watermarks::default();
        let session: Arc<str> = "s".into();
        marks.submitted(&session, 7, Some(30), Timestamp::from_secs(30), None);
        assert_eq!(marks.mark("s"), None);
        marks.begin(&session, mark(40));
        assert_eq!(marks.mark("s").map(|m| m.seq), Some(29));
        assert!(!marks.is_accepted("s", 7));
        marks.accepted("s", 7, Some(30));
        assert!(marks.is_accepted("s", 7));
        assert_eq!(marks.mark("s"), Some(mark(40)));
    }
}
