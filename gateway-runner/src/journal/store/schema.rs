//! The journal's tables, and how a file that an earlier release wrote gets them.

use rusqlite::{Connection, params};

use super::{Entry, SessionRow, entry_of, session_of, sum_of_entry, sum_of_session};

/// 2: rows that decide where a session is resumed carry checksums.
const VERSION: i64 = 2;
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS sessions (
        shard_id INTEGER NOT NULL, shard_count INTEGER NOT NULL,
        session_id TEXT NOT NULL, local_seq INTEGER NOT NULL, local_at INTEGER NOT NULL, sum INTEGER NOT NULL,
        PRIMARY KEY (shard_id, shard_count)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pending (
        id INTEGER PRIMARY KEY, class INTEGER NOT NULL, partition INTEGER NOT NULL,
        shard_id INTEGER NOT NULL, shard_count INTEGER NOT NULL, session_id TEXT NOT NULL,
        first_event INTEGER, first_at INTEGER NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS pending_order ON pending (partition, class, id);
";

/// Makes the tables, or brings those of an earlier release up to date; `false` when a later one wrote them.
pub(super) fn prepare(connection: &mut Connection) -> Result<bool, rusqlite::Error> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Ok(false);
    }
    let change = connection.transaction()?;
    if found == 1 {
        add_checksums(&change)?;
    }
    change.execute_batch(TABLES)?;
    if found < VERSION {
        change.pragma_update(None, "user_version", VERSION)?;
    }
    change.commit()?;
    Ok(true)
}

fn add_checksums(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(
        "ALTER TABLE sessions ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE pending ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;",
    )?;
    let mut read = connection.prepare("SELECT shard_id, shard_count, session_id, local_seq, local_at FROM sessions")?;
    let sessions: Vec<SessionRow> = read.query_map([], session_of)?.collect::<Result<_, _>>()?;
    for SessionRow { shard, session_id, mark } in sessions {
        connection.execute(
            "UPDATE sessions SET sum = ?3 WHERE shard_id = ?1 AND shard_count = ?2",
            params![shard.id, shard.count, sum_of_session(shard, &session_id, mark)],
        )?;
    }
    // Bodies are not part of the sum, and may be many.
    let mut read = connection
        .prepare("SELECT id, class, shard_id, shard_count, session_id, first_event, first_at, '' FROM pending")?;
    let pending: Vec<Entry> = read.query_map([], entry_of)?.collect::<Result<_, _>>()?;
    for entry in pending {
        connection.execute("UPDATE pending SET sum = ?2 WHERE id = ?1", params![entry.id, sum_of_entry(&entry)])?;
    }
    Ok(())
}
