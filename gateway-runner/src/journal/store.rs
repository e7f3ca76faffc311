//! The journal's tables and the statements on them.
//!
//! **Invariant:** every change happens inside a transaction of the caller ([`Store::begin`], [`Store::commit`]).
//! **Invariant:** a file that SQLite finds damaged is never written to again: it is renamed and kept for inspection.
//! **Invariant:** what decides where a session is resumed carries a checksum: a disk that changed it makes the journal a
//! damaged one, never a wrong one. Bodies carry their own.
//! **Invariant:** where the disk is full, forgetting is still possible: the room for it is kept back ([`Reserve`]).

mod schema;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guildhall_domain::{PriorityClass, ShardId, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::reserve::Reserve;
use super::{Entry, Found};
use crate::watermark::Mark;

const FILE: &str = "journal.db";
/// Earlier holders that are remembered: one that is killed before it takes its leases leaves those of the one before.
const REMEMBERED: usize = 32;

/// A session and its local watermark.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRow {
    /// The shard.
    pub shard: ShardId,
    /// Discord's id of the session.
    pub session_id: Arc<str>,
    /// Everything up to here is in the journal or was accepted.
    pub mark: Mark,
}

/// The journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or written.
    #[error("the journal's folder {} cannot be used", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The lock is taken.
    #[error("another process uses the journal {}; give each runner a RUNNER_JOURNAL_DIR of its own", .0.display())]
    InUse(PathBuf),
    /// A newer program wrote it.
    #[error("the journal {} was written by a newer version of this program", .0.display())]
    Newer(PathBuf),
    /// Any other failure of SQLite.
    #[error("the journal cannot be opened")]
    Sqlite(#[from] rusqlite::Error),
    /// The journal's thread does not start.
    #[error("the journal's thread does not start")]
    Thread(#[source] std::io::Error),
}

/// Whether the error means that the file itself is bad.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(error, rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..))
}

/// Whether the error means that there is no room on the disk.
fn is_full(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull))
}

/// The open database.
pub struct Store {
    connection: Connection,
    pub(super) partitions: u32,
    reserve: Reserve,
}

impl Store {
    /// Opens the journal, which is bounded to `max_bytes`; a damaged one is renamed and a new one begun.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process holds the lock.
    pub fn open_or_set_aside(
        folder: &Path,
        max_bytes: u64,
        holder: &str,
        partitions: u32,
        now: Timestamp,
    ) -> Result<(Self, Found), OpenError> {
        std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
        let open = || Self::open(folder, max_bytes, holder, partitions);
        let opened = match open() {
            // Opening writes a little, for which the reserve of the process before makes room.
            Err(OpenError::Sqlite(error)) if is_full(&error) && Reserve::new(folder, max_bytes).release() => open(),
            opened => opened,
        };
        match opened {
            Err(OpenError::Sqlite(error)) if is_damage(&error) => {
                let aside =
                    set_aside(folder, now).map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
                tracing::error!(
                    error = guildhall_runtime::telemetry::chain(&error),
                    kept = %aside.display(),
                    "the journal is damaged and was set aside; shards resume from the watermark of the coordination table"
                );
                let (store, found) = open()?;
                Ok((store, Found { set_aside: Some(aside), ..found }))
            }
            other => other,
        }
    }

