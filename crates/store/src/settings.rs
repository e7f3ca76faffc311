//! A guild's settings: versioned, with the history of every revision.
//!
//! **Invariant:** a save names the revision its author saw; if another came between, nothing is written.
//! **Invariant:** the row, its revision, the audit log and a new time zone are written together or not at all.
//! **Invariant:** a time zone applies forward: to what is counted after it was saved, and to nothing that was counted
//! before. A save takes the lock under which the guild's numbers change, and the zone begins where counting had come to.

use guildhall_domain::{GuildId, GuildSettings, Timestamp, UserId};
use serde_json::json;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};

use crate::StoreError;
use crate::limits::Limits;
use crate::timed::Timed;

/// Settings as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSettings {
    /// The settings.
    pub settings: GuildSettings,
    /// Which revision they are; the first is 1.
    pub revision: i64,
    /// When they were saved.
    pub updated_at: Timestamp,
    /// Who saved them.
    pub updated_by: UserId,
}

/// What became of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// Saved as this revision. Settings equal to those stored keep their revision.
    Done {
        /// The revision that is stored now.
        revision: i64,
    },
    /// Somebody else saved first; these are stored now.
    Conflict(Box<StoredSettings>),
}

struct Row {
    settings: serde_json::Value,
    revision: i64,
    updated_at: DateTime<Utc>,
    updated_by: i64,
}

impl Row {
    fn read(self) -> Result<StoredSettings, StoreError> {
        Ok(StoredSettings {
            settings: serde_json::from_value(self.settings)
                .map_err(|source| StoreError::Json { table: "guild_settings", source })?,
            revision: self.revision,
            updated_at: Timestamp::from_utc(self.updated_at),
            updated_by: UserId::from_db(self.updated_by),
        })
    }
}

/// The guild's settings; `None` before its first save.
///
/// # Errors
/// When the database does not carry it out.
pub async fn find(db: &mut PgConnection, guild: GuildId) -> Result<Option<StoredSettings>, StoreError> {
    let _timed = Timed::begin("settings_find");
    sqlx::query_as!(
        Row,
        "SELECT settings, revision, updated_at, updated_by FROM guild_settings WHERE guild_id = $1",
        guild.to_db(),
    )
    .fetch_optional(db)
    .await?
    .map(Row::read)
    .transpose()
}

/// Saves settings. `expected` is the revision the author saw, `None` when there was none.
///
/// # Errors
/// When the database does not carry it out.
pub async fn save(
    db: &mut PgConnection,
    guild: GuildId,
    settings: &GuildSettings,
    expected: Option<i64>,
    author: UserId,
    now: Timestamp,
) -> Result<Saved, StoreError> {
    let _timed = Timed::begin("settings_save");
    let mut tx = db.begin().await?;
    Limits::SAVE.set(&mut tx).await?;
    let ingested_at = lock(&mut tx, guild).await?;
    let stored = sqlx::query_as!(
        Row,
        "SELECT settings, revision, updated_at, updated_by FROM guild_settings WHERE guild_id = $1 FOR UPDATE",
        guild.to_db(),
    )
    .fetch_optional(&mut *tx)
    .await?
    .map(Row::read)
    .transpose()?;
    if let Some(stored) = &stored {
        if expected != Some(stored.revision) {
            return Ok(Saved::Conflict(Box::new(stored.clone())));
        }
        if stored.settings == *settings {
            return Ok(Saved::Done { revision: stored.revision });
        }
    }
    let revision = stored.as_ref().map_or(0, |stored| stored.revision) + 1;
    let value =
        serde_json::to_value(settings).map_err(|source| StoreError::Json { table: "guild_settings", source })?;
    // The condition holds when the row is new, or when it is the one locked above: an insert by somebody else that
    // was not visible yet makes this statement wait, and then write nothing.
    let written = sqlx::query!(
        "INSERT INTO guild_settings (guild_id, settings, revision, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (guild_id) DO UPDATE SET settings = excluded.settings, revision = excluded.revision,
             updated_at = excluded.updated_at, updated_by = excluded.updated_by
         WHERE guild_settings.revision = excluded.revision - 1",
        guild.to_db(),
        value,
        revision,
        now.to_utc(),
        author.to_db(),
    )
    .execute(&mut *tx)
    .await?;
    if written.rows_affected() == 0 {
        let stored = find(&mut tx, guild).await?;
        let what = "it changed under a lock";
        return stored
            .map(|stored| Saved::Conflict(Box::new(stored)))
            .ok_or(StoreError::Unreadable { table: "guild_settings", what });
    }
    sqlx::query!(
        "INSERT INTO guild_setting_revisions (guild_id, revision, settings, author, at) VALUES ($1, $2, $3, $4, $5)",
        guild.to_db(),
        revision,
        value,
        author.to_db(),
        now.to_utc(),
    )
    .execute(&mut *tx)
    .await?;
    if stored.as_ref().is_none_or(|stored| stored.settings.time_zone != settings.time_zone) {
        sqlx::query!(
            "INSERT INTO guild_time_zones (guild_id, since, time_zone) VALUES ($1, $2, $3)
             ON CONFLICT (guild_id, since) DO UPDATE SET time_zone = excluded.time_zone",
            guild.to_db(),
            ingested_at.max(Some(now)).unwrap_or(now).to_utc(),
            settings.time_zone.name(),
        )
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query!(
        "INSERT INTO audit_logs (guild_id, actor_id, action, details, at) VALUES ($1, $2, 'settings.save', $3, $4)",
        guild.to_db(),
        author.to_db(),
        json!({ "revision": revision, "before": stored.as_ref().map(|stored| &stored.settings), "after": settings }),
        now.to_utc(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Saved::Done { revision })
}

/// Locks the guild's row, which is there from now on, and says when a number of the guild last changed.
async fn lock(db: &mut PgConnection, guild: GuildId) -> Result<Option<Timestamp>, StoreError> {
    let ingested_at = sqlx::query_scalar!(
        "INSERT INTO guilds AS known (guild_id) VALUES ($1)
         ON CONFLICT (guild_id) DO UPDATE SET first_seen_at = known.first_seen_at
         RETURNING ingested_at",
        guild.to_db(),
    )
    .fetch_one(db)
    .await?;
    Ok(ingested_at.map(Timestamp::from_utc))
}
