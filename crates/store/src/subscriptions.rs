//! A guild's plan: a seeded row until billing exists.

use guildhall_domain::{GuildId, Timestamp};
use sqlx::PgConnection;

use crate::StoreError;
use crate::timed::Timed;

/// What a guild pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plan {
    /// Nothing.
    #[default]
    Free,
    /// The paid plan.
    Pro,
    /// The plan by contract.
    Enterprise,
}

impl Plan {
    /// The plan's name in the database and in APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }
}

/// The guild's plan; the free one when it has no row.
///
/// # Errors
/// When the database does not carry it out.
pub async fn plan(db: &mut PgConnection, guild: GuildId) -> Result<Plan, StoreError> {
    let _timed = Timed::begin("subscription_plan");
    let name = sqlx::query_scalar!("SELECT plan FROM subscriptions WHERE guild_id = $1", guild.to_db())
        .fetch_optional(db)
        .await?;
    match name.as_deref() {
        None | Some("free") => Ok(Plan::Free),
        Some("pro") => Ok(Plan::Pro),
        Some("enterprise") => Ok(Plan::Enterprise),
        Some(_) => Err(StoreError::Unreadable { table: "subscriptions", what: "an unknown plan" }),
    }
}

/// Gives the guild a plan from `now` on; the same plan again changes nothing.
///
/// # Errors
/// When the database does not carry it out.
pub async fn set_plan(db: &mut PgConnection, guild: GuildId, plan: Plan, now: Timestamp) -> Result<(), StoreError> {
    let _timed = Timed::begin("subscription_set_plan");
    sqlx::query!(
        "INSERT INTO subscriptions (guild_id, plan, since) VALUES ($1, $2, $3)
         ON CONFLICT (guild_id) DO UPDATE SET plan = excluded.plan, since = excluded.since
         WHERE subscriptions.plan <> excluded.plan",
        guild.to_db(),
        plan.name(),
        now.to_utc(),
    )
    .execute(db)
    .await?;
    Ok(())
}
