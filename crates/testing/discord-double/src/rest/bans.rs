//! Bans, one by one and in bulk.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use guildhall_domain::{GuildId, UserId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::extract::{Answer, Answered, Asked, Bot, Form, Ids};
use super::members::between;
use super::{Api, access};
use crate::world::{Guild, Missing, Permissions};

/// The most accounts one bulk ban takes.
const BULK: usize = 200;
/// The longest history a ban deletes, in seconds: seven days.
const HISTORY: u32 = 604_800;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/guilds/{guild}/bans", get(list))
        .route("/guilds/{guild}/bans/{user}", get(one).put(ban).delete(unban))
        .route("/guilds/{guild}/bulk-ban", post(bulk))
}

#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<usize>,
    before: Option<UserId>,
    after: Option<UserId>,
}

async fn list(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Asked(page): Asked<Page>) -> Answered {
    let limit = between(page.limit.unwrap_or(1_000), 1_000)?;
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::BAN_MEMBERS, api.now())?;
    let wanted =
        |user: &UserId| page.before.is_none_or(|before| *user < before) && page.after.is_none_or(|after| *user > after);
    let bans: Vec<_> = guild.bans().filter(|(user, _)| wanted(user)).map(|(_, ban)| ban).take(limit).collect();
    Answer::json(&bans)
}

async fn one(State(api): State<Api>, bot: Bot, Ids((id, user)): Ids<(GuildId, UserId)>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::BAN_MEMBERS, api.now())?;
    let ban = guild.bans().find(|(banned, _)| *banned == user).ok_or(Missing::Ban)?;
    Answer::json(ban.1)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BanForm {
    delete_message_seconds: Option<u32>,
    delete_message_days: Option<u32>,
}

impl BanForm {
    fn seconds(&self) -> Result<u32, ApiError> {
        let days = self.delete_message_days.unwrap_or(0).saturating_mul(86_400);
        let seconds = self.delete_message_seconds.unwrap_or(days);
        if seconds > HISTORY {
            let message = "int value should be less than or equal to 604800.";
            return Err(ApiError::invalid_field("delete_message_seconds", "NUMBER_TYPE_MAX", message));
        }
        Ok(seconds)
    }
}

async fn ban(
    State(api): State<Api>,
    bot: Bot,
    Ids((id, user)): Ids<(GuildId, UserId)>,
    Form(form): Form<BanForm>,
) -> Answered {
    let seconds = form.seconds()?;
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::BAN_MEMBERS, api.now())?;
    may_ban(&guild, &bot, user)?;
    guild.ban(user, seconds, bot.by(), api.now())?;
    Answer::empty()
}

async fn unban(State(api): State<Api>, bot: Bot, Ids((id, user)): Ids<(GuildId, UserId)>) -> Answered {
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::BAN_MEMBERS, api.now())?;
    guild.unban(user, bot.by(), api.now())?;
    Answer::empty()
}

#[derive(Debug, Deserialize)]
struct BulkForm {
    user_ids: Vec<UserId>,
    #[serde(flatten)]
    history: BanForm,
}

async fn bulk(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Form(form): Form<BulkForm>) -> Answered {
    let seconds = form.history.seconds()?;
    if !(1..=BULK).contains(&form.user_ids.len()) {
        let message = "Must be between 1 and 200 in length.";
        return Err(ApiError::invalid_field("user_ids", "BASE_TYPE_BAD_LENGTH", message));
    }
    let mut guild = api.guild(id)?;
    let needed = Permissions::BAN_MEMBERS.with(Permissions::MANAGE_GUILD);
    access::in_guild(&guild, bot.user(), needed, api.now())?;
    let (mut banned, mut failed) = (Vec::new(), Vec::new());
    for user in form.user_ids {
        let done = may_ban(&guild, &bot, user).is_ok()
            && !guild.bans().any(|(other, _)| other == user)
            && guild.ban(user, seconds, bot.by(), api.now()).is_ok();
        if done { banned.push(user) } else { failed.push(user) }
    }
    if banned.is_empty() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 500_000, "Failed to ban users"));
    }
    Answer::json(&json!({ "banned_users": banned, "failed_users": failed }))
}

/// Strangers may be banned by anyone with the permission; members only by those who stand above them.
fn may_ban(guild: &Guild, bot: &Bot, user: UserId) -> Result<(), ApiError> {
    match guild.member(user) {
        Ok(_) => access::above_member(guild, bot.user(), user),
        Err(_) => Ok(()),
    }
}
