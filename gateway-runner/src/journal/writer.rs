//! The journal's thread: group commits, and one retry loop for a disk that refuses.
//!
//! **Invariant:** changes are applied in the order they were sent, except that a group deletes first what it can; a reply
//! is given only after the commit.
//! **Invariant:** while writing fails, entries on the disk can still be fetched and sent; what SQS accepts meanwhile is
//! not fetched again.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use guildhall_domain::{PriorityClass, ShardId};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use super::store::{SessionRow, Store, is_damage};
use super::{Entry, Health, units};
use crate::watermark::Mark;

/// The most commands one transaction takes.
const GROUP: usize = 128;
/// How long a failing disk is left alone.
const RETRY: Duration = Duration::from_millis(250);

pub(super) enum Command {
    Append { entry: Entry, mark: Mark },
    Advance { shard: ShardId, session: Arc<str>, mark: Mark },
    PutSession { row: SessionRow, done: oneshot::Sender<()> },
    Accepted { ids: Vec<i64> },
    Fetch { partition: u32, limit: usize, max_bytes: usize, except: Vec<i64>, reply: oneshot::Sender<Vec<Entry>> },
}

struct Writer {
    store: Store,
    /// Changes that are not committed yet; more than one group only while the disk refuses.
    backlog: Vec<Command>,
    health: watch::Sender<Health>,
    committed: Arc<Notify>,
    room: Arc<Semaphore>,
    /// Units by which the bound is exceeded, because it was lowered since the entries were written.
    debt: usize,
    failures: u64,
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
    let mut writer = Writer { store, backlog: Vec::new(), health, committed, room, debt, failures: 0, pending };
    std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
        writer.measure();
        // What was left from before can be sent at once.
        writer.committed.notify_waiters();
        let mut fetches = Vec::new();
        loop {
            if writer.failures > 0 {
                std::thread::sleep(RETRY);
            } else {
                let Some(command) = commands.blocking_recv() else { break };
                writer.take(command, &mut fetches);
            }
            while writer.backlog.len() < GROUP && fetches.len() < GROUP {
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
    fn take(&mut self, command: Command, fetches: &mut Vec<Command>) {
        match command {
            Command::Fetch { .. } => fetches.push(command),
            _ => self.backlog.push(command),
        }
    }

    fn commit(&mut self) -> Result<(), Damaged> {
        if self.backlog.is_empty() {
            return Ok(());
        }
        match self.apply() {
            Ok(applied) => {
                if self.failures > 0 {
                    tracing::info!("the journal can be written again");
                }
                self.failures = 0;
                self.health.send_if_modified(|health| std::mem::replace(health, Health::Writable) != Health::Writable);
                let paid = applied.freed.min(self.debt);
                self.debt -= paid;
                self.room.add_permits(applied.freed - paid);
                for (pending, change) in self.pending.iter_mut().zip(applied.pending) {
                    *pending += change;
                }
                let mut grew = false;
                for command in self.backlog.drain(..) {
                    match command {
                        Command::PutSession { done, .. } => drop(done.send(())),
                        Command::Append { .. } => grew = true,
                        _ => {}
                    }
                }
                self.measure();
                if grew {
                    self.committed.notify_waiters();
                }
                Ok(())
            }
            Err(error) => self.failed("written", &error),
        }
    }

    fn apply(&self) -> Result<Applied, rusqlite::Error> {
        let result = self.store.begin().and_then(|()| {
            let mut applied = Applied::default();
            // Deletions first: on a full disk they make the room that the rest needs.
            let mut unknown = Vec::new();
            for id in self.accepted() {
                if !applied.delete(&self.store, id)? {
                    unknown.push(id);
                }
            }
            for command in &self.backlog {
                match command {
                    Command::Append { entry, mark } => {
                        self.store.append(entry, *mark)?;
                        applied.change(entry.class.code(), 1);
                    }
                    Command::Advance { shard, session, mark } => self.store.advance(*shard, session, *mark)?,
                    Command::PutSession { row, .. } => self.store.put_session(row)?,
                    Command::Accepted { .. } | Command::Fetch { .. } => {}
                }
            }
            // Those of entries that came with this very group.
            for id in unknown {
                applied.delete(&self.store, id)?;
            }
            self.store.commit()?;
            Ok(applied)
        });
        if result.is_err() {
            self.store.roll_back();
        }
        result
    }

    /// The entries that the backlog says SQS accepted.
    fn accepted(&self) -> impl Iterator<Item = i64> + '_ {
        let ids = |command: &'_ Command| if let Command::Accepted { ids } = command { ids.clone() } else { Vec::new() };
        self.backlog.iter().flat_map(ids)
    }

    fn fetch(&mut self, fetches: &mut Vec<Command>) -> Result<(), Damaged> {
        // While writing fails, entries may have been accepted without being deleted yet.
        let gone: HashSet<i64> = self.accepted().collect();
        for command in fetches.drain(..) {
            let Command::Fetch { partition, limit, max_bytes, mut except, reply } = command else { continue };
            except.extend(&gone);
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
            self.health.send_replace(Health::Damaged);
            return Err(Damaged);
        }
        // Loud at first, then every minute or so.
        if self.failures.is_multiple_of(240) {
            tracing::error!(error = chain, "the journal cannot be {what}; the shards wait and it is tried again");
        }
        self.failures += 1;
        metrics::counter!("journal_failures_total").increment(1);
        self.health.send_if_modified(|health| std::mem::replace(health, Health::Failing) != Health::Failing);
        Ok(())
    }

    fn measure(&self) {
        for (class, count) in PriorityClass::ALL.into_iter().zip(self.pending) {
            #[expect(clippy::cast_precision_loss, reason = "a gauge; counts stay far below 2^52")]
            metrics::gauge!("journal_pending", "class" => class.name()).set(count as f64);
        }
    }
}
