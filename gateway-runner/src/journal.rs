//! The journal: every envelope that SQS has not accepted yet, and the local watermark of each session, in SQLite.
//!
//! **Invariant:** an envelope and the local watermark it raises are committed in one transaction, so a restart on the
//! same disk resumes exactly where the journal ends, whatever killed the process.
//! **Invariant:** the journal is bounded: [`Journal::append`] waits while it is full or cannot be written, and so the
//! shards stop reading; nothing is dropped.
//! **Invariant:** one process at a time: the file is locked, and the lock proves that an earlier holder is dead.
//!
//! `synchronous=NORMAL` in WAL mode is enough: what a transaction wrote is in the operating system's hands, so killing
//! the process loses nothing. A machine that loses power may lose the last transactions, but whole, with their local
//! watermark, and the replay brings them back.

mod reserve;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;

use guildhall_domain::{PriorityClass, ShardId, Timestamp};
pub use store::{OpenError, SessionRow, Store};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use crate::watermark::Mark;
use writer::Command;

/// Commands that may wait for the journal's thread.
const QUEUE: usize = 256;
/// The unit in which the bound on bytes is accounted, so that it fits a semaphore.
const UNIT: usize = 1_024;

/// An envelope in the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its id in the journal.
    pub id: i64,
    /// The class, which decides the order of sending.
    pub class: PriorityClass,
    /// The shard, which decides the queue.
    pub shard: ShardId,
    /// The session.
    pub session: Arc<str>,
    /// The oldest event's sequence; `None` without events.
    pub first_event: Option<u64>,
    /// When that event was received.
    pub first_at: Timestamp,
    /// The body of the SQS message.
    pub body: String,
}

/// The journal can no longer be used; the process must end and start again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal is damaged or its thread has ended")]
pub struct Unusable;

/// What the journal's thread says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// The last transaction was committed.
    Writable,
    /// The last transaction failed and is being tried again; the disk may be full.
    Failing,
    /// The database is damaged; only a restart helps.
    Damaged,
}

/// What was found on the disk.
#[derive(Default, Debug)]
pub struct Found {
    /// Envelopes that were never accepted; their bodies stay on disk.
    pub pending: Vec<(Arc<str>, i64, Option<u64>, Timestamp)>,
    /// The sessions with their local watermarks.
    pub sessions: Vec<SessionRow>,
    /// The holders that used this journal before, all dead: the lock proves it.
    pub predecessors: Vec<String>,
    /// Where a damaged journal was set aside.
    pub set_aside: Option<PathBuf>,
}

/// A handle on the journal's thread.
#[derive(Clone)]
pub struct Journal {
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    max_units: usize,
    next_id: Arc<AtomicI64>,
    health: watch::Receiver<Health>,
    committed: Arc<Notify>,
    /// Which queues, by their numbers, take nothing at present.
    outages: Arc<[AtomicBool]>,
}

impl Journal {
    /// Opens the journal in `folder`, or sets a damaged one aside and begins a new one, and starts its thread.
    ///
    /// # Errors
    /// When the folder cannot be written, or another process uses the journal.
    pub fn open(
        folder: &Path,
        max_bytes: u64,
        holder: &str,
        partitions: u32,
        now: Timestamp,
    ) -> Result<(Self, Found, JoinHandle<()>), OpenError> {
        let (store, found) = Store::open_or_set_aside(folder, max_bytes, holder, partitions, now)?;
        let (journal, thread) = Self::start(store, max_bytes)?;
        Ok((journal, found, thread))
    }

    fn start(store: Store, max_bytes: u64) -> Result<(Self, JoinHandle<()>), OpenError> {
        let (commands, receiver) = mpsc::channel(QUEUE);
        let (health_sender, health) = watch::channel(Health::Writable);
        let max_units =
            usize::try_from(max_bytes).unwrap_or(usize::MAX).div_ceil(UNIT).clamp(1, Semaphore::MAX_PERMITS);
        let used: usize = store.sizes()?.into_iter().map(units).sum();
        let room = Arc::new(Semaphore::new(max_units.saturating_sub(used)));
        let next_id = Arc::new(AtomicI64::new(store.last_id()? + 1));
        let committed = Arc::new(Notify::new());
        let outages = (0..store.partitions).map(|_| AtomicBool::new(false)).collect();
        let debt = used.saturating_sub(max_units);
        let thread = writer::start(store, receiver, health_sender, committed.clone(), room.clone(), debt)
            .map_err(OpenError::Thread)?;
        Ok((Self { commands, room, max_units, next_id, health, committed, outages }, thread))
    }

