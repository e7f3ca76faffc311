//! A shard's lease, and the session that travels with it.
//!
//! **Invariant:** an expired lease forbids connecting, not reading: [`Lease::fresh`] waits before each connection.
//! **Invariant:** the record in the table is replaced before the first event of a new session is forwarded, and keeps
//! every coverage gap until SQS has accepted it.

mod cuts;
pub(crate) mod item;
pub(crate) mod plan;
mod pulse;
mod set;
mod sweep;
mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

pub use cuts::Cuts;
use guildhall_domain::ShardId;
use guildhall_wire::CoverageGap;
pub use item::{GaugeRecord, SessionRecord};
pub use pulse::Pulse;
pub use set::Pin;
pub use sweep::{Beat, Seen, Sweep};
pub(crate) use table::Key;
pub use table::{Table, TableError, Written};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::watermark::Watermarks;

/// How long to wait before a lease is confirmed once more.
const CONFIRMING: Duration = Duration::from_millis(100);

/// The lease is someone else's now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease was lost")]
pub struct Lost;

/// What is known of a lease that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct State {
    /// When the last write began that proved that the lease is held.
    renewed: Instant,
    /// How often the process had stood still by then.
    standstills: u64,
    lost: bool,
}

impl State {
    /// Whether the lease permits to connect. A tenth of the term is left for clocks that do not run alike.
    fn is_fresh(&self, now: Instant, term: Duration) -> bool {
        !self.lost && now.saturating_duration_since(self.renewed) < term - term / 10
    }
}

struct Held {
    session: Option<SessionRecord>,
    /// Journal ids of the envelopes that carry the session's gaps, once they are appended.
    gap_envelopes: Vec<i64>,
}

/// A lease this runner holds, or held.
pub struct Lease {
    shard: ShardId,
    holder: Arc<str>,
    table: Table,
    term: Duration,
    marks: Watermarks,
    pulse: Arc<Pulse>,
    held: Mutex<Held>,
    state: watch::Sender<State>,
}

/// The leases a runner holds.
#[derive(Clone, Default)]
pub struct Leases(Arc<std::sync::Mutex<BTreeMap<ShardId, Arc<Lease>>>>);

impl Leases {
    /// The leases.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<ShardId, Arc<Lease>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease of a shard.
    pub fn get(&self, shard: ShardId) -> Option<Arc<Lease>> {
        self.lock().get(&shard).cloned()
    }
}