    fn open(folder: &Path, max_bytes: u64, holder: &str, partitions: u32) -> Result<(Self, Found), OpenError> {
        let path = folder.join(FILE);
        let mut connection = Connection::open(&path)?;
        let busy = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(path.clone()),
            _ => OpenError::Sqlite(error),
        };
        connection.busy_timeout(std::time::Duration::ZERO)?;
        // Exclusive before the WAL is first touched: the lock is then held as long as the connection lives.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(busy)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(busy)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(busy)?;
        let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(busy)?;
        if check != "ok" {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(OpenError::Sqlite(rusqlite::Error::SqliteFailure(code, Some(check))));
        }
        if !schema::prepare(&mut connection).map_err(busy)? {
            return Err(OpenError::Newer(path));
        }
        let partitions = partitions.max(1);
        // The number of queues may have changed since the entries were written.
        connection.execute(
            "UPDATE pending SET partition = shard_id % ?1 WHERE partition <> shard_id % ?1",
            params![partitions],
        )?;
        let store = Self { connection, partitions, reserve: Reserve::new(folder, max_bytes) };
        let found = store.found()?;
        let known = found.predecessors.iter().map(String::as_str).chain([holder]);
        let skipped = (found.predecessors.len() + 1).saturating_sub(REMEMBERED);
        let holders = known.skip(skipped).collect::<Vec<_>>().join("\n");
        store.connection.execute("INSERT OR REPLACE INTO meta VALUES ('holders', ?1)", params![holders])?;
        Ok((store, found))
    }

    fn found(&self) -> Result<Found, rusqlite::Error> {
        let holders: Option<String> = self
            .connection
            .query_row("SELECT value FROM meta WHERE key = 'holders'", [], |row| row.get(0))
            .optional()?;
        let predecessors = holders.iter().flat_map(|holders| holders.lines()).map(str::to_owned).collect();
        let mut statement = self
            .connection
            .prepare("SELECT shard_id, shard_count, session_id, local_seq, local_at, sum FROM sessions")?;
        let sessions = statement
            .query_map([], |row| {
                let found = session_of(row)?;
                agree(row.get(5)?, sum_of_session(found.shard, &found.session_id, found.mark))?;
                Ok(found)
            })?
            .collect::<Result<_, _>>()?;
        let mut statement = self.connection.prepare(
            "SELECT id, class, shard_id, shard_count, session_id, first_event, first_at, '', sum FROM pending",
        )?;
        let pending = statement
            .query_map([], |row| {
                let Entry { session, id, first_event, first_at, .. } = entry(row)?;
                Ok((session, id, first_event, first_at))
            })?
            .collect::<Result<_, _>>()?;
        Ok(Found { pending, sessions, predecessors, set_aside: None })
    }

    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) -> Result<(), rusqlite::Error> {
        self.connection.pragma_update(None, "max_page_count", pages)
    }

    pub(super) fn sizes(&self) -> Result<Vec<usize>, rusqlite::Error> {
        let mut statement = self.connection.prepare("SELECT length(body) FROM pending")?;
        statement.query_map([], |row| row.get(0))?.collect()
    }

    /// The highest id in use.
    pub(super) fn last_id(&self) -> Result<i64, rusqlite::Error> {
        self.connection.query_row("SELECT coalesce(max(id), 0) FROM pending", [], |row| row.get(0))
    }

    /// Entries of each class, in the order of [`PriorityClass::ALL`].
    pub(super) fn counts(&self) -> Result<[i64; 4], rusqlite::Error> {
        let mut counts = [0; 4];
        let mut statement = self.connection.prepare_cached("SELECT class, count(*) FROM pending GROUP BY class")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let class: usize = row.get(0)?;
            if let Some(count) = counts.get_mut(class) {
                *count = row.get(1)?;
            }
        }
        Ok(counts)
    }

    /// Whether there is room for more than forgetting: as much as is to be kept for that, beside the database or in it.
    pub(super) fn has_room(&mut self) -> Result<bool, rusqlite::Error> {
        // First what is in the log, for which the database may have to grow.
        match self.fold() {
            Err(error) if is_full(&error) => return Ok(false),
            folded => folded?,
        }
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        let free = pragma("freelist_count")?.saturating_mul(pragma("page_size")?);
        Ok(self.reserve.hold(free).is_ok())
    }

    /// Gives the reserve back to the disk; `false` when there was none.
    pub(super) fn release_reserve(&mut self) -> bool {
        self.reserve.release()
    }

    /// Folds the log into the database, so that it is written from its beginning again and needs no new room.
    pub(super) fn fold(&self) -> Result<(), rusqlite::Error> {
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }

    pub(super) fn begin(&self) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    pub(super) fn commit(&self) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("COMMIT")
    }

    /// Undoes an open transaction; SQLite may have undone it already.
    pub(super) fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(error = guildhall_runtime::telemetry::chain(&error), "the journal's rollback failed");
        }
    }

    pub(super) fn append(&self, entry: &Entry, mark: Mark) -> Result<(), rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO pending
                 (id, class, partition, shard_id, shard_count, session_id, first_event, first_at, body, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        statement.execute(params![
            entry.id,
            entry.class.code(),
            entry.shard.id % self.partitions,
            entry.shard.id,
            entry.shard.count,
            entry.session.as_ref(),
            entry.first_event,
            entry.first_at.as_millis(),
            entry.body,
            sum_of_entry(entry),
        ])?;
        self.advance(entry.shard, &entry.session, mark)
    }

    pub(super) fn advance(&self, shard: ShardId, session: &str, mark: Mark) -> Result<(), rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE sessions SET local_seq = ?4, local_at = ?5, sum = ?6
             WHERE shard_id = ?1 AND shard_count = ?2 AND session_id = ?3 AND local_seq < ?4",
        )?;
        let sum = sum_of_session(shard, session, mark);
        statement.execute(params![shard.id, shard.count, session, mark.seq, mark.at.as_millis(), sum])?;
        Ok(())
    }

    pub(super) fn put_session(&self, row: &SessionRow) -> Result<(), rusqlite::Error> {
        let mut statement =
            self.connection.prepare_cached("INSERT OR REPLACE INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        statement.execute(params![
            row.shard.id,
            row.shard.count,
            row.session_id.as_ref(),
            row.mark.seq,
            row.mark.at.as_millis(),
            sum_of_session(row.shard, &row.session_id, row.mark),
        ])?;
        Ok(())
    }

    /// Forgets an entry; gives back its class's number and its body's size.
    pub(super) fn delete(&self, id: i64) -> Result<Option<(i16, usize)>, rusqlite::Error> {
        let mut statement =
            self.connection.prepare_cached("DELETE FROM pending WHERE id = ?1 RETURNING class, length(body)")?;
        statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }

    pub(super) fn fetch(
        &self,
        partition: u32,
        limit: usize,
        max_bytes: usize,
        except: &HashSet<i64>,
    ) -> Result<Vec<Entry>, rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, class, shard_id, shard_count, session_id, first_event, first_at, body, sum
             FROM pending WHERE partition = ?1 ORDER BY class, id",
        )?;
        let mut rows = statement.query([partition])?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        while entries.len() < limit {
            let Some(row) = rows.next()? else { break };
            if except.contains(&row.get(0)?) {
                continue;
            }
            let entry = entry(row)?;
            bytes += entry.body.len();
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn session_of(row: &rusqlite::Row<'_>) -> Result<SessionRow, rusqlite::Error> {
    Ok(SessionRow {
        shard: ShardId { id: row.get(0)?, count: row.get(1)? },
        session_id: row.get::<_, String>(2)?.into(),
        mark: Mark { seq: row.get(3)?, at: Timestamp::from_millis(row.get(4)?) },
    })
}

fn entry(row: &rusqlite::Row<'_>) -> Result<Entry, rusqlite::Error> {
    let entry = entry_of(row)?;
    agree(row.get(8)?, sum_of_entry(&entry))?;
    Ok(entry)
}

fn entry_of(row: &rusqlite::Row<'_>) -> Result<Entry, rusqlite::Error> {
    let class: i16 = row.get(1)?;
    Ok(Entry {
        id: row.get(0)?,
        class: PriorityClass::from_code(class).unwrap_or(PriorityClass::Low),
        shard: ShardId { id: row.get(2)?, count: row.get(3)? },
        session: row.get::<_, String>(4)?.into(),
        first_event: row.get(5)?,
        first_at: Timestamp::from_millis(row.get(6)?),
        body: row.get(7)?,
    })
}

/// The checksum of what an entry says beside its body.
fn sum_of_entry(entry: &Entry) -> u32 {
    let first = entry.first_event.map_or(0, |seq| seq.wrapping_add(1));
    sum(
        entry.shard,
        &entry.session,
        [
            entry.id.cast_unsigned(),
            u64::from(entry.class.code().unsigned_abs()),
            first,
            entry.first_at.as_millis().cast_unsigned(),
        ],
    )
}

fn sum_of_session(shard: ShardId, session: &str, mark: Mark) -> u32 {
    sum(shard, session, [mark.seq, mark.at.as_millis().cast_unsigned()])
}

fn sum<const N: usize>(shard: ShardId, session: &str, numbers: [u64; N]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for number in [u64::from(shard.id), u64::from(shard.count)].into_iter().chain(numbers) {
        hasher.update(&number.to_be_bytes());
    }
    hasher.update(session.as_bytes());
    hasher.finalize()
}

/// A row that disagrees with its checksum is as damaged as one of another type.
fn agree(stored: u32, computed: u32) -> Result<(), rusqlite::Error> {
    let damaged = rusqlite::Error::InvalidColumnType(0, "sum".to_owned(), rusqlite::types::Type::Integer);
    if stored == computed { Ok(()) } else { Err(damaged) }
}

/// Renames the database and its companions; gives back the new name of the database.
fn set_aside(folder: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let aside = folder.join(format!("{FILE}.damaged-{}", now.as_millis()));
    for suffix in ["", "-wal", "-shm"] {
        let from = folder.join(format!("{FILE}{suffix}"));
        if from.exists() {
            std::fs::rename(from, format!("{}{suffix}", aside.display()))?;
        }
    }
    Ok(aside)
}
