//! The journal's thread: group commits, and one retry loop for a disk that refuses.
//!
//! **Invariant:** changes are applied in the order they were sent, except that a group deletes first what it can; a reply
//! is given only after the commit.
//! **Invariant:** while writing fails, entries on the disk can still be fetched, sent and forgotten, however much waits to
//! be written; what SQS accepts meanwhile is not fetched again.
//! **Invariant:** the room that is kept for forgetting is used for nothing else.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use guildhall_domain::{PriorityClass, ShardId};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::store::{SessionRow, Store, is_damage};
use super::{Entry, Health, units};
use crate::watermark::Mark;

/// The most commands one transaction takes.
const GROUP: usize = 128;
/// How long a failing disk is left alone.
const RETRY: Duration = Duration::from_millis(250);
/// How often it is looked meanwhile whether something is to be read or forgotten, which may go on.
const LOOK: Duration = Duration::from_millis(5);

pub(super) enum Command {
    Append { entry: Entry, mark: Mark },
    Advance { shard: ShardId, session: Arc<str>, mark: Mark },
    PutSession { row: SessionRow, done: oneshot::Sender<()> },
    Accepted { ids: Vec<i64> },
    Fetch { partition: u32, limit: usize, max_bytes: usize, except: Vec<i64>, reply: oneshot::Sender<Vec<Entry>> },
}

struct Writer {
    store: Store,
    /// Changes that are not committed yet. While the disk refuses, no more than a few for each shard: who appends or
    /// begins a session waits, and watermarks replace each other.
    backlog: Vec<Command>,
    /// Entries that SQS accepted and that are not deleted yet.
    accepted: Vec<i64>,
    health: watch::Sender<Health>,
    committed: Arc<Notify>,
    room: Arc<Semaphore>,
    /// Units by which the bound is exceeded, because it was lowered since the entries were written.
    debt: usize,
    /// Attempts that failed since the last that did not.
    failures: u64,
    /// When the next one may be made.
    retry_at: Instant,
    /// Whether the last attempt to forget something went well.
    forgets: bool,
    /// Entries of each class.
    pending: [i64; PriorityClass::ALL.len()],
}

/// What a group of changes did.
#[derive(Default)]
struct Applied {
    freed: usize,
    pending: [i64; PriorityClass::ALL.len()],
}

impl Applied {
    /// Deletes an entry; `false` when there is none.
    fn delete(&mut self, store: &Store, id: i64) -> Result<bool, rusqlite::Error> {
        let Some((class, bytes)) = store.delete(id)? else { return Ok(false) };
        self.freed += units(bytes);
        self.change(class, -1);
        Ok(true)
    }

    fn change(&mut self, class: i16, by: i64) {
        if let Some(pending) = usize::try_from(class).ok().and_then(|class| self.pending.get_mut(class)) {
            *pending += by;
        }
    }
}

pub(super) fn start(
    store: Store,
    mut commands: mpsc::Receiver<Command>,
    health: watch::Sender<Health>,
    committed: Arc<Notify>,
    room: Arc<Semaphore>,
    debt: usize,
) -> Result<JoinHandle<()>, std::io::Error> {
    let pending = store.counts().map_err(std::io::Error::other)?;
    let mut writer = Writer {
        store,
        backlog: Vec::new(),
        accepted: Vec::new(),
        health,
        committed,
        room,
        debt,
        failures: 0,
        retry_at: Instant::now(),
        forgets: true,
        pending,
    };
    std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
        writer.measure();
        if !writer.begin() {
            return;
        }
        // What was left from before can be sent at once.
        writer.committed.notify_waiters();
        let mut fetches = Vec::new();
        loop {
            if writer.failures > 0 {
                writer.wait(&mut commands, &mut fetches);
            } else {
                let Some(command) = commands.blocking_recv() else { break };
                writer.take(command, &mut fetches);
            }
            // While the disk refuses, everything is taken: what can be read and forgotten waits for nothing.
            while (writer.failures > 0 || writer.waiting() < GROUP) && fetches.len() < GROUP {
                let Ok(command) = commands.try_recv() else { break };
                writer.take(command, &mut fetches);
            }
            if writer.commit().is_err() {
                break;
            }
            if writer.fetch(&mut fetches).is_err() {
                break;
            }
            if writer.failures > 0 && commands.is_closed() && commands.is_empty() {
                tracing::error!(lost = writer.backlog.len(), "the journal ends without having written everything");
                break;
            }
        }
    })
}