impl Lease {
    /// Tries for a lease; `None` when someone else was first.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn take(
        table: &Table,
        shard: ShardId,
        seen: Option<&Seen>,
        holder: &Arc<str>,
        term: Duration,
        marks: &Watermarks,
        pulse: &Arc<Pulse>,
    ) -> Result<Option<Self>, TableError> {
        let began = Instant::now();
        let standstills = pulse.beat(began);
        let Some(session) = table.take(shard, seen, holder).await? else { return Ok(None) };
        Ok(Some(Self {
            shard,
            holder: holder.clone(),
            table: table.clone(),
            term,
            marks: marks.clone(),
            pulse: pulse.clone(),
            held: Mutex::new(Held { session, gap_envelopes: Vec::new() }),
            state: watch::Sender::new(State { renewed: began, standstills, lost: false }),
        }))
    }

    /// The shard.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The session as last written or read.
    pub async fn session(&self) -> Option<SessionRecord> {
        self.held.lock().await.session.clone()
    }

    /// Records a new session and the gaps that come with it; returns once it is written.
    ///
    /// # Errors
    /// When the lease is lost. While the table cannot be reached, it is tried again.
    pub async fn put_session(&self, session: SessionRecord) -> Result<(), Lost> {
        let mut held = self.held.lock().await;
        let mut pause = Duration::from_millis(100);
        loop {
            if self.state.borrow().lost {
                return Err(Lost);
            }
            let (began, standstills) = self.begin();
            match self.table.put_session(self.shard, &self.holder, &session).await {
                Ok(Written::Done) => {
                    self.renewed(began, standstills);
                    *held = Held { session: Some(session), gap_envelopes: Vec::new() };
                    return Ok(());
                }
                Ok(Written::Refused) => return Err(self.lose()),
                Err(error) => {
                    tracing::error!(shard = %self.shard, error = %error, "a new session cannot be recorded; its events wait");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
    }

    /// The session's gaps travel in these envelopes; they stay in the record until SQS has accepted all of them.
    pub async fn gaps_sent(&self, envelopes: Vec<i64>) {
        self.held.lock().await.gap_envelopes = envelopes;
    }

    /// The gaps the record still holds.
    pub async fn open_gaps(&self) -> Vec<CoverageGap> {
        self.held.lock().await.session.as_ref().map(|session| session.gaps.clone()).unwrap_or_default()
    }

    /// Moves the counter and writes the watermark.
    ///
    /// # Errors
    /// When the table cannot be written; the lease may expire then.
    pub async fn renew(&self) -> Result<(), TableError> {
        // Whoever writes a session renews the lease by it, and may take long: the other leases do not wait for that.
        match self.held.try_lock() {
            Ok(mut held) => self.write(&mut held).await,
            Err(_) => Ok(()),
        }
    }

    /// Whether the lease is held, as the table says now.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn prove(&self) -> Result<bool, TableError> {
        self.write(&mut *self.held.lock().await).await?;
        Ok(!self.is_lost())
    }

    async fn write(&self, held: &mut Held) -> Result<(), TableError> {
        if self.state.borrow().lost {
            return Ok(());
        }
        self.refresh(held);
        let (began, standstills) = self.begin();
        match self.table.renew(self.shard, &self.holder, held.session.as_ref()).await? {
            Written::Done => self.renewed(began, standstills),
            Written::Refused => drop(self.lose()),
        }
        Ok(())
    }

    /// Hands the lease over with its final watermark.
    ///
    /// # Errors
    /// When the table cannot be written; the lease expires by itself then.
    pub async fn release(&self) -> Result<(), TableError> {
        let mut held = self.held.lock().await;
        if self.state.borrow().lost {
            return Ok(());
        }
        self.refresh(&mut held);
        self.table.release(self.shard, &self.holder, held.session.as_ref()).await?;
        self.state.send_modify(|state| state.lost = true);
        Ok(())
    }

    /// Keeps the shard's gauges for the next holder.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put_gauges(&self, gauges: GaugeRecord) -> Result<(), TableError> {
        if self.is_lost() { Ok(()) } else { self.table.put_gauges(self.shard, gauges).await }
    }

    /// The gauges the last holder kept.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn gauges(&self) -> Result<Option<GaugeRecord>, TableError> {
        self.table.gauges(self.shard).await
    }

    /// Whether the lease was lost or handed over.
    pub fn is_lost(&self) -> bool {
        self.state.borrow().lost
    }

    /// Returns once the lease is lost.
    pub async fn lost(&self) {
        let mut state = self.state.subscribe();
        // The sender lives in `self`: the channel cannot close.
        let _closed = state.wait_for(|state| state.lost).await.is_err();
    }

    /// Waits until the lease is known to be held, which permits to connect.
    ///
    /// # Errors
    /// When it is lost.
    pub async fn fresh(&self) -> Result<(), Lost> {
        let mut state = self.state.subscribe();
        loop {
            let now = *state.borrow_and_update();
            if now.lost {
                return Err(Lost);
            }
            if now.is_fresh(Instant::now(), self.term) {
                return Ok(());
            }
            if state.changed().await.is_err() {
                return Err(Lost);
            }
        }
    }

    /// Whether the lease is known to be held.
    pub fn is_fresh(&self) -> bool {
        self.state.borrow().is_fresh(Instant::now(), self.term)
    }

    /// Whether the table has answered lately. It may be slow and answer all the same.
    pub fn is_answered(&self) -> bool {
        self.state.borrow().renewed.elapsed() < self.term * 2
    }

    /// Whether the table confirmed the lease since the process last stood still.
    pub fn is_confirmed(&self) -> bool {
        self.state.borrow().standstills == self.pulse.beat(Instant::now())
    }

    /// Waits until the table has confirmed the lease: what is read after a standstill may be another's.
    ///
    /// # Errors
    /// When it is lost.
    pub async fn confirmed(&self) -> Result<(), Lost> {
        while !self.is_confirmed() {
            if let Err(error) = self.renew().await {
                tracing::error!(shard = %self.shard, error = %error, "a lease cannot be confirmed");
            }
            if self.is_lost() {
                return Err(Lost);
            }
            if !self.is_confirmed() {
                tokio::time::sleep(CONFIRMING).await;
            }
        }
        Ok(())
    }

    fn begin(&self) -> (Instant, u64) {
        let now = Instant::now();
        (now, self.pulse.beat(now))
    }

    fn refresh(&self, held: &mut Held) {
        let Some(session) = &mut held.session else { return };
        if let Some(mark) = self.marks.mark(&session.session_id)
            && mark.seq > session.accepted.seq
        {
            session.accepted = mark;
        }
        let sent = !held.gap_envelopes.is_empty()
            && held.gap_envelopes.iter().all(|id| self.marks.is_accepted(&session.session_id, *id));
        if sent {
            session.gaps.clear();
            held.gap_envelopes.clear();
        }
    }

    fn renewed(&self, began: Instant, standstills: u64) {
        self.state.send_modify(|state| {
            state.renewed = began;
            state.standstills = standstills;
        });
    }

    fn lose(&self) -> Lost {
        metrics::counter!("lease_lost_total").increment(1);
        tracing::warn!(shard = %self.shard, "the lease was lost to another runner");
        self.state.send_modify(|state| state.lost = true);
        Lost
    }
}

#[cfg(test)]
mod simulation;
