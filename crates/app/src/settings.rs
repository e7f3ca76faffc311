//! A guild's settings: who may change them, and what becomes of a change.
//!
//! **Invariant:** a save, its audit entry and the claim of its interaction are one transaction.

use guildhall_domain::{GuildId, GuildSettings, Permissions};
use guildhall_store::settings::{Saved, StoredSettings};
use guildhall_store::{StoreError, interactions};

use crate::commands::Origin;
use crate::context::Ctx;
use crate::error::AppError;

/// What an administrator needs to change a guild's settings.
pub const REQUIRED: Permissions = Permissions::MANAGE_GUILD;

/// What became of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// They are the guild's settings now.
    Saved,
    /// The person may not change settings. Nothing was changed.
    Forbidden,
    /// This very interaction was handled before. Nothing was changed again.
    AlreadyHandled,
    /// Somebody else saved these meanwhile. Nothing was changed.
    Conflict(Box<StoredSettings>),
}

/// Whether a person may change a guild's settings.
pub fn may_change(origin: Origin<'_>) -> bool {
    origin.invoker.permissions.allows(REQUIRED)
}

/// The guild's settings; `None` before its first setup. Whoever may ask the bot anything may know them.
///
/// # Errors
/// When the database fails.
pub async fn find(ctx: &Ctx, guild: GuildId) -> Result<Option<StoredSettings>, AppError> {
    let mut db = ctx.db.acquire().await.map_err(StoreError::from)?;
    Ok(guildhall_store::settings::find(&mut db, guild).await?)
}

/// Saves settings. `base` is the revision the person saw, `None` when there was none.
///
/// # Errors
/// When the database fails; nothing is changed then.
pub async fn save(
    ctx: &Ctx,
    origin: Origin<'_>,
    settings: &GuildSettings,
    base: Option<i64>,
) -> Result<Outcome, AppError> {
    if !may_change(origin) {
        return Ok(Outcome::Forbidden);
    }
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await.map_err(StoreError::from)?;
    if !interactions::claim(&mut tx, origin.id, now).await? {
        return Ok(Outcome::AlreadyHandled);
    }
    let saved =
        guildhall_store::settings::save(&mut tx, origin.guild, settings, base, origin.invoker.user, now).await?;
    match saved {
        Saved::Conflict(stored) => Ok(Outcome::Conflict(stored)),
        Saved::Done { .. } => {
            tx.commit().await.map_err(StoreError::from)?;
            Ok(Outcome::Saved)
        }
    }
}