/// The database is damaged.
struct Damaged;

impl Writer {
    /// Finds out whether there is room at all; `false` when the journal is damaged.
    fn begin(&mut self) -> bool {
        match self.store.has_room() {
            Ok(true) => {
                self.publish(Health::Writable);
                true
            }
            Ok(false) => self.failed("written", &no_room()).is_ok(),
            Err(error) => self.failed("read", &error).is_ok(),
        }
    }

    /// Leaves a failing disk alone, unless there is something to be read or forgotten.
    fn wait(&mut self, commands: &mut mpsc::Receiver<Command>, fetches: &mut Vec<Command>) {
        while Instant::now() < self.retry_at {
            let before = self.accepted.len();
            while let Ok(command) = commands.try_recv() {
                self.take(command, fetches);
            }
            if !fetches.is_empty() || self.accepted.len() > before || commands.is_closed() {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn waiting(&self) -> usize {
        self.backlog.len() + self.accepted.len() / 10
    }

    fn take(&mut self, command: Command, fetches: &mut Vec<Command>) {
        match command {
            Command::Fetch { .. } => fetches.push(command),
            Command::Accepted { ids } => self.accepted.extend(ids),
            Command::Advance { shard, session, mark } if self.failures > 0 => {
                let known = self.backlog.iter_mut().find_map(|known| match known {
                    Command::Advance { shard: of, session: s, mark } if *of == shard && *s == session => Some(mark),
                    _ => None,
                });
                match known {
                    Some(known) => *known = mark,
                    None => self.backlog.push(Command::Advance { shard, session, mark }),
                }
            }
            _ => self.backlog.push(command),
        }
    }

    fn commit(&mut self) -> Result<(), Damaged> {
        if self.failures == 0 {
            if self.backlog.is_empty() && self.accepted.is_empty() {
                return Ok(());
            }
            match self.apply() {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.failed("written", &error)?;
                    self.forgets = true;
                }
            }
        } else if Instant::now() < self.retry_at {
            // Nothing is tried anew so soon, but what goes well goes on.
            if self.forgets && !self.accepted.is_empty() {
                self.forgets = self.forget().is_ok();
            }
            return Ok(());
        }
        self.recover()
    }

    /// On a disk that refuses: forgets what SQS has accepted, with the reserve if need be, and writes the rest only
    /// once there is room for a reserve again.
    fn recover(&mut self) -> Result<(), Damaged> {
        self.retry_at = Instant::now() + RETRY;
        if !self.accepted.is_empty()
            && let Err(error) = self.forget()
        {
            self.failed("written", &error)?;
            self.forgets = false;
            if self.store.release_reserve() {
                tracing::error!("the journal's disk is full; the reserve is given back, so that it can be drained");
                if let Err(error) = self.forget() {
                    return self.failed("written", &error);
                }
            } else {
                return Ok(());
            }
        }
        self.forgets = true;
        let written = self.store.has_room().and_then(|room| if room { self.apply() } else { Err(no_room()) });
        match written {
            Ok(()) => {
                tracing::info!("the journal can be written again");
                self.failures = 0;
                self.publish(Health::Writable);
                Ok(())
            }
            Err(error) => self.failed("written", &error),
        }
    }

    /// Writes all that waits, in one transaction.
    fn apply(&mut self) -> Result<(), rusqlite::Error> {
        let applied = self.transaction(|writer, applied| {
            // Deletions first: on a full disk they make the room that the rest needs.
            let mut unknown = Vec::new();
            for id in &writer.accepted {
                if !applied.delete(&writer.store, *id)? {
                    unknown.push(*id);
                }
            }
            for command in &writer.backlog {
                match command {
                    Command::Append { entry, mark } => {
                        writer.store.append(entry, *mark)?;
                        applied.change(entry.class.code(), 1);
                    }
                    Command::Advance { shard, session, mark } => writer.store.advance(*shard, session, *mark)?,
                    Command::PutSession { row, .. } => writer.store.put_session(row)?,
                    Command::Accepted { .. } | Command::Fetch { .. } => {}
                }
            }
            // Those of entries that came with this very group.
            for id in unknown {
                applied.delete(&writer.store, id)?;
            }
            Ok(())
        })?;
        self.accepted.clear();
        self.freed(&applied);
        let mut grew = false;
        for command in self.backlog.drain(..) {
            match command {
                Command::PutSession { done, .. } => drop(done.send(())),
                Command::Append { .. } => grew = true,
                _ => {}
            }
        }
        if grew {
            self.committed.notify_waiters();
        }
        Ok(())
    }

    /// Deletes what SQS has accepted, and nothing else, in transactions so small that they need hardly any room.
    fn forget(&mut self) -> Result<(), rusqlite::Error> {
        let appended =
            |command: &Command| if let Command::Append { entry, .. } = command { Some(entry.id) } else { None };
        let unwritten: HashSet<i64> = self.backlog.iter().filter_map(appended).collect();
        let (later, mut now): (Vec<_>, Vec<_>) = self.accepted.drain(..).partition(|id| unwritten.contains(id));
        self.accepted = later;
        let mut result = Ok(());
        while !now.is_empty() {
            let some = now.split_off(now.len().saturating_sub(GROUP));
            let deleted = self.transaction(|writer, applied| {
                some.iter().try_for_each(|id| applied.delete(&writer.store, *id).map(drop))
            });
            match deleted {
                Ok(applied) => self.freed(&applied),
                Err(error) => {
                    self.accepted.extend(some);
                    self.accepted.append(&mut now);
                    result = Err(error);
                }
            }
        }
        // Best effort: where it fails, the log grows.
        if let Err(error) = self.store.fold() {
            tracing::debug!(error = guildhall_runtime::telemetry::chain(&error), "the log cannot be folded in yet");
        }
        result
    }

    fn transaction(
        &self,
        change: impl FnOnce(&Self, &mut Applied) -> Result<(), rusqlite::Error>,
    ) -> Result<Applied, rusqlite::Error> {
        let mut applied = Applied::default();
        let result = self.store.begin().and_then(|()| change(self, &mut applied)).and_then(|()| self.store.commit());
        if result.is_err() {
            self.store.roll_back();
        }
        result.map(|()| applied)
    }

    fn freed(&mut self, applied: &Applied) {
        let paid = applied.freed.min(self.debt);
        self.debt -= paid;
        self.room.add_permits(applied.freed - paid);
        for (pending, change) in self.pending.iter_mut().zip(applied.pending) {
            *pending += change;
        }
        self.measure();
    }

    fn fetch(&mut self, fetches: &mut Vec<Command>) -> Result<(), Damaged> {
        for command in fetches.drain(..) {
            let Command::Fetch { partition, limit, max_bytes, except, reply } = command else { continue };
            // While writing fails, entries may have been accepted without being deleted yet.
            let except = except.into_iter().chain(self.accepted.iter().copied()).collect();
            match self.store.fetch(partition, limit, max_bytes, &except) {
                Ok(entries) => drop(reply.send(entries)),
                Err(error) => {
                    drop(reply.send(Vec::new()));
                    self.failed("read", &error)?;
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, what: &'static str, error: &rusqlite::Error) -> Result<(), Damaged> {
        let chain = guildhall_runtime::telemetry::chain(error);
        if is_damage(error) {
            tracing::error!(error = chain, "the journal is damaged; the runner ends, and sets it aside when it starts");
            self.publish(Health::Damaged);
            return Err(Damaged);
        }
        // Loud at first, then every minute or so.
        if self.failures.is_multiple_of(240) {
            tracing::error!(error = chain, "the journal cannot be {what}; the shards wait and it is tried again");
        }
        self.failures += 1;
        metrics::counter!("journal_failures_total").increment(1);
        self.publish(Health::Failing);
        Ok(())
    }

    fn publish(&self, health: Health) {
        metrics::gauge!("journal_writable").set(if health == Health::Writable { 1.0 } else { 0.0 });
        self.health.send_if_modified(|before| std::mem::replace(before, health) != health);
    }

    fn measure(&self) {
        for (class, count) in PriorityClass::ALL.into_iter().zip(self.pending) {
            #[expect(clippy::cast_precision_loss, reason = "a gauge; counts stay far below 2^52")]
            metrics::gauge!("journal_pending", "class" => class.name()).set(count as f64);
        }
    }
}

/// What SQLite would say if it were asked to use the room that is kept for forgetting.
fn no_room() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None)
}