    /// The queue of this number takes nothing, or takes messages again.
    pub fn outage(&self, partition: u32, outage: bool) {
        if let Some(queue) = self.outages.get(partition as usize) {
            queue.store(outage, Ordering::Relaxed);
        }
    }

    /// Whether the shard's envelopes would only wait here.
    pub fn has_outage(&self, shard: ShardId) -> bool {
        let queue = shard.id as usize % self.outages.len().max(1);
        self.outages.get(queue).is_some_and(|queue| queue.load(Ordering::Relaxed))
    }

    /// An id for the next entry.
    pub fn next_id(&self) -> i64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Keeps an envelope and raises its session's local watermark; waits while there is no room.
    ///
    /// # Errors
    /// When the journal is unusable.
    pub async fn append(&self, entry: Entry, mark: Mark) -> Result<(), Unusable> {
        // A single envelope larger than the whole bound may pass alone.
        let wanted = u32::try_from(units(entry.body.len()).min(self.max_units)).map_err(|_| Unusable)?;
        let room = self.room.acquire_many(wanted).await.map_err(|_| Unusable)?;
        self.writable().await?;
        self.send(Command::Append { entry, mark }).await?;
        room.forget();
        Ok(())
    }

    /// Raises a session's local watermark.
    ///
    /// # Errors
    /// When the journal is unusable.
    pub async fn advance(&self, shard: ShardId, session: Arc<str>, mark: Mark) -> Result<(), Unusable> {
        self.send(Command::Advance { shard, session, mark }).await
    }

    /// Records the session a shard has from now on; returns once it is committed.
    ///
    /// # Errors
    /// When the journal is unusable.
    pub async fn put_session(&self, row: SessionRow) -> Result<(), Unusable> {
        self.writable().await?;
        let (done, committed) = oneshot::channel();
        self.send(Command::PutSession { row, done }).await?;
        committed.await.map_err(|_| Unusable)
    }

    /// The most urgent entries of a partition, oldest first: at most `limit`, and `max_bytes` in all.
    ///
    /// # Errors
    /// When the journal is unusable.
    pub async fn fetch(
        &self,
        partition: u32,
        limit: usize,
        max_bytes: usize,
        except: Vec<i64>,
    ) -> Result<Vec<Entry>, Unusable> {
        let (reply, entries) = oneshot::channel();
        self.send(Command::Fetch { partition, limit, max_bytes, except, reply }).await?;
        entries.await.map_err(|_| Unusable)
    }

    /// Forgets entries that SQS accepted.
    ///
    /// # Errors
    /// When the journal is unusable.
    pub async fn accepted(&self, ids: Vec<i64>) -> Result<(), Unusable> {
        self.send(Command::Accepted { ids }).await
    }

    /// Waits until more entries may be there to fetch.
    pub fn committed(&self) -> tokio::sync::futures::Notified<'_> {
        self.committed.notified()
    }

    /// How the journal is.
    pub fn health(&self) -> Health {
        *self.health.borrow()
    }

    /// Returns once the journal is damaged beyond use.
    pub async fn damaged(&self) {
        let mut health = self.health.clone();
        // An error means that the thread ended, which is as bad.
        let _ended = health.wait_for(|health| *health == Health::Damaged).await.is_err();
    }

    /// Bytes still free under the bound.
    pub fn free_bytes(&self) -> usize {
        self.room.available_permits() * UNIT
    }

    /// Commands waiting for the thread.
    pub fn queue_depth(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    async fn writable(&self) -> Result<(), Unusable> {
        let mut health = self.health.clone();
        let state = *health.wait_for(|health| *health != Health::Failing).await.map_err(|_| Unusable)?;
        if state == Health::Writable { Ok(()) } else { Err(Unusable) }
    }

    async fn send(&self, command: Command) -> Result<(), Unusable> {
        self.commands.send(command).await.map_err(|_| Unusable)
    }
}

/// The room an entry takes under the bound.
pub(crate) fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT)
}

#[cfg(test)]
mod tests;
